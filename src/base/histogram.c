/*
 * Durations, counted by size. Whole microseconds are kept of each, so that sums stay exact for half a million years.
 */
#include "redlockd/base/histogram.h"

#define NS_PER_US 1000
#define MS        UINT64_C(1000)
#define S         (1000 * MS)

const uint64_t histogram_fast_us[16] = { 50,      100,     250,      500,      1 * MS,   2500,  5 * MS,    10 * MS,
                                         25 * MS, 50 * MS, 100 * MS, 250 * MS, 500 * MS, 1 * S, 2500 * MS, 5 * S };

const uint64_t histogram_slow_us[18] = { 1 * MS,   2500,     5 * MS,   10 * MS, 25 * MS,   50 * MS,
                                         100 * MS, 250 * MS, 500 * MS, 1 * S,   2500 * MS, 5 * S,
                                         10 * S,   30 * S,   60 * S,   300 * S, 900 * S,   3600 * S };

void histogram_observe_ns(struct histogram *h, uint64_t duration_ns)
{
        uint64_t us = duration_ns / NS_PER_US;
        unsigned i;

        for (i = 0; i < h->bounds_n && us > h->bounds_us[i]; ++i)
                ;
        ++h->counts[i];
        ++h->count;
        h->sum_us += us;
}
