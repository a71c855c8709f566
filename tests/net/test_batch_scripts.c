/*
 * Batches on a real redis-server: they are answered as the same commands one after the other, and what a key of another
 * type, or one that may not be used, does to the others.
 */
#include "net/real_redis.h"
#include "net/scene.h"
#include "redlockd/store/memory.h"
#include "unit/unit.h"

#include <inttypes.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define KEYS_N    6
#define BATCHES_N 1000 /* or as many as $SEQUENCES says */

struct stage {
        struct scene scene;
        struct real_redis server;
        struct command commands[REDIS_BATCH_MAX];
        struct command_item items[REDIS_BATCH_MAX];
        unsigned n;
};

/* By round, which is the place in `commands`. */
static struct answer answers[REDIS_BATCH_MAX];
static uint64_t fences[REDIS_BATCH_MAX];
static char errors[REDIS_BATCH_MAX][NODE_REASON_MAX];
static unsigned answers_n;

static void keep_answer(struct scene *s, const char *line)
{
        const char *round = strchr(line, ' ');
        unsigned i;

        if (!round || round[1] < '0' || round[1] > '9')
                return; /* a state, or a look */
        i = (unsigned)atoi(round + 1);
        ck_assert_uint_eq(i, answers_n);
        answers[i] = s->last;
        fences[i] = s->last.fences ? s->last.fences[0] : 0;
        snprintf(errors[i], sizeof(errors[i]), "%s", s->last_error);
        ++answers_n;
}

static void stage_init_until(struct stage *t, const char *line)
{
        *t = (struct stage){ 0 };
        real_redis_start(&t->server);
        scene_batch_max = REDIS_BATCH_MAX;
        scene_init(&t->scene);
        scene_node_unix(&t->scene, t->server.path);
        scene_start(&t->scene);
        scene_expect(&t->scene, line);
        t->scene.react = keep_answer;
}

static void stage_init(struct stage *t)
{
        stage_init_until(t, "up");
}

static void stage_end(struct stage *t)
{
        scene_end(&t->scene);
        real_redis_stop(&t->server);
}

static void stage_add(struct stage *t, enum command_kind kind, const char *key, const char *value, uint32_t ttl_ms)
{
        struct command_item *item = &t->items[t->n];

        *item = (struct command_item){ .key = text_of(key), .value = value, .ttl_ms = ttl_ms };
        t->commands[t->n] = (struct command){ .round = t->n,
                                              .node = 3,
                                              .kind = kind,
                                              .ttl_ms = ttl_ms,
                                              .fence_slack_ms = 10000,
                                              .items = item,
                                              .items_n = 1,
                                              .acquire_n = kind == COMMAND_TAKE };
        ++t->n;
}

/* All that were added, in one call. */
static void stage_do(struct stage *t)
{
        answers_n = 0;
        for (unsigned i = 0; i < t->n; ++i)
                ck_assert_int_eq(scene_send(&t->scene, &t->commands[i]), 0);
        scene_until(&t->scene, answers_n == t->n);
        t->scene.read_n = t->scene.lines_n;
        t->n = 0;
}

static void stage_add_random(struct stage *t, uint64_t *seed)
{
        static const char *const values[] = { SCENE_VALUE, SCENE_VALUE_B };
        static const char *const keys[KEYS_N] = { "a", "b", "c", "d", "e", "f" };

        stage_add(t, scene_dice(seed, 2) ? COMMAND_TAKE : COMMAND_RELEASE, keys[scene_dice(seed, KEYS_N)],
                  values[scene_dice(seed, 2)], 100000 * (1 + scene_dice(seed, 4)));
        t->items[t->n - 1].fence = scene_random_fence(seed);
}

