/*
 * Scenes of the limits that are the engine's: at each of them, and one past it.
 */
#include "sim/story.h"

static void all_sessions_together_may_not_hold_more_than_the_limit(void)
{
        struct world *w = story_world(&(struct world_options){ .locks_all_max = 3 });
        unsigned a = world_open(w, 1), b = world_open(w, 1);

        story_add(w, a, "a,b", (struct ask){ 0 });
        story_add(w, b, "c,d", (struct ask){ 0 });
        story_add(w, b, "c", (struct ask){ 0 });
        story_run(w, 10);
        story_add(w, b, "d", (struct ask){ 0 });
        story_extend(w, a, "a,b", (struct ask){ 0 });
        story_add(w, b, "c", (struct ask){ 0 });
        story_run(w, 10);
        story_expect(w, "0.000  A > add a,b\n"
                        "0.000  h1 > n1 n2 n3 take a#1 b#2\n"
                        "0.000  B > add c,d\n"
                        "0.000  B < LIMIT maxLocks 3\n"
                        "0.000  B > add c\n"
                        "0.000  h1 > n1 n2 n3 take c#3\n"
                        "1.000  n1 > granted\n"
                        "1.000  n2 > granted\n"
                        "1.000  A < a#1 acquired 9897 b#2 acquired 9897\n"
                        "1.000  n3 > granted\n"
                        "1.000  n1 > granted\n"
                        "1.000  n2 > granted\n"
                        "1.000  B < c#3 acquired 9897\n"
                        "1.000  n3 > granted\n"
                        "10.000  B > add d\n"
                        "10.000  B < LIMIT maxLocks 3\n"
                        "10.000  A > extend a,b\n"
                        "10.000  h1 > n1 n2 n3 take +a#1 +b#2\n"
                        "10.000  B > add c\n"
                        "10.000  B < c#3 held 9888\n"
                        "11.000  n1 > granted\n"
                        "11.000  n2 > granted\n"
                        "11.000  A < a#1 extended 9897 b#2 extended 9897\n"
                        "11.000  n3 > granted\n");
        story_give(w, a, "a");
        story_run(w, 10);
        story_skip(w);
        story_add(w, b, "d", (struct ask){ 0 });
        story_run(w, 10);
        story_expect(w, "30.000  B > add d\n"
                        "30.000  h1 > n1 n2 n3 take d#4\n"
                        "31.000  n1 > granted\n"
                        "31.000  n2 > granted\n"
                        "31.000  B < d#4 acquired 9897\n"
                        "31.000  n3 > granted\n");
        story_end(w);
}

/* Else who connects and leaves again and again could have as many as it likes. */
static void what_waits_out_a_lock_delay_counts(void)
{
        struct world *w = story_world(&(struct world_options){ .locks_all_max = 1 });
        unsigned a = world_open(w, 1), b = world_open(w, 1);

        story_add(w, a, "a", (struct ask){ .delay_ms_at_end = 100 });
        story_run(w, 10);
        story_skip(w);
        world_end(w, a);
        story_run(w, 10);
        story_add(w, b, "b", (struct ask){ 0 });
        story_run(w, 100);
        story_expect(w, "10.000  A gone\n"
                        "10.000  A closed\n"
                        "20.000  B > add b\n"
                        "20.000  B < LIMIT maxLocks 1\n"
                        "110.000  h1 > n1 n2 n3 release a#1\n"
                        "111.000  n1 > released\n"
                        "111.000  n2 > released\n"
                        "111.000  n3 > released\n");
        story_add(w, b, "b", (struct ask){ 0 });
        story_run(w, 10);
        story_expect(w, "120.000  B > add b\n"
                        "120.000  h1 > n1 n2 n3 take b#2\n"
                        "121.000  n1 > granted\n"
                        "121.000  n2 > granted\n"
                        "121.000  B < b#2 acquired 9897\n"
                        "121.000  n3 > granted\n");
        story_end(w);
}

