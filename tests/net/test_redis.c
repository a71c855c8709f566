/*
 * The life of a node's connections: introduction, refusals, time-outs, addresses. How they are closed is in
 * test_redis_close.c, what is sent and answered on them in test_redis_answers.c.
 */
#include "net/resolver.h"
#include "net/scene.h"
#include "redlockd/net/clock.h"
#include "unit/unit.h"

#include <errno.h>
#include <unistd.h>

START_TEST(the_introduction_comes_in_one_go)
{
        static const char *const commands[4] = { "PING", "INFO", "CLIENT SETNAME redlockd", "CLIENT ID" };
        struct scene s;

        scene_up(&s);
        ck_assert_uint_eq(s.fake.commands_n, FAKE_INTRODUCTION_N);
        for (unsigned i = 0; i < FAKE_INTRODUCTION_N; ++i)
                ck_assert_str_eq(s.fake.commands[i], i < 4 ? commands[i] : "SCRIPT LOAD <script>");
        ck_assert_uint_eq(s.fake.reads_n, 1);
        ck_assert_str_eq(redis_version(s.redis), "7.0.15");
        ck_assert_str_eq(redis_run_id(s.redis), "0123456789012345678901234567890123456789");
        ck_assert_uint_gt(redis_rtt_us(s.redis), 0);
        scene_end(&s);
}
END_TEST

static void check_auth(const char *user, const char *password, unsigned db, const char *first, const char *second)
{
        struct scene s;

        scene_ready(&s);
        s.address.user = (char *)(uintptr_t)user;
        s.address.password = (char *)(uintptr_t)password;
        s.address.db = db;
        scene_start(&s);
        scene_expect(&s, "up");
        ck_assert_str_eq(s.fake.commands[0], first);
        ck_assert_str_eq(s.fake.commands[1], second);
        scene_end(&s);
}

START_TEST(auth_and_select_come_first)
{
        check_auth(NULL, "s3cret", 0, "AUTH s3cret", "PING");
        check_auth("alice", "s3cret", 7, "AUTH alice s3cret", "SELECT 7");
        check_auth(NULL, NULL, 7, "SELECT 7", "PING");
        /* a user of an ACL with `nopass` */
        check_auth("alice", NULL, 0, "AUTH alice ", "PING");
}
END_TEST

static void check_refused(const char *command, const char *reply, const char *line)
{
        struct scene s;

        scene_ready(&s);
        s.address.user = (char *)(uintptr_t) "alice";
        s.address.password = (char *)(uintptr_t) "s3cret";
        s.address.db = 1;
        fake_redis_rule(&s.fake, command, reply);
        scene_start(&s);
        scene_expect(&s, line);
        ck_assert_int_eq(scene_take(&s, 1), -ENOTCONN);
        /* it tries on, says nothing more, and comes up when it may */
        scene_until(&s, s.fake.connections_n >= 3);
        fake_redis_rule(&s.fake, command, NULL);
        scene_expect(&s, "up");
        scene_end(&s);
}

START_TEST(an_error_to_the_introduction_is_the_reason)
{
        check_refused("PING", "-NOAUTH Authentication required.\r\n", "down PING: NOAUTH Authentication required.");
        check_refused("AUTH", "-WRONGPASS invalid username-password pair\r\n",
                      "down AUTH: WRONGPASS invalid username-password pair");
        check_refused("PING", "-LOADING Redis is loading the dataset in memory\r\n",
                      "down PING: LOADING Redis is loading the dataset in memory");
        check_refused("SELECT", "-ERR DB index is out of range\r\n", "down SELECT: ERR DB index is out of range");
        check_refused("PING", "+OK\r\n", "down an answer of the wrong shape to PING");
        check_refused("AUTH", ":1\r\n", "down an answer of the wrong shape to AUTH");
        check_refused("SCRIPT", "$3\r\nabc\r\n", "down an answer of the wrong shape to SCRIPT LOAD");
        check_refused("INFO", "*0\r\n", "down an answer of the wrong shape to INFO");
}
END_TEST

START_TEST(a_password_is_never_in_a_reason)
{
        check_refused("AUTH", "-ERR unknown command 'AUTH', with args beginning with: 'alice' 's3cret' \r\n",
                      "down AUTH: ERR unknown command");
        check_refused("AUTH", "-ERR unknown command `AUTH`, with args beginning with: `alice`, `s3cret`, \r\n",
                      "down AUTH: ERR unknown command");
        check_refused("AUTH", "-ERR what is this s3cret\r\n", "down AUTH: refused");
        /* one answer too many before it, and the error to AUTH is taken for another one's */
        check_refused("SELECT", "-ERR unknown command 'AUTH', with args beginning with: 'alice' 's3cret' \r\n",
                      "down SELECT: refused");
        check_refused("PING", "-ERR unknown command 'AUTH', with args beginning with: 'alice' 's3cret' \r\n",
                      "down refused");
}
END_TEST

