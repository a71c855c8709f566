#pragma once

/*
 * Small blocks by the million: of one size side by side in chunks, with nothing between them. What malloc() takes
 * besides, a header of 8 bytes and what it rounds up to 16, was 32 of the 474 bytes of a lock of `memory:`.
 */
#include <stddef.h>
#include <stdint.h>

#define SLAB_BLOCK_MAX 256 /* larger ones are malloc's */
#define SLAB_ALIGN     8   /* of a block, and what sizes are rounded up to */

/* With AddressSanitizer each block is malloc's own, so that it sees who reads past one, or one that was given back. */
#if defined(__SANITIZE_ADDRESS__)
#define SLAB_IN_CHUNKS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SLAB_IN_CHUNKS 0
#endif
#endif
#ifndef SLAB_IN_CHUNKS
#define SLAB_IN_CHUNKS 1
#endif

/* Zeroed memory of at least one byte, or NULL. Counts as one of mem.h's allocations, and is made to fail as they are.
 */
void *slab_zalloc(size_t size);

/* Of the size that it was asked with. Takes NULL. Returns NULL, so that `p = slab_free(p, size)` forgets the pointer.
 */
void *slab_free(void *block, size_t size);

/* Test only: how many chunks there are. */
size_t slab_chunks(void);
