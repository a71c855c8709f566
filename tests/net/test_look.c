/*
 * Looks at a node: what it is asked, what is made of its answers, and how its certificate is written; on a scripted
 * Redis, and the writing on a real one.
 */
#include "net/real_redis.h"
#include "net/scene.h"
#include "unit/unit.h"

#include <errno.h>

#define OTHER_RUN_ID "9876543210987654321098765432109876543210"
#define MARK         "mark|00112233445566778899aabbccddeeff"
#define NO_CERTIFICATE                                                                                                 \
        "uncertified no certificate: new, restarted or flushed; silent for the longest ttl, or until an operator "     \
        "certifies it"
#define OTHER_RUN                                                                                                      \
        "uncertified its certificate is another server's or of an earlier run: it was restarted, replaced or rolled "  \
        "back"
#define OTHER_LIST                                                                                                     \
        "uncertified certified for another list of nodes or another lock.maxTtl: they must be the same on every host"

/* Good for as long as the scene: a rule borrows it. */
static const char *bulk(const char *text)
{
        static char space[32][2048];
        static unsigned next;
        char *reply = space[next++ % 32];

        snprintf(reply, sizeof(space[0]), "$%zu\r\n%s\r\n", strlen(text), text);
        return reply;
}

/* What INFO says with one of its parts exchanged. */
static const char *info_with(const char *info, const char *part, const char *instead)
{
        const char *at = strstr(info, part);
        char text[1024];

        ck_assert_ptr_nonnull(at);
        snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - info), info, instead, at + strlen(part));
        return bulk(text);
}

/* A scripted server with these answers to INFO and GET (NULL: as by default), and what the first look makes of them. */
static void look_begin(struct scene *s, const char *info, const char *standing, const char *expected)
{
        scene_members = SCENE_MEMBERS;
        scene_heartbeat_ms = SCENE_BEAT_MS;
        scene_ready(s);
        if (info)
                fake_redis_rule(&s->fake, "INFO", info);
        if (standing)
                fake_redis_rule(&s->fake, "GET", standing);
        scene_start(s);
        scene_expect(s, expected);
}

static void look_once(const char *info, const char *standing, const char *expected)
{
        struct scene s;

        look_begin(&s, info, standing, expected);
        scene_end(&s);
}

/* The next heartbeat's look, which is not waited for but asked for. */
static void look_again(struct scene *s)
{
        unsigned n = s->looks_n;

        scene_until(s, s->looks_n > n);
}

START_TEST(a_look_asks_for_identity_and_certificate_and_leaves_a_mark)
{
        const unsigned second = FAKE_INTRODUCTION_N + 2;
        struct scene s;

        look_begin(&s, NULL, NULL, "up");
        ck_assert_uint_eq(s.fake.commands_n, FAKE_INTRODUCTION_N + 2);
        ck_assert_str_eq(s.fake.commands[0], "PING");
        ck_assert_str_eq(s.fake.commands[1], "INFO");
        ck_assert_int_eq(strncmp(s.fake.commands[2], "SET redlockd:cert mark|", 23), 0);
        ck_assert_uint_eq(strlen(s.fake.commands[2]), 23 + 32 + 3);
        ck_assert_str_eq(s.fake.commands[2] + 23 + 32, " NX");
        ck_assert_str_eq(s.fake.commands[3], "GET redlockd:cert");
        look_again(&s);
        ck_assert_str_eq(s.fake.commands[second], "PING");
        ck_assert_str_eq(s.fake.commands[second + 1], "INFO");
        ck_assert_int_eq(strncmp(s.fake.commands[second + 2], s.fake.commands[2], 23), 0);
        ck_assert_str_ne(s.fake.commands[second + 2], s.fake.commands[2]); /* never the same mark twice */
        ck_assert_str_eq(s.fake.commands[second + 3], "GET redlockd:cert");
        scene_end(&s);
}
END_TEST

