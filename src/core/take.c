/*
 * add and extend: one try after the other until the keys are all held or the budget is spent.
 *
 * A try sorts the call's keys: those that the session holds need nothing (add) or are extended (extend), the others are
 * acquired, all in one round. It fails without asking the nodes where a key is somebody else's on this host, or where
 * another call is first in its queue; so a key is asked for by one call of this host at a time. What a failed round may
 * have set is released at once, with a token of its own for each try.
 *
 * Tries of the budget come by the timer: the first at once, each next after retryDelay +- retryJitter. A key that
 * becomes free on this host wakes the head of its queue for a try outside the budget.
 */
#include "redlockd/core/call.h"
#include "redlockd/core/lock.h"
#include "redlockd/core/members.h"
#include "redlockd/core/release.h"
#include "redlockd/core/round.h"
#include "redlockd/core/session.h"

#include <assert.h>

/* The session's own lock on the key of a claim, if it is good now. */
static struct lock *claim_held(const struct engine *e, const struct claim *claim)
{
        struct lock *l = lock_find(e, claim->call->session, claim->resource);

        return l && l->state == LOCK_HELD ? l : NULL;
}

static void item_from_lock(struct reply_item *item, enum lock_outcome outcome, const struct lock *l)
{
        item->outcome = outcome;
        item->valid_until_ns = l->valid_until_ns;
        memcpy(item->value, l->value, sizeof(item->value));
}

void take_begin(struct engine *e, struct call *c)
{
        c->started_ns = e->now_ns;
        c->wait_end_ns = c->wait_ms == WAIT_NONE ? UINT64_MAX : e->now_ns + c->wait_ms * NS_PER_MS;
        c->counted = true;
        c->last_error = ERROR_LOCKED; /* should the cap on waiting end it before a try has */
}

static void take_finish(struct engine *e, struct call *c, enum error_name error)
{
        c->reply.attempts = c->attempts;
        c->reply.waited_ms = (e->now_ns - c->started_ns) / NS_PER_MS;
        c->reply.retries = c->retry_count == RETRY_FOR_EVER ? (int64_t)c->attempts - 1 : c->retry_count;
        c->reply.holder = &c->holder;
        c->reply.votes = c->votes;
        c->reply.votes_n = e->options.nodes_n;
        call_finish(e, c, error);
}

static bool take_spent(const struct call *c)
{
        return c->retry_count != RETRY_FOR_EVER && c->attempts > (uint64_t)c->retry_count;
}

/* retryDelay +- retryJitter, uniformly; what falls below CALL_RETRY_MIN_MS is raised to it. */
static uint64_t take_delay_ms(struct engine *e, const struct call *c)
{
        uint64_t random, sum, delay_ms;

        e->options.random(e->options.random_userdata, &random, sizeof(random));
        sum = c->retry_delay_ms + random % (2 * c->retry_jitter_ms + 1);
        delay_ms = sum > c->retry_jitter_ms ? sum - c->retry_jitter_ms : 0;
        return delay_ms > CALL_RETRY_MIN_MS ? delay_ms : CALL_RETRY_MIN_MS;
}

/* A try has failed. */
static void take_fail(struct engine *e, struct call *c, enum error_name error)
{
        uint64_t at_ns;

        c->last_error = error;
        if (c->counted) {
                c->counted = false;
                if (take_spent(c)) {
                        take_finish(e, c, error);
                        return;
                }
                c->next_try_ns = e->now_ns + take_delay_ms(e, c) * NS_PER_MS;
        }
        if (c->state == CALL_TRYING)
                call_move(c, CALL_WAITING);
        at_ns = c->next_try_ns < c->wait_end_ns ? c->next_try_ns : c->wait_end_ns;
        heap_set(&e->deadlines, &c->timer, at_ns);
}

void take_on_deadline(struct engine *e, struct call *c)
{
        assert(c->state == CALL_WAITING);
        if (e->now_ns >= c->wait_end_ns) {
                take_finish(e, c, c->last_error);
                return;
        }
        c->counted = true;
        call_set_ready(e, c);
}

/* strict: nothing may be acquired. True if the call was answered. */
static bool take_refuse_strict(struct engine *e, struct call *c)
{
        bool lost = false, missing = false;
        size_t i;

        if (!c->strict)
                return false;
        for (i = 0; i < c->claims_n; ++i) {
                const struct lock *l = lock_find(e, c->session, c->claims[i].resource);

                if (l && l->state == LOCK_HELD)
                        continue;
                c->items[i].outcome = OUTCOME_TAKEN;
                if (l)
                        lost = true;
                else
                        missing = true;
        }
        if (lost || missing)
                take_finish(e, c, lost ? ERROR_LOST : ERROR_NOT_HELD);
        return lost || missing;
}

