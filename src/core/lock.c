/*
 * The life of one lock:
 *
 *                    won             its end is near              asked for again, freed,
 *      TAKING ---------------> HELD ------------------> LAPSED --- end of the session ---> GONE
 *         |                     | |                                                          ^
 *         |                     | +--- end of the session, with a delay ---> DELAYED --------+
 *         |  lost, cancelled    |  freed, end of the session                                 |
 *         +---------------------+------------------------------------------------------------+
 *
 * A lock lapses in two steps: a moment before its validity ends (LOCK_LAPSE_MARGIN_*) it leaves the map and its session
 * is told; at the end, and not before, the key is open to others, and the lease with it. (A lock that the nodes lost
 * lapses earlier; its own session may ask for the key anew once it was told, see take.c.) From then on it is only a
 * memory: it lets `free` say "expired" and `extend` "reacquired". One that an administrator breaks does both at once.
 */
#include "redlockd/core/lock.h"

#include "redlockd/base/slab.h"
#include "redlockd/core/call.h"
#include "redlockd/core/lease.h"
#include "redlockd/core/renew.h"
#include "redlockd/core/resource.h"
#include "redlockd/core/session.h"

#include <assert.h>
#include <errno.h>

static const uint8_t lock_moves[] = {
        [LOCK_TAKING] = 1 << LOCK_HELD | 1 << LOCK_GONE,
        [LOCK_HELD] = 1 << LOCK_LAPSED | 1 << LOCK_DELAYED | 1 << LOCK_GONE,
        [LOCK_LAPSED] = 1 << LOCK_DELAYED | 1 << LOCK_GONE,
        [LOCK_DELAYED] = 1 << LOCK_GONE,
        [LOCK_GONE] = 0,
};

static bool lock_counts(enum lock_state state)
{
        return state == LOCK_TAKING || state == LOCK_HELD || state == LOCK_DELAYED;
}

static void lock_move(struct engine *e, struct lock *l, enum lock_state state)
{
        assert(lock_moves[l->state] & 1 << state);
        e->locks_n += lock_counts(state);
        e->locks_n -= lock_counts(l->state);
        l->state = state;
}

static size_t lock_size(bool terms)
{
        return sizeof(struct lock) + (terms ? sizeof(struct lock_terms) : 0);
}

int lock_new(struct engine *e, struct session *s, struct lease *lease, bool terms, struct lock **ret_lock)
{
        struct lock *l = slab_zalloc(lock_size(terms));

        if (!l)
                return -ENOMEM;
        if (heap_reserve(&e->deadlines) < 0) {
                slab_free(l, lock_size(terms));
                return -ENOMEM;
        }
        l->state = LOCK_TAKING;
        l->has_terms = terms;
        if (terms)
                l->terms->hold_end_ns = UINT64_MAX;
        l->resource = resource_ref_known(lease->resource);
        l->session = s;
        ++s->taking_n;
        ++e->locks_n;
        l->taking = lease;
        l->end.kind = DEADLINE_LOCK;
        if (lease->state == LEASE_KEPT) {
                token_draw(e, &l->value);
                lease_unlist(e, lease);
        } else {
                l->value = lease->value;
        }
        *ret_lock = l;
        return 0;
}

struct lease *lock_lease(const struct lock *l)
{
        if (l->state == LOCK_TAKING)
                return l->taking;
        return l->resource->holder == l ? l->resource->lease : NULL;
}

static void lock_free(struct engine *e, struct lock *l)
{
        assert(l->state == LOCK_GONE && !lock_lease(l));
        heap_release(&e->deadlines);
        resource_unref(e, l->resource);
        slab_free(l, lock_size(l->has_terms));
}

static uint64_t lock_hash(const struct engine *e, const struct session *s, const struct resource *r)
{
        return hash_u64(&e->seed, s->id, (uint64_t)(uintptr_t)r);
}

struct lock *lock_find(const struct engine *e, const struct session *s, const struct resource *r)
{
        struct map_link *link;

        if (r->holder && r->holder->session == s)
                return r->holder;
        for (link = map_first(&e->memories, lock_hash(e, s, r)); link; link = map_next(link)) {
                struct lock *l = container_of(link, struct lock, link);

                if (l->session == s && l->resource == r)
                        return l;
        }
        return NULL;
}

/* Lapsed, and its key is open. */
static bool lock_is_memory(const struct lock *l)
{
        return l->state == LOCK_LAPSED && !lock_lease(l);
}

