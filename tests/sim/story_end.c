/*
 * Scenes of endings: of a session, of a connection to a node, of the broker itself.
 */
#include "sim/story.h"

/* Everything goes in one command a node, and the waiter's acquire stands right behind it. */
static void the_end_of_a_session_frees_all_and_wakes_the_waiters(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1), b = world_open(w, 1);

        story_add(w, a, "x,y", (struct ask){ 0 });
        story_add(w, a, "z", (struct ask){ 0 });
        story_run(w, 10);
        story_add(w, b, "y", (struct ask){ 0 });
        story_skip(w);
        world_end(w, a);
        story_run(w, 10);
        story_expect(w, "10.000  A gone\n"
                        "10.000  A closed\n"
                        "10.000  B < y#4 acquired 9888\n"
                        "10.000  h1 > n1 n2 n3 release x#1 z#3\n"
                        "11.000  n1 > released\n"
                        "11.000  n2 > released\n"
                        "11.000  n3 > released\n");
        story_end(w);
}

static void a_session_that_waits_leaves_every_queue_at_its_end(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1), b = world_open(w, 1), c = world_open(w, 1);

        story_add(w, a, "x,y", (struct ask){ 0 });
        story_run(w, 10);
        story_add(w, b, "x,y", (struct ask){ 0 });
        story_add(w, c, "x", (struct ask){ 0 });
        world_end(w, b);
        story_skip(w);
        story_give(w, a, NULL);
        story_run(w, 10);
        story_expect(w, "10.000  A > free\n"
                        "10.000  h1 > n1 n2 n3 release y#2\n"
                        "10.000  C < x#3 acquired 9888\n"
                        "11.000  n1 > released\n"
                        "11.000  n2 > released\n"
                        "11.000  A < x freed y freed\n"
                        "11.000  n3 > released\n");
        story_end(w);
}

/* The round runs on without it: whatever it was or will be granted is released, the hung node's grant too. */
static void a_session_that_ends_during_a_round_leaves_nothing(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1), b = world_open(w, 1);

        world_hang(w, 3);
        story_add(w, a, "k", (struct ask){ 0 });
        story_add(w, b, "k", (struct ask){ 0 });
        world_end(w, a);
        story_run(w, 20);
        world_go_on(w, 3);
        story_run(w, 10);
        story_expect(w, "0.000  n3 hangs\n"
                        "0.000  A > add k\n"
                        "0.000  h1 > n1 n2 n3 take k#1\n"
                        "0.000  B > add k\n"
                        "0.000  A gone\n"
                        "0.000  A < CANCELLED\n"
                        "0.000  A closed\n"
                        "0.000  h1 > n1 n2 n3 release k#1\n"
                        "0.000  h1 > n1 n2 n3 take k#2\n"
                        "1.000  n1 > granted\n"
                        "1.000  n2 > granted\n"
                        "1.000  n1 > released\n"
                        "1.000  n2 > released\n"
                        "1.000  n1 > granted\n"
                        "1.000  n2 > granted\n"
                        "1.000  B < k#2 acquired 9897\n"
                        "20.000  n3 goes on\n"
                        "20.500  n3 > granted\n"
                        "20.500  n3 > released\n"
                        "20.500  n3 > granted\n");
        story_end(w);
}

static void a_session_that_ends_while_it_frees_leaves_nothing(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1);

        story_add(w, a, "k,l", (struct ask){ 0 });
        story_run(w, 10);
        story_skip(w);
        story_give(w, a, "k");
        world_end(w, a);
        story_run(w, 10);
        story_expect(w, "10.000  A > free k\n"
                        "10.000  h1 > n1 n2 n3 release k#1\n"
                        "10.000  A gone\n"
                        "10.000  A < CANCELLED\n"
                        "10.000  A closed\n"
                        "10.000  h1 > n1 n2 n3 release l#2\n"
                        "11.000  n1 > released\n"
                        "11.000  n2 > released\n"
                        "11.000  n3 > released\n"
                        "11.000  n1 > released\n"
                        "11.000  n2 > released\n"
                        "11.000  n3 > released\n");
        story_end(w);
}