#define CLOCK          "server_time_usec:1795867558123456\r\n"
#define TIME_IS(s, us) "*2\r\n$10\r\n" s "\r\n$6\r\n" us "\r\n"

/* Redis 6.0 */
START_TEST(a_server_whose_info_does_not_tell_its_clock_is_asked_for_it)
{
        struct scene s;

        look_begin(&s, NULL, NULL, "up");
        ck_assert_uint_eq(s.node_ms, 1795867558123);
        look_again(&s);
        ck_assert_uint_eq(fake_redis_count(&s.fake, "TIME"), 0);
        fake_redis_rule(&s.fake, "TIME", TIME_IS("1795867559", "000999"));
        fake_redis_rule(&s.fake, "INFO", info_with(FAKE_INFO("0"), CLOCK, ""));
        scene_until(&s, s.node_ms == 0);
        scene_until(&s, s.node_ms > 0);
        ck_assert_uint_eq(s.node_ms, 1795867559000);
        fake_redis_rule(&s.fake, "TIME", TIME_IS("1795867560", "001000"));
        scene_until(&s, s.node_ms == 1795867560001);
        fake_redis_rule(&s.fake, "TIME", "-NOPERM no\r\n");
        scene_until(&s, s.node_ms == 0);
        fake_redis_rule(&s.fake, "INFO", bulk(FAKE_INFO("0")));
        scene_until(&s, s.node_ms == 1795867558123);
        /* what an earlier look was told is not taken for this one's */
        fake_redis_rule(&s.fake, "INFO", "-NOPERM no\r\n");
        scene_expect(&s, "unfit INFO: NOPERM no; *");
        ck_assert_uint_eq(s.node_ms, 0);
        ck_assert_uint_eq(s.fake.connections_n, 1);
        scene_end(&s);
}
END_TEST

START_TEST(what_is_no_time_ends_the_connection)
{
        static const char *const bad[] = { "+OK\r\n",
                                           ":1795867559\r\n",
                                           "$-1\r\n",
                                           "*0\r\n",
                                           "*1\r\n$10\r\n1795867559\r\n",
                                           "*3\r\n$1\r\n1\r\n$1\r\n1\r\n$1\r\n1\r\n",
                                           "*2\r\n$-1\r\n$1\r\n1\r\n",
                                           "*2\r\n:1\r\n:1\r\n",
                                           "*2\r\n$0\r\n\r\n$1\r\n1\r\n",
                                           "*2\r\n$2\r\n-1\r\n$1\r\n1\r\n",
                                           "*2\r\n$3\r\n1 1\r\n$1\r\n1\r\n",
                                           TIME_IS("179586755x", "000000"),
                                           "*2\r\n$1\r\n1\r\n$7\r\n1000000\r\n",
                                           "*2\r\n$17\r\n99999999999999999\r\n$1\r\n0\r\n" };
        struct scene s;

        look_begin(&s, info_with(FAKE_INFO("0"), CLOCK, ""), NULL, "up");
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); ++i) {
                fake_redis_rule(&s.fake, "TIME", bad[i]);
                scene_expect(&s, "down an answer of the wrong shape to TIME");
                scene_expect(&s, "up");
        }
        scene_end(&s);
}
END_TEST

START_TEST(without_quarantine_no_certificate_is_looked_for)
{
        struct scene s;

        scene_heartbeat_ms = SCENE_BEAT_MS;
        scene_up(&s);
        look_again(&s);
        fake_redis_rule(&s.fake, "EVALSHA", "$13\r\n1 0 5000 1024\r\n");
        scene_take(&s, 1);
        scene_expect(&s, "granted 1 0 5");
        ck_assert_uint_eq(fake_redis_count(&s.fake, "SET"), 0);
        ck_assert_uint_eq(fake_redis_count(&s.fake, "GET"), 0);
        ck_assert_uint_eq(fake_redis_count(&s.fake, "EVALSHA " FAKE_SHA_TAKE " 1 k 15000  " SCENE_VALUE), 1);
        scene_end(&s);
}
END_TEST

