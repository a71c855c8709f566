#pragma once

/*
 * The clocks of the nodes, held against our own: see clockwatch.c.
 */
#include <stdbool.h>
#include <stdint.h>

struct engine;
struct lease;

struct clockwatch {
        bool known;
        int64_t least_ns, most_ns; /* what the node's clock is ahead of ours, as of at_ns */
        uint64_t at_ns;
        uint64_t stepped_ns; /* when it was last seen to have stepped forward; 0: never */
        uint64_t step_ns;    /* by how much at the most, all steps together that a vote may have seen */
        uint64_t steps;      /* how often it stepped, either way */
};

/* A node showed this time at some moment between sent_ns and now. 0: it did not say. */
void clockwatch_on_sample(struct engine *e, unsigned node, uint64_t node_ms, uint64_t sent_ns);

/* Before when what a quorum of these nodes granted at `since_ns` or later until `until_ns` may be gone. */
uint64_t clockwatch_end_ns(const struct engine *e, uint32_t nodes, uint64_t since_ns, uint64_t until_ns);
