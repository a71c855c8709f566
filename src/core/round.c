/*
 * One command to N nodes:
 *
 *      round_new --> commands popped --> answers, deadline --> decided --> the last answer --> freed
 *
 * The verdict is given once, as early as it can be: won at the quorum-th grant, lost when a quorum is out of reach, at
 * the latest at the node timeout, when whoever has not answered counts as refusing. Answers that come after it never
 * change it; they only tell which nodes have the leases (`lease.sent`), for the clean-up.
 *
 * RENEW has no verdict of its own: each of its leases is won or lost by itself, as early as it can be. Nor has PLANT:
 * it is decided when it begins.
 */
#include "redlockd/core/round.h"

#include "redlockd/base/mem.h"
#include "redlockd/core/call.h"
#include "redlockd/core/fence.h"
#include "redlockd/core/heal.h"
#include "redlockd/core/lease.h"
#include "redlockd/core/node.h"
#include "redlockd/core/release.h"
#include "redlockd/core/renew.h"
#include "redlockd/core/resource.h"
#include "redlockd/core/turn.h"

#include <assert.h>
#include <errno.h>

static uint32_t bit_of(unsigned node)
{
        return UINT32_C(1) << node;
}

uint64_t round_id(const struct round *r)
{
        return r->link.hash;
}

struct round *round_find(const struct engine *e, uint64_t id)
{
        struct map_link *link = map_first(&e->rounds, id);

        return link ? container_of(link, struct round, link) : NULL;
}

int round_new(struct engine *e, enum command_kind kind, struct lease *const *leases, unsigned leases_n,
              unsigned acquire_n, uint32_t ttl_ms, uint32_t nodes, struct call *call, struct round **ret_round)
{
        struct round *r;
        unsigned i;

        assert(leases_n >= 1 && leases_n <= KEYS_PER_ROUND_MAX);
        for (i = 0; i < leases_n; ++i)
                if (leases[i]->refs == LEASE_REFS_MAX)
                        return -ENOMEM; /* so many wait for nodes that hang: one more is worth nothing */
        r = mem_zalloc(sizeof(*r) + leases_n * sizeof(r->items[0]));
        if (!r)
                return -ENOMEM;
        if (heap_reserve(&e->deadlines) < 0) {
                mem_free(r);
                return -ENOMEM;
        }
        r->kind = kind;
        r->call = call;
        r->timeout.kind = DEADLINE_ROUND;
        r->started_ns = e->now_ns;
        r->ttl_ms = ttl_ms;
        r->to_send = nodes;
        r->acquire_n = acquire_n;
        r->items_n = leases_n;
        for (i = 0; i < leases_n; ++i) {
                r->items[i].lease = lease_ref(leases[i]);
                r->items[i].fence =
                        kind == COMMAND_PLANT ? leases[i]->fence : fence_to_send(e, leases[i], i < acquire_n);
        }
        quorum_init_members(&r->ballot, e->members);
        for (i = 0; i < e->options.nodes_n; ++i) {
                if (!(e->members & bit_of(i)))
                        continue;
                r->votes[i] = VOTE_PENDING;
                if (nodes & bit_of(i))
                        continue;
                r->votes[i] = VOTE_DOWN;
                quorum_vote(&r->ballot, i, false);
        }
        if (kind == COMMAND_TAKE || kind == COMMAND_RENEW)
                heal_begin(e, r);
        map_link(&e->rounds, &r->link, ++e->round_id);
        heap_set(&e->deadlines, &r->timeout, e->now_ns + validity_node_timeout_ms(ttl_ms) * NS_PER_MS);
        if (nodes)
                outgoing_link(e, &r->out, OUTGOING_ROUND);
        *ret_round = r;
        return 0;
}

static void round_free(struct engine *e, struct round *r)
{
        unsigned i;

        assert(!r->call);
        map_unlink(&e->rounds, &r->link);
        outgoing_unlink(e, &r->out);
        heap_clear(&e->deadlines, &r->timeout);
        heap_release(&e->deadlines);
        for (i = 0; i < r->items_n; ++i) {
                if (r->kind == COMMAND_RELEASE)
                        release_again(e, r->items[i].lease);
                lease_unref(e, r->items[i].lease);
        }
        mem_free(r);
}

