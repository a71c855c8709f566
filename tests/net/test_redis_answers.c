/*
 * Commands and answers on a connection that is up: what is sent, and what a server may send back, in whatever
 * pieces.
 */
#include "net/scene.h"
#include "unit/unit.h"

#define GRANTED  "*4\r\n:1\r\n:0\r\n:5\r\n:1740800000829440\r\n"
#define RELEASED "*3\r\n:1\r\n:0\r\n:5\r\n"
#define HELD     "*4\r\n:0\r\n:900\r\n:5\r\n:1\r\n"

static void until_asked(struct scene *s, unsigned n)
{
        scene_until(s, fake_redis_count(&s->fake, "EVAL") >= n);
}

START_TEST(commands_are_script_calls)
{
        const struct command_item items[] = {
                { .key = text_of("a"), .value = SCENE_VALUE, .fence = UINT64_C(1740800000829440) },
                { .key = { "b\0c", 3 }, .value = SCENE_VALUE_B, .ttl_ms = 70, .fence = 9, .heard = true }
        };
        struct command command = {
                .round = 9, .ttl_ms = 4000, .fence_slack_ms = 7000, .items = items, .items_n = 2, .acquire_n = 1
        };
        struct scene s;
        char *line;

        scene_up(&s);
        ck_assert_int_eq(scene_send(&s, &command), 0);
        command.kind = COMMAND_RELEASE;
        ck_assert_int_eq(scene_send(&s, &command), 0);
        command.kind = COMMAND_RENEW;
        ck_assert_int_eq(scene_send(&s, &command), 0);
        command.kind = COMMAND_PLANT;
        ck_assert_int_eq(scene_send(&s, &command), 0);
        until_asked(&s, 4);
        line = s.fake.commands[FAKE_INTRODUCTION_N];
        ck_assert_str_eq(line, "EVALSHA " FAKE_SHA_TAKE " 2 a b");
        ck_assert_str_eq(line + strlen(line) + 1,
                         "c 1 4000  7000 " SCENE_VALUE " 1740800000829440 " SCENE_VALUE_B " 9");
        line = s.fake.commands[FAKE_INTRODUCTION_N + 1];
        ck_assert_str_eq(line, "EVALSHA " FAKE_SHA_RELEASE " 2 a b");
        ck_assert_str_eq(line + strlen(line) + 1, "c " SCENE_VALUE " 0 " SCENE_VALUE_B " 1");
        line = s.fake.commands[FAKE_INTRODUCTION_N + 2];
        ck_assert_str_eq(line, "EVALSHA " FAKE_SHA_RENEW " 2 a b");
        ck_assert_str_eq(line + strlen(line) + 1, "c  " SCENE_VALUE " 0 1740800000829440 " SCENE_VALUE_B " 70 9");
        line = s.fake.commands[FAKE_INTRODUCTION_N + 3];
        ck_assert_str_eq(line, "EVALSHA " FAKE_SHA_PLANT " 2 a b");
        ck_assert_str_eq(line + strlen(line) + 1, "c " SCENE_VALUE " 0 1740800000829440 " SCENE_VALUE_B " 70 9");
        scene_close_node(&s);
        scene_expect(&s, "lost 9");
        scene_expect(&s, "lost 9");
        scene_expect(&s, "lost 9");
        scene_expect(&s, "lost 9");
        scene_end(&s);
}
END_TEST

START_TEST(the_prefix_is_put_before_every_key)
{
        const struct command_item items[] = { { .key = text_of("a"), .value = SCENE_VALUE },
                                              { .key = { NULL, 0 }, .value = SCENE_VALUE } };
        struct scene s;

        scene_init(&s);
        s.options.key_prefix = "locks:";
        fake_redis_bind_tcp(&s.fake, &s.loop, "127.0.0.1");
        fake_redis_listen(&s.fake);
        scene_node_tcp(&s, NULL, s.fake.port);
        scene_start(&s);
        scene_expect(&s, "up");
        scene_send(&s, &(struct command){ .round = 1, .kind = COMMAND_RELEASE, .items = items, .items_n = 2 });
        fake_redis_rule(&s.fake, "EVALSHA", "*3\r\n:1\r\n:2\r\n:5\r\n");
        scene_expect(&s, "granted 1 2 5");
        ck_assert_str_eq(s.fake.commands[FAKE_INTRODUCTION_N],
                         "EVALSHA " FAKE_SHA_RELEASE " 2 locks:a locks: " SCENE_VALUE " 0 " SCENE_VALUE " 0");
        scene_end(&s);
}
END_TEST

