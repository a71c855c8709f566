/*
 * What comes of the round of a try: all is had, or more is to be asked (fences that differ are raised), or it has
 * failed; then why, and what that says of the keys. What it may have set is undone before anything else.
 */
#include "redlockd/core/take.h"

#include "redlockd/core/fence.h"
#include "redlockd/core/heal.h"
#include "redlockd/core/lease.h"
#include "redlockd/core/lock.h"
#include "redlockd/core/members.h"
#include "redlockd/core/round.h"

/* Copies the votes, and the keys that stood in the way. */
static void take_note_votes(struct engine *e, struct call *c, const struct round *r)
{
        unsigned node, i;
        size_t k;

        for (node = 0; node < e->options.nodes_n; ++node)
                c->votes[node] = (enum vote_reason)r->votes[node];
        for (i = 0; i < r->items_n; ++i) {
                if (!(r->taken & UINT64_C(1) << i))
                        continue;
                for (k = 0; k < c->claims_n; ++k)
                        if (c->claims[k].lock && lock_lease(c->claims[k].lock) == r->items[i].lease)
                                c->items[k].outcome = OUTCOME_TAKEN;
        }
}

/*
 * Why a round was lost. Somebody else's key, where enough nodes answered to know; or a lock of ours that a
 * quorum of nodes does not have any more; else too few nodes answered.
 */
static enum error_name take_blame(const struct engine *e, const struct call *c, const struct round *r)
{
        unsigned node, failed = 0, quorum = quorum_needed(&r->ballot), i;
        uint64_t acquired = r->acquire_n ? UINT64_MAX >> (64 - r->acquire_n) : 0;
        /* Then it is not for want of nodes that what was lost before is not extended now. */
        bool enough = (unsigned)__builtin_popcount(members_up(e)) >= members_quorum(e);

        for (node = 0; node < e->options.nodes_n; ++node) {
                if (!(r->ballot.members & UINT32_C(1) << node))
                        continue;
                failed +=
                        r->votes[node] != VOTE_GRANTED && r->votes[node] != VOTE_HELD && r->votes[node] != VOTE_PENDING;
        }
        if (r->taken & acquired)
                return failed > (unsigned)__builtin_popcount(r->ballot.members) - quorum ? ERROR_NO_QUORUM
                                                                                         : ERROR_LOCKED;
        for (i = r->acquire_n; i < r->items_n && !c->raising; ++i)
                if (heal_is_lost(r, i) || (enough && r->items[i].lease->lost))
                        return ERROR_LOST;
        return ERROR_NO_QUORUM;
}

/* A lock that was to be extended, or left as it is, lapsed while the nodes were asked. */
static bool take_overtaken(const struct engine *e, const struct call *c)
{
        size_t i;

        for (i = 0; i < c->claims_n; ++i) {
                const struct lock *l = c->claims[i].lock;

                if (!(l && l->state == LOCK_TAKING) && !claim_held(e, &c->claims[i]))
                        return true;
        }
        return false;
}

/* The same try once more, with what is to be done for each key looked at again. */
static void take_repeat(struct engine *e, struct call *c)
{
        take_undo(e, c);
        c->repeated = true;
        call_move(c, CALL_WAITING);
        call_set_ready(e, c);
}

/* When a quorum of nodes can be free of what stood in the way; UINT64_MAX: that is not known. */
static uint64_t take_free_ns(const struct engine *e, const struct round *r)
{
        uint64_t left_ms, after_ms = UINT64_MAX;
        unsigned node, other, free_n;

        for (node = 0; node < e->options.nodes_n; ++node) {
                if (r->votes[node] != VOTE_HELD || r->left_ms[node] == UINT32_MAX)
                        continue;
                left_ms = r->left_ms[node];
                for (other = 0, free_n = 0; other < e->options.nodes_n; ++other)
                        free_n += r->votes[other] == VOTE_GRANTED ||
                                  (r->votes[other] == VOTE_HELD && r->left_ms[other] <= left_ms);
                if (free_n >= quorum_needed(&r->ballot) && left_ms < after_ms)
                        after_ms = left_ms;
        }
        return after_ms == UINT64_MAX ? UINT64_MAX : e->now_ns + (after_ms + 1) * NS_PER_MS;
}

/* The nodes have refused some keys of a call: while it waits, it is told when they become free. */
static void take_note_refusal(struct engine *e, struct call *c, const struct round *r)
{
        unsigned i;

        for (i = 0; i < r->acquire_n; ++i) {
                if (!(r->taken & UINT64_C(1) << i))
                        continue;
                turn_on_refused(e, r->items[i].lease->resource);
                if (c->state == CALL_WAITING)
                        listen_start(e, r->items[i].lease->resource);
        }
        if (c->state == CALL_WAITING)
                call_wake_at(e, c, take_free_ns(e, r));
}

/* Leases that were to be taken over and are not on the nodes any more, by their answers or since they were seen to have
 * forgotten. True if there are any: they are given up. */
