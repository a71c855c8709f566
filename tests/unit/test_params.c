/*
 * The params of every method: what is taken, and with which path the rest is refused.
 */
#include "redlockd/wire/request.h"

#include "unit/request_fixture.h"

START_TEST(params_are_an_object)
{
        check_params("ping", "[]", "params");
        check_params("ping", "null", "params");
        check_params("add", "\"a\"", "params");
}
END_TEST

START_TEST(a_member_of_another_method_is_unknown)
{
        static const char *const none[] = { "reset", "list", "ping", "status", "nodes", "sessions" };

        for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); ++i) {
                check_params(none[i], "{\"key\":\"a\"}", "key");
                accept_params(none[i], "{}");
        }
        check_params("add", "{\"keys\":\"a\",\"strict\":false}", "strict");
        check_params("add", "{\"keys\":\"a\",\"tll\":100}", "tll");
        check_params("extend", "{\"keys\":\"a\",\"autoExtend\":false}", "autoExtend");
        check_params("extend", "{\"keys\":\"a\",\"maxHold\":0}", "maxHold");
        check_params("free", "{\"ttl\":100}", "ttl");
        check_params("locks", "{\"keys\":[\"a\"]}", "keys");
        check_params("cancel", "{\"id\":1,\"name\":\"a\"}", "name");
        check_params("hello", "{\"events\":[\"lost\"]}", "events");
        check_params("ping", "{\"\":1}", "params"); /* a path of "" would say nothing */
}
END_TEST

START_TEST(defaults_come_from_the_rules)
{
        struct wire_request r = good("{\"method\":\"add\",\"params\":{\"keys\":\"a\"}}");

        ck_assert_uint_eq(r.request.ttl_ms, 15000);
        ck_assert_int_eq(r.request.retry_count, 200);
        ck_assert_uint_eq(r.request.retry_delay_ms, 101);
        ck_assert_uint_eq(r.request.retry_jitter_ms, 102);
        ck_assert_uint_eq(r.request.wait_ms, WAIT_NONE);
        ck_assert(!r.request.strict);
        wire_request_deinit(&r);
}
END_TEST

START_TEST(every_option_of_extend_is_read)
{
        struct wire_request r =
                good("{\"method\":\"extend\",\"params\":{\"keys\":[\"a\",\"b\",\"a\"],\"ttl\":1000,"
                     "\"retryCount\":5,\"retryDelay\":6,\"retryJitter\":7,\"wait\":8,\"strict\":true}}");

        ck_assert_int_eq(r.request.method, METHOD_EXTEND);
        ck_assert_uint_eq(r.request.keys_n, 3);
        ck_assert(text_equal(r.request.keys[0], text_of("a")));
        ck_assert(text_equal(r.request.keys[1], text_of("b")));
        ck_assert(text_equal(r.request.keys[2], text_of("a")));
        ck_assert_uint_eq(r.request.ttl_ms, 1000);
        ck_assert_int_eq(r.request.retry_count, 5);
        ck_assert_uint_eq(r.request.retry_delay_ms, 6);
        ck_assert_uint_eq(r.request.retry_jitter_ms, 7);
        ck_assert_uint_eq(r.request.wait_ms, 8);
        ck_assert(r.request.strict);
        wire_request_deinit(&r);
}
END_TEST

START_TEST(keys_are_a_string_or_an_array_of_strings)
{
        static const char *const methods[] = { "add", "extend", "free" };

        for (size_t i = 0; i < 3; ++i) {
                check_params(methods[i], "{\"keys\":\"\"}", "keys");
                check_params(methods[i], "{\"keys\":[]}", "keys");
                check_params(methods[i], "{\"keys\":5}", "keys");
                check_params(methods[i], "{\"keys\":{}}", "keys");
                check_params(methods[i], "{\"keys\":[\"a\",5]}", "keys[1]");
                check_params(methods[i], "{\"keys\":[\"a\",\"b\",\"\"]}", "keys[2]");
                check_params(methods[i], "{\"keys\":[null]}", "keys[0]");
                accept_params(methods[i], "{\"keys\":\"a\"}");
                accept_params(methods[i], "{\"keys\":[\"a\",\"a\"]}");
        }
}
END_TEST

