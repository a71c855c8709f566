/*
 * The two clocks. No time is kept between calls: what was read once for a whole turn of the loop is behind after a
 * stall, and a lock would look that much longer valid than it is. How far they are apart is kept, for what is shown.
 */
#include "redlockd/net/clock.h"

#include <assert.h>
#include <time.h>

#define CLOCK_NS_PER_MS    1000000
#define CLOCK_WALL_READ_NS CLOCK_NS_PER_MS /* how often is looked whether the wall clock was set */

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

/* Read between two looks at the other clock: where the kernel takes the processor away meanwhile, once more. */
static int64_t clock_ahead_ms(void)
{
        uint64_t before_ns, after_ns;
        struct timespec ts;
        int64_t ahead_ns;
        unsigned i = 0;

        do {
                before_ns = clock_now_ns();
                ts = clock_read(CLOCK_REALTIME);
                after_ns = clock_now_ns();
        } while (after_ns - before_ns > CLOCK_NS_PER_MS / 10 && ++i < 10);
        ahead_ns = (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec - (int64_t)after_ns;
        return ahead_ns / CLOCK_NS_PER_MS - (ahead_ns % CLOCK_NS_PER_MS < 0);
}

uint64_t clock_wall_ms(struct clock_wall *wall, uint64_t now_ns)
{
        int64_t ahead_ms;

        if (wall->read_ns == 0 || now_ns - wall->read_ns >= CLOCK_WALL_READ_NS) {
                ahead_ms = clock_ahead_ms();
                /* One more is the same as before: what is left of a millisecond differs from look to look. */
                if (wall->read_ns == 0 || ahead_ms < wall->ahead_ms || ahead_ms > wall->ahead_ms + 1)
                        wall->ahead_ms = ahead_ms;
                wall->read_ns = now_ns;
        }
        return now_ns / CLOCK_NS_PER_MS + (uint64_t)wall->ahead_ms;
}
