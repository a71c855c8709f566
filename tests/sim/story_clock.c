/*
 * Scenes of clocks that step: a node's, some nodes', or our own that stood still.
 */
#include "sim/story.h"

static struct world *watched_world(unsigned nodes_n)
{
        return story_world(&(struct world_options){ .nodes_n = nodes_n, .ttl_max_ms = 60000, .look_ms = 100 });
}

static void a_node_that_steps_forward_takes_nothing_while_others_are_a_quorum(void)
{
        struct world *w = watched_world(3);
        unsigned a = world_open(w, 1);

        story_subscribe(w, a, NOTICE_LOST);
        story_add(w, a, "k", (struct ask){ .ttl_ms = 3000 });
        story_run(w, 10);
        world_step_clock(w, 1, 60000);
        story_skip(w);
        story_run(w, 2000);
        story_expect(w, "");
        story_end(w);
}

static void two_of_three_that_step_past_its_end_lose_it_within_a_heartbeat(void)
{
        struct world *w = watched_world(3);
        unsigned a = world_open(w, 1);

        story_subscribe(w, a, NOTICE_LOST);
        story_add(w, a, "k", (struct ask){ .ttl_ms = 3000 });
        story_run(w, 10);
        world_step_clock(w, 1, 60000);
        world_step_clock(w, 3, 60000);
        story_skip(w);
        story_run(w, 200);
        story_expect(w, "101.000  A < lost k#1 NO_QUORUM\n");
        story_end(w);
}

static void where_they_step_by_less_it_ends_by_so_much_earlier(void)
{
        struct world *w = watched_world(3);
        unsigned a = world_open(w, 1);

        story_subscribe(w, a, NOTICE_LOST);
        story_add(w, a, "k", (struct ask){ .ttl_ms = 3000 });
        story_run(w, 10);
        world_step_clock(w, 1, 1000);
        world_step_clock(w, 3, 2000);
        story_skip(w);
        story_run(w, 3000);
        story_expect(w, "1960.980  A < lost k#1 EXPIRED\n"
                        "2968.000  h1 > n1 n2 n3 release k#1\n"
                        "2969.000  n1 > released\n"
                        "2969.000  n2 > released\n"
                        "2969.000  n3 > released\n");
        story_end(w);
}

static void a_lock_that_the_broker_renews_is_renewed_sooner(void)
{
        struct world *w = watched_world(3);
        unsigned a = world_open(w, 1);

        story_subscribe(w, a, NOTICE_LOST | NOTICE_EXPIRING);
        story_add(w, a, "k", (struct ask){ .ttl_ms = 3000, .renewed = true });
        story_run(w, 10);
        world_step_clock(w, 1, 2000);
        world_step_clock(w, 3, 2000);
        story_skip(w);
        story_run(w, 300);
        story_expect(w, "101.000  h1 > n1 n2 n3 renew k#1\n"
                        "102.000  n1 > granted\n"
                        "102.000  n2 > granted\n"
                        "102.000  n3 > granted\n");
        story_end(w);
}

static void all_nodes_that_step_alike_are_our_own_pause(void)
{
        struct world *w = watched_world(3);
        unsigned a = world_open(w, 1);

        story_subscribe(w, a, NOTICE_LOST);
        story_add(w, a, "k", (struct ask){ .ttl_ms = 3000 });
        story_run(w, 10);
        world_step_clock(w, 1, 2000);
        world_step_clock(w, 2, 2000);
        world_step_clock(w, 3, 2000);
        story_skip(w);
        story_run(w, 3000);
        story_expect(w, "960.980  A < lost k#1 EXPIRED\n"
                        "2968.000  h1 > n1 n2 n3 release k#1\n"
                        "2969.000  n1 > released\n"
                        "2969.000  n2 > released\n"
                        "2969.000  n3 > released\n");
        story_end(w);
}