START_TEST(add_and_extend_need_keys)
{
        check_params("add", "{}", "keys");
        check_params("extend", "{}", "keys");
        check_params("add", "{\"keys\":null}", "keys");
        check_error("{\"id\":1,\"method\":\"add\"}", ERROR_INVALID_PARAMS, "1", "keys");
}
END_TEST

START_TEST(free_without_keys_means_all)
{
        struct wire_request r = good("{\"method\":\"free\"}");

        ck_assert_uint_eq(r.request.keys_n, 0);
        wire_request_deinit(&r);
        r = good("{\"method\":\"free\",\"params\":{\"keys\":null}}");
        ck_assert_uint_eq(r.request.keys_n, 0);
        wire_request_deinit(&r);
}
END_TEST

START_TEST(a_key_may_hold_a_nul)
{
        struct wire_request r = good("{\"method\":\"add\",\"params\":{\"keys\":[\"a\\u0000b\"]}}");

        ck_assert(text_equal(r.request.keys[0], (struct text){ "a\0b", 3 }));
        wire_request_deinit(&r);
}
END_TEST

START_TEST(too_many_keys_are_over_a_limit)
{
        struct wire_error error;

        accept_params("add", "{\"keys\":[\"a\",\"b\",\"c\",\"d\"]}");
        error = check_error("{\"id\":1,\"method\":\"add\",\"params\":{\"keys\":[\"a\",\"a\",\"a\",\"a\",\"a\"]}}",
                            ERROR_LIMIT, "1", "");
        ck_assert_str_eq(error.what, "maxKeysPerRequest");
        ck_assert_uint_eq(error.limit, 4);
}
END_TEST

START_TEST(a_key_too_long_is_over_a_limit)
{
        struct wire_error error;

        accept_params("add", "{\"keys\":[\"12345678\"]}");
        accept_params("add", "{\"keys\":\"\\u00e9\\u00e9\\u00e9\\u00e9\"}");
        error = check_error("{\"id\":1,\"method\":\"add\",\"params\":{\"keys\":\"123456789\"}}", ERROR_LIMIT, "1", "");
        ck_assert_str_eq(error.what, "maxKeyBytes");
        ck_assert_uint_eq(error.limit, 8);
        check_error("{\"id\":1,\"method\":\"add\",\"params\":{\"keys\":[\"\\u00e9\\u00e9\\u00e9\\u00e9a\"]}}",
                    ERROR_LIMIT, "1", "");
        check_error("{\"id\":1,\"method\":\"locks\",\"params\":{\"key\":\"123456789\"}}", ERROR_LIMIT, "1", "");
}
END_TEST

START_TEST(locks_and_waiters_take_one_key)
{
        static const char *const methods[] = { "locks", "waiters" };
        struct wire_request r;

        for (size_t i = 0; i < 2; ++i) {
                check_params(methods[i], "{\"key\":\"\"}", "key");
                check_params(methods[i], "{\"key\":null}", "key");
                check_params(methods[i], "{\"key\":[\"a\"]}", "key");
                accept_params(methods[i], "{}");
        }
        r = good("{\"method\":\"waiters\",\"params\":{\"key\":\"a\"}}");
        ck_assert_uint_eq(r.request.keys_n, 1);
        ck_assert(text_equal(r.request.keys[0], text_of("a")));
        wire_request_deinit(&r);
}
END_TEST

START_TEST(numbers_have_their_ranges)
{
        static const struct {
                const char *name;
                const char *low, *high;   /* the outermost that are accepted */
                const char *under, *over; /* the first that are not */
        } ranges[] = {
                { "ttl", "10", "60000", "9", "60001" },
                { "retryCount", "-1", "1000000000", "-2", "1000000001" },
                { "retryDelay", "0", "86400000", "-1", "86400001" },
                { "retryJitter", "0", "86400000", "-1", "86400001" },
                { "wait", "0", "2592000000", "-1", "2592000001" },
        };
        char inner[128];

        for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); ++i) {
                snprintf(inner, sizeof(inner), "{\"keys\":\"a\",\"%s\":%s}", ranges[i].name, ranges[i].low);
                accept_params("add", inner);
                snprintf(inner, sizeof(inner), "{\"keys\":\"a\",\"%s\":%s}", ranges[i].name, ranges[i].high);
                accept_params("extend", inner);
                snprintf(inner, sizeof(inner), "{\"keys\":\"a\",\"%s\":%s}", ranges[i].name, ranges[i].under);
                check_params("add", inner, ranges[i].name);
                snprintf(inner, sizeof(inner), "{\"keys\":\"a\",\"%s\":%s}", ranges[i].name, ranges[i].over);
                check_params("extend", inner, ranges[i].name);
        }
}
END_TEST

