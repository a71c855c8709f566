/*
 * Reading JSON when memory runs out and stays out, as it does on a real host. The functions of base/mem.h are defined
 * here in its place: from the k-th allocation on every one is refused.
 */
#include "redlockd/base/mem.h"
#include "redlockd/wire/request.h"

#include "unit/unit.h"

#include <errno.h>
#include <stdio.h>

static uint64_t allocations, refused_from, live;

static bool refuse(void)
{
        return refused_from > 0 && ++allocations >= refused_from;
}

void *mem_zalloc(size_t size)
{
        return mem_zalloc_n(1, size);
}

void *mem_zalloc_n(size_t n, size_t size)
{
        void *block = refuse() ? NULL : calloc(n, size);

        live += block != NULL;
        return block;
}

void *mem_realloc(void *block, size_t size)
{
        void *moved = refuse() ? NULL : realloc(block, size);

        live += moved && !block;
        return moved;
}

void *mem_free(void *block)
{
        live -= block != NULL;
        free(block);
        return NULL;
}

uint64_t mem_live(void)
{
        return live;
}

static int parse(const char *line, struct wire_request *ret_request)
{
        static const struct request_rules rules = { .keys_max = 4, .key_bytes_max = 1000 };

        return wire_request_parse(text_of(line), &rules, ret_request);
}

/* Strings and numbers of every length, so that what the parser holds of them must grow at any of their bytes. */
START_TEST(a_reading_without_memory_ends_as_one)
{
        struct wire_request r;
        char line[400];
        uint64_t before;

        ck_assert_int_eq(parse("{\"method\":\"ping\"}", &r), 0);
        wire_request_deinit(&r);
        before = live;
        for (int n = 1; n <= 140; ++n) {
                for (int kind = 0; kind < 2; ++kind) {
                        snprintf(line, sizeof(line),
                                 kind ? "{\"method\":\"free\",\"params\":{\"keys\":[\"%0*d\",\"a\"]}}"
                                      : "{\"method\":\"ping\",\"params\":[1%0*d,[1,{\"a\":2}]]}",
                                 n, 0);
                        for (refused_from = 1, allocations = 0; parse(line, &r) < 0; ++refused_from, allocations = 0)
                                ck_assert_uint_eq(live, before);
                        ck_assert_uint_lt(allocations, refused_from);
                        ck_assert_int_eq(r.error.name, kind ? ERROR_NONE : ERROR_INVALID_PARAMS);
                        refused_from = 0;
                        wire_request_deinit(&r);
                        ck_assert_uint_eq(live, before);
                }
        }
}
END_TEST

UNIT_MAIN("codec", a_reading_without_memory_ends_as_one)
