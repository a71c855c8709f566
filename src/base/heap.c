/*
 * Binary min-heap in an array; each deadline knows its place, so that it can be moved and removed in O(log n).
 */
#include "redlockd/base/heap.h"

#include "redlockd/base/mem.h"

#include <assert.h>
#include <errno.h>

#define HEAP_SIZE_MIN 16

void heap_deinit(struct heap *h)
{
        assert(h->n == 0);
        assert(h->reserved == 0);
        h->items = mem_free(h->items);
        h->size = 0;
}

int heap_reserve(struct heap *h)
{
        size_t size = h->size ? h->size * 2 : HEAP_SIZE_MIN;
        struct deadline **items;

        if (h->reserved == UINT32_MAX)
                return -ENOMEM; /* a place has no more bits */
        if (h->reserved == h->size) {
                items = mem_realloc(h->items, size * sizeof(*items));
                if (!items)
                        return -ENOMEM;
                h->items = items;
                h->size = size;
        }
        ++h->reserved;
        return 0;
}

void heap_release(struct heap *h)
{
        assert(h->reserved > h->n);
        --h->reserved;
}

static void heap_put(struct heap *h, struct deadline *d, size_t i)
{
        h->items[i] = d;
        d->place = (uint32_t)i + 1;
}

static void heap_rise(struct heap *h, struct deadline *d, size_t i)
{
        while (i > 0 && h->items[(i - 1) / 2]->at_ns > d->at_ns) {
                heap_put(h, h->items[(i - 1) / 2], i);
                i = (i - 1) / 2;
        }
        heap_put(h, d, i);
}

static void heap_sink(struct heap *h, struct deadline *d, size_t i)
{
        size_t child;

        while ((child = 2 * i + 1) < h->n) {
                if (child + 1 < h->n && h->items[child + 1]->at_ns < h->items[child]->at_ns)
                        ++child;
                if (h->items[child]->at_ns >= d->at_ns)
                        break;
                heap_put(h, h->items[child], i);
                i = child;
        }
        heap_put(h, d, i);
}

void heap_set(struct heap *h, struct deadline *d, uint64_t at_ns)
{
        bool earlier = !deadline_armed(d) || at_ns < d->at_ns;

        d->at_ns = at_ns;
        if (!deadline_armed(d)) {
                assert(h->n < h->reserved);
                heap_put(h, d, h->n++);
        }
        if (earlier)
                heap_rise(h, d, d->place - 1);
        else
                heap_sink(h, d, d->place - 1);
}

void heap_clear(struct heap *h, struct deadline *d)
{
        struct deadline *last;
        size_t i = d->place;

        if (i == 0)
                return;
        d->place = 0;
        last = h->items[--h->n];
        if (last == d)
                return;
        heap_put(h, last, i - 1);
        heap_rise(h, last, i - 1);
        heap_sink(h, last, last->place - 1);
}

struct deadline *heap_first(const struct heap *h)
{
        return h->n > 0 ? h->items[0] : NULL;
}