START_TEST(an_error_that_comes_unasked_is_the_reason)
{
        struct scene s;

        scene_ready(&s);
        s.fake.farewell = "-ERR max number of clients reached\r\n";
        scene_start(&s);
        scene_expect(&s, "down PING: ERR max number of clients reached");
        s.fake.farewell = NULL;
        scene_expect(&s, "up");
        scene_end(&s);
}
END_TEST

START_TEST(what_is_for_people_may_be_refused)
{
        struct scene s;

        scene_ready(&s);
        fake_redis_rule(&s.fake, "CLIENT", "-NOPERM no\r\n");
        fake_redis_rule(&s.fake, "CLIENT ID", "-NOPERM no\r\n");
        fake_redis_rule(&s.fake, "SCRIPT", "-NOPERM no\r\n");
        scene_start(&s);
        scene_expect(&s, "up");
        /* without their names the scripts are always sent whole */
        fake_redis_rule(&s.fake, "EVAL", "$13\r\n1 0 5000 1024\r\n");
        for (unsigned i = 1; i <= 2; ++i) {
                scene_take(&s, i);
                scene_expect(&s, "granted *");
        }
        ck_assert_uint_eq(fake_redis_count(&s.fake, "EVAL <script> 1 k 15000  " SCENE_VALUE), 2);
        scene_end(&s);
}
END_TEST

START_TEST(a_node_that_is_refused_tries_on_and_joins_later)
{
        struct scene s;

        scene_init(&s);
        fake_redis_bind_tcp(&s.fake, &s.loop, "127.0.0.1");
        resolver_set("node.test", "127.0.0.1", NULL);
        scene_node_tcp(&s, "node.test", s.fake.port);
        scene_start(&s);
        scene_expect(&s, "down connect to 127.0.0.1: connection refused");
        scene_until(&s, resolver_calls() >= 5);
        fake_redis_listen(&s.fake);
        /* the tries between were not told again */
        scene_expect(&s, "up");
        scene_end(&s);
}
END_TEST

START_TEST(the_delay_between_tries_doubles_and_starts_anew_after_success)
{
        uint64_t before, full = 1;
        struct scene s;

        scene_init(&s);
        s.options.reconnect_max_ms = 60000;
        fake_redis_bind_tcp(&s.fake, &s.loop, "127.0.0.1");
        resolver_set("node.test", "127.0.0.1", NULL);
        scene_node_tcp(&s, "node.test", s.fake.port);
        scene_start(&s);
        scene_expect(&s, "down connect to 127.0.0.1: connection refused");
        for (unsigned i = 1; i <= 9; ++i, full *= 2) {
                before = clock_now_ns();
                scene_until(&s, resolver_calls() > i);
                /* a millisecond for the loop's own clock, which stands while it works */
                ck_assert_uint_ge((clock_now_ns() - before) / 1000000 + 2, full / 2);
        }
        fake_redis_listen(&s.fake);
        scene_expect(&s, "up");
        fake_redis_hang_up(&s.fake);
        scene_expect(&s, "down connection: closed by the server");
        before = clock_now_ns();
        scene_expect(&s, "up");
        ck_assert_uint_lt((clock_now_ns() - before) / 1000000, full / 2);
        scene_end(&s);
}
END_TEST

START_TEST(a_name_that_is_unknown_is_a_reason)
{
        struct scene s;

        scene_init(&s);
        resolver_set("node.test", NULL, NULL);
        scene_node_tcp(&s, "node.test", 1);
        scene_start(&s);
        scene_expect(&s, "down resolve: unknown node or service");
        scene_end(&s);
}
END_TEST

START_TEST(addresses_are_tried_in_order)
{
        struct scene s;

        scene_init(&s);
        fake_redis_bind_tcp(&s.fake, &s.loop, "127.0.0.1");
        fake_redis_listen(&s.fake);
        resolver_set("node.test", "127.0.0.2", "127.0.0.1");
        scene_node_tcp(&s, "node.test", s.fake.port);
        scene_start(&s);
        scene_expect(&s, "up");
        ck_assert_uint_eq(resolver_calls(), 1);
        scene_end(&s);
}
END_TEST

