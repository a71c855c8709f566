#pragma once

/*
 * The commands of one turn of the loop in one call: what a call costs by itself (to be read, the node's time, the
 * certificate) is paid once for all of them, and that is a third of the node's time. They are carried out in their
 * order, each for itself, as if each had been a call. Private to net/redis.
 *
 * Only an acquire or a release of one key goes into a batch; any other command closes it. One command alone is called
 * by its own script. A batch keeps the node from anything else for as long as it takes: REDIS_BATCH_MAX of them 0.2 ms,
 * with REDIS_BATCH_KEYS_MAX bytes of keys 0.3 ms, and what it takes to tell all who listen.
 */
#include "redlockd/net/redis.h"
#include "redlockd/net/redis_owed.h"
#include "redlockd/net/redis_script.h"

/* Bytes of all keys, where it is more than one: each is copied several times by Redis. */
#define REDIS_BATCH_KEYS_MAX (32 << 10)

struct redis_batch {
        unsigned n;
        unsigned max;            /* as of the options */
        uint32_t fence_slack_ms; /* of all its acquires */
        enum command_kind kinds[REDIS_BATCH_MAX];
        struct command_item
                items[REDIS_BATCH_MAX]; /* without their keys' bytes; an acquire's ttl_ms is its command's */
        char values[REDIS_BATCH_MAX][TOKEN_TEXT_LEN + 1];
        struct buffer keys; /* owned: the keys' bytes, one after the other */
};

/* What it needs of a connection. */
struct redis_batch_target {
        struct buffer *output;
        struct redis_owed_queue *owed; /* the last of it are the batch's */
        struct redis_script *scripts;  /* REDIS_SCRIPTS_N */
        const char *key_prefix;
        const char *certificate;
};

/* An empty one. */
void redis_batch_init(struct redis_batch *b, unsigned max);

/* Forgets what is in it. */
void redis_batch_clear(struct redis_batch *b);
void redis_batch_deinit(struct redis_batch *b);

/* Whether a command may be in a batch, and whether this one has room for it. */
bool redis_batch_takes(const struct command *command);
bool redis_batch_has_room(const struct redis_batch *b, const struct command *command);

/* The most bytes that its call can have with this command in it. */
size_t redis_batch_bytes_max(const struct redis_batch *b, const char *key_prefix, const struct command *command);

/* Puts a command into it, which has a place in `owed`. Returns 0 or -ENOMEM. */
int redis_batch_add(struct redis_batch *b, const struct command *command);

/*
 * Appends the call, says so in the first of its places in `owed`, and clears it. Nothing where it is empty. Returns 0,
 * -ENOBUFS or -ENOMEM: then nothing was changed.
 */
int redis_batch_close(struct redis_batch *b, const struct redis_batch_target *target);

/* The answers to the commands, in their order, out of the one that they share. */
struct redis_batch_answers {
        struct text rest;
        uint64_t node_ms;
};

/* Returns 0, or -EPROTO for what no script can have answered to `n` commands. */
int redis_batch_decode(const struct redis_value *value, unsigned n, struct redis_batch_answers *ret_answers);

/* The next one. `words` is for those of an error. Returns 0 or -EPROTO. */
int redis_batch_next(struct redis_batch_answers *answers, enum command_kind kind, uint64_t *ret_fence,
                     char words[NODE_REASON_MAX], struct answer *ret_answer);
