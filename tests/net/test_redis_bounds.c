/*
 * How commands go out, and what is refused: the queue, the bytes that wait, allocations that fail.
 */
#include "net/scene.h"
#include "redlockd/base/mem.h"
#include "unit/unit.h"

#include <errno.h>

#define GRANTED "$13\r\n1 0 5000 1024\r\n"

static void until_asked(struct scene *s, unsigned n)
{
        scene_until(s, fake_redis_count(&s->fake, "EVAL") >= n);
}

START_TEST(the_commands_of_one_turn_go_out_in_one_write)
{
        struct scene s;

        scene_up(&s);
        for (unsigned i = 0; i < 100; ++i)
                ck_assert_int_eq(scene_take(&s, i), 0);
        until_asked(&s, 100);
        /* the introduction was the first */
        ck_assert_uint_eq(s.fake.reads_n, 2);
        fake_redis_hang_up(&s.fake);
        scene_expect(&s, "down connection: *");
        for (unsigned i = 0; i < 100; ++i)
                scene_expect(&s, "lost *");
        scene_end(&s);
}
END_TEST

START_TEST(nothing_is_written_before_the_flush)
{
        struct scene s;

        scene_up(&s);
        s.flushing = false;
        scene_take(&s, 1);
        for (unsigned i = 0; i < 10; ++i)
                uv_run(&s.loop, UV_RUN_NOWAIT);
        ck_assert_uint_eq(fake_redis_count(&s.fake, "EVAL"), 0);
        redis_flush(s.redis);
        until_asked(&s, 1);
        fake_redis_reply(&s.fake, GRANTED);
        scene_expect(&s, "granted 1 0 5");
        scene_end(&s);
}
END_TEST

/* A node that is up, whose server does not read any more. */
static void scene_up_deaf(struct scene *s)
{
        scene_init(s);
        fake_redis_bind_tcp(&s->fake, &s->loop, "127.0.0.1");
        fake_redis_listen(&s->fake);
        scene_node_tcp(s, NULL, s->fake.port);
        scene_start(s);
        scene_expect(s, "up");
        fake_redis_deafen(&s->fake);
}

START_TEST(more_than_the_kernel_takes_is_written_bit_by_bit)
{
        static char key[512];
        struct command_item items[KEYS_PER_ROUND_MAX];
        struct command command = { .ttl_ms = 1, .items = items, .items_n = KEYS_PER_ROUND_MAX, .acquire_n = 1 };
        struct scene s;

        for (unsigned i = 0; i < KEYS_PER_ROUND_MAX; ++i)
                items[i] = (struct command_item){ .key = { key, sizeof(key) }, .value = SCENE_VALUE };
        scene_up_deaf(&s);
        fake_redis_rule(&s.fake, "EVALSHA", GRANTED);
        s.flushing = false;
        while (scene_send(&s, &command) == 0)
                ++command.round;
        redis_flush(s.redis);
        /* what is flushed while libuv still writes goes out without another flush */
        ck_assert_int_eq(scene_send(&s, &command), 0);
        redis_flush(s.redis);
        fake_redis_hear(&s.fake);
        for (unsigned i = 0; i <= command.round; ++i) {
                char line[64];

                snprintf(line, sizeof(line), "granted %u 0 5", i);
                scene_expect(&s, line);
        }
        ck_assert_uint_eq(s.fake.connections_n, 1);
        scene_end(&s);
}
END_TEST

START_TEST(the_queue_is_bounded)
{
        struct scene s;

        scene_up_deaf(&s);
        for (unsigned i = 0; i < REDIS_QUEUE_MAX; ++i)
                ck_assert_int_eq(scene_take(&s, i), 0);
        ck_assert_int_eq(scene_take(&s, REDIS_QUEUE_MAX), -ENOBUFS);
        redis_flush(s.redis);
        ck_assert_int_eq(scene_take(&s, REDIS_QUEUE_MAX), -ENOBUFS);
        scene_close_node(&s);
        for (unsigned i = 0; i < REDIS_QUEUE_MAX; ++i) {
                char line[32];

                snprintf(line, sizeof(line), "lost %u", i);
                scene_expect(&s, line);
        }
        scene_end(&s);
}
END_TEST

