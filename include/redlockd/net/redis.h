#pragma once

/*
 * One Redis node: it resolves, connects, introduces itself (AUTH, SELECT, PING, CLIENT SETNAME, INFO, SCRIPT LOAD),
 * pipelines commands on one connection, and comes back after a failure. hiredis is used as a codec only
 * (redisFormatCommandArgv, redisReader*); the bytes are libuv's.
 *
 * Every command that was accepted is answered exactly once, in order, also when the connection dies.
 */
#include "redlockd/base/address.h"
#include "redlockd/base/histogram.h"
#include "redlockd/core/types.h"

#include <uv.h>

struct redis;

struct redis_options {
        uv_loop_t *loop;
        unsigned node;                 /* handed to the callbacks */
        const struct address *address; /* TCP or UNIX; borrowed for the node's whole life. User and password may be
                                          changed: the next connection uses them */
        const char *key_prefix;        /* put before every key; borrowed likewise */
        uint64_t connect_timeout_ms;  /* from resolving to the last answer of the introduction; and for any answer after
                                         it */
        uint64_t reconnect_min_ms;    /* doubles with jitter after each failure ... */
        uint64_t reconnect_max_ms;    /* ... up to this */
        struct histogram *round_trip; /* of each answer; NULL: not counted. Borrowed likewise */
        void *userdata;
        /* The state changed. `reason` is for people, "" for NODE_UP, never with a password in it. */
        void (*on_state)(void *userdata, unsigned node, enum node_state state, const char *reason);
        void (*on_answer)(void *userdata, unsigned node, uint64_t round, const struct answer *answer);
};

#define REDIS_QUEUE_MAX       16384                    /* commands that one connection owes an answer to */
#define REDIS_OUTPUT_MAX      (8 << 20)                /* bytes that wait to be written to one node */
#define REDIS_REPLY_BYTES_MAX (64 << 10)               /* of one reply */
#define REDIS_REPLY_NODES_MAX (KEYS_PER_ROUND_MAX + 8) /* values in one reply */
#define REDIS_HEARTBEAT_MS    500                      /* a connection that owes nothing is asked PING this often */

/* Returns 0 or -ENOMEM. Nothing is called back before redis_start(). */
int redis_new(struct redis **ret_redis, const struct redis_options *options);

void redis_start(struct redis *r);

/* Other times, as of the options: from the next try, or the next beat, on. */
void redis_configure(struct redis *r, uint64_t connect_timeout_ms, uint64_t reconnect_min_ms,
                     uint64_t reconnect_max_ms);

/* Queues one command. Returns 0, or -ENOTCONN, -ENOBUFS, -ENOMEM: then it was not taken, and is not answered. */
int redis_send(struct redis *r, const struct command *command);

/* Writes what was queued; called once in each turn of the loop, before it waits. */
void redis_flush(struct redis *r);

/* Facts of the present connection; NULL and 0 where not known. */
const char *redis_version(const struct redis *r);
const char *redis_run_id(const struct redis *r);
uint64_t redis_rtt_us(const struct redis *r);

/*
 * Gives up the connection (by reset), answers ANSWER_LOST for all it owes before it returns, and closes every handle;
 * `on_closed` is the last callback, after which the node is freed. It waits for a resolver that is at work on the name,
 * which nothing can stop. May be called in a callback; not to be called twice.
 */
void redis_close(struct redis *r, void (*on_closed)(void *userdata, unsigned node));
