/*
 * Preloaded: the wall clock of one program is CLOCK_SHIFT milliseconds off. The clocks that measure how much time has
 * passed are left alone.
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

#define NS_PER_S  1000000000LL
#define NS_PER_MS 1000000LL

static long long shift_ns(void)
{
        static long long ns;
        static int known;

        if (!known) {
                const char *ms = getenv("CLOCK_SHIFT");

                ns = ms ? atoll(ms) * NS_PER_MS : 0;
                known = 1;
        }
        return ns;
}

int clock_gettime(clockid_t id, struct timespec *ret_time)
{
        static int (*next)(clockid_t, struct timespec *);
        long long ns;
        int r;

        if (!next)
                next = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
        r = next(id, ret_time);
        if (r == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) {
                ns = ret_time->tv_sec * NS_PER_S + ret_time->tv_nsec + shift_ns();
                ret_time->tv_sec = ns / NS_PER_S;
                ret_time->tv_nsec = ns % NS_PER_S;
        }
        return r;
}

int gettimeofday(struct timeval *restrict ret_time, void *restrict zone)
{
        struct timespec now;

        clock_gettime(CLOCK_REALTIME, &now);
        ret_time->tv_sec = now.tv_sec;
        ret_time->tv_usec = now.tv_nsec / 1000;
        return 0;
}

time_t time(time_t *ret_time)
{
        struct timespec now;

        clock_gettime(CLOCK_REALTIME, &now);
        if (ret_time)
                *ret_time = now.tv_sec;
        return now.tv_sec;
}
