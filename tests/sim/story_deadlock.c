/*
 * Scenes of sessions that would wait for each other: the last to come is refused, and nobody else notices.
 */
#include "sim/story.h"

static const struct ask for_ever = { .tries = -1 };

static void two_sessions(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1), b = world_open(w, 1);

        story_add(w, a, "x", for_ever);
        story_add(w, b, "y", for_ever);
        story_run(w, 10);
        story_skip(w);
        story_add(w, a, "y", for_ever);
        story_add(w, b, "x", for_ever);
        story_run(w, 10);
        story_give(w, b, "y");
        story_run(w, 10);
        story_expect(w, "10.000  A > add y\n"
                        "10.000  B > add x\n"
                        "10.000  B < DEADLOCK x B waits for x A waits for y\n"
                        "20.000  B > free y\n"
                        "20.000  B < y freed\n"
                        "20.000  A < y#3 acquired 9878\n");
        story_end(w);
}

static void three_sessions_over_several_keys_at_once(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1), b = world_open(w, 1), c = world_open(w, 1);

        story_add(w, a, "x", for_ever);
        story_add(w, b, "y", for_ever);
        story_add(w, c, "z", for_ever);
        story_run(w, 10);
        story_skip(w);
        story_add(w, a, "y,free", for_ever);
        story_add(w, b, "other,z", for_ever);
        story_add(w, c, "x", for_ever);
        story_run(w, 10);
        story_expect(w, "10.000  A > add y,free\n"
                        "10.000  B > add other,z\n"
                        "10.000  C > add x\n"
                        "10.000  C < DEADLOCK x C waits for x A waits for y B waits for z\n");
        story_end(w);
}

/* B holds nothing that A wants; but it is before A in a queue, and waits for what A holds. */
static void through_a_place_in_a_queue(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1), b = world_open(w, 1), c = world_open(w, 1);

        story_add(w, a, "x", for_ever);
        story_add(w, c, "y", for_ever);
        story_run(w, 10);
        story_skip(w);
        story_add(w, b, "x,y", for_ever);
        story_add(w, a, "y", for_ever);
        story_run(w, 10);
        story_expect(w, "10.000  B > add x,y\n"
                        "10.000  A > add y\n"
                        "10.000  A < DEADLOCK y A waits for y B waits for x\n");
        story_end(w);
}

/* What it asked for before is waited for by another request of the same session. */
static void through_a_lock_that_a_waiting_session_holds(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1), b = world_open(w, 1), c = world_open(w, 1);

        story_add(w, c, "x", for_ever);
        story_run(w, 10);
        story_add(w, a, "x", for_ever);
        story_add(w, a, "y", for_ever);
        story_add(w, b, "z", for_ever);
        story_run(w, 10);
        story_skip(w);
        story_add(w, b, "y", for_ever);
        story_add(w, c, "z", for_ever);
        story_run(w, 10);
        story_expect(w, "20.000  B > add y\n"
                        "20.000  C > add z\n"
                        "20.000  C < DEADLOCK z C waits for z B waits for y A waits for x\n");
        story_end(w);
}

static void who_tries_once_does_not_wait(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1), b = world_open(w, 1);

        story_add(w, a, "x", for_ever);
        story_add(w, b, "y", for_ever);
        story_run(w, 10);
        story_skip(w);
        story_add(w, a, "y", for_ever);
        story_add(w, b, "x", (struct ask){ .tries = 1 });
        story_run(w, 10);
        story_expect(w, "10.000  A > add y\n"
                        "10.000  B > add x\n"
                        "10.000  B < LOCKED x, 1 attempts, 0 ms, holder A\n");
        story_end(w);
}

