/*
 * Small blocks in chunks. With AddressSanitizer there are none, and the rules hold all the same.
 */
#include "redlockd/base/slab.h"

#include "redlockd/base/mem.h"
#include "unit/unit.h"

#include <string.h>
#include <sys/resource.h>

#define BLOCKS_N 5000 /* more than fit into one chunk, or into the list of a class, of any size */

static unsigned char *blocks[BLOCKS_N];

/* A block full of something, where it is its own. */
static void fill(unsigned char *block, size_t size, unsigned i)
{
        memset(block, (int)(1 + i % 255), size);
}

static bool is_filled(const unsigned char *block, size_t size, unsigned char with)
{
        size_t i;

        for (i = 0; i < size; ++i)
                if (block[i] != with)
                        return false;
        return true;
}

START_TEST(blocks_of_every_size_are_zeroed_aligned_and_their_owners_alone)
{
        size_t size;
        unsigned i;

        for (size = 1; size <= SLAB_BLOCK_MAX + 1; ++size) {
                for (i = 0; i < 600; ++i) {
                        blocks[i] = slab_zalloc(size);
                        ck_assert_ptr_nonnull(blocks[i]);
                        ck_assert_uint_eq((uintptr_t)blocks[i] % SLAB_ALIGN, 0);
                        ck_assert(is_filled(blocks[i], size, 0));
                        fill(blocks[i], size, i);
                }
                ck_assert_uint_eq(mem_live(), 600);
                for (i = 0; i < 600; ++i) {
                        ck_assert(is_filled(blocks[i], size, (unsigned char)(1 + i % 255)));
                        ck_assert_ptr_null(slab_free(blocks[i], size));
                }
                ck_assert_uint_eq(mem_live(), 0);
        }
}
END_TEST

START_TEST(a_block_given_back_comes_again_and_zeroed)
{
        void *a = slab_zalloc(48), *b = slab_zalloc(48), *again;

        memset(a, 0xff, 48);
        slab_free(a, 48);
        again = slab_zalloc(48);
        ck_assert(!SLAB_IN_CHUNKS || again == a);
        ck_assert(is_filled(again, 48, 0));
        slab_free(again, 48);
        slab_free(b, 48);
        ck_assert_uint_eq(mem_live(), 0);
}
END_TEST

/* Every third of many goes, and as many come; in no order. */
START_TEST(what_was_given_back_is_used_before_there_are_more_chunks)
{
        size_t chunks_n;
        unsigned i;

        for (i = 0; i < BLOCKS_N; ++i)
                blocks[i] = slab_zalloc(112);
        chunks_n = slab_chunks();
        for (i = 0; i < BLOCKS_N; i += 3)
                slab_free(blocks[i], 112);
        for (i = 0; i < BLOCKS_N; i += 3)
                fill(blocks[i] = slab_zalloc(112), 112, i);
        ck_assert_uint_eq(slab_chunks(), chunks_n);
        ck_assert_uint_eq(mem_live(), BLOCKS_N);
        for (i = 0; i < BLOCKS_N; ++i) {
                ck_assert(is_filled(blocks[i], 112, i % 3 ? 0 : (unsigned char)(1 + i % 255)));
                slab_free(blocks[i], 112);
        }
}
END_TEST

START_TEST(an_empty_chunk_goes_back_but_for_one)
{
        size_t chunks_n;
        unsigned i;

        for (i = 0; i < BLOCKS_N; ++i)
                blocks[i] = slab_zalloc(64);
        chunks_n = slab_chunks();
        ck_assert(chunks_n > 2 || !SLAB_IN_CHUNKS);
        slab_free(blocks[0], 64);
        ck_assert_uint_eq(slab_chunks(), chunks_n);
        for (i = 1; i < BLOCKS_N / 2; ++i)
                slab_free(blocks[i], 64);
        ck_assert_uint_le(slab_chunks(), chunks_n / 2 + 2);
        for (; i < BLOCKS_N; ++i)
                slab_free(blocks[i], 64);
        ck_assert_uint_eq(slab_chunks(), SLAB_IN_CHUNKS);
        ck_assert_uint_eq(mem_live(), 0);
        slab_free(slab_zalloc(64), 64);
        ck_assert_uint_eq(slab_chunks(), SLAB_IN_CHUNKS);
}
END_TEST

/* Whoever is at the edge of a chunk has it made once. */
START_TEST(one_empty_chunk_stays_beside_others_with_blocks_left)
{
        unsigned n = 0;

        if (!SLAB_IN_CHUNKS)
                return;
        do
                blocks[n++] = slab_zalloc(200);
        while (slab_chunks() < 2);
        slab_free(blocks[0], 200);
        slab_free(blocks[--n], 200);
        ck_assert_uint_eq(slab_chunks(), 2);
        blocks[0] = slab_zalloc(200);
        blocks[n++] = slab_zalloc(200);
        ck_assert_uint_eq(slab_chunks(), 2);
        while (n > 0)
                slab_free(blocks[--n], 200);
        ck_assert_uint_eq(slab_chunks(), 1);
}
END_TEST

START_TEST(the_chosen_block_fails_and_no_other)
{
        size_t sizes[] = { 1, SLAB_BLOCK_MAX, SLAB_BLOCK_MAX + 1 };
        void *a, *b;
        unsigned i;

        for (i = 0; i < 3; ++i) {
                mem_fail_at(2);
                a = slab_zalloc(sizes[i]);
                ck_assert(!mem_failed());
                ck_assert_ptr_null(slab_zalloc(sizes[i]));
                ck_assert(mem_failed());
                b = slab_zalloc(sizes[i]);
                ck_assert(a && b);
                ck_assert_uint_eq(mem_live(), 2);
                slab_free(a, sizes[i]);
                slab_free(b, sizes[i]);
                ck_assert_uint_eq(mem_live(), 0);
        }
}
END_TEST

/* The system's memory, not one that a test lets fail. */
START_TEST(without_memory_for_a_chunk_there_is_no_block)
{
        const struct rlimit none = { 0, 0 };
        unsigned n = 1;
        void *block;

        if (!SLAB_IN_CHUNKS)
                return;
        blocks[0] = slab_zalloc(256);
        ck_assert_int_eq(setrlimit(RLIMIT_AS, &none), 0);
        ck_assert_int_eq(setrlimit(RLIMIT_DATA, &none), 0);
        while ((block = slab_zalloc(256)))
                blocks[n++] = block;
        ck_assert_uint_gt(n, 200);
        ck_assert_uint_eq(mem_live(), n);
        ck_assert(!mem_failed());
        while (n > 0)
                slab_free(blocks[--n], 256);
        ck_assert_uint_eq(mem_live(), 0);
}
END_TEST

START_TEST(to_give_back_nothing_does_nothing)
{
        ck_assert_ptr_null(slab_free(NULL, 1));
        ck_assert_ptr_null(slab_free(NULL, SLAB_BLOCK_MAX + 1));
        ck_assert_uint_eq(mem_live(), 0);
        ck_assert_uint_eq(slab_chunks(), 0);
}
END_TEST

UNIT_MAIN("slab", blocks_of_every_size_are_zeroed_aligned_and_their_owners_alone,
          a_block_given_back_comes_again_and_zeroed, what_was_given_back_is_used_before_there_are_more_chunks,
          an_empty_chunk_goes_back_but_for_one, one_empty_chunk_stays_beside_others_with_blocks_left,
          the_chosen_block_fails_and_no_other, without_memory_for_a_chunk_there_is_no_block,
          to_give_back_nothing_does_nothing)
