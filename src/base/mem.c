/*
 * Allocation with a count of live blocks and a failing mode. Single-threaded, as the program is.
 */
#include "redlockd/base/mem.h"

#include <stdlib.h>
#include <string.h>

/*
 * Blocks up to this come from malloc() and are cleared here: glibc (before 2.41) serves calloc() past its cache of
 * freed blocks, at three times the cost. Larger ones may come cleared from the kernel.
 */
#define MEM_SMALL_MAX 1024

/* By a pointer that may change, else the compiler makes one calloc() of malloc() and memset(). */
static void *(*volatile mem_malloc)(size_t size) = malloc;

static uint64_t mem_live_n;
static uint64_t mem_fail_in; /* 0: never */
static int mem_has_failed;

static int mem_refuse(void)
{
        if (mem_fail_in == 0 || --mem_fail_in > 0)
                return 0;
        mem_has_failed = 1;
        return 1;
}

void *mem_zalloc(size_t size)
{
        return mem_zalloc_n(1, size);
}

void *mem_zalloc_n(size_t n, size_t size)
{
        size_t total = 0;
        bool large = __builtin_mul_overflow(n, size, &total) || total > MEM_SMALL_MAX;
        void *block;

        if (mem_refuse())
                return NULL;
        block = large ? calloc(n, size) : mem_malloc(total);
        if (!block)
                return NULL;
        ++mem_live_n;
        if (!large)
                memset(block, 0, total);
        return block;
}

void *mem_realloc(void *block, size_t size)
{
        void *moved;

        if (mem_refuse())
                return NULL;
        moved = realloc(block, size);
        if (moved && !block)
                ++mem_live_n;
        return moved;
}

void *mem_free(void *block)
{
        if (block) {
                --mem_live_n;
                free(block);
        }
        return NULL;
}

bool mem_count(void)
{
        if (mem_refuse())
                return false;
        ++mem_live_n;
        return true;
}

void mem_uncount(void)
{
        --mem_live_n;
}

void mem_fail_at(uint64_t k)
{
        mem_fail_in = k;
        mem_has_failed = 0;
}

int mem_failed(void)
{
        return mem_has_failed;
}

uint64_t mem_live(void)
{
        return mem_live_n;
}
