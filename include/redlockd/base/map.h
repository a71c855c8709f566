#pragma once

/*
 * Hash table with the links embedded in what it holds. It compares nothing: the caller walks the few links that share a
 * hash and compares for itself. Inserting never fails: where the table cannot grow, its chains grow instead.
 *
 *      for (l = map_first(&m, hash); l; l = map_next(l))
 *              if (equal(container_of(l, struct thing, link), ...)) ...
 */
#include "redlockd/base/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map_link {
        struct map_link *next;
        uint64_t hash;
};

struct map {
        struct map_link **buckets; /* owned */
        size_t size;               /* a power of two */
        size_t n;
        size_t first; /* no link is in a bucket before it */
};

/* 0 or -ENOMEM. */
int map_init(struct map *m);

/* Asserts that it is empty. */
void map_deinit(struct map *m);

void map_link(struct map *m, struct map_link *link, uint64_t hash);
void map_unlink(struct map *m, struct map_link *link);

/* The first link with this hash, and the one after it; NULL at the end. */
struct map_link *map_first(const struct map *m, uint64_t hash);
struct map_link *map_next(const struct map_link *link);

/* Any link, or NULL when empty; and the one after it in the table's own order, for walks that change nothing. */
struct map_link *map_any(const struct map *m);
struct map_link *map_after(const struct map *m, const struct map_link *link);

/*
 * A walk that may be broken off and goes on later, however the table has changed meanwhile: in the order of places,
 * which are hashes with their bits reversed, so that no growth moves a link from one side of another to the other. From
 * *place on, 0 at first: finds the link of the lowest place and sets *place to it. Returns false at the end; true with
 * *ret_link NULL where it has looked into *steps buckets, and goes on from *place. Links of one hash have one place.
 */
bool map_walk(const struct map *m, uint64_t *place, unsigned *steps, struct map_link **ret_link);

/*
 * SipHash-1-3 (Aumasson, Bernstein: "SipHash: a fast short-input PRF", 2012): without the seed nobody can choose keys
 * that fall into one bucket.
 */
struct hash_seed {
        uint64_t k0;
        uint64_t k1;
};

uint64_t hash_text(const struct hash_seed *seed, struct text text);

/* Of two numbers that no client can choose: cheap, and no secret of the seed's is in it. */
uint64_t hash_u64(const struct hash_seed *seed, uint64_t a, uint64_t b);

#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
