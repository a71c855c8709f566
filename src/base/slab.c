/*
 * A class of blocks for each multiple of SLAB_ALIGN. Chunks of a class that have a block left are in its list; one that
 * is full is found again by the address of a block that is given back: a chunk begins at a multiple of its size.
 *
 *      chunk:  | head | given out | given back | given out | given out | never given out         |
 *                                   ^ free                               ^ fresh
 *
 * A chunk of which no block is left goes back to the system, but for one of each class, the last in its list: else who
 * takes a few blocks and gives them back, again and again, would have a chunk made and thrown away each time.
 *
 * Chunks are the system's and not malloc's, which looks for a place of twice the size where it is to begin at a certain
 * address, and would not put a new chunk where an old one has been between two others.
 */
#include "redlockd/base/slab.h"

#include "redlockd/base/mem.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/queue.h>

#define SLAB_CHUNK_SIZE 65536
#define SLAB_CLASSES_N  (SLAB_BLOCK_MAX / SLAB_ALIGN + 1)

struct slab_block {
        struct slab_block *next;
};

struct slab_chunk {
        TAILQ_ENTRY(slab_chunk) entry; /* while it has a block left */
        struct slab_block *free;       /* those that were given back */
        uint32_t fresh;                /* where those begin that were never given out */
        uint16_t block_size;
        uint16_t live;
};

TAILQ_HEAD(slab_list, slab_chunk);

static struct slab_list slab_classes[SLAB_CLASSES_N];
static size_t slab_chunks_n;

static bool slab_is_full(const struct slab_chunk *chunk)
{
        return !chunk->free && chunk->fresh + chunk->block_size > SLAB_CHUNK_SIZE;
}

static void *slab_map(size_t size)
{
        void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        return memory != MAP_FAILED ? memory : NULL;
}

/* A chunk's memory. The system puts one beside the other: seldom must one be cut out of twice as much. */
static char *slab_map_aligned(void)
{
        char *memory = slab_map(SLAB_CHUNK_SIZE);
        size_t before;

        if (!memory || (uintptr_t)memory % SLAB_CHUNK_SIZE == 0)
                return memory;
        munmap(memory, SLAB_CHUNK_SIZE);
        memory = slab_map((size_t)2 * SLAB_CHUNK_SIZE);
        if (!memory)
                return NULL;
        before = -(uintptr_t)memory % SLAB_CHUNK_SIZE;
        if (before > 0)
                munmap(memory, before);
        munmap(memory + before + SLAB_CHUNK_SIZE, SLAB_CHUNK_SIZE - before);
        return memory + before;
}

/* The list is empty. */
static struct slab_chunk *slab_chunk_new(struct slab_list *list, size_t block_size)
{
        struct slab_chunk *chunk = (void *)slab_map_aligned();

        if (!chunk)
                return NULL;
        chunk->fresh = sizeof(*chunk);
        chunk->block_size = (uint16_t)block_size;
        TAILQ_INIT(list);
        TAILQ_INSERT_HEAD(list, chunk, entry);
        ++slab_chunks_n;
        return chunk;
}

/* No block of it is left. */
static void slab_chunk_leave(struct slab_list *list, struct slab_chunk *chunk)
{
        const struct slab_chunk *last;

        TAILQ_REMOVE(list, chunk, entry);
        last = TAILQ_LAST(list, slab_list);
        if (last && last->live == 0 && munmap(chunk, SLAB_CHUNK_SIZE) == 0)
                --slab_chunks_n;
        else
                TAILQ_INSERT_TAIL(list, chunk, entry);
}

static void *slab_take(struct slab_list *list, struct slab_chunk *chunk)
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
                TAILQ_REMOVE(list, chunk, entry);
        return block;
}

static size_t slab_round(size_t size)
{
        return (size + SLAB_ALIGN - 1) & ~(size_t)(SLAB_ALIGN - 1);
}

void *slab_zalloc(size_t size)
{
        size_t block_size = slab_round(size);
        struct slab_chunk *chunk;
        struct slab_list *list;

        assert(size > 0);
        if (!SLAB_IN_CHUNKS || size > SLAB_BLOCK_MAX)
                return mem_zalloc(size);
        if (!mem_count())
                return NULL;
        list = &slab_classes[block_size / SLAB_ALIGN];
        chunk = TAILQ_FIRST(list);
        if (!chunk)
                chunk = slab_chunk_new(list, block_size);
        if (!chunk) {
                mem_uncount();
                return NULL;
        }
        return memset(slab_take(list, chunk), 0, size);
}

void *slab_free(void *memory, size_t size)
{
        struct slab_chunk *chunk = (void *)((uintptr_t)memory & ~(uintptr_t)(SLAB_CHUNK_SIZE - 1));
        struct slab_block *block = memory;
        struct slab_list *list;

        if (!SLAB_IN_CHUNKS || size > SLAB_BLOCK_MAX)
                return mem_free(memory);
        if (!block)
                return NULL;
        assert(chunk->block_size == slab_round(size) && chunk->live > 0);
        list = &slab_classes[chunk->block_size / SLAB_ALIGN];
        if (slab_is_full(chunk))
                TAILQ_INSERT_HEAD(list, chunk, entry);
        block->next = chunk->free;
        chunk->free = block;
        if (--chunk->live == 0)
                slab_chunk_leave(list, chunk);
        mem_uncount();
        return NULL;
}

size_t slab_chunks(void)
{
        return slab_chunks_n;
}
