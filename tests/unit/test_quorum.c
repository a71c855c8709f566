/* The ballot: every sequence of answers that 1 to 7 nodes can give, against what a plain count says. */
#include "redlockd/core/quorum.h"

#include "unit/unit.h"

START_TEST(a_majority_is_more_than_half_of_the_configured_nodes)
{
        static const unsigned expected[] = { 1, 2, 2, 3, 3, 4, 4 };
        unsigned n;

        for (n = 1; n <= 7; ++n)
                ck_assert_uint_eq(quorum_of(n), expected[n - 1]);
}
END_TEST

/* Each node answers yes, no or not at all: 3^n ballots. */
START_TEST(the_verdict_is_as_early_as_it_can_be_and_never_wrong)
{
        unsigned n, ballot, node, rest, yes, no;

        for (n = 1; n <= 7; ++n) {
                unsigned ballots = 1;

                for (node = 0; node < n; ++node)
                        ballots *= 3;
                for (ballot = 0; ballot < ballots; ++ballot) {
                        enum quorum_verdict expected = QUORUM_PENDING;
                        struct quorum q;

                        quorum_init(&q, n);
                        yes = no = 0;
                        for (node = 0, rest = ballot; node < n; ++node, rest /= 3) {
                                if (rest % 3 == 2)
                                        continue;
                                ck_assert_int_eq(quorum_vote(&q, node, rest % 3 == 1), 0);
                                yes += rest % 3 == 1;
                                no += rest % 3 == 0;
                        }
                        if (yes > n / 2)
                                expected = QUORUM_WON;
                        else if (n - no <= n / 2)
                                expected = QUORUM_LOST;
                        ck_assert_int_eq(quorum_verdict(&q), expected);
                        ck_assert_int_eq(__builtin_popcount(quorum_open(&q)), (int)(n - yes - no));
                }
        }
}
END_TEST

START_TEST(a_verdict_never_changes_by_later_answers)
{
        unsigned order, node, bits;

        for (bits = 0; bits < 128; ++bits) {
                for (order = 0; order < 7; ++order) {
                        enum quorum_verdict seen = QUORUM_PENDING;
                        struct quorum q;

                        quorum_init(&q, 7);
                        for (node = 0; node < 7; ++node) {
                                unsigned voter = (node * 3 + order) % 7;

                                quorum_vote(&q, voter, bits >> voter & 1);
                                if (seen != QUORUM_PENDING)
                                        ck_assert_int_eq(quorum_verdict(&q), seen);
                                seen = quorum_verdict(&q);
                        }
                        ck_assert_int_ne(seen, QUORUM_PENDING);
                }
        }
}
END_TEST

START_TEST(the_first_answer_of_a_node_stands)
{
        struct quorum q;

        quorum_init(&q, 1);
        ck_assert_int_eq(quorum_vote(&q, 0, false), 0);
        ck_assert_int_eq(quorum_vote(&q, 0, true), QUORUM_E_ANSWERED);
        ck_assert_int_eq(quorum_verdict(&q), QUORUM_LOST);
}
END_TEST

START_TEST(the_largest_pool_has_its_masks)
{
        struct quorum q;
        unsigned node;

        quorum_init(&q, NODES_MAX);
        ck_assert_uint_eq(quorum_open(&q), 0x7fffffff);
        for (node = 0; node < NODES_MAX; ++node)
                quorum_vote(&q, node, node >= NODES_MAX / 2);
        ck_assert_int_eq(quorum_verdict(&q), QUORUM_WON);
        ck_assert_uint_eq(quorum_open(&q), 0);
}
END_TEST

/* Every pair of sets of up to 7 nodes where one node came or went, every majority of the one and of the other. */
START_TEST(majorities_meet_where_one_node_came_or_went)
{
        unsigned n, old, new, yes, also;

        for (n = 1; n < 7; ++n) {
                old = (1u << n) - 1;
                new = old | 1u << n;
                for (yes = 0; yes <= old; ++yes)
                        for (also = 0; also <= new; ++also)
                                if ((unsigned)__builtin_popcount(yes) == quorum_of(n) &&
                                    (unsigned)__builtin_popcount(also) == quorum_of(n + 1))
                                        ck_assert_uint_ne(yes & also, 0);
        }
}
END_TEST

/* Nodes 1, 3 and 4 of 5: two of them decide, and nobody else is asked. */
START_TEST(only_members_vote)
{
        struct quorum q;

        quorum_init_members(&q, 0x1a);
        ck_assert_uint_eq(quorum_needed(&q), 2);
        ck_assert_uint_eq(quorum_open(&q), 0x1a);
        ck_assert_int_eq(quorum_vote(&q, 3, true), 0);
        ck_assert_int_eq(quorum_verdict(&q), QUORUM_PENDING);
        ck_assert_int_eq(quorum_vote(&q, 1, true), 0);
        ck_assert_int_eq(quorum_verdict(&q), QUORUM_WON);
        ck_assert_uint_eq(quorum_open(&q), 0x10);
}
END_TEST

UNIT_MAIN("quorum", majorities_meet_where_one_node_came_or_went, only_members_vote,
          a_majority_is_more_than_half_of_the_configured_nodes, the_verdict_is_as_early_as_it_can_be_and_never_wrong,
          a_verdict_never_changes_by_later_answers, the_first_answer_of_a_node_stands, the_largest_pool_has_its_masks)
