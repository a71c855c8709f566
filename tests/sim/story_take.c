/*
 * Scenes of add: one round to all nodes, its verdict as early as it can be, and the undo of what failed.
 */
#include "sim/story.h"

/* Won at the second of three grants; the third changes nothing. */
static void a_lock_is_granted_at_the_quorum_th_yes(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1);

        world_slow(w, 3, 2000);
        story_add(w, a, "k", (struct ask){ 0 });
        story_run(w, 10);
        story_expect(w, "0.000  A > add k\n"
                        "0.000  h1 > n1 n2 n3 take k#1\n"
                        "1.000  n1 > granted\n"
                        "1.000  n2 > granted\n"
                        "1.000  A < k#1 acquired 9897\n"
                        "4.000  n3 > granted\n");
        story_end(w);
}

/* One try once: refused as soon as two nodes say held; the node that granted is released in the same moment. */
static void a_lost_round_is_undone_at_once_on_every_node(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1);

        world_plant(w, 1, "k", 5000);
        world_plant(w, 2, "k", 5000);
        story_add(w, a, "k", (struct ask){ .tries = 1 });
        story_run(w, 10);
        story_expect(w, "0.000  A > add k\n"
                        "0.000  h1 > n1 n2 n3 take k#1\n"
                        "1.000  n1 > held\n"
                        "1.000  n2 > held\n"
                        "1.000  A < LOCKED k, 1 attempts, 1 ms\n"
                        "1.000  h1 > n3 release k#1\n"
                        "1.000  n3 > granted\n"
                        "2.000  n3 > released\n");
        story_end(w);
}

/* 1 grants, 1 refuses, 1 hangs: decided at the node timeout, not never; what the hung node may yet grant is released
 * behind it. */
static void a_grant_a_refusal_and_a_hang_are_decided_by_the_node_timeout(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1);

        world_plant(w, 2, "k", 5000);
        world_hang(w, 3);
        story_add(w, a, "k", (struct ask){ .tries = 1, .ttl_ms = 1000 });
        story_run(w, 100);
        story_expect(w, "0.000  n3 hangs\n"
                        "0.000  A > add k\n"
                        "0.000  h1 > n1 n2 n3 take k#1\n"
                        "1.000  n1 > granted\n"
                        "1.000  n2 > held\n"
                        "50.000  A < LOCKED k, 1 attempts, 50 ms\n"
                        "50.000  h1 > n1 n3 release k#1\n"
                        "51.000  n1 > released\n");
        world_go_on(w, 3);
        story_run(w, 10);
        story_expect(w, "100.000  n3 goes on\n"
                        "100.500  n3 > granted\n"
                        "100.500  n3 > released\n");
        story_end(w);
}

static void with_two_nodes_a_tie_is_lost(void)
{
        struct world *w = story_world(&(struct world_options){ .nodes_n = 2 });
        unsigned a = world_open(w, 1);

        world_plant(w, 2, "k", 5000);
        story_add(w, a, "k", (struct ask){ .tries = 1 });
        story_run(w, 10);
        story_expect(w, "0.000  A > add k\n"
                        "0.000  h1 > n1 n2 take k#1\n"
                        "1.000  n1 > granted\n"
                        "1.000  n2 > held\n"
                        "1.000  A < LOCKED k, 1 attempts, 1 ms\n"
                        "1.000  h1 > n1 release k#1\n"
                        "2.000  n1 > released\n");
        story_end(w);
}

/* The nodes answer, all with yes, when the validity is over: 30 ms are worth 28 at most, and the answers take 32. */
static void answers_later_than_the_validity_grant_nothing(void)
{
        struct world *w = story_world(&(struct world_options){ .nodes_n = 1 });
        unsigned a = world_open(w, 1);

        world_slow(w, 1, 9500);
        story_add(w, a, "k", (struct ask){ .tries = 1, .ttl_ms = 20 });
        story_run(w, 50);
        story_expect(w, "0.000  A > add k\n"
                        "0.000  h1 > n1 take k#1\n"
                        "19.000  n1 > granted\n"
                        "19.000  A < NO_QUORUM n1:late, 1 attempts, 19 ms\n"
                        "19.000  h1 > n1 release k#1\n"
                        "38.000  n1 > released\n");
        story_end(w);
}

