#include "redlockd/net/clock.h"
#include "unit/unit.h"

#include <time.h>

START_TEST(it_counts_the_time_since_the_boot)
{
        struct timespec before, after;
        uint64_t now;

        clock_gettime(CLOCK_BOOTTIME, &before);
        now = clock_now_ns();
        clock_gettime(CLOCK_BOOTTIME, &after);
        ck_assert_uint_ge(now, (uint64_t)before.tv_sec * 1000000000 + (uint64_t)before.tv_nsec);
        ck_assert_uint_le(now, (uint64_t)after.tv_sec * 1000000000 + (uint64_t)after.tv_nsec);
}
END_TEST

START_TEST(it_is_read_afresh)
{
        uint64_t first = clock_now_ns(), now = first;

        while (now == first)
                now = clock_now_ns();
        ck_assert_uint_gt(now, first);
}
END_TEST

START_TEST(what_is_shown_is_unix_time)
{
        struct timespec before, after;
        uint64_t now;

        clock_gettime(CLOCK_REALTIME, &before);
        now = clock_unix_ms();
        clock_gettime(CLOCK_REALTIME, &after);
        ck_assert_uint_ge(now, (uint64_t)before.tv_sec * 1000 + (uint64_t)before.tv_nsec / 1000000);
        ck_assert_uint_le(now, (uint64_t)after.tv_sec * 1000 + (uint64_t)after.tv_nsec / 1000000);
}
END_TEST

START_TEST(a_moment_is_one_number_of_unix_time)
{
        struct clock_wall wall = { 0 };
        uint64_t first = clock_now_ns(), now = first, shown = clock_wall_ms(&wall, first), unix_ms;

        while (now - first < 20000000) {
                now = clock_now_ns();
                unix_ms = clock_unix_ms();
                ck_assert_uint_eq(clock_wall_ms(&wall, now), shown + now / 1000000 - first / 1000000);
                ck_assert_uint_le(clock_wall_ms(&wall, now), unix_ms);
        }
        unix_ms = clock_unix_ms();
        ck_assert_uint_ge(clock_wall_ms(&wall, clock_now_ns()) + 2, unix_ms);
}
END_TEST

START_TEST(a_wall_clock_that_was_set_is_followed)
{
        struct clock_wall wall = { .ahead_ms = 5000, .read_ns = 1 };
        uint64_t before = clock_unix_ms(), shown = clock_wall_ms(&wall, clock_now_ns());

        ck_assert_uint_ge(shown + 2, before);
        ck_assert_uint_le(shown, clock_unix_ms());
        wall = (struct clock_wall){ .ahead_ms = INT64_MAX / 2000000, .read_ns = 1 };
        before = clock_unix_ms();
        shown = clock_wall_ms(&wall, clock_now_ns());
        ck_assert_uint_ge(shown + 2, before);
        ck_assert_uint_le(shown, clock_unix_ms());
}
END_TEST

UNIT_MAIN("clock", it_counts_the_time_since_the_boot, it_is_read_afresh, what_is_shown_is_unix_time,
          a_moment_is_one_number_of_unix_time, a_wall_clock_that_was_set_is_followed)
