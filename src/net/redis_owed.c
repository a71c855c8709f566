/*
 * A ring that doubles when it is full. Room is reserved before a command is encoded, so that a command that was written
 * is never without its place.
 */
#include "redlockd/net/redis_owed.h"

#include "redlockd/base/mem.h"

#include <assert.h>
#include <errno.h>

#define OWED_SIZE_MIN 16

void redis_owed_deinit(struct redis_owed_queue *q)
{
        q->items = mem_free(q->items);
        q->first = q->n = q->size = 0;
}

int redis_owed_reserve(struct redis_owed_queue *q)
{
        size_t i, size = q->size ? q->size * 2 : OWED_SIZE_MIN;
        struct redis_owed *items;

        if (q->n < q->size)
                return 0;
        assert(q->n == q->size);
        items = mem_zalloc_n(size, sizeof(*items));
        if (!items)
                return -ENOMEM;
        for (i = 0; i < q->n; ++i)
                items[i] = q->items[(q->first + i) % q->size];
        mem_free(q->items);
        q->items = items;
        q->first = 0;
        q->size = size;
        return 0;
}

void redis_owed_push(struct redis_owed_queue *q, const struct redis_owed *owed)
{
        assert(q->n < q->size);
        q->items[(q->first + q->n++) % q->size] = *owed;
}

struct redis_owed *redis_owed_last(struct redis_owed_queue *q, size_t n)
{
        assert(n > 0 && n <= q->n);
        return &q->items[(q->first + q->n - n) % q->size];
}

const struct redis_owed *redis_owed_first(const struct redis_owed_queue *q)
{
        return q->n > 0 ? &q->items[q->first] : NULL;
}

void redis_owed_pop(struct redis_owed_queue *q)
{
        assert(q->n > 0);
        q->first = (q->first + 1) % q->size;
        --q->n;
}
