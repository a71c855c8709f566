#pragma once

/*
 * The commands of the engine as Lua scripts
 * (https://redis.io/docs/latest/develop/interact/programmability/eval-intro/): their text, the calls and the answers.
 * Private to net/redis.
 *
 * An answer is one string: a digit, the node's time as TIME gives it (seconds, microseconds), and what else there is to
 * say, with a space between two of them. DIGITS: one for each key.
 *
 *      TAKE     KEYS the keys, ARGV ttl_ms, certificate, for each key its value and fence; and, unless all keys are to
 *               be acquired with the usual slack of 10000 ms: acquire_n, fence_slack_ms
 *               "1 s us fence ..."       done; the fences of those that were acquired
 *               "2 s us"                 nothing done: another certificate stands there, or none; a certificate of ""
 *                                        is not compared
 *               "0 s us number DIGITS"   nothing done: 1 for a key in the way; number as in struct answer
 *      RELEASE  KEYS the keys, ARGV for each key its value; and, if this host listens there for any of them, DIGITS: 1
 *               for those
 *               "1 s us DIGITS"          0 for a key that was not ours; 1 for one that was deleted, 2 if another host
 *                                        listens for it. To a key's channel goes how many listen
 *      RENEW    KEYS the keys, ARGV the certificate (or ""), for each key its value, its ttl_ms and its fence
 *               "1 s us DIGITS"          1 for a key that was ours, and is renewed
 *               "2 s us"                 as of TAKE
 *      PLANT    KEYS the keys, ARGV for each key its value, its ttl_ms and its fence
 *               "1 s us DIGITS"          as of RENEW
 *      PEEK     KEYS the key, ARGV our value of it
 *               "enum peek_value s us ttl-or-0 facts"
 *
 * And one for several takes and releases of one key each, see redis_batch.h:
 *
 *      BATCH    KEYS the keys, ARGV certificate, fence_slack_ms, LETTERS, for each key value, to take it ttl_ms, fence
 *               "s us", and a line for each key: as TAKE and RELEASE answer, without the time; or "-" and an error
 *
 * LETTERS are one for each key: t to take it, 0 to release it, 1 to release it where this host listens for that.
 */
#include "redlockd/base/buffer.h"
#include "redlockd/core/types.h"
#include "redlockd/net/redis_codec.h"

/* A script is known by its enum command_kind, or by this. */
#define REDIS_SCRIPT_BATCH COMMAND_KINDS_N
#define REDIS_SCRIPTS_N    (COMMAND_KINDS_N + 1)

#define REDIS_SHA_LEN 40

/* A key's channel (https://redis.io/docs/latest/develop/interact/pubsub/): this, and the key as it is in Redis. */
#define REDIS_CHANNEL_PREFIX "redlockd:free:"

/* The name of a key's fence: this, and the key as it is in Redis. */
#define REDIS_FENCE_PREFIX "redlockd:fence:"

/* What is known of one script on one connection. */
struct redis_script {
        char sha[REDIS_SHA_LEN + 1]; /* "": the node did not say; always called by its text */
        bool by_text;                /* the node has lost it: called by its text until that was answered */
};

const char *redis_script_text(unsigned script);

/*
 * KEYS the certificate's place, ARGV what stands there, run_id, the certificate: writes the certificate if the first
 * and the second are still true, and answers 1, else 0.
 */
extern const char redis_script_certify[];

/*
 * Appends the call of one command: EVALSHA, or EVAL where *ret_by_text. Returns 0, -ENOBUFS or -ENOMEM: then nothing
 * was appended.
 */
int redis_script_encode(struct buffer *output, const struct redis_script *script, const char *key_prefix,
                        const char *certificate, const struct command *command, bool *ret_by_text);

/* The first two arguments of a call. Returns whether that carries the text. */
bool redis_script_name(const struct redis_script *known, unsigned script, struct text ret_args[2]);

/* The names of the keys in Redis. Those with a prefix are in one block, which is the caller's to free. 0 or -ENOMEM. */
int redis_script_keys(const struct command_item *items, unsigned items_n, const char *key_prefix, struct text *ret_keys,
                      char **ret_block);

/* Reads an answer that is no error; the fences in it go to `ret_fences`, of KEYS_PER_ROUND_MAX. Returns 0, or -EPROTO
 * for a shape that the script cannot have given. */
int redis_script_decode(const struct redis_value *value, enum command_kind kind, unsigned items_n, unsigned acquire_n,
                        uint64_t *ret_fences, struct answer *ret_answer);

/* Parts of it: the time, which is taken off; and all but the time, which sets neither that nor what it does not say. */
int redis_script_read_time(struct text *rest, uint64_t *ret_node_ms);
int redis_script_read_rest(struct text rest, enum command_kind kind, unsigned items_n, unsigned acquire_n,
                           uint64_t *ret_fences, struct answer *answer);
