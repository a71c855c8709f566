#include "redlockd/base/histogram.h"

#include "unit/unit.h"

static const uint64_t bounds[] = { 10, 100 };

START_TEST(a_duration_belongs_to_the_first_bound_that_is_not_less)
{
        struct histogram h = HISTOGRAM_INIT(bounds);

        histogram_observe_ns(&h, 0);
        histogram_observe_ns(&h, 10999); /* 10 us, the rest of one is dropped */
        histogram_observe_ns(&h, 11000);
        histogram_observe_ns(&h, 100000);
        histogram_observe_ns(&h, 101000);
        histogram_observe_ns(&h, UINT64_MAX);
        ck_assert_uint_eq(h.counts[0], 2);
        ck_assert_uint_eq(h.counts[1], 2);
        ck_assert_uint_eq(h.counts[2], 2);
        ck_assert_uint_eq(h.count, 6);
}
END_TEST

START_TEST(the_sum_is_of_what_was_observed)
{
        struct histogram h = HISTOGRAM_INIT(bounds);

        histogram_observe_ns(&h, 1500);
        histogram_observe_ns(&h, 2000000);
        ck_assert_uint_eq(h.sum_us, 2001);
}
END_TEST

START_TEST(bounds_rise_and_have_room)
{
        unsigned i;

        for (i = 1; i < sizeof(histogram_fast_us) / sizeof(histogram_fast_us[0]); ++i)
                ck_assert_uint_gt(histogram_fast_us[i], histogram_fast_us[i - 1]);
        ck_assert_uint_le(i, HISTOGRAM_BOUNDS_MAX);
        for (i = 1; i < sizeof(histogram_slow_us) / sizeof(histogram_slow_us[0]); ++i)
                ck_assert_uint_gt(histogram_slow_us[i], histogram_slow_us[i - 1]);
        ck_assert_uint_le(i, HISTOGRAM_BOUNDS_MAX);
}
END_TEST

UNIT_MAIN("histogram", a_duration_belongs_to_the_first_bound_that_is_not_less, the_sum_is_of_what_was_observed,
          bounds_rise_and_have_room)
