#pragma once

/* Time as the broker uses it: CLOCK_BOOTTIME, which also counts suspend, read afresh at every call. */
#include <stdint.h>

uint64_t clock_now_ns(void);

/* Unix time, ms: for what is shown to people and clients, never for decisions. */
uint64_t clock_unix_ms(void);

/*
 * Unix time at a moment of clock_now_ns(), so that one moment is the same number however often it is asked for, until
 * the wall clock is set (which is seen a millisecond later). At most two milliseconds behind, never ahead.
 */
struct clock_wall {
        int64_t ahead_ms; /* of clock_now_ns(), in whole milliseconds */
        uint64_t read_ns; /* 0: never */
};

uint64_t clock_wall_ms(struct clock_wall *wall, uint64_t now_ns);
