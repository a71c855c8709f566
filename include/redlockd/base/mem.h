#pragma once

/*
 * Allocation, and the only place where it can be made to fail: tests let the k-th allocation return NULL, for every k.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zeroed memory, or NULL. */
void *mem_zalloc(size_t size);

/* Zeroed memory for n elements, or NULL, also where n * size overflows. */
void *mem_zalloc_n(size_t n, size_t size);

/* As realloc(3): on NULL the old block stands. */
void *mem_realloc(void *block, size_t size);

/* Takes NULL. Returns NULL, so that `p = mem_free(p)` forgets the pointer. */
void *mem_free(void *block);

/* For an allocator with memory of its own: one more block, or false where it is to fail; and one that is freed. */
bool mem_count(void);
void mem_uncount(void);

/* Test only. The k-th allocation from now on fails (1: the next); 0 lets all succeed. */
void mem_fail_at(uint64_t k);

/* Test only. True once an allocation was refused because of mem_fail_at(). */
int mem_failed(void);

/* Blocks that are allocated and not yet freed. */
uint64_t mem_live(void);