START_TEST(an_acquire_carries_the_certificate_and_hears_where_it_does_not_stand)
{
        struct scene s;

        scene_members = SCENE_MEMBERS;
        scene_up(&s); /* and no heartbeats */
        fake_redis_rule(&s.fake, "EVALSHA", "$8\r\n2 0 5000\r\n");
        fake_redis_rule(&s.fake, "GET", bulk(MARK));
        scene_take(&s, 1);
        scene_expect(&s, "uncertified 1");
        scene_expect(&s, NO_CERTIFICATE); /* what stands there instead is looked at at once */
        ck_assert_uint_eq(s.looks_n, 2);
        ck_assert_uint_eq(
                fake_redis_count(&s.fake, "EVALSHA " FAKE_SHA_TAKE " 1 k 15000 " FAKE_CERTIFICATE " " SCENE_VALUE), 1);
        /* a release is nobody's vote, and compares nothing */
        fake_redis_rule(&s.fake, "EVALSHA", "$10\r\n1 0 5000 1\r\n");
        scene_release(&s, 2);
        scene_expect(&s, "granted 2 1 5");
        ck_assert_uint_eq(fake_redis_count(&s.fake, "EVALSHA " FAKE_SHA_RELEASE " 1 k " SCENE_VALUE), 1);
        scene_end(&s);
}
END_TEST

START_TEST(what_stands_there_instead_is_the_reason)
{
        look_once(NULL, bulk(MARK), NO_CERTIFICATE);
        look_once(NULL, bulk(OTHER_RUN_ID "|" SCENE_MEMBERS "|60000"), OTHER_RUN);
        look_once(NULL, bulk(FAKE_RUN_ID "|" SCENE_MEMBERS "|60001"), OTHER_LIST);
        look_once(NULL, bulk(FAKE_RUN_ID "|00000000000000ab|60000"), OTHER_LIST);
        look_once(NULL, bulk(FAKE_CERTIFICATE "0"), OTHER_LIST);
        look_once(NULL, bulk("x"), OTHER_RUN);
}
END_TEST

START_TEST(each_other_thing_that_stands_there_has_another_number)
{
        uint64_t mark;
        struct scene s;

        look_begin(&s, NULL, bulk(MARK), NO_CERTIFICATE);
        mark = s.mark;
        look_again(&s);
        ck_assert_uint_eq(s.mark, mark);
        fake_redis_rule(&s.fake, "GET", bulk("mark|00112233445566778899aabbccddeefe"));
        look_again(&s);
        ck_assert_uint_ne(s.mark, mark);
        scene_end(&s);
}
END_TEST

START_TEST(who_can_never_vote_is_told_what_to_do)
{
        static const char *const faults[][3] = {
                { "role:master", "role:slave",
                  "unfit a replica: name an independent master, or make it one (REPLICAOF NO ONE)" },
                { "redis_mode:standalone", "redis_mode:cluster",
                  "unfit a part of a Redis Cluster: name independent masters (cluster-enabled no)" },
                { "cluster_enabled:0", "cluster_enabled:1",
                  "unfit a part of a Redis Cluster: name independent masters (cluster-enabled no)" },
                { "redis_mode:standalone", "redis_mode:sentinel", "unfit a Sentinel: name a Redis server itself" },
                { "maxmemory_policy:noeviction", "maxmemory_policy:volatile-lru",
                  "unfit maxmemory-policy is volatile-lru: it may drop locks; set it to noeviction" },
                { "redis_version:7.0.15", "redis_version:5.0.14",
                  "unfit Redis 5.0.14 does not know all that is asked of it: 6.0 or later, or Valkey" },
                { "run_id:" FAKE_RUN_ID "\r\n", "",
                  "unfit INFO says no run_id, role or maxmemory_policy: name the Redis server itself, not a proxy" },
                { "role:master\r\n", "",
                  "unfit INFO says no run_id, role or maxmemory_policy: name the Redis server itself, not a proxy" },
        };

        for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); ++i)
                look_once(info_with(FAKE_INFO("0"), faults[i][0], faults[i][1]), NULL, faults[i][2]);
        look_once("-NOPERM this user has no permissions\r\n", NULL,
                  "unfit INFO: NOPERM this user has no permissions; allow it (ACL: +info), and name the server itself, "
                  "not a "
                  "proxy");
}
END_TEST

