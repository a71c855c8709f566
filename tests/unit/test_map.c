/*
 * The hash table, and the hash.
 */
#include "redlockd/base/map.h"

#include "redlockd/base/mem.h"
#include "unit/unit.h"

#include <errno.h>

struct thing {
        struct map_link link;
        int number;
};

static bool map_has(const struct map *m, const struct thing *t, uint64_t hash)
{
        struct map_link *l;

        for (l = map_first(m, hash); l; l = map_next(l))
                if (container_of(l, struct thing, link) == t)
                        return true;
        return false;
}

START_TEST(what_is_linked_is_found_until_it_is_unlinked)
{
        struct thing a = { .number = 1 }, b = { .number = 2 };
        struct map m;

        ck_assert_int_eq(map_init(&m), 0);
        map_link(&m, &a.link, 100);
        ck_assert(map_has(&m, &a, 100));
        ck_assert(!map_has(&m, &a, 101));
        map_link(&m, &b.link, 100);
        map_unlink(&m, &a.link);
        ck_assert(!map_has(&m, &a, 100));
        ck_assert(map_has(&m, &b, 100));
        map_unlink(&m, &b.link);
        ck_assert_uint_eq(m.n, 0);
        map_deinit(&m);
}
END_TEST

START_TEST(links_of_one_bucket_keep_their_hashes_apart)
{
        struct thing things[6];
        struct map m;
        int n = 0;

        /* 16 buckets: 3 and 19 share one. */
        ck_assert_int_eq(map_init(&m), 0);
        for (int i = 0; i < 6; ++i)
                map_link(&m, &things[i].link, i % 2 ? 3 : 19);
        for (struct map_link *l = map_first(&m, 3); l; l = map_next(l), ++n)
                ck_assert_uint_eq(l->hash, 3);
        ck_assert_int_eq(n, 3);
        for (int i = 0; i < 6; ++i)
                map_unlink(&m, &things[i].link);
        map_deinit(&m);
}
END_TEST

START_TEST(a_walk_meets_each_link_once)
{
        static struct thing things[1000];
        struct map m;
        int n = 0;

        ck_assert_int_eq(map_init(&m), 0);
        ck_assert_ptr_null(map_any(&m));
        for (unsigned i = 0; i < 1000; ++i)
                map_link(&m, &things[i].link, i * 7919u % 512);
        for (struct map_link *l = map_any(&m); l; l = map_after(&m, l), ++n)
                ck_assert_int_eq(container_of(l, struct thing, link)->number++, 0);
        ck_assert_int_eq(n, 1000);
        for (unsigned i = 0; i < 1000; ++i)
                map_unlink(&m, &things[i].link);
        ck_assert_ptr_null(map_any(&m));
        map_deinit(&m);
}
END_TEST

/* As much of a walk as `steps` buckets hold; false at its end. */
static bool walk_some(const struct map *m, uint64_t *place, unsigned steps)
{
        struct map_link *link;

        while (map_walk(m, place, &steps, &link)) {
                if (!link)
                        return true;
                for (; link; link = map_next(link))
                        ++container_of(link, struct thing, link)->number;
                if (*place == UINT64_MAX)
                        return false;
                ++*place;
        }
        return false;
}

/* The table doubles five times under it; half of the links go, in an order of their own. */
START_TEST(a_walk_in_pieces_meets_each_link_once_however_the_table_grows)
{
        static struct thing things[1000];
        struct hash_seed seed = { 1, 2 };
        unsigned i, n = 30, gone_n = 0;
        uint64_t place = 0;
        struct map m;

        ck_assert_int_eq(map_init(&m), 0);
        for (i = 0; i < n; ++i)
                map_link(&m, &things[i].link, i == 7 ? UINT64_MAX : i == 8 ? 0 : hash_u64(&seed, i, 0));
        for (i = 20; i < 25; ++i) { /* several of one hash */
                map_unlink(&m, &things[i].link);
                map_link(&m, &things[i].link, 4711);
        }
        while (walk_some(&m, &place, 3)) {
                for (i = 0; i < 60 && n < 1000; ++i, ++n)
                        map_link(&m, &things[n].link, hash_u64(&seed, n, 0));
                if (gone_n < 15)
                        map_unlink(&m, &things[gone_n++].link);
        }
        ck_assert_uint_eq(m.size, 512);
        for (i = 0; i < 1000; ++i) {
                ck_assert_int_le(things[i].number, 1);
                ck_assert(i < 15 || i >= 30 || things[i].number == 1);
                if (i >= gone_n)
                        map_unlink(&m, &things[i].link);
        }
        map_deinit(&m);
}
END_TEST

START_TEST(a_walk_over_an_empty_table_looks_into_each_bucket_once)
{
        uint64_t place = 0;
        unsigned pieces = 1;
        struct map m;

        ck_assert_int_eq(map_init(&m), 0);
        while (walk_some(&m, &place, 1))
                ++pieces;
        ck_assert_uint_eq(pieces, m.size);
        map_deinit(&m);
}
END_TEST

