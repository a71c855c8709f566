#pragma once

/*
 * The pool of nodes: Redis servers, or the one `memory:` node inside the daemon.
 */
#include "redlockd/core/types.h"
#include "redlockd/net/redis.h"
#include "redlockd/net/redis_ears.h"
#include "redlockd/store/memory.h"
#include "redlockd/wire/reply.h"

struct daemon;

struct nodes {
        struct reply_node *shown; /* what replies tell of each; owned */
        struct node {
                struct daemon *daemon;
                struct redis *redis; /* NULL: the `memory:` node, or closed */
                struct redis_ears *ears;
                bool unflushed;
        } * all; /* owned */
        unsigned n;
        unsigned open_n; /* Redis nodes and their ears that are not closed yet */
        struct memory *memory;
        char members[REDIS_MEMBERS_MAX];
};

/* Makes the configured nodes. 0 or -ENOMEM; nodes_deinit() in both cases. */
int nodes_init(struct daemon *d);

/* Asserts that every Redis node is closed. */
void nodes_deinit(struct daemon *d);

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

/* The index of a node, or -ENOENT. */
int nodes_find(const struct daemon *d, struct text name);

/* Says in the log what a node is now. */
void nodes_log(const struct daemon *d, unsigned node);

/* Writes what was queued. False: there was nothing. */
bool nodes_flush(struct daemon *d);

/* Brings `shown` up to date. */
void nodes_show(struct daemon *d);

/* Gives up every connection; what is owed is answered as lost. */
void nodes_close(struct daemon *d);

bool nodes_local(const struct daemon *d);