START_TEST(an_address_that_swallows_connections_lets_the_next_one_have_its_turn)
{
        struct scene s;
        int fds[SCENE_HOLE_N];

        scene_timeout_ms = SCENE_SHORT_MS;
        scene_init(&s);
        fake_redis_bind_tcp(&s.fake, &s.loop, "127.0.0.1");
        fake_redis_listen(&s.fake);
        scene_hole("127.0.0.2", s.fake.port, fds);
        resolver_set("node.test", "127.0.0.2", "127.0.0.1");
        scene_node_tcp(&s, "node.test", s.fake.port);
        scene_start(&s);
        scene_expect(&s, SCENE_LATE);
        scene_expect(&s, "up");
        ck_assert_uint_eq(resolver_calls(), 2);
        scene_end(&s);
        for (int i = 0; i < SCENE_HOLE_N; ++i)
                close(fds[i]);
}
END_TEST

static void check_ipv6(const char *host, const char *ip, unsigned calls)
{
        struct scene s;

        scene_init(&s);
        fake_redis_bind_tcp(&s.fake, &s.loop, "::1");
        fake_redis_listen(&s.fake);
        resolver_set(host, ip, NULL);
        scene_node_tcp(&s, host, s.fake.port);
        scene_start(&s);
        scene_expect(&s, "up");
        ck_assert_uint_eq(resolver_calls(), calls);
        scene_end(&s);
}

START_TEST(ipv6_is_as_good)
{
        check_ipv6("::1", NULL, 0);
        check_ipv6("node.test", "::1", 1);
}
END_TEST

START_TEST(a_number_is_not_resolved)
{
        struct scene s;

        /* nor does it wait for the threads that are at work on names */
        scene_ready(&s);
        resolver_set("127.0.0.1", NULL, NULL);
        scene_start(&s);
        scene_expect(&s, "up");
        ck_assert_uint_eq(resolver_calls(), 0);
        scene_end(&s);
}
END_TEST

START_TEST(a_hang_in_the_introduction_times_out)
{
        struct scene s;

        scene_timeout_ms = SCENE_SHORT_MS;
        scene_ready(&s);
        s.fake.mute = true;
        scene_start(&s);
        scene_expect(&s, SCENE_LATE);
        scene_until(&s, s.fake.ended == UV_ECONNRESET);
        s.fake.mute = false;
        scene_expect(&s, "up");
        scene_end(&s);
}
END_TEST

START_TEST(a_hang_in_resolving_times_out)
{
        struct scene s;

        scene_timeout_ms = SCENE_SHORT_MS;
        scene_init(&s);
        fake_redis_bind_tcp(&s.fake, &s.loop, "127.0.0.1");
        fake_redis_listen(&s.fake);
        resolver_set("node.test", "127.0.0.1", NULL);
        resolver_hold();
        scene_node_tcp(&s, "node.test", s.fake.port);
        scene_start(&s);
        scene_expect(&s, SCENE_LATE);
        resolver_let_go();
        scene_expect(&s, "up");
        scene_end(&s);
}
END_TEST

static void send_on_down(struct scene *s, const char *line)
{
        if (strncmp(line, "down", 4) == 0 || strncmp(line, "lost", 4) == 0)
                ck_assert_int_eq(scene_take(s, 99), -ENOTCONN);
}

START_TEST(a_hang_is_given_up_by_reset_and_what_is_owed_is_lost_in_order)
{
        struct scene s;

        scene_timeout_ms = SCENE_SHORT_MS;
        scene_up(&s);
        s.react = send_on_down;
        scene_take(&s, 1);
        scene_release(&s, 2);
        scene_take(&s, 3);
        scene_expect(&s, SCENE_LATE);
        scene_expect(&s, "lost 1");
        scene_expect(&s, "lost 2");
        scene_expect(&s, "lost 3");
        scene_until(&s, s.fake.ended_n > 0);
        ck_assert_int_eq(s.fake.ended, UV_ECONNRESET);
        ck_assert_uint_eq(fake_redis_count(&s.fake, "EVALSHA"), 3);
        scene_expect(&s, "up");
        /* the new connection owes nothing of the old */
        scene_take(&s, 4);
        fake_redis_rule(&s.fake, "EVALSHA", "$13\r\n1 0 5000 1024\r\n");
        scene_expect(&s, "granted 4 0 5");
        scene_end(&s);
}
END_TEST

START_TEST(an_idle_connection_is_asked_and_given_up_when_it_does_not_answer)
{
        struct scene s;

        scene_timeout_ms = SCENE_SHORT_MS;
        scene_heartbeat_ms = SCENE_SHORT_MS;
        scene_up(&s);
        scene_until(&s, fake_redis_count(&s.fake, "PING") >= 3);
        s.fake.mute = true;
        scene_expect(&s, SCENE_LATE);
        scene_until(&s, s.fake.ended == UV_ECONNRESET);
        s.fake.mute = false;
        scene_expect(&s, "up");
        fake_redis_rule(&s.fake, "PING", "-BUSY Redis is busy running a script.\r\n");
        scene_expect(&s, "down PING: BUSY Redis is busy running a script.");
        scene_end(&s);
}
END_TEST

