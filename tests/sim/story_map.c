/*
 * Scenes of the lock map: the order of one session's requests, extend, free, and locks that lapse.
 */
#include "sim/story.h"

/* Requests that name the same key run in the order they came; the others do not wait for them. */
static void requests_for_one_key_keep_their_order(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1);

        story_add(w, a, "k", (struct ask){ 0 });
        story_extend(w, a, "k", (struct ask){ .ttl_ms = 20000 });
        story_give(w, a, "k");
        story_add(w, a, "k", (struct ask){ 0 });
        story_add(w, a, "l", (struct ask){ 0 });
        story_run(w, 20);
        story_expect(w, "0.000  A > add k\n"
                        "0.000  h1 > n1 n2 n3 take k#1\n"
                        "0.000  A > extend k\n"
                        "0.000  A > free k\n"
                        "0.000  A > add k\n"
                        "0.000  A > add l\n"
                        "0.000  h1 > n1 n2 n3 take l#2\n"
                        "1.000  n1 > granted\n"
                        "1.000  n2 > granted\n"
                        "1.000  A < k#1 acquired 9897\n"
                        "1.000  h1 > n1 n2 n3 take +k#1\n"
                        "1.000  n3 > granted\n"
                        "1.000  n1 > granted\n"
                        "1.000  n2 > granted\n"
                        "1.000  A < l#2 acquired 9897\n"
                        "1.000  n3 > granted\n"
                        "2.000  n1 > granted\n"
                        "2.000  n2 > granted\n"
                        "2.000  A < k#1 extended 19797\n"
                        "2.000  h1 > n1 n2 n3 release k#1\n"
                        "2.000  n3 > granted\n"
                        "3.000  n1 > released\n"
                        "3.000  n2 > released\n"
                        "3.000  A < k freed\n"
                        "3.000  h1 > n1 n2 n3 take k#3\n"
                        "3.000  n3 > released\n"
                        "4.000  n1 > granted\n"
                        "4.000  n2 > granted\n"
                        "4.000  A < k#3 acquired 9897\n"
                        "4.000  n3 > granted\n");
        story_end(w);
}

/* free of everything does not stop at an add that waits: what is held goes at once, and the answer comes when the add
 * is decided. */
static void freeing_all_waits_only_where_an_add_waits(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1), b = world_open(w, 1), c = world_open(w, 1);

        story_add(w, a, "x", (struct ask){ 0 });
        story_add(w, b, "y", (struct ask){ 0 });
        story_run(w, 10);
        story_add(w, b, "x", (struct ask){ 0 });
        story_add(w, c, "y", (struct ask){ 0 });
        story_skip(w);
        story_give(w, b, NULL);
        story_run(w, 10);
        story_give(w, a, "x");
        story_run(w, 10);
        story_expect(w, "10.000  B > free\n"
                        "10.000  C < y#3 acquired 9888\n"
                        "20.000  A > free x\n"
                        "20.000  A < x freed\n"
                        "20.000  B < x#4 acquired 9878\n"
                        "20.000  h1 > n1 n2 n3 release x#1\n"
                        "21.000  n1 > released\n"
                        "21.000  n2 > released\n"
                        "21.000  B < y freed x freed\n"
                        "21.000  n3 > released\n");
        story_end(w);
}

static void free_sorts_its_keys(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1);

        story_add(w, a, "short", (struct ask){ .ttl_ms = 100 });
        story_add(w, a, "held", (struct ask){ 0 });
        story_run(w, 150);
        story_skip(w);
        story_give(w, a, "never,short,held");
        story_run(w, 10);
        story_give(w, a, "short");
        story_reset(w, a);
        story_expect(w, "150.000  A > free never,short,held\n"
                        "150.000  h1 > n1 n2 n3 release held#2\n"
                        "151.000  n1 > released\n"
                        "151.000  n2 > released\n"
                        "151.000  A < never missing short expired held freed\n"
                        "151.000  n3 > released\n"
                        "160.000  A > free short\n"
                        "160.000  A < short missing\n"
                        "160.000  A > reset\n"
                        "160.000  A <\n");
        story_end(w);
}

