#pragma once

/*
 * What the programs that measure have in common: a clock, samples and their quantiles, and a way to fail.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_MS UINT64_C(1000000)

/* Durations, all of them kept. */
struct samples {
        uint64_t *ns;
        size_t n;
        size_t size;
};

uint64_t bench_now_ns(void);

/* Of this process until now. */
double bench_cpu_us(void);

__attribute__((noreturn, format(printf, 1, 2))) void bench_die(const char *format, ...);

void samples_add(struct samples *s, uint64_t ns);

/* Prints "p50":..,"p99":..,"p999":.. in microseconds. */
void samples_print(struct samples *s);