/* Each try has a token of its own, so that the late release of the first cannot touch the second. */
static void a_second_try_uses_a_new_token_and_succeeds(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1);

        world_plant(w, 1, "k", 50);
        world_plant(w, 2, "k", 50);
        story_add(w, a, "k", (struct ask){ 0 });
        story_run(w, 200);
        story_expect(w, "0.000  A > add k\n"
                        "0.000  h1 > n1 n2 n3 take k#1\n"
                        "1.000  n1 > held\n"
                        "1.000  n2 > held\n"
                        "1.000  h1 > listen k\n"
                        "1.000  h1 > n3 release k#1\n"
                        "1.000  n3 > granted\n"
                        "2.000  n1 > listening k\n"
                        "2.000  n2 > listening k\n"
                        "2.000  h1 > n1 n2 n3 take k#2\n"
                        "2.000  n3 > listening k\n"
                        "2.000  n3 > free k 1\n"
                        "2.000  n3 > released\n"
                        "3.000  n1 > held\n"
                        "3.000  n2 > held\n"
                        "3.000  h1 > n3 release k#2\n"
                        "3.000  n3 > granted\n"
                        "4.000  n3 > free k 1\n"
                        "4.000  n3 > released\n"
                        "52.000  h1 > n1 n2 n3 take k#3\n"
                        "53.000  n1 > granted\n"
                        "53.000  n2 > granted\n"
                        "53.000  A < k#3 acquired 9897\n"
                        "53.000  n3 > granted\n");
        story_end(w);
}

static void several_keys_go_in_one_command_and_one_that_is_taken_refuses_all(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1);

        world_plant(w, 1, "b", 5000);
        world_plant(w, 2, "b", 5000);
        world_plant(w, 3, "b", 5000);
        story_add(w, a, "a,c,a", (struct ask){ 0 });
        story_run(w, 10);
        story_add(w, a, "a,b,d", (struct ask){ .tries = 1 });
        story_run(w, 10);
        story_expect(w, "0.000  A > add a,c,a\n"
                        "0.000  h1 > n1 n2 n3 take a#1 c#2\n"
                        "1.000  n1 > granted\n"
                        "1.000  n2 > granted\n"
                        "1.000  A < a#1 acquired 9897 c#2 acquired 9897\n"
                        "1.000  n3 > granted\n"
                        "10.000  A > add a,b,d\n"
                        "10.000  h1 > n1 n2 n3 take b#3 d#4\n"
                        "11.000  n1 > held\n"
                        "11.000  n2 > held\n"
                        "11.000  A < LOCKED b, 1 attempts, 1 ms\n"
                        "11.000  h1 > n3 release b#3 d#4\n"
                        "11.000  n3 > held\n"
                        "12.000  n3 > released\n");
        story_check(w, !story_stored(w, 3, "d"));
        story_end(w);
}

static void a_key_that_is_held_is_left_as_it_is(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1);

        story_add(w, a, "k", (struct ask){ 0 });
        story_run(w, 100);
        story_skip(w);
        story_add(w, a, "k", (struct ask){ .ttl_ms = 60000 });
        story_add(w, a, "k,l", (struct ask){ .ttl_ms = 60000 });
        story_run(w, 100);
        story_expect(w, "100.000  A > add k\n"
                        "100.000  A < k#1 held 9798\n"
                        "100.000  A > add k,l\n"
                        "100.000  h1 > n1 n2 n3 take l#2\n"
                        "101.000  n1 > granted\n"
                        "101.000  n2 > granted\n"
                        "101.000  A < k#1 held 9797 l#2 acquired 59397\n"
                        "101.000  n3 > granted\n");
        story_end(w);
}