/* A majority cannot be reached: out of the map, pending, and released when the nodes are back. */
static void free_without_a_majority_is_pending(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1);

        story_add(w, a, "k", (struct ask){ 0 });
        story_run(w, 10);
        story_skip(w);
        world_hang(w, 1);
        world_cut(w, 1, 2);
        story_give(w, a, "k");
        story_run(w, 300);
        world_go_on(w, 1);
        world_join(w, 1, 2);
        story_run(w, 10);
        story_expect(w, "10.000  n1 hangs\n"
                        "10.000  h1 n2 cut\n"
                        "10.000  A > free k\n"
                        "10.000  h1 > n1 n3 release k#1\n"
                        "11.000  n3 > released\n"
                        "210.000  A < k pending\n"
                        "310.000  n1 goes on\n"
                        "310.000  h1 n2 up\n"
                        "310.000  h1 > n2 release k#1\n"
                        "310.500  n1 > released\n"
                        "311.000  n2 > released\n");
        story_end(w);
}

/* Told before the end of validity; open to others at the end, and not before. */
static void a_lock_that_lapses_is_told_and_passes_on(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1), b = world_open(w, 1);

        story_subscribe(w, a, NOTICE_DEFAULT);
        story_add(w, a, "k", (struct ask){ .ttl_ms = 1000 });
        story_run(w, 900);
        story_add(w, b, "k", (struct ask){ .delay_ms = 5000 });
        story_run(w, 200);
        story_expect(w, "0.000  A > subscribe\n"
                        "0.000  A <\n"
                        "0.000  A > add k\n"
                        "0.000  h1 > n1 n2 n3 take k#1\n"
                        "1.000  n1 > granted\n"
                        "1.000  n2 > granted\n"
                        "1.000  A < k#1 acquired 987\n"
                        "1.000  n3 > granted\n"
                        "900.000  B > add k\n"
                        "900.000  h1 > n1 n2 n3 renew k#1\n"
                        "901.000  n1 > granted\n"
                        "901.000  n2 > granted\n"
                        "901.000  n3 > granted\n"
                        "983.000  A < lost k#1 EXPIRED\n"
                        "988.000  B < k#2 acquired 9810\n");
        story_end(w);
}

static void extend_by_the_state_of_each_key(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1);

        story_add(w, a, "old", (struct ask){ .ttl_ms = 100 });
        story_add(w, a, "held", (struct ask){ 0 });
        story_run(w, 150);
        story_skip(w);
        story_extend(w, a, "new,held,old", (struct ask){ .ttl_ms = 20000 });
        story_run(w, 10);
        story_expect(w, "150.000  A > extend new,held,old\n"
                        "150.000  h1 > n1 n2 n3 take new#3 old#4 +held#2\n"
                        "151.000  n1 > granted\n"
                        "151.000  n2 > granted\n"
                        "151.000  A < new#3 acquired 19797 held#2 extended 19797 old#4 reacquired 19797\n"
                        "151.000  n3 > granted\n");
        story_end(w);
}

static void strict_extend_acquires_nothing(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1);

        story_add(w, a, "old", (struct ask){ .ttl_ms = 100 });
        story_add(w, a, "held", (struct ask){ 0 });
        story_run(w, 150);
        story_skip(w);
        story_extend(w, a, "held,new", (struct ask){ .strict = true });
        story_extend(w, a, "held,old", (struct ask){ .strict = true });
        story_extend(w, a, "held", (struct ask){ .strict = true });
        story_run(w, 10);
        story_expect(w, "150.000  A > extend held,new\n"
                        "150.000  A < NOT_HELD new\n"
                        "150.000  A > extend held,old\n"
                        "150.000  A < LOST old\n"
                        "150.000  A > extend held\n"
                        "150.000  h1 > n1 n2 n3 take +held#2\n"
                        "151.000  n1 > granted\n"
                        "151.000  n2 > granted\n"
                        "151.000  A < held#2 extended 9897\n"
                        "151.000  n3 > granted\n");
        story_end(w);
}

