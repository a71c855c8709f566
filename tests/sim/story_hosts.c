/*
 * Scenes between hosts: a host that waits is told when a key is released elsewhere; a host that passes a key on among
 * its sessions gives it back after its tenure.
 */
#include "sim/story.h"

static void a_host_that_waits_is_told_of_a_release(void)
{
        struct world *w = story_world(&(struct world_options){ .hosts_n = 2 });
        unsigned a = world_open(w, 1), b = world_open(w, 2);

        story_add(w, a, "k", (struct ask){ 0 });
        story_run(w, 10);
        story_skip(w);
        story_add(w, b, "k", (struct ask){ .delay_ms = 3000 });
        story_run(w, 90);
        story_give(w, a, "k");
        story_run(w, 10);
        story_expect(w, "10.000  B > add k\n"
                        "10.000  h2 > n1 n2 n3 take k#2\n"
                        "11.000  n1 > held\n"
                        "11.000  n2 > held\n"
                        "11.000  h2 > listen k\n"
                        "11.000  h2 > n3 release k#2\n"
                        "11.000  n3 > held\n"
                        "12.000  n1 > listening k\n"
                        "12.000  n2 > listening k\n"
                        "12.000  h2 > n1 n2 n3 take k#3\n"
                        "12.000  n3 > listening k\n"
                        "12.000  n3 > released\n"
                        "13.000  n1 > held\n"
                        "13.000  n2 > held\n"
                        "13.000  h2 > n3 release k#3\n"
                        "13.000  n3 > held\n"
                        "14.000  n3 > released\n"
                        "100.000  A > free k\n"
                        "100.000  h1 > n1 n2 n3 release k#1\n"
                        "101.000  n1 > free k 1\n"
                        "101.000  n1 > released\n"
                        "101.000  n2 > free k 1\n"
                        "101.000  h2 > n1 n2 n3 take k#4\n"
                        "101.000  n2 > released\n"
                        "101.000  A < k freed\n"
                        "101.000  n3 > free k 1\n"
                        "101.000  n3 > released\n"
                        "102.000  n1 > granted\n"
                        "102.000  n2 > granted\n"
                        "102.000  B < k#4 acquired 9897\n"
                        "102.000  n3 > granted\n");
        story_end(w);
}

static void a_release_before_the_listening_has_begun_is_not_missed(void)
{
        struct world *w = story_world(&(struct world_options){ .hosts_n = 2 });
        unsigned a = world_open(w, 1), b = world_open(w, 2);

        story_add(w, a, "k", (struct ask){ 0 });
        story_run(w, 10);
        story_skip(w);
        story_add(w, b, "k", (struct ask){ .delay_ms = 3000 });
        world_run_ns(w, 600000); /* the nodes have refused it, and the answers are on their way */
        story_give(w, a, "k");
        story_run(w, 10);
        story_expect(w, "10.000  B > add k\n"
                        "10.000  h2 > n1 n2 n3 take k#2\n"
                        "10.600  A > free k\n"
                        "10.600  h1 > n1 n2 n3 release k#1\n"
                        "11.000  n1 > held\n"
                        "11.000  n2 > held\n"
                        "11.000  h2 > listen k\n"
                        "11.000  h2 > n3 release k#2\n"
                        "11.000  n3 > held\n"
                        "11.600  n1 > released\n"
                        "11.600  n2 > released\n"
                        "11.600  A < k freed\n"
                        "11.600  n3 > released\n"
                        "12.000  n1 > listening k\n"
                        "12.000  n2 > listening k\n"
                        "12.000  h2 > n1 n2 n3 take k#3\n"
                        "12.000  n3 > listening k\n"
                        "12.000  n3 > released\n"
                        "13.000  n1 > granted\n"
                        "13.000  n2 > granted\n"
                        "13.000  B < k#3 acquired 9897\n"
                        "13.000  n3 > granted\n");
        story_end(w);
}

