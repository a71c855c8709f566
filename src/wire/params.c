/*
 * The members of `params`: one row for each name and the methods that know it, one function for each kind of value. A
 * row's function either stores the value or sets the error, which ends the reading.
 */
#include "redlockd/wire/params.h"

#include "redlockd/base/mem.h"
#include "redlockd/wire/codec.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#define EXACT_REAL_MAX 9007199254740991.0 /* 2^53 - 1: no other integer is rounded to one up to here */

struct params {
        struct wire_request *out;
        const struct request_rules *rules;
        bool wide;
        bool retry_count_given;
};

struct param {
        const char *name;
        unsigned methods; /* mask of enum method */
        int (*read)(struct params *p, const char *name, const json_t *value);
};

void wire_error_set(struct wire_error *e, enum error_name name, const char *path, const char *format, ...)
{
        va_list args;

        *e = (struct wire_error){ .name = name };
        va_start(args, format);
        vsnprintf(e->message, sizeof(e->message), format, args);
        va_end(args);
        snprintf(e->path, sizeof(e->path), "%s", path);
        /* Either may have been cut within a character. */
        codec_repair(e->message, strlen(e->message));
        codec_repair(e->path, strlen(e->path));
}

__attribute__((format(printf, 3, 4))) static int params_refuse(struct params *p, const char *path, const char *format,
                                                               ...)
{
        char why[sizeof(p->out->error.message)];
        va_list args;

        va_start(args, format);
        vsnprintf(why, sizeof(why), format, args);
        va_end(args);
        wire_error_set(&p->out->error, ERROR_INVALID_PARAMS, path, "%.*s: %s", (int)sizeof(p->out->error.path), path,
                       why);
        return 0;
}

static int params_over_limit(struct params *p, const char *what, uint64_t limit)
{
        struct wire_error *e = &p->out->error;

        wire_error_set(e, ERROR_LIMIT, "", "Over the limit %s (%llu).", what, (unsigned long long)limit);
        e->what = what;
        e->limit = limit;
        return 0;
}

bool params_integer(const json_t *value, bool wide, int64_t *ret_number)
{
        double real;

        if (json_is_integer(value)) {
                *ret_number = json_integer_value(value);
                return true;
        }
        real = json_real_value(value);
        if (!wide || !json_is_real(value) || real > EXACT_REAL_MAX || real < -EXACT_REAL_MAX ||
            real != (double)(int64_t)real)
                return false;
        *ret_number = (int64_t)real;
        return true;
}

/* An integer from min to max; false: the error is set. */
static bool params_range(struct params *p, const char *name, const json_t *value, int64_t min, int64_t max,
                         int64_t *ret_number)
{
        int64_t number;

        if (!params_integer(value, p->wide, &number) || number < min || number > max) {
                params_refuse(p, name, "must be an integer from %lld to %lld", (long long)min, (long long)max);
                return false;
        }
        *ret_number = number;
        return true;
}

bool params_key_is_own(const struct request_rules *rules, struct text key)
{
        const char *own = REQUEST_OWN_PREFIX, *c;

        for (c = rules->key_prefix ? rules->key_prefix : ""; *c && *own && *c == *own; ++c)
                ++own;
        if (*c && *own)
                return false;
        return key.len >= strlen(own) && memcmp(key.data, own, strlen(own)) == 0;
}

/* One key; false: the error is set. */
static bool params_key(struct params *p, const char *path, const json_t *value, struct text *ret_key)
{
        struct text key = { json_string_value(value), json_string_length(value) };

        if (!json_is_string(value) || key.len == 0) {
                params_refuse(p, path, "must be a string that is not empty");
                return false;
        }
        if (key.len > p->rules->key_bytes_max) {
                params_over_limit(p, "maxKeyBytes", p->rules->key_bytes_max);
                return false;
        }
        if (p->out->request.method <= METHOD_EXTEND && params_key_is_own(p->rules, key)) {
                params_refuse(p, path, "what begins with " REQUEST_OWN_PREFIX " is the broker's own");
                return false;
        }
        *ret_key = key;
        return true;
}

