/* A node's fitness: every rule of its quarantine, to the nanosecond. */
#include "redlockd/core/fitness.h"

#include "redlockd/core/validity.h"
#include "unit/unit.h"

#define Q UINT64_C(1000) /* the quarantine of these nodes, in ns */

static struct fitness fresh(void)
{
        struct fitness f;

        fitness_init(&f, Q);
        return f;
}

static void look(struct fitness *f, enum look_verdict verdict, const char *run_id, uint64_t mark, uint64_t now_ns)
{
        const struct node_look l = { .verdict = verdict, .run_id = run_id, .reason = "", .mark = mark };

        fitness_on_look(f, &l, now_ns);
}

/* Not one nanosecond before `at_ns`, and then. */
static void expect_due(const struct fitness *f, uint64_t at_ns)
{
        ck_assert_uint_eq(fitness_votes_ns(f), at_ns);
        ck_assert(!fitness_is_due(f, at_ns - 1));
        ck_assert(fitness_is_due(f, at_ns));
}

START_TEST(a_quarantine_is_the_longest_ttl_its_drift_and_the_age_of_a_request)
{
        ck_assert_uint_eq(validity_quarantine_ns(60000, 0.01), (60000 + 602 + 200) * NS_PER_MS);
        ck_assert_uint_eq(validity_quarantine_ns(10, 0), (10 + 2 + 200) * NS_PER_MS);
}
END_TEST

START_TEST(nothing_is_known_before_the_first_look)
{
        struct fitness f = fresh();

        ck_assert_int_eq(f.state, FITNESS_UNSEEN);
        ck_assert(!fitness_is_due(&f, UINT64_MAX));
        ck_assert_uint_eq(fitness_votes_ns(&f), 0);
}
END_TEST

START_TEST(a_certificate_that_stands_makes_fit_at_once)
{
        struct fitness f = fresh();

        look(&f, LOOK_CERTIFIED, "r", 0, 5);
        ck_assert_int_eq(f.state, FITNESS_FIT);
        ck_assert(!fitness_is_due(&f, UINT64_MAX));
}
END_TEST

START_TEST(one_mark_has_to_stand_for_the_whole_quarantine)
{
        struct fitness f = fresh();

        look(&f, LOOK_UNCERTIFIED, "r", 7, 50);
        ck_assert_int_eq(f.state, FITNESS_QUARANTINED);
        expect_due(&f, 50 + Q);
        look(&f, LOOK_UNCERTIFIED, "r", 7, 900);
        expect_due(&f, 50 + Q);
}
END_TEST

START_TEST(another_mark_begins_it_anew)
{
        struct fitness f = fresh();

        look(&f, LOOK_UNCERTIFIED, "r", 7, 50);
        look(&f, LOOK_UNCERTIFIED, "r", 8, 900);
        expect_due(&f, 900 + Q);
        look(&f, LOOK_UNCERTIFIED, "r", 7, 950); /* also one that was there before */
        expect_due(&f, 950 + Q);
}
END_TEST

START_TEST(another_incarnation_begins_it_anew_under_the_same_mark)
{
        struct fitness f = fresh();

        look(&f, LOOK_UNCERTIFIED, "r", 7, 50);
        look(&f, LOOK_UNCERTIFIED, "s", 7, 900); /* the mark came back from the disk */
        expect_due(&f, 900 + Q);
}
END_TEST

START_TEST(a_connection_that_breaks_does_not_interrupt_it)
{
        struct fitness f = fresh();

        look(&f, LOOK_UNCERTIFIED, "r", 7, 50);
        fitness_on_down(&f);
        ck_assert_int_eq(f.state, FITNESS_UNSEEN);
        ck_assert(!fitness_is_due(&f, UINT64_MAX));
        ck_assert_uint_eq(fitness_votes_ns(&f), 0);
        look(&f, LOOK_UNCERTIFIED, "r", 7, 900);
        expect_due(&f, 50 + Q);
}
END_TEST

