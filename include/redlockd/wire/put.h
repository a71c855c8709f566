#pragma once

/*
 * JSON written straight into memory, where room was made for the longest that it can be. Each function writes at `to`
 * and returns the end of what it wrote. For the files of this folder that print what is printed most.
 */
#include "redlockd/base/text.h"

#define PUT(to, literal) put((to), literal, sizeof(literal) - 1)

/* Bytes of a string of `len` bytes at its longest: quotes, and every byte as \u00xx. */
#define PUT_STRING_MAX(len) (6 * (len) + 2)

static inline char *put(char *to, const char *bytes, size_t n)
{
        memcpy(to, bytes, n);
        return to + n;
}

static inline char *put_text(char *to, struct text text)
{
        return put(to, text.data, text.len);
}

/* As codec_number() has it. */
static inline char *put_number(char *to, uint64_t number)
{
        char digits[NUMBER_TEXT_MAX];

        return put_text(to, text_of_number(digits, number > INT64_MAX ? INT64_MAX : number));
}

/* A byte that stands in a JSON string as it is. */
static inline bool put_is_plain(char byte)
{
        return (unsigned char)byte >= 0x20 && byte != '"' && byte != '\\';
}

/* Escaped as jansson does it. */
static inline char *put_escaped(char *to, char byte)
{
        static const char letters[0x20] = { ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't' };
        static const char digits[] = "0123456789ABCDEF";

        *to++ = '\\';
        if (byte == '"' || byte == '\\') {
                *to++ = byte;
        } else if (letters[(unsigned char)byte]) {
                *to++ = letters[(unsigned char)byte];
        } else {
                to = PUT(to, "u00");
                *to++ = digits[(unsigned char)byte >> 4];
                *to++ = digits[(unsigned char)byte & 0xf];
        }
        return to;
}

/* A string, with its quotes, of bytes that are known to be UTF-8. */
static inline char *put_string(char *to, struct text text)
{
        size_t i, plain = 0;

        *to++ = '"';
        for (i = 0; i < text.len; ++i) {
                if (put_is_plain(text.data[i]))
                        continue;
                to = put(to, text.data + plain, i - plain);
                to = put_escaped(to, text.data[i]);
                plain = i + 1;
        }
        to = put(to, text.data + plain, text.len - plain);
        *to++ = '"';
        return to;
}