START_TEST(a_batch_is_answered_as_its_commands_one_after_the_other)
{
        const char *wanted = getenv("SEQUENCES");
        unsigned batches_n = wanted ? (unsigned)atoi(wanted) : BATCHES_N, seen[2][ANSWER_LOST + 1] = { { 0 } };
        uint64_t seed = (uint64_t)time(NULL);
        struct answer expected;
        struct memory *memory;
        struct stage t;

        printf("batches: seed %" PRIu64 ", %u of them\n", seed, batches_n);
        stage_init(&t);
        ck_assert_int_eq(memory_new(&memory), 0);
        for (unsigned batch = 0; batch < batches_n; ++batch) {
                unsigned n = 2 + scene_dice(&seed, REDIS_BATCH_MAX - 1);

                if (batch % 8 == 0) {
                        real_redis_do(&t.server, "FLUSHALL");
                        memory_flush(memory);
                }
                while (t.n < n)
                        stage_add_random(&t, &seed);
                stage_do(&t);
                for (unsigned i = 0; i < n; ++i) {
                        memory_execute(memory, &t.commands[i], answers[i].node_ms, &expected);
                        ck_assert_int_eq(answers[i].verdict, expected.verdict);
                        ck_assert_uint_eq(answers[i].taken, expected.taken);
                        ck_assert_uint_eq(answers[i].node_ms, answers[0].node_ms);
                        ck_assert_uint_eq(fences[i], expected.fences ? expected.fences[0] : 0);
                        /* a ttl runs from when it is set, which is after the script read the time */
                        ck_assert_int_le(llabs((long long)answers[i].number - (long long)expected.number),
                                         t.commands[i].kind == COMMAND_TAKE ? 10000 : 0);
                        ++seen[t.commands[i].kind == COMMAND_TAKE][answers[i].verdict];
                }
        }
        ck_assert_ptr_nonnull(strstr(real_redis_do(&t.server, "INFO commandstats"), "cmdstat_evalsha:calls=1000,") ||
                                              wanted
                                      ? "all of them"
                                      : NULL);
        ck_assert_uint_gt(seen[1][ANSWER_GRANTED], batches_n);
        ck_assert_uint_gt(seen[1][ANSWER_HELD], batches_n);
        ck_assert_uint_gt(seen[0][ANSWER_GRANTED], batches_n);
        memory_free(memory);
        stage_end(&t);
}
END_TEST

START_TEST(a_key_of_another_type_is_an_error_of_its_own)
{
        struct stage t;

        stage_init(&t);
        real_redis_do(&t.server, "RPUSH list x");
        stage_add(&t, COMMAND_TAKE, "a", SCENE_VALUE, 9000);
        stage_add(&t, COMMAND_TAKE, "list", SCENE_VALUE, 9000);
        stage_add(&t, COMMAND_RELEASE, "list", SCENE_VALUE, 0);
        stage_add(&t, COMMAND_TAKE, "b", SCENE_VALUE, 9000);
        stage_do(&t);
        ck_assert_int_eq(answers[0].verdict, ANSWER_GRANTED);
        ck_assert_int_eq(answers[1].verdict, ANSWER_ERROR);
        ck_assert_int_eq(strncmp(errors[1], "WRONGTYPE", 9), 0);
        ck_assert_int_eq(answers[2].verdict, ANSWER_GRANTED); /* it is not ours and thus gone */
        ck_assert_uint_eq(answers[2].number, 0);
        ck_assert_int_eq(answers[3].verdict, ANSWER_GRANTED);
        ck_assert_str_eq(real_redis_do(&t.server, "LLEN list"), ":1\r\n");
        stage_end(&t);
}
END_TEST

START_TEST(a_key_without_a_ttl_gives_no_time)
{
        struct stage t;

        stage_init(&t);
        real_redis_do(&t.server, "SET a x");
        stage_add(&t, COMMAND_TAKE, "a", SCENE_VALUE, 9000);
        stage_add(&t, COMMAND_TAKE, "b", SCENE_VALUE, 9000);
        stage_do(&t);
        ck_assert_int_eq(answers[0].verdict, ANSWER_HELD);
        ck_assert_uint_eq(answers[0].number, 0);
        ck_assert_uint_eq(answers[0].taken, 1);
        stage_end(&t);
}
END_TEST

