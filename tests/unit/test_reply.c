/*
 * Replies to the verbs, errors and notices, line by line.
 */
#include "redlockd/wire/reply.h"

#include "unit/reply_fixture.h"

#include <stdio.h>

static const struct reply_item acquired = {
        .key = { "name1", 5 },
        .outcome = OUTCOME_ACQUIRED,
        .value = "0123456789abcdef0123456789abcdef",
        .fence = UINT64_C(1740800000829440),
        .valid_until_ns = 19896 * MS + 999999,
};

static void check_notice(const struct notice *notice, const char *expected)
{
        struct buffer out = BUFFER_INIT(100000);

        ck_assert_int_eq(reply_print_notice(&out, &context, notice), 0);
        check_line(&out, expected);
        buffer_deinit(&out);
}

START_TEST(a_granted_lock_is_shown_with_what_is_left_of_it)
{
        struct reply reply = { .method = METHOD_ADD, .items = &acquired, .items_n = 1, .attempts = 2, .waited_ms = 7 };

        check_reply(&reply, "{\"jsonrpc\":\"2.0\",\"id\":17,\"result\":{\"locks\":[{\"key\":\"name1\","
                            "\"value\":\"0123456789abcdef0123456789abcdef\",\"fence\":1740800000829440,\"state\":"
                            "\"acquired\",\"validity\":9896,"
                            "\"expiration\":1795350009896}],\"attempts\":2,\"waited\":7}}");
}
END_TEST

START_TEST(an_end_is_the_same_moment_whenever_it_is_told)
{
        struct reply_item item = { .key = { "k", 1 }, .outcome = OUTCOME_HELD, .value = "1", .fence = 1 };
        struct reply reply = { .method = METHOD_ADD, .items = &item, .items_n = 1, .attempts = 1 };
        struct buffer out = BUFFER_INIT(100000);
        struct reply_context now = context;
        uint64_t ns;

        item.valid_until_ns = 19896 * MS + 500000;
        for (ns = 0; ns < 3 * MS; ns += MS / 10) {
                now.now_ns = context.now_ns + ns;
                now.unix_ms = context.unix_ms + ns / MS;
                ck_assert_int_eq(reply_print(&out, &now, "17", &reply), 0);
                ck_assert_ptr_nonnull(memmem(buffer_data(&out), buffer_len(&out), ":1795350009896}", 15));
                buffer_consume(&out, buffer_len(&out));
        }
        buffer_deinit(&out);
}
END_TEST

START_TEST(each_lock_has_its_state)
{
        static const struct reply_item items[] = {
                { .key = { "a", 1 }, .outcome = OUTCOME_HELD, .value = "1", .fence = 1, .valid_until_ns = 10001 * MS },
                { .key = { "b", 1 },
                  .outcome = OUTCOME_EXTENDED,
                  .value = "2",
                  .fence = 2,
                  .valid_until_ns = 10002 * MS },
                { .key = { "c", 1 },
                  .outcome = OUTCOME_REACQUIRED,
                  .value = "3",
                  .fence = FENCE_MAX - 1,
                  .valid_until_ns = 9000 * MS },
        };
        struct reply reply = { .method = METHOD_EXTEND, .items = items, .items_n = 3, .attempts = 1 };

        check_reply(&reply, "{\"jsonrpc\":\"2.0\",\"id\":17,\"result\":{\"locks\":["
                            "{\"key\":\"a\",\"value\":\"1\",\"fence\":1,\"state\":\"held\",\"validity\":1,"
                            "\"expiration\":1795350000001},"
                            "{\"key\":\"b\",\"value\":\"2\",\"fence\":2,\"state\":\"extended\",\"validity\":2,"
                            "\"expiration\":1795350000002},"
                            "{\"key\":\"c\",\"value\":\"3\",\"fence\":9007199254740991,\"state\":\"reacquired\","
                            "\"validity\":0,\"expiration\":1795349999000}],"
                            "\"attempts\":1,\"waited\":0}}");
}
END_TEST