START_TEST(a_number_is_an_integer)
{
        static const char *const names[] = { "ttl", "retryCount", "retryDelay", "retryJitter", "wait", "maxHold" };
        static const char *const bad[] = { "100.0", "1e3", "\"100\"", "null", "true", "[]" };
        char inner[128];

        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); ++i) {
                for (size_t k = 0; k < sizeof(bad) / sizeof(bad[0]); ++k) {
                        snprintf(inner, sizeof(inner), "{\"keys\":\"a\",\"%s\":%s}", names[i], bad[k]);
                        check_params("add", inner, names[i]);
                }
        }
}
END_TEST

START_TEST(a_number_that_no_integer_holds_is_refused_at_its_place)
{
        check_params("add", "{\"keys\":\"a\",\"ttl\":99999999999999999999}", "ttl");
        check_params("add", "{\"ttl\":100,\"keys\":\"a\",\"wait\":-9223372036854775809}", "wait");
        check_params("cancel", "{\"id\":9223372036854775808}", "id");
        check_error("{\"id\":9223372036854775808,\"method\":\"ping\"}", ERROR_INVALID_REQUEST, "null", "");
        check_error("{\"id\":7,\"method\":\"ping\",\"x\":9223372036854775808}", ERROR_INVALID_REQUEST, "7", "");
        /* An id that a real cannot hold exactly is not guessed at. */
        check_error("{\"id\":9007199254740993,\"method\":\"ping\",\"x\":9223372036854775808}", ERROR_INVALID_REQUEST,
                    "null", "");
}
END_TEST

START_TEST(wait_alone_lifts_the_retry_count)
{
        struct wire_request r = good("{\"method\":\"add\",\"params\":{\"keys\":\"a\",\"wait\":5000}}");

        ck_assert_int_eq(r.request.retry_count, RETRY_FOR_EVER);
        ck_assert_uint_eq(r.request.wait_ms, 5000);
        wire_request_deinit(&r);
        r = good("{\"method\":\"add\",\"params\":{\"wait\":5000,\"retryCount\":3,\"keys\":\"a\"}}");
        ck_assert_int_eq(r.request.retry_count, 3);
        ck_assert_uint_eq(r.request.wait_ms, 5000);
        wire_request_deinit(&r);
}
END_TEST

START_TEST(wait_zero_is_one_try)
{
        struct wire_request r = good("{\"method\":\"add\",\"params\":{\"keys\":\"a\",\"wait\":0}}");

        ck_assert_int_eq(r.request.retry_count, 0);
        wire_request_deinit(&r);
        r = good("{\"method\":\"add\",\"params\":{\"keys\":\"a\",\"wait\":0,\"retryCount\":9}}");
        ck_assert_int_eq(r.request.retry_count, 0);
        wire_request_deinit(&r);
}
END_TEST

START_TEST(what_a_lock_may_be_given)
{
        struct wire_request r = good("{\"method\":\"add\",\"params\":{\"keys\":\"a\"}}");

        ck_assert(!r.request.auto_extend && r.request.max_hold_ms == 0 && r.request.lock_delay_ms == 0);
        wire_request_deinit(&r);
        r = good("{\"method\":\"add\",\"params\":{\"keys\":\"a\",\"autoExtend\":true,\"maxHold\":86400000,"
                 "\"lockDelay\":7}}");
        ck_assert(r.request.auto_extend && r.request.max_hold_ms == 86400000 && r.request.lock_delay_ms == 7);
        wire_request_deinit(&r);
}
END_TEST

START_TEST(what_a_lock_may_be_given_has_its_types_and_ranges)
{
        check_params("add", "{\"keys\":\"a\",\"autoExtend\":0}", "autoExtend");
        check_params("add", "{\"keys\":\"a\",\"maxHold\":-1}", "maxHold");
        check_params("add", "{\"keys\":\"a\",\"maxHold\":86400001}", "maxHold");
        check_params("add", "{\"keys\":\"a\",\"lockDelay\":86400001}", "lockDelay");
        check_params("add", "{\"keys\":\"a\",\"lockDelay\":false}", "lockDelay");
}
END_TEST

