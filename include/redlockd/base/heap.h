#pragma once

/*
 * Min-heap of deadlines. A deadline is embedded in what it belongs to; the heap holds pointers only.
 *
 * Arming never fails: whoever creates an object with a deadline in it reserves its place first (heap_reserve) and gives
 * the place back when the object goes (heap_release).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct deadline {
        uint64_t at_ns;
        uint32_t place; /* index in the heap + 1; 0: not armed */
        int kind;       /* what it is embedded in: the owner's enum */
};

struct heap {
        struct deadline **items; /* owned */
        size_t n;
        size_t reserved;
        size_t size;
};

/* Asserts that nothing is armed and nothing reserved. */
void heap_deinit(struct heap *h);

/* One more place. 0 or -ENOMEM. */
int heap_reserve(struct heap *h);
void heap_release(struct heap *h);

/* Arms a deadline, or moves one that is armed. */
void heap_set(struct heap *h, struct deadline *d, uint64_t at_ns);

/* Disarms; does nothing to one that is not armed. */
void heap_clear(struct heap *h, struct deadline *d);

/* The earliest deadline, or NULL. */
struct deadline *heap_first(const struct heap *h);

static inline bool deadline_armed(const struct deadline *d)
{
        return d->place > 0;
}
