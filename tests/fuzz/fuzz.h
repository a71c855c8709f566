#pragma once

/*
 * What the targets of libFuzzer (https://llvm.org/docs/LibFuzzer.html) share. Each target feeds one module with bytes
 * and states what must hold whatever they are; the sanitizers look on.
 */
#include "redlockd/base/mem.h"
#include "redlockd/base/text.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Ends the run with the input as a finding. Not assert(3), so that nothing can compile it away. */
#define must(holds)                                                                                                    \
        do {                                                                                                           \
                if (!(holds)) {                                                                                        \
                        fprintf(stderr, "%s:%d: must be: %s\n", __FILE__, __LINE__, #holds);                           \
                        abort();                                                                                       \
                }                                                                                                      \
        } while (0)

/* Takes one byte off the front; 0 where there is none. */
static inline unsigned fuzz_byte(struct text *input)
{
        if (input->len == 0)
                return 0;
        --input->len;
        return (unsigned char)*input->data++;
}

/* A copy in a block of its own size, so that one byte read past it is seen. To be given to free(). */
static inline char *fuzz_copy(struct text input)
{
        char *copy = malloc(input.len > 0 ? input.len : 1);

        must(copy);
        if (input.len > 0)
                memcpy(copy, input.data, input.len);
        return copy;
}

/* A number that belongs to the input: which allocation fails, say. */
static inline uint64_t fuzz_hash(struct text input)
{
        uint64_t hash = UINT64_C(0xcbf29ce484222325);
        size_t i;

        for (i = 0; i < input.len; ++i)
                hash = (hash ^ (unsigned char)input.data[i]) * UINT64_C(0x100000001b3);
        return hash ^ hash >> 32;
}
