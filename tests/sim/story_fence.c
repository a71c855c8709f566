/*
 * Scenes of fences: numbers that rise with every lock on a key, whichever host, node or clock has what trouble.
 */
#include "sim/story.h"

static void one_round_is_enough_where_the_nodes_agree(void)
{
        struct world *w = story_world(&(struct world_options){ .fences = true });
        unsigned a = world_open(w, 1);

        story_add(w, a, "k", (struct ask){ 0 });
        story_run(w, 10);
        story_give(w, a, "k");
        story_run(w, 10);
        story_add(w, a, "k", (struct ask){ 0 });
        story_run(w, 10);
        story_expect(w, "0.000  A > add k\n"
                        "0.000  h1 > n1 n2 n3 take k#1\n"
                        "1.000  n1 > granted\n"
                        "1.000  n2 > granted\n"
                        "1.000  A < k#1 acquired 9897 fence 0.0\n"
                        "1.000  n3 > granted\n"
                        "10.000  A > free k\n"
                        "10.000  h1 > n1 n2 n3 release k#1\n"
                        "11.000  n1 > released\n"
                        "11.000  n2 > released\n"
                        "11.000  A < k freed\n"
                        "11.000  n3 > released\n"
                        "20.000  A > add k\n"
                        "20.000  h1 > n1 n2 n3 take k#2\n"
                        "21.000  n1 > granted\n"
                        "21.000  n2 > granted\n"
                        "21.000  A < k#2 acquired 9897 fence 20.0\n"
                        "21.000  n3 > granted\n");
        story_end(w);
}

static void a_lock_that_is_handed_on_gets_the_next_number_and_asks_nobody(void)
{
        struct world *w = story_world(&(struct world_options){ .fences = true, .nodes_n = 1 });
        unsigned a = world_open(w, 1), b = world_open(w, 1);

        story_add(w, a, "k", (struct ask){ 0 });
        story_run(w, 10);
        story_add(w, b, "k", (struct ask){ 0 });
        story_run(w, 10);
        story_skip(w);
        story_give(w, a, "k");
        story_expect(w, "20.000  A > free k\n"
                        "20.000  A < k freed\n"
                        "20.000  B < k#2 acquired 9878 fence 0.1\n");
        story_end(w);
}

/* Each takes it from the other: none of that is told to the nodes. A thousand times is too much for failing ones. */
static void hand_on(struct world *w, unsigned from, unsigned to, unsigned n)
{
        if (!story_is_whole(w) && n > 1)
                return;
        for (; n > 0; --n) {
                unsigned was = from;

                story_add(w, to, "k", (struct ask){ .ttl_ms = 60000 });
                story_give(w, from, "k");
                from = to;
                to = was;
        }
}

static void before_the_numbers_of_the_host_run_out_the_nodes_give_it_more(void)
{
        struct world *w = story_world(&(struct world_options){ .fences = true, .nodes_n = 1, .tenure_ms = 100000 });
        unsigned a = world_open(w, 1), b = world_open(w, 1);

        story_add(w, a, "k", (struct ask){ .ttl_ms = 60000 });
        story_run(w, 10);
        hand_on(w, a, b, FENCE_STEP - 2);
        story_skip(w);
        hand_on(w, a, b, 1);
        story_add(w, a, "k", (struct ask){ .ttl_ms = 60000 });
        story_give(w, b, "k");
        story_run(w, 10);
        story_expect(w, "10.000  B > add k\n"
                        "10.000  A > free k\n"
                        "10.000  A < k freed\n"
                        "10.000  B < k#1024 acquired 59388 fence 0.1023\n"
                        "10.000  A > add k\n"
                        "10.000  B > free k\n"
                        "10.000  B < k freed\n"
                        "10.000  h1 > n1 take +k#1\n"
                        "11.000  n1 > granted\n"
                        "11.000  A < k#1025 acquired 59397 fence 1.0\n");
        story_end(w);
}

static void where_the_nodes_differ_they_are_raised_before_it_is_granted(void)
{
        struct world *w = story_world(&(struct world_options){ .fences = true, .hosts_n = 2 });
        unsigned a = world_open(w, 1), b = world_open(w, 2);

        /* n3 misses what the first host gets, and goes on from what it has */
        world_cut(w, 1, 3);
        world_set_wall(w, 1, 5000);
        story_add(w, a, "k", (struct ask){ 0 });
        story_run(w, 10);
        story_give(w, a, "k");
        story_run(w, 10);
        world_cut(w, 2, 2);
        story_skip(w);
        story_add(w, b, "k", (struct ask){ 0 });
        story_run(w, 10);
        story_expect(w, "20.000  B > add k\n"
                        "20.000  h2 > n1 n3 take k#2\n"
                        "21.000  n1 > granted\n"
                        "21.000  n3 > granted\n"
                        "21.000  h2 > n1 n3 take +k#2\n"
                        "22.000  n1 > granted\n"
                        "22.000  n3 > granted\n"
                        "22.000  B < k#2 acquired 9896 fence 5001.0\n");
        story_end(w);
}

