/*
 * A minute of hosts that fight for one key, held for a moment each time: who gets it how often, and who waits how long.
 */
#include "sim/world.h"
#include "unit/unit.h"

#include <stdlib.h>

#define HOSTS_MAX    4
#define SESSIONS_MAX 16
#define TENURE_MS    500
#define STEP_US      500

struct fight {
        struct world *w;
        unsigned hosts_n, sessions_n;
        bool granted[SESSIONS_MAX + 1]; /* and not freed yet */
        uint64_t granted_n[SESSIONS_MAX + 1];
        uint64_t last_ns[HOSTS_MAX], longest_ns[HOSTS_MAX]; /* since a host had its last grant */
};

static void on_reply(void *userdata, const struct reply *reply)
{
        struct fight *f = userdata;
        unsigned host;

        if (reply->method != METHOD_ADD || reply->error)
                return;
        f->granted[reply->session] = true;
        ++f->granted_n[reply->session];
        host = f->w->sessions[reply->session - 1].host;
        if (f->last_ns[host] && f->w->now_ns - f->last_ns[host] > f->longest_ns[host])
                f->longest_ns[host] = f->w->now_ns - f->last_ns[host];
        f->last_ns[host] = f->w->now_ns;
}

static void fight(struct fight *f, unsigned hosts_n, unsigned sessions_a_host, uint64_t tail_us, unsigned ms)
{
        struct world_watch watch = { .userdata = f, .on_reply = on_reply };
        struct world_options options = { .hosts_n = hosts_n, .tail_us = tail_us, .seed = 7, .watch = &watch };
        const struct text key = text_of("k");
        struct request add = { .method = METHOD_ADD,
                               .keys = &key,
                               .keys_n = 1,
                               .ttl_ms = 10000,
                               .retry_count = RETRY_FOR_EVER,
                               .retry_delay_ms = 3000,
                               .wait_ms = WAIT_NONE };
        struct request give = { .method = METHOD_FREE, .keys = &key, .keys_n = 1 };
        unsigned s;

        *f = (struct fight){ .hosts_n = hosts_n, .sessions_n = hosts_n * sessions_a_host };
        f->w = world_new(&options);
        for (s = 1; s <= f->sessions_n; ++s)
                world_request(f->w, world_open(f->w, 1 + (s - 1) % hosts_n), add);
        while (f->w->now_ns - WORLD_EPOCH_NS < ms * NS_PER_MS) {
                world_run_ns(f->w, STEP_US * NS_PER_US);
                for (s = 1; s <= f->sessions_n; ++s) {
                        if (!f->granted[s])
                                continue;
                        f->granted[s] = false;
                        world_request(f->w, s, give);
                        world_request(f->w, s, add);
                }
        }
        ck_assert_ptr_null(world_calm(f->w, 20000));
        world_free(f->w);
}

/* (sum)^2 / (n * sum of squares): 1 where all shares are the same (Jain, Chiu, Hawe 1984). */
static double jain(const uint64_t *shares, unsigned n)
{
        double sum = 0, squares = 0;
        unsigned i;

        for (i = 0; i < n; ++i) {
                sum += (double)shares[i];
                squares += (double)shares[i] * (double)shares[i];
        }
        return sum * sum / (n * squares);
}

static void check_fight(unsigned hosts_n, unsigned sessions_a_host, uint64_t tail_us, double factor)
{
        uint64_t shares[HOSTS_MAX] = { 0 };
        struct fight f;
        unsigned s, h;

        fight(&f, hosts_n, sessions_a_host, tail_us, 60000);
        for (s = 1; s <= f.sessions_n; ++s)
                shares[(s - 1) % hosts_n] += f.granted_n[s];
        for (h = 0; h < hosts_n; ++h) {
                printf("fair: %u hosts, %u sessions, tail %u us: host %u had %u grants, and waited %u ms\n", hosts_n,
                       f.sessions_n, (unsigned)tail_us, h + 1, (unsigned)shares[h],
                       (unsigned)(f.longest_ns[h] / NS_PER_MS));
                ck_assert_uint_lt(f.longest_ns[h], (uint64_t)(factor * (hosts_n - 1) * TENURE_MS * (double)NS_PER_MS));
        }
        ck_assert_double_gt(jain(shares, hosts_n), 0.9);
        ck_assert_double_gt(jain(f.granted_n + 1, f.sessions_n), 0.9);
}

START_TEST(on_one_host_everybody_has_the_same)
{
        struct fight f;

        fight(&f, 1, 8, 0, 20000);
        ck_assert_double_gt(jain(f.granted_n + 1, 8), 0.99);
}
END_TEST

START_TEST(no_host_waits_longer_than_the_tenures_of_the_others)
{
        check_fight(2, 4, 0, 1.5);
        check_fight(3, 4, 0, 1.5);
        check_fight(4, 4, 0, 1.5);
}
END_TEST

START_TEST(a_session_a_host_that_comes_back_at_once_keeps_nobody_out)
{
        check_fight(2, 1, 0, 1.5);
        check_fight(4, 1, 0, 1.5);
}
END_TEST

START_TEST(slow_answers_change_the_order_of_hosts_and_starve_none)
{
        check_fight(2, 4, 20000, 3);
        check_fight(4, 4, 20000, 3);
}
END_TEST

UNIT_MAIN("fair", on_one_host_everybody_has_the_same, no_host_waits_longer_than_the_tenures_of_the_others,
          a_session_a_host_that_comes_back_at_once_keeps_nobody_out,
          slow_answers_change_the_order_of_hosts_and_starve_none)
