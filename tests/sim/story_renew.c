/*
 * Scenes of locks that the broker renews; of how they end; and of what is left of a lock when its session ends.
 */
#include "sim/story.h"

static void a_lock_is_renewed_when_a_third_of_its_ttl_has_passed(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1);

        story_add(w, a, "k", (struct ask){ .ttl_ms = 3000, .renewed = true });
        story_run(w, 2500);
        story_expect(w, "0.000  A > add k\n"
                        "0.000  h1 > n1 n2 n3 take k#1\n"
                        "1.000  n1 > granted\n"
                        "1.000  n2 > granted\n"
                        "1.000  A < k#1 acquired 2967\n"
                        "1.000  n3 > granted\n"
                        "1000.000  h1 > n1 n2 n3 renew k#1\n"
                        "1001.000  n1 > granted\n"
                        "1001.000  n2 > granted\n"
                        "1001.000  n3 > granted\n"
                        "2000.000  h1 > n1 n2 n3 renew k#1\n"
                        "2001.000  n1 > granted\n"
                        "2001.000  n2 > granted\n"
                        "2001.000  n3 > granted\n");
        story_end(w);
}

static void renewals_that_are_due_together_are_one_command(void)
{
        struct world *w = story_world(&(struct world_options){ .nodes_n = 1 });
        unsigned a = world_open(w, 1), b = world_open(w, 1);

        story_add(w, a, "x,y", (struct ask){ .ttl_ms = 3000, .renewed = true });
        story_add(w, b, "z", (struct ask){ .ttl_ms = 3000, .renewed = true });
        story_run(w, 1500);
        story_expect(w, "0.000  A > add x,y\n"
                        "0.000  h1 > n1 take x#1 y#2\n"
                        "0.000  B > add z\n"
                        "0.000  h1 > n1 take z#3\n"
                        "1.000  n1 > granted\n"
                        "1.000  A < x#1 acquired 2967 y#2 acquired 2967\n"
                        "1.000  n1 > granted\n"
                        "1.000  B < z#3 acquired 2967\n"
                        "1000.000  h1 > n1 renew y#2 z#3 x#1\n"
                        "1001.000  n1 > granted\n");
        story_end(w);
}

static void without_a_quorum_it_is_tried_again_told_and_lost_in_time(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1);

        story_subscribe(w, a, NOTICE_LOST | NOTICE_EXPIRING);
        story_add(w, a, "k", (struct ask){ .ttl_ms = 600, .renewed = true });
        story_run(w, 10);
        world_hang(w, 2);
        world_hang(w, 3);
        story_skip(w);
        story_run(w, 700);
        story_expect(w, "200.000  h1 > n1 n2 n3 renew k#1\n"
                        "201.000  n1 > granted\n"
                        "250.000  h1 > n1 n2 n3 renew k#1\n"
                        "251.000  n1 > granted\n"
                        "300.000  h1 > n1 n2 n3 renew k#1\n"
                        "301.000  n1 > granted\n"
                        "350.000  h1 > n1 n2 n3 renew k#1\n"
                        "351.000  n1 > granted\n"
                        "392.000  A < expiring k 200\n"
                        "400.000  h1 > n1 n2 n3 renew k#1\n"
                        "401.000  n1 > granted\n"
                        "450.000  h1 > n1 n2 n3 renew k#1\n"
                        "451.000  n1 > granted\n"
                        "500.000  h1 > n1 n2 n3 renew k#1\n"
                        "501.000  n1 > granted\n"
                        "550.000  h1 > n1 n2 n3 renew k#1\n"
                        "551.000  n1 > granted\n"
                        "587.000  A < lost k#1 NO_QUORUM\n"
                        "592.000  h1 > n1 n2 n3 release k#1\n"
                        "593.000  n1 > released\n");
        world_go_on(w, 2);
        world_go_on(w, 3);
        story_run(w, 10);
        story_end(w);
}

/* Nobody else on the host may have the key before its old end; but its own session, which was told, may at once. */
static void who_was_told_of_a_loss_may_ask_for_the_key_at_once(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1), b = world_open(w, 1);

        story_subscribe(w, a, NOTICE_LOST);
        story_add(w, a, "k", (struct ask){ .ttl_ms = 3000, .renewed = true });
        story_run(w, 100);
        world_lose(w, 1);
        world_lose(w, 2);
        story_run(w, 1000);
        story_skip(w);
        story_add(w, b, "k", (struct ask){ .tries = 1 });
        story_add(w, a, "k", (struct ask){ .tries = 1 });
        story_run(w, 10);
        story_expect(w, "1100.000  B > add k\n"
                        "1100.000  B < LOCKED k, 1 attempts, 0 ms, holder A\n"
                        "1100.000  A > add k\n"
                        "1100.000  h1 > n1 n2 n3 release k#1\n"
                        "1100.000  h1 > n1 n2 n3 take k#2\n"
                        "1101.000  n1 > released\n"
                        "1101.000  n2 > released\n"
                        "1101.000  n3 > released\n"
                        "1101.000  n1 > granted\n"
                        "1101.000  n2 > granted\n"
                        "1101.000  A < k#2 acquired 9897\n"
                        "1101.000  n3 > granted\n");
        story_end(w);
}

