/*
 * The short ways beside the long ones: whatever a line is, both understand the same; whatever a reply is, both print
 * the same bytes. Lines are drawn from a grammar of what is right and nearly right, then damaged.
 */
#include "redlockd/wire/quick.h"

#include "unit/reply_fixture.h"
#include "unit/request_fixture.h"

#define LINES_N   200000
#define REPLIES_N 20000
#define LINE_MAX_ 2048

static uint64_t random_state = 88172645463325252;

static unsigned random_below(unsigned n)
{
        random_state ^= random_state << 13;
        random_state ^= random_state >> 7;
        random_state ^= random_state << 17;
        return (unsigned)(random_state >> 20) % n;
}

#define N_OF(array)            (sizeof(array) / sizeof(array[0]))
#define PICK(array)            array[random_below(N_OF(array))]
#define MOSTLY(array, right_n) array[random_below(25) ? random_below(right_n) : random_below(N_OF(array))]

/* What is right stands first. */

static const char *const spaces[] = { "", "", "", "", "", "", " ", "\t", "  ", "\r" };
static const char *const numbers[] = { "10",
                                       "5000",
                                       "60000",
                                       "200",
                                       "11",
                                       "0",
                                       "1",
                                       "-1",
                                       "10",
                                       "9",
                                       "60000",
                                       "60001",
                                       "5000",
                                       "-0",
                                       "01",
                                       "1.0",
                                       "1e3",
                                       "-",
                                       "+1",
                                       "200",
                                       "1000000000",
                                       "86400000",
                                       "86400001",
                                       "2592000000",
                                       "2592000001",
                                       "999999999999999",
                                       "1000000000000000",
                                       "9223372036854775807",
                                       "9223372036854775808",
                                       "1e400",
                                       "-2" };
static const char *const keys[] = { "\"a\"",         "\"a\"",    "\"b\"",    "\"name1\"",   "\"12345678\"",
                                    "\"123456789\"", "\"\"",     "\"\\n\"",  "\"\\u0041\"", "\"\\ud800\"",
                                    "\"é\"",         "\"\xff\"", "\"\x7f\"", "7",           "null",
                                    "\"a/b\"" };
static const char *const key_lists[] = { "[]", "[\"a\",]", "{}", "[[\"a\"]]", "null", "[\"a\" \"b\"]" };
static const char *const truths[] = { "true", "false", "null", "1", "True", "\"true\"" };
static const char *const ids[] = { "1",
                                   "1",
                                   "7",
                                   "\"x\"",
                                   "\"a b\"",
                                   "\"\"",
                                   "null",
                                   "1.5",
                                   "-3",
                                   "007",
                                   "-0",
                                   "0",
                                   "-12",
                                   "\"\\\"\"",
                                   "[]",
                                   "12345678901234567890",
                                   "\"012345678901234567890123456789012345678901234567890123456789012345678901234567890"
                                   "1234567890123456789012345678901234567890123456789"
                                   "01234567890123456789012345678901234567890123456789012345678901234567890123456789012"
                                   "34567890123456789012345678901234567890123\"",
                                   "\"012345678901234567890123456789012345678901234567890123456789012345678901234567890"
                                   "1234567890123456789012345678901234567890123456789"
                                   "01234567890123456789012345678901234567890123456789012345678901234567890123456789012"
                                   "3456789012345678901234567890123456789012\"" };
static const char *const methods[] = { "\"add\"",  "\"add\"",  "\"add\"", "\"free\"", "\"free\"", "\"extend\"",
                                       "\"ping\"", "\"list\"", "\"Add\"", "\"\"",     "1",        "\"hello\"" };
static const char *const versions[] = { "\"2.0\"", "\"2.0\"", "\"2.0\"", "\"1.0\"", "2.0", "\"2.0 \"" };
static const char *const names[] = { "keys",       "keys",        "keys", "ttl",     "ttl",        "retryCount",
                                     "retryDelay", "retryJitter", "wait", "maxHold", "lockDelay",  "autoExtend",
                                     "strict",     "key",         "Keys", "",        "k\\u0065ys", "name" };

