#pragma once

/*
 * Bytes as lower-case hexadecimal digits, two a byte.
 */
#include <stdbool.h>
#include <stddef.h>

/* Prints n bytes, and a NUL. */
void hex_print(const unsigned char *bytes, size_t n, char *ret_text);

/* Reads n bytes of a NUL-terminated text; false, and nothing is said of ret_bytes, where it is anything else than that.
 */
bool hex_read(const char *text, unsigned char *ret_bytes, size_t n);
