/*
 * Bounded byte queue in one block: [consumed | held | free]. Room is made by sliding the held bytes to the front before
 * the block is grown, so that a steady stream settles on one block.
 */
#include "redlockd/base/buffer.h"

#include "redlockd/base/mem.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define BUFFER_SIZE_MIN 256
#define BUFFER_KEEP_MAX 4096 /* an empty buffer keeps no more than this, unless it was told to */

void buffer_deinit(struct buffer *b)
{
        b->data = mem_free(b->data);
        b->start = b->end = b->size = 0;
}

size_t buffer_len(const struct buffer *b)
{
        return b->end - b->start;
}

const char *buffer_data(const struct buffer *b)
{
        return b->data ? b->data + b->start : NULL;
}

static int buffer_reserve(struct buffer *b, size_t n)
{
        size_t len = buffer_len(b), size = b->size ? b->size : BUFFER_SIZE_MIN;
        char *data;

        if (b->size - b->end >= n)
                return 0;
        if (b->start > 0) {
                memmove(b->data, b->data + b->start, len);
                b->start = 0;
                b->end = len;
        }
        if (b->size - len >= n)
                return 0;
        while (size - len < n)
                size *= 2;
        data = mem_realloc(b->data, size);
        if (!data)
                return -ENOMEM;
        b->data = data;
        b->size = size;
        return 0;
}

char *buffer_room(struct buffer *b, size_t n)
{
        if (n > b->max - buffer_len(b) || buffer_reserve(b, n) < 0)
                return NULL;
        return b->data + b->end;
}

void buffer_commit(struct buffer *b, size_t n)
{
        assert(n <= b->size - b->end);
        b->end += n;
}

int buffer_append(struct buffer *b, const void *bytes, size_t n)
{
        int r;

        if (n > b->max - buffer_len(b))
                return -ENOBUFS;
        if (n == 0)
                return 0;
        r = buffer_reserve(b, n);
        if (r < 0)
                return r;
        memcpy(b->data + b->end, bytes, n);
        b->end += n;
        return 0;
}

void buffer_cut(struct buffer *b, size_t len)
{
        assert(len <= buffer_len(b));
        b->end = b->start + len;
}

void buffer_consume(struct buffer *b, size_t n)
{
        assert(n <= buffer_len(b));
        b->start += n;
        if (b->start < b->end)
                return;
        b->start = b->end = 0;
        if (b->size > BUFFER_KEEP_MAX && b->size > b->keep)
                buffer_deinit(b);
}
