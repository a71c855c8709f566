/* The arithmetic of time, at its edges. */
#include "redlockd/core/validity.h"

#include "unit/unit.h"

START_TEST(the_node_timeout_is_five_percent_of_the_ttl_within_its_bounds)
{
        ck_assert_uint_eq(validity_node_timeout_ms(10), 20);
        ck_assert_uint_eq(validity_node_timeout_ms(419), 20);
        ck_assert_uint_eq(validity_node_timeout_ms(420), 21);
        ck_assert_uint_eq(validity_node_timeout_ms(3980), 199);
        ck_assert_uint_eq(validity_node_timeout_ms(4000), 200);
        ck_assert_uint_eq(validity_node_timeout_ms(60000), 200);
}
END_TEST

START_TEST(drift_is_the_rounded_share_of_the_ttl_and_two)
{
        ck_assert_uint_eq(validity_drift_ms(10000, 0.01), 102);
        ck_assert_uint_eq(validity_drift_ms(49, 0.01), 2);
        ck_assert_uint_eq(validity_drift_ms(50, 0.01), 3);
        ck_assert_uint_eq(validity_drift_ms(10, 0), 2);
}
END_TEST

START_TEST(validity_is_counted_from_the_first_byte)
{
        ck_assert_uint_eq(validity_end_ns(1000 * NS_PER_MS, 10000, 0.01), (1000 + 10000 - 102) * NS_PER_MS);
}
END_TEST

START_TEST(a_ttl_that_is_all_drift_is_worth_nothing)
{
        ck_assert_uint_eq(validity_end_ns(1000, 2, 0), 1000);
        ck_assert_uint_eq(validity_end_ns(1000, 1, 0.1), 1000);
        ck_assert_uint_eq(validity_end_ns(1000, 3, 0), 1000 + NS_PER_MS);
}
END_TEST

START_TEST(what_is_left_is_rounded_down)
{
        ck_assert_uint_eq(validity_left_ms(5 * NS_PER_MS, 0), 5);
        ck_assert_uint_eq(validity_left_ms(5 * NS_PER_MS, 1), 4);
        ck_assert_uint_eq(validity_left_ms(5 * NS_PER_MS, 4 * NS_PER_MS + 1), 0);
        ck_assert_uint_eq(validity_left_ms(5 * NS_PER_MS, 5 * NS_PER_MS), 0);
        ck_assert_uint_eq(validity_left_ms(5 * NS_PER_MS, 6 * NS_PER_MS), 0);
}
END_TEST

START_TEST(a_node_has_forgotten_a_key_after_its_ttl_and_the_drift)
{
        ck_assert_uint_eq(validity_gone_ns(1000 * NS_PER_MS, 10000, 0.01), (1000 + 10000 + 102) * NS_PER_MS);
}
END_TEST

UNIT_MAIN("validity", the_node_timeout_is_five_percent_of_the_ttl_within_its_bounds,
          drift_is_the_rounded_share_of_the_ttl_and_two, validity_is_counted_from_the_first_byte,
          a_ttl_that_is_all_drift_is_worth_nothing, what_is_left_is_rounded_down,
          a_node_has_forgotten_a_key_after_its_ttl_and_the_drift)
