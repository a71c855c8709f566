#pragma once

/*
 * Random bytes of the kernel, fetched in blocks: a lock's value costs no system call of its own.
 */
#include <stddef.h>

#define ENTROPY_BLOCK_BYTES 4096

struct entropy {
        unsigned char block[ENTROPY_BLOCK_BYTES];
        size_t left; /* bytes at the end of the block that were not handed out yet; 0 at first */
};

/* Fills `ret_bytes`. `userdata` is a struct entropy: this is an engine_random. Never fails. */
void entropy_fill(void *userdata, void *ret_bytes, size_t n);
