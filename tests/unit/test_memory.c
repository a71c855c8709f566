/* What one node does with a command. */
#include "redlockd/store/memory.h"

#include "redlockd/base/mem.h"
#include "unit/unit.h"

#include <stdio.h>

#define MINE  "0123456789abcdef0123456789abcdef"
#define OTHER "fedcba9876543210fedcba9876543210"

static struct answer execute(struct memory *m, enum command_kind kind, const struct command_item *items, unsigned n,
                             unsigned acquire_n, uint32_t ttl_ms, uint64_t now_ms)
{
        struct command command = {
                .kind = kind, .ttl_ms = ttl_ms, .items = items, .items_n = n, .acquire_n = acquire_n
        };
        struct answer answer;

        memory_execute(m, &command, now_ms, &answer);
        ck_assert_uint_eq(answer.node_ms, now_ms);
        return answer;
}

static struct answer acquire(struct memory *m, const char *key, const char *value, uint32_t ttl_ms, uint64_t now_ms)
{
        struct command_item item = { .key = text_of(key), .value = value };

        return execute(m, COMMAND_TAKE, &item, 1, 1, ttl_ms, now_ms);
}

static struct answer extend(struct memory *m, const char *key, const char *value, uint32_t ttl_ms, uint64_t now_ms)
{
        struct command_item item = { .key = text_of(key), .value = value };

        return execute(m, COMMAND_TAKE, &item, 1, 0, ttl_ms, now_ms);
}

static struct answer release(struct memory *m, const char *key, const char *value, uint64_t now_ms)
{
        struct command_item item = { .key = text_of(key), .value = value };

        return execute(m, COMMAND_RELEASE, &item, 1, 0, 0, now_ms);
}

static struct memory *fresh(void)
{
        struct memory *m;

        ck_assert_int_eq(memory_new(&m), 0);
        return m;
}

START_TEST(a_free_key_is_set_and_a_taken_one_is_not)
{
        struct memory *m = fresh();
        struct answer answer;

        ck_assert_int_eq(acquire(m, "k", MINE, 1000, 5000).verdict, ANSWER_GRANTED);
        answer = acquire(m, "k", OTHER, 9999, 5400);
        ck_assert_int_eq(answer.verdict, ANSWER_HELD);
        ck_assert_uint_eq(answer.taken, 1);
        ck_assert_uint_eq(answer.number, 600);
        ck_assert_str_eq(memory_get(m, text_of("k"), 5400), MINE);
        memory_free(m);
}
END_TEST

START_TEST(a_key_ends_with_its_ttl)
{
        struct memory *m = fresh();

        acquire(m, "k", MINE, 1000, 5000);
        ck_assert_ptr_nonnull(memory_get(m, text_of("k"), 5999));
        ck_assert_ptr_null(memory_get(m, text_of("k"), 6000));
        ck_assert_int_eq(extend(m, "k", MINE, 1000, 6000).verdict, ANSWER_HELD);
        ck_assert_int_eq(acquire(m, "k", OTHER, 1000, 6000).verdict, ANSWER_GRANTED);
        ck_assert_uint_eq(memory_keys(m, 6000), 1);
        memory_free(m);
}
END_TEST

START_TEST(only_the_own_value_is_extended_and_never_shortened)
{
        struct memory *m = fresh();

        acquire(m, "k", MINE, 1000, 5000);
        ck_assert_int_eq(extend(m, "k", OTHER, 9000, 5000).verdict, ANSWER_HELD);
        ck_assert_int_eq(extend(m, "k", MINE, 10, 5000).verdict, ANSWER_GRANTED);
        ck_assert_ptr_nonnull(memory_get(m, text_of("k"), 5999));
        ck_assert_int_eq(extend(m, "k", MINE, 2000, 5000).verdict, ANSWER_GRANTED);
        ck_assert_ptr_nonnull(memory_get(m, text_of("k"), 6999));
        memory_free(m);
}
END_TEST

START_TEST(only_the_own_value_is_released_and_a_missing_key_is_no_error)
{
        struct memory *m = fresh();

        acquire(m, "k", MINE, 1000, 5000);
        ck_assert_int_eq(release(m, "k", OTHER, 5000).verdict, ANSWER_GRANTED);
        ck_assert_ptr_nonnull(memory_get(m, text_of("k"), 5000));
        ck_assert_uint_eq(release(m, "k", MINE, 5000).number, 1);
        ck_assert_ptr_null(memory_get(m, text_of("k"), 5000));
        ck_assert_uint_eq(release(m, "k", MINE, 5000).number, 0);
        memory_free(m);
}
END_TEST

