/*
 * Commands and answers on a connection that is up: what is sent, and what a server may send back, in whatever
 * pieces.
 */
#include "net/scene.h"
#include "unit/unit.h"

#define GRANTED  "$25\r\n1 0 5000 1740800000829440\r\n"
#define RELEASED "$10\r\n1 0 5000 0\r\n"
#define HELD     "$14\r\n0 0 5000 900 1\r\n"

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
                         "c 4000  " SCENE_VALUE " 1740800000829440 " SCENE_VALUE_B " 9 1 7000");
        line = s.fake.commands[FAKE_INTRODUCTION_N + 1];
        ck_assert_str_eq(line, "EVALSHA " FAKE_SHA_RELEASE " 2 a b");
        ck_assert_str_eq(line + strlen(line) + 1, "c " SCENE_VALUE " " SCENE_VALUE_B " 01");
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

START_TEST(what_is_as_usual_is_not_sent)
{
        struct command_item items[] = { { .key = text_of("a"), .value = SCENE_VALUE, .fence = 8 },
                                        { .key = text_of("b"), .value = SCENE_VALUE_B, .fence = 9 } };
        struct command command = {
                .round = 9, .ttl_ms = 4000, .fence_slack_ms = 10000, .items = items, .items_n = 2, .acquire_n = 2
        };
        static const char *const calls[] = {
                "EVALSHA " FAKE_SHA_TAKE " 2 a b 4000  " SCENE_VALUE " 8 " SCENE_VALUE_B " 9",
                "EVALSHA " FAKE_SHA_TAKE " 2 a b 4000  " SCENE_VALUE " 8 " SCENE_VALUE_B " 9 2 9999",
                "EVALSHA " FAKE_SHA_TAKE " 2 a b 4000  " SCENE_VALUE " 8 " SCENE_VALUE_B " 9 0 10000",
                "EVALSHA " FAKE_SHA_RELEASE " 2 a b " SCENE_VALUE " " SCENE_VALUE_B,
                "EVALSHA " FAKE_SHA_RELEASE " 2 a b " SCENE_VALUE " " SCENE_VALUE_B " 10",
        };
        struct scene s;

        scene_up(&s);
        ck_assert_int_eq(scene_send(&s, &command), 0);
        command.fence_slack_ms = 9999;
        ck_assert_int_eq(scene_send(&s, &command), 0);
        command.fence_slack_ms = 10000;
        command.acquire_n = 0;
        ck_assert_int_eq(scene_send(&s, &command), 0);
        command.kind = COMMAND_RELEASE;
        ck_assert_int_eq(scene_send(&s, &command), 0);
        items[0].heard = true;
        ck_assert_int_eq(scene_send(&s, &command), 0);
        until_asked(&s, 5);
        for (unsigned i = 0; i < 5; ++i)
                ck_assert_str_eq(s.fake.commands[FAKE_INTRODUCTION_N + i], calls[i]);
        scene_close_node(&s);
        for (unsigned i = 0; i < 5; ++i)
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
        fake_redis_rule(&s.fake, "EVALSHA", "$11\r\n1 0 5999 11\r\n");
        scene_expect(&s, "granted 1 2 5");
        ck_assert_str_eq(s.fake.commands[FAKE_INTRODUCTION_N],
                         "EVALSHA " FAKE_SHA_RELEASE " 2 locks:a locks: " SCENE_VALUE " " SCENE_VALUE);
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
        fake_redis_reply(&s.fake, "$85\r\n0 1700000000 123 900 101000000000"
                                  "0000000000000000000000000000000000000000000000000001\r\n");
        scene_expect(&s, "held 1 8000000000000005 900 1700000000000");
        scene_take(&s, 2);
        scene_release(&s, 3);
        until_asked(&s, 3);
        fake_redis_reply(&s.fake, GRANTED "$10\r\n1 0 6000 1\r\n");
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
                { "*4\r\n:1\r\n:0\r\n:5000\r\n:9\r\n", "down an answer of the wrong shape to TAKE" },
                { "+1 0 5000 9\r\n", "down an answer of the wrong shape to TAKE" },
                { "$0\r\n\r\n", "down an answer of the wrong shape to TAKE" },
                { "$1\r\n1\r\n", "down an answer of the wrong shape to TAKE" },
                { "$3\r\n1 0\r\n", "down an answer of the wrong shape to TAKE" },
                { "$8\r\n1 0 5000\r\n", "down an answer of the wrong shape to TAKE" },
                { "$9\r\n1 0 5000 \r\n", "down an answer of the wrong shape to TAKE" },
                { "$11\r\n1  0 5000 9\r\n", "down an answer of the wrong shape to TAKE" },
                { "$11\r\n 1 0 5000 9\r\n", "down an answer of the wrong shape to TAKE" },
                { "$11\r\n1 0 5000  9\r\n", "down an answer of the wrong shape to TAKE" },
                { "$11\r\n1 0 5000 9 \r\n", "down an answer of the wrong shape to TAKE" },
                { "$12\r\n1 0 5000 9 9\r\n", "down an answer of the wrong shape to TAKE" },
                { "$11\r\n1 0 5000 -9\r\n", "down an answer of the wrong shape to TAKE" },
                { "$11\r\n1 0 5000 +9\r\n", "down an answer of the wrong shape to TAKE" },
                { "$11\r\n1 0 5000 9x\r\n", "down an answer of the wrong shape to TAKE" },
                { "$12\r\n1 0 5000 0x9\r\n", "down an answer of the wrong shape to TAKE" },
                { "$12\r\n1 0 5000 1e3\r\n", "down an answer of the wrong shape to TAKE" },
                { "$12\r\n1 0 5000 1.5\r\n", "down an answer of the wrong shape to TAKE" },
                { "$13\r\n1 0 1000000 9\r\n", "down an answer of the wrong shape to TAKE" },
                { "$22\r\n1 9223372036854775 0 9\r\n", "down an answer of the wrong shape to TAKE" },
                { "$29\r\n1 10000000000000000000000 0 9\r\n", "down an answer of the wrong shape to TAKE" },
                { "$29\r\n1 0 5000 18446744073709551625\r\n", "down an answer of the wrong shape to TAKE" },
                { "$25\r\n1 0 5000 9007199254740992\r\n", "down an answer of the wrong shape to TAKE" },
                { "$10\r\n2 0 5000 1\r\n", "down an answer of the wrong shape to TAKE" },
                { "$12\r\n2 0 5000 9 1\r\n", "down an answer of the wrong shape to TAKE" },
                { "$8\r\n3 0 5000\r\n", "down an answer of the wrong shape to TAKE" },
                { "$10\r\n3 0 5000 9\r\n", "down an answer of the wrong shape to TAKE" },
                { "$8\r\n0 0 5000\r\n", "down an answer of the wrong shape to TAKE" },
                { "$10\r\n0 0 5000 9\r\n", "down an answer of the wrong shape to TAKE" },
                { "$11\r\n0 0 5000 9 \r\n", "down an answer of the wrong shape to TAKE" },
                { "$12\r\n0 0 5000 9 0\r\n", "down an answer of the wrong shape to TAKE" },
                { "$12\r\n0 0 5000 9 2\r\n", "down an answer of the wrong shape to TAKE" },
                { "$13\r\n0 0 5000 9 11\r\n", "down an answer of the wrong shape to TAKE" },
                { "$13\r\n0 0 5000 9 01\r\n", "down an answer of the wrong shape to TAKE" },
                { "$14\r\n0 0 5000 9 1 1\r\n", "down an answer of the wrong shape to TAKE" },
                { "$10\r\n0 0 5000 1\r\n", "down an answer of the wrong shape to TAKE" },
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

#define RAISED_6 "ERR Error running script (call to f_80d15f6c748349e0ed5484b470364f85ca8e2b37): @user_script:11: "
#define WORDS    "READONLY You can't write against a read only replica."

/* As Redis 6.0.16, 7.0.15, 8.0.2 and Valkey 9.1.2 say it; what a script returns, and what ends it. */
START_TEST(of_an_error_in_a_script_the_words_are_told_and_not_where_it_happened)
{
        static const char *const cases[][2] = {
                { RAISED_6 "WRONGTYPE Operation against a key", "WRONGTYPE Operation against a key" },
                { RAISED_6 "@user_script: 1: -" WORDS "  ", WORDS },
                { "@user_script: 11: -" WORDS "  ", WORDS },
                { "@user_script: 1: The user executing the script can't", "The user executing the script can't" },
                { WORDS " script: f_80d15f6c748349e0ed5484b470364f85ca8e2b37, on @user_script:1.", WORDS },
                { WORDS " script: 80d15f6c748349e0ed5484b470364f85ca8e2b37, on @user_script:11.", WORDS },
                { WORDS " script: on @user_script:11.", WORDS },
                { "ERR ACL failure in script: a script: on @user_script:1.", "ERR ACL failure in script: a" },
                /* none of that */
                { "ERR @user_script: 1: x", "ERR @user_script: 1: x" },
                { "@user_script: x: y", "@user_script: x: y" },
                { "@user_script: 1:", "@user_script: 1:" },
                { "ERR Error running script (call to f_80): x", "ERR Error running script (call to f_80): x" },
                { "ERR a script: one", "ERR a script: one" },
                { "-x", "-x" },
                { "", "" },
        };
        char reply[256], line[256];
        struct scene s;

        scene_up(&s);
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
                scene_take(&s, i);
                until_asked(&s, (unsigned)i + 1);
                snprintf(reply, sizeof(reply), "-%s\r\n", cases[i][0]);
                fake_redis_reply(&s.fake, reply);
                snprintf(line, sizeof(line), "error %zu %s", i, cases[i][1]);
                scene_expect(&s, line);
        }
        scene_end(&s);
}
END_TEST

