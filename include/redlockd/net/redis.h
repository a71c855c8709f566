#pragma once

/*
 * One Redis node: it resolves, connects, introduces itself (AUTH, SELECT, a first look, CLIENT SETNAME, CLIENT ID,
 * SCRIPT LOAD), pipelines commands on one connection, those of one turn in one call, and comes back after a failure.
 * hiredis is used as a codec only (redisFormatCommandArgv, redisReader*); the bytes are libuv's.
 *
 * Every command that was accepted is answered exactly once, in order, also when the connection dies.
 */
#include "redlockd/base/address.h"
#include "redlockd/base/histogram.h"
#include "redlockd/core/types.h"

#include <uv.h>

struct redis;

#define REDIS_MEMBERS_MAX 17 /* bytes of a hash in hex, with the NUL */

struct redis_options {
        uv_loop_t *loop;
        unsigned node;                 /* handed to the callbacks */
        const struct address *address; /* TCP or UNIX; borrowed for the node's whole life. User and password may be
                                          changed: the next connection uses them */
        const char *key_prefix;        /* put before every key; borrowed likewise */
        uint64_t connect_timeout_ms; /* from resolving to the last answer of the introduction; and for any answer after
                                        it */
        uint64_t heartbeat_ms;       /* between two looks at it */
        uint64_t reconnect_min_ms;   /* doubles with jitter after each failure ... */
        uint64_t reconnect_max_ms;   /* ... up to this */
        const char
                *members; /* from redis_members(): what all hosts agree on, for its certificate; NULL: it needs none */
        uint32_t ttl_max_ms;
        unsigned batch_max; /* acquires and releases that go out in one call, see net/redis_batch.h; 1: each has its own
                             */
        struct histogram *round_trip; /* of each answer; NULL: not counted. Borrowed likewise */
        void *userdata;
        /* CONNECTING or DOWN. `reason` is for people, never with a password in it. */
        void (*on_state)(void *userdata, unsigned node, enum node_state state, const char *reason);
        /* It came up, and at every heartbeat from then on. */
        void (*on_look)(void *userdata, unsigned node, const struct node_look *look);
        void (*on_answer)(void *userdata, unsigned node, uint64_t round, const struct answer *answer);
};

#define REDIS_QUEUE_MAX       16384                    /* commands that one connection owes an answer to */
#define REDIS_OUTPUT_MAX      (8 << 20)                /* bytes that wait to be written to one node */
#define REDIS_REPLY_BYTES_MAX (64 << 10)               /* of one reply */
#define REDIS_REPLY_NODES_MAX (KEYS_PER_ROUND_MAX + 8) /* values in one reply */
#define REDIS_BATCH_MAX       64                       /* what a daemon's nodes have for batch_max, and the most */
#define REDIS_HEARTBEAT_MS    500                      /* what a daemon's nodes have for heartbeat_ms */

/*
 * The `members` of a list of nodes: a hash (FNV-1a, 64 bits) over their names, in whatever order they are given. The
 * same on every machine.
 */
void redis_members(const char *const *names, unsigned names_n, char ret_members[REDIS_MEMBERS_MAX]);

/* Returns 0 or -ENOMEM. Nothing is called back before redis_start(). */
int redis_new(struct redis **ret_redis, const struct redis_options *options);

void redis_start(struct redis *r);

/* Other times, as of the options: from the next try, or the next beat, on. */
void redis_configure(struct redis *r, uint64_t connect_timeout_ms, uint64_t reconnect_min_ms,
                     uint64_t reconnect_max_ms);

/* Queues one command. Returns 0, or -ENOTCONN, -ENOBUFS, -ENOMEM: then it was not taken, and is not answered. */
int redis_send(struct redis *r, const struct command *command);

/*
 * Writes its certificate, if what stands in its place is still what the look with this mark saw there, and looks again.
 * It is written with what else is queued.
 */
void redis_certify(struct redis *r, uint64_t mark);

/*
 * The list of nodes is another one. Certificates for the former list count, too, until redis_settle(): then they are
 * replaced where they stand. Every host has to have the new list by then.
 */
void redis_recertify(struct redis *r, const char *members);
void redis_settle(struct redis *r);

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