START_TEST(answers_say_what_the_node_said)
{
        struct command_item items[KEYS_PER_ROUND_MAX];
        char keys[KEYS_PER_ROUND_MAX];
        struct scene s;

        scene_up(&s);
        for (unsigned i = 0; i < KEYS_PER_ROUND_MAX; ++i) {
                keys[i] = (char)('0' + i);
                items[i] = (struct command_item){ .key = { &keys[i], 1 }, .value = SCENE_VALUE };
        }
        scene_send(&s, &(struct command){ .round = 1, .ttl_ms = 1, .items = items, .items_n = 64, .acquire_n = 64 });
        until_asked(&s, 1);
        fake_redis_reply(&s.fake, "*6\r\n:0\r\n:900\r\n:1700000000000\r\n:1\r\n:64\r\n:3\r\n");
        scene_expect(&s, "held 1 8000000000000005 900 1700000000000");
        scene_take(&s, 2);
        scene_release(&s, 3);
        until_asked(&s, 3);
        fake_redis_reply(&s.fake, GRANTED "*3\r\n:1\r\n:1\r\n:6\r\n");
        scene_expect(&s, "granted 2 0 5");
        scene_expect(&s, "granted 3 1 6");
        scene_end(&s);
}
END_TEST

START_TEST(an_error_is_an_answer)
{
        static char line[2000], reply[2048];
        struct scene s;

        scene_up(&s);
        scene_take(&s, 1);
        until_asked(&s, 1);
        fake_redis_reply(&s.fake, "-WRONGTYPE Operation \x1b[31mred\t\"x\"\r\n");
        scene_expect(&s, "error 1 WRONGTYPE Operation ?[31mred?\"x\"");
        memset(line, 'x', sizeof(line) - 1);
        scene_take(&s, 2);
        until_asked(&s, 2);
        snprintf(reply, sizeof(reply), "-%s\r\n", line);
        fake_redis_reply(&s.fake, reply);
        line[NODE_REASON_MAX - 1] = '\0';
        snprintf(reply, sizeof(reply), "error 2 %s", line);
        scene_expect(&s, reply);
        ck_assert_uint_eq(s.fake.connections_n, 1);
        scene_end(&s);
}
END_TEST

START_TEST(a_reply_may_come_in_two_pieces_split_anywhere)
{
        static const char reply[] = HELD;
        struct scene s;

        scene_up(&s);
        for (unsigned i = 1; i < sizeof(reply) - 1; ++i) {
                scene_take(&s, i);
                until_asked(&s, i);
                fake_redis_write(&s.fake, reply, i);
                uv_run(&s.loop, UV_RUN_NOWAIT);
                uv_run(&s.loop, UV_RUN_NOWAIT);
                ck_assert_uint_eq(s.read_n, s.lines_n);
                fake_redis_write(&s.fake, reply + i, sizeof(reply) - 1 - i);
                scene_expect(&s, "held *");
        }
        ck_assert_uint_eq(s.fake.connections_n, 1);
        scene_end(&s);
}
END_TEST

START_TEST(many_replies_may_come_in_one_piece)
{
        struct scene s;

        scene_up(&s);
        scene_take(&s, 1);
        scene_take(&s, 2);
        scene_release(&s, 3);
        scene_take(&s, 4);
        until_asked(&s, 4);
        fake_redis_reply(&s.fake, GRANTED HELD RELEASED "-OOM no\r\n");
        scene_expect(&s, "granted 1 0 5");
        scene_expect(&s, "held 2 1 900 5");
        scene_expect(&s, "granted 3 0 5");
        scene_expect(&s, "error 4 OOM no");
        scene_end(&s);
}
END_TEST

