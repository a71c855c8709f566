/*
 * free and reset: key by key, so that one that has to wait for an earlier request of its session holds up no other.
 * Keys that are ready at the same time are released in the same rounds.
 */
#include "redlockd/core/call.h"
#include "redlockd/core/lock.h"
#include "redlockd/core/release.h"
#include "redlockd/core/round.h"
#include "redlockd/core/session.h"

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
static void give_release(struct engine *e, struct call *c, struct claim *const *claims, struct lock *const *locks,
                         unsigned n)
{
        uint64_t round = 0;
        unsigned i;

        if (n == 0)
                return;
        if (release_for(e, c, locks, n, &round) < 0) {
                for (i = 0; i < n; ++i)
                        give_settle(e, claims[i], OUTCOME_PENDING);
                return;
        }
        for (i = 0; i < n; ++i)
                claims[i]->round = round;
        round_review(e, round_find(e, round));
}

void give_advance(struct engine *e, struct call *c)
{
        struct claim *claims[KEYS_PER_ROUND_MAX];
        struct lock *locks[KEYS_PER_ROUND_MAX];
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
                        lock_leave(e, l);
                        claims[n] = claim;
                        locks[n++] = l;
                }
                if (n == KEYS_PER_ROUND_MAX) {
                        give_release(e, c, claims, locks, n);
                        n = 0;
                }
        }
        give_release(e, c, claims, locks, n);
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
