#pragma once

/*
 * A run of bytes that belongs to somebody else: not NUL-terminated, may hold NUL (a key may be any JSON string).
 */
#include <stdbool.h>
#include <stddef.h>
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