START_TEST(a_node_that_can_keep_no_certificate_is_unfit)
{
        char text[256];
        struct scene s;

        scene_members = SCENE_MEMBERS;
        scene_heartbeat_ms = SCENE_BEAT_MS;
        scene_ready(&s);
        fake_redis_rule(&s.fake, "SET", "-OOM command not allowed\r\n");
        fake_redis_rule(&s.fake, "GET", "$-1\r\n");
        scene_start(&s);
        scene_expect(&s, "unfit cannot write redlockd:cert: OOM command not allowed");
        fake_redis_rule(&s.fake, "GET", "-WRONGTYPE Operation\r\n");
        scene_expect(&s, "unfit cannot read redlockd:cert: WRONGTYPE Operation");
        snprintf(text, sizeof(text), "%0192d", 0); /* one byte more than a certificate can have */
        fake_redis_rule(&s.fake, "GET", bulk(text));
        scene_expect(&s, "unfit redlockd:cert is not redlockd's: delete it");
        fake_redis_rule(&s.fake, "GET", bulk(text + 1));
        scene_expect(&s, OTHER_RUN);
        fake_redis_rule(&s.fake, "GET", NULL);
        scene_expect(&s, "up"); /* it is there and can be read: that will do */
        scene_end(&s);
}
END_TEST

START_TEST(a_look_of_the_wrong_shape_ends_the_connection)
{
        struct scene s;

        look_begin(&s, NULL, NULL, "up");
        fake_redis_rule(&s.fake, "GET", ":5\r\n");
        scene_expect(&s, "down an answer of the wrong shape to GET");
        fake_redis_rule(&s.fake, "GET", NULL);
        scene_expect(&s, "up");
        fake_redis_rule(&s.fake, "SET", "*0\r\n");
        scene_expect(&s, "down an answer of the wrong shape to SET");
        scene_end(&s);
}
END_TEST

/* Its role changes while it is connected, and again. */
START_TEST(a_node_is_looked_at_again_while_it_runs)
{
        struct scene s;

        look_begin(&s, NULL, NULL, "up");
        fake_redis_rule(&s.fake, "INFO", info_with(FAKE_INFO("0"), "role:master", "role:slave"));
        scene_expect(&s, "unfit a replica: *");
        fake_redis_rule(&s.fake, "INFO", NULL);
        scene_expect(&s, "up");
        ck_assert_uint_eq(s.fake.connections_n, 1);
        scene_end(&s);
}
END_TEST

/* Also while there is always something that it owes an answer to. */
START_TEST(a_node_that_is_busy_is_looked_at_all_the_same)
{
        struct scene s;

        look_begin(&s, NULL, NULL, "up");
        s.fake.mute = true;
        scene_take(&s, 1);
        scene_until(&s, fake_redis_count(&s.fake, "EVALSHA") > 0 && fake_redis_count(&s.fake, "INFO") > 1);
        scene_close_node(&s);
        scene_expect(&s, "lost 1");
        scene_end(&s);
}
END_TEST

START_TEST(a_connection_that_leads_to_another_server_is_given_up)
{
        struct scene s;

        look_begin(&s, NULL, NULL, "up");
        fake_redis_rule(&s.fake, "INFO", info_with(FAKE_INFO("0"), FAKE_RUN_ID, OTHER_RUN_ID));
        scene_expect(&s,
                     "down another server answers on the same connection: name the Redis server itself, not a proxy");
        scene_expect(&s, OTHER_RUN); /* the certificate is that of the first */
        scene_end(&s);
}
END_TEST

