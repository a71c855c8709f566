/*
 * RESP2: commands written here, replies read by hiredis' reader with functions of our own: a reply is built in a fixed
 * arena, and what does not fit there ends the reading. Nothing is allocated for what is merely announced.
 *
 *      bytes -> hiredis (at most REDIS_REPLY_BYTES_MAX that are not parsed, and one chunk) -> values | bytes of the
 * arena
 *
 * Invariants: the arena holds one reply; its values[0] is the reply itself and the elements follow in order, since
 * arrays do not nest. hiredis keeps no pointer into the arena but the root's, and frees nothing.
 */
#include "redlockd/net/redis_codec.h"

#include "redlockd/base/mem.h"
#include "redlockd/net/redis.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define ANNOUNCED_DIGITS_MAX 32 /* the line with a string's length is no longer than this */

#define ENCODED_FRAME_MAX (1 + NUMBER_TEXT_MAX + 2 + 2) /* of an argument, beside its bytes */

#if HIREDIS_MAJOR >= 1
typedef size_t reader_count;
#else
typedef int reader_count;
#endif

struct redis_reader {
        redisReader *hiredis;
        struct redis_value values[REDIS_REPLY_NODES_MAX];
        size_t values_n;
        char bytes[REDIS_REPLY_BYTES_MAX];
        size_t bytes_n;
        char reason[NODE_REASON_MAX];
};

/* "$12\r\n": a kind, a number and the end of its line. */
static char *encode_number(char *to, char kind, size_t number)
{
        char digits[NUMBER_TEXT_MAX];
        const struct text text = text_of_number(digits, number);

        *to++ = kind;
        to = mempcpy(to, text.data, text.len);
        return mempcpy(to, "\r\n", 2);
}

/*
 * Written here and not by redisFormatCommandArgv(), which prints every length with sprintf() into a block of its own:
 * those were half of the daemon's instructions.
 */
int redis_encode(struct buffer *output, const struct text *args, size_t args_n)
{
        size_t i, room = ENCODED_FRAME_MAX;
        char *begin, *to;

        if (args_n > REDIS_ARGS_MAX)
                return -ENOBUFS;
        for (i = 0; i < args_n; ++i) {
                if (args[i].len > output->max - buffer_len(output))
                        return -ENOBUFS; /* before a sum of them could wrap */
                room += args[i].len + ENCODED_FRAME_MAX;
        }
        if (room > output->max - buffer_len(output))
                return -ENOBUFS;
        begin = buffer_room(output, room);
        if (!begin)
                return -ENOMEM;
        to = encode_number(begin, '*', args_n);
        for (i = 0; i < args_n; ++i) {
                to = encode_number(to, '$', args[i].len);
                to = mempcpy(to, args[i].data, args[i].len);
                to = mempcpy(to, "\r\n", 2);
        }
        buffer_commit(output, (size_t)(to - begin));
        return 0;
}

__attribute__((format(printf, 2, 3))) static void *reader_refuse(struct redis_reader *r, const char *format, ...)
{
        va_list args;

        va_start(args, format);
        vsnprintf(r->reason, sizeof(r->reason), format, args);
        va_end(args);
        return NULL;
}

static struct redis_value *reader_value(const redisReadTask *task, enum redis_value_kind kind)
{
        struct redis_reader *r = task->privdata;
        struct redis_value *value;

        if (!task->parent)
                r->values_n = r->bytes_n = 0;
        if (r->values_n == REDIS_REPLY_NODES_MAX)
                return reader_refuse(r, "a reply of more than %d values", REDIS_REPLY_NODES_MAX);
        value = &r->values[r->values_n++];
        *value = (struct redis_value){ .kind = kind };
        return value;
}

static void *reader_string_cb(const redisReadTask *task, char *bytes, size_t n)
{
        struct redis_reader *r = task->privdata;
        struct redis_value *value;
        char *copy;

        if (task->type != REDIS_REPLY_STRING && task->type != REDIS_REPLY_STATUS && task->type != REDIS_REPLY_ERROR)
                return reader_refuse(r, "a reply of a type that RESP2 does not have");
        value = reader_value(task, task->type == REDIS_REPLY_STRING   ? REDIS_VALUE_STRING
                                   : task->type == REDIS_REPLY_STATUS ? REDIS_VALUE_STATUS
                                                                      : REDIS_VALUE_ERROR);
        if (!value)
                return NULL;
        if (n >= REDIS_REPLY_BYTES_MAX - r->bytes_n)
                return reader_refuse(r, "a reply of more than %d bytes", REDIS_REPLY_BYTES_MAX);
        copy = &r->bytes[r->bytes_n];
        memcpy(copy, bytes, n);
        copy[n] = '\0';
        r->bytes_n += n + 1;
        value->text = (struct text){ copy, n };
        return value;
}

