/*
 * Scenes of nodes that lose a lock while it is held: whose vote counts from then on, and how they get it back.
 */
#include "sim/story.h"

static struct world *certified_world(void)
{
        return story_world(&(struct world_options){ .ttl_max_ms = 60000, .look_ms = 100 });
}

/* It is back after the quarantine: two rounds were won with it before its vote counts. */
static void what_a_node_lost_is_planted_after_a_round_that_was_won(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1);

        story_add(w, a, "k", (struct ask){ .ttl_ms = 3000, .renewed = true });
        story_run(w, 10);
        world_lose(w, 1);
        story_skip(w);
        story_run(w, 1500);
        story_expect(w, "1000.000  h1 > n1 n2 n3 renew k#1\n"
                        "1001.000  n1 > held\n"
                        "1001.000  n2 > granted\n"
                        "1001.000  n3 > granted\n"
                        "1001.000  h1 > n1 plant k#1\n"
                        "1002.000  n1 > granted\n");
        story_check(w, story_stored(w, 1, "k"));
        story_end(w);
}

static void a_planted_node_does_not_count_before_another_round_was_won(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1);

        story_subscribe(w, a, NOTICE_LOST);
        story_add(w, a, "k", (struct ask){ .ttl_ms = 3000 });
        story_run(w, 10);
        world_lose(w, 1);
        story_extend(w, a, "k", (struct ask){ .ttl_ms = 3000 });
        story_run(w, 10);
        world_hang(w, 2);
        story_skip(w);
        /* n1 has it again and says yes, n3 always had it: and yet it is not won */
        story_extend(w, a, "k", (struct ask){ .ttl_ms = 3000, .tries = 1 });
        story_run(w, 300);
        story_expect(w, "20.000  A > extend k\n"
                        "20.000  h1 > n1 n2 n3 take +k#1\n"
                        "21.000  n1 > granted\n"
                        "21.000  n3 > granted\n"
                        "170.000  A < NO_QUORUM n1:granted n2:timeout n3:granted, 1 attempts, 150 ms\n");
        story_end(w);
}

static void a_planted_node_counts_after_another_round_was_won(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1);

        story_add(w, a, "k", (struct ask){ .ttl_ms = 3000 });
        story_run(w, 10);
        world_lose(w, 1);
        story_extend(w, a, "k", (struct ask){ .ttl_ms = 3000 });
        story_run(w, 10);
        story_extend(w, a, "k", (struct ask){ .ttl_ms = 3000 });
        story_run(w, 10);
        world_hang(w, 2);
        story_skip(w);
        story_extend(w, a, "k", (struct ask){ .ttl_ms = 3000, .tries = 1 });
        story_run(w, 300);
        story_expect(w, "30.000  A > extend k\n"
                        "30.000  h1 > n1 n2 n3 take +k#1\n"
                        "31.000  n1 > granted\n"
                        "31.000  n3 > granted\n"
                        "31.000  A < k#1 extended 2967\n");
        story_end(w);
}

static void nothing_is_planted_where_a_quorum_has_lost_it(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1);

        story_subscribe(w, a, NOTICE_LOST);
        story_add(w, a, "k", (struct ask){ .ttl_ms = 3000 });
        story_run(w, 10);
        world_lose(w, 1);
        world_lose(w, 2);
        story_skip(w);
        story_extend(w, a, "k", (struct ask){ .ttl_ms = 3000, .tries = 1 });
        story_run(w, 100);
        story_expect(w, "10.000  A > extend k\n"
                        "10.000  h1 > n1 n2 n3 take +k#1\n"
                        "11.000  n1 > held\n"
                        "11.000  n2 > held\n"
                        "11.000  A < LOST k\n"
                        "11.000  n3 > granted\n");
        story_check(w, !story_stored(w, 1, "k") && !story_stored(w, 2, "k"));
        story_end(w);
}