START_TEST(freed_keys_stand_under_what_became_of_them)
{
        static const struct reply_item items[] = {
                { .key = { "a", 1 }, .outcome = OUTCOME_FREED },   { .key = { "b", 1 }, .outcome = OUTCOME_MISSING },
                { .key = { "c", 1 }, .outcome = OUTCOME_PENDING }, { .key = { "d\0\"", 3 }, .outcome = OUTCOME_FREED },
                { .key = { "e", 1 }, .outcome = OUTCOME_EXPIRED },
        };
        struct reply reply = { .method = METHOD_FREE, .items = items, .items_n = 5 };

        check_reply(&reply,
                    "{\"jsonrpc\":\"2.0\",\"id\":17,\"result\":{\"freed\":[\"a\",\"d\\u0000\\\"\"],\"pending\":[\"c\"],"
                    "\"expired\":[\"e\"],\"missing\":[\"b\"]}}");
        reply = (struct reply){ .method = METHOD_RESET };
        check_reply(&reply, "{\"jsonrpc\":\"2.0\",\"id\":17,\"result\":{\"freed\":[],\"pending\":[],\"expired\":[],"
                            "\"missing\":[]}}");
}
END_TEST

START_TEST(hello_names_the_server_and_its_limits)
{
        struct reply reply = { .method = METHOD_HELLO, .session = 5 };

        check_reply(
                &reply,
                "{\"jsonrpc\":\"2.0\",\"id\":17,\"result\":{\"server\":\"redlockd\",\"version\":\"0.1.0\","
                "\"protocol\":1,\"session\":5,\"releaseOn\":\"exit\",\"limits\":{\"maxKeys\":64,\"maxTtl\":60000}}}");
}
END_TEST

START_TEST(ping_and_cancel_have_short_answers)
{
        struct reply reply = { .method = METHOD_PING };

        check_reply(&reply, "{\"jsonrpc\":\"2.0\",\"id\":17,\"result\":{}}");
        reply.method = METHOD_CANCEL;
        check_reply(&reply, "{\"jsonrpc\":\"2.0\",\"id\":17,\"result\":{\"cancelled\":false}}");
        reply.cancelled = true;
        check_reply(&reply, "{\"jsonrpc\":\"2.0\",\"id\":17,\"result\":{\"cancelled\":true}}");
}
END_TEST

static const struct reply_item taken[] = {
        { .key = { "name1", 5 }, .outcome = OUTCOME_TAKEN },
        { .key = { "other", 5 }, .outcome = OUTCOME_NONE },
        { .key = { "n\"2", 3 }, .outcome = OUTCOME_TAKEN },
};

START_TEST(locked_names_the_tries_the_keys_and_the_holder)
{
        struct holder holder = { .session = 1, .pid = 4121, .uid = 1000, .name = "me" };
        struct reply reply = { .method = METHOD_ADD,
                               .error = ERROR_LOCKED,
                               .items = taken,
                               .items_n = 1,
                               .attempts = 6,
                               .waited_ms = 1012,
                               .retries = 5,
                               .holder = &holder };

        check_reply(&reply, "{\"jsonrpc\":\"2.0\",\"id\":17,\"error\":{\"code\":1,"
                            "\"message\":\"Exceeded 5 attempts to lock the resource \\\"name1\\\".\","
                            "\"data\":{\"name\":\"LOCKED\",\"keys\":[\"name1\"],\"attempts\":6,\"waited\":1012,"
                            "\"holder\":{\"session\":1,\"pid\":4121,\"uid\":1000,\"name\":\"me\"}}}}");
}
END_TEST

START_TEST(locked_joins_the_taken_keys_by_a_comma)
{
        struct holder nobody = { .session = 0 };
        struct reply reply = { .method = METHOD_ADD,
                               .error = ERROR_LOCKED,
                               .items = taken,
                               .items_n = 3,
                               .attempts = 1,
                               .holder = &nobody };
        const char *expected =
                "{\"jsonrpc\":\"2.0\",\"id\":17,\"error\":{\"code\":1,"
                "\"message\":\"Exceeded 0 attempts to lock the resource \\\"name1,n\\\"2\\\".\","
                "\"data\":{\"name\":\"LOCKED\",\"keys\":[\"name1\",\"n\\\"2\"],\"attempts\":1,\"waited\":0}}}";

        check_reply(&reply, expected);
        reply.holder = NULL;
        check_reply(&reply, expected);
}
END_TEST

