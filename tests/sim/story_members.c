/*
 * Scenes of a node that comes or goes while locks are held. Members are written as a mask: 7 is n1 n2 n3, f is all
 * four.
 */
#include "redlockd/core/inspect.h"
#include "sim/story.h"

/* Four nodes, of which the last is not connected and not a member. */
static struct world *three_and_one(void)
{
        struct world *w = story_world(&(struct world_options){ .nodes_n = 4 });

        world_cut(w, 1, 4);
        world_members(w, 1, 0x7);
        story_skip(w);
        return w;
}

/* Quorum 2 of 3 before, 3 of 4 after. */
static void a_node_that_comes_votes_in_the_rounds_that_begin_then(void)
{
        struct world *w = three_and_one();
        unsigned a = world_open(w, 1);

        story_add(w, a, "k", (struct ask){ 0 });
        story_run(w, 5);
        world_members(w, 1, 0xf);
        world_join(w, 1, 4);
        world_slow(w, 3, 1000);
        world_slow(w, 4, 1500);
        story_add(w, a, "j", (struct ask){ 0 });
        story_run(w, 5);
        story_expect(w, "0.000  A > add k\n"
                        "0.000  h1 > n1 n2 n3 take k#1\n"
                        "1.000  n1 > granted\n"
                        "1.000  n2 > granted\n"
                        "1.000  A < k#1 acquired 9897\n"
                        "1.000  n3 > granted\n"
                        "5.000  h1 members f\n"
                        "5.000  h1 n4 up\n"
                        "5.000  A > add j\n"
                        "5.000  h1 > n1 n2 n3 n4 take j#2\n"
                        "6.000  n1 > granted\n"
                        "6.000  n2 > granted\n"
                        "7.000  n3 > granted\n"
                        "7.000  A < j#2 acquired 9896\n"
                        "8.000  n4 > granted\n");
        story_end(w);
}

/* Two grants of three: what it began with. The fourth node was not asked, and is not missed. */
static void a_round_under_way_keeps_the_ballot_that_it_began_with(void)
{
        struct world *w = three_and_one();
        unsigned a = world_open(w, 1);

        world_slow(w, 2, 2000);
        world_hang(w, 3);
        story_skip(w);
        story_add(w, a, "k", (struct ask){ 0 });
        story_run(w, 2);
        world_members(w, 1, 0xf);
        world_join(w, 1, 4);
        story_run(w, 8);
        story_expect(w, "0.000  A > add k\n"
                        "0.000  h1 > n1 n2 n3 take k#1\n"
                        "1.000  n1 > granted\n"
                        "2.000  h1 members f\n"
                        "2.000  h1 n4 up\n"
                        "4.000  n2 > granted\n"
                        "4.000  A < k#1 acquired 9894\n");
        world_go_on(w, 3);
        story_end(w);
}

/* Three of four are needed, and the one that left is one of them. */
static void the_vote_of_a_node_that_left_meanwhile_still_counts_in_an_old_round(void)
{
        struct world *w = story_world(&(struct world_options){ .nodes_n = 4 });
        unsigned a = world_open(w, 1);

        world_slow(w, 4, 2000);
        world_hang(w, 3);
        story_skip(w);
        story_add(w, a, "k", (struct ask){ 0 });
        story_run(w, 2);
        world_members(w, 1, 0x7);
        story_run(w, 8);
        story_expect(w, "0.000  A > add k\n"
                        "0.000  h1 > n1 n2 n3 n4 take k#1\n"
                        "1.000  n1 > granted\n"
                        "1.000  n2 > granted\n"
                        "2.000  h1 members 7\n"
                        "4.000  n4 > granted\n"
                        "4.000  A < k#1 acquired 9894\n");
        world_go_on(w, 3);
        story_end(w);
}

/* It is asked for no vote, but gets the release: other hosts may still count on it. */
static void a_node_that_goes_is_asked_for_nothing_but_releases(void)
{
        struct world *w = story_world(&(struct world_options){ .nodes_n = 4 });
        unsigned a = world_open(w, 1);

        story_add(w, a, "k", (struct ask){ 0 });
        story_run(w, 5);
        world_members(w, 1, 0x7);
        story_skip(w);
        story_add(w, a, "j", (struct ask){ 0 });
        story_run(w, 5);
        story_give(w, a, "k");
        story_run(w, 5);
        story_expect(w, "5.000  A > add j\n"
                        "5.000  h1 > n1 n2 n3 take j#2\n"
                        "6.000  n1 > granted\n"
                        "6.000  n2 > granted\n"
                        "6.000  A < j#2 acquired 9897\n"
                        "6.000  n3 > granted\n"
                        "10.000  A > free k\n"
                        "10.000  h1 > n1 n2 n3 n4 release k#1\n"
                        "11.000  n1 > released\n"
                        "11.000  n2 > released\n"
                        "11.000  A < k freed\n"
                        "11.000  n3 > released\n"
                        "11.000  n4 > released\n");
        story_end(w);
}

