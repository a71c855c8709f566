#pragma once

/*
 * Whose votes count. Nodes are named by their number in a mask; one that leaves keeps its number until nothing of it is
 * left, and only then may another one have it.
 */
#include "redlockd/core/state.h"

/* The members that are up: who is asked for a vote. Releases go to every node that is up. */
static inline uint32_t members_up(const struct engine *e)
{
        return e->nodes_up & e->members;
}

static inline unsigned members_quorum(const struct engine *e)
{
        return quorum_of((unsigned)__builtin_popcount(e->members));
}

/*
 * EVENT_CONFIGURE. At most one node comes or goes, and the next one not before every lock that was granted until now
 * has lapsed: whoever sends the event sees to that.
 */
void members_on_configure(struct engine *e, const struct event *ev);