START_TEST(deadlock_says_who_waits_for_what)
{
        const struct cycle_step cycle[] = {
                { { .session = 2, .pid = 7, .uid = 1000, .name = "b" }, { "name1", 5 } },
                { { .session = 1, .pid = 4121, .uid = 1000, .name = "" }, { "n\"2", 3 } },
        };
        struct reply reply = { .method = METHOD_ADD,
                               .error = ERROR_DEADLOCK,
                               .items = taken,
                               .items_n = 1,
                               .cycle = cycle,
                               .cycle_n = 2 };

        check_reply(&reply, "{\"jsonrpc\":\"2.0\",\"id\":17,\"error\":{\"code\":6,"
                            "\"message\":\"Waiting for the resource \\\"name1\\\" would not end: it waits for this "
                            "session.\",\"data\":{\"name\":\"DEADLOCK\",\"keys\":[\"name1\"],\"cycle\":["
                            "{\"session\":2,\"pid\":7,\"uid\":1000,\"name\":\"b\",\"key\":\"name1\"},"
                            "{\"session\":1,\"pid\":4121,\"uid\":1000,\"name\":\"\",\"key\":\"n\\\"2\"}]}}}");
}
END_TEST

START_TEST(no_quorum_says_why_for_each_node)
{
        static const enum vote_reason votes[] = { VOTE_GRANTED, VOTE_DOWN, VOTE_DOWN };
        static const enum vote_reason more[] = { VOTE_HELD, VOTE_LOST, VOTE_TIMEOUT };
        static const enum vote_reason rest[] = { VOTE_ERROR, VOTE_PENDING, VOTE_LATE };
        static const enum vote_reason quiet[] = { VOTE_DOWN, VOTE_DOWN, VOTE_UNCERTIFIED };
        struct reply reply = { .method = METHOD_ADD,
                               .error = ERROR_NO_QUORUM,
                               .items = taken,
                               .items_n = 1,
                               .attempts = 3,
                               .waited_ms = 9,
                               .votes = votes,
                               .votes_n = 3 };

        nodes_now[0] = (struct inspect_node){ NODE_UP, "", "OOM \xc3", 1, 0 };
        nodes_now[1] = (struct inspect_node){ NODE_DOWN, "connection refused", "", 0, 0 };
        nodes_now[2] = (struct inspect_node){ NODE_CONNECTING, "no answer yet", "", 0, 0 };
        check_reply(&reply,
                    "{\"jsonrpc\":\"2.0\",\"id\":17,\"error\":{\"code\":2,\"message\":\"Too few nodes answered for a "
                    "quorum.\","
                    "\"data\":{\"name\":\"NO_QUORUM\",\"nodes\":[{\"name\":\"a\",\"reason\":\"granted\"},"
                    "{\"name\":\"b\",\"reason\":\"down: connection refused\"},"
                    "{\"name\":\"c\",\"reason\":\"connecting: no answer yet\"}],\"attempts\":3,\"waited\":9}}}");
        reply.votes = more;
        check_reply(&reply, "{\"jsonrpc\":\"2.0\",\"id\":17,\"error\":{\"code\":2,\"message\":\"Too few nodes answered "
                            "for a quorum.\","
                            "\"data\":{\"name\":\"NO_QUORUM\",\"nodes\":[{\"name\":\"a\",\"reason\":\"held\"},"
                            "{\"name\":\"b\",\"reason\":\"connection lost\"},"
                            "{\"name\":\"c\",\"reason\":\"no answer in time\"}],\"attempts\":3,\"waited\":9}}}");
        reply.votes = rest;
        check_reply(&reply, "{\"jsonrpc\":\"2.0\",\"id\":17,\"error\":{\"code\":2,\"message\":\"Too few nodes answered "
                            "for a quorum.\","
                            "\"data\":{\"name\":\"NO_QUORUM\",\"nodes\":[{\"name\":\"a\",\"reason\":\"error: OOM ?\"},"
                            "{\"name\":\"b\",\"reason\":\"decided before it answered\"},"
                            "{\"name\":\"c\",\"reason\":\"granted too late\"}],\"attempts\":3,\"waited\":9}}}");
        nodes_now[0] = (struct inspect_node){ NODE_UNFIT, "a replica", "", 0, 0 };
        nodes_now[1] = (struct inspect_node){ NODE_QUARANTINED, "flushed", "", 0, 12000 * MS };
        nodes_now[2] = nodes_now[1];
        reply.votes = quiet;
        check_reply(&reply,
                    "{\"jsonrpc\":\"2.0\",\"id\":17,\"error\":{\"code\":2,\"message\":\"Too few nodes answered "
                    "for a quorum.\","
                    "\"data\":{\"name\":\"NO_QUORUM\",\"nodes\":[{\"name\":\"a\",\"reason\":\"unfit: a replica\"},"
                    "{\"name\":\"b\",\"reason\":\"quarantined: flushed\"},"
                    "{\"name\":\"c\",\"reason\":\"quarantined: flushed\"}],\"attempts\":3,\"waited\":9}}}");
}
END_TEST