static void one_announcement_is_not_a_quorum(void)
{
        struct world *w = story_world(&(struct world_options){ .hosts_n = 2 });
        unsigned a = world_open(w, 1), b = world_open(w, 2);

        story_add(w, a, "k", (struct ask){ 0 });
        story_add(w, b, "k", (struct ask){ .delay_ms = 3000 });
        story_run(w, 90);
        world_cut(w, 1, 2);
        world_cut(w, 1, 3);
        story_skip(w);
        story_give(w, a, "k");
        story_run(w, 100);
        story_expect(w, "90.000  A > free k\n"
                        "90.000  h1 > n1 release k#1\n"
                        "90.000  A < k pending\n"
                        "91.000  n1 > free k 1\n"
                        "91.000  n1 > released\n");
        world_join(w, 1, 2);
        story_run(w, 10);
        story_expect(w, "190.000  h1 n2 up\n"
                        "190.000  h1 > n2 release k#1\n"
                        "191.000  n2 > free k 1\n"
                        "191.000  h2 > n1 n2 n3 take k#4\n"
                        "191.000  n2 > released\n"
                        "192.000  n1 > granted\n"
                        "192.000  n2 > granted\n"
                        "192.000  B < k#4 acquired 9897\n"
                        "192.000  n3 > held\n");
        story_end(w);
}

static void when_the_connection_breaks_listening_begins_anew_and_the_head_tries(void)
{
        struct world *w = story_world(&(struct world_options){ .hosts_n = 2 });
        unsigned a = world_open(w, 1), b = world_open(w, 2);

        story_add(w, a, "k", (struct ask){ 0 });
        story_add(w, b, "k", (struct ask){ .delay_ms = 3000 });
        story_run(w, 90);
        world_cut(w, 2, 1);
        world_cut(w, 2, 2);
        story_skip(w);
        story_give(w, a, "k"); /* nobody hears it but on n3 */
        story_run(w, 10);
        world_join(w, 2, 1);
        world_join(w, 2, 2);
        story_run(w, 10);
        story_expect(w, "90.000  A > free k\n"
                        "90.000  h1 > n1 n2 n3 release k#1\n"
                        "91.000  n1 > released\n"
                        "91.000  n2 > released\n"
                        "91.000  A < k freed\n"
                        "91.000  n3 > free k 1\n"
                        "91.000  n3 > released\n"
                        "100.000  h2 n1 up\n"
                        "100.000  h2 n2 up\n"
                        "101.000  n1 > listening k\n"
                        "101.000  h2 > n1 n2 n3 take k#4\n"
                        "101.000  n2 > listening k\n"
                        "102.000  n1 > granted\n"
                        "102.000  n2 > granted\n"
                        "102.000  B < k#4 acquired 9897\n"
                        "102.000  n3 > granted\n");
        story_end(w);
}

/* B and C of host 1 pass the key between them every 100 ms; D of host 2 waits. */
static void a_host_gives_the_key_back_after_its_tenure(void)
{
        struct world *w = story_world(&(struct world_options){ .hosts_n = 2 });
        unsigned b = world_open(w, 1), c = world_open(w, 1), d = world_open(w, 2);
        unsigned i;

        story_add(w, b, "k", (struct ask){ .tries = -1 });
        story_run(w, 10);
        story_add(w, d, "k", (struct ask){ .tries = -1, .delay_ms = 3000 });
        story_run(w, 90);
        for (i = 0; i < 6; ++i) {
                story_add(w, i % 2 ? b : c, "k", (struct ask){ .tries = -1 });
                story_run(w, 50);
                if (i == 5)
                        story_skip(w);
                story_give(w, i % 2 ? c : b, "k");
                story_run(w, 50);
        }
        story_expect(w, "650.000  B > free k\n"
                        "650.000  h1 > n1 n2 n3 release k#1\n"
                        "651.000  n1 > free k 1\n"
                        "651.000  n1 > released\n"
                        "651.000  n2 > free k 1\n"
                        "651.000  h2 > n1 n2 n3 take k#9\n"
                        "651.000  n2 > released\n"
                        "651.000  B < k freed\n"
                        "651.000  n3 > free k 1\n"
                        "651.000  n3 > released\n"
                        "652.000  n1 > granted\n"
                        "652.000  n2 > granted\n"
                        "652.000  C < k#9 acquired 9897\n"
                        "652.000  n3 > granted\n");
        story_skip(w);
        story_give(w, d, "k");
        story_run(w, 10);
        story_expect(w, "700.000  C > free k\n"
                        "700.000  h2 > unlisten k\n"
                        "700.000  h2 > n1 n2 n3 release k#9\n"
                        "701.000  n1 > released\n"
                        "701.000  n2 > released\n"
                        "701.000  C < k freed\n"
                        "701.000  n3 > released\n"
                        "701.000  h1 > n1 n2 n3 take k#10\n"
                        "702.000  n1 > granted\n"
                        "702.000  n2 > granted\n"
                        "702.000  A < k#10 acquired 9897\n"
                        "702.000  n3 > granted\n");
        story_end(w);
}

