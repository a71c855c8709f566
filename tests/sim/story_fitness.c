/*
 * Scenes of nodes that forget, and of those that may not vote for other reasons. The longest ttl is 10 s: a quarantine
 * is 10302 ms.
 */
#include "sim/story.h"

#include "redlockd/core/inspect.h"

#define QUARANTINE_MS 10302

static struct world *fitness_world(unsigned hosts_n, bool fresh)
{
        return story_world(&(struct world_options){ .hosts_n = hosts_n, .ttl_max_ms = 10000, .fresh = fresh });
}

static enum node_state state_of(struct world *w, unsigned host, unsigned node)
{
        struct inspect_node seen;

        inspect_node(w->hosts[host - 1].engine, node - 1, &seen);
        return seen.state;
}

/* It comes back without anything, and is reached again at once. */
static void restart_empty(struct world *w, unsigned node)
{
        unsigned host;

        world_crash(w, node, true);
        for (host = 1; w && host <= w->options.hosts_n; ++host)
                world_join(w, host, node);
}

/*
 * The holder has n1 and n2, n3 is away. n2 is killed and comes back empty, n3 comes back: with n2's yes there would be
 * two holders.
 */
static void a_node_that_came_back_empty_does_not_make_a_second_holder(void)
{
        struct world *w = fitness_world(2, false);
        unsigned a = world_open(w, 1), b = world_open(w, 2);

        world_crash(w, 3, true);
        story_add(w, a, "k", (struct ask){ .ttl_ms = 10000 });
        story_run(w, 10);
        restart_empty(w, 2);
        world_join(w, 1, 3);
        world_join(w, 2, 3);
        story_skip(w);
        story_add(w, b, "k", (struct ask){ .tries = 1 });
        story_run(w, 10);
        story_expect(w, "10.000  B > add k\n"
                        "10.000  B < NO_QUORUM n1:pending n2:down n3:down, 1 attempts, 0 ms\n");
        story_end(w);
}

/* The same by FLUSHALL; nobody has looked since, and n2 says so itself. */
static void a_node_that_was_flushed_does_not_make_a_second_holder(void)
{
        struct world *w = fitness_world(2, false);
        unsigned a = world_open(w, 1), b = world_open(w, 2);

        world_cut(w, 1, 3);
        story_add(w, a, "k", (struct ask){ .ttl_ms = 10000 });
        story_run(w, 10);
        world_lose(w, 2);
        story_skip(w);
        story_add(w, b, "k", (struct ask){ .tries = 1 });
        story_run(w, 10);
        story_expect(w, "10.000  B > add k\n"
                        "10.000  h2 > n1 n2 n3 take k#2\n"
                        "11.000  n1 > held\n"
                        "11.000  n2 > uncertified\n"
                        "11.000  h2: n2 quarantined\n"
                        "11.000  B < LOCKED k, 1 attempts, 1 ms\n"
                        "11.000  h2 > n3 release k#2\n"
                        "11.000  n3 > granted\n"
                        "12.000  n3 > released\n");
        story_end(w);
}

static void a_fresh_node_votes_after_one_quarantine_and_not_a_moment_sooner(void)
{
        struct world *w = fitness_world(1, true);
        unsigned a = world_open(w, 1);

        story_run(w, QUARANTINE_MS);
        story_add(w, a, "k", (struct ask){ .tries = 1 });
        story_run(w, 10);
        story_expect(w, "10302.000  h1 > n1 certify\n"
                        "10302.000  h1 > n3 certify\n"
                        "10302.000  h1 > n2 certify\n"
                        "10302.000  A > add k\n"
                        "10302.000  A < NO_QUORUM n1:down n2:down n3:down, 1 attempts, 0 ms\n"
                        "10303.000  h1: n1 votes\n"
                        "10303.000  h1: n3 votes\n"
                        "10303.000  h1: n2 votes\n");
        story_add(w, a, "k", (struct ask){ .tries = 1 });
        story_run(w, 10);
        story_expect(w, "10312.000  A > add k\n"
                        "10312.000  h1 > n1 n2 n3 take k#1\n"
                        "10313.000  n1 > granted\n"
                        "10313.000  n2 > granted\n"
                        "10313.000  A < k#1 acquired 9897\n"
                        "10313.000  n3 > granted\n");
        story_end(w);
}

/* The two looks before and after see the same: nothing there. Only the mark is another one. */
static void a_node_that_forgets_twice_begins_anew_also_between_two_looks(void)
{
        struct world *w = fitness_world(1, true);

        story_run(w, 5001);
        world_lose(w, 1);
        story_run(w, QUARANTINE_MS - 5001);
        story_expect(w, "5001.000  n1 forgets\n"
                        "10302.000  h1 > n2 certify\n"
                        "10302.000  h1 > n3 certify\n");
        story_check(w, state_of(w, 1, 1) == NODE_QUARANTINED);
        story_run(w, 5600);
        story_expect(w, "10303.000  h1: n2 votes\n"
                        "10303.000  h1: n3 votes\n"
                        "15312.000  h1 > n1 certify\n"
                        "15313.000  h1: n1 votes\n");
        story_end(w);
}

