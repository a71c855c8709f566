/*
 * Framing: the same lines come out however the bytes were cut on their way.
 */
#include "redlockd/wire/line.h"

#include "redlockd/base/mem.h"
#include "unit/unit.h"

#include <errno.h>

/* What came out, written down: each line in <>, each report of a line too large as !. */
struct script {
        char text[512];
        size_t len;
};

static void script_put(struct script *s, const char *bytes, size_t n)
{
        ck_assert_uint_lt(s->len + n, sizeof(s->text));
        memcpy(s->text + s->len, bytes, n);
        s->len += n;
}

static void feed(struct line_reader *l, struct script *s, const char *bytes, size_t n)
{
        struct text input = { bytes, n }, line;
        int r;

        while ((r = line_next(l, &input, &line)) != LINE_NONE) {
                ck_assert_int_gt(r, 0);
                if (r == LINE_TOO_LARGE) {
                        script_put(s, "!", 1);
                        continue;
                }
                script_put(s, "<", 1);
                script_put(s, line.data, line.len);
                script_put(s, ">", 1);
        }
        ck_assert_uint_eq(input.len, 0);
}

/* Feeds `bytes` in pieces of each size. */
static void check_lines(size_t max, const char *bytes, size_t n, const char *expected)
{
        uint64_t live = mem_live();

        for (size_t piece = 1; piece <= n; ++piece) {
                struct script s = { .len = 0 };
                struct line_reader l;

                line_init(&l, max);
                for (size_t at = 0; at < n; at += piece)
                        feed(&l, &s, bytes + at, piece < n - at ? piece : n - at);
                ck_assert_str_eq(s.text, expected);
                line_deinit(&l);
                ck_assert_uint_eq(mem_live(), live);
        }
}

#define CHECK_LINES(max, bytes, expected) check_lines(max, bytes, sizeof(bytes) - 1, expected)

START_TEST(a_line_ends_with_lf)
{
        CHECK_LINES(10, "ab\ncdef\ng", "<ab><cdef>");
}
END_TEST

START_TEST(one_cr_before_the_lf_is_dropped)
{
        CHECK_LINES(10, "ab\r\nc\rd\r\ne\r\r\n", "<ab><c\rd><e\r>");
}
END_TEST

START_TEST(empty_lines_are_skipped)
{
        CHECK_LINES(10, "\n\r\n\na\n\n\r\n", "<a>");
}
END_TEST

START_TEST(a_nul_is_a_byte_like_others)
{
        struct script s = { .len = 0 };
        struct line_reader l;

        line_init(&l, 10);
        feed(&l, &s, "a\0b\n", 4);
        ck_assert_uint_eq(s.len, 5);
        ck_assert_mem_eq(s.text, "<a\0b>", 5);
        line_deinit(&l);
}
END_TEST

START_TEST(the_longest_line_fits_with_and_without_cr)
{
        CHECK_LINES(4, "abcd\nefgh\r\n", "<abcd><efgh>");
}
END_TEST

START_TEST(a_longer_line_is_reported_once_and_skipped)
{
        CHECK_LINES(4, "abcde\nok\nabcdefghijk\r\nok\n\rabcd\n", "!<ok>!<ok>!");
}
END_TEST

START_TEST(a_line_too_large_is_reported_before_it_ends)
{
        struct text input = text_of("abcdefgh"), line;
        struct line_reader l;

        line_init(&l, 4);
        ck_assert_int_eq(line_next(&l, &input, &line), LINE_TOO_LARGE);
        ck_assert(line_unfinished(&l));
        input = text_of("ijkl\n");
        ck_assert_int_eq(line_next(&l, &input, &line), LINE_NONE);
        ck_assert(!line_unfinished(&l));
        line_deinit(&l);
}
END_TEST

START_TEST(an_unfinished_line_is_known)
{
        struct text input = text_of("ab"), line;
        struct line_reader l;

        line_init(&l, 10);
        ck_assert(!line_unfinished(&l));
        ck_assert_int_eq(line_next(&l, &input, &line), LINE_NONE);
        ck_assert(line_unfinished(&l));
        input = text_of("c\n");
        ck_assert_int_eq(line_next(&l, &input, &line), LINE_COMPLETE);
        ck_assert(!line_unfinished(&l));
        ck_assert(text_equal(line, text_of("abc")));
        line_deinit(&l);
}
END_TEST

START_TEST(a_line_in_one_piece_is_not_copied)
{
        struct text input = text_of("ab\ncd\n"), line;
        const char *start = input.data;
        struct line_reader l;

        line_init(&l, 10);
        ck_assert_int_eq(line_next(&l, &input, &line), LINE_COMPLETE);
        ck_assert_ptr_eq(line.data, start);
        ck_assert_int_eq(line_next(&l, &input, &line), LINE_COMPLETE);
        ck_assert_ptr_eq(line.data, start + 3);
        line_deinit(&l);
}
END_TEST

START_TEST(without_memory_the_call_can_be_repeated)
{
        struct text input = text_of("ab"), line;
        struct line_reader l;

        line_init(&l, 1000);
        mem_fail_at(1);
        ck_assert_int_eq(line_next(&l, &input, &line), -ENOMEM);
        ck_assert_uint_eq(input.len, 2);
        ck_assert_int_eq(line_next(&l, &input, &line), LINE_NONE);
        input = (struct text){
                "ccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
                "ccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
                "ccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc\n",
                274
        };
        mem_fail_at(1);
        ck_assert_int_eq(line_next(&l, &input, &line), -ENOMEM);
        ck_assert_uint_eq(input.len, 274);
        ck_assert_int_eq(line_next(&l, &input, &line), LINE_COMPLETE);
        ck_assert_uint_eq(line.len, 2 + 273);
        line_deinit(&l);
}
END_TEST

UNIT_MAIN("line", a_line_ends_with_lf, one_cr_before_the_lf_is_dropped, empty_lines_are_skipped,
          a_nul_is_a_byte_like_others, the_longest_line_fits_with_and_without_cr,
          a_longer_line_is_reported_once_and_skipped, a_line_too_large_is_reported_before_it_ends,
          an_unfinished_line_is_known, a_line_in_one_piece_is_not_copied, without_memory_the_call_can_be_repeated)
