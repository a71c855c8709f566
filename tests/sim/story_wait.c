/*
 * Scenes of waiting: one first-come queue a key, of which only the head asks the nodes, and budgets of tries and time.
 */
#include "sim/story.h"

static void a_key_that_becomes_free_goes_to_the_head_of_the_queue_at_once(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1), b = world_open(w, 1), c = world_open(w, 1);

        story_add(w, a, "k", (struct ask){ 0 });
        story_run(w, 5);
        story_skip(w);
        story_add(w, b, "k", (struct ask){ 0 });
        story_add(w, c, "k", (struct ask){ 0 });
        story_run(w, 45);
        story_give(w, a, "k");
        story_run(w, 50);
        story_give(w, b, "k");
        story_run(w, 50);
        story_expect(w, "5.000  B > add k\n"
                        "5.000  C > add k\n"
                        "50.000  A > free k\n"
                        "50.000  A < k freed\n"
                        "50.000  B < k#2 acquired 9848\n"
                        "100.000  B > free k\n"
                        "100.000  B < k freed\n"
                        "100.000  C < k#3 acquired 9798\n");
        story_end(w);
}

/* The key is another program's: one acquire a try, whoever waits. */
static void only_the_head_asks_the_nodes(void)
{
        struct world *w = story_world(&(struct world_options){ .nodes_n = 1 });
        unsigned a = world_open(w, 1), b = world_open(w, 1);

        world_plant(w, 1, "k", 250);
        story_add(w, a, "k", (struct ask){ 0 });
        story_run(w, 10);
        story_add(w, b, "k", (struct ask){ .delay_ms = 30 });
        story_run(w, 400);
        story_expect(w, "0.000  A > add k\n"
                        "0.000  h1 > n1 take k#1\n"
                        "1.000  n1 > held\n"
                        "1.000  h1 > listen k\n"
                        "2.000  n1 > listening k\n"
                        "2.000  h1 > n1 take k#2\n"
                        "3.000  n1 > held\n"
                        "10.000  B > add k\n"
                        "101.000  h1 > n1 take k#3\n"
                        "102.000  n1 > held\n"
                        "202.000  h1 > n1 take k#4\n"
                        "203.000  n1 > held\n"
                        "252.000  h1 > n1 take k#5\n"
                        "253.000  n1 > granted\n"
                        "253.000  A < k#5 acquired 9897\n");
        story_end(w);
}

/* retryCount 5, retryDelay 200: six tries, a second; all of them spent on this host's own knowledge. */
static void a_spent_budget_names_its_holder(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1), b = world_open(w, 1);

        story_add(w, a, "k", (struct ask){ 0 });
        story_run(w, 10);
        story_skip(w);
        story_add(w, b, "k", (struct ask){ .tries = 6, .delay_ms = 200 });
        story_run(w, 2000);
        story_expect(w, "10.000  B > add k\n"
                        "494.900  h1 > n1 n2 n3 renew k#1\n"
                        "495.900  n1 > granted\n"
                        "495.900  n2 > granted\n"
                        "495.900  n3 > granted\n"
                        "989.800  h1 > n1 n2 n3 renew k#1\n"
                        "990.800  n1 > granted\n"
                        "990.800  n2 > granted\n"
                        "990.800  n3 > granted\n"
                        "1010.000  B < LOCKED k, 6 attempts, 1000 ms, holder A\n");
        story_end(w);
}

static void a_cap_on_waiting_ends_it_between_two_tries(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1), b = world_open(w, 1);

        story_add(w, a, "k", (struct ask){ 0 });
        story_run(w, 10);
        story_skip(w);
        story_add(w, b, "k", (struct ask){ .tries = -1, .wait_ms = 250 });
        story_run(w, 1000);
        story_expect(w, "10.000  B > add k\n"
                        "260.000  B < LOCKED k, 3 attempts, 250 ms, holder A\n");
        story_end(w);
}

static void a_cancelled_wait_leaves_the_queue(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1), b = world_open(w, 1), c = world_open(w, 1);
        uint64_t request;

        story_add(w, a, "k", (struct ask){ 0 });
        story_run(w, 10);
        story_skip(w);
        request = story_add(w, b, "k", (struct ask){ .tries = -1 });
        story_add(w, c, "k", (struct ask){ .tries = -1 });
        story_cancel(w, b, request);
        story_cancel(w, b, request);
        story_give(w, a, "k");
        story_run(w, 10);
        story_expect(w, "10.000  B > add k\n"
                        "10.000  C > add k\n"
                        "10.000  B > cancel\n"
                        "10.000  B < CANCELLED k\n"
                        "10.000  B < cancelled true\n"
                        "10.000  B > cancel\n"
                        "10.000  B < cancelled false\n"
                        "10.000  A > free k\n"
                        "10.000  A < k freed\n"
                        "10.000  C < k#2 acquired 9888\n");
        story_end(w);
}

/* Cancelled in the middle of its round: answered at once, and what may have been granted is released. */
static void a_cancelled_try_is_undone(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1);
        uint64_t request = story_add(w, a, "k", (struct ask){ 0 });

        story_cancel(w, a, request);
        story_run(w, 10);
        story_expect(w, "0.000  A > add k\n"
                        "0.000  h1 > n1 n2 n3 take k#1\n"
                        "0.000  A > cancel\n"
                        "0.000  A < CANCELLED\n"
                        "0.000  A < cancelled true\n"
                        "0.000  h1 > n1 n2 n3 release k#1\n"
                        "1.000  n1 > granted\n"
                        "1.000  n2 > granted\n"
                        "1.000  n3 > granted\n"
                        "1.000  n1 > released\n"
                        "1.000  n2 > released\n"
                        "1.000  n3 > released\n");
        story_end(w);
}

