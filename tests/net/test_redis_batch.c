/*
 * Acquires and releases of one turn in one call: what goes out, whose answer is whose, and what an error of one of
 * them, or of the call, does to the others.
 */
#include "net/scene.h"
#include "redlockd/base/mem.h"
#include "redlockd/net/redis_batch.h"
#include "unit/unit.h"

#include <errno.h>

#define BATCH    "EVALSHA " FAKE_SHA_BATCH " "
#define GRANTED  "$13\r\n1 0 5000 1024\r\n"
#define RELEASED "$10\r\n1 0 5000 0\r\n"
#define NOSCRIPT "-NOSCRIPT No matching script. Please use EVAL.\r\n"

static void batch_up(struct scene *s)
{
        scene_batch_max = REDIS_BATCH_MAX;
        scene_up(s);
}

/* With "locks:" before each key: those of a call need a block of memory then. */
static void batch_up_with_prefix(struct scene *s)
{
        scene_batch_max = REDIS_BATCH_MAX;
        scene_init(s);
        s->options.key_prefix = "locks:";
        fake_redis_bind_tcp(&s->fake, &s->loop, "127.0.0.1");
        fake_redis_listen(&s->fake);
        scene_node_tcp(s, NULL, s->fake.port);
        scene_start(s);
        scene_expect(s, "up");
}

static void until_asked(struct scene *s, unsigned n)
{
        scene_until(s, fake_redis_count(&s->fake, "EVAL") >= n);
}

static void until_looked(struct scene *s, unsigned n)
{
        scene_until(s, fake_redis_count(&s->fake, "INFO") >= n);
}

/* The n-th command after the introduction. */
static const char *asked(const struct scene *s, unsigned n)
{
        return s->fake.commands[FAKE_INTRODUCTION_N + n];
}

/* One string as an answer, of any length. */
static void reply(struct scene *s, const char *text)
{
        char head[32];

        snprintf(head, sizeof(head), "$%zu\r\n", strlen(text));
        fake_redis_reply(&s->fake, head);
        fake_redis_reply(&s->fake, text);
        fake_redis_reply(&s->fake, "\r\n");
}

static void expect_lost(struct scene *s, unsigned from, unsigned n)
{
        char line[32];

        for (unsigned i = from; i < from + n; ++i) {
                snprintf(line, sizeof(line), "lost %u", i);
                scene_expect(s, line);
        }
}

static int send_one(struct scene *s, enum command_kind kind, uint64_t round, const char *key, uint32_t slack_ms,
                    bool heard)
{
        const struct command_item item = { .key = text_of(key),
                                           .value = round % 2 ? SCENE_VALUE : SCENE_VALUE_B,
                                           .fence = 1000 + round,
                                           .heard = heard };

        return scene_send(s, &(struct command){ .round = round,
                                                .node = 3,
                                                .kind = kind,
                                                .ttl_ms = 4000 + (uint32_t)round,
                                                .fence_slack_ms = slack_ms,
                                                .items = &item,
                                                .items_n = 1,
                                                .acquire_n = kind == COMMAND_TAKE });
}

static uint64_t fence_seen;

static void note_fence(struct scene *s, const char *line)
{
        if (strncmp(line, "granted", 7) == 0 && s->last.fences)
                fence_seen = s->last.fences[0];
}

START_TEST(what_one_turn_brings_is_one_call_in_its_order)
{
        struct scene s;

        batch_up(&s);
        s.react = note_fence;
        ck_assert_int_eq(send_one(&s, COMMAND_TAKE, 1, "a", 7000, false), 0);
        ck_assert_int_eq(send_one(&s, COMMAND_RELEASE, 2, "bb", 7000, false), 0);
        ck_assert_int_eq(send_one(&s, COMMAND_RELEASE, 3, "a", 7000, true), 0);
        ck_assert_int_eq(send_one(&s, COMMAND_TAKE, 4, "", 7000, false), 0);
        until_asked(&s, 1);
        ck_assert_str_eq(asked(&s, 0), BATCH "4 a bb a   7000 t01t " SCENE_VALUE " 4001 1001 " SCENE_VALUE_B
                                             " " SCENE_VALUE " " SCENE_VALUE_B " 4004 1004");
        reply(&s, "0 5000\n1 4711\n1 2\n1 1\n0 900 1");
        scene_expect(&s, "granted 1 0 5");
        ck_assert_uint_eq(fence_seen, 4711);
        scene_expect(&s, "granted 2 1 5");
        scene_expect(&s, "granted 3 1 5");
        scene_expect(&s, "held 4 1 900 5");
        scene_end(&s);
}
END_TEST