START_TEST(strict_is_a_bool)
{
        check_params("extend", "{\"keys\":\"a\",\"strict\":1}", "strict");
        check_params("extend", "{\"keys\":\"a\",\"strict\":null}", "strict");
        accept_params("extend", "{\"keys\":\"a\",\"strict\":false}");
}
END_TEST

START_TEST(cancel_names_an_id_as_requests_do)
{
        struct wire_request r = good("{\"id\":1,\"method\":\"cancel\",\"params\":{\"id\":\"\\u0061\"}}");

        ck_assert_str_eq(r.cancel_id, "\"a\"");
        wire_request_deinit(&r);
        r = good("{\"id\":1,\"method\":\"cancel\",\"params\":{\"id\":17}}");
        ck_assert_str_eq(r.cancel_id, "17");
        wire_request_deinit(&r);
        check_params("cancel", "{}", "id");
        check_params("cancel", "{\"id\":null}", "id");
        check_params("cancel", "{\"id\":1.5}", "id");
        check_params("cancel", "{\"id\":[1]}", "id");
}
END_TEST

START_TEST(subscribe_takes_names_of_events)
{
        struct wire_request r = good("{\"method\":\"subscribe\"}");

        ck_assert_uint_eq(r.request.events, NOTICE_DEFAULT);
        wire_request_deinit(&r);
        r = good("{\"method\":\"subscribe\",\"params\":{\"events\":[\"node\",\"lost\",\"node\"]}}");
        ck_assert_uint_eq(r.request.events, NOTICE_NODE | NOTICE_LOST);
        wire_request_deinit(&r);
        r = good("{\"method\":\"subscribe\",\"params\":{\"events\":[\"expiring\",\"stopping\"]}}");
        ck_assert_uint_eq(r.request.events, NOTICE_EXPIRING | NOTICE_STOPPING);
        wire_request_deinit(&r);
        check_params("subscribe", "{\"events\":[]}", "events");
        check_params("subscribe", "{\"events\":\"lost\"}", "events");
        check_params("subscribe", "{\"events\":[\"lost\",\"Lost\"]}", "events[1]");
        check_params("subscribe", "{\"events\":[1]}", "events[0]");
}
END_TEST

START_TEST(hello_takes_a_short_name)
{
        char inner[128];
        struct wire_request r =
                good("{\"method\":\"hello\",\"params\":{\"name\":\"me\",\"releaseOn\":\"disconnect\"}}");

        ck_assert(text_equal(r.request.name, text_of("me")));
        wire_request_deinit(&r);
        r = good("{\"method\":\"hello\"}");
        ck_assert_ptr_null(r.request.name.data);
        wire_request_deinit(&r);
        r = good("{\"method\":\"hello\",\"params\":{\"name\":\"\"}}");
        ck_assert_ptr_nonnull(r.request.name.data);
        wire_request_deinit(&r);
        snprintf(inner, sizeof(inner), "{\"name\":\"%064d\"}", 0);
        accept_params("hello", inner);
        snprintf(inner, sizeof(inner), "{\"name\":\"%065d\"}", 0);
        check_params("hello", inner, "name");
        check_params("hello", "{\"name\":7}", "name");
        check_params("hello", "{\"name\":\"a\\u0000\"}", "name");
}
END_TEST

START_TEST(hello_says_what_ends_the_session)
{
        struct wire_request r = good("{\"method\":\"hello\",\"params\":{\"releaseOn\":\"exit\"}}");

        ck_assert_int_eq(r.release_on, RELEASE_ON_EXIT);
        wire_request_deinit(&r);
        r = good("{\"method\":\"hello\",\"params\":{\"releaseOn\":\"disconnect\"}}");
        ck_assert_int_eq(r.release_on, RELEASE_ON_DISCONNECT);
        wire_request_deinit(&r);
        r = good("{\"method\":\"hello\",\"params\":{\"name\":\"me\"}}");
        ck_assert_int_eq(r.release_on, RELEASE_ON_SAME);
        wire_request_deinit(&r);
        check_params("hello", "{\"releaseOn\":\"Disconnect\"}", "releaseOn");
        check_params("hello", "{\"releaseOn\":\"exit\\u0000\"}", "releaseOn");
        check_params("hello", "{\"releaseOn\":\"\"}", "releaseOn");
        check_params("hello", "{\"releaseOn\":true}", "releaseOn");
        check_params("hello", "{\"releaseOn\":null}", "releaseOn");
        check_params("add", "{\"keys\":\"a\",\"releaseOn\":\"exit\"}", "releaseOn");
}
END_TEST