/*
 * Listening begins late on n3, when nobody waits any more. All the same it is known that it is this host which hears of
 * its own release there, and the gap is one for those who poll.
 */
static void that_listening_has_begun_is_noted_when_nobody_waits(void)
{
        struct world *w = story_world(&(struct world_options){ .tenure_ms = 40 });
        unsigned a = world_open(w, 1), b = world_open(w, 1), n;
        const struct ask ask = { .tries = -1, .delay_ms = 3000 };

        for (n = 1; n <= 3; ++n)
                world_plant(w, n, "k", 5);
        world_slow(w, 3, 20000);
        story_add(w, a, "k", ask);
        story_run(w, 100);
        world_slow(w, 3, 500);
        story_add(w, b, "k", ask);
        story_run(w, 1);
        story_give(w, a, "k");
        story_run(w, 50);
        story_add(w, a, "k", ask);
        story_skip(w);
        world_slow(w, 1, 1000);
        story_give(w, b, "k");
        story_run(w, 100);
        story_expect(w, "151.000  B > free k\n"
                        "151.000  h1 > n1 n2 n3 release k#3\n"
                        "152.000  n2 > free k 1\n"
                        "152.000  n2 > released\n"
                        "152.000  n3 > free k 1\n"
                        "152.000  n3 > released\n"
                        "152.000  B < k freed\n"
                        "153.000  n1 > free k 1\n"
                        "153.000  n1 > released\n"
                        "162.000  h1 > n1 n2 n3 take k#5\n"
                        "163.000  n2 > granted\n"
                        "163.000  n3 > granted\n"
                        "163.000  A < k#5 acquired 9897\n"
                        "164.000  n1 > granted\n");
        story_end(w);
}

/* Nobody listens: the gap is short, and the key is asked for again. */
static void where_nobody_else_waits_giving_back_costs_a_moment(void)
{
        struct world *w = story_world(&(struct world_options){ .tenure_ms = 40 });
        unsigned a = world_open(w, 1), b = world_open(w, 1), c = world_open(w, 1);

        story_add(w, a, "k", (struct ask){ .tries = -1 });
        story_add(w, b, "k", (struct ask){ .tries = -1 });
        story_add(w, c, "k", (struct ask){ .tries = -1 });
        story_run(w, 100);
        story_skip(w);
        story_give(w, a, "k");
        story_run(w, 50);
        story_give(w, b, "k");
        story_run(w, 50);
        story_expect(w, "100.000  A > free k\n"
                        "100.000  A < k freed\n"
                        "100.000  B < k#2 acquired 9798\n"
                        "150.000  B > free k\n"
                        "150.000  h1 > n1 n2 n3 release k#1\n"
                        "151.000  n1 > released\n"
                        "151.000  n2 > released\n"
                        "151.000  B < k freed\n"
                        "151.000  n3 > released\n"
                        "161.000  h1 > n1 n2 n3 take k#3\n"
                        "162.000  n1 > granted\n"
                        "162.000  n2 > granted\n"
                        "162.000  C < k#3 acquired 9897\n"
                        "162.000  n3 > granted\n");
        story_end(w);
}