START_TEST(who_listened_is_told_of_its_own_release)
{
        struct scene s;

        batch_up(&s);
        send_one(&s, COMMAND_RELEASE, 1, "a", 0, false);
        send_one(&s, COMMAND_RELEASE, 2, "b", 0, false);
        send_one(&s, COMMAND_RELEASE, 3, "c", 0, false);
        until_asked(&s, 1);
        reply(&s, "0 5000\n1 1\n1 2\n1 0");
        scene_expect(&s, "granted 1 1 5");
        scene_expect(&s, "granted 2 1 5");
        scene_expect(&s, "granted 3 0 5");
        ck_assert_uint_eq(s.last.taken, 0);
        scene_end(&s);
}
END_TEST

START_TEST(one_command_alone_has_its_own_script)
{
        struct scene s;

        batch_up(&s);
        send_one(&s, COMMAND_TAKE, 1, "a", 10000, false);
        until_asked(&s, 1);
        fake_redis_reply(&s.fake, GRANTED);
        scene_expect(&s, "granted 1 0 5");
        send_one(&s, COMMAND_RELEASE, 2, "a", 10000, true);
        until_asked(&s, 2);
        fake_redis_reply(&s.fake, RELEASED);
        scene_expect(&s, "granted 2 0 5");
        ck_assert_str_eq(asked(&s, 0), "EVALSHA " FAKE_SHA_TAKE " 1 a 4001  " SCENE_VALUE " 1001");
        ck_assert_str_eq(asked(&s, 1), "EVALSHA " FAKE_SHA_RELEASE " 1 a " SCENE_VALUE_B " 1");
        scene_end(&s);
}
END_TEST

START_TEST(the_prefix_is_put_before_every_key)
{
        struct scene s;

        batch_up_with_prefix(&s);
        send_one(&s, COMMAND_RELEASE, 1, "a", 0, false);
        send_one(&s, COMMAND_RELEASE, 2, "b", 0, false);
        until_asked(&s, 1);
        send_one(&s, COMMAND_RELEASE, 3, "c", 0, false);
        until_asked(&s, 2);
        ck_assert_str_eq(asked(&s, 0), BATCH "2 locks:a locks:b  0 00 " SCENE_VALUE " " SCENE_VALUE_B);
        ck_assert_str_eq(asked(&s, 1), "EVALSHA " FAKE_SHA_RELEASE " 1 locks:c " SCENE_VALUE);
        scene_close_node(&s);
        expect_lost(&s, 1, 3);
        scene_end(&s);
}
END_TEST

START_TEST(a_batch_is_bounded)
{
        struct scene s;
        char line[64];

        batch_up(&s);
        for (unsigned i = 0; i < REDIS_BATCH_MAX + 1; ++i)
                send_one(&s, COMMAND_RELEASE, i, "a", 0, false);
        until_asked(&s, 2);
        snprintf(line, sizeof(line), BATCH "%u a", REDIS_BATCH_MAX);
        ck_assert_int_eq(strncmp(asked(&s, 0), line, strlen(line)), 0);
        ck_assert_str_eq(asked(&s, 1), "EVALSHA " FAKE_SHA_RELEASE " 1 a " SCENE_VALUE_B);
        ck_assert_uint_eq(s.fake.reads_n, 2); /* the introduction was the first */
        scene_close_node(&s);
        expect_lost(&s, 0, REDIS_BATCH_MAX + 1);
        scene_end(&s);
}
END_TEST