static void what_was_raised_stands_at_a_quorum(void)
{
        struct world *w = story_world(&(struct world_options){ .fences = true, .hosts_n = 3 });
        unsigned a = world_open(w, 1), b = world_open(w, 2), c = world_open(w, 3);

        world_cut(w, 1, 3);
        world_set_wall(w, 1, 5000);
        story_add(w, a, "k", (struct ask){ 0 });
        story_run(w, 10);
        story_give(w, a, "k");
        story_run(w, 10);
        world_cut(w, 2, 2);
        story_add(w, b, "k", (struct ask){ 0 });
        story_run(w, 10);
        story_give(w, b, "k");
        story_run(w, 10);
        /* only n2 and n3 answer the third: n3 had its number from the second */
        world_cut(w, 3, 1);
        story_skip(w);
        story_add(w, c, "k", (struct ask){ 0 });
        story_run(w, 10);
        story_expect(w, "40.000  C > add k\n"
                        "40.000  h3 > n2 n3 take k#3\n"
                        "41.000  n2 > granted\n"
                        "41.000  n3 > granted\n"
                        "41.000  h3 > n2 n3 take +k#3\n"
                        "42.000  n2 > granted\n"
                        "42.000  n3 > granted\n"
                        "42.000  C < k#3 acquired 9896 fence 5002.0\n");
        story_end(w);
}

static void a_raise_that_finds_no_quorum_grants_nothing(void)
{
        struct world *w = story_world(&(struct world_options){ .fences = true, .hosts_n = 2 });
        unsigned a = world_open(w, 1), b = world_open(w, 2);

        world_cut(w, 1, 3);
        world_set_wall(w, 1, 5000);
        story_add(w, a, "k", (struct ask){ 0 });
        story_run(w, 10);
        story_give(w, a, "k");
        story_run(w, 10);
        world_cut(w, 2, 2);
        story_skip(w);
        story_add(w, b, "k", (struct ask){ .tries = 1 });
        world_run_ns(w, 1200 * NS_PER_US);
        world_hang(w, 3);
        story_run(w, 300);
        world_go_on(w, 3);
        story_run(w, 10);
        story_expect(w, "20.000  B > add k\n"
                        "20.000  h2 > n1 n3 take k#2\n"
                        "21.000  n1 > granted\n"
                        "21.000  n3 > granted\n"
                        "21.000  h2 > n1 n3 take +k#2\n"
                        "21.200  n3 hangs\n"
                        "22.000  n1 > granted\n"
                        "221.000  B < NO_QUORUM n1:granted n2:down n3:timeout, 1 attempts, 201 ms\n"
                        "221.000  h2 > n1 n3 release k#2\n"
                        "222.000  n1 > released\n"
                        "321.200  n3 goes on\n"
                        "321.700  n3 > granted\n"
                        "321.700  n3 > released\n");
        story_end(w);
}

static void a_wall_clock_that_is_nonsense_costs_no_more_than_a_round(void)
{
        struct world *w = story_world(&(struct world_options){ .fences = true, .hosts_n = 2 });
        unsigned a = world_open(w, 1), b = world_open(w, 2);

        world_set_wall(w, 1, 1000000000);
        world_set_wall(w, 2, -1000000000);
        world_slow(w, 2, 1700);
        story_add(w, a, "k", (struct ask){ 0 });
        story_run(w, 10);
        story_give(w, a, "k");
        story_run(w, 10);
        story_add(w, b, "k", (struct ask){ 0 });
        story_run(w, 10);
        story_expect(w, "0.000  A > add k\n"
                        "0.000  h1 > n1 n2 n3 take k#1\n"
                        "1.000  n1 > granted\n"
                        "1.000  n3 > granted\n"
                        "1.000  A < k#1 acquired 9897 fence 10000.0\n"
                        "3.400  n2 > granted\n"
                        "10.000  A > free k\n"
                        "10.000  h1 > n1 n2 n3 release k#1\n"
                        "11.000  n1 > released\n"
                        "11.000  n3 > released\n"
                        "11.000  A < k freed\n"
                        "13.400  n2 > released\n"
                        "20.000  B > add k\n"
                        "20.000  h2 > n1 n2 n3 take k#2\n"
                        "21.000  n1 > granted\n"
                        "21.000  n3 > granted\n"
                        "21.000  B < k#2 acquired 9897 fence 10001.0\n"
                        "23.400  n2 > granted\n");
        story_end(w);
}

static void who_has_forgotten_begins_above_all_that_was_before(void)
{
        struct world *w = story_world(
                &(struct world_options){ .fences = true, .hosts_n = 2, .ttl_max_ms = 4000, .look_ms = 100 });
        unsigned a = world_open(w, 1), b = world_open(w, 2);

        world_set_wall(w, 1, 900);
        world_set_wall(w, 2, -1000000000); /* it proposes nothing of use */
        world_cut(w, 1, 3);
        story_add(w, a, "k", (struct ask){ .ttl_ms = 1000 });
        story_run(w, 10);
        story_give(w, a, "k");
        story_run(w, 10);
        world_lose(w, 1);
        story_run(w, 4500);
        world_cut(w, 2, 2);
        story_skip(w);
        story_add(w, b, "k", (struct ask){ .ttl_ms = 1000 });
        story_run(w, 20);
        story_expect(w, "4520.000  B > add k\n"
                        "4520.000  h2 > n1 n3 take k#2\n"
                        "4521.000  n1 > granted\n"
                        "4521.000  n3 > granted\n"
                        "4521.000  B < k#2 acquired 987 fence 3521.0\n");
        story_end(w);
}

STORY_MAIN("fence", STORY(one_round_is_enough_where_the_nodes_agree),
           STORY(a_lock_that_is_handed_on_gets_the_next_number_and_asks_nobody),
           STORY(before_the_numbers_of_the_host_run_out_the_nodes_give_it_more),
           STORY(where_the_nodes_differ_they_are_raised_before_it_is_granted),
           STORY(what_was_raised_stands_at_a_quorum), STORY(a_raise_that_finds_no_quorum_grants_nothing),
           STORY(a_wall_clock_that_is_nonsense_costs_no_more_than_a_round),
           STORY(who_has_forgotten_begins_above_all_that_was_before))
