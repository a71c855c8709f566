/*
 * The envelope of requests: what each line means, and what is wrong with those that mean nothing.
 */
#include "redlockd/wire/request.h"

#include "redlockd/base/mem.h"
#include "unit/request_fixture.h"

START_TEST(what_is_not_json_is_a_parse_error)
{
        check_error("", ERROR_PARSE, "null", "");
        check_error("   ", ERROR_PARSE, "null", "");
        check_error("{", ERROR_PARSE, "null", "");
        check_error("{\"id\":1,\"method\":\"ping\"} x", ERROR_PARSE, "null", "");
        check_error("{\"id\":1,\"method\":\"p\xff\"}", ERROR_PARSE, "null", "");
        check_error("{\"id\":1,\"method\":\"\xed\xa0\x80\"}", ERROR_PARSE, "null", "");
        check_error("{\"id\":01,\"method\":\"ping\"}", ERROR_PARSE, "null", "");
}
END_TEST

START_TEST(a_parse_error_says_what_the_parser_said)
{
        struct wire_error error = check_error("{\"id\" 1}", ERROR_PARSE, "null", "");

        ck_assert_ptr_nonnull(strstr(error.message, "':' expected"));
}
END_TEST

START_TEST(a_raw_nul_is_a_parse_error)
{
        static const char line[] = "{\"id\":1,\"method\":\"ping\0\"}";
        struct wire_request r = parse_n(line, sizeof(line) - 1);

        ck_assert_int_eq(r.error.name, ERROR_PARSE);
        wire_request_deinit(&r);
}
END_TEST

START_TEST(what_is_nested_too_deep_is_a_parse_error)
{
        static char line[10000];

        memset(line, '[', sizeof(line) - 1);
        check_error(line, ERROR_PARSE, "null", "");
}
END_TEST

START_TEST(a_name_given_twice_anywhere_is_a_parse_error)
{
        check_error("{\"id\":1,\"id\":1,\"method\":\"ping\"}", ERROR_PARSE, "null", "");
        check_error("{\"id\":1,\"method\":\"free\",\"params\":{\"keys\":\"a\",\"keys\":\"a\"}}", ERROR_PARSE, "null",
                    "");
        check_error("{\"id\":1,\"method\":\"ping\",\"params\":{\"x\":[{\"a\":1,\"\\u0061\":2}]}}", ERROR_PARSE, "null",
                    "");
}
END_TEST

START_TEST(what_is_not_an_object_is_an_invalid_request)
{
        check_error("5", ERROR_INVALID_REQUEST, "null", "");
        check_error("\"ping\"", ERROR_INVALID_REQUEST, "null", "");
        check_error("null", ERROR_INVALID_REQUEST, "null", "");
}
END_TEST

START_TEST(a_batch_is_refused_in_one_error)
{
        struct wire_error error =
                check_error("[{\"id\":1,\"method\":\"ping\"},{\"id\":2}]", ERROR_INVALID_REQUEST, "null", "");

        ck_assert_ptr_nonnull(strstr(error.message, "atch"));
        check_error("[]", ERROR_INVALID_REQUEST, "null", "");
}
END_TEST

START_TEST(an_id_is_a_string_or_an_integer)
{
        static const char *const bad[] = { "null", "true", "1.0", "1e3", "[]", "{}", "[1]" };
        char line[64];

        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); ++i) {
                snprintf(line, sizeof(line), "{\"id\":%s,\"method\":\"ping\"}", bad[i]);
                check_error(line, ERROR_INVALID_REQUEST, "null", "");
        }
        accept("{\"id\":-9223372036854775808,\"method\":\"ping\"}");
        accept("{\"id\":\"\",\"method\":\"ping\"}");
}
END_TEST

START_TEST(equal_ids_have_equal_texts)
{
        static const char *const pairs[][2] = {
                { "17", "17" },
                { "-0", "0" },
                { "\"a\\u0062c\"", "\"abc\"" },
                { "\"\\/\\u00e9\"", "\"/\xc3\xa9\"" },
                { "\"a\\u0000b\"", "\"a\\u0000b\"" },
                { "\"\\\"\\u000a\"", "\"\\\"\\n\"" },
        };
        struct wire_request r;
        char line[64];

        for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); ++i) {
                snprintf(line, sizeof(line), "{\"id\" : %s ,\"method\":\"ping\"}", pairs[i][0]);
                r = good(line);
                ck_assert_str_eq(r.id, pairs[i][1]);
                wire_request_deinit(&r);
        }
}
END_TEST