START_TEST(long_keys_share_a_call_as_far_as_short_ones_do)
{
        static char key[REDIS_BATCH_KEYS_MAX + 2];
        struct scene s;

        batch_up(&s);
        memset(key, 'k', REDIS_BATCH_KEYS_MAX - 1);
        send_one(&s, COMMAND_RELEASE, 1, key, 0, false);
        send_one(&s, COMMAND_RELEASE, 2, "a", 0, false); /* the last that has room */
        send_one(&s, COMMAND_RELEASE, 3, "b", 0, false);
        key[REDIS_BATCH_KEYS_MAX - 1] = key[REDIS_BATCH_KEYS_MAX] = 'k';
        send_one(&s, COMMAND_RELEASE, 4, key, 0, false); /* one alone may be longer */
        send_one(&s, COMMAND_RELEASE, 5, "c", 0, false);
        until_asked(&s, 4);
        ck_assert_int_eq(strncmp(asked(&s, 0), BATCH "2 kkk", 54), 0);
        for (unsigned i = 1; i < 4; ++i)
                ck_assert_int_eq(strncmp(asked(&s, i), "EVALSHA " FAKE_SHA_RELEASE " 1 ", 51), 0);
        scene_close_node(&s);
        expect_lost(&s, 1, 5);
        scene_end(&s);
}
END_TEST

START_TEST(what_is_no_part_of_a_batch_closes_it)
{
        const struct command_item items[] = { { .key = text_of("x"), .value = SCENE_VALUE },
                                              { .key = text_of("y"), .value = SCENE_VALUE } };
        struct command command = { .round = 3, .ttl_ms = 1, .fence_slack_ms = 10000, .items = items, .items_n = 2 };
        struct scene s;

        batch_up(&s);
        send_one(&s, COMMAND_TAKE, 1, "a", 10000, false);
        send_one(&s, COMMAND_TAKE, 2, "b", 10000, false);
        command.acquire_n = 2;
        scene_send(&s, &command); /* several keys */
        send_one(&s, COMMAND_TAKE, 4, "c", 10000, false);
        command.round = 5;
        command.items_n = 1;
        command.acquire_n = 0;
        scene_send(&s, &command); /* an extension */
        command.round = 6;
        command.kind = COMMAND_RENEW;
        scene_send(&s, &command);
        send_one(&s, COMMAND_TAKE, 7, "d", 10000, false);
        send_one(&s, COMMAND_TAKE, 8, "e", 9999, false); /* another slack */
        until_asked(&s, 7);
        ck_assert_int_eq(strncmp(asked(&s, 0), BATCH "2 a b", 48), 0);
        ck_assert_int_eq(strncmp(asked(&s, 1), "EVALSHA " FAKE_SHA_TAKE " 2 x y", 54), 0);
        ck_assert_int_eq(strncmp(asked(&s, 2), "EVALSHA " FAKE_SHA_TAKE " 1 c", 52), 0);
        ck_assert_int_eq(strncmp(asked(&s, 3), "EVALSHA " FAKE_SHA_TAKE " 1 x", 52), 0);
        ck_assert_int_eq(strncmp(asked(&s, 4), "EVALSHA " FAKE_SHA_RENEW " 1 x", 52), 0);
        ck_assert_int_eq(strncmp(asked(&s, 5), "EVALSHA " FAKE_SHA_TAKE " 1 d", 52), 0);
        ck_assert_str_eq(asked(&s, 6), "EVALSHA " FAKE_SHA_TAKE " 1 e 4008  " SCENE_VALUE_B " 1008 1 9999");
        scene_close_node(&s);
        expect_lost(&s, 1, 8);
        scene_end(&s);
}
END_TEST

START_TEST(a_look_is_written_behind_what_was_sent_before)
{
        struct scene s;
        unsigned at;

        scene_members = SCENE_MEMBERS;
        batch_up(&s);
        until_looked(&s, 1);
        send_one(&s, COMMAND_RELEASE, 1, "a", 0, false);
        send_one(&s, COMMAND_RELEASE, 2, "b", 0, false);
        redis_certify(s.redis, 7);
        until_looked(&s, 2);
        for (at = 0; strncmp(asked(&s, at), BATCH, strlen(BATCH)) != 0;)
                ++at;
        ck_assert_str_eq(asked(&s, at + 1), "PING");
        scene_close_node(&s);
        expect_lost(&s, 1, 2);
        scene_end(&s);
}
END_TEST

