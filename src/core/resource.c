/*
 * One key on this host. Invariants: the queue holds claims of add and extend only, first come first; `holder` is held
 * or lapsed, never more than one, and its lease is `lease`; between steps a lease has a holder, or a call that tries to
 * take it over; while `trying` is set no other call asks the nodes for the key.
 */
#include "redlockd/core/resource.h"

#include "redlockd/base/mem.h"
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

int resource_ref(struct engine *e, struct text key, struct resource **ret_resource)
{
        uint64_t hash = hash_text(&e->seed, key);
        struct resource *r = resource_match(e, key, hash);

        if (!r) {
                r = mem_zalloc(sizeof(*r) + key.len);
                if (!r)
                        return -ENOMEM;
                if (heap_reserve(&e->deadlines) < 0) {
                        mem_free(r);
                        return -ENOMEM;
                }
                r->turn.end.kind = DEADLINE_TURN;
                TAILQ_INIT(&r->queue);
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

struct resource *resource_unref(struct engine *e, struct resource *r)
{
        if (!r)
                return NULL;
        assert(r->refs > 0);
        if (--r->refs > 0)
                return NULL;
        assert(!r->lease && !r->holder && !r->trying && TAILQ_EMPTY(&r->queue));
        assert(!r->ears.referenced && !deadline_armed(&r->turn.end));
        map_unlink(&e->resources, &r->link);
        heap_release(&e->deadlines);
        return mem_free(r);
}

void resource_forget(struct engine *e, struct resource *r)
{
        assert(r->refs == (unsigned)deadline_armed(&r->turn.end) + r->ears.referenced);
        heap_clear(&e->deadlines, &r->turn.end);
        r->ears.referenced = false;
        r->refs = 1;
        resource_unref(e, r);
}

struct claim *resource_head(const struct resource *r)
{
        return TAILQ_FIRST(&r->queue);
}

void resource_enqueue(struct resource *r, struct claim *c)
{
        assert(!c->queued);
        TAILQ_INSERT_TAIL(&r->queue, c, entry);
        c->queued = true;
        ++r->queue_n;
}

void resource_dequeue(struct resource *r, struct claim *c)
{
        if (!c->queued)
                return;
        TAILQ_REMOVE(&r->queue, c, entry);
        c->queued = false;
        --r->queue_n;
}

void resource_wake(struct engine *e, struct resource *r)
{
        struct claim *head = resource_head(r);

        if (head && !r->holder && !r->trying)
                call_wake(e, head->call);
}