/* Cut with acquires in it: they count as refused at once, not at the timeout. */
static void a_connection_that_breaks_answers_for_what_it_owes(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1);

        story_subscribe(w, a, NOTICE_NODE);
        world_hang(w, 1);
        world_hang(w, 2);
        story_add(w, a, "k", (struct ask){ .tries = 1 });
        story_run(w, 5);
        world_cut(w, 1, 1);
        world_cut(w, 1, 2);
        story_run(w, 10);
        world_join(w, 1, 1);
        story_run(w, 10);
        story_expect(w, "0.000  A > subscribe\n"
                        "0.000  A <\n"
                        "0.000  n1 hangs\n"
                        "0.000  n2 hangs\n"
                        "0.000  A > add k\n"
                        "0.000  h1 > n1 n2 n3 take k#1\n"
                        "1.000  n3 > granted\n"
                        "5.000  h1 n1 cut\n"
                        "5.000  A < node n1 down\n"
                        "5.000  h1 n2 cut\n"
                        "5.000  A < node n2 down\n"
                        "5.000  A < NO_QUORUM n1:lost n2:lost n3:granted, 1 attempts, 5 ms\n"
                        "5.000  h1 > n3 release k#1\n"
                        "6.000  n3 > released\n"
                        "15.000  h1 n1 up\n"
                        "15.000  A < node n1 up\n"
                        "15.000  h1 > n1 release k#1\n");
        story_end(w);
}

/* A minority of nodes that is down is not noticed by anybody. */
static void a_minority_that_is_down_costs_nothing(void)
{
        struct world *w = story_world(&(struct world_options){ .nodes_n = 5 });
        unsigned a = world_open(w, 1);

        world_crash(w, 2, true);
        world_crash(w, 4, true);
        story_add(w, a, "k", (struct ask){ 0 });
        story_run(w, 10);
        story_give(w, a, "k");
        story_run(w, 10);
        story_expect(w, "0.000  h1 n2 cut\n"
                        "0.000  n2 forgets\n"
                        "0.000  h1 n4 cut\n"
                        "0.000  n4 forgets\n"
                        "0.000  A > add k\n"
                        "0.000  h1 > n1 n3 n5 take k#1\n"
                        "1.000  n1 > granted\n"
                        "1.000  n3 > granted\n"
                        "1.000  n5 > granted\n"
                        "1.000  A < k#1 acquired 9897\n"
                        "10.000  A > free k\n"
                        "10.000  h1 > n1 n3 n5 release k#1\n"
                        "11.000  n1 > released\n"
                        "11.000  n3 > released\n"
                        "11.000  n5 > released\n"
                        "11.000  A < k freed\n");
        story_end(w);
}

/* The first signal: no new locks, waiters are told, holders may finish. */
static void a_drain_lets_holders_finish(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1), b = world_open(w, 1);

        story_subscribe(w, a, NOTICE_DEFAULT);
        story_add(w, a, "k", (struct ask){ 0 });
        story_run(w, 10);
        story_add(w, b, "k", (struct ask){ 0 });
        story_skip(w);
        world_drain(w, 1);
        story_add(w, b, "l", (struct ask){ 0 });
        story_extend(w, b, "l", (struct ask){ 0 });
        story_extend(w, a, "k", (struct ask){ 0 });
        story_run(w, 10);
        story_give(w, a, "k");
        story_run(w, 10);
        story_expect(w, "10.000  h1 > drain\n"
                        "10.000  A < stopping\n"
                        "10.000  B < STOPPING k\n"
                        "10.000  B > add l\n"
                        "10.000  B < STOPPING\n"
                        "10.000  B > extend l\n"
                        "10.000  B < STOPPING\n"
                        "10.000  A > extend k\n"
                        "10.000  h1 > n1 n2 n3 take +k#1\n"
                        "11.000  n1 > granted\n"
                        "11.000  n2 > granted\n"
                        "11.000  A < k#1 extended 9897\n"
                        "11.000  n3 > granted\n"
                        "20.000  A > free k\n"
                        "20.000  h1 > n1 n2 n3 release k#1\n"
                        "21.000  n1 > released\n"
                        "21.000  n2 > released\n"
                        "21.000  A < k freed\n"
                        "21.000  n3 > released\n"
                        "21.000  h1 drained\n");
        story_end(w);
}