START_TEST(an_error_of_one_is_its_own)
{
        struct scene s;

        batch_up(&s);
        s.address.password = (char *)(uintptr_t) "secret";
        send_one(&s, COMMAND_TAKE, 1, "a", 0, false);
        send_one(&s, COMMAND_TAKE, 2, "b", 0, false);
        send_one(&s, COMMAND_RELEASE, 3, "c", 0, false);
        send_one(&s, COMMAND_RELEASE, 4, "d", 0, false);
        send_one(&s, COMMAND_RELEASE, 5, "e", 0, false);
        until_asked(&s, 1);
        reply(&s,
              "0 5000\n1 1024\n-WRONGTYPE Operation against a key script: f_1, on @user_script:1.\n-ERR a secret\n1 1\n"
              "-ERR ACL failure in script: User a may not script: 0a1, on @user_script:1.");
        scene_expect(&s, "granted 1 0 5");
        scene_expect(&s, "error 2 WRONGTYPE Operation against a key");
        scene_expect(&s, "error 3 refused");
        scene_expect(&s, "granted 4 1 5");
        scene_expect(&s, "error 5 ERR ACL failure in script: User a may not");
        s.address.password = NULL;
        scene_end(&s);
}
END_TEST

START_TEST(an_error_of_the_call_is_everybodys)
{
        struct scene s;

        batch_up(&s);
        for (unsigned i = 1; i <= 3; ++i)
                send_one(&s, COMMAND_TAKE, i, "a", 0, false);
        until_asked(&s, 1);
        fake_redis_reply(&s.fake, "-LOADING wait\r\n");
        scene_expect(&s, "error 1 LOADING wait");
        scene_expect(&s, "error 2 LOADING wait");
        scene_expect(&s, "error 3 LOADING wait");
        scene_end(&s);
}
END_TEST

START_TEST(where_a_key_may_not_be_used_each_is_called_alone_until_the_next_look)
{
        unsigned looks_n;
        struct scene s;

        batch_up(&s);
        for (unsigned i = 1; i <= 2; ++i)
                send_one(&s, COMMAND_TAKE, i, "a", 10000, false);
        until_asked(&s, 1);
        fake_redis_reply(&s.fake, "-NOPERM this user has no permissions to access one of the keys\r\n");
        scene_expect(&s, "again 1");
        scene_expect(&s, "again 2");
        for (unsigned i = 3; i <= 4; ++i)
                send_one(&s, COMMAND_TAKE, i, "a", 10000, false);
        until_asked(&s, 3);
        /* alone it is an error like any other */
        looks_n = s.looks_n;
        fake_redis_reply(&s.fake, "-NOPERM no\r\n$8\r\n2 0 5000\r\n");
        scene_expect(&s, "error 3 NOPERM no");
        scene_expect(&s, "uncertified 4");
        scene_until(&s, s.looks_n > looks_n);
        for (unsigned i = 5; i <= 6; ++i)
                send_one(&s, COMMAND_TAKE, i, "a", 10000, false);
        until_asked(&s, 4);
        reply(&s, "0 5000\n1 1024\n1 2048");
        scene_expect(&s, "granted 5 0 5");
        scene_expect(&s, "granted 6 0 5");
        scene_end(&s);
}
END_TEST

START_TEST(a_script_that_the_node_forgot_is_sent_along_until_it_was_answered)
{
        struct scene s;

        batch_up(&s);
        for (unsigned turn = 0; turn < 3; ++turn) {
                send_one(&s, COMMAND_TAKE, 2 * turn, "a", 0, false);
                send_one(&s, COMMAND_TAKE, 2 * turn + 1, "b", 0, false);
                until_asked(&s, turn + 1);
                if (turn == 0)
                        fake_redis_reply(&s.fake, NOSCRIPT);
                else
                        reply(&s, "0 5000\n1 1024\n1 1024");
                scene_expect(&s, turn ? "granted *" : "again 0");
                scene_expect(&s, turn ? "granted *" : "again 1");
        }
        ck_assert_int_eq(strncmp(asked(&s, 0), BATCH "2 a b", 48), 0);
        ck_assert_int_eq(strncmp(asked(&s, 1), "EVAL <script> 2 a b", 19), 0);
        ck_assert_int_eq(strncmp(asked(&s, 2), BATCH "2 a b", 48), 0);
        /* each script has been lost for itself */
        send_one(&s, COMMAND_TAKE, 9, "a", 10000, false);
        until_asked(&s, 4);
        ck_assert_int_eq(strncmp(asked(&s, 3), "EVALSHA " FAKE_SHA_TAKE, 48), 0);
        fake_redis_reply(&s.fake, GRANTED);
        scene_expect(&s, "granted 9 0 5");
        scene_end(&s);
}
END_TEST