static void who_is_seen_to_have_forgotten_has_its_locks_verified_at_once(void)
{
        struct world *w = certified_world();
        unsigned a = world_open(w, 1);

        story_subscribe(w, a, NOTICE_LOST);
        story_add(w, a, "k", (struct ask){ .ttl_ms = 30000 });
        story_run(w, 10);
        world_lose(w, 1);
        story_skip(w);
        story_run(w, 200);
        story_expect(w, "101.000  h1: n1 quarantined\n"
                        "101.000  h1 > n2 n3 renew k#1\n"
                        "102.000  n2 > granted\n"
                        "102.000  n3 > granted\n"
                        "102.000  h1 > n1 plant k#1\n"
                        "103.000  n1 > granted\n");
        /* quarantined, it keeps others out all the same */
        story_check(w, story_stored(w, 1, "k"));
        story_end(w);
}

static void a_node_that_may_not_vote_is_planted_again_and_again(void)
{
        struct world *w = certified_world();
        unsigned a = world_open(w, 1);

        story_add(w, a, "k", (struct ask){ .ttl_ms = 3000, .renewed = true });
        story_run(w, 10);
        world_lose(w, 1);
        story_run(w, 10000);
        story_check(w, story_stored(w, 1, "k"));
        story_end(w);
}

static void a_lock_that_a_quorum_has_forgotten_is_lost_within_a_heartbeat(void)
{
        struct world *w = certified_world();
        unsigned a = world_open(w, 1), b = world_open(w, 1);

        story_subscribe(w, a, NOTICE_LOST);
        story_subscribe(w, b, NOTICE_LOST);
        story_add(w, a, "k", (struct ask){ .ttl_ms = 5000 });
        story_add(w, b, "m", (struct ask){ .ttl_ms = 5000, .renewed = true });
        story_run(w, 10);
        world_crash(w, 1, true);
        world_crash(w, 2, true);
        story_skip(w);
        world_join(w, 1, 1);
        world_join(w, 1, 2);
        story_expect(w, "10.000  h1 n1 up\n"
                        "10.000  h1: n1 quarantined\n"
                        "10.000  h1 > n3 renew k#1 m#2\n"
                        "10.000  h1 n2 up\n"
                        "10.000  h1: n2 quarantined\n"
                        "10.000  A < lost k#1 NO_QUORUM\n"
                        "10.000  B < lost m#2 NO_QUORUM\n");
        story_end(w);
}

static void a_lock_that_two_of_three_gave_is_lost_when_one_of_them_forgets(void)
{
        struct world *w = certified_world();
        unsigned a = world_open(w, 1);

        story_subscribe(w, a, NOTICE_LOST);
        world_cut(w, 1, 3);
        story_add(w, a, "k", (struct ask){ .ttl_ms = 5000 });
        story_run(w, 10);
        world_crash(w, 2, true);
        story_skip(w);
        world_join(w, 1, 2);
        world_join(w, 1, 3);
        story_run(w, 10);
        story_expect(w, "10.000  h1 n2 up\n"
                        "10.000  h1: n2 quarantined\n"
                        "10.000  A < lost k#1 NO_QUORUM\n"
                        "10.000  h1 n3 up\n"
                        "10.000  h1: n3 votes\n");
        story_end(w);
}

static void a_yes_that_was_late_counts_once_it_was_verified(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1);

        world_hang(w, 3);
        story_add(w, a, "k", (struct ask){ .ttl_ms = 3000 });
        story_run(w, 300);
        world_go_on(w, 3);
        story_run(w, 10);
        world_hang(w, 1);
        story_extend(w, a, "k", (struct ask){ .ttl_ms = 3000, .tries = 1 });
        story_run(w, 10);
        story_expect(w, "0.000  n3 hangs\n"
                        "0.000  A > add k\n"
                        "0.000  h1 > n1 n2 n3 take k#1\n"
                        "1.000  n1 > granted\n"
                        "1.000  n2 > granted\n"
                        "1.000  A < k#1 acquired 2967\n"
                        "300.000  n3 goes on\n"
                        "300.500  n3 > granted\n"
                        "300.500  h1 > n1 n2 n3 renew k#1\n"
                        "301.500  n1 > granted\n"
                        "301.500  n2 > granted\n"
                        "301.500  n3 > granted\n"
                        "310.000  n1 hangs\n"
                        "310.000  A > extend k\n"
                        "310.000  h1 > n1 n2 n3 take +k#1\n"
                        "311.000  n2 > granted\n"
                        "311.000  n3 > granted\n"
                        "311.000  A < k#1 extended 2967\n");
        story_end(w);
}

