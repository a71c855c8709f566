#pragma once

/*
 * How often a duration fell between which bounds. Pure value; the bounds are borrowed for its whole life.
 */
#include <stdint.h>

#define HISTOGRAM_BOUNDS_MAX 20

struct histogram {
        const uint64_t *bounds_us; /* ascending; a duration belongs to the first that is not less */
        unsigned bounds_n;
        uint64_t counts[HISTOGRAM_BOUNDS_MAX + 1]; /* the last: above all bounds */
        uint64_t count;
        uint64_t sum_us;
};

#define HISTOGRAM_INIT(bounds)                                                                                         \
        {                                                                                                              \
                .bounds_us = (bounds), .bounds_n = sizeof(bounds) / sizeof((bounds)[0])                                \
        }

/* What answers within a machine room, and what a loop's turn takes: 50 us to 5 s. */
extern const uint64_t histogram_fast_us[16];
/* What people and leases last: 1 ms to an hour. */
extern const uint64_t histogram_slow_us[18];

void histogram_observe_ns(struct histogram *h, uint64_t duration_ns);
