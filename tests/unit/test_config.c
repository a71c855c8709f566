/*
 * The configuration: comments and places, sections and ranges, and how errors are told.
 */
#include "unit/config_fixture.h"

#include <stdio.h>

START_TEST(an_empty_object_is_all_defaults)
{
        struct config c = good("{}");

        ck_assert_uint_eq(c.nodes_n, 1);
        ck_assert_str_eq(c.nodes[0].name, "memory");
        ck_assert_int_eq(c.nodes[0].address.kind, ADDRESS_MEMORY);
        ck_assert_int_eq(c.release_on, RELEASE_ON_DISCONNECT);
        ck_assert_uint_eq(c.lock.ttl_ms, 15000);
        ck_assert_uint_eq(c.lock.ttl_min_ms, 10);
        ck_assert_uint_eq(c.lock.ttl_max_ms, 60000);
        ck_assert_double_eq(c.lock.drift_factor, 0.01);
        ck_assert_int_eq(c.lock.retry_count, 200);
        ck_assert_uint_eq(c.lock.retry_delay_ms, 100);
        ck_assert_uint_eq(c.lock.retry_jitter_ms, 100);
        ck_assert_uint_eq(c.lock.tenure_ms, 500);
        ck_assert_str_eq(c.lock.key_prefix, "");
        ck_assert_str_eq(c.listen.socket, "/run/redlockd/redlockd.sock");
        ck_assert_uint_eq(c.listen.mode, 0660);
        ck_assert_ptr_null(c.listen.group);
        ck_assert_uint_eq(c.redis.connect_timeout_ms, 1000);
        ck_assert_uint_eq(c.redis.reconnect_min_ms, 50);
        ck_assert_uint_eq(c.redis.reconnect_max_ms, 2000);
        ck_assert(c.redis.restart_quarantine);
        ck_assert_uint_eq(c.limits.sessions_max, 10000);
        ck_assert_uint_eq(c.limits.request_bytes_max, 65536);
        ck_assert_uint_eq(c.limits.output_bytes_max, 1048576);
        ck_assert_uint_eq(c.limits.in_flight_max, 128);
        ck_assert_uint_eq(c.limits.keys_per_request_max, 64);
        ck_assert_uint_eq(c.limits.key_bytes_max, 512);
        ck_assert_uint_eq(c.limits.locks_per_session_max, 1024);
        ck_assert_uint_eq(c.access.admin_groups_n, 0);
        ck_assert_str_eq(c.log.level, "info");
        ck_assert_ptr_null(c.metrics.listen);
        ck_assert_uint_eq(c.stop.grace_ms, 5000);
        config_deinit(&c);
}
END_TEST

static void check_same(const struct config *a, const struct config *b)
{
        ck_assert_uint_eq(a->lock.ttl_ms, b->lock.ttl_ms);
        ck_assert_uint_eq(a->lock.ttl_min_ms, b->lock.ttl_min_ms);
        ck_assert_uint_eq(a->lock.ttl_max_ms, b->lock.ttl_max_ms);
        ck_assert_double_eq(a->lock.drift_factor, b->lock.drift_factor);
        ck_assert_int_eq(a->lock.retry_count, b->lock.retry_count);
        ck_assert_uint_eq(a->lock.retry_delay_ms, b->lock.retry_delay_ms);
        ck_assert_uint_eq(a->lock.retry_jitter_ms, b->lock.retry_jitter_ms);
        ck_assert_uint_eq(a->lock.tenure_ms, b->lock.tenure_ms);
        ck_assert_str_eq(a->lock.key_prefix, b->lock.key_prefix);
        ck_assert_str_eq(a->listen.socket, b->listen.socket);
        ck_assert_uint_eq(a->listen.mode, b->listen.mode);
        ck_assert_ptr_eq(a->listen.group, b->listen.group);
        ck_assert_uint_eq(a->redis.connect_timeout_ms, b->redis.connect_timeout_ms);
        ck_assert_uint_eq(a->redis.reconnect_min_ms, b->redis.reconnect_min_ms);
        ck_assert_uint_eq(a->redis.reconnect_max_ms, b->redis.reconnect_max_ms);
        ck_assert(a->redis.restart_quarantine == b->redis.restart_quarantine);
        ck_assert_mem_eq(&a->limits, &b->limits, sizeof(a->limits));
        ck_assert_uint_eq(a->access.admin_groups_n, b->access.admin_groups_n);
        ck_assert_str_eq(a->log.level, b->log.level);
        ck_assert_ptr_eq(a->metrics.listen, b->metrics.listen);
        ck_assert_uint_eq(a->stop.grace_ms, b->stop.grace_ms);
}