/* A master that has been a replica has another history, and needs a certificate for that one. */
START_TEST(what_was_a_replica_is_somebody_else_under_its_old_run_id)
{
        struct scene s;

        look_begin(&s, NULL, NULL, "up");
        fake_redis_rule(&s.fake, "INFO",
                        info_with(FAKE_INFO("0"), "master_replid2:00000000", "master_replid2:0badcafe"));
        scene_expect(&s, OTHER_RUN);
        fake_redis_rule(&s.fake, "GET", bulk(FAKE_RUN_ID "+0badcafe|" SCENE_MEMBERS "|60000"));
        scene_expect(&s, "up");
        scene_end(&s);
}
END_TEST

START_TEST(the_certificate_is_written_in_the_place_of_what_was_seen_and_looked_at)
{
        struct scene s;

        look_begin(&s, NULL, bulk(MARK), NO_CERTIFICATE);
        redis_certify(s.redis, s.mark + 1);
        fake_redis_rule(&s.fake, "EVAL", ":1\r\n");
        redis_certify(s.redis, s.mark);
        fake_redis_rule(&s.fake, "GET", NULL);
        scene_expect(&s, "up");
        ck_assert_uint_eq(fake_redis_count(&s.fake, "EVAL "), 1);
        ck_assert_uint_eq(
                fake_redis_count(&s.fake, "EVAL <script> 1 redlockd:cert " MARK " " FAKE_RUN_ID " " FAKE_CERTIFICATE),
                1);
        scene_end(&s);
}
END_TEST

START_TEST(a_certificate_that_cannot_be_written_says_why)
{
        struct scene s;

        look_begin(&s, NULL, bulk(MARK), NO_CERTIFICATE);
        fake_redis_rule(&s.fake, "EVAL", "-NOPERM can't\r\n");
        redis_certify(s.redis, s.mark);
        scene_expect(&s, "uncertified cannot write redlockd:cert: NOPERM can't");
        scene_end(&s);
}
END_TEST

static const char config_append[] =
        "*4\r\n$11\r\nappendfsync\r\n$6\r\nalways\r\n$25\r\nno-appendfsync-on-rewrite\r\n$2\r\nno\r\n";

/* CONFIG is asked twice in a look, and one rule answers both: all three settings at once. */
static const char *config_reply(const char *fsync, const char *rewrite, const char *truncated)
{
        static char space[4][256];
        static unsigned next;
        char *reply = space[next++ % 4];

        snprintf(reply, sizeof(space[0]),
                 "*6\r\n$11\r\nappendfsync\r\n$%zu\r\n%s\r\n$25\r\nno-appendfsync-on-rewrite\r\n$%zu\r\n%s\r\n"
                 "$18\r\naof-load-truncated\r\n$%zu\r\n%s\r\n",
                 strlen(fsync), fsync, strlen(rewrite), rewrite, strlen(truncated), truncated);
        return reply;
}

/* It is seen with these settings and its certificate, and comes back with its certificate as another incarnation. */
static void restart(const char *before, const char *after, const char *info_after, const char *expected)
{
        struct scene s;

        scene_members = SCENE_MEMBERS;
        scene_heartbeat_ms = SCENE_BEAT_MS;
        scene_ready(&s);
        fake_redis_rule(&s.fake, "INFO", bulk(FAKE_INFO("1")));
        fake_redis_rule(&s.fake, "CONFIG", before);
        scene_start(&s);
        scene_expect(&s, "up");
        scene_until(&s, s.looks_n >= 2);
        fake_redis_rule(&s.fake, "INFO", info_after);
        fake_redis_rule(&s.fake, "CONFIG", after);
        fake_redis_hang_up(&s.fake);
        scene_expect(&s, "down *");
        scene_expect(&s, OTHER_RUN);
        scene_until(&s, s.looks_n >= 4);
        if (expected)
                scene_expect(&s, expected);
        scene_end(&s);
}

