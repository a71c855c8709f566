/* Bytes and their digits. */
#include "redlockd/base/hex.h"

#include "unit/unit.h"

START_TEST(every_byte_comes_back_as_it_went_in)
{
        unsigned char bytes[256], seen[256];
        char text[2 * 256 + 1];
        size_t i;

        for (i = 0; i < sizeof(bytes); ++i)
                bytes[i] = (unsigned char)i;
        hex_print(bytes, sizeof(bytes), text);
        ck_assert_int_eq(strncmp(text, "000102030405060708090a0b0c0d0e0f1011", 36), 0);
        ck_assert_str_eq(text + sizeof(text) - 5, "feff");
        ck_assert(hex_read(text, seen, sizeof(seen)));
        ck_assert_mem_eq(seen, bytes, sizeof(bytes));
}
END_TEST

START_TEST(what_is_not_as_many_lower_case_digits_is_refused)
{
        static const char *const wrong[] = { "", "0", "01", "012", "01234", "012345", "01 2", "012g", "01AB", "/:`g" };
        unsigned char bytes[2];
        size_t i;

        ck_assert(hex_read("0a9f", bytes, 2));
        for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); ++i)
                ck_assert_msg(!hex_read(wrong[i], bytes, 2), "\"%s\" was read", wrong[i]);
}
END_TEST

UNIT_MAIN("hex", every_byte_comes_back_as_it_went_in, what_is_not_as_many_lower_case_digits_is_refused)
