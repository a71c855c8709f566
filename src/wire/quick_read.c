/*
 * A request that is plain, read in one pass over its line:
 *
 *      {"jsonrpc":"2.0","id":7,"method":"add","params":{"keys":["a","b"],"ttl":5000}}
 *
 * Plain: one object, members in any order and none twice, strings of ASCII without escapes, integers of at most 15
 * digits, only names that the method knows, all values in range. Nothing is refused here: at the first thing that is
 * not so, the line is left to request.c and params.c, which take it or word the error. So there is one place that says
 * no, and this one is wrong only if it says yes to what those would not, or understands it otherwise; tests/unit holds
 * both beside each other.
 */
#include "redlockd/base/mem.h"
#include "redlockd/wire/params.h"
#include "redlockd/wire/quick.h"

#include <errno.h>

#define DIGITS_MAX 15

#define ADD    (1u << METHOD_ADD)
#define EXTEND (1u << METHOD_EXTEND)
#define FREE   (1u << METHOD_FREE)

enum param {
        PARAM_KEYS,
        PARAM_TTL,
        PARAM_RETRY_COUNT,
        PARAM_RETRY_DELAY,
        PARAM_RETRY_JITTER,
        PARAM_WAIT,
        PARAM_MAX_HOLD,
        PARAM_LOCK_DELAY,
        PARAM_AUTO_EXTEND,
        PARAM_STRICT,
        PARAMS_N,
};

static const struct {
        struct text name;
        unsigned methods;
} params_known[PARAMS_N] = {
        [PARAM_KEYS] = { { "keys", 4 }, ADD | EXTEND | FREE },
        [PARAM_TTL] = { { "ttl", 3 }, ADD | EXTEND },
        [PARAM_RETRY_COUNT] = { { "retryCount", 10 }, ADD | EXTEND },
        [PARAM_RETRY_DELAY] = { { "retryDelay", 10 }, ADD | EXTEND },
        [PARAM_RETRY_JITTER] = { { "retryJitter", 11 }, ADD | EXTEND },
        [PARAM_WAIT] = { { "wait", 4 }, ADD | EXTEND },
        [PARAM_MAX_HOLD] = { { "maxHold", 7 }, ADD },
        [PARAM_LOCK_DELAY] = { { "lockDelay", 9 }, ADD },
        [PARAM_AUTO_EXTEND] = { { "autoExtend", 10 }, ADD },
        [PARAM_STRICT] = { { "strict", 6 }, EXTEND },
};

static const struct {
        struct text name;
        enum method method;
} methods_known[] = {
        { { "add", 3 }, METHOD_ADD },
        { { "free", 4 }, METHOD_FREE },
        { { "extend", 6 }, METHOD_EXTEND },
        { { "ping", 4 }, METHOD_PING },
};

enum member {
        MEMBER_JSONRPC = 1 << 0,
        MEMBER_ID = 1 << 1,
        MEMBER_METHOD = 1 << 2,
        MEMBER_PARAMS = 1 << 3,
};

/* What was read, before it is known whether all of it is plain. */
struct quick {
        const char *at, *end;
        const struct request_rules *rules;
        unsigned members; /* mask of enum member */
        unsigned params;  /* mask by enum param */
        struct text id;   /* as JSON */
        enum method method;
        int64_t numbers[PARAMS_N];
        unsigned keys_n;
        struct text keys[KEYS_PER_ROUND_MAX];
};

static void quick_skip_space(struct quick *q)
{
        while (q->at < q->end && (*q->at == ' ' || *q->at == '\t' || *q->at == '\r' || *q->at == '\n'))
                ++q->at;
}

/* The next thing is this byte, which is taken. */
static bool quick_byte(struct quick *q, char byte)
{
        quick_skip_space(q);
        if (q->at == q->end || *q->at != byte)
                return false;
        ++q->at;
        return true;
}

static bool quick_string(struct quick *q, struct text *ret_string)
{
        const char *begin;

        if (!quick_byte(q, '"'))
                return false;
        for (begin = q->at; q->at < q->end; ++q->at) {
                unsigned char byte = (unsigned char)*q->at;

                if (byte == '"') {
                        *ret_string = (struct text){ begin, (size_t)(q->at - begin) };
                        ++q->at;
                        return true;
                }
                if (byte < 0x20 || byte > 0x7f || byte == '\\')
                        return false;
        }
        return false;
}