/* A waits behind its own request and behind nobody else; and holding what is asked for is no wait. */
static void a_session_does_not_wait_for_itself(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1), b = world_open(w, 1);

        story_add(w, a, "x", for_ever);
        story_add(w, b, "y", for_ever);
        story_run(w, 10);
        story_skip(w);
        story_add(w, a, "x,y", for_ever);
        story_add(w, a, "y,z", for_ever);
        story_run(w, 10);
        story_give(w, b, "y");
        story_run(w, 10);
        story_expect(w, "10.000  A > add x,y\n"
                        "10.000  A > add y,z\n"
                        "20.000  B > free y\n"
                        "20.000  B < y freed\n"
                        "20.000  A < x#1 held 9878 y#3 acquired 9878\n"
                        "20.000  h1 > n1 n2 n3 take z#4\n"
                        "21.000  n1 > granted\n"
                        "21.000  n2 > granted\n"
                        "21.000  A < y#3 held 9877 z#4 acquired 9897\n"
                        "21.000  n3 > granted\n");
        story_end(w);
}

/* All the places in the queues are taken in one step: whoever comes first gets all. */
static void overlapping_sets_come_one_after_the_other(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1), b = world_open(w, 1), c = world_open(w, 1);

        story_add(w, a, "x,y", for_ever);
        story_add(w, b, "y,z", for_ever);
        story_add(w, c, "z,x", for_ever);
        story_run(w, 10);
        story_skip(w);
        story_give(w, a, NULL);
        story_run(w, 10);
        story_give(w, b, NULL);
        story_run(w, 10);
        story_expect(w, "10.000  A > free\n"
                        "10.000  h1 > n1 n2 n3 release x#1\n"
                        "10.000  h1 > n1 n2 n3 take z#3 +y#2\n"
                        "11.000  n1 > released\n"
                        "11.000  n2 > released\n"
                        "11.000  A < x freed y freed\n"
                        "11.000  n3 > released\n"
                        "11.000  n1 > granted\n"
                        "11.000  n2 > granted\n"
                        "11.000  B < y#4 acquired 9897 z#3 acquired 9897\n"
                        "11.000  n3 > granted\n"
                        "20.000  B > free\n"
                        "20.000  h1 > n1 n2 n3 release y#2\n"
                        "20.000  h1 > n1 n2 n3 take x#5 +z#3\n"
                        "21.000  n1 > released\n"
                        "21.000  n2 > released\n"
                        "21.000  B < y freed z freed\n"
                        "21.000  n3 > released\n"
                        "21.000  n1 > granted\n"
                        "21.000  n2 > granted\n"
                        "21.000  C < z#6 acquired 9897 x#5 acquired 9897\n"
                        "21.000  n3 > granted\n");
        story_end(w);
}

/*
 * A holds x, for which B waits; A waits for y, and B behind it. The nodes forget A's lock. When its validity is over,
 * and it is B's turn for x, A would wait for B: it is told at once, though it has tried again in between.
 */
static void who_loses_a_lock_to_somebody_who_waits_for_it_is_told(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1), b = world_open(w, 1), n;
        const struct ask slow = { .tries = -1, .delay_ms = 5000 };

        story_add(w, a, "x", (struct ask){ .ttl_ms = 3000, .renewed = true });
        story_run(w, 10);
        story_add(w, b, "x", slow);
        for (n = 1; n <= 3; ++n) {
                world_lose(w, n);
                world_plant(w, n, "y", 60000);
        }
        story_add(w, a, "x,y", (struct ask){ .tries = -1, .delay_ms = 2500 });
        story_add(w, b, "y", slow);
        story_run(w, 2900);
        story_skip(w);
        story_run(w, 100);
        story_expect(w, "2968.000  h1 > n1 n2 n3 release x#1\n"
                        "2968.000  h1 > n1 n2 n3 take x#3\n"
                        "2968.000  A < DEADLOCK x A waits for x B waits for y\n"
                        "2968.000  h1 > n1 n2 n3 take y#4\n"
                        "2969.000  n1 > released\n"
                        "2969.000  n2 > released\n"
                        "2969.000  n3 > released\n"
                        "2969.000  n1 > granted\n"
                        "2969.000  n2 > granted\n"
                        "2969.000  B < x#3 acquired 9897\n"
                        "2969.000  n3 > granted\n"
                        "2969.000  n1 > held\n"
                        "2969.000  n2 > held\n"
                        "2969.000  h1 > n3 release y#4\n"
                        "2969.000  n3 > held\n"
                        "2970.000  n3 > released\n");
        story_end(w);
}