/* B wants both keys and stands in both queues, also in that of the one that is free: C, who came later, waits behind
 * it. */
static void a_request_for_several_keys_stands_in_all_their_queues(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1), b = world_open(w, 1), c = world_open(w, 1);

        story_add(w, a, "x", (struct ask){ 0 });
        story_run(w, 10);
        story_skip(w);
        story_add(w, b, "x,y", (struct ask){ 0 });
        story_add(w, c, "y", (struct ask){ 0 });
        story_run(w, 10);
        story_give(w, a, "x");
        story_run(w, 10);
        story_give(w, b, "x,y");
        story_run(w, 10);
        story_expect(w, "10.000  B > add x,y\n"
                        "10.000  C > add y\n"
                        "20.000  A > free x\n"
                        "20.000  A < x freed\n"
                        "20.000  h1 > n1 n2 n3 take y#2 +x#1\n"
                        "21.000  n1 > granted\n"
                        "21.000  n2 > granted\n"
                        "21.000  B < x#3 acquired 9897 y#2 acquired 9897\n"
                        "21.000  n3 > granted\n"
                        "30.000  B > free x,y\n"
                        "30.000  h1 > n1 n2 n3 release x#1\n"
                        "30.000  C < y#4 acquired 9888\n"
                        "31.000  n1 > released\n"
                        "31.000  n2 > released\n"
                        "31.000  B < x freed y freed\n"
                        "31.000  n3 > released\n");
        story_end(w);
}

/* Overlapping sets in opposite order: both enter their queues in one step, so neither blocks the other for ever. */
static void overlapping_sets_do_not_block_each_other(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1), b = world_open(w, 1);

        story_add(w, a, "x,y", (struct ask){ 0 });
        story_add(w, b, "y,x", (struct ask){ 0 });
        story_run(w, 10);
        story_give(w, a, NULL);
        story_run(w, 10);
        story_expect(w, "0.000  A > add x,y\n"
                        "0.000  h1 > n1 n2 n3 take x#1 y#2\n"
                        "0.000  B > add y,x\n"
                        "1.000  n1 > granted\n"
                        "1.000  n2 > granted\n"
                        "1.000  A < x#1 acquired 9897 y#2 acquired 9897\n"
                        "1.000  n3 > granted\n"
                        "10.000  A > free\n"
                        "10.000  A < x freed y freed\n"
                        "10.000  B < y#3 acquired 9888 x#4 acquired 9888\n");
        story_end(w);
}

/* A wake-up does not count: the only try was spent when the holder's end woke the waiter, and its budget is not longer
 * for it. */
static void a_wake_up_is_outside_the_budget(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1), b = world_open(w, 1);

        story_add(w, a, "k", (struct ask){ 0 });
        story_run(w, 10);
        story_skip(w);
        world_plant(w, 1, "m", 5000);
        world_plant(w, 2, "m", 5000);
        story_add(w, b, "k,m", (struct ask){ .tries = 3, .delay_ms = 100 });
        story_run(w, 50);
        story_give(w, a, "k");
        story_run(w, 1000);
        story_expect(w, "10.000  B > add k,m\n"
                        "60.000  A > free k\n"
                        "60.000  A < k freed\n"
                        "60.000  h1 > n1 n2 n3 take m#2 +k#1\n"
                        "61.000  n1 > held\n"
                        "61.000  n2 > held\n"
                        "61.000  h1 > listen m\n"
                        "61.000  h1 > n3 release m#2\n"
                        "61.000  h1 > n1 n2 n3 release k#1\n"
                        "61.000  n3 > granted\n"
                        "62.000  n1 > listening m\n"
                        "62.000  n2 > listening m\n"
                        "62.000  h1 > n1 n2 n3 take k#3 m#4\n"
                        "62.000  n3 > listening m\n"
                        "62.000  n3 > free m 1\n"
                        "62.000  n3 > released\n"
                        "62.000  n1 > released\n"
                        "62.000  n2 > released\n"
                        "62.000  n3 > released\n"
                        "63.000  n1 > held\n"
                        "63.000  n2 > held\n"
                        "63.000  h1 > n3 release k#3 m#4\n"
                        "63.000  n3 > granted\n"
                        "64.000  n3 > free m 1\n"
                        "64.000  n3 > released\n"
                        "110.000  h1 > n1 n2 n3 take k#5 m#6\n"
                        "111.000  n1 > held\n"
                        "111.000  n2 > held\n"
                        "111.000  h1 > n3 release k#5 m#6\n"
                        "111.000  n3 > granted\n"
                        "112.000  n3 > free m 1\n"
                        "112.000  n3 > released\n"
                        "211.000  h1 > n1 n2 n3 take k#7 m#8\n"
                        "212.000  n1 > held\n"
                        "212.000  n2 > held\n"
                        "212.000  h1 > unlisten m\n"
                        "212.000  B < LOCKED m, 3 attempts, 202 ms\n"
                        "212.000  h1 > n3 release k#7 m#8\n"
                        "212.000  n3 > granted\n"
                        "213.000  n3 > released\n");
        story_end(w);
}

STORY_MAIN("wait", STORY(a_key_that_becomes_free_goes_to_the_head_of_the_queue_at_once),
           STORY(only_the_head_asks_the_nodes), STORY(a_spent_budget_names_its_holder),
           STORY(a_cap_on_waiting_ends_it_between_two_tries), STORY(a_cancelled_wait_leaves_the_queue),
           STORY(a_cancelled_try_is_undone), STORY(a_request_for_several_keys_stands_in_all_their_queues),
           STORY(overlapping_sets_do_not_block_each_other), STORY(a_wake_up_is_outside_the_budget))