static void round_settle(struct engine *e, struct round *r)
{
        if (r->decided && r->owed == 0 && r->to_send == 0)
                round_free(e, r);
}

static void round_unsend(struct engine *e, struct round *r)
{
        r->to_send = 0;
        outgoing_unlink(e, &r->out);
}

static bool round_renewal_over(const struct round *r)
{
        unsigned i;

        for (i = 0; i < r->items_n; ++i)
                if (!r->items[i].settled && quorum_open(&r->ballot) != 0)
                        return false;
        return true;
}

/* A release is decided: what its keys' turns wait for. */
static void round_tell_turns(struct engine *e, const struct round *r)
{
        unsigned i;

        for (i = 0; i < r->items_n; ++i)
                turn_on_release(e, r->items[i].lease->resource, false, true);
}

static void round_review_renewal(struct engine *e, struct round *r)
{
        unsigned i;

        if (!r->decided && round_renewal_over(r)) {
                r->decided = true;
                heap_clear(&e->deadlines, &r->timeout);
                round_unsend(e, r);
                for (i = 0; i < r->items_n; ++i)
                        if (!r->items[i].settled)
                                renew_on_failed(e, r->items[i].lease);
        }
        if (r->decided)
                heal_plant(e, r);
        round_settle(e, r);
}

/* TAKE: what is extended needs the yes of those nodes that have had it all the time. */
static enum quorum_verdict round_verdict(const struct round *r)
{
        enum quorum_verdict verdict = quorum_verdict(&r->ballot);
        unsigned i;

        if (r->kind != COMMAND_TAKE || verdict == QUORUM_LOST)
                return verdict;
        for (i = r->acquire_n; i < r->items_n; ++i) {
                uint32_t worth = heal_worth(r, i), may_yet = r->ballot.granted | quorum_open(&r->ballot);

                if ((unsigned)__builtin_popcount(may_yet & worth) < quorum_needed(&r->ballot))
                        return QUORUM_LOST;
                if ((unsigned)__builtin_popcount(r->ballot.granted & worth) < quorum_needed(&r->ballot))
                        verdict = QUORUM_PENDING;
        }
        return verdict;
}

static void round_decide(struct engine *e, struct round *r, enum quorum_verdict verdict)
{
        struct call *call = r->call;
        unsigned i;

        r->decided = true;
        heap_clear(&e->deadlines, &r->timeout);
        if (r->kind == COMMAND_TAKE)
                round_unsend(e, r); /* what comes after the verdict might come after its undo */
        else
                round_tell_turns(e, r);
        for (i = r->acquire_n; i < r->items_n && r->kind == COMMAND_TAKE && verdict == QUORUM_WON; ++i)
                heal_on_won(r, i);
        r->call = NULL;
        if (call)
                call_on_round(e, call, r, verdict);
}

void round_review(struct engine *e, struct round *r)
{
        enum quorum_verdict verdict;

        if (r->kind == COMMAND_RENEW) {
                round_review_renewal(e, r);
                return;
        }
        verdict = round_verdict(r);
        if (!r->decided && verdict != QUORUM_PENDING)
                round_decide(e, r, verdict);
        if (r->decided && r->kind == COMMAND_TAKE)
                heal_plant(e, r);
        round_settle(e, r);
}

void round_abandon(struct engine *e, struct round *r)
{
        r->call = NULL;
        r->decided = true;
        heap_clear(&e->deadlines, &r->timeout);
        round_unsend(e, r);
        round_settle(e, r);
}