START_TEST(who_forgets_nothing_at_a_restart_keeps_its_certificate)
{
        const char *whole = config_reply("always", "no", "no");
        const char *info = info_with(FAKE_INFO("1"), FAKE_RUN_ID, OTHER_RUN_ID);

        restart(whole, whole, info, "kept " /* and why it does not vote yet */ "*");
        restart(whole, config_reply("everysec", "no", "no"), info, NULL);
        restart(config_reply("everysec", "no", "no"), whole, info, NULL);
        restart(config_reply("always", "yes", "no"), whole, info, NULL);
        restart(whole, config_reply("always", "no", "yes"), info, NULL);
        restart(config_append, whole, info, NULL);
        restart(whole, "-NOPERM no CONFIG\r\n", info, NULL);
        restart("-NOPERM no CONFIG\r\n", whole, info, NULL);
        restart(whole, whole, info_with(FAKE_INFO("0"), FAKE_RUN_ID, OTHER_RUN_ID), NULL);
}
END_TEST

/* An AOF of the time before the last time: what was seen of that run is not true of what came after it. */
START_TEST(what_was_kept_before_another_run_does_not_count)
{
        const char *third = "1111111111111111111111111111111111111111";
        struct scene s;

        scene_members = SCENE_MEMBERS;
        scene_ready(&s);
        fake_redis_rule(&s.fake, "INFO", bulk(FAKE_INFO("1")));
        fake_redis_rule(&s.fake, "CONFIG", config_reply("always", "no", "no"));
        scene_start(&s);
        scene_expect(&s, "up");
        scene_until(&s, s.looks_n >= 2);
        fake_redis_rule(&s.fake, "INFO", info_with(FAKE_INFO("0"), FAKE_RUN_ID, OTHER_RUN_ID));
        fake_redis_rule(&s.fake, "GET", bulk(MARK));
        fake_redis_hang_up(&s.fake);
        scene_expect(&s, "down *");
        scene_expect(&s, NO_CERTIFICATE);
        fake_redis_rule(&s.fake, "INFO", info_with(FAKE_INFO("1"), FAKE_RUN_ID, third));
        fake_redis_rule(&s.fake, "GET", NULL);
        fake_redis_hang_up(&s.fake);
        scene_expect(&s, "down *");
        scene_expect(&s, OTHER_RUN);
        scene_until(&s, s.looks_n >= 5);
        ck_assert_str_eq(s.looked, OTHER_RUN);
        scene_end(&s);
}
END_TEST

/* A mark without NX takes the place of the certificate. */
static void expect_revoked(const char *info_before, const char *info_after)
{
        struct scene s;
        unsigned i;

        look_begin(&s, info_before, NULL, "up");
        fake_redis_rule(&s.fake, "INFO", info_after);
        scene_until(&s, s.looks_n >= 3);
        for (i = 0; i < s.fake.commands_n; ++i)
                if (strncmp(s.fake.commands[i], "SET redlockd:cert mark|", 23) == 0 &&
                    strlen(s.fake.commands[i]) == 23 + 32)
                        break;
        ck_assert_uint_lt(i, s.fake.commands_n);
        s.read_n = s.lines_n;
        scene_end(&s);
}

START_TEST(who_may_have_evicted_locks_loses_its_certificate)
{
        const char *info = bulk(FAKE_INFO("0"));

        expect_revoked(info, info_with(FAKE_INFO("0"), "noeviction", "allkeys-lru"));
        expect_revoked(info, info_with(FAKE_INFO("0"), "evicted_keys:0", "evicted_keys:1"));
}
END_TEST