static void put(char *line, const char *text)
{
        strcat(line, PICK(spaces));
        strcat(line, text);
        strcat(line, PICK(spaces));
}

static void put_keys(char *line)
{
        unsigned i, n = 1 + random_below(random_below(4) ? 3 : 6);

        if (random_below(3) == 0) {
                put(line, random_below(9) ? MOSTLY(keys, 5) : PICK(key_lists));
                return;
        }
        put(line, "[");
        for (i = 0; i < n; ++i) {
                put(line, i ? "," : "");
                put(line, MOSTLY(keys, 5));
        }
        put(line, "]");
}

static void put_params(char *line)
{
        unsigned i, n = random_below(4);
        char quoted[32];

        put(line, "{");
        for (i = 0; i < n; ++i) {
                const char *name = i == 0 ? "keys" : MOSTLY(names, 13);

                put(line, i ? "," : "");
                snprintf(quoted, sizeof(quoted), "\"%s\"", name);
                put(line, quoted);
                put(line, ":");
                if (strcmp(name, "keys") == 0)
                        put_keys(line);
                else if (strcmp(name, "autoExtend") == 0 || strcmp(name, "strict") == 0)
                        put(line, MOSTLY(truths, 2));
                else
                        put(line, MOSTLY(numbers, 5));
        }
        put(line, "}");
}

static void put_member(char *line, unsigned which)
{
        switch (which) {
        case 0:
                put(line, "\"jsonrpc\":");
                put(line, MOSTLY(versions, 3));
                break;
        case 1:
                put(line, "\"id\":");
                put(line, MOSTLY(ids, 5));
                break;
        case 2:
                put(line, "\"method\":");
                put(line, MOSTLY(methods, 7));
                break;
        case 3:
                put(line, "\"params\":");
                if (random_below(40))
                        put_params(line);
                else
                        put(line, PICK(key_lists));
                break;
        default:
                put(line, "\"other\":1");
        }
}

static size_t draw_line(char *line)
{
        unsigned i, n = random_below(4) ? 4 : 2 + random_below(3), first = random_below(4), which;
        size_t len;

        line[0] = '\0';
        put(line, "{");
        for (i = 0; i < n; ++i) {
                which = random_below(30) == 0 ? random_below(5) : (first + i) % 4;
                put(line, i ? "," : "");
                put_member(line, which);
        }
        put(line, "}");
        len = strlen(line);
        if (random_below(4) == 0)
                line[random_below((unsigned)len)] =
                        random_below(2) ? " ,:{}[]\"0\\"[random_below(10)] : (char)random_below(256);
        if (random_below(8) == 0)
                len = random_below((unsigned)len);
        return len;
}

static void check_same_keys(const struct request *a, const struct request *b)
{
        ck_assert_uint_eq(a->keys_n, b->keys_n);
        for (unsigned i = 0; i < a->keys_n; ++i)
                ck_assert(text_equal(a->keys[i], b->keys[i]));
}

static void check_same(const struct wire_request *a, const struct wire_request *b)
{
        const struct request *x = &a->request, *y = &b->request;

        ck_assert_int_eq(a->error.name, b->error.name);
        ck_assert_str_eq(a->error.message, b->error.message);
        ck_assert_str_eq(a->id, b->id);
        ck_assert_int_eq(a->notification, b->notification);
        if (a->error.name != ERROR_NONE)
                return;
        ck_assert_int_eq(x->method, y->method);
        check_same_keys(x, y);
        ck_assert_uint_eq(x->ttl_ms, y->ttl_ms);
        ck_assert_int_eq(x->retry_count, y->retry_count);
        ck_assert_uint_eq(x->retry_delay_ms, y->retry_delay_ms);
        ck_assert_uint_eq(x->retry_jitter_ms, y->retry_jitter_ms);
        ck_assert_uint_eq(x->wait_ms, y->wait_ms);
        ck_assert_int_eq(x->strict, y->strict);
        ck_assert_int_eq(x->auto_extend, y->auto_extend);
        ck_assert_uint_eq(x->max_hold_ms, y->max_hold_ms);
        ck_assert_uint_eq(x->lock_delay_ms, y->lock_delay_ms);
        ck_assert_uint_eq(x->events, y->events);
        ck_assert_ptr_null(x->name.data);
}