START_TEST(the_file_that_is_installed_changes_nothing)
{
        static struct errors errors;
        struct config shipped, defaults = good("{}");

        ck_assert_int_eq(config_load("conf/redlockd.json", NULL, &shipped, errors_put, &errors), 0);
        check_same(&shipped, &defaults);
        config_deinit(&shipped);
        config_deinit(&defaults);
}
END_TEST

START_TEST(metrics_are_listened_for_at_an_address_or_a_path)
{
        static const char *const fit[] = { "127.0.0.1:9725", "0.0.0.0:1", "[::1]:65535", "/run/redlockd/metrics.sock" };
        static const char *const unfit[] = {
                "\"\"",       "\"h:1\"",   "\"127.0.0.1\"", "\"127.0.0.1:65536\"", "\":1\"", "5",
                "\"[::1]1\"", "\"::1:1\"", "\"[h]:1\"",     "\"127.0.0.1: 1\"",    "{}"
        };
        char json[128];
        size_t i;

        for (i = 0; i < sizeof(fit) / sizeof(fit[0]); ++i) {
                struct config c;

                snprintf(json, sizeof(json), "{\"metrics\":{\"listen\":\"%s\"}}", fit[i]);
                c = good(json);
                ck_assert_str_eq(c.metrics.listen, fit[i]);
                config_deinit(&c);
        }
        for (i = 0; i < sizeof(unfit) / sizeof(unfit[0]); ++i) {
                snprintf(json, sizeof(json), "{\"metrics\":{\"listen\":%s}}", unfit[i]);
                check_errors(json,
                             "f:1:13: metrics.listen: must be ADDRESS:PORT (an IPv6 address in brackets), the path of "
                             "a socket, or null\n");
        }
}
END_TEST

START_TEST(admin_groups_are_kept)
{
        struct config c = good("{\"access\":{\"adminGroups\":[\"a\",\"b\"]}}");

        ck_assert_uint_eq(c.access.admin_groups_n, 2);
        ck_assert_str_eq(c.access.admin_groups[0], "a");
        ck_assert_str_eq(c.access.admin_groups[1], "b");
        config_deinit(&c);
}
END_TEST

START_TEST(every_setting_reaches_its_place)
{
        struct config c =
                good("{\"lock\":{\"ttl\":101,\"minTtl\":100,\"maxTtl\":102,\"driftFactor\":0.05,\"retryCount\":-1,"
                     "\"retryDelay\":103,\"retryJitter\":104,\"tenure\":105,\"keyPrefix\":\"p:\"},"
                     "\"listen\":{\"socket\":\"/s\",\"mode\":\"0600\",\"group\":\"daemon\"},"
                     "\"redis\":{\"connectTimeout\":201,\"reconnectMin\":202,\"reconnectMax\":203,"
                     "\"restartQuarantine\":false},"
                     "\"limits\":{\"maxSessions\":301,\"maxRequestBytes\":302,\"maxOutputBytes\":30300,"
                     "\"maxInFlight\":304,\"maxKeysPerRequest\":35,\"maxKeyBytes\":306,"
                     "\"maxLocksPerSession\":307,\"maxSessionsPerUid\":308,\"maxWaitersPerKey\":309,\"maxLocks\":310},"
                     "\"access\":{\"adminGroups\":[\"wheel\"],\"rules\":[]},"
                     "\"log\":{\"level\":\"debug\"},\"stop\":{\"grace\":401},\"releaseOn\":\"exit\"}");

        ck_assert_int_eq(c.release_on, RELEASE_ON_EXIT);
        ck_assert_uint_eq(c.lock.ttl_ms, 101);
        ck_assert_uint_eq(c.lock.ttl_min_ms, 100);
        ck_assert_uint_eq(c.lock.ttl_max_ms, 102);
        ck_assert_double_eq(c.lock.drift_factor, 0.05);
        ck_assert_int_eq(c.lock.retry_count, -1);
        ck_assert_uint_eq(c.lock.retry_delay_ms, 103);
        ck_assert_uint_eq(c.lock.retry_jitter_ms, 104);
        ck_assert_uint_eq(c.lock.tenure_ms, 105);
        ck_assert_str_eq(c.lock.key_prefix, "p:");
        ck_assert_str_eq(c.listen.socket, "/s");
        ck_assert_uint_eq(c.listen.mode, 0600);
        ck_assert_str_eq(c.listen.group, "daemon");
        ck_assert_uint_eq(c.redis.connect_timeout_ms, 201);
        ck_assert_uint_eq(c.redis.reconnect_min_ms, 202);
        ck_assert_uint_eq(c.redis.reconnect_max_ms, 203);
        ck_assert(!c.redis.restart_quarantine);
        ck_assert_uint_eq(c.limits.sessions_max, 301);
        ck_assert_uint_eq(c.limits.request_bytes_max, 302);
        ck_assert_uint_eq(c.limits.output_bytes_max, 30300);
        ck_assert_uint_eq(c.limits.in_flight_max, 304);
        ck_assert_uint_eq(c.limits.keys_per_request_max, 35);
        ck_assert_uint_eq(c.limits.key_bytes_max, 306);
        ck_assert_uint_eq(c.limits.locks_per_session_max, 307);
        ck_assert_uint_eq(c.limits.sessions_per_uid_max, 308);
        ck_assert_uint_eq(c.limits.waiters_per_key_max, 309);
        ck_assert_uint_eq(c.limits.locks_max, 310);
        ck_assert_str_eq(c.log.level, "debug");
        ck_assert_uint_eq(c.stop.grace_ms, 401);
        config_deinit(&c);
}
END_TEST