START_TEST(what_no_script_can_have_answered_ends_the_connection)
{
        static const struct {
                const char *reply;
                unsigned good_n; /* of those before it, that are answered */
        } cases[] = {
                { "0 5000\n1 1024\n1 1", 0 },           /* a line too few */
                { "0 5000\n1 1024\n1 1\n1 1\n1 1", 0 }, /* ... too many */
                { "0 5000", 0 },
                { "", 0 },
                { "0 x\n1 1024\n1 1\n1 1", 0 },      /* no time */
                { "0 5000 1\n1 1024\n1 1\n1 1", 0 }, /* ... and more */
                { "0 1000000\n1 1024\n1 1\n1 1", 0 },
                { "0 5000\n\n1 1\n1 1", 0 },         /* an empty line */
                { "0 5000\n1 1\n1 3\n1 1", 1 },      /* no digit of a release */
                { "0 5000\n1 1024\n1 1\n2", 2 },     /* a release asks for no certificate */
                { "0 5000\n1 1024\n1 11\n1 1", 1 },  /* more digits than keys */
                { "0 5000\n1 1024 5\n1 1\n1 1", 0 }, /* more fences */
                { "0 5000\n1\n1 1\n1 1", 0 },        /* none */
                { "0 5000\n3\n1 1\n1 1", 0 },        /* no verdict */
                { "0 5000\n0 900 0\n1 1\n1 1", 0 },  /* held by nobody */
                { "0 5000\n1 9007199254740992\n1 1\n1 1", 0 },
        };
        struct scene s;

        batch_up(&s);
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
                send_one(&s, COMMAND_TAKE, 1, "a", 0, false);
                send_one(&s, COMMAND_RELEASE, 2, "b", 0, false);
                send_one(&s, COMMAND_RELEASE, 3, "c", 0, false);
                until_asked(&s, (unsigned)i + 1);
                reply(&s, cases[i].reply);
                for (unsigned k = 0; k < cases[i].good_n; ++k)
                        scene_expect(&s, "granted *");
                scene_expect(&s, "down an answer of the wrong shape *");
                expect_lost(&s, 1 + cases[i].good_n, 3 - cases[i].good_n);
                scene_expect(&s, "up");
        }
        /* no string at all */
        send_one(&s, COMMAND_TAKE, 1, "a", 0, false);
        send_one(&s, COMMAND_TAKE, 2, "a", 0, false);
        until_asked(&s, (unsigned)(sizeof(cases) / sizeof(cases[0])) + 1);
        fake_redis_reply(&s.fake, "+0 5000\r\n");
        scene_expect(&s, "down an answer of the wrong shape to a batch");
        expect_lost(&s, 1, 2);
        scene_expect(&s, "up");
        scene_end(&s);
}
END_TEST

START_TEST(a_node_without_its_certificate_is_looked_at_once)
{
        struct scene s;

        batch_up(&s);
        send_one(&s, COMMAND_TAKE, 1, "a", 0, false);
        send_one(&s, COMMAND_TAKE, 2, "b", 0, false);
        send_one(&s, COMMAND_RELEASE, 3, "c", 0, false);
        until_asked(&s, 1);
        reply(&s, "0 5000\n2\n2\n1 1");
        scene_expect(&s, "uncertified 1");
        scene_expect(&s, "uncertified 2");
        scene_expect(&s, "granted 3 1 5");
        scene_until(&s, fake_redis_count(&s.fake, "INFO") == 2);
        /* answered, and no other was asked for */
        send_one(&s, COMMAND_RELEASE, 4, "c", 0, false);
        until_asked(&s, 2);
        ck_assert_uint_eq(fake_redis_count(&s.fake, "INFO"), 2);
        fake_redis_reply(&s.fake, RELEASED);
        scene_expect(&s, "granted 4 0 5");
        scene_end(&s);
}
END_TEST

static void send_on_the_first(struct scene *s, const char *line)
{
        if (strcmp(line, "uncertified 1") == 0) {
                send_one(s, COMMAND_RELEASE, 7, "x", 0, false);
                send_one(s, COMMAND_RELEASE, 8, "y", 0, false);
        }
}

