/*
 * A node can be closed at any moment of its life, also in its own callbacks: what it owes is answered, and nothing is
 * left.
 */
#include "net/resolver.h"
#include "net/scene.h"
#include "unit/unit.h"

#include <unistd.h>

START_TEST(it_can_be_closed_before_it_starts)
{
        struct scene s;

        scene_down(&s);
        scene_end(&s);
}
END_TEST

START_TEST(it_can_be_closed_while_resolving)
{
        struct scene s;

        scene_init(&s);
        resolver_set("node.test", "127.0.0.1", NULL);
        resolver_hold();
        scene_node_tcp(&s, "node.test", 1);
        scene_start(&s);
        while (resolver_calls() == 0)
                continue;
        redis_close(s.redis, scene_on_closed);
        uv_run(&s.loop, UV_RUN_NOWAIT);
        uv_run(&s.loop, UV_RUN_NOWAIT);
        /* a thread still works for it */
        ck_assert_uint_eq(s.closed_n, 0);
        resolver_let_go();
        scene_until(&s, s.closed_n > 0);
        scene_end(&s);
}
END_TEST

START_TEST(it_can_be_closed_while_connecting)
{
        struct scene s;
        int fds[SCENE_HOLE_N];

        scene_down(&s);
        scene_end(&s);
        scene_init(&s);
        fake_redis_bind_tcp(&s.fake, &s.loop, "127.0.0.1");
        scene_hole("127.0.0.2", s.fake.port, fds);
        scene_node_tcp(&s, "127.0.0.2", s.fake.port);
        scene_start(&s);
        uv_run(&s.loop, UV_RUN_NOWAIT);
        scene_end(&s);
        for (int i = 0; i < SCENE_HOLE_N; ++i)
                close(fds[i]);
}
END_TEST

/* Closes at the end of a turn, where a handle that was closed in it is not gone yet. */
static void close_in_turn_cb(uv_check_t *check)
{
        struct scene *s = check->data;

        if (s->turns_left-- > 0)
                return;
        uv_close((uv_handle_t *)check, NULL);
        redis_close(s->redis, scene_on_closed);
}

START_TEST(it_can_be_closed_between_two_addresses)
{
        uv_check_t check;
        struct scene s;

        /* each turn later is another moment in the change from one address to the next */
        for (unsigned turns = 0; turns < 8; ++turns) {
                scene_init(&s);
                s.turns_left = turns;
                fake_redis_bind_tcp(&s.fake, &s.loop, "127.0.0.1");
                resolver_set("node.test", "127.0.0.2", "127.0.0.3");
                scene_node_tcp(&s, "node.test", s.fake.port);
                scene_start(&s);
                uv_check_init(&s.loop, &check);
                check.data = &s;
                uv_check_start(&check, close_in_turn_cb);
                scene_until(&s, s.closed_n > 0);
                s.read_n = s.lines_n; /* both may have refused it */
                scene_end(&s);
        }
}
END_TEST

START_TEST(it_can_be_closed_in_the_introduction)
{
        struct scene s;

        scene_ready(&s);
        s.fake.mute = true;
        scene_start(&s);
        scene_until(&s, s.fake.commands_n > 0);
        scene_end(&s);
}
END_TEST

START_TEST(it_can_be_closed_between_two_tries)
{
        struct scene s;

        scene_down(&s);
        scene_start(&s);
        scene_expect(&s, "down connect to 127.0.0.1: connection refused");
        scene_end(&s);
}
END_TEST

START_TEST(closing_resets_and_answers_what_is_owed)
{
        struct scene s;

        scene_up(&s);
        scene_take(&s, 1);
        scene_take(&s, 2);
        scene_until(&s, fake_redis_count(&s.fake, "EVALSHA") == 2);
        redis_close(s.redis, scene_on_closed);
        /* at once, and before on_closed */
        ck_assert_uint_eq(s.lines_n, 4);
        scene_expect(&s, "lost 1");
        scene_expect(&s, "lost 2");
        scene_until(&s, s.fake.ended == UV_ECONNRESET);
        scene_end(&s);
}
END_TEST

