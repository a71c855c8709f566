/*
 * The life of one token:
 *
 *                    won                 validity ends              asked for again, freed,
 *      TAKING ---------------> HELD --------------------> LAPSED --- end of the session ---> LEAVING ---> freed
 *         |                     |                                                               ^
 *         |  lost, cancelled    |  freed, end of the session                                    |
 *         +---------------------+---------------------------------------------------------------+
 *
 * LAPSED is only a memory: it lets `free` say "expired" and `extend` "reacquired"; its key may be somebody else's by
 * then. Whatever is not HELD and may still be on some node is on a list of the release module or in one of its rounds,
 * until every node has confirmed or the ttl has run out everywhere.
 *
 * A lock lapses in two steps: a moment before its validity ends (LOCK_LAPSE_MARGIN_*) it leaves the map and its session
 * is told; at the end, and not before, the key is open to others.
 */
#include "redlockd/core/lock.h"

#include "redlockd/base/mem.h"
#include "redlockd/core/release.h"
#include "redlockd/core/resource.h"
#include "redlockd/core/session.h"

#include <assert.h>
#include <errno.h>

static const uint8_t lock_moves[] = {
        [LOCK_TAKING] = 1 << LOCK_HELD | 1 << LOCK_LEAVING,
        [LOCK_HELD] = 1 << LOCK_LAPSED | 1 << LOCK_LEAVING,
        [LOCK_LAPSED] = 1 << LOCK_LEAVING,
        [LOCK_LEAVING] = 0,
};

static void lock_move(struct lock *l, enum lock_state state)
{
        assert(lock_moves[l->state] & 1 << state);
        l->state = state;
}

/* 128 random bits: nobody else can guess the value, and no two tries share one. */
static void lock_draw_value(struct engine *e, struct lock *l)
{
        static const char digits[] = "0123456789abcdef";
        unsigned char bytes[TOKEN_TEXT_LEN / 2];
        size_t i;

        e->options.random(e->options.random_userdata, bytes, sizeof(bytes));
        for (i = 0; i < sizeof(bytes); ++i) {
                l->value[2 * i] = digits[bytes[i] >> 4];
                l->value[2 * i + 1] = digits[bytes[i] & 15];
        }
}

int lock_new(struct engine *e, struct session *s, struct resource *r, uint32_t ttl_ms, struct lock **ret_lock)
{
        struct lock *l = mem_zalloc(sizeof(*l));

        if (!l)
                return -ENOMEM;
        if (heap_reserve(&e->deadlines) < 0) {
                mem_free(l);
                return -ENOMEM;
        }
        l->state = LOCK_TAKING;
        l->resource = resource_ref_known(r);
        l->session = s;
        ++s->taking_n;
        l->end.kind = DEADLINE_LOCK;
        l->ttl_ms = l->ttl_max_ms = ttl_ms;
        lock_draw_value(e, l);
        *ret_lock = l;
        return 0;
}

static void lock_free(struct engine *e, struct lock *l)
{
        assert(l->state == LOCK_LEAVING && l->refs == 0);
        outgoing_unlink(e, &l->lost_out);
        release_unlist(e, l);
        heap_clear(&e->deadlines, &l->end);
        heap_release(&e->deadlines);
        resource_unref(e, l->resource);
        mem_free(l);
}

static uint64_t lock_hash(const struct engine *e, const struct session *s, const struct resource *r)
{
        return hash_u64(&e->seed, s->id, (uint64_t)(uintptr_t)r);
}

struct lock *lock_find(const struct engine *e, const struct session *s, const struct resource *r)
{
        struct map_link *link;

        for (link = map_first(&e->locks, lock_hash(e, s, r)); link; link = map_next(link)) {
                struct lock *l = container_of(link, struct lock, link);

                if (l->session == s && l->resource == r)
                        return l;
        }
        return NULL;
}

static uint64_t lock_lapse_ns(const struct lock *l)
{
        uint64_t margin_ms = l->ttl_ms / 100;

        if (margin_ms < LOCK_LAPSE_MARGIN_MIN_MS)
                margin_ms = LOCK_LAPSE_MARGIN_MIN_MS;
        if (margin_ms > LOCK_LAPSE_MARGIN_MAX_MS)
                margin_ms = LOCK_LAPSE_MARGIN_MAX_MS;
        return l->valid_until_ns - margin_ms * NS_PER_MS;
}