START_TEST(comments_of_three_kinds_are_allowed)
{
        accept("// \"one\"\n# two {\n{ /* three\n * } */ \"log\": { \"level\": \"warn\" } # end\n} // end");
        accept("{}#");
        accept("{/**/}");
}
END_TEST

START_TEST(what_looks_like_a_comment_in_a_string_is_none)
{
        struct config c = good("{\"lock\":{\"keyPrefix\":\"//a#b/*c\\\"//\"}}");

        ck_assert_str_eq(c.lock.key_prefix, "//a#b/*c\"//");
        config_deinit(&c);
}
END_TEST

START_TEST(a_comment_without_its_end_is_an_error)
{
        check_errors("{}\n /* *", "f:2:2: a comment without its end\n");
        check_errors("{}/*/", "f:1:3: a comment without its end\n");
}
END_TEST

START_TEST(comments_do_not_move_the_places_behind_them)
{
        check_errors("/* \xc3\xa9\xc3\xa9\n */ {\n# x\n  \"lock\": { /* \xe2\x82\xac */ \"ttl\": 0 } }",
                     "f:4:21: lock.ttl: must be an integer from 1 to 86400000\n");
}
END_TEST

START_TEST(a_syntax_error_has_its_place)
{
        check_errors("", "f:1:1: unexpected token near end of file\n");
        check_errors("{\n  \"log\": x\n}", "f:2:10: invalid token\n");
        check_errors("{\n  \"log\": {}\n", "f:2:12: '}' expected near end of file\n");
        check_errors("{} {}", "f:1:4: end of file expected\n");
        check_errors("{\"\xc3\xa9\":\"\xff\"}", "f:1:7: unable to decode byte 0xff\n");
        check_errors("{\"a\\u0000\":1}", "f:1:10: NUL byte in object key not supported\n");
}
END_TEST

START_TEST(an_unknown_name_is_an_error_with_what_was_meant)
{
        check_errors("{\n  \"lock\": {\n    \"retryCout\": 5\n  }\n}",
                     "f:3:5: lock.retryCout: unknown name (did you mean retryCount?)\n");
        check_errors("{\"lcok\":{}}", "f:1:2: lcok: unknown name (did you mean lock?)\n");
        check_errors("{\"Lock\":{}}", "f:1:2: Lock: unknown name (did you mean lock?)\n");
        check_errors("{\"lock\":{\"TTL\":5}}", "f:1:10: lock.TTL: unknown name (did you mean ttl?)\n");
        check_errors("{\"lock\":{\"timeout\":5}}", "f:1:10: lock.timeout: unknown name\n");
        check_errors("{\"stop\":{\"level\":5}}", "f:1:10: stop.level: unknown name\n");
        check_errors("{\"lock\":{\"at\":5}}", "f:1:10: lock.at: unknown name\n");
        check_errors("{\"x\":{}}", "f:1:2: x: unknown name\n");
        check_errors("{\"\":{}}", "f:1:2: unknown name\n");
}
END_TEST

