#pragma once

/*
 * The pool's traffic: commands to nodes, and answers, states and releases from them, which are posted to the engine.
 */
#include "redlockd/core/types.h"

struct daemon;

/*
 * Makes a node's connections, not started yet. 0 or -ENOMEM: then one of the two may be there, and counts as open.
 */
int nodes_connect(struct daemon *d, unsigned node);

/* The `memory:` node is up at once; Redis nodes connect. */
void nodes_start(struct daemon *d);

/*
 * Hands one command to its node. An answer that is there at once, as the `memory:` node's is or that of a node which
 * takes no command, is posted before this returns: then what `command` borrows is gone.
 */
void nodes_send(struct daemon *d, const struct command *command);

/* Listens on every Redis node for the release of a key, or no more. */
void nodes_listen(struct daemon *d, struct text key, bool on);

/* Has a node's certificate written in the place of the mark. */
void nodes_certify(struct daemon *d, unsigned node, uint64_t mark);

/* Writes what was queued. False: there was nothing. */
bool nodes_flush(struct daemon *d);

/* Posts what a node is now; `closed`: it has left for good. */
void nodes_post_state(struct daemon *d, unsigned node, enum node_state state, const char *reason, bool closed);