START_TEST(that_look_is_written_behind_what_was_sent_in_a_callback)
{
        struct scene s;

        batch_up(&s);
        s.react = send_on_the_first;
        send_one(&s, COMMAND_TAKE, 1, "a", 0, false);
        send_one(&s, COMMAND_RELEASE, 2, "b", 0, false);
        until_asked(&s, 1);
        reply(&s, "0 5000\n2\n1 1");
        scene_expect(&s, "uncertified 1");
        scene_expect(&s, "granted 2 1 5");
        until_looked(&s, 2);
        ck_assert_int_eq(strncmp(asked(&s, 1), BATCH "2 x y", 48), 0);
        ck_assert_str_eq(asked(&s, 2), "PING");
        scene_close_node(&s);
        expect_lost(&s, 7, 2);
        scene_end(&s);
}
END_TEST

static void starve_the_look(struct scene *s, const char *line)
{
        if (strcmp(line, "uncertified 1") == 0) {
                send_one(s, COMMAND_RELEASE, 7, "x", 0, false);
                send_one(s, COMMAND_RELEASE, 8, "y", 0, false);
                mem_fail_at(1); /* what it has to close before itself */
        } else if (strncmp(line, "down", 4) == 0) {
                ck_assert_int_eq(mem_failed(), 1);
                mem_fail_at(0);
        }
}

START_TEST(without_memory_for_that_look_no_more_of_the_answer_is_read)
{
        struct scene s;

        batch_up_with_prefix(&s);
        s.react = starve_the_look;
        for (unsigned i = 1; i <= 3; ++i)
                send_one(&s, COMMAND_TAKE, i, "a", 0, false);
        until_asked(&s, 1);
        reply(&s, "0 5000\n2\n2\n2");
        scene_expect(&s, "uncertified 1");
        scene_expect(&s, "down out of memory");
        expect_lost(&s, 2, 2);
        expect_lost(&s, 7, 2);
        scene_expect(&s, "up");
        scene_end(&s);
}
END_TEST

START_TEST(what_a_lost_connection_owes_is_lost_whether_it_was_written_or_not)
{
        struct scene s;

        batch_up(&s);
        for (unsigned i = 0; i < 3; ++i)
                send_one(&s, COMMAND_TAKE, i, "a", 0, false);
        until_asked(&s, 1);
        s.flushing = false;
        fake_redis_hang_up(&s.fake);
        for (unsigned i = 3; i < 6; ++i)
                ck_assert_int_eq(send_one(&s, COMMAND_TAKE, i, "a", 0, false), 0);
        scene_expect(&s, "down connection: *");
        expect_lost(&s, 0, 6);
        s.flushing = true;
        scene_expect(&s, "up");
        /* nothing of it goes out on the next one */
        send_one(&s, COMMAND_TAKE, 6, "b", 10000, false);
        until_asked(&s, 2);
        ck_assert_uint_eq(fake_redis_count(&s.fake, BATCH), 1);
        fake_redis_reply(&s.fake, GRANTED);
        scene_expect(&s, "granted 6 0 5");
        scene_end(&s);
}
END_TEST

static void send_two(struct scene *s, const char *line)
{
        if (strncmp(line, "granted 1 ", 10) == 0) {
                ck_assert_int_eq(send_one(s, COMMAND_RELEASE, 11, "x", 0, false), 0);
                ck_assert_int_eq(send_one(s, COMMAND_RELEASE, 12, "y", 0, false), 0);
        }
}

static void send_two_and_flush(struct scene *s, const char *line)
{
        send_two(s, line);
        redis_flush(s->redis);
}

START_TEST(callbacks_may_send_and_flush_between_two_answers)
{
        struct scene s;

        batch_up(&s);
        s.react = send_two_and_flush;
        for (unsigned i = 1; i <= 3; ++i)
                send_one(&s, COMMAND_RELEASE, i, "a", 0, false);
        until_asked(&s, 1);
        reply(&s, "0 5000\n1 1\n1 0\n1 1");
        scene_expect(&s, "granted 1 1 5");
        scene_expect(&s, "granted 2 0 5");
        scene_expect(&s, "granted 3 1 5");
        until_asked(&s, 2);
        reply(&s, "0 6000\n1 0\n1 1");
        scene_expect(&s, "granted 11 0 6");
        scene_expect(&s, "granted 12 1 6");
        scene_end(&s);
}
END_TEST

