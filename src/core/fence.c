/*
 * Accept and report, raise where they differ:
 *
 *      take  ------> each node that grants says at which number its key stands now
 *            <------ a quorum at the highest of them: that is the fence, after one round trip
 *      raise ------> else all that may have the key are told to raise it to the highest
 *            <------ a quorum has: that is the fence, after two
 *
 * Why it rises. At a grant a quorum of nodes stands at the number, while they hold the key for it. An acquire that
 * starts after that gets the yes of at least one of them, which answers at least that number and FENCE_STEP; and what
 * is granted is the highest answer. No clock and no ttl is in this, so it holds as well when clocks have stepped and
 * two hosts hold a key at once: which is when a fence is needed. To grant the highest answer without the raise would
 * give the same number twice, for the next quorum need not contain the node that it came from.
 *
 * A node that forgets, forgets its numbers too; and one that comes to the list knows none. Therefore they are times:
 * whoever has no number, or one of long ago, takes its own clock instead, less a slack; and no proposal may be further
 * ahead of it than the slack. A node that forgot keeps silent for a quarantine, and so does the list of nodes, for the
 * longest ttl, between two changes; then the clocks of all nodes have passed all that any of them said before, since
 *
 *      slack (proposals ahead) + slack (clocks behind) + what two nodes' clocks differ < longest ttl < quarantine
 *
 * A proposal, the wall clock of the host, is no more than the usual number on which all nodes agree at once; it keeps
 * no promise, so a wrong wall clock costs a second round trip and nothing else.
 *
 * The low bits are the host's own: it hands a lease on from one of its sessions to the next under the number that the
 * nodes gave, plus one each time. Before they run out it raises the number at a quorum, with a renewal if there is one.
 * Nobody is asked for that: so if clocks have stepped, and another host has the key before this one has seen it, what
 * is handed on here in that moment (a heartbeat) is higher than all of this host's, and not than the other's.
 *
 * A key that is acquired anew from the nodes more than once a millisecond for a long time gets ahead of the clock. What
 * is not used is forgotten only when the node's clock has long passed its number.
 */
#include "redlockd/core/fence.h"

#include "redlockd/core/lease.h"
#include "redlockd/core/resource.h"
#include "redlockd/core/round.h"

#include <assert.h>

_Static_assert(FENCE_STEP < 1 << 11, "a lease's fences_given has 11 bits: past them a number would be given again");

uint32_t fence_slack_ms(uint32_t ttl_max_ms)
{
        uint32_t ms = ttl_max_ms / FENCE_SLACK_SHARE;

        return ms < FENCE_SLACK_MAX_MS ? ms : FENCE_SLACK_MAX_MS;
}

uint64_t fence_propose(uint64_t unix_ms, uint64_t seen)
{
        uint64_t number = unix_ms < FENCE_MAX / FENCE_STEP ? unix_ms * FENCE_STEP : 0;

        return number > seen ? number : seen - seen % FENCE_STEP + FENCE_STEP;
}

/* The wall clock has no say in how far a number is raised: only the nodes bound what is ahead of theirs. */
static uint64_t fence_above(const struct lease *l)
{
        return l->fence + FENCE_STEP;
}

uint64_t fence_to_send(const struct engine *e, const struct lease *l, bool acquired)
{
        if (acquired)
                return fence_propose(e->unix_ms, l->resource->fence_seen);
        return fence_left(l) < FENCE_STEP / 2 ? fence_above(l) : l->fence;
}

void fence_on_answer(struct round *r, unsigned node, const uint64_t *fences)
{
        uint32_t bit = UINT32_C(1) << node;
        unsigned i;

        for (i = 0; i < r->acquire_n && fences; ++i) {
                struct round_item *item = &r->items[i];

                if (fences[i] > item->fence_best) {
                        item->fence_best = fences[i];
                        item->fence_nodes = 0;
                }
                if (fences[i] == item->fence_best)
                        item->fence_nodes |= bit;
                if (fences[i] > item->lease->resource->fence_seen)
                        item->lease->resource->fence_seen = fences[i];
        }
}

bool fence_stands(const struct round *r)
{
        unsigned i;

        for (i = 0; i < r->acquire_n; ++i)
                if ((unsigned)__builtin_popcount(r->items[i].fence_nodes & r->ballot.granted) <
                    quorum_needed(&r->ballot))
                        return false;
        return true;
}

void fence_set(struct lease *l, uint64_t number)
{
        assert(number >= l->fence);
        if (number == l->fence)
                return;
        l->fence = number;
        l->fences_given = 0;
        if (number > l->resource->fence_seen)
                l->resource->fence_seen = number;
}

unsigned fence_left(const struct lease *l)
{
        return FENCE_STEP - l->fences_given;
}

uint64_t fence_hand_out(struct lease *l)
{
        assert(fence_left(l) > 0);
        return l->fence + l->fences_given++;
}