START_TEST(a_stalled_unix_socket_can_be_closed)
{
        struct scene s;

        scene_timeout_ms = SCENE_SHORT_MS;
        scene_up_unix(&s);
        scene_take(&s, 1);
        scene_expect(&s, SCENE_LATE);
        scene_close_node(&s);
        scene_expect(&s, "lost 1");
        scene_end(&s);
}
END_TEST

static const char *close_at;

static void close_in_callback(struct scene *s, const char *line)
{
        if (close_at && strncmp(line, close_at, strlen(close_at)) == 0) {
                close_at = NULL;
                redis_close(s->redis, scene_on_closed);
        }
}

START_TEST(it_can_be_closed_in_its_own_callbacks)
{
        struct scene s;

        scene_ready(&s);
        s.react = close_in_callback;
        close_at = "connecting";
        redis_start(s.redis);
        scene_until(&s, s.closed_n > 0);
        scene_expect(&s, "connecting connecting");
        scene_end(&s);

        scene_ready(&s);
        s.react = close_in_callback;
        close_at = "up";
        scene_start(&s);
        scene_until(&s, s.closed_n > 0);
        scene_expect(&s, "up");
        scene_end(&s);

        scene_timeout_ms = SCENE_SHORT_MS;
        scene_up(&s);
        s.react = close_in_callback;
        close_at = "down";
        scene_take(&s, 1);
        scene_take(&s, 2);
        scene_until(&s, s.closed_n > 0);
        scene_expect(&s, SCENE_LATE);
        scene_expect(&s, "lost 1");
        scene_expect(&s, "lost 2");
        scene_end(&s);

        scene_timeout_ms = SCENE_SHORT_MS;
        scene_up(&s);
        s.react = close_in_callback;
        close_at = "lost 1";
        scene_take(&s, 1);
        scene_take(&s, 2);
        scene_until(&s, s.closed_n > 0);
        scene_expect(&s, SCENE_LATE);
        scene_expect(&s, "lost 1");
        scene_expect(&s, "lost 2");
        scene_end(&s);
}
END_TEST

static void take_when_up(struct scene *s, const char *line)
{
        if (strcmp(line, "up") == 0)
                scene_take(s, 2);
}

/* The node is given up with a command under way, and comes back. */
static void scene_back(struct scene *s)
{
        s->react = take_when_up;
        scene_take(s, 1);
        scene_until(s, fake_redis_count(&s->fake, "EVALSHA") == 1);
        fake_redis_hang_up(&s->fake);
        scene_expect(s, "down connection: closed by the server");
        scene_expect(s, "lost 1");
        scene_expect(s, "up");
        scene_until(s, fake_redis_count(&s->fake, "EVALSHA") == 2);
}

START_TEST(a_connection_that_was_given_up_is_ended_at_the_other_end_before_anything_else)
{
        struct scene s;

        scene_up(&s);
        scene_back(&s);
        ck_assert_str_eq(s.fake.commands[2 * FAKE_INTRODUCTION_N + 1], "CLIENT KILL ID 1");
        ck_assert_int_eq(strncmp(s.fake.commands[2 * FAKE_INTRODUCTION_N + 2], "EVALSHA", 7), 0);
        /* and not again */
        s.react = NULL;
        fake_redis_hang_up(&s.fake);
        scene_expect(&s, "down connection: closed by the server");
        scene_expect(&s, "lost 2");
        scene_expect(&s, "up");
        scene_until(&s, fake_redis_count(&s.fake, "CLIENT KILL ID 2") == 1);
        ck_assert_uint_eq(fake_redis_count(&s.fake, "CLIENT KILL"), 2);
        scene_end(&s);
}
END_TEST