START_TEST(all_errors_are_told_in_their_order)
{
        check_errors("{\"x\": 1,\n \"lock\": {\"ttl\": \"a\", \"y\": [{\"ttl\": 1}], \"tenure\": -1},\n \"log\": [],\n"
                     " \"stop\": {\"grace\": 1.0}}",
                     "f:1:2: x: unknown name\n"
                     "f:2:11: lock.ttl: must be an integer from 1 to 86400000\n"
                     "f:2:23: lock.y: unknown name\n"
                     "f:2:42: lock.tenure: must be an integer from 0 to 60000\n"
                     "f:3:2: log: must be an object\n"
                     "f:4:11: stop.grace: must be an integer from 0 to 3600000\n");
}
END_TEST

START_TEST(a_name_given_twice_is_an_error)
{
        check_errors("{\"log\":{},\n\"log\":{}}", "f:2:1: log: given twice\n");
        check_errors("{\"lock\":{\"ttl\":100, \"tt\\u006c\":100}}", "f:1:21: lock.ttl: given twice\n");
        check_errors("{\"lock\":{\"ttl\":100}, \"lock\":{\"ttl\":100}}",
                     "f:1:22: lock: given twice\nf:1:30: lock.ttl: given twice\n");
}
END_TEST

START_TEST(names_are_shown_without_control_characters)
{
        check_errors("{\"a\\u001b[31m\\u007f\":1}", "f:1:2: a?[31m?: unknown name\n");
        check_errors("{\"a\\u009b31m\":1}", "f:1:2: a??31m: unknown name\n");
        check_errors(
                "{\"access\":{\"rules\":[{\"keys\":\"a\",\"users\":[\"no\\u001b[2J\\u007fbody\"],\"allow\":true}]}}",
                "f:1:42: access.rules[0].users[0]: there is no user \"no?[2J?body\"\n");
}
END_TEST

START_TEST(a_long_name_is_cut)
{
        char json[400], expected[400];

        snprintf(json, sizeof(json), "{\"lock\":{\"%0200d\":1}}", 0);
        snprintf(expected, sizeof(expected), "f:1:10: lock.%064d: unknown name\n", 0);
        check_errors(json, expected);
}
END_TEST

START_TEST(the_whole_is_an_object)
{
        check_errors(" []", "f:1:2: the configuration must be an object\n");
        check_errors("5", "f:1:1: the configuration must be an object\n");
}
END_TEST

START_TEST(numbers_have_their_ranges)
{
        static const struct {
                const char *section, *name;
                int64_t low, high;
        } ranges[] = {
                { "lock", "ttl", 10, 60000 }, /* minTtl to maxTtl */
                { "lock", "minTtl", 1, 15000 },
                { "lock", "maxTtl", 15000, 86400000 },
                { "lock", "retryCount", -1, 1000000000 },
                { "lock", "retryDelay", 0, 86400000 },
                { "lock", "retryJitter", 0, 86400000 },
                { "lock", "tenure", 0, 60000 },
                { "redis", "connectTimeout", 10, 60000 },
                { "redis", "reconnectMin", 1, 2000 },
                { "redis", "reconnectMax", 50, 3600000 },
                { "limits", "maxSessions", 1, 1000000 },
                { "limits", "maxRequestBytes", 256, 16777216 },
                { "limits", "maxOutputBytes", 4096, 1073741824 },
                { "limits", "maxInFlight", 1, 65536 },
                { "limits", "maxKeysPerRequest", 1, 64 },
                { "limits", "maxKeyBytes", 1, 65536 },
                { "limits", "maxLocksPerSession", 1, 1000000 },
                { "stop", "grace", 0, 3600000 },
        };
        static struct errors errors;
        struct config c;
        char json[100];

        for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); ++i) {
                for (int step = 0; step < 4; ++step) {
                        int64_t value = step < 2 ? ranges[i].low - step : ranges[i].high + step - 2;
                        bool right = step == 0 || step == 2;
                        int r;

                        snprintf(json, sizeof(json), "{\"%s\":{\"%s\":%lld}}", ranges[i].section, ranges[i].name,
                                 (long long)value);
                        errors.len = 0;
                        r = config_parse(text_of(json), "f", NULL, &c, errors_put, &errors);
                        ck_assert_msg(r == (right ? 0 : -EINVAL), "%s", json);
                        ck_assert(right || errors.len > 0);
                        if (r == 0)
                                config_deinit(&c);
                }
        }
}
END_TEST