static void what_has_lapsed_does_not_count(void)
{
        struct world *w = story_world(&(struct world_options){ .locks_all_max = 1 });
        unsigned a = world_open(w, 1);

        story_add(w, a, "a", (struct ask){ .ttl_ms = 100 });
        story_run(w, 200);
        story_skip(w);
        story_add(w, a, "b", (struct ask){ 0 });
        story_run(w, 10);
        story_expect(w, "200.000  A > add b\n"
                        "200.000  h1 > n1 n2 n3 take b#2\n"
                        "201.000  n1 > granted\n"
                        "201.000  n2 > granted\n"
                        "201.000  A < b#2 acquired 9897\n"
                        "201.000  n3 > granted\n");
        story_end(w);
}

static void so_many_may_wait_for_one_key_and_no_more(void)
{
        struct world *w = story_world(&(struct world_options){ .waiters_max = 2 });
        unsigned a = world_open(w, 1), b = world_open(w, 1), c = world_open(w, 1), d = world_open(w, 1);
        uint64_t waits;

        story_add(w, a, "k", (struct ask){ 0 });
        story_run(w, 10);
        story_skip(w);
        waits = story_add(w, b, "k", (struct ask){ 0 });
        story_add(w, c, "k", (struct ask){ 0 });
        story_add(w, d, "l,k", (struct ask){ 0 });
        story_add(w, d, "l", (struct ask){ 0 });
        story_add(w, d, "k", (struct ask){ .tries = 1 });
        story_extend(w, a, "k", (struct ask){ 0 });
        story_run(w, 10);
        story_cancel(w, b, waits);
        story_add(w, d, "k", (struct ask){ 0 });
        story_add(w, b, "k", (struct ask){ 0 });
        story_run(w, 10);
        story_give(w, a, "k");
        story_run(w, 10);
        story_expect(w, "10.000  B > add k\n"
                        "10.000  C > add k\n"
                        "10.000  D > add l,k\n"
                        "10.000  D < LIMIT maxWaitersPerKey 2\n"
                        "10.000  D > add l\n"
                        "10.000  h1 > n1 n2 n3 take l#2\n"
                        "10.000  D > add k\n"
                        "10.000  D < LOCKED k, 1 attempts, 0 ms, holder A\n"
                        "10.000  A > extend k\n"
                        "10.000  h1 > n1 n2 n3 take +k#1\n"
                        "11.000  n1 > granted\n"
                        "11.000  n2 > granted\n"
                        "11.000  D < l#2 acquired 9897\n"
                        "11.000  n3 > granted\n"
                        "11.000  n1 > granted\n"
                        "11.000  n2 > granted\n"
                        "11.000  A < k#1 extended 9897\n"
                        "11.000  n3 > granted\n"
                        "20.000  B > cancel\n"
                        "20.000  B < CANCELLED k\n"
                        "20.000  B < cancelled true\n"
                        "20.000  D > add k\n"
                        "20.000  B > add k\n"
                        "20.000  B < LIMIT maxWaitersPerKey 2\n"
                        "30.000  A > free k\n"
                        "30.000  A < k freed\n"
                        "30.000  C < k#3 acquired 9878\n");
        story_end(w);
}

/*
 * Three acquires are in the kernel of a node that hangs, and two may wait for it: these are undone when it goes on, the
 * third one stands there until its ttl is over.
 */
static void so_many_may_be_adrift_and_no_more(void)
{
        struct world *w = story_world(&(struct world_options){ .adrift_max = 2 });
        static const char *const keys[] = { "k", "l", "m" };
        unsigned a = world_open(w, 1), left_n = 0, i;

        world_hang(w, 3);
        for (i = 0; i < 3; ++i) {
                story_add(w, a, keys[i], (struct ask){ .ttl_ms = 1000 });
                story_run(w, 10);
                world_cut(w, 1, 3);
                world_join(w, 1, 3);
        }
        world_cut(w, 1, 3);
        story_give(w, a, NULL);
        story_run(w, 3000);
        world_go_on(w, 3);
        world_join(w, 1, 3);
        story_run(w, 10);
        for (i = 0; w && i < 3; ++i)
                left_n += story_stored(w, 3, keys[i]) != NULL;
        story_check(w, left_n == 1);
        story_run(w, 1000);
        story_end(w);
}

STORY_MAIN("limits", STORY(all_sessions_together_may_not_hold_more_than_the_limit),
           STORY(what_waits_out_a_lock_delay_counts), STORY(what_has_lapsed_does_not_count),
           STORY(so_many_may_wait_for_one_key_and_no_more), STORY(so_many_may_be_adrift_and_no_more))