static int params_allocate_keys(struct params *p, size_t n)
{
        p->out->keys = mem_zalloc_n(n, sizeof(*p->out->keys));
        if (!p->out->keys)
                return -ENOMEM;
        p->out->request.keys = p->out->keys;
        return 0;
}

static int read_key(struct params *p, const char *name, const json_t *value)
{
        struct text key;
        int r;

        if (!params_key(p, name, value, &key))
                return 0;
        r = params_allocate_keys(p, 1);
        if (r < 0)
                return r;
        p->out->keys[0] = key;
        p->out->request.keys_n = 1;
        return 0;
}

static int read_keys(struct params *p, const char *name, const json_t *value)
{
        char path[sizeof(p->out->error.path)];
        size_t i, n = json_array_size(value);
        int r;

        if (json_is_string(value))
                return read_key(p, name, value);
        if (!json_is_array(value) || n == 0)
                return params_refuse(p, name, "must be a key or an array of at least one");
        if (n > p->rules->keys_max)
                return params_over_limit(p, "maxKeysPerRequest", p->rules->keys_max);
        r = params_allocate_keys(p, n);
        if (r < 0)
                return r;
        for (i = 0; i < n; ++i) {
                snprintf(path, sizeof(path), "%s[%zu]", name, i);
                if (!params_key(p, path, json_array_get(value, i), &p->out->keys[i]))
                        return 0;
        }
        p->out->request.keys_n = (unsigned)n;
        return 0;
}

static int read_keys_or_null(struct params *p, const char *name, const json_t *value)
{
        return json_is_null(value) ? 0 : read_keys(p, name, value);
}

static int read_ttl(struct params *p, const char *name, const json_t *value)
{
        int64_t number;

        if (params_range(p, name, value, p->rules->ttl_min_ms, p->rules->ttl_max_ms, &number))
                p->out->request.ttl_ms = (uint32_t)number;
        return 0;
}

static int read_retry_count(struct params *p, const char *name, const json_t *value)
{
        p->retry_count_given = true;
        params_range(p, name, value, RETRY_FOR_EVER, REQUEST_RETRY_COUNT_MAX, &p->out->request.retry_count);
        return 0;
}

static int params_duration(struct params *p, const char *name, const json_t *value, int64_t max, uint64_t *ret_ms)
{
        int64_t number;

        if (params_range(p, name, value, 0, max, &number))
                *ret_ms = (uint64_t)number;
        return 0;
}

static int read_retry_delay(struct params *p, const char *name, const json_t *value)
{
        return params_duration(p, name, value, REQUEST_DELAY_MAX_MS, &p->out->request.retry_delay_ms);
}

static int read_retry_jitter(struct params *p, const char *name, const json_t *value)
{
        return params_duration(p, name, value, REQUEST_DELAY_MAX_MS, &p->out->request.retry_jitter_ms);
}

static int read_wait(struct params *p, const char *name, const json_t *value)
{
        return params_duration(p, name, value, REQUEST_WAIT_MAX_MS, &p->out->request.wait_ms);
}

static int read_strict(struct params *p, const char *name, const json_t *value)
{
        if (!json_is_boolean(value))
                return params_refuse(p, name, "must be true or false");
        p->out->request.strict = json_is_true(value);
        return 0;
}

static int read_auto_extend(struct params *p, const char *name, const json_t *value)
{
        if (!json_is_boolean(value))
                return params_refuse(p, name, "must be true or false");
        p->out->request.auto_extend = json_is_true(value);
        return 0;
}

static int read_max_hold(struct params *p, const char *name, const json_t *value)
{
        int64_t number;

        if (params_range(p, name, value, 0, PARAMS_HOLD_MAX_MS, &number))
                p->out->request.max_hold_ms = (uint64_t)number;
        return 0;
}

