/*
 * Hexadecimal digits.
 */
#include "redlockd/base/hex.h"

void hex_print(const unsigned char *bytes, size_t n, char *ret_text)
{
        static const char digits[] = "0123456789abcdef";
        size_t i;

        for (i = 0; i < n; ++i) {
                ret_text[2 * i] = digits[bytes[i] >> 4];
                ret_text[2 * i + 1] = digits[bytes[i] & 15];
        }
        ret_text[2 * n] = '\0';
}

static int hex_value(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool hex_read(const char *text, unsigned char *ret_bytes, size_t n)
{
        size_t i;

        for (i = 0; i < n; ++i) {
                int high = hex_value(text[2 * i]), low = high < 0 ? -1 : hex_value(text[2 * i + 1]);

                if (low < 0)
                        return false;
                ret_bytes[i] = (unsigned char)(high << 4 | low);
        }
        return text[2 * n] == '\0';
}