/* Held on n1 and n2 only, which was a majority: of four it is none. The old validity stands. */
static void an_extension_needs_a_majority_of_the_new_members(void)
{
        struct world *w = three_and_one();
        unsigned a = world_open(w, 1);

        world_plant(w, 3, "k", 1000);
        story_add(w, a, "k", (struct ask){ 0 });
        story_run(w, 5);
        world_members(w, 1, 0xf);
        world_join(w, 1, 4);
        story_skip(w);
        story_extend(w, a, "k", (struct ask){ .tries = 1 });
        story_run(w, 5);
        story_add(w, a, "k", (struct ask){ 0 });
        story_run(w, 1);
        story_expect(w, "5.000  A > extend k\n"
                        "5.000  A < NO_QUORUM n1:pending n2:pending n3:pending n4:pending, 1 attempts, 0 ms\n"
                        "10.000  A > add k\n"
                        "10.000  A < k#1 held 9888\n");
        story_end(w);
}

/* Two hosts, one of which has the new list already: what one holds by its majority, the other does not get by its. */
static void hosts_with_the_old_and_the_new_members_exclude_each_other(void)
{
        struct world *w = story_world(&(struct world_options){ .nodes_n = 4, .hosts_n = 2 });
        unsigned a = world_open(w, 1), b = world_open(w, 2);

        world_cut(w, 1, 4);
        world_members(w, 1, 0x7);
        story_skip(w);
        world_plant(w, 1, "k", 1000);
        story_add(w, a, "k", (struct ask){ 0 }); /* by n2 and n3 */
        story_run(w, 1500);
        story_skip(w);
        story_add(w, b, "k", (struct ask){ .tries = 1 }); /* n1 and n4 are no majority of four */
        story_run(w, 5);
        story_give(w, a, NULL);
        story_run(w, 5);
        story_skip(w);
        world_plant(w, 1, "j", 1000);
        story_add(w, b, "j", (struct ask){ 0 }); /* by n2, n3 and n4 */
        story_run(w, 1500);
        story_skip(w);
        story_add(w, a, "j", (struct ask){ .tries = 1 }); /* n1 is no majority of three */
        story_run(w, 5);
        story_expect(w, "3010.000  A > add j\n"
                        "3010.000  h1 > n1 n2 n3 take j#4\n"
                        "3011.000  n1 > granted\n"
                        "3011.000  n2 > held\n"
                        "3011.000  n3 > held\n"
                        "3011.000  A < LOCKED j, 1 attempts, 1 ms\n"
                        "3011.000  h1 > n1 release j#4\n"
                        "3012.000  n1 > released\n");
        story_end(w);
}

/* Two of four are down: no quorum. One of them leaves, and two of three are one. */
static void without_a_node_that_is_down_for_good_there_may_be_a_quorum_again(void)
{
        struct world *w = story_world(&(struct world_options){ .nodes_n = 4 });
        unsigned a = world_open(w, 1);

        world_crash(w, 3, false);
        world_crash(w, 4, false);
        story_skip(w);
        story_add(w, a, "k", (struct ask){ 0 });
        story_run(w, 50);
        world_members(w, 1, 0x7);
        story_run(w, 100);
        story_expect(w, "0.000  A > add k\n"
                        "50.000  h1 members 7\n"
                        "100.000  h1 > n1 n2 take k#1\n"
                        "101.000  n1 > granted\n"
                        "101.000  n2 > granted\n"
                        "101.000  A < k#1 acquired 9897\n");
        story_end(w);
}

/* Who asks what a node says is not told of those that have left, nor of their comings and goings. */
static void nobody_is_told_of_a_node_that_has_left(void)
{
        struct world *w = story_world(&(struct world_options){ .nodes_n = 4 });
        unsigned a = world_open(w, 1);

        story_subscribe(w, a, NOTICE_NODE);
        world_members(w, 1, 0x7);
        story_run(w, 1);
        story_skip(w);
        world_cut(w, 1, 4);
        world_crash(w, 2, false);
        world_crash(w, 3, false);
        story_add(w, a, "k", (struct ask){ .tries = 1 });
        story_run(w, 5);
        story_expect(w, "1.000  h1 n4 cut\n"
                        "1.000  h1 n2 cut\n"
                        "1.000  A < node n2 down\n"
                        "1.000  h1 n3 cut\n"
                        "1.000  A < node n3 down\n"
                        "1.000  A > add k\n"
                        "1.000  A < NO_QUORUM n1:pending n2:down n3:down, 1 attempts, 0 ms\n");
        story_end(w);
}

static bool note_nodes(void *userdata, const struct inspect_lock *lock)
{
        *(uint32_t *)userdata = lock->nodes;
        return true;
}

static uint32_t nodes_of(struct world *w, const char *key)
{
        struct inspect_cursor cursor = { 0 };
        uint32_t nodes = 0;

        if (w)
                inspect_locks(w->hosts[0].engine, w->now_ns, 0, text_of(key), 1, &cursor, note_nodes, &nodes);
        return nodes;
}

