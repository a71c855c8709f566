/*
 * Scenes of an administrator's hand: a lock broken, a session ended, a broker drained; and a look at the nodes.
 */
#include "sim/story.h"

static void admin(struct world *w, unsigned session, struct request request, const char *key)
{
        struct text text = text_of(key ? key : "");

        request.keys = key ? &text : NULL;
        request.keys_n = key ? 1 : 0;
        world_request(w, session, request);
}

/* The holder is told, and renewing does not bring it back; who waited has the key at once. */
static void a_broken_lock_is_lost_and_goes_to_the_next(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1), b = world_open(w, 1), c = world_open(w, 1);

        story_subscribe(w, a, NOTICE_DEFAULT);
        story_add(w, a, "k", (struct ask){ 0 });
        story_run(w, 10);
        story_add(w, b, "k", (struct ask){ 0 });
        story_skip(w);
        admin(w, c, (struct request){ .method = METHOD_BREAK }, "k");
        story_extend(w, a, "k", (struct ask){ 0 });
        story_extend(w, a, "k", (struct ask){ .strict = true });
        story_run(w, 10);
        story_give(w, a, "k");
        story_extend(w, a, "k", (struct ask){ .strict = true });
        story_expect(w, "10.000  C > break k\n"
                        "10.000  A < lost k#1 BROKEN\n"
                        "10.000  C < k  A\n"
                        "10.000  B < k#2 acquired 9888\n"
                        "10.000  A > extend k\n"
                        "10.000  A < BROKEN k\n"
                        "10.000  A > extend k\n"
                        "10.000  A < BROKEN k\n"
                        "20.000  A > free k\n"
                        "20.000  A < k expired\n"
                        "20.000  A > extend k\n"
                        "20.000  A < NOT_HELD k\n");
        story_end(w);
}

/* An extension is under way when the lock is broken: it comes too late, and grants nothing. */
static void a_lock_is_broken_while_it_is_extended(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1), b = world_open(w, 1);

        story_add(w, a, "k", (struct ask){ 0 });
        story_run(w, 10);
        story_skip(w);
        story_extend(w, a, "k", (struct ask){ .ttl_ms = 60000 });
        admin(w, b, (struct request){ .method = METHOD_BREAK }, "k");
        story_run(w, 10);
        story_add(w, a, "k", (struct ask){ 0 });
        story_run(w, 10);
        story_expect(w, "10.000  A > extend k\n"
                        "10.000  h1 > n1 n2 n3 take +k#1\n"
                        "10.000  B > break k\n"
                        "10.000  B < k  A\n"
                        "10.000  h1 > n1 n2 n3 release k#1\n"
                        "11.000  n1 > granted\n"
                        "11.000  n2 > granted\n"
                        "11.000  A < BROKEN k\n"
                        "11.000  n3 > granted\n"
                        "11.000  n1 > released\n"
                        "11.000  n2 > released\n"
                        "11.000  n3 > released\n"
                        "20.000  A > add k\n"
                        "20.000  h1 > n1 n2 n3 take k#2\n"
                        "21.000  n1 > granted\n"
                        "21.000  n2 > granted\n"
                        "21.000  A < k#2 acquired 9897\n"
                        "21.000  n3 > granted\n");
        story_check(w, story_stored(w, 1, "k"));
        story_end(w);
}

/* Nobody is told who holds it elsewhere, so it is not touched; nor is one that is not granted yet. */
static void only_what_is_held_here_can_be_broken(void)
{
        struct world *w = story_world(&(struct world_options){ .hosts_n = 2 });
        unsigned a = world_open(w, 1), b = world_open(w, 2);

        story_add(w, b, "k", (struct ask){ 0 });
        story_run(w, 10);
        story_skip(w);
        admin(w, a, (struct request){ .method = METHOD_BREAK }, "k");
        story_add(w, a, "l", (struct ask){ 0 });
        admin(w, b, (struct request){ .method = METHOD_BREAK }, "l");
        story_run(w, 10);
        story_expect(w, "10.000  A > break k\n"
                        "10.000  A < NOT_HELD k\n"
                        "10.000  A > add l\n"
                        "10.000  h1 > n1 n2 n3 take l#2\n"
                        "10.000  B > break l\n"
                        "10.000  B < NOT_HELD l\n"
                        "11.000  n1 > granted\n"
                        "11.000  n2 > granted\n"
                        "11.000  A < l#2 acquired 9897\n"
                        "11.000  n3 > granted\n");
        story_check(w, story_stored(w, 1, "k") && story_stored(w, 1, "l"));
        story_end(w);
}

/* Its locks go to who waits, and what it waits for is answered. */
static void a_session_that_is_killed_leaves_nothing(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1), b = world_open(w, 1), c = world_open(w, 1);

        story_add(w, a, "k", (struct ask){ 0 });
        story_add(w, c, "l", (struct ask){ 0 });
        story_run(w, 10);
        story_add(w, a, "l", (struct ask){ 0 });
        story_add(w, b, "k", (struct ask){ 0 });
        story_skip(w);
        admin(w, c, (struct request){ .method = METHOD_KILL, .target = a }, NULL);
        story_run(w, 10);
        admin(w, c, (struct request){ .method = METHOD_KILL, .target = a }, NULL);
        story_expect(w, "10.000  C > kill\n"
                        "10.000  A < CANCELLED l\n"
                        "10.000  A closed\n"
                        "10.000  C < A\n"
                        "10.000  B < k#3 acquired 9888\n"
                        "20.000  C > kill\n"
                        "20.000  C < INVALID_PARAMS\n");
        world_end(w, a); /* the world's own view of it */
        story_end(w);
}

