/*
 * A line as a request, and what is answered. Whatever the line: what is accepted is within the limits, the error that
 * is refused can be printed as one line of JSON, the keys come back in a reply as they went in, the short ways of
 * reading and printing (wire/quick.h) do what the long ones do, and no memory is left, also where one allocation was
 * refused.
 */
#include "fuzz/fuzz.h"

#include "redlockd/wire/codec.h"
#include "redlockd/wire/quick.h"
#include "redlockd/wire/reply.h"
#include "redlockd/wire/request.h"

#include <errno.h>
#include <jansson.h>

/* Small, so that they are met. */
static const struct request_rules rules = {
        .ttl_ms = 15000,
        .ttl_min_ms = 10,
        .ttl_max_ms = 60000,
        .retry_count = 200,
        .retry_delay_ms = 100,
        .retry_jitter_ms = 100,
        .keys_max = 4,
        .key_bytes_max = 16,
};

/* One line of JSON; the caller's to free. */
static json_t *read_back(const struct buffer *line)
{
        json_error_t error;
        json_t *value;
        size_t n = buffer_len(line);
        const char *bytes = buffer_data(line);

        must(n > 1 && memchr(bytes, '\n', n) == bytes + n - 1);
        codec_use();
        must(codec_read((struct text){ bytes, n }, JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &value,
                        &error) == 0);
        return value;
}

/* The id stands in the answer as it came in the request. */
static void check_id(const json_t *answer, const char *id)
{
        char *text;

        must(codec_text(json_object_get(answer, "id"), &text) == 0);
        must(strcmp(text, id) == 0);
        mem_free(text);
}

static void check_refused(const struct wire_request *r)
{
        struct buffer line = BUFFER_INIT(SIZE_MAX);
        const char *name;
        json_t *answer;

        must(r->error.name < ERRORS_N && r->error.message[0]);
        must(r->error.path[0] || r->error.name != ERROR_INVALID_PARAMS);
        must(reply_print_error(&line, r->id, &r->error) == 0);
        answer = read_back(&line);
        check_id(answer, r->id);
        name = json_string_value(json_object_get(json_object_get(json_object_get(answer, "error"), "data"), "name"));
        must(name && strcmp(name, error_name(r->error.name)) == 0);
        json_decref(answer);
        buffer_deinit(&line);
}

static bool takes(enum method method)
{
        return method == METHOD_ADD || method == METHOD_EXTEND;
}

static void check_accepted(const struct wire_request *r)
{
        const struct request *q = &r->request;
        unsigned i;

        must(q->method < METHODS_N);
        must(q->keys_n <= rules.keys_max);
        for (i = 0; i < q->keys_n; ++i)
                must(q->keys[i].len >= 1 && q->keys[i].len <= rules.key_bytes_max);
        must(q->name.len <= SESSION_NAME_MAX);
        must(q->method != METHOD_CANCEL || r->cancel_id);
        if (!takes(q->method))
                return;
        must(q->keys_n > 0);
        must(q->ttl_ms >= rules.ttl_min_ms && q->ttl_ms <= rules.ttl_max_ms);
        must(q->retry_count >= RETRY_FOR_EVER && q->retry_count <= REQUEST_RETRY_COUNT_MAX);
        must(q->retry_delay_ms <= REQUEST_DELAY_MAX_MS && q->retry_jitter_ms <= REQUEST_DELAY_MAX_MS);
        must(q->wait_ms == WAIT_NONE || q->wait_ms <= REQUEST_WAIT_MAX_MS);
}

static bool same_error(const struct wire_error *a, const struct wire_error *b)
{
        return a->name == b->name && strcmp(a->message, b->message) == 0 && strcmp(a->path, b->path) == 0 &&
               a->what == b->what && a->limit == b->limit;
}

static bool same_text(const char *a, const char *b)
{
        return a && b ? strcmp(a, b) == 0 : a == b;
}