static int read_lock_delay(struct params *p, const char *name, const json_t *value)
{
        int64_t number;

        if (params_range(p, name, value, 0, PARAMS_HOLD_MAX_MS, &number))
                p->out->request.lock_delay_ms = (uint64_t)number;
        return 0;
}

static int read_cancel_id(struct params *p, const char *name, const json_t *value)
{
        struct wire_request *out = p->out;
        json_t *integer;
        int64_t number;
        int r;

        if (json_is_string(value)) {
                r = codec_text(value, &out->cancel_id_text);
        } else if (params_integer(value, p->wide, &number)) {
                integer = json_integer(number);
                r = integer ? codec_text(integer, &out->cancel_id_text) : -ENOMEM;
                json_decref(integer);
        } else {
                return params_refuse(p, name, "must be a string or an integer");
        }
        if (r < 0)
                return r;
        if (strlen(out->cancel_id_text) > REQUEST_ID_BYTES_MAX)
                return params_refuse(p, name, "is longer than %d bytes", REQUEST_ID_BYTES_MAX);
        out->cancel_id = out->cancel_id_text;
        return 0;
}

static int read_events(struct params *p, const char *name, const json_t *value)
{
        static const struct {
                const char *name;
                enum notice_kind kind;
        } known[] = {
                { "lost", NOTICE_LOST },
                { "expiring", NOTICE_EXPIRING },
                { "stopping", NOTICE_STOPPING },
                { "node", NOTICE_NODE },
        };
        size_t i, k, n = json_array_size(value);
        char path[sizeof(p->out->error.path)];
        unsigned events = 0;

        if (!json_is_array(value) || n == 0)
                return params_refuse(p, name, "must be an array of at least one event");
        for (i = 0; i < n; ++i) {
                struct text event = { json_string_value(json_array_get(value, i)),
                                      json_string_length(json_array_get(value, i)) };

                for (k = 0; k < sizeof(known) / sizeof(known[0]); ++k)
                        if (text_equal(event, text_of(known[k].name)))
                                break;
                if (k == sizeof(known) / sizeof(known[0])) {
                        snprintf(path, sizeof(path), "%s[%zu]", name, i);
                        return params_refuse(p, path, "must be one of lost, expiring, stopping, node");
                }
                events |= known[k].kind;
        }
        p->out->request.events = events;
        return 0;
}

static int read_name(struct params *p, const char *name, const json_t *value)
{
        struct text text = { json_string_value(value), json_string_length(value) };

        if (!json_is_string(value) || text.len > SESSION_NAME_MAX || memchr(text.data, '\0', text.len))
                return params_refuse(p, name, "must be a string of at most %d bytes without NUL", SESSION_NAME_MAX);
        p->out->request.name = text;
        return 0;
}

static int read_node(struct params *p, const char *name, const json_t *value)
{
        struct text text = { json_string_value(value), json_string_length(value) };

        if (!json_is_string(value) || text.len == 0)
                return params_refuse(p, name, "must be the name of a node");
        p->out->node_name = text;
        return 0;
}

static int read_release_on(struct params *p, const char *name, const json_t *value)
{
        struct text text = { json_string_value(value), json_string_length(value) };

        if (!release_on_parse(text, &p->out->release_on))
                return params_refuse(p, name, RELEASE_ON_MUST);
        return 0;
}

static int read_off(struct params *p, const char *name, const json_t *value)
{
        if (!json_is_boolean(value))
                return params_refuse(p, name, "must be true or false");
        p->out->request.off = json_is_true(value);
        return 0;
}

static int read_session(struct params *p, const char *name, const json_t *value)
{
        int64_t number;

        if (params_range(p, name, value, 1, INT64_MAX, &number))
                p->out->request.target = (uint64_t)number;
        return 0;
}

#define ADD    (1u << METHOD_ADD)
#define EXTEND (1u << METHOD_EXTEND)
#define HELLO  (1u << METHOD_HELLO)
#define VIEWS  ((1u << METHOD_LOCKS) | (1u << METHOD_WAITERS))

