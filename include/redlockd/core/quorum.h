#pragma once

/*
 * Quorum ballot: counts the answers of N independent nodes to one command and says when the outcome can no longer
 * change. Pure value: no I/O, no clock, no allocation; embed it by value.
 */
#include "redlockd/core/types.h"

enum quorum_verdict {
        QUORUM_PENDING, /* open: enough nodes have yet to answer */
        QUORUM_WON,     /* a majority granted; late answers change nothing */
        QUORUM_LOST,    /* a majority is out of reach, ties included */
};

#define QUORUM_E_ANSWERED 1 /* the node has voted already */

struct quorum {
        uint32_t members; /* masks of nodes: whose votes count, */
        uint32_t granted;
        uint32_t refused;
};

/* A majority of n nodes: floor(n / 2) + 1, of the configured nodes, never of those that happen to be up. */
unsigned quorum_of(unsigned nodes_n);

/* Of the first nodes_n nodes, 1..NODES_MAX; or of a set of nodes, which is not empty. */
void quorum_init(struct quorum *q, unsigned nodes_n);
void quorum_init_members(struct quorum *q, uint32_t members);

/* How many have to grant it. */
unsigned quorum_needed(const struct quorum *q);

/* Records one answer. Returns 0, or QUORUM_E_ANSWERED for a node that has voted already; asserts that it is a member.
 */
int quorum_vote(struct quorum *q, unsigned node, bool granted);

enum quorum_verdict quorum_verdict(const struct quorum *q);

/* The nodes that have not voted, as a mask. */
uint32_t quorum_open(const struct quorum *q);
