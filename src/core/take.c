/*
 * One try of add or extend to have all of its keys.
 *
 * It sorts them: those that the session holds need nothing (add) or are extended (extend); those whose lease is the
 * host's and idle since this step are taken over; the others are acquired. Where all that is needed is to take over
 * leases that are good for long enough, nobody is asked; else it is all done in one round. It fails without asking the
 * nodes where a key is somebody else's on this host, or where another call is first in its queue; so a key is asked for
 * by one call of this host at a time. What a failed round may have set is released at once, with a token of its own for
 * each try.
 */
#include "redlockd/core/take.h"

#include "redlockd/core/fence.h"
#include "redlockd/core/lease.h"
#include "redlockd/core/lock.h"
#include "redlockd/core/members.h"
#include "redlockd/core/release.h"
#include "redlockd/core/renew.h"
#include "redlockd/core/round.h"
#include "redlockd/core/session.h"

#include <assert.h>

struct lock *claim_held(const struct engine *e, const struct claim *claim)
{
        struct lock *l = lock_find(e, claim->call->session, claim->resource);

        return l && l->state == LOCK_HELD ? l : NULL;
}

static void item_from_lock(struct reply_item *item, enum lock_outcome outcome, const struct lock *l)
{
        assert(l);
        item->outcome = outcome;
        item->valid_until_ns = l->valid_until_ns;
        item->fence = l->fence;
        token_print(&l->value, item->value);
}

/* strict: nothing may be acquired. True if the call was answered. */
static bool take_refuse_strict(struct engine *e, struct call *c)
{
        bool lost = false, missing = false;
        size_t i;

        if (!c->strict)
                return false;
        for (i = 0; i < c->claims_n; ++i) {
                struct lock *l = lock_find(e, c->session, c->claims[i].resource);

                if (l && l->state == LOCK_HELD)
                        continue;
                c->items[i].outcome = OUTCOME_TAKEN;
                if (l)
                        lost = l->told = true;
                else
                        missing = true;
        }
        if (lost || missing)
                take_finish(e, c, lost ? ERROR_LOST : ERROR_NOT_HELD);
        return lost || missing;
}

/*
 * The key is closed for the sake of the session itself, so that nobody has it while it believes in a lock that the
 * nodes do not have any more. It knows better, and asks for it anew: with any request after a notice; with add where an
 * extension was refused, which left it what was valid.
 */
static struct lock *claim_closed_for_itself(const struct claim *claim)
{
        struct lock *l = claim->resource->holder;
        bool own = l && l->state == LOCK_LAPSED && l->session == claim->call->session;
        bool anew = own && l->told && (l->lost_wanted || claim->call->method == METHOD_ADD);

        return anew && l->lost == LOST_NO_QUORUM && lock_lease(l)->lost ? l : NULL;
}

/* The key is somebody else's on this host, or somebody else's turn. */
static bool claim_blocked(const struct engine *e, const struct claim *claim)
{
        const struct resource *r = claim->resource;
        bool held = r->holder && !claim_closed_for_itself(claim);

        return !claim_held(e, claim) && (held || resource_head(r) != claim);
}

bool take_would_take_over(const struct engine *e, const struct call *c)
{
        size_t i;

        if (c->state != CALL_WAITING)
                return false;
        for (i = 0; i < c->claims_n; ++i)
                if (claim_blocked(e, &c->claims[i]))
                        return false;
        return !e->draining;
}

/* An administrator has taken a lock away: it is not had again by renewing it. True if the call was answered. */
static bool take_refuse_broken(struct engine *e, struct call *c)
{
        bool broken = false;
        size_t i;

        for (i = 0; i < c->claims_n && c->method == METHOD_EXTEND; ++i) {
                const struct lock *l = lock_find(e, c->session, c->claims[i].resource);

                if (!l || l->state == LOCK_HELD || l->lost != LOST_BROKEN)
                        continue;
                c->items[i].outcome = OUTCOME_TAKEN;
                broken = true;
        }
        if (broken)
                take_finish(e, c, ERROR_BROKEN);
        return broken;
}

