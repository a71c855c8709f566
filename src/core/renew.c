/*
 * Renewal:
 *
 *      wanted --> its deadline --> due --> a round, for all that are due in this step --> won:  the next deadline
 *                    ^                                                                    lost: never again
 *                    +---- RENEW_RETRY_MS ------------------------------------------------ not known
 *
 * A lease is wanted by its lock, if that is to be renewed: when a third of its ttl has passed. And by the session that
 * is next in the queue for it: while less than LEASE_RENEW_PERCENT of what that session asked for is left. The ttl is
 * the longer one of the two: a dead daemon costs those behind it one ttl, whoever's.
 *
 * A quorum that does not have the lease any more ends its lock at once: it is never brought back to life.
 */
#include "redlockd/core/renew.h"

#include "redlockd/base/mem.h"
#include "redlockd/core/call.h"
#include "redlockd/core/fence.h"
#include "redlockd/core/lease.h"
#include "redlockd/core/lock.h"
#include "redlockd/core/members.h"
#include "redlockd/core/resource.h"
#include "redlockd/core/round.h"

#include <assert.h>
#include <errno.h>

int renew_reserve(struct engine *e, struct lease *l)
{
        struct renewal *n;

        if (l->renewal)
                return 0;
        n = mem_zalloc(sizeof(*n));
        if (!n)
                return -ENOMEM;
        if (heap_reserve(&e->deadlines) < 0) {
                mem_free(n);
                return -ENOMEM;
        }
        n->lease = l;
        n->at.kind = DEADLINE_RENEWAL;
        l->renewal = n;
        return 0;
}

static void renew_unlist(struct engine *e, struct renewal *n)
{
        if (!n->due)
                return;
        TAILQ_REMOVE(&e->renew_due, n, entry);
        n->due = n->busy = false;
}

void renew_end(struct engine *e, struct lease *l)
{
        struct renewal *n = l->renewal;

        if (!n)
                return;
        renew_unlist(e, n);
        heap_clear(&e->deadlines, &n->at);
        heap_release(&e->deadlines);
        l->renewal = mem_free(n);
}

static uint64_t percent_of_validity_ns(const struct engine *e, uint32_t ttl_ms, unsigned percent)
{
        return (validity_end_ns(e->now_ns, ttl_ms, e->options.drift_factor) - e->now_ns) / 100 * percent;
}

bool renew_is_fresh(const struct engine *e, const struct lease *l, uint32_t ttl_ms)
{
        return l->valid_until_ns > e->now_ns &&
               l->valid_until_ns - e->now_ns >= percent_of_validity_ns(e, ttl_ms, LEASE_PASS_PERCENT);
}

/* What is wanted of a lease: a ttl (0: nothing), from `at_ns` on. */
struct renew_want {
        uint32_t ttl_ms;
        uint64_t at_ns;
};

/* ... when less than `left_ns` is left before `end_ns`. */
static void want(struct renew_want *w, uint32_t ttl_ms, uint64_t end_ns, uint64_t left_ns)
{
        uint64_t at_ns = end_ns > left_ns ? end_ns - left_ns : 0;

        if (w->ttl_ms == 0 || at_ns < w->at_ns)
                w->at_ns = at_ns;
        if (ttl_ms > w->ttl_ms)
                w->ttl_ms = ttl_ms;
}

/* The session that is next after the holder, if it waits; or NULL. */
static const struct call *renew_next_call(const struct resource *r)
{
        struct claim *claim;

        for (claim = resource_head(r); claim; claim = claim->after) {
                if (claim->call->session == r->holder->session)
                        continue;
                return claim->call->state == CALL_WAITING ? claim->call : NULL;
        }
        return NULL;
}

static struct renew_want renew_wanted(const struct engine *e, const struct resource *r)
{
        struct renew_want w = { 0 };
        const struct call *next;
        const struct lock *l;

        if (!r->lease || r->lease->lost || !r->holder)
                return w;
        l = r->holder;
        if (l->state == LOCK_HELD && l->auto_extend && l->valid_until_ns < lock_hold_end_ns(l))
                want(&w, l->ttl_ms, l->valid_until_ns,
                     percent_of_validity_ns(e, l->ttl_ms, 100) - l->ttl_ms * NS_PER_MS / 3);
        next = renew_next_call(r);
        if (next)
                want(&w, next->ttl_ms, r->lease->valid_until_ns,
                     percent_of_validity_ns(e, next->ttl_ms, LEASE_RENEW_PERCENT));
        if (r->lease->renewal && r->lease->renewal->verify)
                want(&w, (uint32_t)validity_left_ms(r->lease->valid_until_ns, e->now_ns) + 1, e->now_ns, 0);
        return w;
}