bool round_pop(struct engine *e, struct round *r, struct command *ret_command)
{
        unsigned node, i;

        if (r->to_send == 0)
                return false;
        node = (unsigned)__builtin_ctz(r->to_send);
        r->to_send &= ~bit_of(node);
        r->owed |= bit_of(node);
        for (i = 0; i < r->items_n; ++i) {
                struct lease *l = r->items[i].lease;
                uint32_t ttl_ms = r->items[i].ttl_ms ? r->items[i].ttl_ms : r->ttl_ms;

                if (r->kind == COMMAND_RELEASE) {
                        assert(l->state == LEASE_LEAVING);
                        l->releasing |= bit_of(node);
                } else {
                        /* A renewal plants nothing. */
                        if (r->kind == COMMAND_TAKE)
                                l->sent |= bit_of(node);
                        if (ttl_ms > l->ttl_max_ms)
                                l->ttl_max_ms = ttl_ms;
                }
                token_print(&l->value, e->values[i]);
                e->items[i] = (struct command_item){ .key = resource_key(l->resource),
                                                     .value = e->values[i],
                                                     .ttl_ms = ttl_ms,
                                                     .fence = r->items[i].fence,
                                                     .heard = listen_is_open(l->resource, node) };
        }
        *ret_command = (struct command){ .round = round_id(r),
                                         .node = node,
                                         .kind = r->kind,
                                         .ttl_ms = r->ttl_ms,
                                         .fence_slack_ms = fence_slack_ms(e->options.ttl_max_ms),
                                         .items = e->items,
                                         .items_n = r->items_n,
                                         .acquire_n = r->acquire_n };
        return true;
}

/* What an answer to TAKE, RENEW or PLANT says about which leases the node may have. */
static void round_note_sent(struct engine *e, struct round *r, unsigned node, enum answer_verdict verdict)
{
        bool nothing_done = verdict == ANSWER_HELD || verdict == ANSWER_UNSENT || verdict == ANSWER_AGAIN ||
                            verdict == ANSWER_UNCERTIFIED;
        unsigned i;

        for (i = 0; i < r->items_n; ++i) {
                struct lease *l = r->items[i].lease;

                if (nothing_done && i < r->acquire_n)
                        l->sent &= ~bit_of(node);
                if (!nothing_done)
                        release_postpone(e, l);
                if (verdict == ANSWER_LOST && (i < r->acquire_n || r->kind == COMMAND_PLANT))
                        l->adrift |= bit_of(node);
        }
}

static void round_note_release(struct engine *e, struct round *r, unsigned node, const struct answer *answer)
{
        unsigned i;

        for (i = 0; i < r->items_n; ++i) {
                struct lease *l = r->items[i].lease;

                l->releasing &= ~bit_of(node);
                if (answer->verdict != ANSWER_LOST && answer->verdict != ANSWER_UNSENT && l->adrift & bit_of(node)) {
                        l->adrift &= ~bit_of(node);
                        release_postpone(e, l);
                }
                if (answer->verdict != ANSWER_GRANTED)
                        continue;
                l->sent &= ~bit_of(node);
                l->counted &= ~bit_of(node);
                l->fresh &= ~bit_of(node);
                turn_on_release(e, l->resource, answer->taken & UINT64_C(1) << i, false);
        }
}

/* Each lease is won by a quorum of nodes that have had it all the time, and lost when too few of them are left. */
static void round_note_renewal(struct engine *e, struct round *r)
{
        unsigned quorum = quorum_needed(&r->ballot), i;

        for (i = 0; i < r->items_n; ++i) {
                struct round_item *item = &r->items[i];

                if (!r->decided && !item->settled &&
                    (unsigned)__builtin_popcount(item->extended & heal_worth(r, i)) >= quorum) {
                        item->settled = true;
                        heal_on_won(r, i);
                        renew_on_won(e, item->lease, r->started_ns, item->ttl_ms, item->fence);
                } else if ((!item->settled || item->won) && heal_is_lost(r, i)) {
                        item->settled = true;
                        item->won = false;
                        renew_on_lost(e, item->lease);
                }
        }
}