START_TEST(what_no_script_can_have_answered_ends_the_connection)
{
        static const struct {
                const char *reply;
                const char *reason;
        } bad[] = {
                { "+OK\r\n", "down an answer of the wrong shape to TAKE" },
                { ":1\r\n", "down an answer of the wrong shape to TAKE" },
                { "$2\r\nOK\r\n", "down an answer of the wrong shape to TAKE" },
                { "$-1\r\n", "down an answer of the wrong shape to TAKE" },
                { "*-1\r\n", "down an answer of the wrong shape to TAKE" },
                { "*0\r\n", "down an answer of the wrong shape to TAKE" },
                { "*2\r\n:1\r\n:0\r\n", "down an answer of the wrong shape to TAKE" },
                { "*2\r\n:0\r\n:0\r\n", "down an answer of the wrong shape to TAKE" },
                { "*3\r\n:1\r\n:0\r\n+5\r\n", "down an answer of the wrong shape to TAKE" },
                { "*3\r\n:1\r\n:0\r\n$-1\r\n", "down an answer of the wrong shape to TAKE" },
                { "*3\r\n:1\r\n:0\r\n-ERR no\r\n", "down an answer of the wrong shape to TAKE" },
                { "*3\r\n:2\r\n:1\r\n:5\r\n", "down an answer of the wrong shape to TAKE" },
                { "*4\r\n:2\r\n:0\r\n:5\r\n:1\r\n", "down an answer of the wrong shape to TAKE" },
                { "*3\r\n:3\r\n:0\r\n:5\r\n", "down an answer of the wrong shape to TAKE" },
                { "*3\r\n:1\r\n:7\r\n:5\r\n", "down an answer of the wrong shape to TAKE" },
                { "*3\r\n:1\r\n:0\r\n:-5\r\n", "down an answer of the wrong shape to TAKE" },
                { "*3\r\n:1\r\n:0\r\n:6\r\n", "down an answer of the wrong shape to TAKE" },
                { "*5\r\n:1\r\n:0\r\n:5\r\n:1\r\n:2\r\n", "down an answer of the wrong shape to TAKE" },
                { "*4\r\n:1\r\n:0\r\n:5\r\n:9007199254740992\r\n", "down an answer of the wrong shape to TAKE" },
                { "*3\r\n:0\r\n:0\r\n:5\r\n", "down an answer of the wrong shape to TAKE" },
                { "*4\r\n:0\r\n:0\r\n:5\r\n:0\r\n", "down an answer of the wrong shape to TAKE" },
                { "*4\r\n:0\r\n:0\r\n:5\r\n:2\r\n", "down an answer of the wrong shape to TAKE" },
                { "*4\r\n:0\r\n:0\r\n:5\r\n:65\r\n", "down an answer of the wrong shape to TAKE" },
                { "*5\r\n:0\r\n:0\r\n:5\r\n:1\r\n:1\r\n", "down an answer of the wrong shape to TAKE" },
                { "*3\r\n:1\r\n*1\r\n:0\r\n:5\r\n", "down a reply with an array in an array" },
                { "*1\r\n*1\r\n*1\r\n*1\r\n", "down a reply with an array in an array" },
                { "HTTP/1.1 400 Bad Request\r\n\r\n", "down not the Redis protocol: *" },
                { ":12x\r\n", "down not the Redis protocol: *" },
                { "\r\n", "down not the Redis protocol: *" },
                { ">2\r\n+a\r\n+b\r\n", "down *" },
                { "%1\r\n+a\r\n+b\r\n", "down *" },
                { "~1\r\n+a\r\n", "down *" },
                { ",1.5\r\n", "down *" },
                { "#t\r\n", "down *" },
                { "_\r\n", "down *" },
                { "(123456789\r\n", "down *" },
                { "=7\r\ntxt:abc\r\n", "down *" },
                { "*200000000\r\n", "down a reply of more than 72 values" },
                { "*73\r\n", "down a reply of more than 72 values" },
                { "*72\r\n", "down a reply of more than 72 values" },
                { "*99999999999\r\n", "down *" },
                { "*-7\r\n", "down not the Redis protocol: *" },
                { "$536870912\r\n", "down a reply of more than 65536 bytes" },
                { "$65536\r\nx", "down a reply of more than 65536 bytes" },
                { "*2\r\n:1\r\n$9223372036854775807\r\n", "down a reply of more than 65536 bytes" },
                { "$-2\r\n", "down not the Redis protocol: *" },
        };
        struct scene s;

        scene_up(&s);
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); ++i) {
                scene_take(&s, 1);
                scene_take(&s, 2);
                scene_until(&s, s.fake.reads_n == 2);
                fake_redis_reply(&s.fake, bad[i].reply);
                scene_expect(&s, bad[i].reason);
                /* the command that was answered so, and all behind it */
                scene_expect(&s, "lost 1");
                scene_expect(&s, "lost 2");
                scene_expect(&s, "up");
        }
        scene_end(&s);
}
END_TEST