/* The order to write is on its way when the node forgets once more: it finds another mark there, or none. */
static void an_order_that_comes_after_another_loss_writes_nothing(void)
{
        struct world *w = fitness_world(1, true);

        world_hang(w, 1);
        story_run(w, QUARANTINE_MS);
        story_expect(w, "0.000  n1 hangs\n"
                        "10302.000  h1 > n1 certify\n"
                        "10302.000  h1 > n3 certify\n"
                        "10302.000  h1 > n2 certify\n");
        world_lose(w, 1);
        story_run(w, 10);
        world_go_on(w, 1);
        story_run(w, QUARANTINE_MS);
        story_expect(w, "10302.000  n1 forgets\n"
                        "10303.000  h1: n3 votes\n"
                        "10303.000  h1: n2 votes\n"
                        "10312.000  n1 goes on\n");
        story_run(w, 1000);
        story_expect(w, "20614.500  h1 > n1 certify\n"
                        "20615.500  h1: n1 votes\n");
        story_end(w);
}

static void a_connection_that_breaks_does_not_interrupt_the_quarantine(void)
{
        struct world *w = fitness_world(1, true);

        story_run(w, 1000);
        world_cut(w, 1, 2);
        story_run(w, 8000);
        world_join(w, 1, 2);
        story_run(w, QUARANTINE_MS - 9000);
        story_expect(w, "1000.000  h1 n2 cut\n"
                        "1000.000  h1: n2 down\n"
                        "9000.000  h1 n2 up\n"
                        "9000.000  h1: n2 quarantined\n"
                        "10302.000  h1 > n2 certify\n"
                        "10302.000  h1 > n3 certify\n"
                        "10302.000  h1 > n1 certify\n");
        story_end(w);
}

/* What it comes back with is a state of the past: its certificate is there, but it names another incarnation. */
static void a_restart_that_kept_the_certificate_is_quarantined_all_the_same(void)
{
        struct world *w = fitness_world(1, false);

        world_crash(w, 1, false);
        world_join(w, 1, 1);
        story_run(w, QUARANTINE_MS + 10);
        story_expect(w, "0.000  h1 n1 cut\n"
                        "0.000  h1: n1 down\n"
                        "0.000  h1 n1 up\n"
                        "0.000  h1: n1 quarantined\n"
                        "10302.000  h1 > n1 certify\n"
                        "10303.000  h1: n1 votes\n");
        story_end(w);
}

/* ... unless it was seen that a restart forgets nothing: and what is flushed is forgotten by such a node, too. */
static void a_node_that_keeps_everything_over_a_restart_votes_at_once(void)
{
        struct world *w = fitness_world(1, false);

        if (w)
                world_node(w, 0)->durable = true;
        story_run(w, 1000);
        world_crash(w, 1, false);
        world_join(w, 1, 1);
        story_run(w, 10);
        story_expect(w, "1000.000  h1 n1 cut\n"
                        "1000.000  h1: n1 down\n"
                        "1000.000  h1 n1 up\n"
                        "1000.000  h1: n1 quarantined\n"
                        "1000.000  h1 > n1 certify\n"
                        "1001.000  h1: n1 votes\n");
        world_lose(w, 1);
        story_run(w, 1000);
        story_expect(w, "1010.000  n1 forgets\n"
                        "1502.000  h1: n1 quarantined\n");
        story_end(w);
}

static void another_hosts_certificate_is_as_good(void)
{
        struct world *w = fitness_world(2, true);
        unsigned a = world_open(w, 1);

        story_skip(w);
        world_certify(w, a, 3);
        story_run(w, 600);
        story_expect(w, "0.000  A > certify n3\n"
                        "0.000  h1 > n3 certify\n"
                        "0.000  A < n3 certified\n"
                        "1.000  h1: n3 votes\n"
                        "501.000  h2: n3 votes\n");
        world_certify(w, a, 3);
        story_expect(w, "600.000  A > certify n3\n"
                        "600.000  A < n3 not certified\n");
        story_end(w);
}

/* What another host took on it between two looks of ours, and was lost at once, is not forgotten by us. */
static void a_certificate_that_came_and_went_between_two_looks_counts(void)
{
        struct world *w = fitness_world(2, true);
        unsigned a = world_open(w, 1), b = world_open(w, 2);

        story_run(w, 9100);
        world_certify(w, a, 1);
        world_certify(w, a, 2);
        world_certify(w, a, 3);
        story_run(w, 2);
        story_add(w, a, "k", (struct ask){ .ttl_ms = 10000 });
        story_run(w, 2);
        world_lose(w, 1);
        world_lose(w, 2);
        world_lose(w, 3);
        story_run(w, QUARANTINE_MS - 9104 + 10);
        story_skip(w);
        story_add(w, b, "k", (struct ask){ .tries = 1 });
        story_expect(w, "10312.000  B > add k\n"
                        "10312.000  B < NO_QUORUM n1:down n2:down n3:down, 1 attempts, 0 ms\n");
        story_end(w);
}

