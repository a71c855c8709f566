/*
 * Quorum ballot: two masks of nodes, and a verdict derived from them. Invariant: no node is in both.
 */
#include "redlockd/core/quorum.h"

#include <assert.h>

unsigned quorum_of(unsigned nodes_n)
{
        return nodes_n / 2 + 1;
}

void quorum_init(struct quorum *q, unsigned nodes_n)
{
        assert(nodes_n >= 1 && nodes_n <= NODES_MAX);
        quorum_init_members(q, (UINT32_C(1) << nodes_n) - 1);
}

void quorum_init_members(struct quorum *q, uint32_t members)
{
        assert(members != 0 && !(members >> NODES_MAX));
        *q = (struct quorum){ .members = members };
}

unsigned quorum_needed(const struct quorum *q)
{
        return quorum_of((unsigned)__builtin_popcount(q->members));
}

int quorum_vote(struct quorum *q, unsigned node, bool granted)
{
        uint32_t bit = UINT32_C(1) << node;

        assert(q->members & bit);
        /*
         * The first answer stands. A reply that comes after the node was counted as timed out must not bring it back:
         * by then the clean-up may have released the lock on that node.
         */
        if ((q->granted | q->refused) & bit)
                return QUORUM_E_ANSWERED;
        if (granted)
                q->granted |= bit;
        else
                q->refused |= bit;
        return 0;
}

enum quorum_verdict quorum_verdict(const struct quorum *q)
{
        unsigned granted = (unsigned)__builtin_popcount(q->granted), refused = (unsigned)__builtin_popcount(q->refused);

        if (granted >= quorum_needed(q))
                return QUORUM_WON;
        if ((unsigned)__builtin_popcount(q->members) - refused < quorum_needed(q))
                return QUORUM_LOST;
        return QUORUM_PENDING;
}

uint32_t quorum_open(const struct quorum *q)
{
        return q->members & ~(q->granted | q->refused);
}
