/*
 * A clock, samples, and the end.
 */
#include "bench.h"

#include <stdarg.h>
#include <sys/resource.h>
#include <time.h>

#define SAMPLES_SIZE_MIN 65536

uint64_t bench_now_ns(void)
{
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

double bench_cpu_us(void)
{
        struct rusage usage;

        getrusage(RUSAGE_SELF, &usage);
        return 1e6 * (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
               (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

void bench_die(const char *format, ...)
{
        va_list args;

        va_start(args, format);
        vfprintf(stderr, format, args);
        va_end(args);
        fprintf(stderr, "\n");
        exit(1);
}

void samples_add(struct samples *s, uint64_t ns)
{
        if (s->n == s->size) {
                s->size = s->size ? 2 * s->size : SAMPLES_SIZE_MIN;
                s->ns = realloc(s->ns, s->size * sizeof(*s->ns));
                if (!s->ns)
                        bench_die("out of memory");
        }
        s->ns[s->n++] = ns;
}

static int samples_compare(const void *a, const void *b)
{
        const uint64_t *x = a, *y = b;

        return (*x > *y) - (*x < *y);
}

static double samples_quantile(const struct samples *s, double q)
{
        return s->n ? (double)s->ns[(size_t)(q * (double)(s->n - 1))] / 1000 : 0;
}

void samples_print(struct samples *s)
{
        qsort(s->ns, s->n, sizeof(*s->ns), samples_compare);
        printf("\"p50\":%.1f,\"p99\":%.1f,\"p999\":%.1f", samples_quantile(s, 0.5), samples_quantile(s, 0.99),
               samples_quantile(s, 0.999));
}