START_TEST(both_ways_understand_a_line_alike)
{
        unsigned quick_n = 0, wrong_n = 0;
        char line[LINE_MAX_ + 1];

        for (unsigned i = 0; i < LINES_N; ++i) {
                struct text text = { line, draw_line(line) };
                struct wire_request a, b, c = { .id = "null" };

                ck_assert_int_eq(wire_request_parse(text, &rules, &a), 0);
                ck_assert_int_eq(wire_request_parse_long(text, &rules, &b), 0);
                check_same(&a, &b);
                quick_n += quick_read(&c, text, &rules) == 1;
                wrong_n += b.error.name != ERROR_NONE;
                wire_request_deinit(&a);
                wire_request_deinit(&b);
                wire_request_deinit(&c);
        }
        /* Else nothing was compared. */
        ck_assert_uint_gt(quick_n, LINES_N / 20);
        ck_assert_uint_gt(wrong_n, LINES_N / 20);
}
END_TEST

START_TEST(what_clients_send_goes_the_short_way)
{
        static const char *const lines[] = {
                "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"add\",\"params\":{\"keys\":[\"a\"],\"ttl\":10000}}",
                "{\"jsonrpc\": \"2.0\", \"id\": \"x-1\", \"method\": \"add\", \"params\": {\"keys\": \"a\", \"wait\": "
                "500, \"autoExtend\": true}}",
                "{\"method\":\"extend\",\"params\":{\"keys\":[\"a\",\"b\"],\"ttl\":10000,\"strict\":true},\"id\":2}",
                "{\"jsonrpc\":\"2.0\",\"method\":\"free\",\"params\":{\"keys\":[\"a\"]}}",
                "{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"free\"}",
                "{\"id\":4,\"method\":\"ping\",\"params\":{}}",
        };

        for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); ++i) {
                struct wire_request r = { .id = "null" };

                ck_assert_msg(quick_read(&r, text_of(lines[i]), &rules) == 1, "%s", lines[i]);
                wire_request_deinit(&r);
        }
}
END_TEST

/* So that what nobody has set is no number that happens to do. */
__attribute__((noinline)) static void fill_stack(void)
{
        volatile unsigned char bytes[4096];

        for (size_t i = 0; i < sizeof(bytes); ++i)
                bytes[i] = 0xa5;
}

START_TEST(a_line_without_a_method_goes_the_long_way)
{
        static const char *const lines[] = { "{}", "{\"id\":1}", "{\"id\":1,\"params\":{\"ttl\":1000}}" };

        for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); ++i) {
                struct wire_request r = { .id = "null" };

                fill_stack();
                ck_assert_int_eq(quick_read(&r, text_of(lines[i]), &rules), 0);
        }
}
END_TEST

START_TEST(without_memory_a_line_is_not_read)
{
        const struct text line = text_of("{\"id\":1,\"method\":\"add\",\"params\":{\"keys\":[\"a\",\"b\"]}}");
        struct wire_request r;

        mem_fail_at(1);
        ck_assert_int_eq(wire_request_parse(line, &rules, &r), -ENOMEM);
        mem_fail_at(0);
}
END_TEST

static struct reply_item draw_item(bool takes)
{
        static const char *const texts[] = { "a",           "name1", "a/b",  "é",   "", "with \"quotes\"",
                                             "back\\slash", "\x01",  "\x7f", "a\nb" };
        static const enum lock_outcome taken[] = { OUTCOME_ACQUIRED, OUTCOME_HELD, OUTCOME_EXTENDED,
                                                   OUTCOME_REACQUIRED };
        static const enum lock_outcome freed[] = { OUTCOME_FREED, OUTCOME_PENDING, OUTCOME_EXPIRED, OUTCOME_MISSING };
        struct reply_item item = { .key = text_of(random_below(3) ? texts[random_below(5)] : PICK(texts)),
                                   .outcome = takes ? PICK(taken) : PICK(freed),
                                   .fence = random_state >> random_below(64),
                                   .valid_until_ns = random_below(9) ? random_state >> random_below(64) : UINT64_MAX };