START_TEST(strict_errors_name_their_keys)
{
        struct reply reply = { .method = METHOD_EXTEND, .error = ERROR_NOT_HELD, .items = taken, .items_n = 3 };

        check_reply(&reply, "{\"jsonrpc\":\"2.0\",\"id\":17,\"error\":{\"code\":3,"
                            "\"message\":\"This session does not hold the resource \\\"name1,n\\\"2\\\".\","
                            "\"data\":{\"name\":\"NOT_HELD\",\"keys\":[\"name1\",\"n\\\"2\"]}}}");
        reply.error = ERROR_LOST;
        check_reply(&reply, "{\"jsonrpc\":\"2.0\",\"id\":17,\"error\":{\"code\":4,"
                            "\"message\":\"The lock on the resource \\\"name1,n\\\"2\\\" was lost.\","
                            "\"data\":{\"name\":\"LOST\",\"keys\":[\"name1\",\"n\\\"2\"]}}}");
}
END_TEST

START_TEST(the_other_errors_are_short)
{
        struct reply reply = { .method = METHOD_ADD, .error = ERROR_CANCELLED };

        check_reply(&reply,
                    "{\"jsonrpc\":\"2.0\",\"id\":17,\"error\":{\"code\":5,\"message\":\"The request was cancelled.\","
                    "\"data\":{\"name\":\"CANCELLED\"}}}");
        reply.error = ERROR_STOPPING;
        check_reply(&reply, "{\"jsonrpc\":\"2.0\",\"id\":17,\"error\":{\"code\":-32004,"
                            "\"message\":\"The broker is stopping.\",\"data\":{\"name\":\"STOPPING\"}}}");
        reply = (struct reply){ .error = ERROR_LIMIT, .limit = "maxLocksPerSession", .limit_value = 1024 };
        check_reply(&reply, "{\"jsonrpc\":\"2.0\",\"id\":17,\"error\":{\"code\":-32002,"
                            "\"message\":\"Over the limit maxLocksPerSession (1024).\","
                            "\"data\":{\"name\":\"LIMIT\",\"what\":\"maxLocksPerSession\",\"limit\":1024}}}");
}
END_TEST

START_TEST(an_error_of_the_wire_carries_its_data)
{
        struct wire_error error = { .name = ERROR_INVALID_PARAMS, .message = "ttl: too \"big\"", .path = "ttl" };
        struct buffer out = BUFFER_INIT(10000);

        ck_assert_int_eq(reply_print_error(&out, "\"x\"", &error), 0);
        check_line(&out,
                   "{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"error\":{\"code\":-32602,\"message\":\"ttl: too \\\"big\\\"\","
                   "\"data\":{\"name\":\"INVALID_PARAMS\",\"path\":\"ttl\"}}}");
        buffer_consume(&out, buffer_len(&out));
        error = (struct wire_error){
                .name = ERROR_TOO_LARGE, .message = "m", .what = "maxRequestBytes", .limit = 65536
        };
        ck_assert_int_eq(reply_print_error(&out, "null", &error), 0);
        check_line(&out, "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32001,\"message\":\"m\","
                         "\"data\":{\"name\":\"TOO_LARGE\",\"what\":\"maxRequestBytes\",\"limit\":65536}}}");
        buffer_consume(&out, buffer_len(&out));
        error = (struct wire_error){ .name = ERROR_PARSE, .message = "bad \xff" };
        ck_assert_int_eq(reply_print_error(&out, "null", &error), 0);
        check_line(&out, "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32700,\"message\":\"bad ?\","
                         "\"data\":{\"name\":\"PARSE\"}}}");
        buffer_deinit(&out);
}
END_TEST