/* What its session was told to be lost, add does not answer as if it were held. */
static void take_lose_told(struct engine *e, struct call *c)
{
        size_t i;

        for (i = 0; i < c->claims_n && c->method == METHOD_ADD; ++i) {
                struct lock *l = claim_held(e, &c->claims[i]);

                if (l && l->told)
                        lock_lose(e, l);
        }
}

/* Marks the keys that cannot be had now, as far as this host knows. True if there are any. */
static bool take_mark_taken(struct engine *e, struct call *c)
{
        bool taken = false;
        size_t i;

        for (i = 0; i < c->claims_n; ++i) {
                const struct resource *r = c->claims[i].resource;

                if (!claim_blocked(e, &c->claims[i]))
                        continue;
                taken = true;
                c->items[i].outcome = OUTCOME_TAKEN;
                if (r->holder && r->holder->session && r->holder->session != c->session && !c->holder.session)
                        c->holder = session_holder(r->holder->session);
        }
        return taken;
}

/* Too few nodes are up to ask any of them. */
static bool take_mark_no_quorum(struct engine *e, struct call *c)
{
        unsigned node;

        if ((unsigned)__builtin_popcount(members_up(e)) >= members_quorum(e))
                return false;
        for (node = 0; node < e->options.nodes_n; ++node)
                c->votes[node] = !(e->members & UINT32_C(1) << node) ? VOTE_NONE
                                 : e->nodes_up & UINT32_C(1) << node ? VOTE_PENDING
                                                                     : VOTE_DOWN;
        return true;
}

/* A try is over: what it was to take is given back. */
static void take_drop_locks(struct engine *e, struct call *c)
{
        size_t i;

        for (i = 0; i < c->claims_n; ++i) {
                struct lock *l = c->claims[i].lock;

                c->claims[i].lock = NULL;
                if (l && l->state == LOCK_TAKING)
                        lock_leave(e, l);
                if (l)
                        lock_unref(e, l);
        }
}

/* The host's idle lease on the key, if it is any good for this call; or NULL, and then there is none. */
static struct lease *take_over_lease(struct engine *e, const struct call *c, struct resource *r)
{
        struct lease *l = r->lease;

        if (l && validity_left_ms(l->valid_until_ns, e->now_ns) < validity_node_timeout_ms(c->ttl_ms)) {
                lease_leave(e, l);
                l = NULL;
        }
        return l;
}

static bool take_has_terms(const struct call *c)
{
        return c->auto_extend || c->max_hold_ms || c->lock_delay_ms;
}

/* What the try is to take: a lock for each key that is not held, under a lease that is new or taken over. */
static int take_new_locks(struct engine *e, struct call *c)
{
        size_t i;
        int r;

        for (i = 0; i < c->claims_n; ++i) {
                struct claim *claim = &c->claims[i];
                struct lease *lease;
                struct lock *held = claim_held(e, claim);

                if (held) {
                        if (c->method == METHOD_EXTEND)
                                claim->lock = lock_ref(held);
                        continue;
                }
                lease = take_over_lease(e, c, claim->resource);
                r = lease ? 0 : lease_new(e, claim->resource, c->ttl_ms, &lease);
                if (r < 0)
                        return r;
                r = c->auto_extend ? renew_reserve(e, lease) : 0;
                r = r < 0 ? r : lock_new(e, c->session, lease, take_has_terms(c), &claim->lock);
                if (r < 0) {
                        if (lease->state == LEASE_TAKING)
                                lease_leave(e, lease);
                        return r;
                }
                lock_ref(claim->lock);
        }
        return 0;
}

/* Nothing is to be asked of the nodes. */
static bool take_is_over(const struct engine *e, const struct call *c)
{
        size_t i;

        for (i = 0; i < c->claims_n; ++i) {
                const struct lock *l = c->claims[i].lock;

                if (l && (l->state != LOCK_TAKING || l->taking->state != LEASE_KEPT ||
                          !renew_is_fresh(e, l->taking, c->ttl_ms) || fence_left(l->taking) == 0))
                        return false;
        }
        return true;
}