/* A passes the key to B, who frees it after the tenure while A waits again. */
static void a_tenure_of_a_and_b(struct world *w, unsigned a, unsigned b, bool polled)
{
        const struct ask ask = { .tries = -1, .delay_ms = 3000 };

        story_add(w, b, "k", ask);
        story_run(w, 10);
        story_give(w, a, "k");
        story_run(w, 100);
        story_add(w, a, "k", ask);
        story_skip(w);
        story_give(w, b, "k");
        story_run(w, 10);
        if (polled)
                world_plant(w, 1, "k", 30);
        story_run(w, 190);
}

/* A program that polls gets in; from then on the gaps are longer, and shorter again where nobody uses them. */
static void who_polls_and_got_in_once_finds_longer_gaps(void)
{
        struct world *w = story_world(&(struct world_options){ .nodes_n = 1, .tenure_ms = 100 });
        unsigned a = world_open(w, 1), b = world_open(w, 1);

        story_add(w, a, "k", (struct ask){ 0 });
        story_run(w, 90);
        a_tenure_of_a_and_b(w, a, b, true);
        story_expect(w, "200.000  B > free k\n"
                        "200.000  h1 > n1 release k#1\n"
                        "201.000  n1 > released\n"
                        "201.000  B < k freed\n"
                        "211.000  h1 > n1 take k#3\n"
                        "212.000  n1 > held\n"
                        "212.000  h1 > listen k\n"
                        "213.000  n1 > listening k\n"
                        "213.000  h1 > n1 take k#4\n"
                        "214.000  n1 > held\n"
                        "242.000  h1 > n1 take k#5\n"
                        "243.000  n1 > granted\n"
                        "243.000  A < k#5 acquired 9897\n");
        a_tenure_of_a_and_b(w, a, b, false);
        story_expect(w, "510.000  B > free k\n"
                        "510.000  h1 > n1 release k#5\n"
                        "511.000  n1 > free k 1\n"
                        "511.000  n1 > released\n"
                        "511.000  B < k freed\n"
                        "561.000  h1 > n1 take k#7\n"
                        "562.000  n1 > granted\n"
                        "562.000  A < k#7 acquired 9897\n");
        a_tenure_of_a_and_b(w, a, b, false);
        story_expect(w, "820.000  B > free k\n"
                        "820.000  h1 > n1 release k#7\n"
                        "821.000  n1 > free k 1\n"
                        "821.000  n1 > released\n"
                        "821.000  B < k freed\n"
                        "846.000  h1 > n1 take k#9\n"
                        "847.000  n1 > granted\n"
                        "847.000  A < k#9 acquired 9897\n");
        story_end(w);
}

/* The nodes said to A that they do not have its lock any more; so it is not passed on to B, and C may have it. */
static void what_an_extension_found_to_be_lost_is_not_passed_on(void)
{
        struct world *w = story_world(&(struct world_options){ .hosts_n = 2 });
        unsigned a = world_open(w, 1), b = world_open(w, 1), c = world_open(w, 2), n;

        story_add(w, a, "k", (struct ask){ 0 });
        story_run(w, 2);
        story_add(w, b, "k", (struct ask){ .tries = -1, .delay_ms = 3000 });
        for (n = 1; n <= 3; ++n)
                world_lose(w, n);
        story_run(w, 2);
        story_extend(w, a, "k", (struct ask){ 0 });
        story_run(w, 2);
        story_add(w, c, "k", (struct ask){ 0 });
        story_run(w, 4);
        story_skip(w);
        story_give(w, a, "k");
        story_run(w, 5);
        story_expect(w, "10.000  A > free k\n"
                        "10.000  h1 > n1 n2 n3 release k#1\n"
                        "10.000  h1 > n1 n2 n3 take k#3\n"
                        "11.000  n1 > released\n"
                        "11.000  n2 > released\n"
                        "11.000  A < k freed\n"
                        "11.000  n3 > released\n"
                        "11.000  n1 > held\n"
                        "11.000  n2 > held\n"
                        "11.000  h1 > listen k\n"
                        "11.000  h1 > n3 release k#3\n"
                        "11.000  n3 > held\n"
                        "12.000  n1 > listening k\n"
                        "12.000  n2 > listening k\n"
                        "12.000  h1 > n1 n2 n3 take k#4\n"
                        "12.000  n3 > listening k\n"
                        "12.000  n3 > released\n"
                        "13.000  n1 > held\n"
                        "13.000  n2 > held\n"
                        "13.000  h1 > n3 release k#4\n"
                        "13.000  n3 > held\n"
                        "14.000  n3 > released\n");
        story_end(w);
}