static void what_is_planted_while_it_is_freed_does_not_stay(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1);

        story_add(w, a, "k", (struct ask){ .ttl_ms = 3000 });
        story_run(w, 10);
        world_lose(w, 1);
        story_extend(w, a, "k", (struct ask){ .ttl_ms = 3000 });
        world_run_ns(w, 1000 * NS_PER_US);
        story_give(w, a, "k");
        story_run(w, 10);
        story_expect(w, "0.000  A > add k\n"
                        "0.000  h1 > n1 n2 n3 take k#1\n"
                        "1.000  n1 > granted\n"
                        "1.000  n2 > granted\n"
                        "1.000  A < k#1 acquired 2967\n"
                        "1.000  n3 > granted\n"
                        "10.000  n1 forgets\n"
                        "10.000  A > extend k\n"
                        "10.000  h1 > n1 n2 n3 take +k#1\n"
                        "11.000  n1 > held\n"
                        "11.000  n2 > granted\n"
                        "11.000  n3 > granted\n"
                        "11.000  A < k#1 extended 2967\n"
                        "11.000  h1 > n1 plant k#1\n"
                        "11.000  A > free k\n"
                        "11.000  h1 > n1 n2 n3 release k#1\n"
                        "12.000  n1 > granted\n"
                        "12.000  n1 > released\n"
                        "12.000  n2 > released\n"
                        "12.000  A < k freed\n"
                        "12.000  n3 > released\n");
        story_check(w, !story_stored(w, 1, "k"));
        story_end(w);
}

/* It was never its own: the lease that it was about to take over was forgotten, so it asks for the key anew. */
static void who_takes_over_what_is_forgotten_meanwhile_is_not_told_that_it_lost_it(void)
{
        struct world *w = certified_world();
        unsigned a = world_open(w, 1), b = world_open(w, 1);

        world_cut(w, 1, 3);
        story_add(w, a, "k", (struct ask){ .ttl_ms = 5000 });
        story_run(w, 10);
        world_join(w, 1, 3);
        world_slow(w, 3, 5000);
        story_run(w, 2000);
        world_lose(w, 1);
        story_skip(w);
        story_add(w, b, "k", (struct ask){ .ttl_ms = 5000 });
        story_give(w, a, "k");
        story_run(w, 200);
        story_expect(w, "2010.000  B > add k\n"
                        "2010.000  h1 > n1 n2 n3 renew k#1\n"
                        "2010.000  A > free k\n"
                        "2010.000  A < k freed\n"
                        "2010.000  h1 > n1 n2 n3 take +k#1\n"
                        "2011.000  n1 > uncertified\n"
                        "2011.000  h1: n1 quarantined\n"
                        "2011.000  n2 > granted\n"
                        "2011.000  n1 > uncertified\n"
                        "2011.000  h1 > n1 n2 n3 release k#1\n"
                        "2011.000  h1 > n2 n3 take k#2\n"
                        "2011.000  n2 > granted\n"
                        "2012.000  n1 > released\n"
                        "2012.000  n2 > released\n"
                        "2012.000  n2 > granted\n"
                        "2020.000  n3 > held\n"
                        "2020.000  n3 > held\n"
                        "2020.000  h1: n1 quarantined\n"
                        "2021.000  n3 > released\n"
                        "2021.000  n3 > granted\n"
                        "2021.000  B < k#2 acquired 4938\n");
        story_end(w);
}

STORY_MAIN("heal", STORY(what_a_node_lost_is_planted_after_a_round_that_was_won),
           STORY(a_planted_node_does_not_count_before_another_round_was_won),
           STORY(a_planted_node_counts_after_another_round_was_won),
           STORY(nothing_is_planted_where_a_quorum_has_lost_it),
           STORY(who_is_seen_to_have_forgotten_has_its_locks_verified_at_once),
           STORY(a_node_that_may_not_vote_is_planted_again_and_again),
           STORY(a_lock_that_a_quorum_has_forgotten_is_lost_within_a_heartbeat),
           STORY(a_lock_that_two_of_three_gave_is_lost_when_one_of_them_forgets),
           STORY(a_yes_that_was_late_counts_once_it_was_verified),
           STORY(what_is_planted_while_it_is_freed_does_not_stay),
           STORY(who_takes_over_what_is_forgotten_meanwhile_is_not_told_that_it_lost_it))