START_TEST(a_release_is_answered_with_yes_and_a_number)
{
        static const char *const bad[] = { "*3\r\n:0\r\n:0\r\n:5\r\n", "*4\r\n:0\r\n:0\r\n:5\r\n:1\r\n",
                                           "*3\r\n:1\r\n:2\r\n:5\r\n", "*3\r\n:1\r\n:-1\r\n:5\r\n" };
        struct scene s;

        scene_up(&s);
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); ++i) {
                scene_release(&s, 1);
                scene_until(&s, s.fake.reads_n == 2);
                fake_redis_reply(&s.fake, bad[i]);
                scene_expect(&s, "down an answer of the wrong shape to RELEASE");
                scene_expect(&s, "lost 1");
                scene_expect(&s, "up");
        }
        scene_end(&s);
}
END_TEST

/* A reply whose bytes come on and on, each piece harmless: an endless line, and many strings in one array. */
START_TEST(a_reply_that_does_not_end_is_cut_off)
{
        static char piece[16 * 1024];
        unsigned sent = 0;
        struct scene s;

        scene_up(&s);
        scene_take(&s, 1);
        until_asked(&s, 1);
        memset(piece, 'x', sizeof(piece));
        fake_redis_reply(&s.fake, "+");
        while (s.read_n == s.lines_n) {
                fake_redis_write(&s.fake, piece, sizeof(piece));
                ck_assert_uint_le(++sent, 6);
                scene_turn(&s);
        }
        scene_expect(&s, "down a reply of more than 65536 bytes");
        scene_expect(&s, "lost 1");
        scene_expect(&s, "up");

        scene_take(&s, 2);
        until_asked(&s, 2);
        fake_redis_reply(&s.fake, "*71\r\n");
        for (sent = 0; s.read_n == s.lines_n; ++sent) {
                ck_assert_uint_le(sent, 6);
                fake_redis_reply(&s.fake, "$16384\r\n");
                fake_redis_write(&s.fake, piece, sizeof(piece));
                fake_redis_reply(&s.fake, "\r\n");
                scene_turn(&s);
                uv_run(&s.loop, UV_RUN_NOWAIT);
        }
        scene_expect(&s, "down a reply of more than 65536 bytes");
        scene_expect(&s, "lost 2");
        scene_end(&s);
}
END_TEST

START_TEST(a_reply_that_nobody_waits_for_ends_the_connection)
{
        struct scene s;

        scene_up(&s);
        fake_redis_reply(&s.fake, "+OK\r\n");
        scene_expect(&s, "down a reply that nobody waits for");
        scene_expect(&s, "up");
        scene_take(&s, 1);
        until_asked(&s, 1);
        fake_redis_reply(&s.fake, GRANTED GRANTED);
        scene_expect(&s, "granted 1 0 5");
        scene_expect(&s, "down a reply that nobody waits for");
        scene_end(&s);
}
END_TEST

START_TEST(a_connection_may_end_after_any_byte_of_a_reply)
{
        static const char reply[] = HELD;
        struct scene s;

        scene_up(&s);
        for (unsigned i = 0; i < sizeof(reply) - 1; ++i) {
                scene_take(&s, 2 * i);
                scene_release(&s, 2 * i + 1);
                until_asked(&s, 2 * i + 2);
                fake_redis_write(&s.fake, reply, i);
                fake_redis_hang_up(&s.fake);
                scene_expect(&s, "down connection: closed by the server");
                scene_expect(&s, "lost *");
                scene_expect(&s, "lost *");
                scene_expect(&s, "up");
        }
        /* after the last byte it is an answer */
        scene_take(&s, 1000);
        until_asked(&s, 2 * sizeof(reply) - 1);
        fake_redis_reply(&s.fake, reply);
        fake_redis_hang_up(&s.fake);
        scene_expect(&s, "held 1000 1 900 5");
        scene_expect(&s, "down connection: closed by the server");
        scene_end(&s);
}
END_TEST

