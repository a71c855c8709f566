/*
 * The two clocks. Nothing is kept between calls: a time that was read once for a whole turn of the loop is behind after
 * a stall, and a lock would look that much longer valid than it is.
 */
#include "redlockd/net/clock.h"

#include <assert.h>
#include <time.h>

static struct timespec clock_read(clockid_t id)
{
        struct timespec ts;
        int r;

        r = clock_gettime(id, &ts);
        assert(r == 0);
        (void)r;
        return ts;
}

uint64_t clock_now_ns(void)
{
        struct timespec ts = clock_read(CLOCK_BOOTTIME);

        return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

uint64_t clock_unix_ms(void)
{
        struct timespec ts = clock_read(CLOCK_REALTIME);

        return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}