static void without_a_quorum_of_nodes_nothing_is_sent(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1);

        world_cut(w, 1, 1);
        world_cut(w, 1, 2);
        story_add(w, a, "k", (struct ask){ .tries = 3 });
        story_run(w, 1000);
        story_expect(w, "0.000  h1 n1 cut\n"
                        "0.000  h1 n2 cut\n"
                        "0.000  A > add k\n"
                        "200.000  A < NO_QUORUM n1:down n2:down n3:pending, 3 attempts, 200 ms\n");
        story_end(w);
}

/* The node hung; its connection broke; it restarts with what it stored. The undo is sent again when it is back. */
static void an_undo_is_repeated_after_a_reconnect(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1);

        world_plant(w, 1, "k", 5000);
        world_plant(w, 2, "k", 5000);
        story_add(w, a, "k", (struct ask){ .tries = 1, .ttl_ms = 60000 });
        story_run(w, 1);
        world_crash(w, 3, false);
        story_run(w, 1000);
        story_expect(w, "0.000  A > add k\n"
                        "0.000  h1 > n1 n2 n3 take k#1\n"
                        "1.000  n1 > held\n"
                        "1.000  n2 > held\n"
                        "1.000  A < LOCKED k, 1 attempts, 1 ms\n"
                        "1.000  h1 > n3 release k#1\n"
                        "1.000  n3 > granted\n"
                        "1.000  h1 n3 cut\n");
        story_check(w, story_stored(w, 3, "k"));
        world_join(w, 1, 3);
        story_run(w, 10);
        story_check(w, !story_stored(w, 3, "k"));
        story_expect(w, "1001.000  h1 n3 up\n"
                        "1001.000  h1 > n3 release k#1\n"
                        "1002.000  n3 > released\n");
        story_end(w);
}

/* A node that does not come back is forgotten when the ttl has passed there: nothing is left to be done. */
static void an_undo_ends_when_the_ttl_has_passed(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1);

        story_add(w, a, "k", (struct ask){ .ttl_ms = 1000 });
        story_run(w, 10);
        world_crash(w, 3, false);
        world_end(w, a);
        story_run(w, 1000);
        story_check(w, engine_deadline_ns(w->hosts[0].engine) != UINT64_MAX);
        story_run(w, 300);
        story_check(w, engine_deadline_ns(w->hosts[0].engine) == UINT64_MAX);
        story_end(w);
}

/* NOSCRIPT: nothing was done there, so it is asked again within the round. */
static void a_node_without_the_script_is_asked_again_in_the_same_round(void)
{
        struct world *w = story_world(&(struct world_options){ .nodes_n = 1 });
        unsigned a = world_open(w, 1);

        world_flush_scripts(w, 1);
        story_add(w, a, "k", (struct ask){ .tries = 1 });
        story_run(w, 10);
        story_expect(w, "0.000  A > add k\n"
                        "0.000  h1 > n1 take k#1\n"
                        "1.000  n1 > again\n"
                        "1.000  h1 > n1 take k#1\n"
                        "2.000  n1 > granted\n"
                        "2.000  A < k#1 acquired 9896\n");
        story_end(w);
}

/* ... but not once the round is decided: the second acquire might come after the release. */
static void a_node_without_the_script_is_not_asked_again_after_the_verdict(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1);

        world_flush_scripts(w, 3);
        world_slow(w, 3, 2000);
        story_add(w, a, "k", (struct ask){ .tries = 1 });
        story_run(w, 10);
        story_expect(w, "0.000  A > add k\n"
                        "0.000  h1 > n1 n2 n3 take k#1\n"
                        "1.000  n1 > granted\n"
                        "1.000  n2 > granted\n"
                        "1.000  A < k#1 acquired 9897\n"
                        "4.000  n3 > again\n");
        story_end(w);
}