static void renew_set_due(struct engine *e, struct renewal *n)
{
        heap_clear(&e->deadlines, &n->at);
        n->due = n->busy = true;
        TAILQ_INSERT_TAIL(&e->renew_due, n, entry);
}

void renew_review(struct engine *e, struct resource *r)
{
        struct renew_want w = renew_wanted(e, r);
        struct renewal *n;

        if (w.ttl_ms > 0 && renew_reserve(e, r->lease) < 0)
                return;
        n = r->lease ? r->lease->renewal : NULL;
        if (!n || n->busy)
                return;
        if (n->begun_ns && w.at_ns < n->begun_ns + RENEW_PAUSE_MS * NS_PER_MS)
                w.at_ns = n->begun_ns + RENEW_PAUSE_MS * NS_PER_MS;
        if (w.ttl_ms == 0)
                heap_clear(&e->deadlines, &n->at);
        else if (w.at_ns <= e->now_ns)
                renew_set_due(e, n);
        else
                heap_set(&e->deadlines, &n->at, w.at_ns);
}

void renew_verify(struct engine *e, struct lease *l)
{
        if (renew_reserve(e, l) < 0)
                return;
        l->renewal->verify = true;
        renew_review(e, l->resource);
}

void renew_on_deadline(struct engine *e, struct renewal *n)
{
        renew_review(e, n->lease->resource);
}

/* Takes up to KEYS_PER_ROUND_MAX of those that are still wanted. Returns how many. */
static unsigned renew_gather(struct engine *e, struct lease **ret_leases, uint32_t *ret_ttls_ms)
{
        struct renewal *next;
        unsigned n = 0;

        while (n < KEYS_PER_ROUND_MAX && (next = TAILQ_FIRST(&e->renew_due))) {
                renew_unlist(e, next);
                ret_ttls_ms[n] = renew_wanted(e, next->lease->resource).ttl_ms;
                if (ret_ttls_ms[n] == 0)
                        continue;
                next->busy = true;
                next->verifying = next->verify;
                next->verify = false;
                next->begun_ns = e->now_ns;
                ret_leases[n++] = next->lease;
        }
        return n;
}

void renew_flush(struct engine *e)
{
        struct lease *leases[KEYS_PER_ROUND_MAX];
        uint32_t ttls_ms[KEYS_PER_ROUND_MAX], ttl_max_ms;
        struct round *round;
        unsigned n, i;

        while ((n = renew_gather(e, leases, ttls_ms)) > 0) {
                for (i = 0, ttl_max_ms = 0; i < n; ++i)
                        if (ttls_ms[i] > ttl_max_ms)
                                ttl_max_ms = ttls_ms[i];
                if (round_new(e, COMMAND_RENEW, leases, n, 0, ttl_max_ms, members_up(e), NULL, &round) < 0) {
                        for (i = 0; i < n; ++i)
                                renew_on_failed(e, leases[i]);
                        continue;
                }
                for (i = 0; i < n; ++i)
                        round->items[i].ttl_ms = ttls_ms[i];
                round_review(e, round);
        }
}

void renew_on_won(struct engine *e, struct lease *l, uint64_t started_ns, uint32_t ttl_ms, uint64_t fence)
{
        struct lock *lock = l->resource->holder;
        uint64_t end_ns;

        if (l->state != LEASE_KEPT)
                return;
        l->renewal->busy = false;
        fence_set(l, fence);
        lease_renew(e, l, started_ns, ttl_ms);
        if (!lock || lock->state != LOCK_HELD || !lock->auto_extend) {
                renew_review(e, l->resource);
                return;
        }
        end_ns = validity_end_ns(started_ns, lock->ttl_ms, e->options.drift_factor);
        if (end_ns > l->valid_until_ns)
                end_ns = l->valid_until_ns;
        if (end_ns < lock->valid_until_ns)
                end_ns = lock->valid_until_ns;
        lock_renew(e, lock, end_ns);
        ++e->counters.extended;
}

void renew_on_lost(struct engine *e, struct lease *l)
{
        struct lock *lock = l->resource->holder;

        if (l->state != LEASE_KEPT)
                return;
        l->renewal->busy = false;
        l->lost = true;
        if (lock && lock->state == LOCK_HELD && lock_is_watched(lock))
                lock_lose(e, lock);
}

void renew_on_failed(struct engine *e, struct lease *l)
{
        struct renewal *n = l->renewal;

        if (l->state != LEASE_KEPT)
                return;
        n->busy = false;
        n->verify |= n->verifying;
        if (renew_wanted(e, l->resource).ttl_ms > 0)
                heap_set(&e->deadlines, &n->at, e->now_ns + RENEW_RETRY_MS * NS_PER_MS);
}
