/*
 * The scripts on a real redis-server. What they answer is held against store/memory, which says the same in C; what
 * that cannot know (other types, keys without a ttl, lost scripts) is here rule by rule.
 */
#include "net/real_redis.h"
#include "net/scene.h"
#include "redlockd/store/memory.h"
#include "unit/unit.h"

#include <inttypes.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define KEYS_N      6
#define SEQUENCES_N 1000 /* or as many as $SEQUENCES says */
#define COMMANDS_N  6    /* of one sequence, which begins with an empty node */

struct stage {
        struct scene scene;
        struct real_redis server;
        uint64_t round;
};

static void stage_init(struct stage *t)
{
        *t = (struct stage){ 0 };
        real_redis_start(&t->server);
        scene_init(&t->scene);
        scene_node_unix(&t->scene, t->server.path);
        scene_start(&t->scene);
        scene_expect(&t->scene, "up");
}

static void stage_end(struct stage *t)
{
        scene_end(&t->scene);
        real_redis_stop(&t->server);
}

static const struct answer *stage_do(struct stage *t, struct command command)
{
        command.round = ++t->round;
        command.node = 3;
        ck_assert_int_eq(scene_send(&t->scene, &command), 0);
        scene_expect(&t->scene, "*");
        return &t->scene.last;
}

static const struct answer *stage_take(struct stage *t, const struct command_item *items, unsigned items_n,
                                       unsigned acquire_n, uint32_t ttl_ms)
{
        return stage_do(t, (struct command){ .kind = COMMAND_TAKE,
                                             .ttl_ms = ttl_ms,
                                             .items = items,
                                             .items_n = items_n,
                                             .acquire_n = acquire_n });
}

static const struct answer *stage_release(struct stage *t, const struct command_item *items, unsigned items_n)
{
        return stage_do(t, (struct command){ .kind = COMMAND_RELEASE, .items = items, .items_n = items_n });
}

static long stage_pttl(struct stage *t, const char *key)
{
        char words[64];

        snprintf(words, sizeof(words), "PTTL %s", key);
        return atol(real_redis_do(&t->server, words) + 1);
}

static bool stage_has(struct stage *t, const char *key, const char *value)
{
        char words[64], reply[64];

        snprintf(words, sizeof(words), "GET %s", key);
        snprintf(reply, sizeof(reply), "$32\r\n%s\r\n", value);
        return strcmp(real_redis_do(&t->server, words), value[0] ? reply : "$-1\r\n") == 0;
}

static struct command random_command(uint64_t *seed, struct command_item items[KEYS_N])
{
        static const char *const values[] = { SCENE_VALUE, SCENE_VALUE_B };
        static const char *const keys[KEYS_N] = { "a", "b", "c", "d", "e", "f" };
        static const enum command_kind kinds[] = { COMMAND_TAKE,    COMMAND_TAKE,    COMMAND_TAKE,
                                                   COMMAND_RELEASE, COMMAND_RELEASE, COMMAND_RENEW,
                                                   COMMAND_RENEW,   COMMAND_PLANT,   COMMAND_PEEK };
        struct command command = { .items = items, .items_n = 1 + scene_dice(seed, 3) };
        unsigned first = scene_dice(seed, KEYS_N), i;

        command.kind = kinds[scene_dice(seed, sizeof(kinds) / sizeof(kinds[0]))];
        if (command.kind == COMMAND_PEEK)
                command.items_n = 1;
        command.ttl_ms = 100000 * (1 + scene_dice(seed, 4));
        command.fence_slack_ms = 10000 * scene_dice(seed, 2);
        command.acquire_n = command.kind == COMMAND_TAKE ? scene_dice(seed, command.items_n + 1) : 0;
        for (i = 0; i < command.items_n; ++i)
                items[i] = (struct command_item){ .key = text_of(keys[(first + i) % KEYS_N]),
                                                  .value = values[scene_dice(seed, 2)],
                                                  .ttl_ms = 100000 * (1 + scene_dice(seed, 4)),
                                                  .fence = scene_random_fence(seed) };
        return command;
}