static void check_same(const struct wire_request *a, const struct wire_request *b)
{
        const struct request *x = &a->request, *y = &b->request;
        unsigned i;

        must(same_error(&a->error, &b->error));
        must(strcmp(a->id, b->id) == 0 && a->notification == b->notification);
        if (a->error.name != ERROR_NONE)
                return;
        must(x->method == y->method && x->keys_n == y->keys_n);
        for (i = 0; i < x->keys_n; ++i)
                must(text_equal(x->keys[i], y->keys[i]));
        must(x->ttl_ms == y->ttl_ms && x->retry_count == y->retry_count && x->retry_delay_ms == y->retry_delay_ms);
        must(x->retry_jitter_ms == y->retry_jitter_ms && x->wait_ms == y->wait_ms && x->strict == y->strict);
        must(x->auto_extend == y->auto_extend && x->max_hold_ms == y->max_hold_ms);
        must(x->lock_delay_ms == y->lock_delay_ms && x->events == y->events && x->off == y->off);
        must(x->target == y->target && text_equal(x->name, y->name) && same_text(a->cancel_id, b->cancel_id));
        must(text_equal(a->node_name, b->node_name) && a->release_on == b->release_on);
}

static void check_long_way(struct text line, const struct wire_request *r)
{
        struct wire_request other;

        must(wire_request_parse_long(line, &rules, &other) == 0);
        check_same(r, &other);
        wire_request_deinit(&other);
}

/* As if it had been granted. */
static void check_answered(const struct wire_request *r)
{
        struct reply_item items[4] = { { .outcome = OUTCOME_ACQUIRED } };
        struct reply reply = {
                .method = r->request.method, .items = items, .items_n = r->request.keys_n, .attempts = 1
        };
        struct reply_context context = { .unix_ms = 1795350000000 };
        struct buffer line = BUFFER_INIT(SIZE_MAX), other = BUFFER_INIT(SIZE_MAX);
        const json_t *locks, *key;
        json_t *answer;
        unsigned i;

        for (i = 0; i < r->request.keys_n; ++i)
                items[i] = (struct reply_item){ .key = r->request.keys[i],
                                                .outcome = OUTCOME_ACQUIRED,
                                                .value = "0123456789abcdef0123456789abcdef",
                                                .valid_until_ns = 1000000000 };
        must(reply_print(&line, &context, r->id, &reply) == 0);
        must(reply_print_long(&other, &context, r->id, &reply) == 0);
        must(buffer_len(&line) == buffer_len(&other));
        must(memcmp(buffer_data(&line), buffer_data(&other), buffer_len(&line)) == 0);
        answer = read_back(&line);
        check_id(answer, r->id);
        locks = json_object_get(json_object_get(answer, "result"), "locks");
        must(json_array_size(locks) == reply.items_n);
        for (i = 0; i < reply.items_n; ++i) {
                key = json_object_get(json_array_get(locks, i), "key");
                must(text_equal((struct text){ json_string_value(key), json_string_length(key) }, items[i].key));
        }
        json_decref(answer);
        buffer_deinit(&line);
        buffer_deinit(&other);
}

static void check(struct text line, uint64_t fail_at)
{
        struct wire_request r;
        int result;

        mem_fail_at(fail_at);
        result = wire_request_parse(line, &rules, &r);
        mem_fail_at(0);
        must(result == 0 || (result == -ENOMEM && fail_at));
        if (result == 0) {
                if (!fail_at)
                        check_long_way(line, &r);
                if (r.error.name != ERROR_NONE) {
                        check_refused(&r);
                } else {
                        check_accepted(&r);
                        if (takes(r.request.method))
                                check_answered(&r);
                }
                wire_request_deinit(&r);
        }
        must(mem_live() == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        char *copy = fuzz_copy((struct text){ (const char *)data, size });
        struct text line = { copy, size };

        if (!memchr(line.data, '\n', line.len)) {
                check(line, 0);
                check(line, 1 + fuzz_hash(line) % 40);
        }
        free(copy);
        return 0;
}