/* So may one that did not subscribe, and was told by the refusal of its extension; which left it what was valid. */
static void who_was_refused_a_strict_extension_may_ask_for_the_key_at_once(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1);

        story_add(w, a, "k", (struct ask){ .ttl_ms = 3000, .renewed = true });
        story_run(w, 100);
        world_lose(w, 1);
        world_lose(w, 2);
        story_run(w, 1000);
        story_skip(w);
        story_extend(w, a, "k", (struct ask){ .strict = true });
        story_extend(w, a, "k", (struct ask){ .tries = 1 });
        story_add(w, a, "k", (struct ask){ .tries = 1 });
        story_run(w, 10);
        story_expect(w, "1100.000  A > extend k\n"
                        "1100.000  A < LOST k\n"
                        "1100.000  A > extend k\n"
                        "1100.000  A < LOCKED k, 1 attempts, 0 ms\n"
                        "1100.000  A > add k\n"
                        "1100.000  h1 > n1 n2 n3 release k#1\n"
                        "1100.000  h1 > n1 n2 n3 take k#2\n"
                        "1101.000  n1 > released\n"
                        "1101.000  n2 > released\n"
                        "1101.000  n3 > released\n"
                        "1101.000  n1 > granted\n"
                        "1101.000  n2 > granted\n"
                        "1101.000  A < k#2 acquired 9897\n"
                        "1101.000  n3 > granted\n");
        story_end(w);
}

static void a_renewal_that_comes_at_last_saves_it(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1);

        story_subscribe(w, a, NOTICE_LOST | NOTICE_EXPIRING);
        story_add(w, a, "k", (struct ask){ .ttl_ms = 3000, .renewed = true });
        story_run(w, 10);
        world_cut(w, 1, 2);
        world_cut(w, 1, 3);
        story_run(w, 2500);
        story_skip(w);
        world_join(w, 1, 2);
        story_run(w, 100);
        story_expect(w, "2510.000  h1 n2 up\n"
                        "2512.000  h1 > n1 n2 renew k#1\n"
                        "2513.000  n1 > granted\n"
                        "2513.000  n2 > granted\n");
        story_end(w);
}

static void what_a_quorum_has_forgotten_is_lost_at_once(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1), b = world_open(w, 1);

        story_subscribe(w, a, NOTICE_LOST | NOTICE_EXPIRING);
        story_add(w, a, "k", (struct ask){ .ttl_ms = 3000, .renewed = true });
        story_run(w, 10);
        world_lose(w, 1);
        world_lose(w, 2);
        story_skip(w);
        story_add(w, b, "k", (struct ask){ .ttl_ms = 3000, .delay_ms = 5000 });
        story_run(w, 4000);
        story_expect(w, "10.000  B > add k\n"
                        "148.400  h1 > n1 n2 n3 renew k#1\n"
                        "149.400  n1 > held\n"
                        "149.400  n2 > held\n"
                        "149.400  A < lost k#1 NO_QUORUM\n"
                        "149.400  n3 > granted\n"
                        "2968.000  h1 > n1 n2 n3 release k#1\n"
                        "2968.000  h1 > n1 n2 n3 take k#2\n"
                        "2969.000  n1 > released\n"
                        "2969.000  n2 > released\n"
                        "2969.000  n3 > released\n"
                        "2969.000  n1 > granted\n"
                        "2969.000  n2 > granted\n"
                        "2969.000  B < k#2 acquired 2967\n"
                        "2969.000  n3 > granted\n");
        story_end(w);
}