START_TEST(who_listens_is_told_of_each_release_and_the_host_whether_others_do)
{
        struct stage t;
        int fds[3];

        stage_init(&t);
        fds[0] = real_redis_listener(&t.server, "a");
        fds[1] = real_redis_listener(&t.server, "c");
        fds[2] = real_redis_listener(&t.server, "not-ours");
        for (unsigned turn = 0; turn < 2; ++turn) {
                stage_add(&t, COMMAND_TAKE, "a", SCENE_VALUE, 9000);
                stage_add(&t, COMMAND_TAKE, "b", SCENE_VALUE, 9000);
                stage_add(&t, COMMAND_TAKE, "c", SCENE_VALUE, 9000);
                stage_add(&t, COMMAND_RELEASE, "a", SCENE_VALUE, 0);
                stage_add(&t, COMMAND_RELEASE, "not-ours", SCENE_VALUE, 0);
                stage_add(&t, COMMAND_RELEASE, "b", SCENE_VALUE, 0);
                stage_add(&t, COMMAND_RELEASE, "c", SCENE_VALUE, 0);
                t.items[6].heard = turn;
                stage_do(&t);
                ck_assert_uint_eq(answers[3].taken, 1);
                ck_assert_uint_eq(answers[4].taken, 0);
                ck_assert_uint_eq(answers[5].taken, 0);
                ck_assert_uint_eq(answers[6].taken, !turn);
                for (unsigned i = 3; i < 7; ++i)
                        ck_assert_uint_eq(answers[i].number, i != 4);
                real_redis_until_read(fds[0], "$1\r\n1\r\n");
                real_redis_until_read(fds[1], "$1\r\n1\r\n");
        }
        ck_assert_int_lt(recv(fds[2], (char[1]){ 0 }, 1, MSG_DONTWAIT), 0);
        for (unsigned i = 0; i < 3; ++i)
                close(fds[i]);
        stage_end(&t);
}
END_TEST

START_TEST(without_the_certificate_nothing_is_taken_and_all_is_released)
{
        struct stage t;

        scene_members = SCENE_MEMBERS;
        stage_init_until(&t, "uncertified *");
        redis_certify(t.scene.redis, t.scene.mark);
        scene_expect(&t.scene, "up");
        stage_add(&t, COMMAND_TAKE, "a", SCENE_VALUE, 9000);
        stage_add(&t, COMMAND_TAKE, "b", SCENE_VALUE, 9000);
        stage_do(&t);
        ck_assert_int_eq(answers[0].verdict, ANSWER_GRANTED);
        ck_assert_int_eq(answers[1].verdict, ANSWER_GRANTED);
        real_redis_do(&t.server, "DEL redlockd:cert");
        stage_add(&t, COMMAND_TAKE, "c", SCENE_VALUE, 9000);
        stage_add(&t, COMMAND_RELEASE, "a", SCENE_VALUE, 0);
        stage_add(&t, COMMAND_TAKE, "a", SCENE_VALUE, 9000);
        stage_do(&t);
        ck_assert_int_eq(answers[0].verdict, ANSWER_UNCERTIFIED);
        ck_assert_int_eq(answers[1].verdict, ANSWER_GRANTED);
        ck_assert_uint_eq(answers[1].number, 1);
        ck_assert_int_eq(answers[2].verdict, ANSWER_UNCERTIFIED);
        ck_assert_str_eq(real_redis_do(&t.server, "EXISTS a b c redlockd:fence:c"), ":1\r\n");
        scene_close_node(&t.scene);
        t.scene.read_n = t.scene.lines_n; /* the look that follows may have been answered */
        stage_end(&t);
}
END_TEST

START_TEST(a_node_that_may_not_write_says_so_of_each)
{
        struct stage t;

        stage_init(&t);
        stage_add(&t, COMMAND_TAKE, "a", SCENE_VALUE, 9000);
        stage_add(&t, COMMAND_TAKE, "b", SCENE_VALUE, 9000);
        stage_do(&t);
        real_redis_do(&t.server, "REPLICAOF 127.0.0.1 1");
        stage_add(&t, COMMAND_TAKE, "c", SCENE_VALUE, 9000);
        stage_add(&t, COMMAND_RELEASE, "a", SCENE_VALUE, 0);
        stage_add(&t, COMMAND_RELEASE, "b", SCENE_VALUE_B, 0);
        stage_do(&t);
        ck_assert_int_eq(answers[0].verdict, ANSWER_ERROR);
        ck_assert_str_eq(errors[0], "READONLY You can't write against a read only replica.");
        ck_assert_int_eq(answers[1].verdict, ANSWER_ERROR);
        ck_assert_int_eq(strncmp(errors[1], "READONLY", 8), 0);
        ck_assert_int_eq(answers[2].verdict, ANSWER_GRANTED); /* nothing of that value is there */
        stage_end(&t);
}
END_TEST