void lock_extend(struct engine *e, struct lock *l, uint32_t ttl_ms, uint64_t valid_until_ns)
{
        assert(l->state == LOCK_HELD);
        l->ttl_ms = ttl_ms;
        l->valid_until_ns = valid_until_ns;
        heap_set(&e->deadlines, &l->end, lock_lapse_ns(l));
}

void lock_grant(struct engine *e, struct lock *l, uint32_t ttl_ms, uint64_t valid_until_ns)
{
        struct lock *lapsed = lock_find(e, l->session, l->resource);

        assert(!l->resource->holder);
        if (lapsed)
                lock_leave(e, lapsed);
        lock_move(l, LOCK_HELD);
        --l->session->taking_n;
        l->since_ns = e->now_ns;
        l->resource->holder = l;
        map_link(&e->locks, &l->link, lock_hash(e, l->session, l->resource));
        session_link_held(l->session, l);
        ++e->held_n;
        lock_extend(e, l, ttl_ms, valid_until_ns);
}

/* The key is open to the others of this host. */
static void lock_open(struct engine *e, struct lock *l)
{
        if (l->resource->holder != l)
                return;
        l->resource->holder = NULL;
        resource_wake(e, l->resource);
}

static void lock_lapse(struct engine *e, struct lock *l)
{
        lock_move(l, LOCK_LAPSED);
        --e->held_n;
        ++e->counters.expired;
        l->gone_ns = validity_gone_ns(e->now_ns, l->ttl_max_ms, e->options.drift_factor);
        session_unlink_held(l->session, l);
        histogram_observe_ns(&e->holds, e->now_ns - l->since_ns);
        lock_ref(l);
        l->lost_session = l->session->id;
        l->lost_wanted = l->session->events & NOTICE_LOST;
        outgoing_link(e, &l->lost_out, OUTGOING_LOST);
        session_link_lapsed(e, l->session, l);
}

void lock_silence(struct engine *e, struct lock *l)
{
        if (!l->lost_out.linked)
                return;
        outgoing_unlink(e, &l->lost_out);
        lock_unref(e, l);
}

void lock_on_deadline(struct engine *e, struct lock *l)
{
        if (l->state == LOCK_HELD) {
                lock_lapse(e, l);
                if (e->now_ns < l->valid_until_ns) {
                        heap_set(&e->deadlines, &l->end, l->valid_until_ns);
                        return;
                }
        }
        /* An extension may have failed after it reached some nodes, and a shorter ttl is never sent: release what is
         * left. */
        release_lock(e, l);
        lock_open(e, l);
}

void lock_leave(struct engine *e, struct lock *l)
{
        enum lock_state was = l->state;

        lock_move(l, LOCK_LEAVING);
        heap_clear(&e->deadlines, &l->end);
        if (was == LOCK_TAKING) {
                --l->session->taking_n;
        } else if (was == LOCK_HELD) {
                session_unlink_held(l->session, l);
                histogram_observe_ns(&e->holds, e->now_ns - l->since_ns);
                --e->held_n;
        } else if (was == LOCK_LAPSED) {
                session_unlink_lapsed(l->session, l);
        }
        if (was == LOCK_HELD || was == LOCK_LAPSED)
                map_unlink(&e->locks, &l->link);
        if (was != LOCK_LAPSED)
                l->gone_ns = validity_gone_ns(e->now_ns, l->ttl_max_ms, e->options.drift_factor);
        l->session = NULL;
        release_lock(e, l);
        lock_open(e, l);
        lock_settle(e, l);
}

struct lock *lock_ref(struct lock *l)
{
        ++l->refs;
        return l;
}

struct lock *lock_unref(struct engine *e, struct lock *l)
{
        assert(l->refs > 0);
        --l->refs;
        lock_settle(e, l);
        return NULL;
}

void lock_settle(struct engine *e, struct lock *l)
{
        if (l->state == LOCK_LEAVING && l->refs == 0 && l->sent == 0)
                lock_free(e, l);
}

void lock_forget(struct engine *e, struct lock *l)
{
        assert(l->refs == 0);
        l->sent = 0;
        if (l->state == LOCK_LEAVING)
                lock_free(e, l);
}