/* Two hosts, one key: neither the half lock of one nor of the other stays in the way. */
static void two_hosts_share_the_nodes(void)
{
        struct world *w = story_world(&(struct world_options){ .hosts_n = 2 });
        unsigned a = world_open(w, 1), b = world_open(w, 2);

        story_add(w, a, "k", (struct ask){ 0 });
        story_add(w, b, "k", (struct ask){ .tries = 2 });
        story_run(w, 1000);
        story_give(w, a, NULL);
        story_run(w, 10);
        story_add(w, b, "k", (struct ask){ 0 });
        story_run(w, 10);
        story_expect(w, "0.000  A > add k\n"
                        "0.000  h1 > n1 n2 n3 take k#1\n"
                        "0.000  B > add k\n"
                        "0.000  h2 > n1 n2 n3 take k#2\n"
                        "1.000  n1 > granted\n"
                        "1.000  n2 > granted\n"
                        "1.000  A < k#1 acquired 9897\n"
                        "1.000  n3 > granted\n"
                        "1.000  n1 > held\n"
                        "1.000  n2 > held\n"
                        "1.000  h2 > listen k\n"
                        "1.000  h2 > n3 release k#2\n"
                        "1.000  n3 > held\n"
                        "2.000  n1 > listening k\n"
                        "2.000  n2 > listening k\n"
                        "2.000  h2 > n1 n2 n3 take k#3\n"
                        "2.000  n3 > listening k\n"
                        "2.000  n3 > released\n"
                        "3.000  n1 > held\n"
                        "3.000  n2 > held\n"
                        "3.000  h2 > n3 release k#3\n"
                        "3.000  n3 > held\n"
                        "4.000  n3 > released\n"
                        "101.000  h2 > n1 n2 n3 take k#4\n"
                        "102.000  n1 > held\n"
                        "102.000  n2 > held\n"
                        "102.000  h2 > unlisten k\n"
                        "102.000  B < LOCKED k, 2 attempts, 102 ms\n"
                        "102.000  h2 > n3 release k#4\n"
                        "102.000  n3 > held\n"
                        "103.000  n3 > released\n"
                        "1000.000  A > free\n"
                        "1000.000  h1 > n1 n2 n3 release k#1\n"
                        "1001.000  n1 > released\n"
                        "1001.000  n2 > released\n"
                        "1001.000  A < k freed\n"
                        "1001.000  n3 > released\n"
                        "1010.000  B > add k\n"
                        "1010.000  h2 > n1 n2 n3 take k#5\n"
                        "1011.000  n1 > granted\n"
                        "1011.000  n2 > granted\n"
                        "1011.000  B < k#5 acquired 9897\n"
                        "1011.000  n3 > granted\n");
        story_end(w);
}

/* The host stood still while the answers came: counted from before the first byte, nothing is left of them. */
static void a_pause_of_the_host_longer_than_the_ttl_grants_nothing(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1);

        story_add(w, a, "k", (struct ask){ .tries = 1, .ttl_ms = 1000 });
        world_pause(w, 1, 1500);
        story_run(w, 2000);
        story_expect(w, "0.000  A > add k\n"
                        "0.000  h1 > n1 n2 n3 take k#1\n"
                        "0.000  h1 pauses for 1500 ms\n"
                        "1500.000  n1 > granted\n"
                        "1500.000  A < NO_QUORUM n1:timeout n2:timeout n3:timeout, 1 attempts, 1500 ms\n"
                        "1500.000  h1 > n1 n2 n3 release k#1\n"
                        "1500.000  n2 > granted\n"
                        "1500.000  n3 > granted\n"
                        "1501.000  n1 > released\n"
                        "1501.000  n2 > released\n"
                        "1501.000  n3 > released\n");
        story_end(w);
}