static void *reader_array_cb(const redisReadTask *task, reader_count elements_n)
{
        struct redis_reader *r = task->privdata;
        struct redis_value *value;

        if (task->type != REDIS_REPLY_ARRAY)
                return reader_refuse(r, "a reply of a type that RESP2 does not have");
        if (task->parent)
                return reader_refuse(r, "a reply with an array in an array");
        if ((unsigned long long)elements_n >= REDIS_REPLY_NODES_MAX)
                return reader_refuse(r, "a reply of more than %d values", REDIS_REPLY_NODES_MAX);
        value = reader_value(task, REDIS_VALUE_ARRAY);
        if (value)
                value->elements_n = (size_t)elements_n;
        return value;
}

static void *reader_integer_cb(const redisReadTask *task, long long integer)
{
        struct redis_value *value = reader_value(task, REDIS_VALUE_INTEGER);

        if (value)
                value->integer = integer;
        return value;
}

static void *reader_nil_cb(const redisReadTask *task)
{
        return reader_value(task, REDIS_VALUE_NIL);
}

#if HIREDIS_MAJOR >= 1
static void *reader_double_cb(const redisReadTask *task, double number, char *bytes, size_t n)
{
        return reader_refuse(task->privdata, "a reply of a type that RESP2 does not have");
}

static void *reader_bool_cb(const redisReadTask *task, int truth)
{
        return reader_refuse(task->privdata, "a reply of a type that RESP2 does not have");
}
#endif

static redisReplyObjectFunctions reader_functions = {
        .createString = reader_string_cb,
        .createArray = reader_array_cb,
        .createInteger = reader_integer_cb,
        .createNil = reader_nil_cb,
#if HIREDIS_MAJOR >= 1
        .createDouble = reader_double_cb,
        .createBool = reader_bool_cb,
#endif
};

int redis_reader_new(struct redis_reader **ret_reader)
{
        struct redis_reader *r = mem_zalloc(sizeof(*r));

        if (!r)
                return -ENOMEM;
        *ret_reader = r;
        return 0;
}

struct redis_reader *redis_reader_free(struct redis_reader *r)
{
        if (r)
                redisReaderFree(r->hiredis);
        return mem_free(r);
}

int redis_reader_reset(struct redis_reader *r)
{
        redisReader *fresh = redisReaderCreateWithFunctions(&reader_functions);

        if (!fresh)
                return -ENOMEM;
        redisReaderFree(r->hiredis);
        r->hiredis = fresh;
        r->hiredis->privdata = r;
        r->reason[0] = '\0';
        return 0;
}

int redis_reader_feed(struct redis_reader *r, const char *bytes, size_t n)
{
        if (redisReaderFeed(r->hiredis, bytes, n) == REDIS_OK)
                return 0;
        reader_refuse(r, "out of memory");
        return -ENOMEM;
}

/*
 * Whether a reply whose end has not come yet may go on. hiredis leaves a whole line unread only where it is the length
 * of a string that is not all there: so its announcement can be judged before the bytes come.
 */
static int reader_judge(struct redis_reader *r)
{
        const char *line = r->hiredis->buf + r->hiredis->pos;
        size_t n = r->hiredis->len - r->hiredis->pos;

        if (n > REDIS_REPLY_BYTES_MAX ||
            (memmem(line, n < ANNOUNCED_DIGITS_MAX ? n : ANNOUNCED_DIGITS_MAX, "\r\n", 2) &&
             strtoll(line, NULL, 10) >= REDIS_REPLY_BYTES_MAX)) {
                reader_refuse(r, "a reply of more than %d bytes", REDIS_REPLY_BYTES_MAX);
                return -EPROTO;
        }
        return 0;
}

int redis_reader_next(struct redis_reader *r, const struct redis_value **ret_value)
{
        void *reply;

        if (redisReaderGetReply(r->hiredis, &reply) != REDIS_OK) {
                if (r->reason[0] == '\0')
                        reader_refuse(r, "not the Redis protocol: %s", r->hiredis->errstr);
                return -EPROTO;
        }
        if (!reply)
                return reader_judge(r);
        *ret_value = reply;
        return 1;
}

const char *redis_reader_reason(const struct redis_reader *r)
{
        return r->reason;
}
