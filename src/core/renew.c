/*
 * Renewal:
 *
 *      wanted --> its deadline --> due --> a round, for all that are due in this step --> won:  the next deadline
 *                    ^                                                                    lost: never again
 *                    +---- RENEW_RETRY_MS ------------------------------------------------ not known
 *
 * Wanted is a lease that is held here while another session is next in the queue for it. The ttl is what that session
 * asked for: a dead daemon costs those behind it one ttl, whoever's.
 */
#include "redlockd/core/renew.h"

#include "redlockd/core/call.h"
#include "redlockd/core/lease.h"
#include "redlockd/core/lock.h"
#include "redlockd/core/resource.h"
#include "redlockd/core/round.h"

#include <assert.h>

static uint64_t percent_of_validity_ns(const struct engine *e, uint32_t ttl_ms, unsigned percent)
{
        return (validity_end_ns(e->now_ns, ttl_ms, e->options.drift_factor) - e->now_ns) / 100 * percent;
}

bool renew_is_fresh(const struct engine *e, const struct lease *l, uint32_t ttl_ms)
{
        return l->valid_until_ns > e->now_ns &&
               l->valid_until_ns - e->now_ns >= percent_of_validity_ns(e, ttl_ms, LEASE_PASS_PERCENT);
}

/* The session that is next after the holder waits with this ttl; 0: nobody does. */
static uint32_t renew_wanted_ttl_ms(const struct resource *r)
{
        struct claim *claim;

        if (!r->lease || r->lease->lost || !r->holder)
                return 0;
        TAILQ_FOREACH (claim, &r->queue, entry) {
                if (claim->call->session == r->holder->session)
                        continue;
                return claim->call->state == CALL_WAITING ? claim->call->ttl_ms : 0;
        }
        return 0;
}

static void renew_set_due(struct engine *e, struct lease *l)
{
        heap_clear(&e->deadlines, &l->renewal);
        l->renewing = true;
        TAILQ_INSERT_TAIL(&e->renew_due, l, in_renewal);
        l->renew_due = true;
}

void renew_review(struct engine *e, struct resource *r)
{
        uint32_t ttl_ms = renew_wanted_ttl_ms(r);
        uint64_t left_ns;

        if (!r->lease || r->lease->renewing)
                return;
        if (ttl_ms == 0) {
                heap_clear(&e->deadlines, &r->lease->renewal);
                return;
        }
        left_ns = percent_of_validity_ns(e, ttl_ms, LEASE_RENEW_PERCENT);
        if (r->lease->valid_until_ns <= e->now_ns + left_ns)
                renew_set_due(e, r->lease);
        else
                heap_set(&e->deadlines, &r->lease->renewal, r->lease->valid_until_ns - left_ns);
}

void renew_on_deadline(struct engine *e, struct lease *l)
{
        renew_review(e, l->resource);
}

void renew_unlist(struct engine *e, struct lease *l)
{
        if (!l->renew_due)
                return;
        TAILQ_REMOVE(&e->renew_due, l, in_renewal);
        l->renew_due = false;
        l->renewing = false;
}

/* Takes up to KEYS_PER_ROUND_MAX of those that are still wanted. Returns how many. */
static unsigned renew_gather(struct engine *e, struct lease **ret_leases, uint32_t *ret_ttls_ms)
{
        struct lease *l;
        unsigned n = 0;

        while (n < KEYS_PER_ROUND_MAX && (l = TAILQ_FIRST(&e->renew_due))) {
                renew_unlist(e, l);
                ret_ttls_ms[n] = renew_wanted_ttl_ms(l->resource);
                if (ret_ttls_ms[n] == 0)
                        continue;
                l->renewing = true;
                ret_leases[n++] = l;
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
                if (round_new(e, COMMAND_RENEW, leases, n, 0, ttl_max_ms, e->nodes_up, NULL, &round) < 0) {
                        for (i = 0; i < n; ++i)
                                renew_on_failed(e, leases[i]);
                        continue;
                }
                for (i = 0; i < n; ++i)
                        round->items[i].ttl_ms = ttls_ms[i];
                round_review(e, round);
        }
}

void renew_on_won(struct engine *e, struct lease *l, uint64_t valid_until_ns)
{
        l->renewing = false;
        if (l->state != LEASE_KEPT)
                return;
        lease_renew(l, valid_until_ns);
        renew_review(e, l->resource);
}

void renew_on_lost(struct engine *e, struct lease *l)
{
        (void)e;
        l->renewing = false;
        l->lost = true;
}

void renew_on_failed(struct engine *e, struct lease *l)
{
        l->renewing = false;
        if (l->state == LEASE_KEPT && renew_wanted_ttl_ms(l->resource) > 0)
                heap_set(&e->deadlines, &l->renewal, e->now_ns + RENEW_RETRY_MS * NS_PER_MS);
}
