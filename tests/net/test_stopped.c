/*
 * A real redis-server that is stopped (SIGSTOP) with an acquire in its queue: what was given up must not stand when its
 * undo was confirmed.
 */
#include "net/real_redis.h"
#include "net/scene.h"
#include "unit/unit.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

static void server_stop(const struct real_redis *server)
{
        ck_assert_int_eq(kill(server->pid, SIGSTOP), 0);
        ck_assert_int_eq(waitpid(server->pid, NULL, WUNTRACED), server->pid);
}

/* `n` acquires of "k" are sent to a stopped server, and given up; then it goes on. */
static void check_tcp(unsigned n)
{
        struct real_redis server;
        struct scene s;

        real_redis_start(&server);
        scene_timeout_ms = SCENE_SHORT_MS;
        scene_init(&s);
        scene_node_tcp(&s, NULL, server.port);
        scene_start(&s);
        scene_expect(&s, "up");
        server_stop(&server);
        for (unsigned i = 0; i < n; ++i)
                ck_assert_int_eq(scene_take(&s, i), 0);
        scene_expect(&s, SCENE_LATE);
        for (unsigned i = 0; i < n; ++i)
                scene_expect(&s, "lost *");
        kill(server.pid, SIGCONT);
        scene_expect(&s, "up");
        ck_assert_int_eq(scene_release(&s, n), 0);
        scene_expect(&s, "granted *");
        ck_assert_str_eq(real_redis_do(&server, "EXISTS k"), ":0\r\n");
        /* nothing of the old connection is left that could still come */
        ck_assert_ptr_null(strstr(strstr(real_redis_do(&server, "CLIENT LIST"), "name=redlockd") + 1, "name=redlockd"));
        ck_assert_str_eq(real_redis_do(&server, "EXISTS k"), ":0\r\n");
        scene_end(&s);
        real_redis_stop(&server);
}

START_TEST(over_tcp_the_undo_comes_after_what_was_given_up)
{
        check_tcp(1);
        check_tcp(20);
        check_tcp(2000);
}
END_TEST

START_TEST(over_a_unix_socket_the_connection_is_kept)
{
        struct real_redis server;
        struct scene s;

        real_redis_start(&server);
        scene_timeout_ms = SCENE_SHORT_MS;
        scene_init(&s);
        scene_node_unix(&s, server.path);
        scene_start(&s);
        scene_expect(&s, "up");
        server_stop(&server);
        for (unsigned i = 0; i < 2000; ++i)
                ck_assert_int_eq(scene_take(&s, i), 0);
        scene_expect(&s, SCENE_LATE);
        ck_assert_int_eq(scene_release(&s, 2000), -ENOTCONN);
        kill(server.pid, SIGCONT);
        scene_expect(&s, "granted 0 0 *");
        for (unsigned i = 1; i < 2000; ++i)
                scene_expect(&s, "held *");
        scene_expect(&s, "up");
        ck_assert_int_eq(scene_release(&s, 2000), 0);
        scene_expect(&s, "granted 2000 1 *");
        ck_assert_str_eq(real_redis_do(&server, "EXISTS k"), ":0\r\n");
        scene_end(&s);
        real_redis_stop(&server);
}
END_TEST

START_TEST(a_killed_server_loses_what_it_owed)
{
        struct real_redis server;
        struct scene s;

        real_redis_start(&server);
        scene_timeout_ms = SCENE_SHORT_MS;
        scene_init(&s);
        scene_node_unix(&s, server.path);
        scene_start(&s);
        scene_expect(&s, "up");
        server_stop(&server);
        scene_take(&s, 1);
        scene_take(&s, 2);
        scene_expect(&s, SCENE_LATE);
        real_redis_stop(&server);
        scene_expect(&s, "down connection: *");
        scene_expect(&s, "lost 1");
        scene_expect(&s, "lost 2");
        scene_expect(&s, "down connect: no such file or directory");
        scene_end(&s);
}
END_TEST

START_TEST(a_server_that_comes_back_empty_is_taken_as_it_is)
{
        char run_id[NODE_RUN_ID_MAX];
        struct real_redis server;
        struct scene s;

        real_redis_start(&server);
        scene_init(&s);
        scene_node_tcp(&s, NULL, server.port);
        scene_start(&s);
        scene_expect(&s, "up");
        snprintf(run_id, sizeof(run_id), "%s", redis_run_id(s.redis));
        scene_take(&s, 1);
        scene_expect(&s, "granted 1 *");
        real_redis_stop(&server);
        scene_expect(&s, "down connection: *");
        scene_expect(&s, "down connect to 127.0.0.1: connection refused");
        ck_assert_ptr_null(redis_run_id(s.redis));
        real_redis_start_at(&server, server.port);
        scene_expect(&s, "up");
        ck_assert_str_ne(redis_run_id(s.redis), run_id);
        scene_take(&s, 2);
        scene_expect(&s, "granted 2 *");
        scene_end(&s);
        real_redis_stop(&server);
}
END_TEST

UNIT_MAIN("stopped", over_tcp_the_undo_comes_after_what_was_given_up, over_a_unix_socket_the_connection_is_kept,
          a_killed_server_loses_what_it_owed, a_server_that_comes_back_empty_is_taken_as_it_is)
