#pragma once

/*
 * The pool of nodes: Redis servers, or the one `memory:` node inside the daemon. Each has a number, by which the engine
 * knows it, for as long as anything of it is left.
 */
#include "redlockd/core/types.h"
#include "redlockd/net/redis.h"
#include "redlockd/net/redis_ears.h"
#include "redlockd/store/memory.h"
#include "redlockd/wire/config.h"
#include "redlockd/wire/reply.h"

struct daemon;

enum node_place {
        PLACE_FREE,
        PLACE_MEMBER,  /* it votes */
        PLACE_LEAVING, /* it votes no more; what is released is still released there */
        PLACE_CLOSING, /* its connection is being closed */
};

struct nodes {
        struct reply_node *shown; /* NODES_MAX, what replies tell of each; owned */
        struct node {
                struct daemon *daemon;
                enum node_place place;
                struct config_node own;
                struct redis *redis; /* NULL: the `memory:` node, or closed */
                struct redis_ears *ears;
                unsigned open_n; /* of these two */
                struct histogram round_trip;
                bool unflushed;
        } * all;         /* NODES_MAX; owned */
        unsigned n;      /* all numbers in use are below it */
        unsigned open_n; /* Redis nodes and their ears that are not closed yet */
        struct memory *memory;
        uint64_t epoch_ms; /* what its clock, which is never set, has to be added for Unix time */
        char members[REDIS_MEMBERS_MAX];
        uv_timer_t settle;   /* closes what leaves */
        uint64_t settled_ns; /* a node may come or go from then on */
};

/* Makes the configured nodes. 0 or -ENOMEM; nodes_close() and nodes_deinit() in both cases. */
int nodes_init(struct daemon *d);

/* Asserts that every Redis node is closed. */
void nodes_deinit(struct daemon *d);

/* The index of a node, or -ENOENT. */
int nodes_find(const struct daemon *d, struct text name);

/* Says in the log what a node is now. */
void nodes_log(const struct daemon *d, unsigned node);

/* Brings `shown` up to date. */
void nodes_show(struct daemon *d);

/* What a new configuration has to respect; `ret_nodes` takes NODES_MAX. */
struct config_running nodes_running(const struct daemon *d, const struct config_node **ret_nodes);

/*
 * Makes the node that `next` has and the pool has not, if there is one: *ret_number, else NODES_MAX. Returns 0,
 * -ENOMEM, or -EBUSY where no number is free.
 */
int nodes_prepare(struct daemon *d, struct config *next, unsigned *ret_number);

/*
 * Brings the pool to what `next` says, after config_reload() and nodes_prepare(): names, passwords, timeouts; at most
 * one node comes (`number`) or goes. Posts the change.
 */
void nodes_configure(struct daemon *d, struct config *next, unsigned number);

/* Gives up every connection; what is owed is answered as lost. */
void nodes_close(struct daemon *d);

bool nodes_local(const struct daemon *d);