/* Runs at the end of a turn: once the fake has answered, this process stands still for longer than any time-out. */
static void standstill_cb(uv_check_t *check)
{
        struct scene *s = check->data;
        uint64_t until;

        if (fake_redis_count(&s->fake, "EVALSHA") == 0)
                return;
        uv_check_stop(check);
        until = clock_now_ns() + UINT64_C(3000000) * SCENE_SHORT_MS;
        while (clock_now_ns() < until)
                continue;
}

static void stop_loop(struct scene *s, const char *line)
{
        uv_stop(&s->loop);
}

START_TEST(an_answer_that_lay_there_while_this_process_stood_still_counts)
{
        uv_check_t check;
        struct scene s;

        scene_timeout_ms = SCENE_SHORT_MS;
        scene_up(&s);
        fake_redis_rule(&s.fake, "EVALSHA", "$13\r\n1 0 5000 1024\r\n");
        uv_check_init(&s.loop, &check);
        check.data = &s;
        uv_check_start(&check, standstill_cb);
        scene_take(&s, 1);
        /* as a daemon runs it: turn by turn, libuv looks at its timers twice before it looks at its sockets again */
        s.react = stop_loop;
        uv_run(&s.loop, UV_RUN_DEFAULT);
        scene_expect(&s, "granted 1 0 5");
        uv_close((uv_handle_t *)&check, NULL);
        scene_end(&s);
}
END_TEST

START_TEST(a_unix_socket_that_stalls_is_kept)
{
        struct scene s;

        scene_timeout_ms = SCENE_SHORT_MS;
        scene_up_unix(&s);
        scene_take(&s, 1);
        scene_release(&s, 2);
        scene_expect(&s, SCENE_LATE);
        ck_assert_int_eq(scene_take(&s, 3), -ENOTCONN);
        fake_redis_reply(&s.fake, "$13\r\n1 0 5000 1024\r\n");
        scene_expect(&s, "granted 1 0 5");
        ck_assert_int_eq(scene_take(&s, 3), -ENOTCONN);
        fake_redis_reply(&s.fake, "$10\r\n1 0 6000 1\r\n");
        scene_expect(&s, "granted 2 1 6");
        scene_expect(&s, "up");
        scene_take(&s, 3);
        scene_until(&s, fake_redis_count(&s.fake, "EVALSHA") == 3);
        fake_redis_reply(&s.fake, "$10\r\n1 0 7000 9\r\n");
        scene_expect(&s, "granted 3 0 7");
        ck_assert_uint_eq(s.fake.connections_n, 1);
        ck_assert_uint_eq(s.fake.ended_n, 0);
        scene_end(&s);
}
END_TEST

START_TEST(a_unix_socket_that_breaks_while_it_stalls_loses_what_it_owes)
{
        struct scene s;

        scene_timeout_ms = SCENE_SHORT_MS;
        scene_up_unix(&s);
        scene_take(&s, 1);
        scene_release(&s, 2);
        scene_expect(&s, SCENE_LATE);
        fake_redis_hang_up(&s.fake);
        scene_expect(&s, "down connection: closed by the server");
        scene_expect(&s, "lost 1");
        scene_expect(&s, "lost 2");
        scene_expect(&s, "down connect: no such file or directory");
        scene_end(&s);
}
END_TEST

START_TEST(a_unix_path_is_not_cut)
{
        char path[128] = "/tmp/";
        struct scene s;

        memset(path + 5, 'x', sizeof(path) - 6);
        scene_init(&s);
        scene_node_unix(&s, path);
        scene_start(&s);
        scene_expect(&s, "down connect: name too long");
        scene_end(&s);
}
END_TEST

UNIT_MAIN("redis", the_introduction_comes_in_one_go, auth_and_select_come_first,
          an_error_to_the_introduction_is_the_reason, a_password_is_never_in_a_reason,
          an_error_that_comes_unasked_is_the_reason, what_is_for_people_may_be_refused,
          a_node_that_is_refused_tries_on_and_joins_later,
          the_delay_between_tries_doubles_and_starts_anew_after_success, a_name_that_is_unknown_is_a_reason,
          addresses_are_tried_in_order, an_address_that_swallows_connections_lets_the_next_one_have_its_turn,
          ipv6_is_as_good, a_number_is_not_resolved, a_hang_in_the_introduction_times_out,
          a_hang_in_resolving_times_out, a_hang_is_given_up_by_reset_and_what_is_owed_is_lost_in_order,
          an_idle_connection_is_asked_and_given_up_when_it_does_not_answer,
          an_answer_that_lay_there_while_this_process_stood_still_counts, a_unix_socket_that_stalls_is_kept,
          a_unix_socket_that_breaks_while_it_stalls_loses_what_it_owes, a_unix_path_is_not_cut)
