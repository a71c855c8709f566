#pragma once

/* Time as the broker uses it: CLOCK_BOOTTIME, which also counts suspend, read afresh at every call. */
#include <stdint.h>

uint64_t clock_now_ns(void);

/* Unix time, ms: for what is shown to people and clients, never for decisions. */
uint64_t clock_unix_ms(void);
