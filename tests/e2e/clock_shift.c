/*
 * Preloaded: the wall clock of one program is CLOCK_SHIFT milliseconds off, and by as many more as stand, as a 64-bit
 * number, in the file CLOCK_SHIFT_FILE: whoever writes there steps the clock of a program that runs. The clocks that
 * measure how much time has passed are left alone.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S  1000000000LL
#define NS_PER_MS 1000000LL

static volatile const int64_t *file_ms;
static long long fixed_ms;

__attribute__((constructor)) static void open_shift(void)
{
        const char *fixed = getenv("CLOCK_SHIFT"), *path = getenv("CLOCK_SHIFT_FILE");
        void *map;
        int fd;

        fixed_ms = fixed ? atoll(fixed) : 0;
        if (!path)
                return;
        fd = open(path, O_RDONLY | O_CLOEXEC);
        map = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(*file_ms), PROT_READ, MAP_SHARED, fd, 0);
        if (map == MAP_FAILED)
                abort();
        close(fd);
        file_ms = map;
}

static long long shift_ns(void)
{
        return (fixed_ms + (file_ms ? *file_ms : 0)) * NS_PER_MS;
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