static void max_hold_ends_it(void)
{
        struct world *w = story_world(&(struct world_options){ .nodes_n = 1 });
        unsigned a = world_open(w, 1), b = world_open(w, 1);

        story_subscribe(w, a, NOTICE_LOST | NOTICE_EXPIRING);
        story_add(w, a, "k", (struct ask){ .ttl_ms = 1000, .renewed = true, .hold_ms = 1500 });
        story_run(w, 10);
        story_skip(w);
        story_add(w, b, "k", (struct ask){ .ttl_ms = 100, .tries = -1, .delay_ms = 5000 });
        story_run(w, 400);
        story_skip(w);
        story_extend(w, a, "k", (struct ask){ .ttl_ms = 2000 });
        story_run(w, 2);
        story_expect(w, "410.000  A > extend k\n"
                        "410.000  h1 > n1 take +k#1\n"
                        "411.000  n1 > granted\n"
                        "411.000  A < k#1 extended 1090\n");
        story_run(w, 1000);
        story_skip(w);
        story_run(w, 100);
        story_expect(w, "1496.000  A < lost k#1 MAX_HOLD\n"
                        "1501.000  B < k#2 acquired 97\n");
        story_end(w);
}

static void while_somebody_waits_the_longer_ttl_is_renewed(void)
{
        struct world *w = story_world(&(struct world_options){ .nodes_n = 1 });
        unsigned a = world_open(w, 1), b = world_open(w, 1);

        story_add(w, a, "k", (struct ask){ .ttl_ms = 300, .renewed = true });
        story_run(w, 10);
        story_skip(w);
        story_add(w, b, "k", (struct ask){ .ttl_ms = 2000, .tries = -1, .delay_ms = 5000 });
        story_run(w, 150);
        story_give(w, a, "k");
        story_run(w, 10);
        story_expect(w, "10.000  B > add k\n"
                        "10.000  h1 > n1 renew k#1\n"
                        "11.000  n1 > granted\n"
                        "108.900  h1 > n1 renew k#1\n"
                        "109.900  n1 > granted\n"
                        "160.000  A > free k\n"
                        "160.000  A < k freed\n"
                        "160.000  B < k#2 acquired 1926\n");
        story_end(w);
}

static void a_key_stays_taken_when_its_session_ends_for_its_delay(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1), b = world_open(w, 1);

        story_add(w, a, "k", (struct ask){ .delay_ms_at_end = 200 });
        story_run(w, 10);
        story_skip(w);
        story_add(w, b, "k", (struct ask){ .tries = -1, .delay_ms = 5000 });
        world_end(w, a);
        story_run(w, 300);
        story_expect(w, "10.000  B > add k\n"
                        "10.000  A gone\n"
                        "10.000  A closed\n"
                        "210.000  B < k#2 acquired 9688\n");
        story_end(w);
}

static void within_its_validity_and_not_where_it_was_freed(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1), b = world_open(w, 1);

        story_add(w, a, "k", (struct ask){ .ttl_ms = 300, .delay_ms_at_end = 20000 });
        story_add(w, a, "m", (struct ask){ .delay_ms_at_end = 20000 });
        story_run(w, 10);
        story_skip(w);
        story_give(w, a, "m");
        world_end(w, a);
        story_add(w, b, "k,m", (struct ask){ .tries = -1, .delay_ms = 5000 });
        story_run(w, 400);
        story_expect(w, "10.000  A > free m\n"
                        "10.000  h1 > n1 n2 n3 release m#2\n"
                        "10.000  A gone\n"
                        "10.000  A < CANCELLED\n"
                        "10.000  A closed\n"
                        "10.000  B > add k,m\n"
                        "10.000  h1 > n1 n2 n3 renew k#1\n"
                        "11.000  n1 > released\n"
                        "11.000  n2 > released\n"
                        "11.000  n3 > released\n"
                        "11.000  n1 > granted\n"
                        "11.000  n2 > granted\n"
                        "11.000  n3 > granted\n"
                        "295.000  h1 > n1 n2 n3 take m#3 +k#1\n"
                        "296.000  n1 > granted\n"
                        "296.000  n2 > granted\n"
                        "296.000  B < k#4 acquired 9897 m#3 acquired 9897\n"
                        "296.000  n3 > granted\n");
        story_end(w);
}

STORY_MAIN("renew", STORY(a_lock_is_renewed_when_a_third_of_its_ttl_has_passed),
           STORY(renewals_that_are_due_together_are_one_command),
           STORY(without_a_quorum_it_is_tried_again_told_and_lost_in_time),
           STORY(who_was_told_of_a_loss_may_ask_for_the_key_at_once),
           STORY(who_was_refused_a_strict_extension_may_ask_for_the_key_at_once),
           STORY(a_renewal_that_comes_at_last_saves_it), STORY(what_a_quorum_has_forgotten_is_lost_at_once),
           STORY(max_hold_ends_it), STORY(while_somebody_waits_the_longer_ttl_is_renewed),
           STORY(a_key_stays_taken_when_its_session_ends_for_its_delay),
           STORY(within_its_validity_and_not_where_it_was_freed))
