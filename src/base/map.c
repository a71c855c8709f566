/*
 * Chained hash table of embedded links, doubled when it holds MAP_LOAD_MAX times as many links as buckets, and never
 * shrunk.
 */
#include "redlockd/base/map.h"

#include "redlockd/base/mem.h"

#include <assert.h>
#include <errno.h>

#define MAP_SIZE_MIN 16

/*
 * A bucket costs 8 bytes. With two links to each the two tables of a million locks of `memory:` have 8 bytes a lock,
 * with one it would be 16. To take one more there costs 0.1 to 0.3 us for that: a link more to look at in each.
 */
#define MAP_LOAD_MAX 2

int map_init(struct map *m)
{
        m->buckets = mem_zalloc_n(MAP_SIZE_MIN, sizeof(*m->buckets));
        if (!m->buckets)
                return -ENOMEM;
        m->size = MAP_SIZE_MIN;
        m->n = m->first = 0;
        return 0;
}

void map_deinit(struct map *m)
{
        assert(m->n == 0);
        m->buckets = mem_free(m->buckets);
        m->size = 0;
}

static struct map_link **map_bucket(const struct map *m, uint64_t hash)
{
        return &m->buckets[hash & (m->size - 1)];
}

static void map_grow(struct map *m)
{
        struct map grown = { .size = m->size * 2, .n = m->n, .first = 0 };
        struct map_link *link, **bucket;
        size_t i;

        grown.buckets = mem_zalloc_n(grown.size, sizeof(*grown.buckets));
        if (!grown.buckets)
                return; /* the chains grow instead; tried again at the next link */
        for (i = 0; i < m->size; ++i) {
                while ((link = m->buckets[i])) {
                        m->buckets[i] = link->next;
                        bucket = map_bucket(&grown, link->hash);
                        link->next = *bucket;
                        *bucket = link;
                }
        }
        mem_free(m->buckets);
        *m = grown;
}

void map_link(struct map *m, struct map_link *link, uint64_t hash)
{
        struct map_link **bucket;

        if (m->n >= MAP_LOAD_MAX * m->size)
                map_grow(m);
        bucket = map_bucket(m, hash);
        link->hash = hash;
        link->next = *bucket;
        *bucket = link;
        ++m->n;
        if ((size_t)(bucket - m->buckets) < m->first)
                m->first = (size_t)(bucket - m->buckets);
}

void map_unlink(struct map *m, struct map_link *link)
{
        struct map_link **at = map_bucket(m, link->hash);

        while (*at != link)
                at = &(*at)->next;
        *at = link->next;
        --m->n;
}

static struct map_link *map_match(struct map_link *link, uint64_t hash)
{
        while (link && link->hash != hash)
                link = link->next;
        return link;
}

struct map_link *map_first(const struct map *m, uint64_t hash)
{
        return map_match(*map_bucket(m, hash), hash);
}

struct map_link *map_next(const struct map_link *link)
{
        return map_match(link->next, link->hash);
}

static struct map_link *map_scan(const struct map *m, size_t i)
{
        for (; i < m->size; ++i)
                if (m->buckets[i])
                        return m->buckets[i];
        return NULL;
}

struct map_link *map_any(const struct map *m)
{
        struct map_link *link = map_scan(m, m->first);
        size_t *first = (size_t *)(uintptr_t)&m->first;

        /* Only remembered: who takes out one after another does not search the emptied buckets each time. */
        *first = link ? link->hash & (m->size - 1) : m->size;
        return link;
}

struct map_link *map_after(const struct map *m, const struct map_link *link)
{
        return link->next ? link->next : map_scan(m, (link->hash & (m->size - 1)) + 1);
}

static uint64_t map_place(uint64_t hash)
{
        uint64_t x = __builtin_bswap64(hash);

        x = (x & 0x0f0f0f0f0f0f0f0f) << 4 | (x >> 4 & 0x0f0f0f0f0f0f0f0f);
        x = (x & 0x3333333333333333) << 2 | (x >> 2 & 0x3333333333333333);
        return (x & 0x5555555555555555) << 1 | (x >> 1 & 0x5555555555555555);
}

/*
 * The buckets' own numbers, reversed, are the places' leading bits: a bucket of a table is two neighbouring ones of the
 * next larger one.
 */
bool map_walk(const struct map *m, uint64_t *place, unsigned *steps, struct map_link **ret_link)
{
        int shift = 64 - __builtin_ctzll(m->size);
        struct map_link *link, *lowest = NULL;
        uint64_t i;

        for (i = *place >> shift; i < m->size; ++i) {
                if (*steps == 0) {
                        if (i > *place >> shift)
                                *place = i << shift;
                        *ret_link = NULL;
                        return true;
                }
                --*steps;
                for (link = m->buckets[map_place(i << shift)]; link; link = link->next)
                        if (map_place(link->hash) >= *place &&
                            (!lowest || map_place(link->hash) < map_place(lowest->hash)))
                                lowest = link;
                if (lowest) {
                        *place = map_place(lowest->hash);
                        *ret_link = map_first(m, lowest->hash);
                        return true;
                }
        }
        return false;
}

static uint64_t rotate(uint64_t x, int bits)
{
        return (x << bits) | (x >> (64 - bits));
}

static void sip_round(uint64_t v[4])
{
        v[0] += v[1];
        v[1] = rotate(v[1], 13) ^ v[0];
        v[0] = rotate(v[0], 32);
        v[2] += v[3];
        v[3] = rotate(v[3], 16) ^ v[2];
        v[0] += v[3];
        v[3] = rotate(v[3], 21) ^ v[0];
        v[2] += v[1];
        v[1] = rotate(v[1], 17) ^ v[2];
        v[2] = rotate(v[2], 32);
}

uint64_t hash_text(const struct hash_seed *seed, struct text text)
{
        uint64_t v[4] = { seed->k0 ^ 0x736f6d6570736575, seed->k1 ^ 0x646f72616e646f6d, seed->k0 ^ 0x6c7967656e657261,
                          seed->k1 ^ 0x7465646279746573 };
        uint64_t word;
        size_t i;

        for (i = 0; i + 8 <= text.len; i += 8) {
                memcpy(&word, text.data + i, 8);
                v[3] ^= word;
                sip_round(v);
                v[0] ^= word;
        }
        word = (uint64_t)text.len << 56;
        for (; i < text.len; ++i)
                word |= (uint64_t)(unsigned char)text.data[i] << (8 * (i & 7));
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
        v[2] ^= 0xff;
        for (i = 0; i < 3; ++i)
                sip_round(v);
        return v[0] ^ v[1] ^ v[2] ^ v[3];
}

uint64_t hash_u64(const struct hash_seed *seed, uint64_t a, uint64_t b)
{
        uint64_t x = (a ^ seed->k0) * 0x9e3779b97f4a7c15;

        x = ((x ^ x >> 32) + (b ^ seed->k1)) * 0xd6e8feb86659fd93;
        return x ^ x >> 32;
}