START_TEST(a_key_that_may_not_be_used_costs_the_others_nothing)
{
        struct stage t;

        stage_init(&t);
        real_redis_do(&t.server, "ACL SETUSER default resetkeys ~ours:* ~redlockd:*");
        for (unsigned turn = 0; turn < 2; ++turn) {
                stage_add(&t, COMMAND_TAKE, turn ? "ours:b" : "ours:a", SCENE_VALUE, 9000);
                stage_add(&t, COMMAND_TAKE, "theirs:a", SCENE_VALUE, 9000);
                stage_do(&t);
                /* not carried out: whoever asked does so once more */
                ck_assert_int_eq(answers[0].verdict, turn ? ANSWER_GRANTED : ANSWER_AGAIN);
                ck_assert_int_eq(answers[1].verdict, turn ? ANSWER_ERROR : ANSWER_AGAIN);
        }
        ck_assert_int_eq(strncmp(errors[1], "NOPERM", 6), 0);
        real_redis_do(&t.server, "ACL SETUSER default ~*");
        ck_assert_str_eq(real_redis_do(&t.server, "EXISTS ours:a"), ":0\r\n");
        ck_assert_str_eq(real_redis_do(&t.server, "EXISTS ours:b"), ":1\r\n");
        stage_end(&t);
}
END_TEST

START_TEST(what_the_node_does_not_let_us_ask_is_the_error_of_who_asked)
{
        struct stage t;

        stage_init(&t);
        real_redis_do(&t.server, "ACL SETUSER default -pttl -pubsub -publish");
        stage_add(&t, COMMAND_TAKE, "a", SCENE_VALUE, 9000);
        stage_add(&t, COMMAND_TAKE, "a", SCENE_VALUE_B, 9000);
        stage_add(&t, COMMAND_TAKE, "b", SCENE_VALUE, 9000);
        stage_add(&t, COMMAND_RELEASE, "a", SCENE_VALUE, 0);
        stage_do(&t);
        ck_assert_int_eq(answers[0].verdict, ANSWER_GRANTED);
        ck_assert_int_eq(answers[1].verdict, ANSWER_ERROR);
        ck_assert(strstr(errors[1], "The user executing the script can't") || strstr(errors[1], "'pttl'"));
        ck_assert_int_eq(answers[2].verdict, ANSWER_GRANTED);
        ck_assert_int_eq(answers[3].verdict, ANSWER_GRANTED);
        ck_assert_uint_eq(answers[3].number, 1);
        stage_end(&t);
}
END_TEST

START_TEST(a_batch_script_that_the_server_forgot_comes_back)
{
        struct stage t;

        stage_init(&t);
        for (unsigned turn = 0; turn < 6; ++turn) {
                if (turn % 3 == 0)
                        real_redis_do(&t.server, "SCRIPT FLUSH");
                stage_add(&t, COMMAND_TAKE, "a", SCENE_VALUE, 9000);
                stage_add(&t, COMMAND_RELEASE, "a", SCENE_VALUE, 0);
                stage_do(&t);
                for (unsigned i = 0; i < 2; ++i)
                        ck_assert_int_eq(answers[i].verdict, turn % 3 ? ANSWER_GRANTED : ANSWER_AGAIN);
        }
        ck_assert_ptr_nonnull(strstr(real_redis_do(&t.server, "INFO commandstats"), "cmdstat_eval:calls=2,"));
        stage_end(&t);
}
END_TEST

#define DAY_MS    86400000
#define MINUTE_MS 60000

static long fence_left_ms(struct stage *t, const char *key)
{
        char words[64];

        snprintf(words, sizeof(words), "PTTL redlockd:fence:%s", key);
        return atol(real_redis_do(&t->server, words) + 1);
}

/* Its expiry is as of its last use, within what a test may take. */
static bool fence_is_fresh(struct stage *t, const char *key)
{
        long left_ms = fence_left_ms(t, key);

        return left_ms <= DAY_MS && left_ms > DAY_MS - MINUTE_MS;
}

