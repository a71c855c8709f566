/*
 * Whose votes count, and how that changes while locks are held.
 *
 *      old members    a b c          a majority of the old ones, and one of the new ones, have a node in common as long
 *      new members    a b c d        as one node came or went: floor(n/2) + 1 + floor((n+1)/2) + 1 = n + 2 > n + 1
 *
 * So a lock that was granted by the old members keeps the new ones from granting it again, and the other way round,
 * until it lapses or a majority of the new ones has extended it. Hence:
 *
 * - a round under way keeps the ballot that it began with: whichever way it is decided, its majority meets every
 *   majority of the new members. It counts validity from its beginning, so what it grants lapses within one maxTtl of
 *   the change as well.
 * - the next change must wait until everything that was granted by the old members has lapsed, one maxTtl: a majority
 *   of theirs and one of the members after the next need not meet.
 * - a node that comes begins without votes to give back: it has forgotten nothing, since it was never asked.
 * - a node that goes is asked for no vote, but what is released is released there too while it is connected: other
 *   hosts may still count on it.
 */
#include "redlockd/core/members.h"

#include "redlockd/core/lease.h"
#include "redlockd/core/node.h"
#include "redlockd/core/resource.h"
#include "redlockd/core/round.h"

#include <assert.h>

/*
 * A number that is given anew: what its last owner had is not what the new one has. But it may be the same server, with
 * what is adrift.
 */
static void members_forget(struct engine *e, uint32_t bits)
{
        struct map_link *link;
        struct lease *l;

        for (link = map_any(&e->rounds); link; link = map_after(&e->rounds, link))
                container_of(link, struct round, link)->distrusted |= bits;

        for (link = map_any(&e->resources); link; link = map_after(&e->resources, link)) {
                l = container_of(link, struct resource, link)->lease;
                if (!l)
                        continue;
                l->counted &= ~bits;
                l->fresh &= ~bits;
                l->planting &= ~bits;
                l->sent &= ~(bits & ~l->adrift);
        }
}

void members_on_configure(struct engine *e, const struct event *ev)
{
        uint32_t come = ev->configure.members & ~e->members, gone = e->members & ~ev->configure.members;
        unsigned node;

        assert(ev->configure.members != 0 && __builtin_popcount(come) + __builtin_popcount(gone) <= 1);
        e->options.locks_max = ev->configure.locks_max;
        e->options.locks_all_max = ev->configure.locks_all_max;
        e->options.waiters_max = ev->configure.waiters_max;
        e->members = ev->configure.members;
        if (!come)
                return;
        node = (unsigned)__builtin_ctz(come);
        assert(node < NODES_MAX && !(e->nodes_linked & come));
        if (node >= e->options.nodes_n)
                e->options.nodes_n = node + 1;
        node_init(e, node);
        e->nodes_closed &= ~come;
        members_forget(e, come);
}