static void holder_from_session(struct holder *ret_holder, const struct session *s)
{
        ret_holder->session = s->id;
        ret_holder->pid = s->pid;
        ret_holder->uid = s->uid;
        memcpy(ret_holder->name, s->name, sizeof(s->name));
}

/* Marks the keys that cannot be had now, as far as this host knows. True if there are any. */
static bool take_mark_taken(struct engine *e, struct call *c)
{
        bool taken = false;
        size_t i;

        for (i = 0; i < c->claims_n; ++i) {
                struct resource *r = c->claims[i].resource;

                if (claim_held(e, &c->claims[i]))
                        continue;
                if (!r->holder && !r->trying && resource_head(r) == &c->claims[i])
                        continue;
                taken = true;
                c->items[i].outcome = OUTCOME_TAKEN;
                if (r->holder && r->holder->session && r->holder->session != c->session && !c->holder.session)
                        holder_from_session(&c->holder, r->holder->session);
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

/* Marks the resources of the claims that are being acquired. */
static void take_mark_trying(struct call *c, struct call *trying)
{
        size_t i;

        for (i = 0; i < c->claims_n; ++i)
                if (c->claims[i].lock && c->claims[i].lock->state == LOCK_TAKING)
                        c->claims[i].resource->trying = trying;
}

/* Forgets the tokens of a try of which nothing was sent. */
static void take_drop_tokens(struct engine *e, struct call *c)
{
        size_t i;

        for (i = 0; i < c->claims_n; ++i) {
                struct lock *l = c->claims[i].lock;

                c->claims[i].lock = NULL;
                if (l && l->state == LOCK_TAKING)
                        lock_leave(e, l);
        }
}

/* Starts the round of one try: `acquire_n` new tokens first, then the locks to extend. 0 or -ENOMEM. */
static int take_start(struct engine *e, struct call *c)
{
        struct lock *items[KEYS_PER_ROUND_MAX];
        unsigned acquire_n = 0, items_n;
        size_t i;
        int r;

        for (i = 0; i < c->claims_n; ++i) {
                struct claim *claim = &c->claims[i];

                claim->lock = NULL;
                if (claim_held(e, claim))
                        continue;
                r = lock_new(e, c->session, claim->resource, c->ttl_ms, &claim->lock);
                if (r < 0) {
                        take_drop_tokens(e, c);
                        return r;
                }
                items[acquire_n++] = claim->lock;
        }
        items_n = acquire_n;
        for (i = 0; i < c->claims_n && c->method == METHOD_EXTEND; ++i)
                if (!c->claims[i].lock)
                        items[items_n++] = c->claims[i].lock = claim_held(e, &c->claims[i]);
        r = round_new(e, COMMAND_TAKE, items, items_n, acquire_n, c->ttl_ms, members_up(e), c, &c->round);
        if (r < 0) {
                take_drop_tokens(e, c);
                return r;
        }
        take_mark_trying(c, c);
        return 0;
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

/* With all that it asks for now, and all that is under way, its session would have too many locks. */
static bool take_refuse_limit(struct engine *e, struct call *c, uint32_t new_n)
{
        if (new_n == 0 || (uint64_t)c->session->held_n + c->session->taking_n + new_n <= e->options.locks_max)
                return false;
        c->reply.limit = "maxLocksPerSession";
        c->reply.limit_value = e->options.locks_max;
        take_finish(e, c, ERROR_LIMIT);
        return true;
}

/* Everything is held: the reply. */
static void take_succeed(struct engine *e, struct call *c)
{
        size_t i;

        for (i = 0; i < c->claims_n; ++i)
                if (!c->claims[i].lock)
                        item_from_lock(&c->items[i], OUTCOME_HELD, claim_held(e, &c->claims[i]));
        take_finish(e, c, ERROR_NONE);
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
 * The session's own lock on one of the keys has lapsed, and its validity ends within milliseconds: not before
 * that may the key be asked for, and a try is not wasted on it.
 */
static bool take_waits_for_own(struct engine *e, struct call *c)
{
        size_t i;

        for (i = 0; i < c->claims_n && c->counted; ++i) {
                const struct lock *l = c->claims[i].resource->holder;

                if (l && l->state == LOCK_LAPSED && l->session == c->session) {
                        c->items[i].outcome = OUTCOME_TAKEN;
                        heap_set(&e->deadlines, &c->timer, l->valid_until_ns);
                        return true;
                }
        }
        return false;
}

void take_try(struct engine *e, struct call *c)
{
        uint32_t new_n;

        if (c->state != CALL_WAITING)
                return;
        take_forget_marks(c);
        if (take_waits_for_own(e, c))
                return;
        heap_clear(&e->deadlines, &c->timer);
        if (c->counted && !c->repeated)
                ++c->attempts;
        c->repeated = false;
        new_n = take_count_new(e, c);
        if (take_refuse_strict(e, c) || take_refuse_limit(e, c, new_n))
                return;
        if (new_n == 0 && c->method == METHOD_ADD) {
                take_succeed(e, c);
        } else if (e->draining && new_n > 0) {
                take_finish(e, c, ERROR_STOPPING);
        } else if (take_mark_taken(e, c)) {
                take_fail(e, c, ERROR_LOCKED);
        } else if (take_mark_no_quorum(e, c)) {
                take_fail(e, c, ERROR_NO_QUORUM);
        } else if (take_start(e, c) < 0) {
                take_finish(e, c, ERROR_INTERNAL);
        } else {
                call_move(c, CALL_TRYING);
                round_review(e, c->round);
        }
}

void take_undo(struct engine *e, struct call *c)
{
        struct round *r = c->round;

        take_mark_trying(c, NULL);
        c->round = NULL;
        if (r)
                round_abandon(e, r);
        take_drop_tokens(e, c);
}

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
                        if (c->claims[k].lock == r->items[i])
                                c->items[k].outcome = OUTCOME_TAKEN;
        }
}

/*
 * Why a round was lost. Somebody else's key, where enough nodes answered to know; or a lock of ours that a quorum of
 * nodes does not have any more; else too few nodes answered.
 */
static enum error_name take_blame(const struct engine *e, const struct round *r)
{
        unsigned node, failed = 0, held = 0, quorum = quorum_needed(&r->ballot);
        uint64_t acquired = r->acquire_n ? UINT64_MAX >> (64 - r->acquire_n) : 0;

        for (node = 0; node < e->options.nodes_n; ++node) {
                if (!(r->ballot.members & UINT32_C(1) << node))
                        continue;
                held += r->votes[node] == VOTE_HELD;
                failed +=
                        r->votes[node] != VOTE_GRANTED && r->votes[node] != VOTE_HELD && r->votes[node] != VOTE_PENDING;
        }
        if (r->taken & acquired)
                return failed > (unsigned)__builtin_popcount(r->ballot.members) - quorum ? ERROR_NO_QUORUM
                                                                                         : ERROR_LOCKED;
        return held >= quorum ? ERROR_LOST : ERROR_NO_QUORUM;
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

/* A try that asked the nodes has failed: it is undone before anything else. */
static void take_fail_round(struct engine *e, struct call *c, enum error_name error)
{
        take_undo(e, c);
        if (error == ERROR_LOST) {
                /* No later try could bring it back; what was valid stays valid until its old time. */
                ++e->counters.lost;
                take_finish(e, c, error);
                return;
        }
        take_fail(e, c, error);
}

static void take_grant(struct engine *e, struct call *c, uint64_t valid_until_ns)
{
        size_t i;

        take_mark_trying(c, NULL);
        for (i = 0; i < c->claims_n; ++i) {
                struct lock *l = c->claims[i].lock;
                enum lock_outcome outcome = OUTCOME_EXTENDED;

                if (!l)
                        continue;
                if (l->state == LOCK_TAKING) {
                        outcome = c->method == METHOD_EXTEND && lock_find(e, c->session, l->resource)
                                          ? OUTCOME_REACQUIRED
                                          : OUTCOME_ACQUIRED;
                        lock_grant(e, l, c->ttl_ms, valid_until_ns);
                        ++e->counters.granted;
                } else {
                        lock_extend(e, l, c->ttl_ms, valid_until_ns);
                        ++e->counters.extended;
                }
                item_from_lock(&c->items[i], outcome, l);
        }
        take_succeed(e, c);
}

void take_on_round(struct engine *e, struct call *c, struct round *r, enum quorum_verdict verdict)
{
        uint64_t valid_until_ns = validity_end_ns(r->started_ns, r->ttl_ms, e->options.drift_factor);
        unsigned node;

        c->round = NULL;
        take_note_votes(e, c, r);
        if (verdict == QUORUM_LOST) {
                take_fail_round(e, c, take_blame(e, r));
        } else if (take_overtaken(e, c)) {
                take_repeat(e, c);
        } else if (validity_left_ms(valid_until_ns, e->now_ns) < 1) {
                for (node = 0; node < e->options.nodes_n; ++node)
                        if (c->votes[node] == VOTE_GRANTED)
                                c->votes[node] = VOTE_LATE;
                take_fail_round(e, c, ERROR_NO_QUORUM);
        } else {
                take_grant(e, c, valid_until_ns);
        }
}
