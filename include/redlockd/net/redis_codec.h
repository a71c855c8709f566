#pragma once

/*
 * The Redis protocol (RESP2, https://redis.io/docs/latest/develop/reference/protocol-spec/): commands into bytes, bytes
 * into replies. The only place that includes hiredis; private to net/redis.
 */
#include "redlockd/base/buffer.h"
#include "redlockd/base/text.h"

#include <stddef.h>

/* Most arguments of one command. */
#define REDIS_ARGS_MAX 272

/* Appends one command. Returns 0, -ENOBUFS or -ENOMEM: then nothing was appended. */
int redis_encode(struct buffer *output, const struct text *args, size_t args_n);

enum redis_value_kind {
        REDIS_VALUE_STATUS,
        REDIS_VALUE_ERROR,
        REDIS_VALUE_INTEGER,
        REDIS_VALUE_STRING,
        REDIS_VALUE_NIL,
        REDIS_VALUE_ARRAY,
};

/* One value. The elements of an array, none of them an array, follow it in memory: value[1] ... value[elements_n]. */
struct redis_value {
        enum redis_value_kind kind;
        long long integer;
        struct text text; /* STATUS, ERROR, STRING; a NUL follows it */
        size_t elements_n;
};

struct redis_reader;

/* Returns 0 or -ENOMEM. It reads nothing before its first reset. */
int redis_reader_new(struct redis_reader **ret_reader);
struct redis_reader *redis_reader_free(struct redis_reader *r);

/* Forgets everything: a new connection begins. Returns 0 or -ENOMEM. */
int redis_reader_reset(struct redis_reader *r);

/* Takes bytes in. Returns 0 or -ENOMEM. */
int redis_reader_feed(struct redis_reader *r, const char *bytes, size_t n);

/*
 * The next reply. Returns 1; 0 where its end has not come yet; -EPROTO where it is malformed, nested, RESP3 or over
 * REDIS_REPLY_BYTES_MAX or REDIS_REPLY_NODES_MAX, which is known as soon as it is announced. After an error only a
 * reset helps. The value is borrowed until the next call of any of these functions.
 */
int redis_reader_next(struct redis_reader *r, const struct redis_value **ret_value);

/* What was wrong, for people. Good until the next reset. */
const char *redis_reader_reason(const struct redis_reader *r);