static bool take_drop_lost_leases(struct call *c)
{
        bool lost = false;
        size_t i;

        for (i = 0; i < c->claims_n; ++i) {
                const struct lock *l = c->claims[i].lock;

                if (!l || l->state != LOCK_TAKING)
                        continue;
                if (c->items[i].outcome != OUTCOME_TAKEN && !l->taking->lost)
                        continue;
                l->taking->lost = true;
                lost = true;
        }
        return lost;
}

/* The locks that the call was to extend, and that a quorum of nodes does not have any more: these, and no others that
 * some node did not have, are what the answer is about. */
static void take_mark_told(struct call *c)
{
        size_t i;

        for (i = 0; i < c->claims_n; ++i) {
                struct lock *l = c->claims[i].lock;
                bool lost = l && l->state == LOCK_HELD && lock_lease(l)->lost;

                if (lost)
                        l->told = true;
                c->items[i].outcome = lost ? OUTCOME_TAKEN : OUTCOME_NONE;
        }
}

/* A try that asked the nodes has failed: it is undone before anything else. */
static void take_fail_round(struct engine *e, struct call *c, enum error_name error)
{
        /* What is not held any more, because it was broken, say, is no reason to refuse the rest as lost. */
        if (error == ERROR_LOST && (take_drop_lost_leases(c) || take_overtaken(e, c))) {
                take_repeat(e, c);
                return;
        }
        if (error == ERROR_LOST)
                take_mark_told(c);
        take_undo(e, c);
        if (error == ERROR_LOST) {
                /* No later try could bring it back; what was valid stays valid until its old time. */
                ++e->counters.lost;
                take_finish(e, c, error);
                return;
        }
        take_fail(e, c, error);
}

/*
 * What a quorum of nodes does not have any more is not passed on to others. A lock that the broker renews is lost, as a
 * renewal would find; another one its session goes on to have until its old time.
 */
static void take_note_lost(struct engine *e, const struct round *r)
{
        unsigned i;

        for (i = r->acquire_n; i < r->items_n; ++i) {
                struct lease *lease = r->items[i].lease;
                struct lock *l = lease->resource->holder;

                if (lease->state != LEASE_KEPT || !heal_is_lost(r, i))
                        continue;
                lease->lost = true;
                if (l && l->state == LOCK_HELD && l->auto_extend)
                        lock_lose(e, l);
        }
}

/* The numbers at which a quorum stands now. */
static void take_set_fences(const struct round *r)
{
        unsigned i;

        for (i = 0; i < r->items_n; ++i)
                fence_set(r->items[i].lease, i < r->acquire_n ? r->items[i].fence_best : r->items[i].fence);
}

/* The keys are had, but the nodes gave them different fences: they are told to stand at the highest. */
static void take_raise(struct engine *e, struct call *c, const struct round *r)
{
        struct lease *leases[KEYS_PER_ROUND_MAX];
        unsigned i;

        for (i = 0; i < r->acquire_n; ++i) {
                leases[i] = r->items[i].lease;
                fence_set(leases[i], r->items[i].fence_best);
        }
        if (round_new(e, COMMAND_TAKE, leases, r->acquire_n, 0, r->ttl_ms, members_up(e), c, &c->round) < 0) {
                take_fail_round(e, c, ERROR_INTERNAL);
                return;
        }
        ++e->counters.raises;
        c->raising = true;
        c->round->started_ns = r->started_ns; /* validity counts from the acquire */
        round_review(e, c->round);
}

/* What every key of a round that was won is good for: a clock that stepped meanwhile may have cut it. */
static uint64_t take_left_ms(const struct engine *e, const struct round *r, uint64_t valid_until_ns)
{
        uint64_t least_ns = valid_until_ns, end_ns;
        unsigned i;

        for (i = 0; i < r->items_n; ++i) {
                const struct lease *l = r->items[i].lease;

                end_ns = clockwatch_end_ns(e, l->counted, r->started_ns, valid_until_ns);
                if (end_ns < l->valid_until_ns)
                        end_ns = l->valid_until_ns;
                if (end_ns < least_ns)
                        least_ns = end_ns;
        }
        return validity_left_ms(least_ns, e->now_ns);
}

void take_on_round(struct engine *e, struct call *c, struct round *r, enum quorum_verdict verdict)
{
        uint64_t valid_until_ns = validity_end_ns(r->started_ns, r->ttl_ms, e->options.drift_factor);
        unsigned node;

        c->round = NULL;
        take_note_votes(e, c, r);
        if (verdict == QUORUM_LOST) {
                take_note_lost(e, r);
                take_fail_round(e, c, take_blame(e, c, r));
                take_note_refusal(e, c, r);
        } else if (take_overtaken(e, c)) {
                take_repeat(e, c);
        } else if (take_left_ms(e, r, valid_until_ns) < 1) {
                for (node = 0; node < e->options.nodes_n; ++node)
                        if (c->votes[node] == VOTE_GRANTED)
                                c->votes[node] = VOTE_LATE;
                take_fail_round(e, c, ERROR_NO_QUORUM);
        } else if (!fence_stands(r)) {
                take_raise(e, c, r);
        } else {
                take_set_fences(r);
                take_grant(e, c, valid_until_ns, r->started_ns);
        }
}
