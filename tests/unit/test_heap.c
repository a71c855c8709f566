/*
 * The heap of deadlines, against a plain search through all of them.
 */
#include "redlockd/base/heap.h"

#include "redlockd/base/mem.h"
#include "unit/unit.h"

#include <errno.h>

static void reserve(struct heap *h, size_t n)
{
        while (n-- > 0)
                ck_assert_int_eq(heap_reserve(h), 0);
}

static void release(struct heap *h, size_t n)
{
        while (n-- > 0)
                heap_release(h);
        heap_deinit(h);
}

START_TEST(the_earliest_is_first_in_every_order_of_arming)
{
        /* All the orders of five times, two of them equal, by Lehmer's code. */
        static const uint64_t times[] = { 10, 20, 20, 30, 40 };

        for (unsigned order = 0; order < 120; ++order) {
                struct deadline d[5] = { { 0 } };
                struct heap h = { 0 };
                unsigned left[5] = { 0, 1, 2, 3, 4 }, code = order;

                reserve(&h, 5);
                for (unsigned n = 5; n > 0; code /= n, --n) {
                        unsigned pick = left[code % n];

                        for (unsigned i = code % n; i + 1 < n; ++i)
                                left[i] = left[i + 1];
                        heap_set(&h, &d[pick], times[pick]);
                }
                for (unsigned i = 0; i < 5; ++i) {
                        struct deadline *first = heap_first(&h);

                        ck_assert_uint_eq(first->at_ns, times[i]);
                        heap_clear(&h, first);
                        ck_assert(!deadline_armed(first));
                }
                ck_assert_ptr_null(heap_first(&h));
                release(&h, 5);
        }
}
END_TEST

START_TEST(an_armed_deadline_moves_both_ways)
{
        struct deadline a = { 0 }, b = { 0 }, c = { 0 };
        struct heap h = { 0 };

        reserve(&h, 3);
        heap_set(&h, &a, 10);
        heap_set(&h, &b, 20);
        heap_set(&h, &c, 30);
        heap_set(&h, &a, 40);
        ck_assert_ptr_eq(heap_first(&h), &b);
        heap_set(&h, &c, 5);
        ck_assert_ptr_eq(heap_first(&h), &c);
        heap_set(&h, &c, 5);
        ck_assert_uint_eq(h.n, 3);
        heap_clear(&h, &a);
        heap_clear(&h, &b);
        heap_clear(&h, &c);
        release(&h, 3);
}
END_TEST

START_TEST(clearing_what_is_not_armed_does_nothing)
{
        struct deadline a = { 0 }, b = { 0 };
        struct heap h = { 0 };

        reserve(&h, 1);
        heap_set(&h, &a, 10);
        heap_clear(&h, &b);
        ck_assert_ptr_eq(heap_first(&h), &a);
        heap_clear(&h, &a);
        heap_clear(&h, &a);
        release(&h, 1);
}
END_TEST

static uint64_t next_random(uint64_t *state)
{
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        return *state;
}

START_TEST(it_agrees_with_a_plain_search)
{
        struct deadline d[64] = { { 0 } };
        struct heap h = { 0 };
        uint64_t seed = 88172645463325252;

        reserve(&h, 64);
        for (int step = 0; step < 20000; ++step) {
                struct deadline *pick = &d[next_random(&seed) % 64], *first = NULL;

                if (next_random(&seed) % 3 == 0)
                        heap_clear(&h, pick);
                else
                        heap_set(&h, pick, next_random(&seed) % 100);
                for (int i = 0; i < 64; ++i)
                        if (deadline_armed(&d[i]) && (!first || d[i].at_ns < first->at_ns))
                                first = &d[i];
                ck_assert(!first == !heap_first(&h));
                if (first)
                        ck_assert_uint_eq(heap_first(&h)->at_ns, first->at_ns);
                for (size_t i = 1; i < h.n; ++i)
                        ck_assert_uint_le(h.items[(i - 1) / 2]->at_ns, h.items[i]->at_ns);
        }
        for (int i = 0; i < 64; ++i)
                heap_clear(&h, &d[i]);
        release(&h, 64);
}
END_TEST

START_TEST(only_reserving_needs_memory)
{
        struct deadline d[17] = { { 0 } };
        struct heap h = { 0 };

        mem_fail_at(1);
        ck_assert_int_eq(heap_reserve(&h), -ENOMEM);
        mem_fail_at(0);
        reserve(&h, 16);
        mem_fail_at(1);
        ck_assert_int_eq(heap_reserve(&h), -ENOMEM);
        mem_fail_at(0);
        reserve(&h, 1);
        mem_fail_at(1);
        for (int i = 0; i < 17; ++i)
                heap_set(&h, &d[i], (uint64_t)i);
        for (int i = 0; i < 17; ++i)
                heap_clear(&h, &d[i]);
        ck_assert(!mem_failed());
        mem_fail_at(0);
        release(&h, 17);
        ck_assert_uint_eq(mem_live(), 0);
}
END_TEST

UNIT_MAIN("heap", the_earliest_is_first_in_every_order_of_arming, an_armed_deadline_moves_both_ways,
          clearing_what_is_not_armed_does_nothing, it_agrees_with_a_plain_search, only_reserving_needs_memory)