START_TEST(the_bytes_that_wait_are_bounded)
{
        static char key[512];
        struct command_item items[KEYS_PER_ROUND_MAX];
        const struct command command = { .ttl_ms = 1, .items = items, .items_n = KEYS_PER_ROUND_MAX, .acquire_n = 1 };
        unsigned n = 0, m;
        struct scene s;

        for (unsigned i = 0; i < KEYS_PER_ROUND_MAX; ++i)
                items[i] = (struct command_item){ .key = { key, sizeof(key) }, .value = SCENE_VALUE };
        scene_up_deaf(&s);
        while (scene_send(&s, &command) == 0)
                ++n;
        ck_assert_int_eq(scene_send(&s, &command), -ENOBUFS);
        ck_assert_uint_ge(n, REDIS_OUTPUT_MAX / (600 * KEYS_PER_ROUND_MAX));
        ck_assert_uint_le(n, REDIS_OUTPUT_MAX / (sizeof(key) * KEYS_PER_ROUND_MAX));
        /* what the kernel took makes room; what libuv still writes counts */
        redis_flush(s.redis);
        for (m = 0; scene_send(&s, &command) == 0; ++m)
                continue;
        ck_assert_uint_lt(m, n);
        scene_close_node(&s);
        for (unsigned i = 0; i < n + m; ++i)
                scene_expect(&s, "lost 0");
        scene_end(&s);
}
END_TEST

START_TEST(without_memory_a_command_is_not_taken_and_nothing_else_happens)
{
        const struct command_item item = { .key = text_of("k"), .value = SCENE_VALUE };
        const struct command command = { .ttl_ms = 1, .items = &item, .items_n = 1, .acquire_n = 1 };
        unsigned refused = 0, n = 0;
        struct scene s;

        scene_init(&s);
        s.options.key_prefix = "locks:";
        fake_redis_bind_tcp(&s.fake, &s.loop, "127.0.0.1");
        fake_redis_listen(&s.fake);
        scene_node_tcp(&s, NULL, s.fake.port);
        scene_start(&s);
        scene_expect(&s, "up");
        fake_redis_rule(&s.fake, "EVALSHA", GRANTED);
        /* as many as let queue and buffer grow a few times, each tried with every one of its allocations failing */
        for (unsigned i = 0; i < 40; ++i) {
                for (unsigned k = 1;; ++k) {
                        int r;

                        mem_fail_at(k);
                        r = scene_send(&s, &command);
                        if (r == 0)
                                break;
                        ck_assert_int_eq(r, -ENOMEM);
                        ck_assert_int_eq(mem_failed(), 1);
                        ++refused;
                }
                mem_fail_at(0);
                ++n;
        }
        ck_assert_uint_ge(refused, 40 + 2);
        for (unsigned i = 0; i < n; ++i)
                scene_expect(&s, "granted 0 0 5");
        ck_assert_uint_eq(fake_redis_count(&s.fake, "EVALSHA"), n);
        scene_end(&s);
}
END_TEST

START_TEST(without_memory_a_node_is_not_made_or_tries_again)
{
        struct scene s;
        uint64_t live = mem_live();

        scene_init(&s);
        fake_redis_bind_tcp(&s.fake, &s.loop, "127.0.0.1");
        fake_redis_listen(&s.fake);
        for (unsigned k = 1; k <= 2; ++k) {
                mem_fail_at(k);
                ck_assert_int_eq(redis_new(&s.redis, &s.options), -ENOMEM);
                ck_assert_ptr_null(s.redis);
                ck_assert_uint_eq(mem_live(), live);
        }
        mem_fail_at(0);
        scene_node_tcp(&s, NULL, s.fake.port);
        mem_fail_at(1); /* the connection itself */
        scene_start(&s);
        scene_expect(&s, "down out of memory");
        scene_expect(&s, "up");
        for (unsigned k = 1; k <= 3; ++k) { /* what is owed and written for the introduction */
                fake_redis_hang_up(&s.fake);
                scene_expect(&s, "down connection: closed by the server");
                mem_fail_at(1 + k);
                while (!mem_failed())
                        scene_turn(&s);
                mem_fail_at(0);
                scene_expect(&s, "down out of memory");
                scene_expect(&s, "up");
                /* who closes with something unread resets */
                scene_until(&s, fake_redis_count(&s.fake, "CLIENT KILL") == k);
        }
        scene_end(&s);
}
END_TEST

UNIT_MAIN("redis_bounds", the_commands_of_one_turn_go_out_in_one_write, nothing_is_written_before_the_flush,
          more_than_the_kernel_takes_is_written_bit_by_bit, the_queue_is_bounded, the_bytes_that_wait_are_bounded,
          without_memory_a_command_is_not_taken_and_nothing_else_happens,
          without_memory_a_node_is_not_made_or_tries_again)