/* The leases of the locks that the call is about and that are, or are not, to be acquired. */
static unsigned take_gather(const struct call *c, bool acquired, struct lease **ret_leases)
{
        unsigned n = 0;
        size_t i;

        for (i = 0; i < c->claims_n; ++i) {
                struct lease *lease = c->claims[i].lock ? lock_lease(c->claims[i].lock) : NULL;

                if (lease && (lease->state == LEASE_TAKING) == acquired)
                        ret_leases[n++] = lease;
        }
        return n;
}

/* Starts the round of one try. 0 or -ENOMEM. */
static int take_start(struct engine *e, struct call *c)
{
        struct lease *leases[KEYS_PER_ROUND_MAX];
        unsigned acquire_n, n;

        release_flush(e); /* a lease that was no good any more goes before the one that takes its place */
        acquire_n = take_gather(c, true, leases);
        n = acquire_n + take_gather(c, false, leases + acquire_n);
        return round_new(e, COMMAND_TAKE, leases, n, acquire_n, c->ttl_ms, members_up(e), c, &c->round);
}

/* How many of its keys it does not hold. */
static uint32_t take_count_new(const struct engine *e, const struct call *c)
{
        uint32_t n = 0;
        size_t i;

        for (i = 0; i < c->claims_n; ++i)
                n += claim_held(e, &c->claims[i]) == NULL;
        return n;
}

/* With all that it asks for now, and all that is under way, its session would have too many locks, or all would. */
static bool take_refuse_limit(struct engine *e, struct call *c, uint32_t new_n)
{
        if (new_n == 0)
                return false;
        if ((uint64_t)c->session->held_n + c->session->taking_n + new_n > e->options.locks_max) {
                c->reply.limit = "maxLocksPerSession";
                c->reply.limit_value = e->options.locks_max;
        } else if (e->locks_n + new_n > e->options.locks_all_max) {
                c->reply.limit = "maxLocks";
                c->reply.limit_value = e->options.locks_all_max;
        } else {
                return false;
        }
        take_finish(e, c, ERROR_LIMIT);
        return true;
}

/* Everything is held: the reply. */
static void take_succeed(struct engine *e, struct call *c)
{
        size_t i;

        for (i = 0; i < c->claims_n; ++i)
                if (c->items[i].outcome == OUTCOME_NONE)
                        item_from_lock(&c->items[i], OUTCOME_HELD, claim_held(e, &c->claims[i]));
        take_finish(e, c, ERROR_NONE);
}

/* `won_ns`: when the round began that it was won with; 0: no node was asked. */
static void take_grant_one(struct engine *e, struct call *c, size_t i, uint64_t valid_until_ns, uint64_t won_ns)
{
        struct lock *l = c->claims[i].lock;
        struct lease *lease = lock_lease(l);
        enum lock_outcome outcome = OUTCOME_EXTENDED;

        if (lease->state == LEASE_TAKING)
                lease_keep(e, lease, won_ns, c->ttl_ms);
        else if (l->state == LOCK_TAKING)
                turn_on_passed(e, l->resource);
        if (won_ns)
                lease_renew(e, lease, won_ns, c->ttl_ms);
        if (lease->valid_until_ns < valid_until_ns)
                valid_until_ns = lease->valid_until_ns;
        if (l->state == LOCK_TAKING) {
                if (c->method == METHOD_EXTEND && lock_find(e, c->session, l->resource))
                        outcome = OUTCOME_REACQUIRED;
                else
                        outcome = OUTCOME_ACQUIRED;
                l->auto_extend = c->auto_extend;
                if (l->has_terms && c->max_hold_ms)
                        l->terms->hold_end_ns = e->now_ns + c->max_hold_ms * NS_PER_MS;
                if (l->has_terms)
                        l->terms->delay_ms = c->lock_delay_ms;
                l->fence = fence_hand_out(lease);
                lock_grant(e, l, c->ttl_ms, valid_until_ns);
                ++e->counters.granted;
        } else {
                lock_extend(e, l, c->ttl_ms, valid_until_ns);
                ++e->counters.extended;
        }
        item_from_lock(&c->items[i], outcome, l);
}

void take_grant(struct engine *e, struct call *c, uint64_t valid_until_ns, uint64_t won_ns)
{
        size_t i;

        c->raising = false;
        for (i = 0; i < c->claims_n; ++i)
                if (c->claims[i].lock)
                        take_grant_one(e, c, i, valid_until_ns, won_ns);
        take_drop_locks(e, c);
        take_succeed(e, c);
}