/*
 * Two of three nodes lost the key: refused, nothing is deleted, the old validity stands, and no try is wasted on it.
 * But who was told so and asks for the key anew is not told that he holds it.
 */
static void a_lock_that_a_majority_lost_is_not_brought_back(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1);

        story_add(w, a, "k", (struct ask){ 0 });
        story_run(w, 1000);
        world_lose(w, 1);
        world_lose(w, 2);
        story_skip(w);
        story_extend(w, a, "k", (struct ask){ 0 });
        story_run(w, 10);
        story_check(w, story_stored(w, 3, "k") && !story_stored(w, 1, "k"));
        story_add(w, a, "k", (struct ask){ 0 });
        story_run(w, 10);
        story_expect(w, "1000.000  A > extend k\n"
                        "1000.000  h1 > n1 n2 n3 take +k#1\n"
                        "1001.000  n1 > held\n"
                        "1001.000  n2 > held\n"
                        "1001.000  A < LOST k\n"
                        "1001.000  n3 > granted\n"
                        "1010.000  A > add k\n"
                        "1010.000  h1 > n1 n2 n3 release k#1\n"
                        "1010.000  h1 > n1 n2 n3 take k#2\n"
                        "1011.000  n1 > released\n"
                        "1011.000  n2 > released\n"
                        "1011.000  n3 > released\n"
                        "1011.000  n1 > granted\n"
                        "1011.000  n2 > granted\n"
                        "1011.000  A < k#2 acquired 9897\n"
                        "1011.000  n3 > granted\n");
        story_end(w);
}

/* No later try can bring it back, and none is made: it is as lost as it was. */
static void what_is_lost_is_lost_when_it_is_extended_again(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1);

        story_add(w, a, "k,l", (struct ask){ 0 });
        story_run(w, 100);
        world_lose(w, 1);
        world_lose(w, 2);
        story_extend(w, a, "k", (struct ask){ 0 });
        story_run(w, 10);
        story_skip(w);
        story_extend(w, a, "k", (struct ask){ 0 });
        story_run(w, 10);
        story_expect(w, "110.000  A > extend k\n"
                        "110.000  A < LOST k\n");
        story_end(w);
}

/* Its key is closed to the others until the old end. They ask first: it waits its turn, and is not told to hold it
 * either. */
static void who_asks_anew_for_what_was_lost_stands_behind_those_who_wait(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1), b = world_open(w, 1);

        story_add(w, a, "k", (struct ask){ .ttl_ms = 1000 });
        story_run(w, 100);
        world_lose(w, 1);
        world_lose(w, 2);
        story_extend(w, a, "k", (struct ask){ 0 });
        story_add(w, b, "k", (struct ask){ .delay_ms = 10000 });
        story_run(w, 10);
        story_skip(w);
        story_add(w, a, "k", (struct ask){ .tries = 1 });
        story_run(w, 1000);
        story_expect(w, "110.000  A > add k\n"
                        "110.000  A < LOCKED k, 1 attempts, 0 ms\n"
                        "988.000  h1 > n1 n2 n3 release k#1\n"
                        "988.000  h1 > n1 n2 n3 take k#2\n"
                        "989.000  n1 > released\n"
                        "989.000  n2 > released\n"
                        "989.000  n3 > released\n"
                        "989.000  n1 > granted\n"
                        "989.000  n2 > granted\n"
                        "989.000  B < k#2 acquired 9897\n"
                        "989.000  n3 > granted\n");
        story_end(w);
}

/* Too few nodes answer: tried again; what was valid stays valid until its old time. */
static void an_extension_without_a_quorum_is_tried_again(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1);

        story_add(w, a, "k", (struct ask){ 0 });
        story_run(w, 1000);
        story_skip(w);
        world_hang(w, 1);
        world_hang(w, 2);
        story_extend(w, a, "k", (struct ask){ .tries = 2 });
        story_run(w, 1000);
        story_add(w, a, "k", (struct ask){ 0 });
        story_expect(w, "1000.000  n1 hangs\n"
                        "1000.000  n2 hangs\n"
                        "1000.000  A > extend k\n"
                        "1000.000  h1 > n1 n2 n3 take +k#1\n"
                        "1001.000  n3 > granted\n"
                        "1300.000  h1 > n1 n2 n3 take +k#1\n"
                        "1301.000  n3 > granted\n"
                        "1500.000  A < NO_QUORUM n1:timeout n2:timeout n3:granted, 2 attempts, 500 ms\n"
                        "2000.000  A > add k\n"
                        "2000.000  A < k#1 held 7898\n");
        story_end(w);
}