START_TEST(an_id_has_a_greatest_length)
{
        char line[512], id[REQUEST_ID_BYTES_MAX + 2];
        struct wire_request r;

        memset(id, 'i', sizeof(id));
        id[REQUEST_ID_BYTES_MAX - 2] = '\0'; /* the quotes count */
        snprintf(line, sizeof(line), "{\"id\":\"%s\",\"method\":\"ping\"}", id);
        r = good(line);
        ck_assert_uint_eq(strlen(r.id), REQUEST_ID_BYTES_MAX);
        wire_request_deinit(&r);
        id[REQUEST_ID_BYTES_MAX - 2] = 'i';
        id[REQUEST_ID_BYTES_MAX - 1] = '\0';
        snprintf(line, sizeof(line), "{\"id\":\"%s\",\"method\":\"ping\"}", id);
        check_error(line, ERROR_INVALID_REQUEST, "null", "");
}
END_TEST

START_TEST(jsonrpc_is_2_0_where_it_is_given)
{
        static const char *const bad[] = { "\"1.0\"", "2.0", "2", "null", "\"2.0 \"", "\"2.0\\u0000\"" };
        char line[128];

        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); ++i) {
                snprintf(line, sizeof(line), "{\"jsonrpc\":%s,\"id\":\"x\",\"method\":\"ping\"}", bad[i]);
                check_error(line, ERROR_INVALID_REQUEST, "\"x\"", "");
        }
        accept("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}");
}
END_TEST

START_TEST(a_method_is_a_string)
{
        check_error("{\"id\":3}", ERROR_INVALID_REQUEST, "3", "");
        check_error("{\"id\":3,\"method\":4}", ERROR_INVALID_REQUEST, "3", "");
        check_error("{\"id\":3,\"method\":null}", ERROR_INVALID_REQUEST, "3", "");
}
END_TEST

START_TEST(an_envelope_has_four_members_and_no_other)
{
        check_error("{\"id\":3,\"method\":\"ping\",\"parms\":{}}", ERROR_INVALID_REQUEST, "3", "");
        check_error("{\"id\":3,\"method\":\"ping\",\"\":{}}", ERROR_INVALID_REQUEST, "3", "");
        accept("{\"params\":{},\"method\":\"ping\",\"id\":3,\"jsonrpc\":\"2.0\"}");
}
END_TEST

START_TEST(every_method_is_known_by_its_name)
{
        static const char *const names[] = {
                "add",       "extend", "free",  "reset",  "list",     "cancel", "hello",
                "subscribe", "ping",   "nodes", "status", "sessions", "locks",  "waiters",
                "drain",     "kill",   "break", "why",    "certify",  "reload", "metrics"
        };
        char line[128];

        ck_assert_uint_eq(sizeof(names) / sizeof(names[0]), METHODS_N);
        for (size_t i = 0; i < METHODS_N; ++i) {
                bool keys = strcmp(names[i], "add") == 0 || strcmp(names[i], "extend") == 0;
                bool id = strcmp(names[i], "cancel") == 0, session = strcmp(names[i], "kill") == 0;
                bool key = strcmp(names[i], "break") == 0 || strcmp(names[i], "why") == 0;
                struct wire_request r;

                snprintf(line, sizeof(line), "{\"id\":1,\"method\":\"%s\",\"params\":{%s}}", names[i],
                         keys                               ? "\"keys\":\"k\""
                         : id                               ? "\"id\":1"
                         : key                              ? "\"key\":\"k\""
                         : session                          ? "\"session\":1"
                         : strcmp(names[i], "certify") == 0 ? "\"node\":\"b\""
                                                            : "");
                r = good(line);
                ck_assert_str_eq(method_name(r.request.method), names[i]);
                wire_request_deinit(&r);
        }
}
END_TEST