START_TEST(each_key_of_a_release_or_renewal_has_its_digit)
{
        const struct command_item k = { .key = text_of("k"), .value = SCENE_VALUE };
        static const struct {
                enum command_kind kind;
                const char *reply;
                const char *line;
        } cases[] = {
                { COMMAND_RELEASE, "$10\r\n1 0 5000 0\r\n", "granted 1 0 5" },
                { COMMAND_RELEASE, "$10\r\n1 0 5000 1\r\n", "granted 1 1 5" },
                { COMMAND_RELEASE, "$10\r\n1 0 5000 2\r\n", "granted 1 1 5" },
                { COMMAND_RENEW, "$10\r\n1 0 5000 1\r\n", "granted 1 0 5" },
                { COMMAND_RENEW, "$10\r\n1 0 5000 0\r\n", "held 1 1 0 5" },
                { COMMAND_RENEW, "$8\r\n2 0 5000\r\n", "uncertified 1" },
                { COMMAND_PLANT, "$10\r\n1 0 5000 1\r\n", "granted 1 0 5" },
                { COMMAND_PLANT, "$10\r\n1 0 5000 0\r\n", "held 1 1 0 5" },
        };
        static const struct {
                enum command_kind kind;
                const char *reply;
        } bad[] = {
                { COMMAND_RELEASE, "$8\r\n1 0 5000\r\n" },      { COMMAND_RELEASE, "$9\r\n1 0 5000 \r\n" },
                { COMMAND_RELEASE, "$10\r\n0 0 5000 1\r\n" },   { COMMAND_RELEASE, "$8\r\n2 0 5000\r\n" },
                { COMMAND_RELEASE, "$10\r\n1 0 5000 3\r\n" },   { COMMAND_RELEASE, "$11\r\n1 0 5000 11\r\n" },
                { COMMAND_RELEASE, "$12\r\n1 0 5000 1 1\r\n" }, { COMMAND_RELEASE, "$10\r\n1 0 5000 -\r\n" },
                { COMMAND_RENEW, "$10\r\n1 0 5000 2\r\n" },     { COMMAND_RENEW, "$12\r\n0 0 5000 9 1\r\n" },
                { COMMAND_RENEW, "$10\r\n2 0 5000 1\r\n" },     { COMMAND_PLANT, "$8\r\n2 0 5000\r\n" },
                { COMMAND_PLANT, "$10\r\n1 0 5000 2\r\n" },
        };
        static const char *const names[] = {
                [COMMAND_RELEASE] = "RELEASE", [COMMAND_RENEW] = "RENEW", [COMMAND_PLANT] = "PLANT"
        };
        struct command command = { .round = 1, .items = &k, .items_n = 1 };
        char line[NODE_REASON_MAX];
        struct scene s;

        scene_up(&s);
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
                command.kind = cases[i].kind;
                scene_send(&s, &command);
                until_asked(&s, (unsigned)i + 1);
                fake_redis_reply(&s.fake, cases[i].reply);
                scene_expect(&s, cases[i].line);
        }
        ck_assert_uint_eq(s.fake.connections_n, 1);
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); ++i) {
                unsigned asked = fake_redis_count(&s.fake, "EVAL");

                command.kind = bad[i].kind;
                scene_send(&s, &command);
                until_asked(&s, asked + 1);
                fake_redis_reply(&s.fake, bad[i].reply);
                snprintf(line, sizeof(line), "down an answer of the wrong shape to %s", names[command.kind]);
                scene_expect(&s, line);
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

UNIT_MAIN("redis_answers", commands_are_script_calls, what_is_as_usual_is_not_sent, the_prefix_is_put_before_every_key,
          answers_say_what_the_node_said, an_error_is_an_answer, a_reply_may_come_in_two_pieces_split_anywhere,
          many_replies_may_come_in_one_piece, what_no_script_can_have_answered_ends_the_connection,
          of_an_error_in_a_script_the_words_are_told_and_not_where_it_happened,
          each_key_of_a_release_or_renewal_has_its_digit, a_reply_that_does_not_end_is_cut_off,
          a_reply_that_nobody_waits_for_ends_the_connection, a_connection_may_end_after_any_byte_of_a_reply,
          a_script_that_the_node_forgot_is_sent_along_until_it_was_answered, callbacks_may_send_and_flush,
          callbacks_may_close_with_replies_still_unread)