/*
 * A waits for y, which B holds, with an add that names x as well, which A holds; C waits for x, and for y behind A.
 * Then x is lost: C will have it before A, and nobody would ever go on. That is known then, not when the old validity
 * is over.
 */
static void a_lock_that_is_lost_under_a_waiting_add_closes_a_cycle_at_once(void)
{
        static const char *const x = "x";
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1), b = world_open(w, 1), c = world_open(w, 1);

        story_subscribe(w, a, NOTICE_DEFAULT);
        story_add(w, a, "x", (struct ask){ .ttl_ms = 3000, .renewed = true });
        story_add(w, b, "y", (struct ask){ .ttl_ms = 60000 });
        story_run(w, 10);
        story_add(w, c, "x", (struct ask){ .tries = -1, .delay_ms = 60000 });
        story_add(w, a, "x,y", (struct ask){ .tries = -1, .delay_ms = 60000 });
        story_add(w, c, "y", (struct ask){ .tries = -1, .delay_ms = 60000 });
        story_run(w, 10);
        world_roll_back(w, 1, &x, 1);
        world_roll_back(w, 2, &x, 1);
        world_join(w, 1, 1);
        world_join(w, 1, 2);
        story_skip(w);
        story_run(w, 1100);
        story_expect(w, "504.900  h1 > n1 n2 n3 renew x#1\n"
                        "505.900  n1 > held\n"
                        "505.900  n2 > held\n"
                        "505.900  A < lost x#1 NO_QUORUM\n"
                        "505.900  A < DEADLOCK x y A waits for x C waits for y\n"
                        "505.900  n3 > granted\n");
        story_end(w);
}

/* The same where A did not subscribe, and knows it from an extension that was refused. */
static void who_asks_anew_for_what_was_refused_as_lost_closes_a_cycle_at_once(void)
{
        static const char *const x = "x";
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1), b = world_open(w, 1);

        story_add(w, a, "x", (struct ask){ .ttl_ms = 3000, .renewed = true });
        story_add(w, a, "y", (struct ask){ .ttl_ms = 60000 });
        story_run(w, 10);
        story_add(w, b, "x", (struct ask){ .tries = -1, .delay_ms = 60000 });
        story_add(w, b, "y", (struct ask){ .tries = -1, .delay_ms = 60000 });
        world_roll_back(w, 1, &x, 1);
        world_roll_back(w, 2, &x, 1);
        world_join(w, 1, 1);
        world_join(w, 1, 2);
        story_run(w, 1100);
        story_skip(w);
        story_extend(w, a, "x", (struct ask){ .strict = true });
        story_add(w, a, "x", (struct ask){ .tries = -1, .delay_ms = 60000 });
        story_expect(w, "1110.000  A > extend x\n"
                        "1110.000  A < LOST x\n"
                        "1110.000  A > add x\n"
                        "1110.000  A < DEADLOCK x A waits for x B waits for y\n");
        story_end(w);
}

STORY_MAIN("deadlock", STORY(two_sessions), STORY(three_sessions_over_several_keys_at_once),
           STORY(through_a_place_in_a_queue), STORY(through_a_lock_that_a_waiting_session_holds),
           STORY(who_tries_once_does_not_wait), STORY(a_session_does_not_wait_for_itself),
           STORY(overlapping_sets_come_one_after_the_other),
           STORY(who_loses_a_lock_to_somebody_who_waits_for_it_is_told),
           STORY(a_lock_that_is_lost_under_a_waiting_add_closes_a_cycle_at_once),
           STORY(who_asks_anew_for_what_was_refused_as_lost_closes_a_cycle_at_once))