/* What the last try found in the way. */
static void take_forget_marks(struct call *c)
{
        size_t i;

        c->holder = (struct holder){ 0 };
        for (i = 0; i < c->claims_n; ++i)
                c->items[i].outcome = OUTCOME_NONE;
}

/*
 * Until when a try would be wasted: the session's own lock on one of the keys has lapsed, and its validity ends
 * within milliseconds, before which the key may not be asked for; or other hosts have their turn. The last try
 * of a budget is not kept back for others.
 */
static uint64_t take_not_before_ns(const struct engine *e, struct call *c)
{
        bool last = c->counted && c->retry_count != RETRY_FOR_EVER && c->attempts >= (uint64_t)c->retry_count;
        uint64_t at_ns = 0;
        size_t i;

        for (i = 0; i < c->claims_n; ++i) {
                const struct resource *r = c->claims[i].resource;
                const struct lock *l = r->holder;
                uint64_t until_ns = 0;

                if (c->counted && l && l->state == LOCK_LAPSED && l->session == c->session &&
                    l->valid_until_ns <= e->now_ns + LOCK_LAPSE_MARGIN_MAX_MS * NS_PER_MS)
                        until_ns = l->valid_until_ns;
                else if (!last && !claim_blocked(e, &c->claims[i]))
                        until_ns = turn_yields_until_ns(r);
                if (until_ns > e->now_ns)
                        c->items[i].outcome = OUTCOME_TAKEN;
                if (until_ns > at_ns)
                        at_ns = until_ns;
        }
        return at_ns;
}

/* True if the try is put off. */
static bool take_put_off(struct engine *e, struct call *c)
{
        uint64_t at_ns = take_not_before_ns(e, c);

        if (at_ns <= e->now_ns)
                return false;
        heap_set(&e->deadlines, &c->timer, at_ns < c->wait_end_ns ? at_ns : c->wait_end_ns);
        return true;
}

/* Nothing on this host is in the way. */
static void take_ask(struct engine *e, struct call *c)
{
        size_t i;

        for (i = 0; i < c->claims_n; ++i)
                if (claim_closed_for_itself(&c->claims[i]))
                        lock_open(e, c->claims[i].resource->holder);
        if (take_new_locks(e, c) < 0) {
                take_drop_locks(e, c);
                take_finish(e, c, ERROR_INTERNAL);
        } else if (take_is_over(e, c)) {
                take_grant(e, c, validity_end_ns(e->now_ns, c->ttl_ms, e->options.drift_factor), 0);
        } else if (take_mark_no_quorum(e, c)) {
                take_drop_locks(e, c);
                take_fail(e, c, ERROR_NO_QUORUM);
        } else if (take_start(e, c) < 0) {
                take_drop_locks(e, c);
                take_finish(e, c, ERROR_INTERNAL);
        } else {
                call_move(c, CALL_TRYING);
                round_review(e, c->round);
        }
}

void take_try(struct engine *e, struct call *c)
{
        uint32_t new_n;

        if (c->state != CALL_WAITING)
                return;
        take_forget_marks(c);
        if (take_put_off(e, c))
                return;
        heap_clear(&e->deadlines, &c->timer);
        c->wake_ns = UINT64_MAX;
        if (c->counted && !c->repeated)
                ++c->attempts;
        c->repeated = false;
        take_lose_told(e, c);
        new_n = take_count_new(e, c);
        if (take_refuse_broken(e, c) || take_refuse_strict(e, c) || take_refuse_limit(e, c, new_n))
                return;
        if (new_n == 0 && c->method == METHOD_ADD) {
                take_succeed(e, c);
        } else if (e->draining && new_n > 0) {
                take_finish(e, c, ERROR_STOPPING);
        } else if (take_mark_taken(e, c)) {
                take_fail(e, c, ERROR_LOCKED);
        } else {
                take_ask(e, c);
        }
}

void take_undo(struct engine *e, struct call *c)
{
        struct round *r = c->round;

        c->round = NULL;
        c->raising = false;
        if (r)
                round_abandon(e, r);
        take_drop_locks(e, c);
}
