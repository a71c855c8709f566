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

UNIT_MAIN("clock", it_counts_the_time_since_the_boot, it_is_read_afresh, what_is_shown_is_unix_time)