static const struct param params_known[] = {
        { "keys", ADD | EXTEND, read_keys },
        { "keys", 1u << METHOD_FREE, read_keys_or_null },
        { "key", VIEWS | 1u << METHOD_BREAK | 1u << METHOD_WHY, read_key },
        { "ttl", ADD | EXTEND, read_ttl },
        { "retryCount", ADD | EXTEND, read_retry_count },
        { "retryDelay", ADD | EXTEND, read_retry_delay },
        { "retryJitter", ADD | EXTEND, read_retry_jitter },
        { "wait", ADD | EXTEND, read_wait },
        { "strict", EXTEND, read_strict },
        { "autoExtend", ADD, read_auto_extend },
        { "maxHold", ADD, read_max_hold },
        { "lockDelay", ADD, read_lock_delay },
        { "id", 1u << METHOD_CANCEL, read_cancel_id },
        { "events", 1u << METHOD_SUBSCRIBE, read_events },
        { "name", HELLO, read_name },
        { "releaseOn", HELLO, read_release_on },
        { "off", 1u << METHOD_DRAIN, read_off },
        { "session", 1u << METHOD_KILL, read_session },
        { "node", 1u << METHOD_CERTIFY, read_node },
};

static const struct param *params_find(enum method method, const char *name)
{
        size_t i;

        for (i = 0; i < sizeof(params_known) / sizeof(params_known[0]); ++i)
                if ((params_known[i].methods & (1u << method)) && strcmp(params_known[i].name, name) == 0)
                        return &params_known[i];
        return NULL;
}

void params_settle_budget(struct request *request, bool retry_count_given)
{
        if (request->wait_ms == 0)
                request->retry_count = 0;
        else if (request->wait_ms != WAIT_NONE && !retry_count_given)
                request->retry_count = RETRY_FOR_EVER;
}

/* What follows from several members together, and from those that are not there. */
static int params_complete(struct params *p)
{
        struct request *request = &p->out->request;
        bool takes = request->method == METHOD_ADD || request->method == METHOD_EXTEND;

        if (takes && request->keys_n == 0)
                return params_refuse(p, "keys", "is missing");
        if (request->method == METHOD_CANCEL && !p->out->cancel_id)
                return params_refuse(p, "id", "is missing");
        if ((request->method == METHOD_BREAK || request->method == METHOD_WHY) && request->keys_n == 0)
                return params_refuse(p, "key", "is missing");
        if (request->method == METHOD_KILL && request->target == 0)
                return params_refuse(p, "session", "is missing");
        if (request->method == METHOD_CERTIFY && !p->out->node_name.data)
                return params_refuse(p, "node", "is missing");
        params_settle_budget(request, p->retry_count_given);
        return 0;
}

void params_defaults(struct request *request, const struct request_rules *rules)
{
        request->ttl_ms = rules->ttl_ms;
        request->retry_count = rules->retry_count;
        request->retry_delay_ms = rules->retry_delay_ms;
        request->retry_jitter_ms = rules->retry_jitter_ms;
        request->wait_ms = WAIT_NONE;
        request->events = NOTICE_DEFAULT;
}

int params_read(struct wire_request *out, const struct request_rules *rules, bool wide, const json_t *params)
{
        struct params p = { .out = out, .rules = rules, .wide = wide };
        const struct param *param;
        const char *name;
        json_t *value;
        int r;

        if (params && !json_is_object(params))
                return params_refuse(&p, "params", "must be an object");
        /* jansson wants an object that it may change, and does not change it. */
        json_object_foreach((json_t *)(uintptr_t)params, name, value)
        {
                param = params_find(out->request.method, name);
                if (!name[0])
                        return params_refuse(&p, "params", "there is a member without a name");
                if (!param)
                        return params_refuse(&p, name, "is not a parameter of %s", method_name(out->request.method));
                r = param->read(&p, name, value);
                if (r < 0 || out->error.name != ERROR_NONE)
                        return r;
        }
        return params_complete(&p);
}
