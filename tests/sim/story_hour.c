/*
 * One long scene, without a trace of each line: an hour of 1,000 locks that the broker renews, while the nodes restart
 * in turn, each of them empty, and the next one as soon as the one before votes again for every lock. Another host
 * wants every key all the time. No lock is lost, nobody is even warned, and nobody else has one before it is freed.
 *
 *      story_hour [SEED]
 */
#include "sim/world.h"

#include "redlockd/core/inspect.h"

#include <check.h>
#include <limits.h>
#include <stdlib.h>

#define NODES_N     3
#define LOCKS_N     1000
#define TTL_MS      10000 /* the longest that there is, and so nearly the length of a quarantine */
#define HOUR_MS     3600000
#define STEP_MS     50
#define LOOK_MS     500 /* between two looks at what validity is left */
#define DOWN_MAX_MS 2000
#define LATE_MS     250   /* by then an answer has come, or its node timeout has passed */
#define EAGER_N     20    /* keys for which somebody waits all the time */
#define CALM_MS     60000 /* longer than any ttl */
#define KEY_MAX     8

enum { HOLDER = 1, RIVAL };

static uint64_t seed = 1;

static struct {
        struct world *w;
        unsigned holder, prober, waiter;
        unsigned probed_n;              /* adds of the prober */
        uint64_t granted_n, refused_n;  /* of the rivals' requests */
        uint64_t told_n;                /* notices */
        uint64_t renewals_n, renewed_n; /* commands, and keys in them */
        uint64_t restarts_n;
        unsigned node;       /* that restarted last; 0: none */
        bool votes;          /* ... and does again */
        bool asked[LOCKS_N]; /* ... and was asked to renew this key since */
        unsigned asked_n;
        char values[LOCKS_N][TOKEN_TEXT_LEN + 1];
        uint64_t fences[LOCKS_N];
        unsigned kept_n; /* by the last look: keys that are still what they were */
        uint64_t least_ms;
} hour;

static unsigned number_of(struct text key)
{
        char text[KEY_MAX];

        snprintf(text, sizeof(text), "%.*s", (int)key.len, key.data);
        return (unsigned)atoi(text + 1);
}

static void on_command(void *userdata, unsigned host, const struct command *command)
{
        unsigned i;

        if (command->kind != COMMAND_RENEW || host != HOLDER)
                return;
        ++hour.renewals_n;
        hour.renewed_n += command->items_n;
        for (i = 0; hour.votes && command->node + 1 == hour.node && i < command->items_n; ++i) {
                bool *asked = &hour.asked[number_of(command->items[i].key)];

                hour.asked_n += !*asked;
                *asked = true;
        }
}

static void on_reply(void *userdata, const struct reply *reply)
{
        size_t i;

        if (reply->method != METHOD_ADD)
                return;
        if (reply->session != hour.holder) {
                hour.granted_n += !reply->error;
                hour.refused_n += reply->error == ERROR_LOCKED || reply->error == ERROR_NO_QUORUM;
                for (i = 0; i < reply->items_n && !reply->error; ++i)
                        ck_assert_uint_gt(reply->items[i].fence, hour.fences[number_of(reply->items[i].key)]);
                return;
        }
        ck_assert(!reply->error);
        for (i = 0; i < reply->items_n; ++i) {
                unsigned n = number_of(reply->items[i].key);

                memcpy(hour.values[n], reply->items[i].value, sizeof(hour.values[n]));
                hour.fences[n] = reply->items[i].fence;
        }
}

static void on_notice(void *userdata, const struct notice *notice)
{
        ++hour.told_n;
}

/* Asks for `n` keys from this one on. */
static void add(unsigned session, unsigned key, unsigned n, struct request request)
{
        char names[KEYS_PER_ROUND_MAX][KEY_MAX];
        struct text keys[KEYS_PER_ROUND_MAX];
        unsigned i;

        for (i = 0; i < n; ++i) {
                snprintf(names[i], sizeof(names[i]), "k%u", key + i);
                keys[i] = text_of(names[i]);
        }
        request.method = METHOD_ADD;
        request.keys = keys;
        request.keys_n = n;
        request.ttl_ms = TTL_MS;
        request.wait_ms = WAIT_NONE;
        world_request(hour.w, session, request);
}

static void run(uint64_t ms)
{
        world_run_ns(hour.w, ms * NS_PER_MS);
}

static void begin(void)
{
        static const struct world_watch watch = { .on_command = on_command,
                                                  .on_reply = on_reply,
                                                  .on_notice = on_notice };
        const struct world_options options = {
                .nodes_n = NODES_N, .hosts_n = 2, .ttl_max_ms = TTL_MS, .tail_us = 20000, .seed = seed, .watch = &watch
        };
        unsigned i;

        hour.w = world_new(&options);
        hour.w->hosts[0].clock.ppm = 2000;
        hour.w->nodes[0].clock.ppm = -2000;
        hour.w->nodes[1].clock.ppm = 1000;
        hour.holder = world_open(hour.w, HOLDER);
        hour.prober = world_open(hour.w, RIVAL);
        hour.waiter = world_open(hour.w, RIVAL);
        world_request(hour.w, hour.holder,
                      (struct request){ .method = METHOD_SUBSCRIBE, .events = NOTICE_LOST | NOTICE_EXPIRING });
        for (i = 0; i < LOCKS_N; i += 50) {
                add(hour.holder, i, 50, (struct request){ .auto_extend = true });
                run(STEP_MS); /* they need not be due together */
        }
        run(LATE_MS);
        for (i = 0; i < EAGER_N; ++i)
                add(hour.waiter, i, 1, (struct request){ .retry_count = RETRY_FOR_EVER, .retry_delay_ms = 100 });
}