/* What an answer says about the leases that the host keeps, or is about to. */
static void round_note_kept(struct engine *e, struct round *r, unsigned node, const struct answer *answer)
{
        bool granted = answer->verdict == ANSWER_GRANTED, seen = granted || answer->verdict == ANSWER_HELD;
        uint64_t taken = answer->verdict == ANSWER_HELD ? answer->taken : 0;

        if (r->kind == COMMAND_PLANT) {
                heal_on_planted(e, r, node, seen, taken);
                return;
        }
        if (!(r->ballot.members & bit_of(node)))
                return;
        if (r->kind == COMMAND_TAKE && granted) {
                fence_on_answer(r, node, answer->fences);
                heal_on_taken(e, r, node);
        }
        heal_on_extended(r, node, r->kind == COMMAND_RENEW ? seen : granted, taken);
        if (r->kind == COMMAND_RENEW && seen)
                round_note_renewal(e, r);
        if (r->kind == COMMAND_TAKE && r->decided && taken)
                heal_on_late_answer(e, r);
}

/* True if the node is asked once more: nothing was done there, and nothing was undone since. */
static bool round_resend(struct engine *e, struct round *r, unsigned node)
{
        if (r->resent & bit_of(node) || !(e->nodes_linked & bit_of(node)))
                return false;
        if (r->kind != COMMAND_RELEASE && r->decided)
                return false; /* a PLANT might come after its release */
        r->resent |= bit_of(node);
        r->to_send |= bit_of(node);
        outgoing_link(e, &r->out, OUTGOING_ROUND);
        return true;
}

void round_on_answer(struct engine *e, struct round *r, unsigned node, const struct answer *answer)
{
        static const uint8_t votes[] = { [ANSWER_GRANTED] = VOTE_GRANTED,
                                         [ANSWER_HELD] = VOTE_HELD,
                                         [ANSWER_ERROR] = VOTE_ERROR,
                                         [ANSWER_AGAIN] = VOTE_ERROR,
                                         [ANSWER_UNSENT] = VOTE_LOST,
                                         [ANSWER_LOST] = VOTE_LOST,
                                         [ANSWER_UNCERTIFIED] = VOTE_UNCERTIFIED };

        assert(r->owed & bit_of(node));
        r->owed &= ~bit_of(node);
        clockwatch_on_sample(e, node, answer->node_ms, r->started_ns);
        if (answer->verdict == ANSWER_AGAIN && round_resend(e, r, node))
                return;
        if (answer->verdict == ANSWER_ERROR)
                node_note_error(e, node, answer->error);
        if (answer->verdict == ANSWER_AGAIN)
                node_note_error(e, node, "NOSCRIPT");
        if (answer->verdict == ANSWER_UNCERTIFIED)
                node_on_uncertified(e, node);
        if (r->kind == COMMAND_RELEASE)
                round_note_release(e, r, node, answer);
        else
                round_note_sent(e, r, node, answer->verdict);
        if (r->kind != COMMAND_RELEASE)
                round_note_kept(e, r, node, answer);
        if (!r->decided && r->ballot.members & bit_of(node)) {
                quorum_vote(&r->ballot, node, answer->verdict == ANSWER_GRANTED);
                r->votes[node] = votes[answer->verdict];
                if (answer->verdict == ANSWER_HELD) {
                        r->taken |= answer->taken;
                        r->left_ms[node] = answer->number > 0 && answer->number < UINT32_MAX ? (uint32_t)answer->number
                                                                                             : UINT32_MAX;
                }
        }
        round_review(e, r);
}

void round_on_node_up(struct engine *e, struct round *r, unsigned node)
{
        unsigned i;

        for (i = 0; i < r->items_n && r->kind == COMMAND_RELEASE; ++i)
                if (r->items[i].lease->sent & bit_of(node))
                        release_lease(e, r->items[i].lease);
}

void round_on_deadline(struct engine *e, struct round *r)
{
        uint32_t open = quorum_open(&r->ballot);
        unsigned node;

        for (node = 0; node < e->options.nodes_n; ++node) {
                if (!(open & bit_of(node)))
                        continue;
                r->votes[node] = VOTE_TIMEOUT;
                quorum_vote(&r->ballot, node, false);
        }
        round_review(e, r);
}