START_TEST(an_unknown_method_is_not_found)
{
        check_error("{\"id\":3,\"method\":\"Add\"}", ERROR_METHOD_NOT_FOUND, "3", "");
        check_error("{\"id\":3,\"method\":\"\"}", ERROR_METHOD_NOT_FOUND, "3", "");
        check_error("{\"id\":3,\"method\":\"ping\\u0000\"}", ERROR_METHOD_NOT_FOUND, "3", "");
        check_error("{\"id\":3,\"method\":\"unload\",\"params\":7}", ERROR_METHOD_NOT_FOUND, "3", "");
}
END_TEST

START_TEST(every_error_has_the_code_of_the_contract)
{
        static const struct {
                enum error_name error;
                const char *name;
                int code;
        } table[] = {
                { ERROR_PARSE, "PARSE", -32700 },
                { ERROR_INVALID_REQUEST, "INVALID_REQUEST", -32600 },
                { ERROR_METHOD_NOT_FOUND, "METHOD_NOT_FOUND", -32601 },
                { ERROR_INVALID_PARAMS, "INVALID_PARAMS", -32602 },
                { ERROR_INTERNAL, "INTERNAL", -32603 },
                { ERROR_TOO_LARGE, "TOO_LARGE", -32001 },
                { ERROR_LIMIT, "LIMIT", -32002 },
                { ERROR_DENIED, "DENIED", -32003 },
                { ERROR_STOPPING, "STOPPING", -32004 },
                { ERROR_LOCKED, "LOCKED", 1 },
                { ERROR_NO_QUORUM, "NO_QUORUM", 2 },
                { ERROR_NOT_HELD, "NOT_HELD", 3 },
                { ERROR_LOST, "LOST", 4 },
                { ERROR_CANCELLED, "CANCELLED", 5 },
                { ERROR_DEADLOCK, "DEADLOCK", 6 },
                { ERROR_BROKEN, "BROKEN", 7 },
        };

        ck_assert_uint_eq(sizeof(table) / sizeof(table[0]), ERRORS_N - 1);
        for (size_t i = 0; i < ERRORS_N - 1; ++i) {
                ck_assert_str_eq(error_name(table[i].error), table[i].name);
                ck_assert_int_eq(error_code(table[i].error), table[i].code);
        }
}
END_TEST

START_TEST(with_jsonrpc_and_no_id_it_is_a_notification)
{
        struct wire_request r = good("{\"jsonrpc\":\"2.0\",\"method\":\"ping\"}");

        ck_assert(r.notification);
        ck_assert_str_eq(r.id, "null");
        wire_request_deinit(&r);
        r = good("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}");
        ck_assert(!r.notification);
        wire_request_deinit(&r);
}
END_TEST

START_TEST(without_jsonrpc_a_missing_id_is_answered_with_null)
{
        struct wire_request r = good("{\"method\":\"status\"}");

        ck_assert(!r.notification);
        ck_assert_str_eq(r.id, "null");
        wire_request_deinit(&r);
}
END_TEST

START_TEST(a_notification_with_wrong_params_or_method_stays_one)
{
        struct wire_request r = parse("{\"jsonrpc\":\"2.0\",\"method\":\"add\"}");

        ck_assert_int_eq(r.error.name, ERROR_INVALID_PARAMS);
        ck_assert(r.notification);
        wire_request_deinit(&r);
        r = parse("{\"jsonrpc\":\"2.0\",\"method\":\"nothing\"}");
        ck_assert_int_eq(r.error.name, ERROR_METHOD_NOT_FOUND);
        ck_assert(r.notification);
        wire_request_deinit(&r);
}
END_TEST

START_TEST(an_invalid_request_is_never_a_notification)
{
        struct wire_request r = parse("{\"jsonrpc\":\"2.0\"}");

        ck_assert_int_eq(r.error.name, ERROR_INVALID_REQUEST);
        ck_assert(!r.notification);
        wire_request_deinit(&r);
        r = parse("{\"jsonrpc\":\"2.0\",\"method\":\"ping\",\"x\":1}");
        ck_assert(!r.notification);
        wire_request_deinit(&r);
}
END_TEST