START_TEST(notices_have_no_id)
{
        struct notice lost = { .kind = NOTICE_LOST, .key = { "k\n", 2 }, .value = "v", .lost = LOST_EXPIRED };
        struct notice stopping = { .kind = NOTICE_STOPPING };
        struct notice node = { .kind = NOTICE_NODE, .node = 1 };

        nodes_now[1] = (struct inspect_node){ NODE_DOWN, "gone \xe2\x82", "", 0, 0 };
        check_notice(&lost, "{\"jsonrpc\":\"2.0\",\"method\":\"lost\",\"params\":{\"key\":\"k\\n\",\"value\":\"v\","
                            "\"reason\":\"EXPIRED\"}}");
        check_notice(&stopping, "{\"jsonrpc\":\"2.0\",\"method\":\"stopping\",\"params\":{}}");
        check_notice(&node, "{\"jsonrpc\":\"2.0\",\"method\":\"node\",\"params\":{\"name\":\"b\",\"state\":\"down\","
                            "\"reason\":\"gone ??\"}}");
}
END_TEST

START_TEST(bytes_that_are_not_utf8_become_question_marks)
{
        static const char *const pairs[][2] = {
                { "\x80", "?" },
                { "\xc0\x80", "??" },
                { "\xc1\xbf", "??" },
                { "\xc3\xa9", "\xc3\xa9" },
                { "\xc3(", "?(" },
                { "\xe0\x9f\xbf", "???" },
                { "\xe0\xa0\x80", "\xe0\xa0\x80" },
                { "\xed\xa0\x80", "???" },
                { "\xed\x9f\xbf", "\xed\x9f\xbf" },
                { "\xe2\x82z", "??z" },
                { "\xf0\x8f\xbf\xbf", "????" },
                { "\xf0\x90\x80\x80", "\xf0\x90\x80\x80" },
                { "\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf" },
                { "\xf4\x90\x80\x80", "????" },
                { "\xf5\x80\x80\x80", "????" },
                { "a\xf0\x9f\x92", "a???" },
        };

        for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); ++i) {
                struct notice node = { .kind = NOTICE_NODE, .node = 0 };
                struct buffer out = BUFFER_INIT(1000);
                char expected[200];

                nodes_now[0] = (struct inspect_node){ .state = NODE_UP, .reason = pairs[i][0] };
                snprintf(expected, sizeof(expected),
                         "{\"jsonrpc\":\"2.0\",\"method\":\"node\",\"params\":{\"name\":\"a\",\"state\":\"up\","
                         "\"reason\":"
                         "\"%s\"}}",
                         pairs[i][1]);
                ck_assert_int_eq(reply_print_notice(&out, &context, &node), 0);
                check_line(&out, expected);
                buffer_deinit(&out);
        }
}
END_TEST

START_TEST(a_line_that_does_not_fit_leaves_nothing)
{
        struct reply reply = { .method = METHOD_PING };
        const char *expected = "{\"jsonrpc\":\"2.0\",\"id\":17,\"result\":{}}\n";

        for (size_t max = 0; max < 2 + strlen(expected); ++max) {
                struct buffer out = BUFFER_INIT(max);

                if (max >= 2)
                        ck_assert_int_eq(buffer_append(&out, "ab", 2), 0);
                ck_assert_int_eq(reply_print(&out, &context, "17", &reply), -ENOBUFS);
                ck_assert_uint_eq(buffer_len(&out), max >= 2 ? 2 : 0);
                buffer_deinit(&out);
        }
}
END_TEST

START_TEST(a_line_is_put_behind_those_before_it)
{
        struct reply reply = { .method = METHOD_PING };
        struct buffer out = BUFFER_INIT(100);

        ck_assert_int_eq(reply_print(&out, &context, "1", &reply), 0);
        ck_assert_int_eq(reply_print(&out, &context, "2", &reply), 0);
        check_line(&out, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{}}");
        buffer_deinit(&out);
}
END_TEST