START_TEST(what_was_evicted_before_the_connection_came_up_is_no_news)
{
        struct scene s;

        look_begin(&s, info_with(FAKE_INFO("0"), "evicted_keys:0", "evicted_keys:17"), NULL, "up");
        scene_until(&s, s.looks_n >= 3);
        for (unsigned i = 0; i < s.fake.commands_n; ++i)
                ck_assert(strncmp(s.fake.commands[i], "SET", 3) != 0 || strstr(s.fake.commands[i], " NX"));
        scene_end(&s);
}
END_TEST

static bool members_differ(const char *const *a, unsigned a_n, const char *const *b, unsigned b_n)
{
        char first[REDIS_MEMBERS_MAX], second[REDIS_MEMBERS_MAX];

        redis_members(a, a_n, first);
        redis_members(b, b_n, second);
        return strcmp(first, second) != 0;
}

#define OLD_CERTIFICATE FAKE_CERTIFICATE
#define NEW_MEMBERS     "00000000000000bb"
#define NEW_CERTIFICATE FAKE_RUN_ID "|" NEW_MEMBERS "|60000"

/* Nobody is silenced by a list that changes while the daemon runs; and who has not got it in time finds out. */
START_TEST(the_certificate_for_the_former_list_counts_until_it_is_replaced)
{
        struct scene s;

        look_begin(&s, NULL, NULL, "up");
        redis_recertify(s.redis, NEW_MEMBERS);
        look_again(&s);
        ck_assert_str_eq(s.looked, "up");
        fake_redis_rule(&s.fake, "EVALSHA", "$13\r\n1 0 5000 1024\r\n");
        scene_take(&s, 1);
        scene_expect(&s, "granted 1 0 5");
        ck_assert_uint_eq(fake_redis_count(&s.fake, "EVALSHA " FAKE_SHA_TAKE " 1 k 15000 " OLD_CERTIFICATE), 1);

        fake_redis_rule(&s.fake, "EVAL", ":1\r\n");
        redis_settle(s.redis);
        fake_redis_rule(&s.fake, "GET", bulk(NEW_CERTIFICATE));
        scene_take(&s, 2); /* on its way behind the order */
        scene_expect(&s, "granted 2 0 5");
        ck_assert_uint_eq(fake_redis_count(&s.fake, "EVAL <script> 1 redlockd:cert " OLD_CERTIFICATE " " FAKE_RUN_ID
                                                    " " NEW_CERTIFICATE),
                          1);
        ck_assert_uint_eq(fake_redis_count(&s.fake, "EVALSHA " FAKE_SHA_TAKE " 1 k 15000 " NEW_CERTIFICATE), 1);
        look_again(&s);
        ck_assert_str_eq(s.looked, "up");
        fake_redis_rule(&s.fake, "GET", bulk(OLD_CERTIFICATE)); /* a host with the old list wrote it */
        scene_expect(&s, OTHER_LIST);
        scene_end(&s);
}
END_TEST

/* Another host that has the new list was first. */
START_TEST(the_certificate_for_the_new_list_counts_from_the_start)
{
        struct scene s;

        look_begin(&s, NULL, NULL, "up");
        redis_recertify(s.redis, NEW_MEMBERS);
        fake_redis_rule(&s.fake, "GET", bulk(NEW_CERTIFICATE));
        look_again(&s);
        ck_assert_str_eq(s.looked, "up");
        redis_settle(s.redis);
        look_again(&s);
        ck_assert_uint_eq(fake_redis_count(&s.fake, "EVAL "), 0);
        scene_end(&s);
}
END_TEST

START_TEST(members_are_the_names_in_any_order)
{
        const char *const abc[] = { "a", "b", "c" }, *const cab[] = { "c", "a", "b" }, *const ab_c[] = { "ab", "c" },
                          *const a_bc[] = { "a", "bc" };
        char members[REDIS_MEMBERS_MAX];

        ck_assert(!members_differ(abc, 3, cab, 3));
        ck_assert(members_differ(abc, 3, abc, 2));
        ck_assert(members_differ(abc, 3, ab_c, 2));
        ck_assert(members_differ(ab_c, 2, a_bc, 2));
        redis_members(abc, 3, members);
        ck_assert_str_eq(members, "cec64e155111225d"); /* hosts of every version and make have to agree on it */
}
END_TEST

