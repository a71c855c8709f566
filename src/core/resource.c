/*
 * One key on this host. Invariants: the queue holds claims of add and extend only, first come first; `holder` is
 * held, lapsed or delayed, never more than one, and its lease is `lease`, which it names by that alone (see
 * lock_lease()); between steps a lease has a holder, or a call that tries to take it over.
 */
#include "redlockd/core/resource.h"

#include "redlockd/base/mem.h"
#include "redlockd/base/slab.h"
#include "redlockd/core/call.h"

#include <assert.h>
#include <errno.h>

struct text resource_key(const struct resource *r)
{
        return (struct text){ r->key, r->key_len };
}

static struct resource *resource_match(const struct engine *e, struct text key, uint64_t hash)
{
        struct map_link *link;

        for (link = map_first(&e->resources, hash); link; link = map_next(link)) {
                struct resource *r = container_of(link, struct resource, link);

                if (text_equal(key, resource_key(r)))
                        return r;
        }
        return NULL;
}

struct resource *resource_find(const struct engine *e, struct text key)
{
        return resource_match(e, key, hash_text(&e->seed, key));
}

static size_t resource_size(size_t key_len)
{
        return offsetof(struct resource, key) + key_len;
}

int resource_ref(struct engine *e, struct text key, struct resource **ret_resource)
{
        uint64_t hash = hash_text(&e->seed, key);
        struct resource *r = resource_match(e, key, hash);

        if (!r) {
                r = slab_zalloc(resource_size(key.len));
                if (!r)
                        return -ENOMEM;
                r->key_len = (uint32_t)key.len;
                memcpy(r->key, key.data, key.len);
                map_link(&e->resources, &r->link, hash);
        }
        ++r->refs;
        *ret_resource = r;
        return 0;
}

struct resource *resource_ref_known(struct resource *r)
{
        ++r->refs;
        return r;
}

struct contest *resource_contest(struct engine *e, struct resource *r)
{
        struct contest *contest = r->contest;

        if (contest)
                return contest;
        contest = mem_zalloc(sizeof(*contest));
        if (!contest)
                return NULL;
        if (heap_reserve(&e->deadlines) < 0)
                return mem_free(contest);
        contest->resource = r;
        contest->tenure.end.kind = DEADLINE_TURN;
        r->contest = contest;
        return contest;
}

static void contest_free(struct engine *e, struct contest *contest)
{
        if (!contest)
                return;
        assert(!contest->ears.referenced && !deadline_armed(&contest->tenure.end));
        heap_release(&e->deadlines);
        mem_free(contest);
}

struct resource *resource_unref(struct engine *e, struct resource *r)
{
        if (!r)
                return NULL;
        assert(r->refs > 0);
        if (--r->refs > 0)
                return NULL;
        assert(!r->lease && !r->holder && !r->queue);
        contest_free(e, r->contest);
        map_unlink(&e->resources, &r->link);
        return slab_free(r, resource_size(r->key_len));
}

void resource_forget(struct engine *e, struct resource *r)
{
        struct contest *contest = r->contest;

        assert(contest && r->refs == (unsigned)deadline_armed(&contest->tenure.end) + contest->ears.referenced);
        heap_clear(&e->deadlines, &contest->tenure.end);
        contest->ears.referenced = false;
        r->refs = 1;
        resource_unref(e, r);
}

struct claim *resource_head(const struct resource *r)
{
        return r->queue;
}

uint32_t resource_queue_n(const struct resource *r)
{
        return r->queue ? r->queue->queue_n : 0;
}

struct claim *claim_before(const struct claim *c)
{
        return c == c->resource->queue ? NULL : c->before;
}

void resource_enqueue(struct resource *r, struct claim *c)
{
        struct claim *first = r->queue;

        assert(!c->queued);
        c->queued = true;
        c->after = NULL;
        if (first) {
                c->before = first->before;
                first->before->after = c;
        } else {
                r->queue = first = c;
                first->queue_n = 0;
        }
        first->before = c;
        ++first->queue_n;
}

void resource_dequeue(struct resource *r, struct claim *c)
{
        if (!c->queued)
                return;
        c->queued = false;
        --r->queue->queue_n;
        (c->after ? c->after : r->queue)->before = c->before;
        if (c != r->queue) {
                c->before->after = c->after;
                return;
        }
        r->queue = c->after;
        if (r->queue)
                r->queue->queue_n = c->queue_n;
}

void resource_wake(struct engine *e, struct resource *r)
{
        struct claim *head = resource_head(r);

        if (head && !r->holder)
                call_wake(e, head->call);
}