START_TEST(values_have_their_types)
{
        static const char *const bad[] = {
                "{\"lock\":{\"ttl\":\"100\"}}",
                "{\"lock\":{\"ttl\":100.0}}",
                "{\"lock\":{\"ttl\":1e3}}",
                "{\"lock\":{\"ttl\":null}}",
                "{\"lock\":{\"ttl\":99999999999999999999}}",
                "{\"lock\":{\"driftFactor\":-0.01}}",
                "{\"lock\":{\"driftFactor\":0.11}}",
                "{\"lock\":{\"driftFactor\":\"0\"}}",
                "{\"lock\":{\"driftFactor\":99999999999999999999}}",
                "{\"lock\":{\"keyPrefix\":5}}",
                "{\"lock\":{\"keyPrefix\":null}}",
                "{\"lock\":{\"keyPrefix\":\"a\\u0000\"}}",
                "{\"listen\":{\"socket\":\"\"}}",
                "{\"listen\":{\"socket\":null}}",
                "{\"listen\":{\"mode\":432}}",
                "{\"listen\":{\"mode\":\"\"}}",
                "{\"listen\":{\"mode\":\"60\"}}",
                "{\"listen\":{\"mode\":\"0680\"}}",
                "{\"listen\":{\"mode\":\"1660\"}}",
                "{\"listen\":{\"mode\":\"00660\"}}",
                "{\"listen\":{\"mode\":\" 660\"}}",
                "{\"listen\":{\"group\":\"\"}}",
                "{\"listen\":{\"group\":5}}",
                "{\"redis\":{\"restartQuarantine\":1}}",
                "{\"access\":{\"adminGroups\":\"wheel\"}}",
                "{\"access\":{\"adminGroups\":[5]}}",
                "{\"access\":{\"adminGroups\":[\"\"]}}",
                "{\"access\":{\"adminGroups\":{}}}",
                "{\"log\":{\"level\":\"INFO\"}}",
                "{\"log\":{\"level\":\"\"}}",
                "{\"log\":{\"level\":3}}",
                "{\"lock\":[]}",
                "{\"lock\":null}",
        };
        static struct errors errors;
        struct config c;

        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); ++i) {
                errors.len = 0;
                ck_assert_msg(config_parse(text_of(bad[i]), "f", NULL, &c, errors_put, &errors) == -EINVAL, "%s",
                              bad[i]);
                ck_assert_ptr_eq(strchr(errors.text, '\n'), errors.text + errors.len - 1);
        }
        accept("{\"lock\":{\"driftFactor\":0}}");
        accept("{\"lock\":{\"driftFactor\":1e-1}}");
        accept("{\"listen\":{\"mode\":\"777\",\"group\":null}}");
        accept("{\"access\":{\"adminGroups\":[]}}");
}
END_TEST

START_TEST(a_number_that_no_integer_holds_is_refused_at_its_place)
{
        check_errors("{\"lock\":{\"ttl\":99999999999999999999,\"retryCount\":-9223372036854775809}}",
                     "f:1:10: lock.ttl: must be an integer from 1 to 86400000\n"
                     "f:1:37: lock.retryCount: must be an integer from -1 to 1000000000\n");
}
END_TEST

START_TEST(strings_have_their_lengths)
{
        char json[300];

        snprintf(json, sizeof(json), "{\"lock\":{\"keyPrefix\":\"%0128d\"},\"listen\":{\"socket\":\"%0107d\"}}", 0, 0);
        accept(json);
        snprintf(json, sizeof(json), "{\"lock\":{\"keyPrefix\":\"%0129d\"}}", 0);
        check_errors(json, "f:1:10: lock.keyPrefix: must be a string of 0 to 128 bytes without NUL\n");
        snprintf(json, sizeof(json), "{\"listen\":{\"socket\":\"%0108d\"}}", 0);
        check_errors(json, "f:1:12: listen.socket: must be a string of 1 to 107 bytes without NUL\n");
}
END_TEST

START_TEST(the_prefix_of_keys_is_not_the_brokers_own)
{
        check_errors("{\"lock\":{\"keyPrefix\":\"redlockd:\"}}",
                     "f:1:10: lock.keyPrefix: must not begin with redlockd:, which is the broker's own\n");
        accept("{\"lock\":{\"keyPrefix\":\"redlockd\"}}");
}
END_TEST