static bool votes(unsigned node)
{
        struct inspect_node seen;

        inspect_node(hour.w->hosts[HOLDER - 1].engine, node - 1, &seen);
        return seen.state == NODE_UP;
}

/* What is about to be forgotten stands elsewhere, without the nodes having been asked. */
static void stands_elsewhere(unsigned node)
{
        char key[KEY_MAX];
        unsigned i, n;

        for (i = 0; i < LOCKS_N; ++i) {
                snprintf(key, sizeof(key), "k%u", i);
                for (n = 1; n <= NODES_N; ++n) {
                        const char *stored = world_stored(hour.w, n, key, hour.w->now_ns);

                        ck_assert_msg(n == node || (stored && strcmp(stored, hour.values[i]) == 0),
                                      "%s is not on node %u when node %u restarts", key, n, node);
                }
        }
}

static void restart(void)
{
        hour.node = hour.node % NODES_N + 1;
        stands_elsewhere(hour.node);
        hour.votes = false;
        hour.asked_n = 0;
        memset(hour.asked, 0, sizeof(hour.asked));
        world_crash(hour.w, hour.node, true);
        run(world_draw(hour.w, DOWN_MAX_MS));
        world_join(hour.w, HOLDER, hour.node);
        world_join(hour.w, RIVAL, hour.node);
        ck_assert(!votes(hour.node));
        ++hour.restarts_n;
}

static bool see_lock(void *userdata, const struct inspect_lock *lock)
{
        uint64_t now_ns = world_host_ns(hour.w, HOLDER, hour.w->now_ns),
                 left_ms = (lock->valid_until_ns - now_ns) / NS_PER_MS;
        unsigned n = number_of(lock->key);

        hour.kept_n += strcmp(lock->value, hour.values[n]) == 0 && lock->fence == hour.fences[n];
        if (left_ms < hour.least_ms)
                hour.least_ms = left_ms;
        return true;
}

static void look(void)
{
        struct inspect_cursor cursor = { 0 };

        hour.kept_n = 0;
        inspect_locks(hour.w->hosts[HOLDER - 1].engine, world_host_ns(hour.w, HOLDER, hour.w->now_ns), hour.holder,
                      (struct text){ 0 }, UINT_MAX, &cursor, see_lock, NULL);
        ck_assert_uint_eq(hour.kept_n, LOCKS_N);
}

/* A turn: somebody tries to get a key, and a node restarts if the one before votes for everything. */
static void turn(uint64_t n)
{
        add(hour.prober, hour.probed_n++ % LOCKS_N, 1, (struct request){ .retry_count = 0 });
        run(STEP_MS);
        hour.votes |= hour.node && votes(hour.node);
        if (!hour.node || hour.asked_n == LOCKS_N) {
                run(LATE_MS);
                restart();
        }
        if (n % (LOOK_MS / STEP_MS) == 0)
                look();
        ck_assert_uint_eq(hour.told_n, 0);
        ck_assert_uint_eq(hour.granted_n, 0);
}

static void end(void)
{
        const char *wrong;

        ck_assert_uint_ge(hour.refused_n, hour.probed_n - 1);
        world_request(hour.w, hour.holder, (struct request){ .method = METHOD_RESET });
        run(1000);
        ck_assert_uint_ge(hour.granted_n, EAGER_N); /* they did want them */
        wrong = world_calm(hour.w, CALM_MS);
        ck_assert_msg(!wrong, "%s", wrong);
        world_free(hour.w);
}

START_TEST(no_lock_is_lost_in_an_hour_of_restarts)
{
        struct inspect_status status;
        uint64_t end_ns, n;

        hour.least_ms = UINT64_MAX;
        begin();
        end_ns = hour.w->now_ns + HOUR_MS * NS_PER_MS;
        for (n = 0; hour.w->now_ns < end_ns; ++n)
                turn(n);
        look();
        inspect_status(hour.w->hosts[HOLDER - 1].engine, &status);
        ck_assert_uint_eq(status.counters.lost + status.counters.expired, 0);
        ck_assert_uint_gt(hour.restarts_n, HOUR_MS / (2 * TTL_MS));
        printf("hour: %u locks of %u ms, %llu restarts: %llu renewals in %llu commands, %llu plants, %llu tries of "
               "others, 0 lost; at the least %llu ms were left\n",
               LOCKS_N, TTL_MS, (unsigned long long)hour.restarts_n, (unsigned long long)status.counters.extended,
               (unsigned long long)hour.renewals_n, (unsigned long long)status.counters.plants,
               (unsigned long long)hour.refused_n, (unsigned long long)hour.least_ms);
        end();
}
END_TEST

int main(int argc, char **argv)
{
        Suite *suite = suite_create("hour");
        TCase *tcase = tcase_create("hour");
        SRunner *runner = srunner_create(suite);
        int failed;

        if (argc > 1)
                seed = strtoull(argv[1], NULL, 10);
        tcase_add_test(tcase, no_lock_is_lost_in_an_hour_of_restarts);
        tcase_set_timeout(tcase, 600);
        suite_add_tcase(suite, tcase);
        srunner_run_all(runner, CK_NORMAL);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
