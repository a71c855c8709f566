#pragma once

/*
 * A run of bytes that belongs to somebody else: not NUL-terminated, may hold NUL (a key may be any JSON string).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct text {
        const char *data;
        size_t len;
};

/* A literal or a C string as text. */
static inline struct text text_of(const char *string)
{
        return (struct text){ string, strlen(string) };
}

static inline bool text_equal(struct text a, struct text b)
{
        return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

#define NUMBER_TEXT_MAX 20 /* digits of a 64-bit number */

/* A number in decimal, in the caller's digits: a tenth of what snprintf() takes. */
static inline struct text text_of_number(char digits[NUMBER_TEXT_MAX], uint64_t number)
{
        char *end = digits + NUMBER_TEXT_MAX, *at = end;

        do {
                *--at = (char)('0' + number % 10);
                number /= 10;
        } while (number > 0);
        return (struct text){ at, (size_t)(end - at) };
}