uint64_t lock_hold_end_ns(const struct lock *l)
{
        return l->has_terms ? l->terms->hold_end_ns : UINT64_MAX;
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

/* When less than a third of its ttl is left, and it should have been renewed twice over. */
static uint64_t lock_expiring_ns(const struct lock *l)
{
        return l->valid_until_ns - l->ttl_ms * NS_PER_MS / 3;
}

static bool lock_should_be_renewed(const struct lock *l)
{
        return l->auto_extend && l->valid_until_ns < lock_hold_end_ns(l);
}

void lock_extend(struct engine *e, struct lock *l, uint32_t ttl_ms, uint64_t valid_until_ns)
{
        uint64_t hold_end_ns = lock_hold_end_ns(l);

        assert(l->state == LOCK_HELD && valid_until_ns <= lock_lease(l)->valid_until_ns);
        l->ttl_ms = ttl_ms;
        l->valid_until_ns = valid_until_ns < hold_end_ns ? valid_until_ns : hold_end_ns;
        l->closed_until_ns = l->valid_until_ns;
        l->expiring = lock_should_be_renewed(l) && e->now_ns >= lock_expiring_ns(l);
        if (lock_should_be_renewed(l) && !l->expiring)
                heap_set(&e->deadlines, &l->end, lock_expiring_ns(l));
        else
                heap_set(&e->deadlines, &l->end, lock_lapse_ns(l));
        renew_review(e, l->resource);
}

void lock_grant(struct engine *e, struct lock *l, uint32_t ttl_ms, uint64_t valid_until_ns)
{
        struct lock *lapsed = lock_find(e, l->session, l->resource);

        assert(!l->resource->holder && l->resource->lease == l->taking);
        if (lapsed)
                lock_leave(e, lapsed);
        lock_move(e, l, LOCK_HELD);
        --l->session->taking_n;
        l->since_ns = e->now_ns;
        l->resource->holder = l;
        session_link_held(l->session, l);
        ++e->held_n;
        lock_extend(e, l, ttl_ms, valid_until_ns);
}

/* What its session asks for under its key has to wait for others from now on, and that may close a cycle. */
static void lock_search_again(struct engine *e, const struct lock *l)
{
        struct claim *claim;

        if (l->state == LOCK_GONE)
                return;
        session_search_again(l->session);
        for (claim = resource_head(l->resource); claim; claim = claim->after)
                if (claim->call->session == l->session)
                        call_wake(e, claim->call);
}

/* From now on it is a memory: no deadline is ahead of it, and its link takes that place. */
static void lock_remember(struct engine *e, struct lock *l)
{
        assert(l->session && !deadline_armed(&l->end));
        map_link(&e->memories, &l->link, lock_hash(e, l->session, l->resource));
}

/* It is not under its lease any more. */
static void lock_part(struct engine *e, struct lock *l, struct lease *lease)
{
        heap_clear(&e->deadlines, &l->end);
        if (l->state == LOCK_LAPSED)
                lock_remember(e, l);
        if (lease->state == LEASE_KEPT)
                lease_set_idle(e, lease);
        else
                lease_leave(e, lease);
        if (l->resource->holder != l)
                return;
        l->resource->holder = NULL;
        resource_wake(e, l->resource);
        lock_search_again(e, l);
}

void lock_open(struct engine *e, struct lock *l)
{
        struct lease *lease = lock_lease(l);

        if (lease)
                lock_part(e, l, lease);
}

static void lock_tell_expiring(struct engine *e, struct lock *l)
{
        if (!(l->session->events & NOTICE_EXPIRING) || l->terms->expiring_out.linked)
                return;
        lock_ref(l);
        outgoing_link(e, &l->terms->expiring_out, OUTGOING_EXPIRING);
}

static void lock_lapse(struct engine *e, struct lock *l, enum lost_reason reason)
{
        lock_move(e, l, LOCK_LAPSED);
        l->lost = reason;
        --e->held_n;
        e->counters.expired += reason != LOST_BROKEN;
        e->counters.lost += reason == LOST_NO_QUORUM;
        session_unlink_held(l->session, l);
        histogram_observe_ns(&e->holds, e->now_ns - l->since_ns);
        lock_ref(l);
        l->lost_wanted = l->session->events & NOTICE_LOST;
        l->told |= l->lost_wanted;
        l->lost_out = (struct outgoing){ .linked = false };
        outgoing_link(e, &l->lost_out, OUTGOING_LOST);
        session_link_lapsed(e, l->session, l);
}

/* Its validity is nearly over, and nothing has come in between. */
static enum lost_reason lock_lapse_reason(const struct lock *l)
{
        if (l->valid_until_ns == lock_hold_end_ns(l))
                return LOST_MAX_HOLD;
        return l->auto_extend ? LOST_NO_QUORUM : LOST_EXPIRED;
}

bool lock_is_watched(const struct lock *l)
{
        return l->auto_extend || l->session->events & NOTICE_LOST;
}

void lock_lose(struct engine *e, struct lock *l)
{
        uint64_t closed_until_ns = l->closed_until_ns;

        lock_lapse(e, l, LOST_NO_QUORUM);
        heap_set(&e->deadlines, &l->end, closed_until_ns);
        lock_search_again(e, l);
}

void lock_renew(struct engine *e, struct lock *l, uint64_t valid_until_ns)
{
        uint64_t closed_until_ns = l->closed_until_ns;

        lock_extend(e, l, l->ttl_ms, valid_until_ns);
        if (l->closed_until_ns < closed_until_ns)
                l->closed_until_ns = closed_until_ns;
}

void lock_shorten(struct engine *e, struct lock *l)
{
        uint64_t end_ns = l->resource->lease->valid_until_ns;

        if (l->state != LOCK_HELD || l->valid_until_ns <= end_ns)
                return;
        if (end_ns > e->now_ns + LOCK_LAPSE_MARGIN_MAX_MS * NS_PER_MS)
                lock_renew(e, l, end_ns);
        else
                lock_lose(e, l);
}

void lock_end(struct engine *e, struct lock *l)
{
        uint64_t delay_ms = l->has_terms ? l->terms->delay_ms : 0, end_ns = e->now_ns + delay_ms * NS_PER_MS;

        lock_silence(e, l);
        if (delay_ms == 0 || !lock_lease(l)) {
                lock_leave(e, l);
                return;
        }
        if (l->state == LOCK_HELD) {
                --e->held_n;
                session_unlink_held(l->session, l);
        } else {
                session_unlink_lapsed(l->session, l);
        }
        lock_move(e, l, LOCK_DELAYED);
        l->session = NULL;
        heap_set(&e->deadlines, &l->end, end_ns < l->valid_until_ns ? end_ns : l->valid_until_ns);
}

void lock_break(struct engine *e, struct lock *l)
{
        heap_clear(&e->deadlines, &l->end);
        lock_lapse(e, l, LOST_BROKEN);
        lock_open(e, l);
}

void lock_silence(struct engine *e, struct lock *l)
{
        struct outgoing *outs[] = { l->state == LOCK_LAPSED ? &l->lost_out : NULL,
                                    l->has_terms ? &l->terms->expiring_out : NULL };
        unsigned i;

        for (i = 0; i < 2; ++i) {
                if (!outs[i] || !outs[i]->linked)
                        continue;
                outgoing_unlink(e, outs[i]);
                lock_unref(e, l);
        }
}

void lock_on_deadline(struct engine *e, struct lock *l)
{
        uint64_t closed_until_ns;

        if (l->state == LOCK_DELAYED) {
                lock_leave(e, l);
                return;
        }
        if (l->state == LOCK_HELD && lock_should_be_renewed(l) && !l->expiring && e->now_ns < lock_lapse_ns(l)) {
                l->expiring = true;
                lock_tell_expiring(e, l);
                heap_set(&e->deadlines, &l->end, lock_lapse_ns(l));
                return;
        }
        if (l->state == LOCK_HELD) {
                closed_until_ns = l->closed_until_ns;
                lock_lapse(e, l, lock_lapse_reason(l));
                if (e->now_ns < closed_until_ns) {
                        heap_set(&e->deadlines, &l->end, closed_until_ns);
                        return;
                }
        }
        lock_open(e, l);
}

void lock_leave(struct engine *e, struct lock *l)
{
        struct lease *lease = lock_lease(l);
        enum lock_state was = l->state;

        lock_ref(l);
        if (lock_is_memory(l))
                map_unlink(&e->memories, &l->link);
        else
                heap_clear(&e->deadlines, &l->end);
        lock_move(e, l, LOCK_GONE);
        if (was == LOCK_TAKING) {
                --l->session->taking_n;
        } else if (was == LOCK_HELD) {
                session_unlink_held(l->session, l);
                histogram_observe_ns(&e->holds, e->now_ns - l->since_ns);
                --e->held_n;
        } else if (was == LOCK_LAPSED) {
                session_unlink_lapsed(l->session, l);
        }
        if (lease)
                lock_part(e, l, lease);
        lock_unref(e, l);
}

struct lock *lock_ref(struct lock *l)
{
        assert(l->refs < UINT8_MAX);
        ++l->refs;
        return l;
}

struct lock *lock_unref(struct engine *e, struct lock *l)
{
        assert(l->refs > 0);
        if (--l->refs == 0 && l->state == LOCK_GONE)
                lock_free(e, l);
        return NULL;
}