START_TEST(what_was_not_written_yet_is_not_answered)
{
        struct scene s;

        batch_up(&s);
        s.react = send_two;
        send_one(&s, COMMAND_RELEASE, 1, "a", 0, false);
        until_asked(&s, 1);
        fake_redis_reply(&s.fake, "$10\r\n1 0 5000 1\r\n$10\r\n1 0 5000 1\r\n");
        scene_expect(&s, "granted 1 1 5");
        scene_expect(&s, "down a reply that nobody waits for");
        expect_lost(&s, 11, 2);
        scene_expect(&s, "up");
        scene_end(&s);
}
END_TEST

static void close_on_the_second(struct scene *s, const char *line)
{
        if (strncmp(line, "granted 2 ", 10) == 0)
                redis_close(s->redis, scene_on_closed);
}

START_TEST(callbacks_may_close_between_two_answers)
{
        struct scene s;

        batch_up(&s);
        s.react = close_on_the_second;
        for (unsigned i = 1; i <= 4; ++i)
                send_one(&s, COMMAND_RELEASE, i, "a", 0, false);
        until_asked(&s, 1);
        reply(&s, "0 5000\n1 1\n1 0\n1 1\n1 1");
        scene_until(&s, s.closed_n > 0);
        scene_expect(&s, "granted 1 1 5");
        scene_expect(&s, "granted 2 0 5");
        expect_lost(&s, 3, 2);
        scene_end(&s);
}
END_TEST

START_TEST(without_memory_a_command_is_not_taken)
{
        unsigned refused = 0, n = 0;
        struct scene s;

        batch_up_with_prefix(&s);
        s.flushing = false;
        for (unsigned i = 0; i < 2 * REDIS_BATCH_MAX; ++i) {
                for (unsigned k = 1;; ++k) {
                        int r;

                        mem_fail_at(k);
                        r = send_one(&s, COMMAND_RELEASE, i, "a", 0, false);
                        if (r == 0)
                                break;
                        ck_assert_int_eq(r, -ENOMEM);
                        ck_assert_int_eq(mem_failed(), 1);
                        ++refused;
                }
                mem_fail_at(0);
                ++n;
        }
        ck_assert_uint_ge(refused, 4); /* the keys, what is owed, the first batch's call */
        s.flushing = true;
        until_asked(&s, 2);
        scene_close_node(&s);
        expect_lost(&s, 0, n);
        scene_end(&s);
}
END_TEST

START_TEST(without_memory_for_the_call_the_connection_is_given_up)
{
        struct scene s;

        batch_up_with_prefix(&s);
        s.flushing = false;
        send_one(&s, COMMAND_RELEASE, 1, "a", 0, false);
        send_one(&s, COMMAND_RELEASE, 2, "b", 0, false);
        mem_fail_at(1);
        redis_flush(s.redis);
        mem_fail_at(0);
        s.flushing = true;
        scene_expect(&s, "down out of memory");
        expect_lost(&s, 1, 2);
        scene_expect(&s, "up");
        scene_end(&s);
}
END_TEST

UNIT_MAIN("redis_batch", what_one_turn_brings_is_one_call_in_its_order, who_listened_is_told_of_its_own_release,
          one_command_alone_has_its_own_script, the_prefix_is_put_before_every_key, a_batch_is_bounded,
          long_keys_share_a_call_as_far_as_short_ones_do, what_is_no_part_of_a_batch_closes_it,
          a_look_is_written_behind_what_was_sent_before, an_error_of_one_is_its_own, an_error_of_the_call_is_everybodys,
          where_a_key_may_not_be_used_each_is_called_alone_until_the_next_look,
          a_script_that_the_node_forgot_is_sent_along_until_it_was_answered,
          what_no_script_can_have_answered_ends_the_connection, a_node_without_its_certificate_is_looked_at_once,
          that_look_is_written_behind_what_was_sent_in_a_callback,
          without_memory_for_that_look_no_more_of_the_answer_is_read,
          what_a_lost_connection_owes_is_lost_whether_it_was_written_or_not,
          callbacks_may_send_and_flush_between_two_answers, what_was_not_written_yet_is_not_answered,
          callbacks_may_close_between_two_answers, without_memory_a_command_is_not_taken,
          without_memory_for_the_call_the_connection_is_given_up)