/* A shorter ttl is kept by the broker alone: on the nodes a ttl is never cut, so that a failure cannot cut what was
 * valid. */
static void a_shorter_extension_frees_the_key_when_it_ends(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1);

        story_add(w, a, "k", (struct ask){ .ttl_ms = 60000 });
        story_run(w, 1000);
        story_skip(w);
        story_extend(w, a, "k", (struct ask){ .ttl_ms = 500 });
        story_run(w, 1000);
        story_expect(w, "1000.000  A > extend k\n"
                        "1000.000  h1 > n1 n2 n3 take +k#1\n"
                        "1001.000  n1 > granted\n"
                        "1001.000  n2 > granted\n"
                        "1001.000  A < k#1 extended 492\n"
                        "1001.000  n3 > granted\n"
                        "1493.000  h1 > n1 n2 n3 release k#1\n"
                        "1494.000  n1 > released\n"
                        "1494.000  n2 > released\n"
                        "1494.000  n3 > released\n");
        story_check(w, !story_stored(w, 1, "k"));
        story_end(w);
}

/* The lock lapses while the nodes are asked to extend it: looked at again, it is acquired anew. */
static void a_lock_that_lapses_during_its_extension_is_acquired_anew(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1);

        story_add(w, a, "k", (struct ask){ .ttl_ms = 1000 });
        story_run(w, 970);
        story_skip(w);
        world_slow(w, 1, 15000);
        world_slow(w, 2, 15000);
        world_slow(w, 3, 15000);
        story_extend(w, a, "k", (struct ask){ .ttl_ms = 1000 });
        story_run(w, 100);
        story_expect(w, "970.000  A > extend k\n"
                        "970.000  h1 > n1 n2 n3 take +k#1\n"
                        "988.000  h1 > n1 n2 n3 release k#1\n"
                        "1000.000  n1 > granted\n"
                        "1000.000  n2 > granted\n"
                        "1000.000  h1 > n1 n2 n3 take k#2\n"
                        "1000.000  n3 > granted\n"
                        "1018.000  n1 > released\n"
                        "1018.000  n2 > released\n"
                        "1018.000  n3 > released\n"
                        "1030.000  n1 > granted\n"
                        "1030.000  n2 > granted\n"
                        "1030.000  A < k#2 reacquired 958\n"
                        "1030.000  n3 > granted\n");
        story_end(w);
}

/* add of a key that is held and one that is not: the first lapses while the nodes are asked for the second. */
static void a_held_key_that_lapses_during_an_add_is_acquired_with_it(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1);

        story_add(w, a, "k", (struct ask){ .ttl_ms = 1000 });
        story_run(w, 970);
        story_skip(w);
        world_slow(w, 1, 15000);
        world_slow(w, 2, 15000);
        world_slow(w, 3, 15000);
        story_add(w, a, "k,l", (struct ask){ .tries = 1, .ttl_ms = 10000 });
        story_run(w, 200);
        story_expect(w, "970.000  A > add k,l\n"
                        "970.000  h1 > n1 n2 n3 take l#2\n"
                        "988.000  h1 > n1 n2 n3 release k#1\n"
                        "1000.000  n1 > granted\n"
                        "1000.000  n2 > granted\n"
                        "1000.000  h1 > n1 n2 n3 release l#2\n"
                        "1000.000  h1 > n1 n2 n3 take k#3 l#4\n"
                        "1000.000  n3 > granted\n"
                        "1018.000  n1 > released\n"
                        "1018.000  n2 > released\n"
                        "1018.000  n3 > released\n"
                        "1030.000  n1 > released\n"
                        "1030.000  n2 > released\n"
                        "1030.000  n3 > released\n"
                        "1030.000  n1 > granted\n"
                        "1030.000  n2 > granted\n"
                        "1030.000  A < k#3 acquired 9868 l#4 acquired 9868\n"
                        "1030.000  n3 > granted\n");
        story_end(w);
}