static void compare(const struct command *command, const struct answer *answer, const struct answer *expected)
{
        ck_assert_msg(answer->verdict == expected->verdict && answer->taken == expected->taken,
                      "verdict %d, not %d; taken %" PRIx64 ", not %" PRIx64, answer->verdict, expected->verdict,
                      answer->taken, expected->taken);
        ck_assert_int_eq(answer->peek, expected->peek);
        ck_assert((answer->fences == NULL) == (expected->fences == NULL));
        for (unsigned i = 0; i < command->acquire_n && answer->fences; ++i)
                ck_assert_uint_eq(answer->fences[i], expected->fences[i]);
        /* a ttl runs from when it is set, which is after the script read the time */
        ck_assert_int_le(llabs((long long)answer->number - (long long)expected->number),
                         command->kind == COMMAND_TAKE || command->kind == COMMAND_PEEK ? 10000 : 0);
}

START_TEST(random_sequences_are_answered_as_by_the_memory_node)
{
        const char *wanted = getenv("SEQUENCES");
        unsigned sequences_n = wanted ? (unsigned)atoi(wanted) : SEQUENCES_N, commands_n = sequences_n * COMMANDS_N, i;
        unsigned seen[COMMAND_KINDS_N][ANSWER_LOST + 1] = { { 0 } }, peeked[PEEK_OTHER_TYPE + 1] = { 0 };
        struct command_item items[KEYS_N];
        struct answer expected;
        uint64_t seed = (uint64_t)time(NULL);
        struct memory *memory;
        struct stage t;

        printf("scripts: seed %" PRIu64 ", %u sequences of %d commands\n", seed, sequences_n, COMMANDS_N);
        stage_init(&t);
        ck_assert_int_eq(memory_new(&memory), 0);
        for (i = 0; i < commands_n; ++i) {
                const struct command command = random_command(&seed, items);
                const struct answer *answer;

                if (i % COMMANDS_N == 0) {
                        real_redis_do(&t.server, "FLUSHALL");
                        memory_flush(memory);
                }
                answer = stage_do(&t, command);
                memory_execute(memory, &command, answer->node_ms, &expected); /* the node's own clock drives both */
                compare(&command, answer, &expected);
                ++seen[command.kind][answer->verdict];
                if (command.kind == COMMAND_PEEK)
                        ++peeked[answer->peek];
        }
        ck_assert_uint_gt(seen[COMMAND_TAKE][ANSWER_GRANTED], commands_n / 20);
        ck_assert_uint_gt(seen[COMMAND_TAKE][ANSWER_HELD], commands_n / 10);
        ck_assert_uint_gt(seen[COMMAND_RELEASE][ANSWER_GRANTED], commands_n / 10);
        ck_assert_uint_gt(seen[COMMAND_RENEW][ANSWER_GRANTED], commands_n / 1000);
        ck_assert_uint_gt(seen[COMMAND_RENEW][ANSWER_HELD], commands_n / 10);
        ck_assert_uint_gt(seen[COMMAND_PLANT][ANSWER_GRANTED], commands_n / 100);
        ck_assert_uint_gt(seen[COMMAND_PLANT][ANSWER_HELD], commands_n / 100);
        ck_assert_uint_gt(peeked[PEEK_ABSENT], 0);
        ck_assert_uint_gt(peeked[PEEK_OURS], 0);
        ck_assert_uint_gt(peeked[PEEK_OTHER], 0);
        memory_free(memory);
        stage_end(&t);
}
END_TEST

