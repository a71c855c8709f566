/*
 * Hexadecimal digits, by tables: the value of a lock is printed three times and read twice in a life of ten
 * microseconds. It is 6 ns and 13 ns; nibble by nibble it was 25 ns and 26 ns.
 */
#include "redlockd/base/hex.h"

#include <string.h>

#define ROW(high)                                                                                                      \
        high "0" high "1" high "2" high "3" high "4" high "5" high "6" high "7" high "8" high "9" high "a" high        \
             "b" high "c" high "d" high "e" high "f"

/* The two digits of each byte. */
static const char hex_pairs[] = ROW("0") ROW("1") ROW("2") ROW("3") ROW("4") ROW("5") ROW("6") ROW("7") ROW("8")
        ROW("9") ROW("a") ROW("b") ROW("c") ROW("d") ROW("e") ROW("f");

/* What each digit is worth, and 16 to tell it from what is none. */
static const unsigned char hex_values[256] = {
        ['0'] = 16, ['1'] = 17, ['2'] = 18, ['3'] = 19, ['4'] = 20, ['5'] = 21, ['6'] = 22, ['7'] = 23,
        ['8'] = 24, ['9'] = 25, ['a'] = 26, ['b'] = 27, ['c'] = 28, ['d'] = 29, ['e'] = 30, ['f'] = 31
};

void hex_print(const unsigned char *bytes, size_t n, char *ret_text)
{
        size_t i;

        for (i = 0; i < n; ++i)
                memcpy(ret_text + 2 * i, hex_pairs + 2 * (size_t)bytes[i], 2);
        ret_text[2 * n] = '\0';
}

bool hex_read(const char *text, unsigned char *ret_bytes, size_t n)
{
        size_t i;

        for (i = 0; i < n; ++i) {
                unsigned high = hex_values[(unsigned char)text[2 * i]];
                unsigned low = high ? hex_values[(unsigned char)text[2 * i + 1]] : 0;

                if (!low)
                        return false;
                ret_bytes[i] = (unsigned char)((high & 15) << 4 | (low & 15));
        }
        return text[2 * n] == '\0';
}