/* Fails each allocation in turn. What is read at last is what is read when none fails. */
START_TEST(without_memory_nothing_is_left_and_nothing_is_misread)
{
        static const char *const lines[] = {
                "{\"jsonrpc\":\"2.0\",\"id\":\"fourteen\\u0020"
                "bytes\",\"method\":\"add\",\"params\":{\"keys\":[\"1234567\",\"12\"]}}",
                "{\"id\":123456789012345678,\"method\":\"cancel\",\"params\":{\"id\":-123456789012345}}",
                "{\"id\":1,\"method\":\"cancel\",\"params\":{\"id\":\"123456789012345678901234567890\"}}",
                "{\"method\":\"hello\",\"params\":{\"name\":\"\\u0031234567890123456789012345678901234567890\"}}",
                "{\"method\":\"cancel\",\"params\":{\"id\":12,\"x\":123456789012345678901234567890123456}}",
                "{\"method\":\"ping\",\"params\":[[[[{\"a\":1,\"b\":2,\"c\":3,\"d\":4,\"e\":5,\"f\":6,\"g\":7,\"h\":8,"
                "\"i\":9}]]]]}",
                "[1.234567890123456789012345678901234567890,1,2,3,4,5,6,7,8,9,10,11,12]",
                "{\"id\":1,\"method\":\"a string that is not ended",
        };

        accept("{\"method\":\"\\u0070ing\"}"); /* what jansson keeps for ever */
        for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); ++i) {
                struct wire_request whole = parse(lines[i]), r;
                uint64_t live = mem_live(), k = 1;

                for (;; ++k) {
                        mem_fail_at(k);
                        if (wire_request_parse(text_of(lines[i]), &rules, &r) == 0)
                                break;
                        ck_assert(mem_failed());
                        ck_assert_uint_eq(mem_live(), live);
                }
                ck_assert(!mem_failed());
                mem_fail_at(0);
                ck_assert_uint_gt(k, 5);
                ck_assert_str_eq(r.id, whole.id);
                ck_assert_int_eq(r.error.name, whole.error.name);
                ck_assert_str_eq(r.error.message, whole.error.message);
                wire_request_deinit(&r);
                ck_assert_uint_eq(mem_live(), live);
                wire_request_deinit(&whole);
        }
}
END_TEST

/* Strings and numbers of every length: the parser's buffer then grows at each of their bytes once. */
START_TEST(a_token_that_cannot_grow_is_never_cut)
{
        struct wire_request r;
        char line[200];

        for (int n = 1; n <= 70; ++n) {
                for (int kind = 0; kind < 2; ++kind) {
                        snprintf(line, sizeof(line),
                                 kind ? "{\"method\":\"cancel\",\"params\":{\"id\":\"%0*d\"}}"
                                      : "{\"method\":\"ping\",\"params\":[1%0*d]}",
                                 n, 0);
                        for (uint64_t k = 1;; ++k) {
                                mem_fail_at(k);
                                if (wire_request_parse(text_of(line), &rules, &r) == 0)
                                        break;
                        }
                        ck_assert(!mem_failed());
                        mem_fail_at(0);
                        ck_assert_int_eq(r.error.name, kind ? ERROR_NONE : ERROR_INVALID_PARAMS);
                        wire_request_deinit(&r);
                }
        }
}
END_TEST

UNIT_MAIN("request", what_is_not_json_is_a_parse_error, a_parse_error_says_what_the_parser_said,
          a_raw_nul_is_a_parse_error, what_is_nested_too_deep_is_a_parse_error,
          a_name_given_twice_anywhere_is_a_parse_error, what_is_not_an_object_is_an_invalid_request,
          a_batch_is_refused_in_one_error, an_id_is_a_string_or_an_integer, equal_ids_have_equal_texts,
          an_id_has_a_greatest_length, jsonrpc_is_2_0_where_it_is_given, a_method_is_a_string,
          an_envelope_has_four_members_and_no_other, every_method_is_known_by_its_name, an_unknown_method_is_not_found,
          every_error_has_the_code_of_the_contract, with_jsonrpc_and_no_id_it_is_a_notification,
          without_jsonrpc_a_missing_id_is_answered_with_null, a_notification_with_wrong_params_or_method_stays_one,
          an_invalid_request_is_never_a_notification, without_memory_nothing_is_left_and_nothing_is_misread,
          a_token_that_cannot_grow_is_never_cut)
