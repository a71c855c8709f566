/*
 * Servers differ in what they put around the words of an error in a script: where it was raised, before them (Redis 6)
 * or behind them.
 */
#include "redlockd/net/redis_words.h"

#include <stdio.h>
#include <string.h>

#define HEX_DIGITS "0123456789abcdef"

void redis_words(char *ret_words, size_t size, struct text words)
{
        size_t i;

        for (i = 0; i < words.len && i + 1 < size; ++i) {
                ret_words[i] = words.data[i];
                if (ret_words[i] < ' ' || ret_words[i] > '~')
                        ret_words[i] = '?';
        }
        ret_words[i] = '\0';
}

/* What follows `begin`, if that is how it begins; else NULL. */
static const char *words_after(const char *words, const char *begin)
{
        return strncmp(words, begin, strlen(begin)) == 0 ? words + strlen(begin) : NULL;
}

/* Past the place in a script that words of Redis 6 begin with, and the mark of an error of the server behind it. */
static const char *words_skip_place(const char *words)
{
        const char *at = words_after(words, "@user_script:");
        size_t digits_n;

        if (!at)
                return words;
        at += *at == ' ';
        digits_n = strspn(at, "0123456789");
        if (digits_n == 0 || strncmp(at + digits_n, ": ", 2) != 0)
                return words;
        at += digits_n + 2;
        return at + (*at == '-');
}

/* Redis 6: "ERR Error running script (call to f_SHA): @user_script:11: @user_script: 1: -READONLY ..." */
static const char *words_begin(const char *words)
{
        const char *raised = words_after(words, "ERR Error running script (call to f_");

        if (raised) {
                raised = words_after(raised + strspn(raised, HEX_DIGITS), "): ");
                if (raised && words_skip_place(raised) != raised)
                        words = words_skip_place(raised);
        }
        return words_skip_place(words);
}

/* Redis 7 and 8: "... script: SHA, on @user_script:11.", with f_ before it or not; Valkey 9 without it. */
static void words_end(char *words)
{
        static const char mark[] = " script: ";
        char *at, *from, *end;

        for (at = strstr(words, mark); at; at = strstr(from, mark)) {
                from = at + strlen(mark); /* or words: "ACL failure in script: ..." */
                end = from + strspn(from, "_" HEX_DIGITS);
                if (*end == ',' || *end == '\0' || words_after(from, "on @user_script:"))
                        *at = '\0';
        }
        for (end = words + strlen(words); end > words && end[-1] == ' '; --end)
                end[-1] = '\0';
}

void redis_words_of_script(char ret_words[NODE_REASON_MAX], struct text error)
{
        char words[2 * NODE_REASON_MAX] = ""; /* what goes is less than half of it */

        redis_words(words, sizeof(words), error);
        words_end(words);
        snprintf(ret_words, NODE_REASON_MAX, "%s", words_begin(words));
}