START_TEST(on_a_real_server_it_votes_from_its_certificate_to_the_next_flush)
{
        const struct command_item item = { .key = text_of("k"), .value = SCENE_VALUE };
        const struct command take = {
                .kind = COMMAND_TAKE, .ttl_ms = 60000, .items = &item, .items_n = 1, .acquire_n = 1
        };
        char expected[256];
        uint64_t mark;
        struct real_redis server;
        struct scene s;

        real_redis_start(&server);
        scene_members = SCENE_MEMBERS;
        scene_heartbeat_ms = SCENE_BEAT_MS;
        scene_init(&s);
        scene_node_unix(&s, server.path);
        scene_start(&s);
        scene_expect(&s, NO_CERTIFICATE);
        scene_send(&s, &take);
        scene_expect(&s, "uncertified 0");
        ck_assert_str_eq(real_redis_do(&server, "EXISTS k"), ":0\r\n");

        /* what was seen is not there any more: nothing is written */
        mark = s.mark;
        real_redis_do(&server, "FLUSHALL");
        redis_certify(s.redis, mark);
        scene_until(&s, s.mark != mark);
        ck_assert_str_eq(s.looked, NO_CERTIFICATE);
        /* ... and to what is there now it is */
        redis_certify(s.redis, s.mark);
        scene_expect(&s, "up");
        snprintf(expected, sizeof(expected), "$63\r\n%s|" SCENE_MEMBERS "|60000\r\n", redis_run_id(s.redis));
        ck_assert_str_eq(real_redis_do(&server, "GET redlockd:cert"), expected);
        ck_assert_str_eq(real_redis_do(&server, "PTTL redlockd:cert"), ":-1\r\n");
        scene_send(&s, &take);
        scene_expect(&s, "granted 0 0 *");

        real_redis_do(&server, "FLUSHALL");
        scene_send(&s, &take);
        scene_expect(&s, "uncertified 0");
        ck_assert_str_eq(real_redis_do(&server, "EXISTS k"), ":0\r\n");
        scene_expect(&s, NO_CERTIFICATE);
        scene_end(&s);
        real_redis_stop(&server);
}
END_TEST

UNIT_MAIN("look", a_look_asks_for_identity_and_certificate_and_leaves_a_mark,
          a_server_whose_info_does_not_tell_its_clock_is_asked_for_it, what_is_no_time_ends_the_connection,
          without_quarantine_no_certificate_is_looked_for,
          an_acquire_carries_the_certificate_and_hears_where_it_does_not_stand, what_stands_there_instead_is_the_reason,
          each_other_thing_that_stands_there_has_another_number, who_can_never_vote_is_told_what_to_do,
          a_node_that_can_keep_no_certificate_is_unfit, a_look_of_the_wrong_shape_ends_the_connection,
          a_node_is_looked_at_again_while_it_runs, a_node_that_is_busy_is_looked_at_all_the_same,
          a_connection_that_leads_to_another_server_is_given_up,
          what_was_a_replica_is_somebody_else_under_its_old_run_id,
          the_certificate_is_written_in_the_place_of_what_was_seen_and_looked_at,
          a_certificate_that_cannot_be_written_says_why, who_forgets_nothing_at_a_restart_keeps_its_certificate,
          what_was_kept_before_another_run_does_not_count, who_may_have_evicted_locks_loses_its_certificate,
          what_was_evicted_before_the_connection_came_up_is_no_news, members_are_the_names_in_any_order,
          the_certificate_for_the_former_list_counts_until_it_is_replaced,
          the_certificate_for_the_new_list_counts_from_the_start,
          on_a_real_server_it_votes_from_its_certificate_to_the_next_flush)
