#pragma once

/*
 * Fencing over N nodes that know nothing of each other: each lock on a key gets a number greater than that of every
 * lock on it before, on whichever host. See fence.c for why.
 *
 *      number = unix ms * FENCE_STEP + the host's own count of hand-overs: below FENCE_MAX until the year 2248
 *
 * What a node does when it grants a key (store/memory.c and net/redis_script.c do the same):
 *
 *      stored = max(what is stored for the key, if less than FENCE_STORED_MAX, (its own ms - slack) * FENCE_STEP)
 *      stored = max(stored + FENCE_STEP, min(proposal, (its own ms + slack) * FENCE_STEP))
 *
 * and it answers with that.
 */
#include "redlockd/core/state.h"

struct lease;
struct resource;
struct round;

/* Two slacks are at most a half of the longest ttl: the other half is for what the clocks of nodes differ. */
#define FENCE_SLACK_MAX_MS 10000
#define FENCE_SLACK_SHARE  4

/* How far behind a node's clock a key without a number begins, and how far ahead of it a proposal may be. */
uint32_t fence_slack_ms(uint32_t ttl_max_ms);

/* The least number that the host would have for a key whose highest known one is `seen`. */
uint64_t fence_propose(uint64_t unix_ms, uint64_t seen);

/* What is sent with a lease: the proposal, or what its nodes are to stand at. */
uint64_t fence_to_send(const struct engine *e, const struct lease *l, bool acquired);

/* What a node answered to the acquire of each of a round's first items. */
void fence_on_answer(struct round *r, unsigned node, const uint64_t *fences);

/* Whether a quorum of the round's nodes stands at the highest number, for each item that was acquired. */
bool fence_stands(const struct round *r);

/* A quorum stands at it. */
void fence_set(struct lease *l, uint64_t number);

/* How many numbers the host may still give out under the lease; and the next one. */
unsigned fence_left(const struct lease *l);
uint64_t fence_hand_out(struct lease *l);