START_TEST(a_fence_is_kept_for_a_day_and_its_expiry_set_once_a_minute)
{
        /* fences of this minute, of the one before, of long ago, and of a key that another program set for ever */
        static const struct {
                int minutes;
                const char *expiry;
                bool left_alone;
        } cases[] = {
                { 0, "PX 5000000", true }, { -1, "PX 5000000", false }, { -30, "PX 5000000", false }, { -30, "", false }
        };
        struct stage t;

        stage_init(&t);
        for (unsigned i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); ++i) {
                bool alone = i % 2; /* or in a batch */
                unsigned c = i / 2;
                char words[128];
                long long minute;

                real_redis_do(&t.server, "FLUSHALL");
                stage_add(&t, COMMAND_TAKE, "a", SCENE_VALUE, 9000);
                if (!alone)
                        stage_add(&t, COMMAND_TAKE, "b", SCENE_VALUE, 9000);
                stage_do(&t);
                ck_assert(fence_is_fresh(&t, "a")); /* it was never there */
                minute = (long long)answers[0].node_ms / MINUTE_MS + cases[c].minutes;
                snprintf(words, sizeof(words), "SET redlockd:fence:a %lld %s", minute * MINUTE_MS * FENCE_STEP,
                         cases[c].expiry);
                real_redis_do(&t.server, words);
                real_redis_do(&t.server, "DEL a");
                stage_add(&t, COMMAND_TAKE, "a", SCENE_VALUE, 9000);
                if (!alone)
                        stage_add(&t, COMMAND_TAKE, "c", SCENE_VALUE, 9000);
                stage_do(&t);
                ck_assert_int_eq(answers[0].verdict, ANSWER_GRANTED);
                /* unless the clock has come into the next minute meanwhile */
                if (cases[c].left_alone && (long long)answers[0].node_ms / MINUTE_MS == minute)
                        ck_assert_int_le(fence_left_ms(&t, "a"), 5000000);
                else
                        ck_assert(fence_is_fresh(&t, "a"));
        }
        stage_end(&t);
}
END_TEST

/* A node that forgot it earlier would give a lower one. */
START_TEST(a_fence_that_is_ahead_of_the_clock_is_kept_for_a_day_from_when_it_is_reached)
{
        static const enum command_kind kinds[] = { COMMAND_TAKE, COMMAND_TAKE, COMMAND_RENEW, COMMAND_PLANT };
        struct stage t;

        stage_init(&t);
        for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); ++i) {
                char words[96];
                uint64_t fence;
                long left_ms;

                real_redis_do(&t.server, "FLUSHALL");
                stage_add(&t, COMMAND_TAKE, "a", SCENE_VALUE, 9000);
                stage_do(&t);
                /* two days ahead: on the node itself, or told by another */
                fence = (answers[0].node_ms + UINT64_C(2) * DAY_MS) * FENCE_STEP;
                if (kinds[i] == COMMAND_TAKE) {
                        real_redis_do(&t.server, "DEL a");
                        snprintf(words, sizeof(words), "SET redlockd:fence:a %" PRIu64, fence);
                        real_redis_do(&t.server, words);
                }
                stage_add(&t, kinds[i], "a", SCENE_VALUE, 9000);
                t.items[0].fence = fence;
                if (i == 0)
                        stage_add(&t, COMMAND_TAKE, "b", SCENE_VALUE, 9000); /* in a batch */
                stage_do(&t);
                ck_assert_int_eq(answers[0].verdict, ANSWER_GRANTED);
                left_ms = fence_left_ms(&t, "a");
                ck_assert_int_gt(left_ms, 3L * DAY_MS - MINUTE_MS);
                ck_assert_int_le(left_ms, 3L * DAY_MS + 1000);
        }
        stage_end(&t);
}
END_TEST

UNIT_MAIN("batch_scripts", a_batch_is_answered_as_its_commands_one_after_the_other,
          a_key_of_another_type_is_an_error_of_its_own, a_key_without_a_ttl_gives_no_time,
          who_listens_is_told_of_each_release_and_the_host_whether_others_do,
          without_the_certificate_nothing_is_taken_and_all_is_released, a_node_that_may_not_write_says_so_of_each,
          a_key_that_may_not_be_used_costs_the_others_nothing,
          what_the_node_does_not_let_us_ask_is_the_error_of_who_asked, a_batch_script_that_the_server_forgot_comes_back,
          a_fence_is_kept_for_a_day_and_its_expiry_set_once_a_minute,
          a_fence_that_is_ahead_of_the_clock_is_kept_for_a_day_from_when_it_is_reached)