/* n4 left while k stood there, and its number went to a node that has nothing. */
static void a_number_that_is_given_anew_is_a_new_node(void)
{
        struct world *w = story_world(&(struct world_options){ .nodes_n = 4 });
        struct inspect_status status;
        unsigned a = world_open(w, 1);

        story_add(w, a, "k", (struct ask){ 0 });
        story_run(w, 5);
        story_check(w, nodes_of(w, "k") == 0xf);
        world_members(w, 1, 0x7);
        world_cut(w, 1, 4);
        world_lose(w, 4);
        world_members(w, 1, 0xf);
        world_join(w, 1, 4);
        story_check(w, nodes_of(w, "k") == 0x7);
        story_skip(w);
        story_give(w, a, "k");
        story_run(w, 5);
        story_expect(w, "5.000  A > free k\n"
                        "5.000  h1 > n1 n2 n3 n4 release k#1\n"
                        "6.000  n1 > released\n"
                        "6.000  n2 > released\n"
                        "6.000  n3 > released\n"
                        "6.000  A < k freed\n"
                        "6.000  n4 > released\n");
        if (w) {
                inspect_status(w->hosts[0].engine, &status);
                story_check(w, status.nodes_n == 4 && status.quorum == 3 && status.members == 0xf);
        }
        story_end(w);
}

/* The undo of an acquire that was given up waits for its node; but not for one that has left the list for good. */
static void what_is_adrift_on_a_node_that_has_left_is_forgotten(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1);

        world_hang(w, 3);
        story_add(w, a, "k", (struct ask){ .ttl_ms = 1000 });
        world_cut(w, 1, 3);
        story_run(w, 10);
        story_give(w, a, "k");
        story_run(w, 5000);
        story_check(w, engine_deadline_ns(w->hosts[0].engine) != UINT64_MAX);
        world_members(w, 1, 3);
        story_run(w, 5000);
        story_check(w, engine_deadline_ns(w->hosts[0].engine) != UINT64_MAX);
        world_part(w, 1, 3);
        story_run(w, 500);
        story_check(w, engine_deadline_ns(w->hosts[0].engine) == UINT64_MAX);
        world_crash(w, 3, true);
        story_end(w);
}

/* A server leaves the list and comes again while it hangs, and carries out an acquire of before. */
static void what_is_adrift_is_undone_where_its_node_comes_again(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1);

        world_hang(w, 3);
        story_add(w, a, "k", (struct ask){ 0 });
        story_run(w, 10);
        world_cut(w, 1, 3);
        world_members(w, 1, 3);
        story_run(w, 10);
        world_members(w, 1, 7);
        story_give(w, a, "k");
        story_run(w, 15000);
        world_go_on(w, 3);
        story_check(w, story_stored(w, 3, "k"));
        world_join(w, 1, 3);
        story_run(w, 10);
        story_check(w, !story_stored(w, 3, "k"));
        story_end(w);
}

/* ... also for a key that stays taken after its session, and is passed on later. */
static void a_number_that_is_given_anew_is_a_new_node_for_a_key_that_waits_out_its_delay(void)
{
        struct world *w = story_world(&(struct world_options){ .nodes_n = 4 });
        unsigned a = world_open(w, 1), b = world_open(w, 1);

        story_add(w, a, "k", (struct ask){ .delay_ms_at_end = 50 });
        story_run(w, 5);
        story_add(w, b, "k", (struct ask){ .tries = -1, .delay_ms = 3000 });
        world_end(w, a);
        world_members(w, 1, 0x7);
        world_cut(w, 1, 4);
        world_lose(w, 4);
        world_members(w, 1, 0xf);
        world_join(w, 1, 4);
        story_run(w, 40);
        story_skip(w);
        story_run(w, 10);
        story_expect(w, "55.000  B < k#2 acquired 9843\n");
        story_check(w, nodes_of(w, "k") == 0x7);
        story_end(w);
}

STORY_MAIN("members", STORY(a_node_that_comes_votes_in_the_rounds_that_begin_then),
           STORY(a_round_under_way_keeps_the_ballot_that_it_began_with),
           STORY(the_vote_of_a_node_that_left_meanwhile_still_counts_in_an_old_round),
           STORY(a_node_that_goes_is_asked_for_nothing_but_releases),
           STORY(an_extension_needs_a_majority_of_the_new_members),
           STORY(hosts_with_the_old_and_the_new_members_exclude_each_other),
           STORY(without_a_node_that_is_down_for_good_there_may_be_a_quorum_again),
           STORY(nobody_is_told_of_a_node_that_has_left), STORY(a_number_that_is_given_anew_is_a_new_node),
           STORY(a_number_that_is_given_anew_is_a_new_node_for_a_key_that_waits_out_its_delay),
           STORY(what_is_adrift_on_a_node_that_has_left_is_forgotten),
           STORY(what_is_adrift_is_undone_where_its_node_comes_again))