START_TEST(all_or_nothing)
{
        const struct command_item items[] = { { .key = text_of("a"), .value = SCENE_VALUE },
                                              { .key = text_of("b"), .value = SCENE_VALUE } };
        const struct command_item b = { .key = text_of("b"), .value = SCENE_VALUE_B };
        const struct answer *answer;
        struct stage t;

        stage_init(&t);
        ck_assert_int_eq(stage_take(&t, &b, 1, 1, 9000)->verdict, ANSWER_GRANTED);
        answer = stage_take(&t, items, 2, 2, 9000);
        ck_assert_int_eq(answer->verdict, ANSWER_HELD);
        ck_assert_uint_eq(answer->taken, 2);
        ck_assert_uint_gt(answer->number, 8000);
        ck_assert_uint_le(answer->number, 9000);
        ck_assert(stage_has(&t, "a", ""));
        ck_assert(stage_has(&t, "b", SCENE_VALUE_B));
        /* the same where b is to be extended */
        ck_assert_uint_eq(stage_take(&t, items, 2, 1, 9000)->taken, 2);
        ck_assert(stage_has(&t, "a", ""));
        ck_assert_uint_eq(stage_release(&t, &b, 1)->number, 1);
        /* ... or is not there: nothing stands in the way that would ever go */
        answer = stage_take(&t, items, 2, 1, 9000);
        ck_assert_uint_eq(answer->taken, 2);
        ck_assert_uint_eq(answer->number, 0);
        ck_assert(stage_has(&t, "a", ""));
        stage_end(&t);
}
END_TEST

START_TEST(the_node_says_its_time)
{
        const struct command_item a = { .key = text_of("a"), .value = SCENE_VALUE };
        uint64_t before = (uint64_t)time(NULL) * 1000, after;
        struct stage t;

        stage_init(&t);
        ck_assert_uint_ge(stage_take(&t, &a, 1, 1, 9000)->node_ms, before);
        ck_assert_uint_ge(stage_take(&t, &a, 1, 1, 9000)->node_ms, before);
        ck_assert_uint_ge(stage_take(&t, &a, 1, 0, 9000)->node_ms, before);
        ck_assert_uint_ge(stage_release(&t, &a, 1)->node_ms, before);
        after = ((uint64_t)time(NULL) + 1) * 1000;
        ck_assert_uint_lt(stage_release(&t, &a, 1)->node_ms, after + 60000);
        stage_end(&t);
}
END_TEST

START_TEST(a_ttl_is_set_raised_and_never_cut)
{
        const struct command_item a = { .key = text_of("a"), .value = SCENE_VALUE };
        struct stage t;

        stage_init(&t);
        stage_take(&t, &a, 1, 1, 20000);
        ck_assert_int_gt(stage_pttl(&t, "a"), 15000);
        ck_assert_int_le(stage_pttl(&t, "a"), 20000);
        ck_assert_int_eq(stage_take(&t, &a, 1, 0, 60000)->verdict, ANSWER_GRANTED);
        ck_assert_int_gt(stage_pttl(&t, "a"), 55000);
        ck_assert_int_eq(stage_take(&t, &a, 1, 0, 10000)->verdict, ANSWER_GRANTED);
        ck_assert_int_gt(stage_pttl(&t, "a"), 50000);
        real_redis_do(&t.server, "PERSIST a");
        ck_assert_int_eq(stage_take(&t, &a, 1, 0, 10000)->verdict, ANSWER_GRANTED);
        ck_assert_int_eq(stage_pttl(&t, "a"), -1);
        stage_end(&t);
}
END_TEST

START_TEST(a_key_whose_ttl_has_passed_is_free)
{
        const struct command_item a = { .key = text_of("a"), .value = SCENE_VALUE },
                                  b = { .key = text_of("a"), .value = SCENE_VALUE_B };
        const struct answer *answer;
        struct stage t;

        stage_init(&t);
        stage_take(&t, &a, 1, 1, 30);
        while ((answer = stage_take(&t, &b, 1, 1, 9000))->verdict == ANSWER_HELD)
                ck_assert_uint_le(answer->number, 30);
        ck_assert_int_eq(answer->verdict, ANSWER_GRANTED);
        ck_assert_uint_eq(stage_take(&t, &a, 1, 0, 9000)->taken, 1);
        stage_end(&t);
}
END_TEST

START_TEST(a_key_without_a_ttl_gives_no_time)
{
        const struct command_item items[] = { { .key = text_of("a"), .value = SCENE_VALUE },
                                              { .key = text_of("b"), .value = SCENE_VALUE } };
        const struct answer *answer;
        struct stage t;

        stage_init(&t);
        real_redis_do(&t.server, "SET a x");
        real_redis_do(&t.server, "SET b x PX 9000");
        answer = stage_take(&t, items, 1, 1, 9000);
        ck_assert_int_eq(answer->verdict, ANSWER_HELD);
        ck_assert_uint_eq(answer->number, 0);
        answer = stage_take(&t, items, 2, 2, 9000);
        ck_assert_uint_eq(answer->taken, 3);
        ck_assert_uint_eq(answer->number, 0);
        stage_end(&t);
}
END_TEST

