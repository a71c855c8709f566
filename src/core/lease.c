/*
 * The life of one token on the nodes:
 *
 *                    won             its lock is freed, lapses        nobody of this host may take it over
 *      TAKING ---------------> KEPT --------------------------> idle --------------------------------------> LEAVING
 *         |                      ^                                |                                             ^
 *         |                      +--------------------------------+                                             |
 *         |                         the next session's lock                                                     |
 *         +-----------------------------------------------------------------------------------------------------+
 *            lost, cancelled
 *
 * One lock at a time is under a kept lease, and inside its validity: what a session may rely on ends no later than what
 * the nodes were won for. Passing it on changes nothing on any node. Idle is no state that outlasts a step.
 *
 * Whatever is not kept and may still be on some node is on a list of the release module or in one of its rounds, until
 * every node has confirmed or the ttl has run out everywhere.
 */
#include "redlockd/core/lease.h"

#include "redlockd/base/slab.h"
#include "redlockd/core/lock.h"
#include "redlockd/core/release.h"
#include "redlockd/core/renew.h"
#include "redlockd/core/resource.h"

#include <assert.h>
#include <errno.h>

static const uint8_t lease_moves[] = {
        [LEASE_TAKING] = 1 << LEASE_KEPT | 1 << LEASE_LEAVING,
        [LEASE_KEPT] = 1 << LEASE_LEAVING,
        [LEASE_LEAVING] = 0,
};

static void lease_move(struct lease *l, enum lease_state state)
{
        assert(lease_moves[l->state] & 1 << state);
        l->state = state;
}

int lease_new(struct engine *e, struct resource *r, uint32_t ttl_ms, struct lease **ret_lease)
{
        struct lease *l = slab_zalloc(sizeof(*l));

        if (!l)
                return -ENOMEM;
        l->state = LEASE_TAKING;
        l->resource = resource_ref_known(r);
        l->ttl_max_ms = ttl_ms;
        token_draw(e, &l->value);
        *ret_lease = l;
        return 0;
}

static void lease_free(struct engine *e, struct lease *l)
{
        assert(l->state == LEASE_LEAVING && l->refs == 0 && !l->renewal);
        lease_unlist(e, l);
        resource_unref(e, l->resource);
        slab_free(l, sizeof(*l));
}

void lease_keep(struct engine *e, struct lease *l, uint64_t won_ns, uint32_t ttl_ms)
{
        assert(!l->resource->lease);
        lease_move(l, LEASE_KEPT);
        l->resource->lease = l;
        lease_renew(e, l, won_ns, ttl_ms);
        turn_on_kept(e, l->resource);
}

/* What the nodes were won for, less what their clocks have stepped since. */
static uint64_t lease_end_ns(const struct engine *e, const struct lease *l, uint64_t won_ns, uint32_t ttl_ms)
{
        return clockwatch_end_ns(e, l->counted, won_ns, validity_end_ns(won_ns, ttl_ms, e->options.drift_factor));
}

void lease_renew(struct engine *e, struct lease *l, uint64_t won_ns, uint32_t ttl_ms)
{
        uint64_t end_ns = lease_end_ns(e, l, won_ns, ttl_ms);

        assert(l->state == LEASE_KEPT);
        if (end_ns <= l->valid_until_ns)
                return;
        l->won_ns = won_ns;
        l->won_ttl_ms = ttl_ms;
        l->valid_until_ns = end_ns;
}

void lease_review(struct engine *e, struct lease *l)
{
        uint64_t end_ns = lease_end_ns(e, l, l->won_ns, l->won_ttl_ms);
        struct lock *lock = l->resource->holder;

        assert(l->state == LEASE_KEPT);
        if (end_ns >= l->valid_until_ns)
                return;
        l->valid_until_ns = end_ns;
        if (lock)
                lock_shorten(e, lock);
}

void lease_set_idle(struct engine *e, struct lease *l)
{
        assert(l->state == LEASE_KEPT && l->listed == LEASE_UNLISTED);
        if (turn_is_over(e, l->resource)) {
                turn_give_back(e, l->resource);
                lease_leave(e, l);
                return;
        }
        if (l->lost) {
                lease_leave(e, l);
                return;
        }
        TAILQ_INSERT_TAIL(&e->leases_idle, l, in_list);
        l->listed = LEASE_IDLE;
}

void lease_flush_idle(struct engine *e)
{
        struct lease *l;

        while ((l = TAILQ_FIRST(&e->leases_idle)))
                lease_leave(e, l);
}

void lease_leave(struct engine *e, struct lease *l)
{
        if (l->state == LEASE_KEPT) {
                l->resource->lease = NULL;
                listen_on_left(e, l->resource);
        }
        lease_unlist(e, l);
        renew_end(e, l);
        lease_move(l, LEASE_LEAVING);
        l->releasing = 0;
        l->gone_ns = validity_gone_ns(e->now_ns, l->ttl_max_ms, e->options.drift_factor);
        release_lease(e, l);
        listen_review(e, l->resource);
        lease_settle(e, l);
}

struct lease *lease_ref(struct lease *l)
{
        assert(l->refs < LEASE_REFS_MAX);
        ++l->refs;
        return l;
}

struct lease *lease_unref(struct engine *e, struct lease *l)
{
        assert(l->refs > 0);
        --l->refs;
        lease_settle(e, l);
        return NULL;
}

void lease_settle(struct engine *e, struct lease *l)
{
        if (l->state == LEASE_LEAVING && l->refs == 0 && l->sent == 0)
                lease_free(e, l);
}

void lease_forget(struct engine *e, struct lease *l)
{
        assert(l->refs == 0);
        l->sent = 0;
        lease_settle(e, l);
}

void lease_unlist(struct engine *e, struct lease *l)
{
        if (l->listed == LEASE_IDLE)
                TAILQ_REMOVE(&e->leases_idle, l, in_list);
        else if (l->listed == LEASE_DUE)
                TAILQ_REMOVE(&e->release_due, l, in_list);
        else if (l->listed == LEASE_LATER)
                TAILQ_REMOVE(&e->release_later, l, in_list);
        l->listed = LEASE_UNLISTED;
        if (TAILQ_EMPTY(&e->release_later))
                heap_clear(&e->deadlines, &e->release_retry);
}