START_TEST(it_grows_with_what_it_holds)
{
        static struct thing things[1000];
        struct map m;

        ck_assert_int_eq(map_init(&m), 0);
        for (unsigned i = 0; i < 1000; ++i)
                map_link(&m, &things[i].link, i);
        ck_assert_uint_eq(m.size, 512); /* two of them to a bucket */
        for (unsigned i = 0; i < 1000; ++i) {
                ck_assert(map_has(&m, &things[i], i));
                map_unlink(&m, &things[i].link);
        }
        map_deinit(&m);
        ck_assert_uint_eq(mem_live(), 0);
}
END_TEST

START_TEST(without_memory_to_grow_it_still_takes_links)
{
        static struct thing things[100];
        struct map m;

        mem_fail_at(1);
        ck_assert_int_eq(map_init(&m), -ENOMEM);
        ck_assert_int_eq(map_init(&m), 0);
        for (unsigned i = 0; i < 100; ++i) {
                mem_fail_at(1);
                map_link(&m, &things[i].link, i);
        }
        ck_assert_uint_eq(m.size, 16);
        mem_fail_at(0);
        for (unsigned i = 0; i < 100; ++i)
                ck_assert(map_has(&m, &things[i], i));
        for (unsigned i = 0; i < 100; ++i)
                map_unlink(&m, &things[i].link);
        map_deinit(&m);
}
END_TEST

START_TEST(the_hash_is_siphash_1_3)
{
        /* With the key 00 01 ... 0f, of the first n of the bytes 00 01 02 ...: around each end of a word. */
        static const struct {
                size_t n;
                uint64_t hash;
        } vectors[] = {
                { 0, 0xabac0158050fc4dc },  { 1, 0xc9f49bf37d57ca93 }, { 2, 0x82cb9b024dc7d44d },
                { 7, 0xd3927d989bb11140 },  { 8, 0x369095118d299a8e }, { 15, 0xd320d86d2a519956 },
                { 16, 0xcc4fdd1a7d908b66 },
        };
        struct hash_seed seed = { 0x0706050403020100, 0x0f0e0d0c0b0a0908 };
        char bytes[16];

        for (size_t i = 0; i < sizeof(bytes); ++i)
                bytes[i] = (char)i;
        for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); ++i)
                ck_assert_uint_eq(hash_text(&seed, (struct text){ bytes, vectors[i].n }), vectors[i].hash);
}
END_TEST

/* Else it would take minutes. */
START_TEST(it_is_emptied_one_by_one_without_looking_at_emptied_buckets_again)
{
        enum { N = 1 << 19 };
        struct thing *things = calloc(N, sizeof(*things));
        struct map_link *l;
        struct map m;
        int n = 0;

        ck_assert_int_eq(map_init(&m), 0);
        for (unsigned i = 0; i < N; ++i)
                map_link(&m, &things[i].link, i);
        for (; (l = map_any(&m)); ++n)
                map_unlink(&m, l);
        ck_assert_int_eq(n, N);
        map_link(&m, &things[7].link, 7);
        ck_assert_ptr_eq(map_any(&m), &things[7].link);
        map_link(&m, &things[3].link, 3);
        ck_assert_ptr_eq(map_any(&m), &things[3].link);
        map_unlink(&m, &things[3].link);
        map_unlink(&m, &things[7].link);
        ck_assert_ptr_null(map_any(&m));
        map_deinit(&m);
        free(things);
}
END_TEST

/* Numbers that follow each other, or differ in any one place, fill the buckets evenly; the seed moves them all. */
START_TEST(two_numbers_are_spread)
{
        struct hash_seed seed = { 0x0706050403020100, 0x0f0e0d0c0b0a0908 }, other = { 1, 2 };
        unsigned counts[64] = { 0 }, moved = 0;

        for (uint64_t a = 0; a < 64; ++a) {
                for (uint64_t b = 0; b < 64; ++b) {
                        ++counts[hash_u64(&seed, a << (a % 40), b << (b % 40)) % 64];
                        moved += hash_u64(&seed, a, b) % 64 != hash_u64(&other, a, b) % 64;
                }
        }
        for (int i = 0; i < 64; ++i)
                ck_assert_uint_lt(counts[i], 128);
        ck_assert_uint_gt(moved, 3900);
}
END_TEST

UNIT_MAIN("map", what_is_linked_is_found_until_it_is_unlinked, links_of_one_bucket_keep_their_hashes_apart,
          a_walk_meets_each_link_once, a_walk_in_pieces_meets_each_link_once_however_the_table_grows,
          a_walk_over_an_empty_table_looks_into_each_bucket_once, it_grows_with_what_it_holds,
          without_memory_to_grow_it_still_takes_links, the_hash_is_siphash_1_3,
          it_is_emptied_one_by_one_without_looking_at_emptied_buckets_again, two_numbers_are_spread)
