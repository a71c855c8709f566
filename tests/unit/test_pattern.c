/*
 * Patterns of keys.
 */
#include "redlockd/base/pattern.h"

#include "unit/unit.h"

static bool matches(const char *pattern, const char *key)
{
        return pattern_matches(text_of(pattern), text_of(key));
}

START_TEST(without_a_star_it_is_the_key_itself)
{
        ck_assert(matches("", ""));
        ck_assert(matches("a", "a"));
        ck_assert(!matches("a", "A"));
        ck_assert(!matches("a", ""));
        ck_assert(!matches("", "a"));
        ck_assert(!matches("a", "ab"));
        ck_assert(!matches("ab", "a"));
        ck_assert(!matches("a?[b]\\", "axb"));
        ck_assert(matches("a?[b]\\", "a?[b]\\"));
}
END_TEST

START_TEST(a_star_is_any_bytes_or_none)
{
        ck_assert(matches("*", ""));
        ck_assert(matches("*", "anything"));
        ck_assert(matches("***", ""));
        ck_assert(matches("billing:*", "billing:"));
        ck_assert(matches("billing:*", "billing:1:2"));
        ck_assert(!matches("billing:*", "billing"));
        ck_assert(!matches("billing:*", "xbilling:1"));
        ck_assert(matches("*:lock", "a:lock"));
        ck_assert(!matches("*:lock", "a:lock2"));
        ck_assert(matches("a*b*c", "abbbcbc"));
        ck_assert(!matches("a*b*c", "abbbcb"));
        ck_assert(matches("a*b", "a*b"));
        ck_assert(pattern_matches((struct text){ "a*\0b", 4 }, (struct text){ "a\0\0b", 4 }));
        ck_assert(!pattern_matches((struct text){ "a*\0b", 4 }, (struct text){ "a\0\0", 3 }));
}
END_TEST

/* What a pattern is by its definition: every way in which its first star can be taken. */
static bool defined(const char *pattern, const char *key)
{
        if (*pattern == '\0')
                return *key == '\0';
        if (*pattern == '*')
                return defined(pattern + 1, key) || (*key && defined(pattern, key + 1));
        return *pattern == *key && defined(pattern + 1, key + 1);
}

/* Every word of up to `max` of these letters, as a number in their base. */
static void word(unsigned number, const char *letters, char *ret_word)
{
        unsigned n = (unsigned)strlen(letters);

        while (number > 0) {
                *ret_word++ = letters[(number - 1) % n];
                number = (number - 1) / n;
        }
        *ret_word = '\0';
}

START_TEST(it_is_as_defined_for_all_short_patterns_and_keys)
{
        char pattern[16], key[16];
        unsigned p, k;

        for (p = 0; p < 364; ++p) { /* all of up to five letters */
                word(p, "a*b", pattern);
                for (k = 0; k < 127; ++k) { /* of up to six */
                        word(k, "ab", key);
                        ck_assert_msg(matches(pattern, key) == defined(pattern, key), "%s %s", pattern, key);
                }
        }
}
END_TEST

START_TEST(many_stars_take_no_longer_than_the_product_of_the_lengths)
{
        static char pattern[20001], key[100000];
        unsigned i;

        for (i = 0; i + 1 < sizeof(pattern); i += 2)
                memcpy(pattern + i, "*a", 2);
        memset(key, 'a', sizeof(key) - 1);
        ck_assert(matches(pattern, key));
        pattern[sizeof(pattern) - 2] = 'b';
        ck_assert(!matches(pattern, key)); /* by trying every way it would not end */
}
END_TEST

UNIT_MAIN("pattern", without_a_star_it_is_the_key_itself, a_star_is_any_bytes_or_none,
          it_is_as_defined_for_all_short_patterns_and_keys, many_stars_take_no_longer_than_the_product_of_the_lengths)
