#pragma once

/*
 * The commands of the engine as Lua scripts
 * (https://redis.io/docs/latest/develop/interact/programmability/eval-intro/): their text, the calls and the answers.
 * Private to net/redis.
 *
 *      TAKE     KEYS the keys, ARGV acquire_n, ttl_ms, certificate, fence_slack_ms, for each key its value and fence
 *               {1, 0, node ms, fence, ...}              done; the fences of those that were acquired
 *               {2, 0, node ms}                          nothing done: another certificate stands there, or none; a
 *                                                        certificate of "" is not compared
 *               {0, number, node ms, index from 1, ...}  the keys in the way; number as in struct answer
 *      RELEASE  KEYS the keys, ARGV for each key its value, and 1 or 0: whether this host listens for it here
 *               {1, keys deleted, node ms, index from 1, ...}  the keys for which another host listens; to a key's
 *               channel goes how many listen
 *      RENEW    KEYS the keys, ARGV the certificate (or ""), for each key its value, its ttl_ms and its fence
 *               {1, 0, node ms}              done for all
 *               {0, 0, node ms, index, ...}  but for these
 *      PLANT    KEYS the keys, ARGV for each key its value, its ttl_ms and its fence
 *               as RENEW
 *      PEEK     KEYS the key, ARGV our value of it
 *               {enum peek_value, ttl or 0, node ms, facts}
 */
#include "redlockd/base/buffer.h"
#include "redlockd/core/types.h"
#include "redlockd/net/redis_codec.h"

#define REDIS_SCRIPTS_N COMMAND_KINDS_N
#define REDIS_SHA_LEN   40

/* A key's channel (https://redis.io/docs/latest/develop/interact/pubsub/): this, and the key as it is in Redis. */
#define REDIS_CHANNEL_PREFIX "redlockd:free:"

/* The name of a key's fence: this, and the key as it is in Redis. */
#define REDIS_FENCE_PREFIX "redlockd:fence:"

/* What is known of one script on one connection. */
struct redis_script {
        char sha[REDIS_SHA_LEN + 1]; /* "": the node did not say; always called by its text */
        bool by_text;                /* the node has lost it: called by its text until that was answered */
};

const char *redis_script_text(enum command_kind kind);

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

/* The words of an error, without those that say where in the script it happened, which help nobody. */
void redis_script_words(char ret_words[NODE_REASON_MAX], struct text error);

/* Reads an answer that is no error; the fences in it go to `ret_fences`, of KEYS_PER_ROUND_MAX. Returns 0, or -EPROTO
 * for a shape that the script cannot have given. */
int redis_script_decode(const struct redis_value *value, enum command_kind kind, unsigned items_n, unsigned acquire_n,
                        uint64_t *ret_fences, struct answer *ret_answer);