static void a_session_may_not_hold_more_than_its_limit(void)
{
        struct world *w = story_world(&(struct world_options){ .locks_max = 2 });
        unsigned a = world_open(w, 1);

        story_add(w, a, "a,b", (struct ask){ 0 });
        story_add(w, a, "c", (struct ask){ 0 });
        story_run(w, 10);
        story_add(w, a, "c", (struct ask){ 0 });
        story_extend(w, a, "a,b", (struct ask){ 0 });
        story_add(w, a, "a", (struct ask){ 0 });
        story_give(w, a, "a");
        story_run(w, 10);
        story_add(w, a, "c", (struct ask){ 0 });
        story_run(w, 10);
        story_expect(w, "0.000  A > add a,b\n"
                        "0.000  h1 > n1 n2 n3 take a#1 b#2\n"
                        "0.000  A > add c\n"
                        "0.000  A < LIMIT maxLocksPerSession 2\n"
                        "1.000  n1 > granted\n"
                        "1.000  n2 > granted\n"
                        "1.000  A < a#1 acquired 9897 b#2 acquired 9897\n"
                        "1.000  n3 > granted\n"
                        "10.000  A > add c\n"
                        "10.000  A < LIMIT maxLocksPerSession 2\n"
                        "10.000  A > extend a,b\n"
                        "10.000  h1 > n1 n2 n3 take +a#1 +b#2\n"
                        "10.000  A > add a\n"
                        "10.000  A > free a\n"
                        "11.000  n1 > granted\n"
                        "11.000  n2 > granted\n"
                        "11.000  A < a#1 extended 9897 b#2 extended 9897\n"
                        "11.000  A < a#1 held 9897\n"
                        "11.000  h1 > n1 n2 n3 release a#1\n"
                        "11.000  n3 > granted\n"
                        "12.000  n1 > released\n"
                        "12.000  n2 > released\n"
                        "12.000  A < a freed\n"
                        "12.000  n3 > released\n"
                        "20.000  A > add c\n"
                        "20.000  h1 > n1 n2 n3 take c#3\n"
                        "21.000  n1 > granted\n"
                        "21.000  n2 > granted\n"
                        "21.000  A < c#3 acquired 9897\n"
                        "21.000  n3 > granted\n");
        story_end(w);
}

/* Two nodes cannot be sent to: the verdict falls before the third was asked, so it is not asked, and nothing is to be
 * undone. */
static void after_the_verdict_no_node_is_asked(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1);

        world_refuse(w, 1, true);
        world_refuse(w, 2, true);
        story_add(w, a, "k", (struct ask){ .tries = 1 });
        story_run(w, 10);
        story_expect(w, "0.000  A > add k\n"
                        "0.000  A < NO_QUORUM n1:lost n2:lost n3:pending, 1 attempts, 0 ms\n");
        world_refuse(w, 1, false);
        world_refuse(w, 2, false);
        story_end(w);
}

/*
 * The acquire is carried out when its session is long gone, then the connection breaks: from that moment on its ttl
 * counts, and so long the undo is repeated.
 */
static void an_undo_lasts_as_long_as_a_late_acquire_may(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1);

        world_slow(w, 3, 1500000);
        story_add(w, a, "k", (struct ask){ .ttl_ms = 1000 });
        story_run(w, 10);
        world_end(w, a);
        story_run(w, 1495);
        world_cut(w, 1, 3);
        world_slow(w, 3, 500);
        story_run(w, 495);
        story_check(w, story_stored(w, 3, "k"));
        world_join(w, 1, 3);
        story_run(w, 10);
        story_check(w, !story_stored(w, 3, "k"));
        story_end(w);
}

/*
 * The acquire waits in a node that hangs; its release cannot be sent (the queue is full). Long after the ttl the node
 * goes on and carries out the acquire: from then on it counts, and is released.
 */
static void an_acquire_that_a_hung_node_carries_out_late_is_still_undone(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1);

        world_hang(w, 3);
        story_add(w, a, "k", (struct ask){ .ttl_ms = 1000 });
        story_run(w, 10);
        world_refuse(w, 3, true);
        world_end(w, a);
        story_run(w, 3000);
        world_go_on(w, 3);
        story_run(w, 10);
        story_check(w, story_stored(w, 3, "k"));
        world_refuse(w, 3, false);
        story_run(w, 250);
        story_check(w, !story_stored(w, 3, "k"));
        story_end(w);
}

/*
 * The connection to nodes that hang is given up with an acquire in it, so that its undo cannot follow it; but their
 * kernels have the acquire. Long after its ttl they go on, and carry it out: it must not be in its own host's way.
 */