/* Else it would lie there until the next look, or for ever where an answer has less time than looks are apart. */
START_TEST(nobody_has_to_send_anything_for_that)
{
        struct scene s;

        scene_up(&s);
        s.flushing = false;
        fake_redis_hang_up(&s.fake);
        scene_expect(&s, "down connection: closed by the server");
        scene_expect(&s, "up");
        scene_until(&s, fake_redis_count(&s.fake, "CLIENT KILL ID 1") == 1);
        scene_end(&s);
}
END_TEST

START_TEST(until_the_server_has_answered_but_for_the_oldest_of_too_many)
{
        unsigned kills_n = 1, back;
        struct scene s;

        scene_up(&s);
        fake_redis_rule(&s.fake, "CLIENT KILL", "");
        scene_back(&s);
        s.react = NULL;
        for (back = 2; back <= 10; ++back) {
                fake_redis_hang_up(&s.fake);
                scene_expect(&s, "down connection: closed by the server");
                if (back == 2)
                        scene_expect(&s, "lost 2");
                scene_expect(&s, "up");
                kills_n += back < 8 ? back : 8;
                scene_until(&s, fake_redis_count(&s.fake, "CLIENT KILL") == kills_n);
        }
        ck_assert_uint_eq(fake_redis_count(&s.fake, "CLIENT KILL ID 10"), 1);
        /* "ID 1" begins the last one, too */
        ck_assert_uint_eq(fake_redis_count(&s.fake, "CLIENT KILL ID 1"), 8 + 1);
        ck_assert_uint_eq(fake_redis_count(&s.fake, "CLIENT KILL ID 2"), 8);
        scene_end(&s);
}
END_TEST

START_TEST(another_server_has_other_connections_of_that_number)
{
        static const char info[] = FAKE_INFO("0");
        char other[sizeof(info) + 16];
        struct scene s;

        scene_up(&s);
        snprintf(other, sizeof(other), "$%zu\r\n%s\r\n", sizeof(info) - 1, info);
        *strstr(other, FAKE_RUN_ID) = 'f';
        fake_redis_rule(&s.fake, "INFO", other);
        scene_back(&s);
        ck_assert_uint_eq(fake_redis_count(&s.fake, "CLIENT KILL"), 0);
        scene_close_node(&s);
        scene_expect(&s, "lost 2");
        scene_end(&s);
}
END_TEST

START_TEST(a_server_that_does_not_tell_or_does_not_obey_is_left_as_it_is)
{
        struct scene s;

        scene_ready(&s);
        fake_redis_rule(&s.fake, "CLIENT ID", "-NOPERM no\r\n");
        scene_start(&s);
        scene_expect(&s, "up");
        scene_back(&s);
        ck_assert_uint_eq(fake_redis_count(&s.fake, "CLIENT KILL"), 0);
        scene_close_node(&s);
        scene_expect(&s, "lost 2");
        scene_end(&s);

        scene_up(&s);
        fake_redis_rule(&s.fake, "CLIENT KILL", "-NOPERM no\r\n");
        fake_redis_rule(&s.fake, "EVALSHA", "$10\r\n1 5 0 1024\r\n");
        s.react = take_when_up;
        fake_redis_hang_up(&s.fake);
        scene_expect(&s, "down connection: closed by the server");
        scene_expect(&s, "up");
        scene_expect(&s, "granted *");
        scene_end(&s);
}
END_TEST

UNIT_MAIN("redis_close", it_can_be_closed_before_it_starts, it_can_be_closed_while_resolving,
          it_can_be_closed_while_connecting, it_can_be_closed_between_two_addresses,
          it_can_be_closed_in_the_introduction, it_can_be_closed_between_two_tries,
          closing_resets_and_answers_what_is_owed, a_stalled_unix_socket_can_be_closed,
          it_can_be_closed_in_its_own_callbacks,
          a_connection_that_was_given_up_is_ended_at_the_other_end_before_anything_else,
          nobody_has_to_send_anything_for_that, until_the_server_has_answered_but_for_the_oldest_of_too_many,
          another_server_has_other_connections_of_that_number,
          a_server_that_does_not_tell_or_does_not_obey_is_left_as_it_is)