/*
 * A program that polls has got in, so the gaps are half a tenure; and n3 does not take the release. That it is repeated
 * there says nothing about whose turn it is.
 */
static void a_release_that_is_repeated_makes_no_gap_longer(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1), b = world_open(w, 1);
        const struct ask ask = { .tries = -1, .delay_ms = 3000 };

        story_add(w, a, "k", ask);
        story_add(w, b, "k", ask);
        story_run(w, 10);
        story_give(w, a, "k");
        story_run(w, 500);
        story_add(w, a, "k", ask);
        story_give(w, b, "k");
        story_run(w, 10);
        world_plant(w, 1, "k", 30);
        world_plant(w, 2, "k", 30);
        story_run(w, 80);
        story_add(w, b, "k", ask);
        story_give(w, a, "k");
        story_run(w, 10);
        world_refuse(w, 3, true);
        story_run(w, 500);
        story_add(w, a, "k", ask);
        story_skip(w);
        story_give(w, b, "k");
        story_run(w, 1000);
        story_expect(w, "1110.000  B > free k\n"
                        "1110.000  h1 > n1 n2 release k#5\n"
                        "1111.000  n1 > granted\n"
                        "1111.000  n2 > granted\n"
                        "1111.000  n1 > free k 1\n"
                        "1111.000  n1 > released\n"
                        "1111.000  n2 > free k 1\n"
                        "1111.000  n2 > released\n"
                        "1111.000  B < k freed\n"
                        "1361.000  h1 > n1 n2 take k#7\n"
                        "1362.000  n1 > granted\n"
                        "1362.000  n2 > granted\n"
                        "1362.000  A < k#7 acquired 9897\n");
        story_end(w);
}

/* The last try of a budget is made whoever's turn it is. */
static void the_only_try_is_not_kept_back(void)
{
        struct world *w = story_world(&(struct world_options){ .tenure_ms = 40 });
        unsigned a = world_open(w, 1), b = world_open(w, 1), c = world_open(w, 1), d = world_open(w, 1);
        uint64_t waits;

        story_add(w, a, "k", (struct ask){ .tries = -1 });
        story_add(w, b, "k", (struct ask){ .tries = -1 });
        waits = story_add(w, c, "k", (struct ask){ .tries = -1 });
        story_run(w, 10);
        story_give(w, a, "k");
        story_run(w, 50);
        story_give(w, b, "k");
        story_run(w, 5);
        story_cancel(w, c, waits);
        story_skip(w);
        story_add(w, d, "k", (struct ask){ .tries = 1 });
        story_run(w, 5);
        story_expect(w, "65.000  D > add k\n"
                        "65.000  h1 > n1 n2 n3 take k#3\n"
                        "66.000  n1 > granted\n"
                        "66.000  n2 > granted\n"
                        "66.000  D < k#3 acquired 9897\n"
                        "66.000  n3 > granted\n");
        story_end(w);
}

STORY_MAIN("hosts", STORY(a_host_that_waits_is_told_of_a_release),
           STORY(a_release_before_the_listening_has_begun_is_not_missed), STORY(one_announcement_is_not_a_quorum),
           STORY(when_the_connection_breaks_listening_begins_anew_and_the_head_tries),
           STORY(a_host_gives_the_key_back_after_its_tenure), STORY(where_nobody_else_waits_giving_back_costs_a_moment),
           STORY(what_an_extension_found_to_be_lost_is_not_passed_on),
           STORY(who_polls_and_got_in_once_finds_longer_gaps), STORY(a_release_that_is_repeated_makes_no_gap_longer),
           STORY(that_listening_has_begun_is_noted_when_nobody_waits), STORY(the_only_try_is_not_kept_back))
