/*
 * free and reset: key by key, so that one that has to wait for an earlier request of its session holds up no other. A
 * key that another session of this host waits for and can have is passed on, and no node is asked; the others that are
 * ready at the same time are released in the same rounds.
 */
#include "redlockd/core/call.h"
#include "redlockd/core/lease.h"
#include "redlockd/core/lock.h"
#include "redlockd/core/release.h"
#include "redlockd/core/round.h"
#include "redlockd/core/session.h"
#include "redlockd/core/take.h"

#include <assert.h>

static void give_settle(struct engine *e, struct claim *claim, enum lock_outcome outcome)
{
        struct call *c = claim->call;

        c->items[claim - c->claims].outcome = outcome;
        claim->settled = true;
        claim->round = 0;
        claim_leave(e, claim);
}

static void give_finish_if_settled(struct engine *e, struct call *c)
{
        size_t i;

        if (c->state == CALL_DONE)
                return; /* its last round was decided as soon as it was started */
        for (i = 0; i < c->claims_n; ++i)
                if (!c->claims[i].settled)
                        return;
        call_finish(e, c, ERROR_NONE);
}

/* Releases a batch for the claims beside it. */
static void give_release(struct engine *e, struct call *c, struct claim *const *claims, struct lease *const *leases,
                         unsigned n)
{
        uint64_t round = 0;
        unsigned i;

        if (n == 0)
                return;
        if (release_for(e, c, leases, n, &round) < 0) {
                for (i = 0; i < n; ++i)
                        give_settle(e, claims[i], OUTCOME_PENDING);
                return;
        }
        for (i = 0; i < n; ++i)
                claims[i]->round = round;
        round_review(e, round_find(e, round));
}

/* Freed of their locks, some leases are left to those who are next for their keys; the others are released. */
static void give_pass_on(struct engine *e, struct call *c, struct claim **claims, unsigned n)
{
        struct lease *leases[KEYS_PER_ROUND_MAX];
        unsigned i, release_n = 0;

        for (i = 0; i < n; ++i) {
                struct claim *claim = claims[i], *next = resource_head(claim->resource);
                struct lease *lease = claim->resource->lease;

                if (lease && next && take_would_take_over(e, next->call)) {
                        ++e->counters.freed;
                        give_settle(e, claim, OUTCOME_FREED);
                        continue;
                }
                claims[release_n] = claim;
                leases[release_n++] = claim->leaving;
        }
        for (i = 0; i < release_n; ++i)
                if (leases[i]->state == LEASE_KEPT)
                        lease_leave(e, leases[i]);
        give_release(e, c, claims, leases, release_n);
}

void give_advance(struct engine *e, struct call *c)
{
        struct claim *claims[KEYS_PER_ROUND_MAX];
        unsigned n = 0;
        size_t i;

        for (i = 0; i < c->claims_n; ++i) {
                struct claim *claim = &c->claims[i];
                struct lock *l;

                if (claim->settled || claim->round || claim->earlier)
                        continue;
                l = lock_find(e, c->session, claim->resource);
                if (!l) {
                        give_settle(e, claim, OUTCOME_MISSING);
                } else if (l->state == LOCK_LAPSED) {
                        lock_leave(e, l);
                        give_settle(e, claim, OUTCOME_EXPIRED);
                } else {
                        claim->leaving = lock_lease(l);
                        lock_leave(e, l);
                        claims[n++] = claim;
                }
                if (n == KEYS_PER_ROUND_MAX) {
                        give_pass_on(e, c, claims, n);
                        n = 0;
                }
        }
        give_pass_on(e, c, claims, n);
        give_finish_if_settled(e, c);
}

void give_on_round(struct engine *e, struct call *c, struct round *r, enum quorum_verdict verdict)
{
        uint64_t id = round_id(r);
        size_t i;

        for (i = 0; i < c->claims_n; ++i) {
                if (c->claims[i].round != id)
                        continue;
                e->counters.freed += verdict == QUORUM_WON;
                give_settle(e, &c->claims[i], verdict == QUORUM_WON ? OUTCOME_FREED : OUTCOME_PENDING);
        }
        give_finish_if_settled(e, c);
}