/* The map remembers lapsed locks up to the limit of held ones; the oldest is forgotten first. */
static void only_so_many_lapsed_locks_are_remembered(void)
{
        struct world *w = story_world(&(struct world_options){ .locks_max = 2 });
        unsigned a = world_open(w, 1);

        story_add(w, a, "a", (struct ask){ .ttl_ms = 100 });
        story_run(w, 200);
        story_add(w, a, "b", (struct ask){ .ttl_ms = 100 });
        story_run(w, 200);
        story_add(w, a, "c", (struct ask){ .ttl_ms = 100 });
        story_run(w, 200);
        story_skip(w);
        story_give(w, a, "a,b,c");
        story_expect(w, "600.000  A > free a,b,c\n"
                        "600.000  A < a missing b expired c expired\n");
        story_end(w);
}

/* One of three has lost it, one hangs: that may be a majority yet, so it is not called lost, and tried again. */
static void a_lock_is_lost_only_where_a_majority_says_so(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1);

        story_add(w, a, "k", (struct ask){ 0 });
        story_run(w, 1000);
        world_lose(w, 1);
        world_hang(w, 3);
        story_skip(w);
        story_extend(w, a, "k", (struct ask){ .tries = 2 });
        story_run(w, 250);
        world_go_on(w, 3);
        story_run(w, 250);
        story_expect(w, "1000.000  A > extend k\n"
                        "1000.000  h1 > n1 n2 n3 take +k#1\n"
                        "1001.000  n1 > held\n"
                        "1001.000  n2 > granted\n"
                        "1250.000  n3 goes on\n"
                        "1250.500  n3 > granted\n"
                        "1300.000  h1 > n1 n2 n3 take +k#1\n"
                        "1301.000  n1 > held\n"
                        "1301.000  n2 > granted\n"
                        "1301.000  n3 > granted\n"
                        "1301.000  A < k#1 extended 9897\n"
                        "1301.000  h1 > n1 plant k#1\n"
                        "1302.000  n1 > granted\n");
        story_end(w);
}

/* Told of the loss a moment before its validity ends, the session asks again at once, for one try: it is made at the
 * end. */
static void who_is_told_of_a_loss_may_take_the_key_again(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1);

        story_add(w, a, "k", (struct ask){ .ttl_ms = 1000 });
        world_run_ns(w, 987500000);
        story_skip(w);
        story_add(w, a, "k", (struct ask){ .tries = 1 });
        story_run(w, 10);
        story_expect(w, "987.500  A > add k\n"
                        "988.000  h1 > n1 n2 n3 release k#1\n"
                        "988.000  h1 > n1 n2 n3 take k#2\n"
                        "989.000  n1 > released\n"
                        "989.000  n2 > released\n"
                        "989.000  n3 > released\n"
                        "989.000  n1 > granted\n"
                        "989.000  n2 > granted\n"
                        "989.000  A < k#2 acquired 9897\n"
                        "989.000  n3 > granted\n");
        story_end(w);
}

/* add of a key that is held and one that is not; the first lapses meanwhile, and the cap on waiting ends before it is
 * open. */
static void an_add_that_is_overtaken_at_the_end_of_its_wait_is_refused(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1);

        story_add(w, a, "k", (struct ask){ .ttl_ms = 1000 });
        world_run_ns(w, 986500000);
        story_skip(w);
        story_add(w, a, "k,l", (struct ask){ .wait_ms = 1 });
        story_run(w, 10);
        story_expect(w, "986.500  A > add k,l\n"
                        "987.500  A < LOCKED k, 0 attempts, 1 ms\n"
                        "988.000  h1 > n1 n2 n3 release k#1\n"
                        "989.000  n1 > released\n"
                        "989.000  n2 > released\n"
                        "989.000  n3 > released\n");
        story_end(w);
}