/* When the grace is over the sessions are ended; a node that hangs is waited for no longer than the node timeout. */
static void a_drain_ends_though_a_node_hangs(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1);

        story_add(w, a, "k", (struct ask){ 0 });
        story_add(w, a, "l", (struct ask){ 0 });
        story_run(w, 10);
        world_hang(w, 3);
        story_skip(w);
        world_drain(w, 1);
        world_end(w, a);
        story_run(w, 300);
        story_expect(w, "10.000  h1 > drain\n"
                        "10.000  A gone\n"
                        "10.000  A closed\n"
                        "10.000  h1 > n1 n2 n3 release k#1 l#2\n"
                        "11.000  n1 > released\n"
                        "11.000  n2 > released\n"
                        "210.000  h1 drained\n");
        story_end(w);
}

static void a_drain_breaks_off_an_add_in_its_round(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1);

        story_add(w, a, "k", (struct ask){ 0 });
        world_drain(w, 1);
        story_run(w, 10);
        story_expect(w, "0.000  A > add k\n"
                        "0.000  h1 > n1 n2 n3 take k#1\n"
                        "0.000  h1 > drain\n"
                        "0.000  A < STOPPING\n"
                        "0.000  h1 > n1 n2 n3 release k#1\n"
                        "1.000  n1 > granted\n"
                        "1.000  n2 > granted\n"
                        "1.000  n3 > granted\n"
                        "1.000  n1 > released\n"
                        "1.000  n2 > released\n"
                        "1.000  n3 > released\n"
                        "1.000  h1 drained\n");
        story_end(w);
}

/* n3 hangs with the release; n2 comes back meanwhile, and does not have to wait for n3. */
static void a_node_that_comes_back_is_released_while_another_hangs(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1);

        story_add(w, a, "k", (struct ask){ 0 });
        story_run(w, 10);
        world_hang(w, 3);
        world_crash(w, 2, false);
        story_skip(w);
        world_end(w, a);
        story_run(w, 10);
        world_join(w, 1, 2);
        story_run(w, 10);
        story_expect(w, "10.000  A gone\n"
                        "10.000  A closed\n"
                        "10.000  h1 > n1 n3 release k#1\n"
                        "11.000  n1 > released\n"
                        "20.000  h1 n2 up\n"
                        "20.000  h1 > n2 release k#1\n"
                        "21.000  n2 > released\n");
        story_end(w);
}

/* The host stood still past the end of both locks: what comes first is that one is freed, and that B is gone. */
static void who_frees_what_has_just_lapsed_is_told_that_it_was_lost(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1), b = world_open(w, 1);

        story_subscribe(w, a, NOTICE_LOST);
        story_subscribe(w, b, NOTICE_LOST);
        story_add(w, a, "k", (struct ask){ .ttl_ms = 1000 });
        story_run(w, 10);
        world_pause(w, 1, 1500);
        story_run(w, 1490);
        story_skip(w);
        story_give(w, a, "k");
        story_expect(w, "1500.000  A > free k\n"
                        "1500.000  A < lost k#1 EXPIRED\n"
                        "1500.000  A < k expired\n"
                        "1500.000  h1 > n1 n2 n3 release k#1\n");
        story_add(w, b, "l", (struct ask){ .ttl_ms = 1000 });
        story_run(w, 20);
        world_pause(w, 1, 1500);
        story_run(w, 1490);
        story_skip(w);
        world_end(w, b);
        story_expect(w, "3010.000  B gone\n"
                        "3010.000  B closed\n"
                        "3010.000  h1 > n1 n2 n3 release l#2\n");
        story_end(w);
}

STORY_MAIN("end", STORY(the_end_of_a_session_frees_all_and_wakes_the_waiters),
           STORY(a_session_that_waits_leaves_every_queue_at_its_end),
           STORY(a_session_that_ends_during_a_round_leaves_nothing),
           STORY(a_session_that_ends_while_it_frees_leaves_nothing),
           STORY(a_connection_that_breaks_answers_for_what_it_owes), STORY(a_minority_that_is_down_costs_nothing),
           STORY(who_frees_what_has_just_lapsed_is_told_that_it_was_lost), STORY(a_drain_lets_holders_finish),
           STORY(a_drain_ends_though_a_node_hangs), STORY(a_drain_breaks_off_an_add_in_its_round),
           STORY(a_node_that_comes_back_is_released_while_another_hangs))
