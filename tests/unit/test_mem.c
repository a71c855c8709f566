/*
 * Allocation that counts and can be made to fail.
 */
#include "redlockd/base/mem.h"

#include "unit/unit.h"

#include <stdint.h>

/* AddressSanitizer ends the program at a size that cannot be had, unless it is told to do as calloc does. */
const char *__asan_default_options(void);

const char *__asan_default_options(void)
{
        return "allocator_may_return_null=1";
}

START_TEST(memory_comes_zeroed)
{
        unsigned char *block = mem_zalloc(1000), *array = mem_zalloc_n(10, 100);

        for (int i = 0; i < 1000; ++i)
                ck_assert(block[i] == 0 && array[i] == 0);
        mem_free(block);
        mem_free(array);
}
END_TEST

START_TEST(live_blocks_are_counted)
{
        void *a = mem_zalloc(1), *b = mem_zalloc_n(2, 3);

        ck_assert_uint_eq(mem_live(), 2);
        a = mem_realloc(a, 1000);
        ck_assert_uint_eq(mem_live(), 2);
        ck_assert_ptr_null(mem_free(a));
        ck_assert_uint_eq(mem_live(), 1);
        a = mem_realloc(NULL, 10);
        ck_assert_uint_eq(mem_live(), 2);
        mem_free(a);
        mem_free(b);
        ck_assert_ptr_null(mem_free(NULL));
        ck_assert_uint_eq(mem_live(), 0);
}
END_TEST

START_TEST(the_chosen_allocation_fails_and_no_other)
{
        void *a, *b, *c;

        mem_fail_at(2);
        a = mem_zalloc(1);
        ck_assert(!mem_failed());
        b = mem_realloc(NULL, 1);
        ck_assert(mem_failed());
        c = mem_zalloc_n(1, 1);
        ck_assert_ptr_nonnull(a);
        ck_assert_ptr_null(b);
        ck_assert_ptr_nonnull(c);
        mem_free(a);
        mem_free(c);
        ck_assert_uint_eq(mem_live(), 0);
}
END_TEST

START_TEST(every_way_to_allocate_can_fail)
{
        mem_fail_at(1);
        ck_assert_ptr_null(mem_zalloc(1));
        mem_fail_at(1);
        ck_assert(!mem_failed());
        ck_assert_ptr_null(mem_zalloc_n(1, 1));
        mem_fail_at(1);
        ck_assert_ptr_null(mem_realloc(NULL, 1));
        mem_fail_at(0);
        ck_assert(!mem_failed());
        ck_assert_uint_eq(mem_live(), 0);
}
END_TEST

START_TEST(a_failed_realloc_leaves_the_block)
{
        char *block = mem_zalloc(4);

        block[3] = 7;
        mem_fail_at(1);
        ck_assert_ptr_null(mem_realloc(block, 1000));
        ck_assert_int_eq(block[3], 7);
        ck_assert_uint_eq(mem_live(), 1);
        mem_free(block);
}
END_TEST

START_TEST(a_size_that_overflows_is_refused)
{
        volatile size_t half = SIZE_MAX / 2 + 1;

        ck_assert_ptr_null(mem_zalloc_n(half, 2));
        ck_assert_uint_eq(mem_live(), 0);
}
END_TEST

UNIT_MAIN("mem", memory_comes_zeroed, live_blocks_are_counted, the_chosen_allocation_fails_and_no_other,
          every_way_to_allocate_can_fail, a_failed_realloc_leaves_the_block, a_size_that_overflows_is_refused)