START_TEST(release_on_is_one_of_two_words)
{
        static const char *const bad[] = { "\"Exit\"", "\"\"",       "\"exit\\u0000\"",     "null", "true", "5",
                                           "{}",       "[\"exit\"]", "99999999999999999999" };
        struct config c = good("{\"releaseOn\":\"disconnect\"}");
        char json[100];

        ck_assert_int_eq(c.release_on, RELEASE_ON_DISCONNECT);
        config_deinit(&c);
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); ++i) {
                snprintf(json, sizeof(json), "{\n \"releaseOn\": %s}", bad[i]);
                check_errors(json, "f:2:2: releaseOn: must be \"disconnect\" or \"exit\"\n");
        }
        check_errors("{\"releaseOn\":\"exit\",\"releaseOn\":\"exit\"}", "f:1:21: releaseOn: given twice\n");
        check_errors("{\"releaseon\":\"exit\"}", "f:1:2: releaseon: unknown name (did you mean releaseOn?)\n");
        check_errors("{\"lock\":{\"releaseOn\":\"exit\"}}", "f:1:10: lock.releaseOn: unknown name\n");
}
END_TEST

START_TEST(bounds_are_in_order)
{
        check_errors("{\"lock\":{\"ttl\":9}}", "f:1:10: lock.ttl: must not be less than lock.minTtl (10)\n");
        check_errors("{\"lock\":{\"ttl\":60001}}", "f:1:10: lock.ttl: must not be greater than lock.maxTtl (60000)\n");
        check_errors("{\"lock\":{\"minTtl\":15001}}",
                     "f:1:10: lock.minTtl: must not be greater than lock.ttl (15000)\n");
        check_errors("{\"lock\":{\"maxTtl\":14999}}", "f:1:10: lock.maxTtl: must not be less than lock.ttl (15000)\n");
        check_errors("{\"redis\":{\"reconnectMin\":3000}}",
                     "f:1:11: redis.reconnectMin: must not be greater than redis.reconnectMax (2000)\n");
        check_errors("{\"redis\":{\"reconnectMin\":5,\"reconnectMax\":4}}",
                     "f:1:28: redis.reconnectMax: must not be less than redis.reconnectMin (5)\n");
        accept("{\"lock\":{\"ttl\":20,\"minTtl\":20,\"maxTtl\":20}}");
}
END_TEST

START_TEST(a_bound_that_was_refused_is_not_compared)
{
        check_errors("{\"lock\":{\"minTtl\":0,\"ttl\":5}}",
                     "f:1:10: lock.minTtl: must be an integer from 1 to 86400000\n");
}
END_TEST

START_TEST(without_memory_nothing_is_left)
{
        const char *json =
                "{\"nodes\":[\"redis://u:p@a:1\",{\"url\":\"unix:///r\",\"name\":\"b\"}],"
                "\"releaseOn\":\"exit\","
                "\"lock\":{\"keyPrefix\":\"a prefix longer than a token\"},\"listen\":{\"group\":\"daemon\"}}";
        static struct errors errors;
        struct config c;
        uint64_t live, k = 1;

        accept(json);
        live = mem_live();
        for (;; ++k) {
                int r;

                mem_fail_at(k);
                r = config_parse(text_of(json), "f", NULL, &c, errors_put, &errors);
                if (r == 0)
                        break;
                ck_assert_int_eq(r, -ENOMEM);
                ck_assert(mem_failed());
                ck_assert_uint_eq(mem_live(), live);
        }
        ck_assert(!mem_failed());
        mem_fail_at(0);
        ck_assert_uint_eq(errors.len, 0);
        ck_assert_str_eq(c.lock.key_prefix, "a prefix longer than a token");
        config_deinit(&c);
        ck_assert_uint_eq(mem_live(), live);
}
END_TEST

UNIT_MAIN("config", the_file_that_is_installed_changes_nothing, metrics_are_listened_for_at_an_address_or_a_path,
          admin_groups_are_kept, an_empty_object_is_all_defaults, every_setting_reaches_its_place,
          comments_of_three_kinds_are_allowed, what_looks_like_a_comment_in_a_string_is_none,
          a_comment_without_its_end_is_an_error, comments_do_not_move_the_places_behind_them,
          a_syntax_error_has_its_place, an_unknown_name_is_an_error_with_what_was_meant,
          all_errors_are_told_in_their_order, a_name_given_twice_is_an_error,
          names_are_shown_without_control_characters, a_long_name_is_cut, the_whole_is_an_object,
          numbers_have_their_ranges, values_have_their_types, a_number_that_no_integer_holds_is_refused_at_its_place,
          the_prefix_of_keys_is_not_the_brokers_own, strings_have_their_lengths, release_on_is_one_of_two_words,
          bounds_are_in_order, a_bound_that_was_refused_is_not_compared, without_memory_nothing_is_left)