/* Out of service and back again: holders are not disturbed, and hear of nothing. */
static void a_drain_that_is_taken_back(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1), b = world_open(w, 1);

        story_subscribe(w, a, NOTICE_DEFAULT);
        story_add(w, a, "k", (struct ask){ 0 });
        story_run(w, 10);
        story_add(w, b, "k", (struct ask){ 0 });
        story_skip(w);
        admin(w, b, (struct request){ .method = METHOD_DRAIN }, NULL);
        story_add(w, b, "l", (struct ask){ 0 });
        story_add(w, a, "k", (struct ask){ 0 });
        story_add(w, a, "k,l", (struct ask){ 0 });
        story_extend(w, a, "k", (struct ask){ 0 });
        story_run(w, 10);
        admin(w, b, (struct request){ .method = METHOD_DRAIN, .off = true }, NULL);
        story_add(w, b, "l", (struct ask){ 0 });
        story_run(w, 10);
        world_drain(w, 1);
        admin(w, b, (struct request){ .method = METHOD_DRAIN, .off = true }, NULL);
        story_expect(w, "10.000  B > drain\n"
                        "10.000  B < STOPPING k\n"
                        "10.000  B < draining\n"
                        "10.000  B > add l\n"
                        "10.000  B < STOPPING\n"
                        "10.000  A > add k\n"
                        "10.000  A < k#1 held 9888\n"
                        "10.000  A > add k,l\n"
                        "10.000  A < STOPPING\n"
                        "10.000  A > extend k\n"
                        "10.000  h1 > n1 n2 n3 take +k#1\n"
                        "11.000  n1 > granted\n"
                        "11.000  n2 > granted\n"
                        "11.000  A < k#1 extended 9897\n"
                        "11.000  n3 > granted\n"
                        "20.000  B > drain\n"
                        "20.000  B < not draining\n"
                        "20.000  B > add l\n"
                        "20.000  h1 > n1 n2 n3 take l#2\n"
                        "21.000  n1 > granted\n"
                        "21.000  n2 > granted\n"
                        "21.000  B < l#2 acquired 9897\n"
                        "21.000  n3 > granted\n"
                        "30.000  h1 > drain\n"
                        "30.000  A < stopping\n"
                        "30.000  B > drain\n"
                        "30.000  B < STOPPING\n");
        story_end(w);
}

/* One node has lost both keys, one has released the broken one already: no reason to say that the other one is lost. */
static void an_extension_under_which_a_lock_is_broken_is_refused_for_that(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1), b = world_open(w, 1);

        story_add(w, a, "k,l", (struct ask){ 0 });
        story_run(w, 10);
        world_lose(w, 3);
        world_slow(w, 2, 5000);
        story_skip(w);
        story_extend(w, a, "k,l", (struct ask){ 0 });
        admin(w, b, (struct request){ .method = METHOD_BREAK }, "k");
        story_run(w, 20);
        story_expect(w, "10.000  A > extend k,l\n"
                        "10.000  h1 > n1 n2 n3 take +k#1 +l#2\n"
                        "10.000  B > break k\n"
                        "10.000  B < k  A\n"
                        "10.000  h1 > n1 n2 n3 release k#1\n"
                        "11.000  n1 > granted\n"
                        "11.000  n3 > held\n"
                        "11.000  n1 > released\n"
                        "11.000  n3 > released\n"
                        "20.000  n2 > granted\n"
                        "20.000  A < BROKEN k\n"
                        "20.000  n2 > released\n");
        story_end(w);
}

/* Ours, absent, somebody else's; a node that hangs, and one that is not there. */
static void a_look_at_the_nodes_shows_each_of_them(void)
{
        struct world *w = story_world(&(struct world_options){ .nodes_n = 5 });
        unsigned a = world_open(w, 1), b = world_open(w, 1);

        story_add(w, a, "k", (struct ask){ 0 });
        story_run(w, 10);
        world_lose(w, 2);
        world_lose(w, 3);
        world_plant(w, 3, "k", 5000);
        world_hang(w, 4);
        world_crash(w, 5, false);
        story_skip(w);
        admin(w, b, (struct request){ .method = METHOD_WHY }, "k");
        story_run(w, 300);
        world_go_on(w, 4);
        story_run(w, 10);
        story_expect(w, "10.000  B > why k\n"
                        "10.000  h1 > n1 n2 n3 n4 peek k\n"
                        "11.000  n1 > granted\n"
                        "11.000  n2 > granted\n"
                        "11.000  n3 > granted\n"
                        "210.000  B < n1:ours 9990 n2:absent 0 n3:other 5000 n4:timeout 0 n5:down 0\n"
                        "310.000  n4 goes on\n"
                        "310.500  n4 > granted\n");
        world_join(w, 1, 5);
        story_end(w);
}

/* Who asked is gone before the answers come. */
static void a_look_whose_session_ends(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1);

        admin(w, a, (struct request){ .method = METHOD_WHY }, "k");
        world_end(w, a);
        story_run(w, 10);
        story_expect(w, "0.000  A > why k\n"
                        "0.000  h1 > n1 n2 n3 peek k\n"
                        "0.000  A gone\n"
                        "0.000  A < CANCELLED\n"
                        "0.000  A closed\n"
                        "1.000  n1 > granted\n"
                        "1.000  n2 > granted\n"
                        "1.000  n3 > granted\n");
        story_end(w);
}

STORY_MAIN("admin", STORY(a_broken_lock_is_lost_and_goes_to_the_next), STORY(a_lock_is_broken_while_it_is_extended),
           STORY(only_what_is_held_here_can_be_broken), STORY(a_session_that_is_killed_leaves_nothing),
           STORY(a_drain_that_is_taken_back), STORY(an_extension_under_which_a_lock_is_broken_is_refused_for_that),
           STORY(a_look_at_the_nodes_shows_each_of_them), STORY(a_look_whose_session_ends))