START_TEST(several_keys_are_taken_all_or_none)
{
        struct command_item items[] = { { .key = text_of("a"), .value = MINE },
                                        { .key = text_of("b"), .value = MINE },
                                        { .key = text_of("c"), .value = OTHER } };
        struct memory *m = fresh();
        struct answer answer;

        acquire(m, "b", OTHER, 700, 5000);
        answer = execute(m, COMMAND_TAKE, items, 3, 2, 1000, 5000);
        ck_assert_int_eq(answer.verdict, ANSWER_HELD);
        ck_assert_uint_eq(answer.taken, 6); /* b is somebody else's, c is not ours any more */
        ck_assert_uint_eq(answer.number, 700);
        ck_assert_ptr_null(memory_get(m, text_of("a"), 5000));
        release(m, "b", OTHER, 5000);
        acquire(m, "c", OTHER, 100, 5000);
        ck_assert_int_eq(execute(m, COMMAND_TAKE, items, 3, 2, 1000, 5000).verdict, ANSWER_GRANTED);
        ck_assert_uint_eq(memory_keys(m, 5999), 3);
        memory_free(m);
}
END_TEST

START_TEST(a_renewal_is_of_each_key_for_itself)
{
        struct command_item items[] = { { .key = text_of("a"), .value = MINE, .ttl_ms = 900 },
                                        { .key = text_of("b"), .value = MINE, .ttl_ms = 900 },
                                        { .key = text_of("c"), .value = MINE, .ttl_ms = 100 } };
        struct memory *m = fresh();
        struct answer answer;

        acquire(m, "a", MINE, 500, 0);
        acquire(m, "b", OTHER, 500, 0);
        acquire(m, "c", MINE, 500, 0);
        answer = execute(m, COMMAND_RENEW, items, 3, 0, 0, 0);
        ck_assert_int_eq(answer.verdict, ANSWER_HELD);
        ck_assert_uint_eq(answer.taken, 2);
        ck_assert_ptr_nonnull(memory_get(m, text_of("a"), 899));
        ck_assert_ptr_null(memory_get(m, text_of("b"), 500));
        ck_assert_ptr_nonnull(memory_get(m, text_of("c"), 499)); /* never cut */
        ck_assert_ptr_null(memory_get(m, text_of("c"), 500));
        ck_assert_int_eq(execute(m, COMMAND_RENEW, items, 1, 0, 0, 899).verdict, ANSWER_GRANTED);
        memory_free(m);
}
END_TEST

START_TEST(keys_may_hold_any_byte)
{
        struct command_item zero = { .key = { "a\0b", 3 }, .value = MINE },
                            shorter = { .key = { "a", 1 }, .value = MINE };
        struct memory *m = fresh();

        ck_assert_int_eq(execute(m, COMMAND_TAKE, &zero, 1, 1, 1000, 0).verdict, ANSWER_GRANTED);
        ck_assert_int_eq(execute(m, COMMAND_TAKE, &shorter, 1, 1, 1000, 0).verdict, ANSWER_GRANTED);
        memory_free(m);
}
END_TEST

START_TEST(expired_keys_do_not_pile_up)
{
        struct memory *m = fresh();
        uint64_t live = mem_live();
        char key[32];
        unsigned i;

        for (i = 0; i < 10000; ++i) {
                snprintf(key, sizeof(key), "k%u", i);
                acquire(m, key, MINE, 10, i);
        }
        ck_assert_uint_lt(mem_live() - live, 200);
        memory_free(m);
}
END_TEST

START_TEST(without_memory_the_answer_is_an_error)
{
        struct memory *m = fresh();

        mem_fail_at(1);
        ck_assert_int_eq(acquire(m, "k", MINE, 1000, 0).verdict, ANSWER_ERROR);
        mem_fail_at(0);
        ck_assert_int_eq(acquire(m, "k", MINE, 1000, 0).verdict, ANSWER_GRANTED);
        memory_free(m);
}
END_TEST

UNIT_MAIN("memory", a_free_key_is_set_and_a_taken_one_is_not, a_key_ends_with_its_ttl,
          only_the_own_value_is_extended_and_never_shortened,
          only_the_own_value_is_released_and_a_missing_key_is_no_error, several_keys_are_taken_all_or_none,
          a_renewal_is_of_each_key_for_itself, keys_may_hold_any_byte, expired_keys_do_not_pile_up,
          without_memory_the_answer_is_an_error)
