#pragma once

/*
 * One command to N nodes at once, their votes on it, and what they still owe. It is freed when it is decided and no
 * node owes it an answer.
 */
#include "redlockd/core/state.h"

/* A lease that the command is about. RENEW decides for each of its own; the others for all together. */
struct round_item {
        struct lease *lease;
        uint32_t ttl_ms;      /* RENEW, PLANT */
        uint32_t eligible;    /* masks of nodes: whose yes counts, */
        uint32_t ripe;        /* ... and will once the round is won, */
        uint32_t extended;    /* TAKE, RENEW: who said yes, */
        uint32_t missing;     /* who does not have it */
        bool settled;         /* RENEW: the lease knows what came of it */
        bool won;             /* TAKE, RENEW: ... and that is that it was extended */
        uint64_t fence;       /* what is sent; see fence.c */
        uint64_t fence_best;  /* the highest that a node answered, */
        uint32_t fence_nodes; /* ... and who did */
};

struct round {
        struct map_link link; /* hash: its id */
        enum command_kind kind;
        struct call *call; /* who waits for the verdict; NULL: nobody, or not any more */
        struct quorum ballot;
        bool decided;
        struct deadline timeout;
        struct outgoing out;
        uint64_t started_ns;
        uint32_t ttl_ms;
        uint32_t to_send;    /* masks of nodes: command not yet popped, */
        uint32_t owed;       /* popped and not answered, */
        uint32_t resent;     /* asked a second time, */
        uint32_t distrusted; /* may have forgotten since it began */
        uint64_t taken;      /* mask of the items that stood in the way on some node */
        unsigned acquire_n;
        unsigned items_n;
        uint8_t votes[NODES_MAX];    /* enum vote_reason */
        uint32_t left_ms[NODES_MAX]; /* HELD: the longest ttl of what stood in the way there; UINT32_MAX: has no end */
        struct round_item items[];
};

/*
 * A round over `leases` (referenced; for TAKE the first acquire_n are to be acquired): its commands to `nodes` are
 * queued, every other node counts as one that refused. The verdict goes to `call` by call_on_round(), at the earliest
 * in round_review(), which the caller calls when it is ready to hear it; of RENEW, the leases hear one by one. Returns
 * 0 or -ENOMEM.
 */
int round_new(struct engine *e, enum command_kind kind, struct lease *const *leases, unsigned leases_n,
              unsigned acquire_n, uint32_t ttl_ms, uint32_t nodes, struct call *call, struct round **ret_round);

struct round *round_find(const struct engine *e, uint64_t id);
uint64_t round_id(const struct round *r);

/* The next node to be sent to: marks its command as sent and describes it. False: none is left. */
bool round_pop(struct engine *e, struct round *r, struct command *ret_command);

void round_on_answer(struct engine *e, struct round *r, unsigned node, const struct answer *answer);
/* RELEASE: what a node that came up may have is released there, too, and does not wait for what others owe. */
void round_on_node_up(struct engine *e, struct round *r, unsigned node);

void round_on_deadline(struct engine *e, struct round *r);

/* Gives the verdict, if there is one, to the call; frees the round when nothing is owed to it. */
void round_review(struct engine *e, struct round *r);

/* Nobody waits for the verdict any more: commands that were not popped are dropped, answers only settle the clean-up.
 */
void round_abandon(struct engine *e, struct round *r);