static bool quick_number(struct quick *q, int64_t *ret_number)
{
        const char *begin;
        int64_t number = 0;
        bool negative = quick_byte(q, '-'); /* or spaces were skipped */

        for (begin = q->at; q->at < q->end && *q->at >= '0' && *q->at <= '9' && q->at - begin <= DIGITS_MAX; ++q->at)
                number = number * 10 + (*q->at - '0');
        if (q->at == begin || q->at - begin > DIGITS_MAX || (*begin == '0' && (q->at - begin > 1 || negative)))
                return false;
        *ret_number = negative ? -number : number;
        return true;
}

static bool quick_word(struct quick *q, const char *word)
{
        size_t n = strlen(word);

        quick_skip_space(q);
        if ((size_t)(q->end - q->at) < n || memcmp(q->at, word, n) != 0)
                return false;
        q->at += n;
        return true;
}

static bool quick_truth(struct quick *q, int64_t *ret_truth)
{
        *ret_truth = quick_word(q, "true");
        return *ret_truth || quick_word(q, "false");
}

static bool quick_key(struct quick *q)
{
        struct text *key = &q->keys[q->keys_n];

        if (q->keys_n == KEYS_PER_ROUND_MAX || !quick_string(q, key) || key->len == 0 ||
            key->len > q->rules->key_bytes_max || params_key_is_own(q->rules, *key))
                return false;
        ++q->keys_n;
        return true;
}

static bool quick_keys(struct quick *q)
{
        if (!quick_byte(q, '['))
                return quick_key(q);
        do {
                if (!quick_key(q))
                        return false;
        } while (quick_byte(q, ','));
        return q->keys_n <= q->rules->keys_max && quick_byte(q, ']');
}

static bool quick_param(struct quick *q)
{
        struct text name;
        unsigned i;

        if (!quick_string(q, &name) || !quick_byte(q, ':'))
                return false;
        for (i = 0; i < PARAMS_N && !text_equal(name, params_known[i].name); ++i)
                ;
        if (i == PARAMS_N || q->params & 1u << i)
                return false;
        q->params |= 1u << i;
        if (i == PARAM_KEYS)
                return quick_keys(q);
        if (i == PARAM_AUTO_EXTEND || i == PARAM_STRICT)
                return quick_truth(q, &q->numbers[i]);
        return quick_number(q, &q->numbers[i]);
}

static bool quick_params(struct quick *q)
{
        if (!quick_byte(q, '{'))
                return false;
        if (quick_byte(q, '}'))
                return true;
        do {
                if (!quick_param(q))
                        return false;
        } while (quick_byte(q, ','));
        return quick_byte(q, '}');
}

static bool quick_id(struct quick *q)
{
        struct text string;
        int64_t number;

        quick_skip_space(q);
        q->id.data = q->at;
        if (q->at < q->end && *q->at == '"' ? !quick_string(q, &string) : !quick_number(q, &number))
                return false;
        q->id.len = (size_t)(q->at - q->id.data);
        return q->id.len <= REQUEST_ID_BYTES_MAX;
}

static bool quick_method(struct quick *q)
{
        struct text name;
        size_t i;

        if (!quick_string(q, &name))
                return false;
        for (i = 0; i < sizeof(methods_known) / sizeof(methods_known[0]); ++i) {
                if (text_equal(name, methods_known[i].name)) {
                        q->method = methods_known[i].method;
                        return true;
                }
        }
        return false;
}

static bool quick_once(struct quick *q, enum member member)
{
        bool first = !(q->members & member);

        q->members |= member;
        return first;
}

static bool quick_member(struct quick *q)
{
        struct text name, version;

        if (!quick_string(q, &name) || !quick_byte(q, ':'))
                return false;
        if (text_equal(name, (struct text){ "jsonrpc", 7 }))
                return quick_once(q, MEMBER_JSONRPC) && quick_string(q, &version) &&
                       text_equal(version, (struct text){ "2.0", 3 });
        if (text_equal(name, (struct text){ "id", 2 }))
                return quick_once(q, MEMBER_ID) && quick_id(q);
        if (text_equal(name, (struct text){ "method", 6 }))
                return quick_once(q, MEMBER_METHOD) && quick_method(q);
        if (text_equal(name, (struct text){ "params", 6 }))
                return quick_once(q, MEMBER_PARAMS) && quick_params(q);
        return false;
}

static bool quick_line(struct quick *q)
{
        if (!quick_byte(q, '{'))
                return false;
        do {
                if (!quick_member(q))
                        return false;
        } while (quick_byte(q, ','));
        if (!quick_byte(q, '}'))
                return false;
        quick_skip_space(q);
        return q->at == q->end;
}