/* It is in quarantine, and what it holds of a lock that is freed goes all the same. */
static void releases_go_to_a_node_in_quarantine(void)
{
        struct world *w = fitness_world(1, false);
        unsigned a = world_open(w, 1);

        story_add(w, a, "k", (struct ask){ 0 });
        story_run(w, 10);
        world_crash(w, 1, false);
        world_join(w, 1, 1);
        story_skip(w);
        story_give(w, a, "k");
        story_run(w, 10);
        story_expect(w, "10.000  A > free k\n"
                        "10.000  h1 > n1 n2 n3 release k#1\n"
                        "11.000  n2 > granted\n"
                        "11.000  n3 > granted\n"
                        "11.000  n1 > released\n"
                        "11.000  n2 > released\n"
                        "11.000  A < k freed\n"
                        "11.000  n3 > released\n");
        story_check(w, !story_stored(w, 1, "k"));
        story_end(w);
}

/* Nor does it count for an extension, though it has the key. */
static void an_extension_is_not_carried_by_a_node_in_quarantine(void)
{
        struct world *w = fitness_world(1, false);
        unsigned a = world_open(w, 1);

        story_add(w, a, "k", (struct ask){ 0 });
        story_run(w, 10);
        world_crash(w, 1, false);
        world_join(w, 1, 1);
        world_crash(w, 2, false);
        story_skip(w);
        story_extend(w, a, "k", (struct ask){ .tries = 1 });
        story_run(w, 10);
        story_expect(w, "10.000  A > extend k\n"
                        "10.000  A < NO_QUORUM n1:down n2:down n3:pending, 1 attempts, 0 ms\n"
                        "11.000  n3 > granted\n");
        story_end(w);
}

static void a_node_that_is_found_unfit_does_not_vote_until_it_is_fit_again(void)
{
        struct world *w = fitness_world(1, false);
        unsigned a = world_open(w, 1);

        story_subscribe(w, a, NOTICE_NODE);
        story_skip(w);
        world_spoil(w, 2, true);
        story_run(w, 600);
        story_add(w, a, "k", (struct ask){ 0 });
        story_run(w, 10);
        story_expect(w, "0.000  n2 is a replica\n"
                        "501.000  h1: n2 unfit\n"
                        "501.000  A < node n2 unfit\n"
                        "600.000  A > add k\n"
                        "600.000  h1 > n1 n3 take k#1\n"
                        "601.000  n1 > granted\n"
                        "601.000  n3 > granted\n"
                        "601.000  A < k#1 acquired 9897\n");
        story_give(w, a, "k");
        story_run(w, 10);
        story_skip(w);
        world_spoil(w, 2, false);
        story_run(w, 600);
        story_expect(w, "620.000  n2 is a master\n"
                        "1002.000  h1: n2 votes\n"
                        "1002.000  A < node n2 up\n");
        story_end(w);
}

/* One server under two names has one vote: that of the first, and while that is away the other's. */
static void one_server_under_two_names_votes_once(void)
{
        struct world *w = story_world(&(struct world_options){ .ttl_max_ms = 10000, .twin = 3, .twin_of = 1 });
        unsigned a = world_open(w, 1);

        story_check(w, state_of(w, 1, 3) == NODE_UNFIT);
        world_crash(w, 2, false);
        story_skip(w);
        story_add(w, a, "k", (struct ask){ .tries = 1 });
        story_expect(w, "0.000  A > add k\n"
                        "0.000  A < NO_QUORUM n1:pending n2:down n3:down, 1 attempts, 0 ms\n");
        world_cut(w, 1, 1);
        world_join(w, 1, 1);
        story_expect(w, "0.000  h1 n1 cut\n"
                        "0.000  h1: n1 down\n"
                        "0.000  h1: n3 votes\n"
                        "0.000  h1 n1 up\n"
                        "0.000  h1: n1 votes\n"
                        "0.000  h1: n3 unfit\n");
        story_end(w);
}

STORY_MAIN("fitness", STORY(a_node_that_came_back_empty_does_not_make_a_second_holder),
           STORY(a_node_that_was_flushed_does_not_make_a_second_holder),
           STORY(a_fresh_node_votes_after_one_quarantine_and_not_a_moment_sooner),
           STORY(a_node_that_forgets_twice_begins_anew_also_between_two_looks),
           STORY(an_order_that_comes_after_another_loss_writes_nothing),
           STORY(a_connection_that_breaks_does_not_interrupt_the_quarantine),
           STORY(a_restart_that_kept_the_certificate_is_quarantined_all_the_same),
           STORY(a_node_that_keeps_everything_over_a_restart_votes_at_once),
           STORY(another_hosts_certificate_is_as_good),
           STORY(a_certificate_that_came_and_went_between_two_looks_counts), STORY(releases_go_to_a_node_in_quarantine),
           STORY(an_extension_is_not_carried_by_a_node_in_quarantine),
           STORY(a_node_that_is_found_unfit_does_not_vote_until_it_is_fit_again),
           STORY(one_server_under_two_names_votes_once))
