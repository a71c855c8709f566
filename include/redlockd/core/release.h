#pragma once

/*
 * Releases on the nodes what nobody on this host holds any more, until every node has confirmed it or its ttl has
 * passed.
 */
#include "redlockd/core/state.h"

#define RELEASE_RETRY_MS 200

/* A leaving lease: to be released at the end of this step. Nothing happens if no node can have it. */
void release_lease(struct engine *e, struct lease *l);

/*
 * Releases up to KEYS_PER_ROUND_MAX leaving leases at once, on every node that is connected, and lets `call` know the
 * verdict. Returns 0 with the round's id, or -ENOMEM: then they are released in the background, and nobody is told.
 */
int release_for(struct engine *e, struct call *call, struct lease *const *leases, unsigned leases_n,
                uint64_t *ret_round);

/* Sends what is due. */
void release_flush(struct engine *e);

/* A release round's lease: some nodes may not have confirmed. */
void release_again(struct engine *e, struct lease *l);

/* A leaving lease may have been set on a node at any moment until now: its ttl counts from now. */
void release_postpone(struct engine *e, struct lease *l);

void release_on_node_up(struct engine *e, unsigned node);
void release_on_deadline(struct engine *e);
