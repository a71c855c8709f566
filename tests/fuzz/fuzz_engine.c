/*
 * The engine: the bytes are a life (sim/life.h), every choice in it taken from them in turn, and the swarm's checkers
 * look on. The first two bytes are the seed of what the network and the clocks do.
 *
 *      build/fuzz/tests/fuzz/engine -print_final_stats=0 INPUT         with TRACE=1 in the environment: tells the life
 */
#include "fuzz/fuzz.h"

#include "sim/life.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct text bytes = { (const char *)data, size };
        uint64_t seed = fuzz_byte(&bytes) * 256 + fuzz_byte(&bytes);
        struct life_totals totals = { 0 };
        char wrong[256];

        if (!life_run(seed, &bytes, getenv("TRACE") ? stdout : NULL, &totals, wrong, sizeof(wrong))) {
                fflush(stdout);
                fprintf(stderr, "the life is wrong: %s\n", wrong);
                abort();
        }
        return 0;
}