/* A parameter that was not given is in range. */
static bool quick_in_range(const struct quick *q, enum param param, int64_t min, int64_t max)
{
        return !(q->params & 1u << param) || (q->numbers[param] >= min && q->numbers[param] <= max);
}

/* Everything is there that must be, nothing that the method does not know, and all of it in range. */
static bool quick_fits(const struct quick *q)
{
        unsigned i, method;

        if (!(q->members & MEMBER_METHOD))
                return false; /* there is no q->method */
        method = 1u << q->method;
        for (i = 0; i < PARAMS_N; ++i)
                if (q->params & 1u << i && !(params_known[i].methods & method))
                        return false;
        if (method & (ADD | EXTEND) && q->keys_n == 0)
                return false;
        return quick_in_range(q, PARAM_TTL, q->rules->ttl_min_ms, q->rules->ttl_max_ms) &&
               quick_in_range(q, PARAM_RETRY_COUNT, RETRY_FOR_EVER, REQUEST_RETRY_COUNT_MAX) &&
               quick_in_range(q, PARAM_RETRY_DELAY, 0, REQUEST_DELAY_MAX_MS) &&
               quick_in_range(q, PARAM_RETRY_JITTER, 0, REQUEST_DELAY_MAX_MS) &&
               quick_in_range(q, PARAM_WAIT, 0, REQUEST_WAIT_MAX_MS) &&
               quick_in_range(q, PARAM_MAX_HOLD, 0, PARAMS_HOLD_MAX_MS) &&
               quick_in_range(q, PARAM_LOCK_DELAY, 0, PARAMS_HOLD_MAX_MS);
}

/* The keys, and the id behind them, in one block. */
static int quick_take_texts(const struct quick *q, struct wire_request *r)
{
        size_t keys_size = q->keys_n * sizeof(*q->keys);
        bool named = q->members & MEMBER_ID;
        char *id;

        if (q->keys_n == 0 && !named)
                return 0;
        r->keys = mem_zalloc(keys_size + q->id.len + 1);
        if (!r->keys)
                return -ENOMEM;
        memcpy(r->keys, q->keys, keys_size);
        r->request.keys = q->keys_n > 0 ? r->keys : NULL;
        r->request.keys_n = q->keys_n;
        if (named) {
                id = (char *)(r->keys + q->keys_n);
                memcpy(id, q->id.data, q->id.len);
                r->id = id;
        }
        return 0;
}

static int64_t quick_given(const struct quick *q, enum param param, int64_t otherwise)
{
        return q->params & 1u << param ? q->numbers[param] : otherwise;
}

static void quick_take_numbers(const struct quick *q, struct request *request)
{
        request->method = q->method;
        request->ttl_ms = (uint32_t)quick_given(q, PARAM_TTL, request->ttl_ms);
        request->retry_count = quick_given(q, PARAM_RETRY_COUNT, request->retry_count);
        request->retry_delay_ms = (uint64_t)quick_given(q, PARAM_RETRY_DELAY, (int64_t)request->retry_delay_ms);
        request->retry_jitter_ms = (uint64_t)quick_given(q, PARAM_RETRY_JITTER, (int64_t)request->retry_jitter_ms);
        request->wait_ms = (uint64_t)quick_given(q, PARAM_WAIT, (int64_t)request->wait_ms);
        request->max_hold_ms = (uint64_t)quick_given(q, PARAM_MAX_HOLD, 0);
        request->lock_delay_ms = (uint64_t)quick_given(q, PARAM_LOCK_DELAY, 0);
        request->auto_extend = quick_given(q, PARAM_AUTO_EXTEND, false);
        request->strict = quick_given(q, PARAM_STRICT, false);
        params_settle_budget(request, q->params & 1u << PARAM_RETRY_COUNT);
}

int quick_read(struct wire_request *r, struct text line, const struct request_rules *rules)
{
        struct quick q;

        q.at = line.data;
        q.end = line.data + line.len;
        q.rules = rules;
        q.members = q.params = q.keys_n = 0;
        q.id = (struct text){ NULL, 0 };
        if (!quick_line(&q) || !quick_fits(&q))
                return 0;
        if (quick_take_texts(&q, r) < 0)
                return -ENOMEM;
        params_defaults(&r->request, rules);
        quick_take_numbers(&q, &r->request);
        r->notification = (q.members & MEMBER_JSONRPC) && !(q.members & MEMBER_ID);
        return 1;
}