START_TEST(certify_names_a_node)
{
        struct wire_request r = good("{\"method\":\"certify\",\"params\":{\"node\":\"b\"}}");

        ck_assert(text_equal(r.node_name, text_of("b")));
        wire_request_deinit(&r);
        check_params("certify", "{}", "node");
        check_params("certify", "{\"node\":\"\"}", "node");
        check_params("certify", "{\"node\":2}", "node");
        check_params("certify", "{\"node\":[\"b\"]}", "node");
        check_params("status", "{\"node\":\"b\"}", "node");
}
END_TEST

START_TEST(long_names_are_cut_between_characters)
{
        struct wire_request r;
        char line[1024];
        size_t n = (size_t)sprintf(line, "{\"id\":1,\"method\":\"ping\",\"params\":{\"x");

        for (size_t i = 0; i < 200; ++i)
                n += (size_t)sprintf(line + n, "\xc3\xa9");
        sprintf(line + n, "\":1}}");
        r = parse(line);
        ck_assert_int_eq(r.error.name, ERROR_INVALID_PARAMS);
        ck_assert_uint_eq(strlen(r.error.path), sizeof(r.error.path) - 1);
        ck_assert_int_eq(memcmp(r.error.path, "x\xc3\xa9\xc3\xa9", 5), 0);
        ck_assert_ptr_nonnull(strchr("?\xa9", r.error.path[sizeof(r.error.path) - 2]));
        wire_request_deinit(&r);
}
END_TEST

START_TEST(a_key_of_the_brokers_own_is_refused_whatever_the_prefix)
{
        static const struct {
                const char *prefix, *key;
                bool own;
        } cases[] = { { NULL, "redlockd:", true },   { "", "redlockd:cert", true }, { "", "redlockd", false },
                      { "", "redlockd;c", false },   { "red", "lockd:c", true },    { "red", "redlockd:c", false },
                      { "redlockd", ":c", true },    { "redlockd", "k", false },    { "p:", "redlockd:c", false },
                      { "redx", "redlockd:", false } };
        char line[128];
        size_t i;

        for (i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
                struct request_rules own = rules;
                struct wire_request r;

                own.key_bytes_max = 64;
                own.key_prefix = cases[i].prefix;
                snprintf(line, sizeof(line), "{\"id\":1,\"method\":\"add\",\"params\":{\"keys\":[\"a\",\"%s\"]}}",
                         cases[i].key);
                ck_assert_int_eq(wire_request_parse(text_of(line), &own, &r), 0);
                ck_assert_int_eq(r.error.name, cases[i].own ? ERROR_INVALID_PARAMS : ERROR_NONE);
                ck_assert_str_eq(r.error.path, cases[i].own ? "keys[1]" : "");
                wire_request_deinit(&r);
        }
}
END_TEST

UNIT_MAIN("params", a_key_of_the_brokers_own_is_refused_whatever_the_prefix, params_are_an_object,
          a_member_of_another_method_is_unknown, defaults_come_from_the_rules, every_option_of_extend_is_read,
          keys_are_a_string_or_an_array_of_strings, add_and_extend_need_keys, free_without_keys_means_all,
          a_key_may_hold_a_nul, too_many_keys_are_over_a_limit, a_key_too_long_is_over_a_limit,
          locks_and_waiters_take_one_key, numbers_have_their_ranges, a_number_is_an_integer,
          a_number_that_no_integer_holds_is_refused_at_its_place, wait_alone_lifts_the_retry_count,
          wait_zero_is_one_try, what_a_lock_may_be_given, what_a_lock_may_be_given_has_its_types_and_ranges,
          strict_is_a_bool, cancel_names_an_id_as_requests_do, subscribe_takes_names_of_events,
          hello_takes_a_short_name, hello_says_what_ends_the_session, certify_names_a_node,
          long_names_are_cut_between_characters)
