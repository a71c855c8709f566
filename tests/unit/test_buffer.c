/*
 * The bounded byte queue.
 */
#include "redlockd/base/buffer.h"

#include "redlockd/base/mem.h"
#include "unit/unit.h"

#include <errno.h>
#include <string.h>

static void check_held(const struct buffer *b, const char *expected)
{
        ck_assert_uint_eq(buffer_len(b), strlen(expected));
        ck_assert_mem_eq(buffer_data(b), expected, strlen(expected));
}

START_TEST(bytes_leave_in_the_order_they_came)
{
        struct buffer b = BUFFER_INIT(100);

        ck_assert_int_eq(buffer_append(&b, "abc", 3), 0);
        ck_assert_int_eq(buffer_append(&b, "def", 3), 0);
        buffer_consume(&b, 2);
        check_held(&b, "cdef");
        ck_assert_int_eq(buffer_append(&b, "g", 1), 0);
        buffer_consume(&b, 4);
        check_held(&b, "g");
        buffer_deinit(&b);
}
END_TEST

START_TEST(no_more_than_the_maximum_is_held)
{
        struct buffer b = BUFFER_INIT(4);

        ck_assert_int_eq(buffer_append(&b, "abc", 3), 0);
        ck_assert_int_eq(buffer_append(&b, "de", 2), -ENOBUFS);
        check_held(&b, "abc");
        ck_assert_int_eq(buffer_append(&b, "d", 1), 0);
        ck_assert_int_eq(buffer_append(&b, "e", 1), -ENOBUFS);
        buffer_consume(&b, 2);
        ck_assert_int_eq(buffer_append(&b, "ef", 2), 0);
        check_held(&b, "cdef");
        buffer_deinit(&b);
}
END_TEST

START_TEST(nothing_appended_changes_nothing)
{
        struct buffer b = BUFFER_INIT(0);

        ck_assert_int_eq(buffer_append(&b, NULL, 0), 0);
        ck_assert_uint_eq(buffer_len(&b), 0);
        buffer_deinit(&b);
}
END_TEST

START_TEST(without_memory_what_was_held_stays)
{
        struct buffer b = BUFFER_INIT(100000);
        static const char bytes[10000];

        mem_fail_at(1);
        ck_assert_int_eq(buffer_append(&b, "abc", 3), -ENOMEM);
        ck_assert_uint_eq(buffer_len(&b), 0);
        ck_assert_int_eq(buffer_append(&b, "abc", 3), 0);
        mem_fail_at(1);
        ck_assert_int_eq(buffer_append(&b, bytes, sizeof(bytes)), -ENOMEM);
        check_held(&b, "abc");
        buffer_deinit(&b);
        ck_assert_uint_eq(mem_live(), 0);
}
END_TEST

START_TEST(a_steady_stream_settles_on_one_block)
{
        struct buffer b = BUFFER_INIT(1000);
        char byte = 0, expected = 0;

        ck_assert_int_eq(buffer_append(&b, "x", 1), 0);
        buffer_consume(&b, 1);
        mem_fail_at(1);
        for (int i = 0; i < 10000; ++i) {
                ck_assert_int_eq(buffer_append(&b, &byte, 1), 0);
                ++byte;
                if (buffer_len(&b) < 200)
                        continue;
                ck_assert_int_eq(*buffer_data(&b), expected);
                ++expected;
                buffer_consume(&b, 1);
        }
        ck_assert(!mem_failed());
        mem_fail_at(0);
        buffer_deinit(&b);
}
END_TEST

START_TEST(what_was_appended_last_is_taken_back)
{
        struct buffer b = BUFFER_INIT(100);

        ck_assert_int_eq(buffer_append(&b, "abcdef", 6), 0);
        buffer_consume(&b, 2);
        buffer_cut(&b, 3);
        ck_assert_uint_eq(buffer_len(&b), 3);
        ck_assert_int_eq(buffer_append(&b, "xy", 2), 0);
        ck_assert_mem_eq(buffer_data(&b), "cdexy", 5);
        buffer_cut(&b, 0);
        ck_assert_uint_eq(buffer_len(&b), 0);
        buffer_deinit(&b);
}
END_TEST

START_TEST(an_emptied_buffer_gives_a_large_block_back)
{
        struct buffer b = BUFFER_INIT(100000);
        static const char bytes[5000];

        ck_assert_int_eq(buffer_append(&b, bytes, sizeof(bytes)), 0);
        ck_assert_uint_eq(mem_live(), 1);
        buffer_consume(&b, sizeof(bytes));
        ck_assert_uint_eq(mem_live(), 0);
        ck_assert_int_eq(buffer_append(&b, "abc", 3), 0);
        buffer_consume(&b, 3);
        ck_assert_uint_eq(mem_live(), 1);
        buffer_deinit(&b);
}
END_TEST

UNIT_MAIN("buffer", bytes_leave_in_the_order_they_came, no_more_than_the_maximum_is_held,
          nothing_appended_changes_nothing, without_memory_what_was_held_stays, a_steady_stream_settles_on_one_block,
          what_was_appended_last_is_taken_back, an_emptied_buffer_gives_a_large_block_back)