/* A text that Lua makes of a number by itself has 14 digits. */
START_TEST(a_ttl_of_many_years_is_told_to_the_millisecond)
{
        const struct command_item a = { .key = text_of("a"), .value = SCENE_VALUE };
        const struct command peek = { .kind = COMMAND_PEEK, .items = &a, .items_n = 1 };
        const uint64_t ttl_ms = UINT64_C(8123456789012345);
        const struct answer *answer;
        struct stage t;

        stage_init(&t);
        real_redis_do(&t.server, "SET a x PX 8123456789012345");
        answer = stage_take(&t, &a, 1, 1, 9000);
        ck_assert_int_eq(answer->verdict, ANSWER_HELD);
        ck_assert_uint_le(answer->number, ttl_ms);
        ck_assert_uint_gt(answer->number, ttl_ms - 60000);
        answer = stage_do(&t, peek);
        ck_assert_uint_le(answer->number, ttl_ms);
        ck_assert_uint_gt(answer->number, ttl_ms - 60000);
        stage_end(&t);
}
END_TEST

START_TEST(a_key_of_another_type_is_an_error_and_leaves_all_as_it_was)
{
        const struct command_item items[] = { { .key = text_of("a"), .value = SCENE_VALUE },
                                              { .key = text_of("l"), .value = SCENE_VALUE } };
        const struct answer *answer;
        struct stage t;

        stage_init(&t);
        real_redis_do(&t.server, "RPUSH l 1");
        answer = stage_take(&t, &items[1], 1, 1, 9000);
        ck_assert_int_eq(answer->verdict, ANSWER_ERROR);
        ck_assert_str_eq(answer->error, "WRONGTYPE Operation against a key holding the wrong kind of value");
        for (unsigned acquire_n = 0; acquire_n <= 2; ++acquire_n) {
                answer = stage_take(&t, items, 2, acquire_n, 9000);
                ck_assert_int_eq(answer->verdict, ANSWER_ERROR);
                ck_assert_int_eq(strncmp(answer->error, "WRONGTYPE", 9), 0);
        }
        ck_assert(stage_has(&t, "a", ""));
        stage_end(&t);
}
END_TEST

START_TEST(a_renewal_is_of_each_key_for_itself)
{
        const struct command_item items[] = { { .key = text_of("a"), .value = SCENE_VALUE, .ttl_ms = 60000 },
                                              { .key = text_of("l"), .value = SCENE_VALUE, .ttl_ms = 60000 },
                                              { .key = text_of("b"), .value = SCENE_VALUE, .ttl_ms = 60000 },
                                              { .key = text_of("c"), .value = SCENE_VALUE, .ttl_ms = 10000 },
                                              { .key = text_of("none"), .value = SCENE_VALUE, .ttl_ms = 60000 } };
        const struct answer *answer;
        struct stage t;

        stage_init(&t);
        real_redis_do(&t.server, "RPUSH l 1");
        real_redis_do(&t.server, "SET b somebody-else PX 20000");
        stage_take(&t, &items[0], 1, 1, 20000);
        stage_take(&t, &items[3], 1, 1, 20000);
        answer = stage_do(&t, (struct command){ .kind = COMMAND_RENEW, .items = items, .items_n = 5 });
        ck_assert_int_eq(answer->verdict, ANSWER_HELD);
        ck_assert_uint_eq(answer->taken, 1 << 1 | 1 << 2 | 1 << 4);
        ck_assert_int_gt(stage_pttl(&t, "a"), 55000);
        ck_assert_int_le(stage_pttl(&t, "b"), 20000);
        ck_assert_int_gt(stage_pttl(&t, "c"), 15000); /* never cut */
        answer = stage_do(&t, (struct command){ .kind = COMMAND_RENEW, .items = items, .items_n = 1 });
        ck_assert_int_eq(answer->verdict, ANSWER_GRANTED);
        stage_end(&t);
}
END_TEST

