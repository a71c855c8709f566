/*
 * A class of blocks for each multiple of SLAB_ALIGN. Chunks of a class that have a block left are in its list; one that
 * is full is found again by the address of a block that is given back: a chunk begins at a multiple of its size.
 *
 *      chunk:  | head | given out | given back | given out | given out | never given out         |
 *                                   ^ free                               ^ fresh
 *
 * A chunk of which no block is left goes back to malloc(), but for the last one in its list: else whoever takes a
 * single block and gives it back, again and again, would have a chunk made and thrown away each time.
 */
#include "redlockd/base/slab.h"

#include "redlockd/base/mem.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

/*
 * Below half of what glibc would map by itself, since it looks for a place in twice as much. Its own header is in it:
 * so the next chunk begins where this one ends.
 */
#define SLAB_CHUNK_SIZE   32768
#define SLAB_CHUNK_USABLE (SLAB_CHUNK_SIZE - 16)

#define SLAB_CLASSES_N (SLAB_BLOCK_MAX / SLAB_ALIGN + 1)

struct slab_block {
        struct slab_block *next;
};

struct slab_chunk {
        LIST_ENTRY(slab_chunk) entry; /* while it has a block left */
        struct slab_block *free;      /* those that were given back */
        uint32_t fresh;               /* where those begin that were never given out */
        uint16_t block_size;
        uint16_t live;
};

LIST_HEAD(slab_list, slab_chunk);

static struct slab_list slab_classes[SLAB_CLASSES_N];
static size_t slab_chunks_n;

static size_t slab_class(size_t size)
{
        return (size + SLAB_ALIGN - 1) / SLAB_ALIGN;
}

static bool slab_is_full(const struct slab_chunk *chunk)
{
        return !chunk->free && chunk->fresh + chunk->block_size > SLAB_CHUNK_USABLE;
}

static struct slab_chunk *slab_chunk_new(size_t class)
{
        struct slab_chunk *chunk;
        void *memory;

        if (posix_memalign(&memory, SLAB_CHUNK_SIZE, SLAB_CHUNK_USABLE) != 0)
                return NULL;
        chunk = memory;
        *chunk = (struct slab_chunk){ .fresh = sizeof(*chunk), .block_size = (uint16_t)(class * SLAB_ALIGN) };
        LIST_INSERT_HEAD(&slab_classes[class], chunk, entry);
        ++slab_chunks_n;
        return chunk;
}

static void slab_chunk_free(struct slab_chunk *chunk)
{
        LIST_REMOVE(chunk, entry);
        --slab_chunks_n;
        free(chunk);
}

static void *slab_take(struct slab_chunk *chunk)
{
        struct slab_block *block = chunk->free;

        if (block) {
                chunk->free = block->next;
        } else {
                block = (void *)((char *)chunk + chunk->fresh);
                chunk->fresh += chunk->block_size;
        }
        ++chunk->live;
        if (slab_is_full(chunk))
                LIST_REMOVE(chunk, entry);
        return block;
}

void *slab_zalloc(size_t size)
{
        size_t class = slab_class(size);
        struct slab_chunk *chunk;

        assert(size > 0);
        if (!SLAB_IN_CHUNKS || size > SLAB_BLOCK_MAX)
                return mem_zalloc(size);
        if (!mem_count())
                return NULL;
        chunk = LIST_FIRST(&slab_classes[class]);
        if (!chunk)
                chunk = slab_chunk_new(class);
        if (!chunk) {
                mem_uncount();
                return NULL;
        }
        return memset(slab_take(chunk), 0, size);
}

static void slab_give_back(struct slab_chunk *chunk, struct slab_block *block, size_t class)
{
        struct slab_list *list = &slab_classes[class];

        assert(chunk->block_size == class * SLAB_ALIGN && chunk->live > 0);
        if (slab_is_full(chunk))
                LIST_INSERT_HEAD(list, chunk, entry);
        block->next = chunk->free;
        chunk->free = block;
        if (--chunk->live == 0 && (LIST_FIRST(list) != chunk || LIST_NEXT(chunk, entry)))
                slab_chunk_free(chunk);
}

void *slab_free(void *block, size_t size)
{
        if (!SLAB_IN_CHUNKS || size > SLAB_BLOCK_MAX)
                return mem_free(block);
        if (!block)
                return NULL;
        mem_uncount();
        slab_give_back((struct slab_chunk *)((uintptr_t)block & ~(uintptr_t)(SLAB_CHUNK_SIZE - 1)), block,
                       slab_class(size));
        return NULL;
}

size_t slab_chunks(void)
{
        return slab_chunks_n;
}