START_TEST(a_script_that_the_node_forgot_is_sent_along_until_it_was_answered)
{
        struct scene s;

        scene_up(&s);
        scene_take(&s, 1);
        scene_take(&s, 2);
        scene_release(&s, 3);
        until_asked(&s, 3);
        fake_redis_reply(&s.fake, "-NOSCRIPT No matching script. Please use EVAL.\r\n");
        scene_expect(&s, "again 1");
        scene_take(&s, 4);
        until_asked(&s, 4);
        fake_redis_reply(&s.fake, "-NOSCRIPT No matching script. Please use EVAL.\r\n" RELEASED);
        scene_expect(&s, "again 2");
        scene_expect(&s, "granted 3 0 5");
        scene_take(&s, 5);
        until_asked(&s, 5);
        /* an error does not say that the script is known now */
        fake_redis_reply(&s.fake, "-OOM no\r\n");
        scene_expect(&s, "error 4 OOM no");
        scene_take(&s, 6);
        scene_release(&s, 7);
        until_asked(&s, 7);
        fake_redis_reply(&s.fake, GRANTED);
        scene_expect(&s, "granted 5 0 5");
        scene_take(&s, 8);
        until_asked(&s, 8);
        fake_redis_reply(&s.fake, GRANTED RELEASED GRANTED);
        scene_expect(&s, "granted 6 0 5");
        scene_expect(&s, "granted 7 0 5");
        scene_expect(&s, "granted 8 0 5");
        for (unsigned i = 0; i < 8; ++i) /* 4, 5 and 6 brought it */
                ck_assert_int_eq(strncmp(s.fake.commands[FAKE_INTRODUCTION_N + i], "EVAL <script>", 13) == 0,
                                 i >= 3 && i <= 5);
        /* to a command that brought the script it is an error like any other: nobody is sent round in circles */
        scene_take(&s, 9);
        until_asked(&s, 9);
        fake_redis_reply(&s.fake, "-NOSCRIPT No matching script. Please use EVAL.\r\n");
        scene_expect(&s, "again 9");
        scene_take(&s, 10);
        until_asked(&s, 10);
        fake_redis_reply(&s.fake, "-NOSCRIPT No matching script. Please use EVAL.\r\n");
        scene_expect(&s, "error 10 NOSCRIPT No matching script. Please use EVAL.");
        scene_end(&s);
}
END_TEST

static void send_more(struct scene *s, const char *line)
{
        static unsigned round = 10;

        if (strncmp(line, "granted", 7) == 0 && round < 20) {
                ck_assert_int_eq(scene_take(s, round++), 0);
                redis_flush(s->redis);
        }
}

START_TEST(callbacks_may_send_and_flush)
{
        struct scene s;

        scene_up(&s);
        s.react = send_more;
        fake_redis_rule(&s.fake, "EVALSHA", GRANTED);
        scene_take(&s, 9);
        for (unsigned i = 9; i < 20; ++i) {
                char line[32];

                snprintf(line, sizeof(line), "granted %u 0 5", i);
                scene_expect(&s, line);
        }
        scene_end(&s);
}
END_TEST

static void close_on_error(struct scene *s, const char *line)
{
        if (strncmp(line, "error", 5) == 0) {
                redis_close(s->redis, scene_on_closed);
                /* what was lent to the callback is good to its end */
                ck_assert_str_eq(strrchr(line, ' '), " one");
        }
}

START_TEST(callbacks_may_close_with_replies_still_unread)
{
        struct scene s;

        scene_up(&s);
        s.react = close_on_error;
        scene_take(&s, 1);
        scene_take(&s, 2);
        scene_take(&s, 3);
        until_asked(&s, 3);
        fake_redis_reply(&s.fake, "-ERR one\r\n" GRANTED GRANTED GRANTED);
        scene_until(&s, s.closed_n > 0);
        scene_expect(&s, "error 1 ERR one");
        scene_expect(&s, "lost 2");
        scene_expect(&s, "lost 3");
        scene_end(&s);
}
END_TEST

UNIT_MAIN("redis_answers", commands_are_script_calls, the_prefix_is_put_before_every_key,
          answers_say_what_the_node_said, an_error_is_an_answer, a_reply_may_come_in_two_pieces_split_anywhere,
          many_replies_may_come_in_one_piece, what_no_script_can_have_answered_ends_the_connection,
          a_release_is_answered_with_yes_and_a_number, a_reply_that_does_not_end_is_cut_off,
          a_reply_that_nobody_waits_for_ends_the_connection, a_connection_may_end_after_any_byte_of_a_reply,
          a_script_that_the_node_forgot_is_sent_along_until_it_was_answered, callbacks_may_send_and_flush,
          callbacks_may_close_with_replies_still_unread)