START_TEST(a_peek_changes_nothing_and_shows_no_value)
{
        const struct command_item item = { .key = text_of("a"), .value = SCENE_VALUE };
        const struct command peek = { .kind = COMMAND_PEEK, .items = &item, .items_n = 1 };
        const struct answer *answer;
        struct stage t;

        stage_init(&t);
        answer = stage_do(&t, peek);
        ck_assert_int_eq(answer->peek, PEEK_ABSENT);
        ck_assert_str_eq(t.scene.last_facts,
                         "role:master connected_slaves:0 maxmemory:0 maxmemory_policy:noeviction aof_enabled:0");
        real_redis_do(&t.server, "RPUSH a 1");
        ck_assert_int_eq(stage_do(&t, peek)->peek, PEEK_OTHER_TYPE);
        real_redis_do(&t.server, "DEL a");
        real_redis_do(&t.server, "SET a secret");
        answer = stage_do(&t, peek);
        ck_assert_int_eq(answer->peek, PEEK_OTHER);
        ck_assert_uint_eq(answer->number, 0); /* no ttl */
        ck_assert_ptr_null(strstr(t.scene.last_facts, "secret"));
        ck_assert_str_eq(real_redis_do(&t.server, "GET a"), "$6\r\nsecret\r\n");
        /* Who may not ask how the node is, is still told of the key. */
        real_redis_do(&t.server, "ACL SETUSER default -info");
        ck_assert_int_eq(stage_do(&t, peek)->peek, PEEK_OTHER);
        ck_assert_str_eq(t.scene.last_facts, "");
        stage_end(&t);
}
END_TEST

START_TEST(a_release_goes_through_all_keys)
{
        const struct command_item items[] = { { .key = text_of("a"), .value = SCENE_VALUE },
                                              { .key = text_of("l"), .value = SCENE_VALUE },
                                              { .key = text_of("b"), .value = SCENE_VALUE },
                                              { .key = text_of("c"), .value = SCENE_VALUE },
                                              { .key = text_of("none"), .value = SCENE_VALUE } };
        const struct answer *answer;
        struct stage t;

        stage_init(&t);
        real_redis_do(&t.server, "RPUSH l 1");
        real_redis_do(&t.server, "SET b somebody-else");
        stage_take(&t, &items[0], 1, 1, 9000);
        stage_take(&t, &items[3], 1, 1, 9000);
        answer = stage_release(&t, items, 5);
        ck_assert_int_eq(answer->verdict, ANSWER_GRANTED);
        ck_assert_uint_eq(answer->number, 2);
        ck_assert_str_eq(real_redis_do(&t.server, "EXISTS a b c l"), ":2\r\n");
        ck_assert_str_eq(real_redis_do(&t.server, "LLEN l"), ":1\r\n");
        stage_end(&t);
}
END_TEST

START_TEST(a_release_tells_who_listens_how_many_do_and_the_host_whether_others_do)
{
        struct command_item items[] = {
                { .key = text_of("none"), .value = SCENE_VALUE },
                { .key = text_of("other"), .value = SCENE_VALUE },
                { .key = text_of("own"), .value = SCENE_VALUE, .heard = true },
                { .key = text_of("both"), .value = SCENE_VALUE, .heard = true },
                { .key = text_of("not-ours"), .value = SCENE_VALUE },
        };
        const struct answer *answer;
        struct stage t;
        int fds[5];

        stage_init(&t);
        stage_take(&t, items, 4, 4, 9000);
        fds[0] = real_redis_listener(&t.server, "other");
        fds[1] = real_redis_listener(&t.server, "own");
        fds[2] = real_redis_listener(&t.server, "both");
        fds[3] = real_redis_listener(&t.server, "both");
        fds[4] = real_redis_listener(&t.server, "not-ours");
        answer = stage_release(&t, items, 5);
        ck_assert_int_eq(answer->verdict, ANSWER_GRANTED);
        ck_assert_uint_eq(answer->number, 4);
        ck_assert_uint_eq(answer->taken, 1 << 1 | 1 << 3);
        real_redis_until_read(fds[0], "$1\r\n1\r\n");
        real_redis_until_read(fds[1], "$1\r\n1\r\n");
        real_redis_until_read(fds[2], "$1\r\n2\r\n");
        real_redis_until_read(fds[3], "$1\r\n2\r\n");
        ck_assert_int_lt(recv(fds[4], (char[1]){ 0 }, 1, MSG_DONTWAIT), 0);
        /* nobody has said that he listens himself */
        for (unsigned i = 0; i < 4; ++i)
                items[i].heard = false;
        stage_take(&t, items, 4, 4, 9000);
        ck_assert_uint_eq(stage_release(&t, items, 4)->taken, 1 << 1 | 1 << 2 | 1 << 3);
        for (unsigned i = 0; i < 5; ++i)
                close(fds[i]);
        stage_end(&t);
}
END_TEST