/* Of two keys one is gone from a majority, the other one from one node. */
static void only_what_is_lost_is_said_to_be(void)
{
        static const char *const keys[] = { "k", "l" };
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1);

        story_add(w, a, "k,l", (struct ask){ 0 });
        story_run(w, 10);
        world_roll_back(w, 3, keys, 2);
        world_roll_back(w, 1, keys, 1);
        world_join(w, 1, 3);
        world_join(w, 1, 1);
        world_slow(w, 1, 1000);
        world_slow(w, 2, 2000);
        story_skip(w);
        story_extend(w, a, "k,l", (struct ask){ 0 });
        story_run(w, 10);
        story_extend(w, a, "l", (struct ask){ 0 });
        story_run(w, 10);
        story_expect(w, "10.000  A > extend k,l\n"
                        "10.000  h1 > n1 n2 n3 take +k#1 +l#2\n"
                        "11.000  n3 > held\n"
                        "12.000  n1 > held\n"
                        "12.000  A < LOST k\n"
                        "14.000  n2 > granted\n"
                        "20.000  A > extend l\n"
                        "20.000  h1 > n1 n2 n3 take +l#2\n"
                        "21.000  n3 > held\n"
                        "22.000  n1 > granted\n"
                        "24.000  n2 > granted\n"
                        "24.000  A < l#2 extended 9894\n"
                        "24.000  h1 > n3 plant l#2\n"
                        "25.000  n3 > granted\n");
        story_end(w);
}

/* The answer by which it is known to be lost comes after the verdict of its round: the next try knows it. */
static void what_is_found_to_be_lost_after_the_verdict_is_lost(void)
{
        static const char *const key = "k";
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1);

        story_add(w, a, "k,l", (struct ask){ 0 });
        story_run(w, 10);
        world_roll_back(w, 1, &key, 1);
        world_roll_back(w, 2, &key, 1);
        world_roll_back(w, 3, (const char *const[]){ "l" }, 1);
        world_join(w, 1, 1);
        world_join(w, 1, 2);
        world_join(w, 1, 3);
        world_slow(w, 1, 1000);
        world_slow(w, 2, 1000);
        story_skip(w);
        story_extend(w, a, "k,l", (struct ask){ 0 });
        story_run(w, 110);
        story_expect(w, "10.000  A > extend k,l\n"
                        "10.000  h1 > n1 n2 n3 take +k#1 +l#2\n"
                        "11.000  n3 > held\n"
                        "12.000  n1 > held\n"
                        "12.000  n2 > held\n"
                        "112.000  A < LOST k\n");
        story_end(w);
}

STORY_MAIN("map", STORY(requests_for_one_key_keep_their_order), STORY(freeing_all_waits_only_where_an_add_waits),
           STORY(free_sorts_its_keys), STORY(free_without_a_majority_is_pending),
           STORY(a_lock_that_lapses_is_told_and_passes_on), STORY(extend_by_the_state_of_each_key),
           STORY(strict_extend_acquires_nothing), STORY(a_lock_that_a_majority_lost_is_not_brought_back),
           STORY(what_is_lost_is_lost_when_it_is_extended_again),
           STORY(who_asks_anew_for_what_was_lost_stands_behind_those_who_wait),
           STORY(an_extension_without_a_quorum_is_tried_again), STORY(a_shorter_extension_frees_the_key_when_it_ends),
           STORY(a_lock_that_lapses_during_its_extension_is_acquired_anew),
           STORY(a_held_key_that_lapses_during_an_add_is_acquired_with_it),
           STORY(only_so_many_lapsed_locks_are_remembered), STORY(a_lock_is_lost_only_where_a_majority_says_so),
           STORY(who_is_told_of_a_loss_may_take_the_key_again),
           STORY(an_add_that_is_overtaken_at_the_end_of_its_wait_is_refused), STORY(only_what_is_lost_is_said_to_be),
           STORY(what_is_found_to_be_lost_after_the_verdict_is_lost))