static void nothing_is_granted_for_longer_on_answers_from_before_a_step(void)
{
        struct world *w = watched_world(1);
        unsigned a = world_open(w, 1);

        story_subscribe(w, a, NOTICE_LOST);
        story_run(w, 150);
        world_slow(w, 1, 40000);
        story_skip(w);
        /* the node carries it out, steps, and is looked at, while the answer is on its way */
        story_add(w, a, "k", (struct ask){ .ttl_ms = 3000 });
        world_run_ns(w, 45000 * NS_PER_US);
        world_step_clock(w, 1, 1000);
        story_run(w, 3000);
        story_expect(w, "150.000  A > add k\n"
                        "150.000  h1 > n1 take k#1\n"
                        "195.000  n1 clock steps by 1000 ms\n"
                        "230.000  n1 > granted\n"
                        "230.000  A < k#1 acquired 2888\n"
                        "2068.390  A < lost k#1 EXPIRED\n"
                        "3118.000  h1 > n1 release k#1\n");
        story_end(w);
}

static void an_answer_that_shows_a_step_grants_nothing_that_it_may_have_cut(void)
{
        struct world *w = watched_world(3);
        unsigned a = world_open(w, 1);

        story_run(w, 10);
        world_step_clock(w, 1, 60000);
        world_step_clock(w, 2, 60000);
        story_skip(w);
        story_add(w, a, "k", (struct ask){ .ttl_ms = 3000, .delay_ms = 10 });
        story_run(w, 50);
        story_expect(w, "10.000  A > add k\n"
                        "10.000  h1 > n1 n2 n3 take k#1\n"
                        "11.000  n1 > granted\n"
                        "11.000  n2 > granted\n"
                        "11.000  h1 > n1 n2 n3 release k#1\n"
                        "11.000  n3 > granted\n"
                        "12.000  n1 > released\n"
                        "12.000  n2 > released\n"
                        "12.000  n3 > released\n"
                        "21.000  h1 > n1 n2 n3 take k#2\n"
                        "22.000  n1 > granted\n"
                        "22.000  n2 > granted\n"
                        "22.000  A < k#2 acquired 2967\n"
                        "22.000  n3 > granted\n");
        story_end(w);
}

static void a_step_back_costs_nothing(void)
{
        struct world *w = watched_world(3);
        unsigned a = world_open(w, 1);

        story_subscribe(w, a, NOTICE_LOST);
        story_add(w, a, "k", (struct ask){ .ttl_ms = 3000 });
        story_run(w, 10);
        world_step_clock(w, 1, -900);
        world_step_clock(w, 2, -900);
        story_skip(w);
        story_run(w, 3000);
        story_expect(w, "2963.000  A < lost k#1 EXPIRED\n"
                        "2968.000  h1 > n1 n2 n3 release k#1\n"
                        "2969.000  n1 > released\n"
                        "2969.000  n2 > released\n"
                        "2969.000  n3 > released\n");
        story_end(w);
}

static void clocks_of_different_rates_do_not_step(void)
{
        struct world *w = watched_world(3);
        unsigned a = world_open(w, 1);

        if (story_is_whole(w)) {
                world_node(w, 0)->clock.ppm = 4000;
                world_node(w, 1)->clock.ppm = -4000;
        }
        story_subscribe(w, a, NOTICE_LOST);
        story_add(w, a, "k", (struct ask){ .ttl_ms = 30000 });
        story_run(w, 10);
        story_skip(w);
        story_run(w, 29000);
        story_expect(w, "");
        story_end(w);
}

STORY_MAIN("clock", STORY(a_node_that_steps_forward_takes_nothing_while_others_are_a_quorum),
           STORY(two_of_three_that_step_past_its_end_lose_it_within_a_heartbeat),
           STORY(where_they_step_by_less_it_ends_by_so_much_earlier),
           STORY(a_lock_that_the_broker_renews_is_renewed_sooner), STORY(all_nodes_that_step_alike_are_our_own_pause),
           STORY(nothing_is_granted_for_longer_on_answers_from_before_a_step),
           STORY(an_answer_that_shows_a_step_grants_nothing_that_it_may_have_cut), STORY(a_step_back_costs_nothing),
           STORY(clocks_of_different_rates_do_not_step))