START_TEST(a_release_that_may_not_delete_is_an_error)
{
        const struct command_item items[] = { { .key = text_of("a"), .value = SCENE_VALUE },
                                              { .key = text_of("b"), .value = SCENE_VALUE } };
        const struct answer *answer;
        struct stage t;

        stage_init(&t);
        stage_take(&t, items, 2, 2, 9000);
        real_redis_do(&t.server, "REPLICAOF 127.0.0.1 1");
        answer = stage_release(&t, items, 2);
        ck_assert_int_eq(answer->verdict, ANSWER_ERROR);
        ck_assert_int_eq(strncmp(answer->error, "READONLY", 8), 0);
        ck_assert_int_eq(stage_take(&t, items, 2, 0, 9900)->verdict, ANSWER_ERROR);
        stage_end(&t);
}
END_TEST

START_TEST(scripts_that_the_server_forgot_come_back)
{
        const struct command_item a = { .key = text_of("a"), .value = SCENE_VALUE };
        struct stage t;

        stage_init(&t);
        for (unsigned i = 0; i < 3; ++i) {
                real_redis_do(&t.server, "SCRIPT FLUSH");
                ck_assert_int_eq(stage_take(&t, &a, 1, 1, 9000)->verdict, ANSWER_AGAIN);
                ck_assert_int_eq(stage_take(&t, &a, 1, 1, 9000)->verdict, ANSWER_GRANTED);
                ck_assert_int_eq(stage_release(&t, &a, 1)->verdict, ANSWER_AGAIN);
                ck_assert_int_eq(stage_release(&t, &a, 1)->verdict, ANSWER_GRANTED);
                ck_assert_uint_eq(stage_release(&t, &a, 1)->number, 0);
        }
        ck_assert_ptr_nonnull(strstr(real_redis_do(&t.server, "INFO commandstats"), "cmdstat_eval:calls=6,"));
        stage_end(&t);
}
END_TEST

START_TEST(the_server_says_who_it_is)
{
        char field[96];
        struct stage t;

        stage_init(&t);
        snprintf(field, sizeof(field), "redis_version:%s\r\n", redis_version(t.scene.redis));
        ck_assert_ptr_nonnull(strstr(real_redis_do(&t.server, "INFO server"), field));
        snprintf(field, sizeof(field), "run_id:%s\r\n", redis_run_id(t.scene.redis));
        ck_assert_ptr_nonnull(strstr(real_redis_do(&t.server, "INFO server"), field));
        ck_assert_ptr_nonnull(strstr(real_redis_do(&t.server, "CLIENT LIST"), " name=redlockd "));
        stage_end(&t);
}
END_TEST

UNIT_MAIN("scripts", random_sequences_are_answered_as_by_the_memory_node, all_or_nothing, the_node_says_its_time,
          a_ttl_is_set_raised_and_never_cut, a_key_whose_ttl_has_passed_is_free, a_key_without_a_ttl_gives_no_time,
          a_ttl_of_many_years_is_told_to_the_millisecond, a_key_of_another_type_is_an_error_and_leaves_all_as_it_was,
          a_renewal_is_of_each_key_for_itself, a_peek_changes_nothing_and_shows_no_value,
          a_release_goes_through_all_keys, a_release_tells_who_listens_how_many_do_and_the_host_whether_others_do,
          a_release_that_may_not_delete_is_an_error, scripts_that_the_server_forgot_come_back,
          the_server_says_who_it_is)