        memset(item.value, '0' + (int)random_below(10), TOKEN_TEXT_LEN);
        return item;
}

START_TEST(both_ways_print_a_reply_alike)
{
        static const enum method kinds[] = { METHOD_ADD, METHOD_EXTEND, METHOD_FREE, METHOD_RESET };
        struct reply_item items[5];
        unsigned quick_n = 0;

        for (unsigned i = 0; i < REPLIES_N; ++i) {
                struct reply reply = { .method = PICK(kinds),
                                       .items = items,
                                       .items_n = random_below(5),
                                       .attempts = random_below(1000),
                                       .waited_ms = random_state >> random_below(64) };
                struct buffer a = BUFFER_INIT(4096), b = BUFFER_INIT(4096), c = BUFFER_INIT(4096);

                for (unsigned k = 0; k < 5; ++k)
                        items[k] = draw_item(reply.method <= METHOD_EXTEND);
                ck_assert_int_eq(reply_print(&a, &context, "\"id\"", &reply), 0);
                ck_assert_int_eq(reply_print_long(&b, &context, "\"id\"", &reply), 0);
                ck_assert_uint_eq(buffer_len(&a), buffer_len(&b));
                ck_assert_mem_eq(buffer_data(&a), buffer_data(&b), buffer_len(&a));
                quick_n += (unsigned)quick_print(&c, &context, "\"id\"", &reply);
                buffer_deinit(&a);
                buffer_deinit(&b);
                buffer_deinit(&c);
        }
        ck_assert_uint_gt(quick_n, REPLIES_N / 4);
        ck_assert_uint_lt(quick_n, REPLIES_N);
}
END_TEST

/* Longest numbers, longest value, longest state: what the room is reckoned by. */
START_TEST(the_longest_reply_fits_its_room)
{
        struct reply_item items[KEYS_PER_ROUND_MAX];
        struct reply reply = { .method = METHOD_EXTEND,
                               .items = items,
                               .items_n = KEYS_PER_ROUND_MAX,
                               .attempts = UINT32_MAX,
                               .waited_ms = UINT64_MAX };
        const struct reply_context late = { .unix_ms = UINT64_MAX / 2 };
        char key[512], id[256];
        struct buffer out = BUFFER_INIT(1 << 20), plain = BUFFER_INIT(1 << 20);

        memset(key, 'k', sizeof(key));
        memset(id, '7', sizeof(id));
        id[255] = '\0';
        for (unsigned i = 0; i < KEYS_PER_ROUND_MAX; ++i) {
                items[i] = (struct reply_item){ .key = { key, sizeof(key) },
                                                .outcome = OUTCOME_REACQUIRED,
                                                .fence = UINT64_MAX,
                                                .valid_until_ns = UINT64_MAX };
                memset(items[i].value, 'f', TOKEN_TEXT_LEN);
        }
        ck_assert_int_eq(quick_print(&out, &late, id, &reply), 1);
        ck_assert_int_eq(reply_print_long(&plain, &late, id, &reply), 0);
        ck_assert_uint_eq(buffer_len(&out), buffer_len(&plain));
        ck_assert_mem_eq(buffer_data(&out), buffer_data(&plain), buffer_len(&out));
        buffer_deinit(&out);
        buffer_deinit(&plain);
}
END_TEST

UNIT_MAIN("quick", both_ways_understand_a_line_alike, what_clients_send_goes_the_short_way,
          a_line_without_a_method_goes_the_long_way, without_memory_a_line_is_not_read, both_ways_print_a_reply_alike,
          the_longest_reply_fits_its_room)
