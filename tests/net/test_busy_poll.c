/*
 * Looking for more before the loop sleeps: for how long, and when it is not done.
 */
#include "redlockd/net/busy_poll.h"
#include "unit/unit.h"

struct scene {
        uv_loop_t loop;
        uv_prepare_t other; /* something to wait for */
        struct busy_poll poll;
        uint64_t now_ns;
};

static void other_cb(uv_prepare_t *prepare)
{
}

static void scene_init(struct scene *s)
{
        *s = (struct scene){ .now_ns = 1000 };
        ck_assert_int_eq(uv_loop_init(&s->loop), 0);
        uv_prepare_init(&s->loop, &s->other);
        uv_prepare_start(&s->other, other_cb);
        uv_run(&s->loop, UV_RUN_NOWAIT); /* the loop's own descriptors are watched from then on */
        busy_poll_init(&s->poll, &s->loop);
}

static void scene_end(struct scene *s)
{
        busy_poll_close(&s->poll);
        uv_close((uv_handle_t *)&s->other, NULL);
        ck_assert_int_eq(uv_run(&s->loop, UV_RUN_DEFAULT), 0);
        ck_assert_int_eq(uv_loop_close(&s->loop), 0);
}

/* The loop would poll, and not wait. */
static bool looking(const struct scene *s)
{
        return uv_backend_timeout(&s->loop) == 0;
}

static void work(struct scene *s)
{
        busy_poll_on_turn(&s->poll, true, s->now_ns);
}

static void nothing(struct scene *s, uint64_t later_ns)
{
        s->now_ns += later_ns;
        busy_poll_on_turn(&s->poll, false, s->now_ns);
}

/* It looks, and nothing comes. */
static void in_vain(struct scene *s)
{
        work(s);
        ck_assert(looking(s));
        nothing(s, BUSY_POLL_NS);
        ck_assert(!looking(s));
}

/* It looks, and something comes at the last moment. */
static void in_time(struct scene *s)
{
        ck_assert(looking(s));
        nothing(s, BUSY_POLL_NS - 1);
        ck_assert(looking(s));
        work(s);
}

START_TEST(after_work_it_looks_for_a_moment)
{
        struct scene s;

        scene_init(&s);
        ck_assert(!looking(&s));
        nothing(&s, BUSY_POLL_NS);
        ck_assert(!looking(&s));
        work(&s);
        nothing(&s, BUSY_POLL_NS - 1);
        ck_assert(looking(&s));
        nothing(&s, 1);
        ck_assert(!looking(&s));
        scene_end(&s);
}
END_TEST

START_TEST(what_comes_meanwhile_begins_the_moment_anew)
{
        struct scene s;

        scene_init(&s);
        work(&s);
        for (unsigned i = 0; i < 100; ++i)
                in_time(&s);
        nothing(&s, BUSY_POLL_NS - 1);
        ck_assert(looking(&s));
        nothing(&s, 1);
        ck_assert(!looking(&s));
        scene_end(&s);
}
END_TEST

START_TEST(what_is_mostly_in_vain_is_given_up_but_for_a_probe)
{
        struct scene s;

        scene_init(&s);
        for (unsigned i = 0; i < BUSY_POLL_CREDIT_MAX; ++i)
                in_vain(&s);
        for (unsigned round = 0; round < 3; ++round) {
                for (unsigned i = 1; i < BUSY_POLL_PROBE_EACH; ++i) {
                        work(&s);
                        ck_assert(!looking(&s));
                        nothing(&s, 1);
                        ck_assert(!looking(&s));
                }
                in_vain(&s);
        }
        scene_end(&s);
}
END_TEST

START_TEST(a_probe_that_was_not_in_vain_brings_it_back)
{
        struct scene s;

        scene_init(&s);
        for (unsigned i = 0; i < BUSY_POLL_CREDIT_MAX; ++i)
                in_vain(&s);
        for (unsigned i = 0; i < BUSY_POLL_PROBE_EACH; ++i)
                work(&s);
        for (unsigned i = 0; i < 3; ++i)
                in_time(&s);
        nothing(&s, BUSY_POLL_NS);
        in_vain(&s);
        in_vain(&s);
        /* each of the three was worth one in vain */
        work(&s);
        ck_assert(!looking(&s));
        scene_end(&s);
}
END_TEST

START_TEST(it_goes_on_while_every_second_look_is_worth_it)
{
        struct scene s;

        scene_init(&s);
        for (unsigned i = 0; i < 1000; ++i) {
                work(&s);
                in_time(&s);
                nothing(&s, BUSY_POLL_NS);
                ck_assert(!looking(&s));
        }
        /* much that was worth it does not keep it going for ever */
        work(&s);
        for (unsigned i = 0; i < 1000; ++i)
                in_time(&s);
        nothing(&s, BUSY_POLL_NS);
        for (unsigned i = 1; i < BUSY_POLL_CREDIT_MAX; ++i)
                in_vain(&s);
        work(&s);
        ck_assert(!looking(&s));
        scene_end(&s);
}
END_TEST

START_TEST(a_closed_one_looks_no_more)
{
        struct scene s;

        scene_init(&s);
        work(&s);
        busy_poll_close(&s.poll);
        work(&s);
        nothing(&s, BUSY_POLL_NS);
        work(&s);
        uv_close((uv_handle_t *)&s.other, NULL);
        ck_assert_int_eq(uv_run(&s.loop, UV_RUN_DEFAULT), 0);
        ck_assert_int_eq(uv_loop_close(&s.loop), 0);
}
END_TEST

UNIT_MAIN("busy_poll", after_work_it_looks_for_a_moment, what_comes_meanwhile_begins_the_moment_anew,
          what_is_mostly_in_vain_is_given_up_but_for_a_probe, a_probe_that_was_not_in_vain_brings_it_back,
          it_goes_on_while_every_second_look_is_worth_it, a_closed_one_looks_no_more)