START_TEST(less_than_a_millisecond_of_validity_has_lapsed)
{
        struct reply_item items[] = { { .valid_until_ns = 5 * MS }, { .valid_until_ns = 3 * MS } };
        struct reply reply = { .method = METHOD_ADD, .items = items, .items_n = 2 };

        ck_assert(!reply_lapsed(&reply, 2 * MS));
        ck_assert(reply_lapsed(&reply, 2 * MS + 1));
        ck_assert(reply_lapsed(&reply, 9 * MS));
        reply.method = METHOD_EXTEND;
        ck_assert(reply_lapsed(&reply, 3 * MS));
        reply.method = METHOD_FREE;
        ck_assert(!reply_lapsed(&reply, 9 * MS));
        reply.method = METHOD_ADD;
        reply.error = ERROR_LOCKED;
        ck_assert(!reply_lapsed(&reply, 9 * MS));
}
END_TEST

START_TEST(without_memory_an_error_or_notice_leaves_nothing)
{
        struct wire_error error = { .name = ERROR_INVALID_PARAMS, .message = "\xff", .path = "p", .what = "w" };
        struct notice lost = { .kind = NOTICE_LOST, .key = { "k", 1 }, .value = "v" };
        struct buffer out = BUFFER_INIT(1000);
        uint64_t live = mem_live(), k;

        for (k = 1;; ++k) {
                mem_fail_at(k);
                if (reply_print_error(&out, "1", &error) == 0)
                        break;
                ck_assert_uint_eq(buffer_len(&out), 0);
                ck_assert_uint_eq(mem_live(), live);
        }
        ck_assert(!mem_failed());
        buffer_deinit(&out);
        for (k = 1;; ++k) {
                mem_fail_at(k);
                if (reply_print_notice(&out, &context, &lost) == 0)
                        break;
                ck_assert_uint_eq(buffer_len(&out), 0);
                ck_assert_uint_eq(mem_live(), live);
        }
        ck_assert(!mem_failed());
        buffer_deinit(&out);
}
END_TEST

START_TEST(without_memory_a_reply_leaves_nothing)
{
        static const enum vote_reason votes[] = { VOTE_ERROR, VOTE_DOWN, VOTE_LATE };
        struct holder holder = { .session = 1, .name = "me" };
        struct reply locked = {
                .method = METHOD_ADD, .error = ERROR_LOCKED, .items = taken, .items_n = 3, .holder = &holder
        };
        struct reply no_quorum = { .error = ERROR_NO_QUORUM, .votes = votes, .votes_n = 3 };
        struct reply limit = { .error = ERROR_LIMIT, .limit = "x" };
        struct reply freed = { .method = METHOD_FREE, .items = taken, .items_n = 3 };
        struct reply hello = { .method = METHOD_HELLO, .session = 3 };
        struct reply cancel = { .method = METHOD_CANCEL };
        struct reply granted = { .method = METHOD_ADD, .items = &acquired, .items_n = 1 };

        for (unsigned i = 0; i < 3; ++i)
                nodes_now[i] = (struct inspect_node){ NODE_DOWN, "bad \xff", "worse \xff", 1, 0 };
        check_without_memory(&locked);
        check_without_memory(&no_quorum);
        check_without_memory(&limit);
        check_without_memory(&granted);
        check_without_memory(&freed);
        check_without_memory(&hello);
        check_without_memory(&cancel);
}
END_TEST

UNIT_MAIN("reply", an_end_is_the_same_moment_whenever_it_is_told, a_granted_lock_is_shown_with_what_is_left_of_it,
          each_lock_has_its_state, freed_keys_stand_under_what_became_of_them, hello_names_the_server_and_its_limits,
          ping_and_cancel_have_short_answers, locked_names_the_tries_the_keys_and_the_holder,
          locked_joins_the_taken_keys_by_a_comma, deadlock_says_who_waits_for_what, no_quorum_says_why_for_each_node,
          strict_errors_name_their_keys, the_other_errors_are_short, an_error_of_the_wire_carries_its_data,
          notices_have_no_id, bytes_that_are_not_utf8_become_question_marks, a_line_that_does_not_fit_leaves_nothing,
          a_line_is_put_behind_those_before_it, less_than_a_millisecond_of_validity_has_lapsed,
          without_memory_an_error_or_notice_leaves_nothing, without_memory_a_reply_leaves_nothing)