static void an_acquire_that_was_given_up_does_not_block_its_own_host(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1), node;

        world_hang(w, 1);
        world_hang(w, 2);
        story_add(w, a, "k", (struct ask){ .ttl_ms = 1000, .tries = 1 });
        story_run(w, 10);
        world_cut(w, 1, 1);
        world_cut(w, 1, 2);
        story_run(w, 5000);
        for (node = 1; node <= 2; ++node) {
                world_go_on(w, node);
                story_check(w, story_stored(w, node, "k"));
                world_join(w, 1, node);
        }
        story_skip(w);
        story_add(w, a, "k", (struct ask){ .ttl_ms = 1000, .tries = 1 });
        story_run(w, 10);
        story_expect(w, "5010.000  A > add k\n"
                        "5010.000  h1 > n1 n2 n3 take k#2\n"
                        "5011.000  n1 > released\n"
                        "5011.000  n2 > released\n"
                        "5011.000  n1 > granted\n"
                        "5011.000  n2 > granted\n"
                        "5011.000  A < k#2 acquired 987\n"
                        "5011.000  n3 > granted\n");
        story_end(w);
}

/* The limit is for what the session would have, however often and in whatever order it asks. */
static void the_limit_counts_what_is_under_way_and_nothing_twice(void)
{
        struct world *w = story_world(&(struct world_options){ .locks_max = 2 });
        unsigned a = world_open(w, 1), b = world_open(w, 1);

        story_add(w, a, "x", (struct ask){ 0 });
        story_run(w, 10);
        story_skip(w);
        story_add(w, b, "x", (struct ask){ .tries = 2 });
        story_add(w, b, "y", (struct ask){ 0 });
        story_add(w, b, "x,y,z", (struct ask){ .tries = -1 });
        story_add(w, b, "z", (struct ask){ 0 });
        story_add(w, b, "v", (struct ask){ 0 });
        story_run(w, 200);
        story_expect(w, "10.000  B > add x\n"
                        "10.000  B > add y\n"
                        "10.000  h1 > n1 n2 n3 take y#2\n"
                        "10.000  B > add x,y,z\n"
                        "10.000  B > add z\n"
                        "10.000  B > add v\n"
                        "10.000  h1 > n1 n2 n3 take v#3\n"
                        "11.000  n1 > granted\n"
                        "11.000  n2 > granted\n"
                        "11.000  B < y#2 acquired 9897\n"
                        "11.000  n3 > granted\n"
                        "11.000  n1 > granted\n"
                        "11.000  n2 > granted\n"
                        "11.000  B < v#3 acquired 9897\n"
                        "11.000  n3 > granted\n"
                        "110.000  B < LIMIT maxLocksPerSession 2\n"
                        "110.000  B < LIMIT maxLocksPerSession 2\n"
                        "110.000  B < LIMIT maxLocksPerSession 2\n");
        story_end(w);
}

STORY_MAIN("take", STORY(a_lock_is_granted_at_the_quorum_th_yes), STORY(a_lost_round_is_undone_at_once_on_every_node),
           STORY(a_grant_a_refusal_and_a_hang_are_decided_by_the_node_timeout), STORY(with_two_nodes_a_tie_is_lost),
           STORY(answers_later_than_the_validity_grant_nothing), STORY(a_second_try_uses_a_new_token_and_succeeds),
           STORY(several_keys_go_in_one_command_and_one_that_is_taken_refuses_all),
           STORY(a_key_that_is_held_is_left_as_it_is), STORY(without_a_quorum_of_nodes_nothing_is_sent),
           STORY(an_undo_is_repeated_after_a_reconnect), STORY(an_undo_ends_when_the_ttl_has_passed),
           STORY(a_node_without_the_script_is_asked_again_in_the_same_round),
           STORY(a_node_without_the_script_is_not_asked_again_after_the_verdict), STORY(two_hosts_share_the_nodes),
           STORY(a_pause_of_the_host_longer_than_the_ttl_grants_nothing),
           STORY(a_session_may_not_hold_more_than_its_limit), STORY(after_the_verdict_no_node_is_asked),
           STORY(an_undo_lasts_as_long_as_a_late_acquire_may),
           STORY(an_acquire_that_a_hung_node_carries_out_late_is_still_undone),
           STORY(an_acquire_that_was_given_up_does_not_block_its_own_host),
           STORY(the_limit_counts_what_is_under_way_and_nothing_twice))
