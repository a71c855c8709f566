#pragma once

/*
 * A life of the broker: a world and its weather are drawn, sessions ask for everything in every way, nodes and hosts
 * are in trouble, and the checkers (watch.h) look on. What is drawn comes from a seed, or from bytes that somebody else
 * has chosen: a fuzzer.
 */
#include "sim/watch.h"

#include "redlockd/base/text.h"

struct life_totals {
        uint64_t runs, wild, failing, steps, virtual_ms;
        struct watch_counts counts;
};

/*
 * One life, whose end is added to `totals`. With `bytes` every choice is taken from them in turn, and the life ends
 * with them; what the network and the clocks do within what was chosen is the seed's. Returns false where something was
 * wrong, which is in `ret_wrong` then: the world is left behind, since it cannot be taken down in order.
 */
bool life_run(uint64_t seed, const struct text *bytes, FILE *trace, struct life_totals *totals, char *ret_wrong,
              size_t wrong_size);