START_TEST(a_certificate_seen_meanwhile_ends_it_and_its_loss_begins_another)
{
        struct fitness f = fresh();

        look(&f, LOOK_UNCERTIFIED, "r", 7, 50);
        look(&f, LOOK_CERTIFIED, "r", 0, 60); /* another host wrote it */
        ck_assert_int_eq(f.state, FITNESS_FIT);
        look(&f, LOOK_UNCERTIFIED, "r", 7, 900);
        expect_due(&f, 900 + Q);
}
END_TEST

START_TEST(an_answer_ends_its_vote_at_once_and_the_next_look_begins_to_count)
{
        struct fitness f = fresh();

        look(&f, LOOK_CERTIFIED, "r", 0, 50);
        fitness_on_uncertified(&f);
        ck_assert_int_eq(f.state, FITNESS_QUARANTINED);
        ck_assert(!fitness_is_due(&f, UINT64_MAX));
        ck_assert_uint_eq(fitness_votes_ns(&f), 0);
        look(&f, LOOK_UNCERTIFIED, "r", 7, 90);
        expect_due(&f, 90 + Q);
        fitness_on_uncertified(&f); /* one more of a round that was under way */
        expect_due(&f, 90 + Q);
}
END_TEST

START_TEST(who_is_unfit_begins_anew_when_it_is_fit_again)
{
        struct fitness f = fresh();

        look(&f, LOOK_UNCERTIFIED, "r", 7, 50);
        look(&f, LOOK_UNFIT, "r", 0, 60);
        ck_assert_int_eq(f.state, FITNESS_UNFIT);
        ck_assert(!fitness_is_due(&f, UINT64_MAX));
        fitness_on_uncertified(&f);
        ck_assert_int_eq(f.state, FITNESS_UNFIT);
        look(&f, LOOK_UNCERTIFIED, "r", 7, 900);
        expect_due(&f, 900 + Q);
}
END_TEST

START_TEST(who_kept_everything_does_not_wait)
{
        struct fitness f = fresh();

        look(&f, LOOK_KEPT, "s", 7, 50);
        ck_assert_int_eq(f.state, FITNESS_QUARANTINED); /* it votes when its certificate is written, not before */
        expect_due(&f, 50);
}
END_TEST

START_TEST(an_operator_can_vouch_for_what_stands_there_and_for_nothing_else)
{
        struct fitness f = fresh();

        ck_assert(!fitness_vouch(&f, 10));
        look(&f, LOOK_UNCERTIFIED, "r", 7, 50);
        ck_assert(fitness_vouch(&f, 60));
        expect_due(&f, 60);
        look(&f, LOOK_UNCERTIFIED, "r", 7, 70);
        expect_due(&f, 60);
        look(&f, LOOK_UNCERTIFIED, "r", 8, 80); /* it has forgotten once more since */
        expect_due(&f, 80 + Q);
        look(&f, LOOK_CERTIFIED, "r", 0, 90);
        ck_assert(!fitness_vouch(&f, 91));
        fitness_on_uncertified(&f);
        ck_assert(!fitness_vouch(&f, 92)); /* what stands there now is not known */
        look(&f, LOOK_UNFIT, "r", 0, 95);
        ck_assert(!fitness_vouch(&f, 96));
        fitness_on_down(&f);
        ck_assert(!fitness_vouch(&f, 97));
}
END_TEST

UNIT_MAIN("fitness", a_quarantine_is_the_longest_ttl_its_drift_and_the_age_of_a_request,
          nothing_is_known_before_the_first_look, a_certificate_that_stands_makes_fit_at_once,
          one_mark_has_to_stand_for_the_whole_quarantine, another_mark_begins_it_anew,
          another_incarnation_begins_it_anew_under_the_same_mark, a_connection_that_breaks_does_not_interrupt_it,
          a_certificate_seen_meanwhile_ends_it_and_its_loss_begins_another,
          an_answer_ends_its_vote_at_once_and_the_next_look_begins_to_count,
          who_is_unfit_begins_anew_when_it_is_fit_again, who_kept_everything_does_not_wait,
          an_operator_can_vouch_for_what_stands_there_and_for_nothing_else)
