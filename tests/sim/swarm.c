/*
 * Lives of the broker (life.h) from seeds, one after another. The same seed is the same life, to the byte.
 *
 *      swarm [-s SEED] [-n RUNS] [-v] [-q]         -v: print the trace; -q: only what is wrong
 *
 * A run that is wrong is told again, from its seed, with its trace, of which the end is printed.
 */
#include "sim/life.h"

#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#define TRACE_TAIL_LINES 60
#define LIFE_SECONDS_MAX 30

static volatile uint64_t life_seed, life_number;

/* An assertion, a crash, or a life without an end: says which life it was. */
static void died(int signum)
{
        char text[128];
        int n = snprintf(text, sizeof(text), "seed %llu: life %llu %s\n", (unsigned long long)life_seed,
                         (unsigned long long)life_number, signum == SIGALRM ? "does not end" : "died");

        if (write(STDERR_FILENO, text, (size_t)n) != n)
                _exit(3);
        signal(signum, SIG_DFL);
        raise(signum);
}

static void tell_again(uint64_t seed)
{
        struct life_totals totals = { 0 };
        char wrong[256], *text, *line;
        unsigned lines = 0;
        size_t len;
        FILE *trace = open_memstream(&text, &len);

        life_run(seed, NULL, trace, &totals, wrong, sizeof(wrong));
        fflush(trace);
        for (line = text + len; line > text; --line)
                if (line[-1] == '\n' && ++lines > TRACE_TAIL_LINES)
                        break;
        printf("%s", line);
        fclose(trace);
        free(text);
}

int main(int argc, char **argv)
{
        uint64_t seed = 0, runs = 1000, i;
        struct life_totals totals = { 0 };
        bool verbose = false, quiet = false, ok;
        struct timespec began, ended;
        char wrong[256];
        double seconds;
        int option;

        getrandom(&seed, sizeof(seed), 0);
        seed %= 1000000000;
        while ((option = getopt(argc, argv, "s:n:vq")) >= 0) {
                if (option == 's')
                        seed = strtoull(optarg, NULL, 10);
                else if (option == 'n')
                        runs = strtoull(optarg, NULL, 10);
                else if (option == 'v')
                        verbose = true;
                else if (option == 'q')
                        quiet = true;
                else
                        return 2;
        }
        signal(SIGABRT, died);
        signal(SIGSEGV, died);
        signal(SIGALRM, died);
        clock_gettime(CLOCK_MONOTONIC, &began);
        for (i = 0; i < runs; ++i) {
                life_seed = seed + i;
                life_number = i + 1;
                alarm(LIFE_SECONDS_MAX);
                ok = life_run(seed + i, NULL, verbose ? stdout : NULL, &totals, wrong, sizeof(wrong));
                if (ok)
                        continue;
                if (!quiet) {
                        tell_again(seed + i);
                        printf("seed %llu: %s\nagain: make swarm SEED=%llu RUNS=1 VERBOSE=1\n",
                               (unsigned long long)(seed + i), wrong, (unsigned long long)(seed + i));
                } else {
                        printf("%llu %s\n", (unsigned long long)i + 1, wrong);
                }
                fflush(stdout);
                _exit(1); /* what the life left behind is no leak of the program */
        }
        clock_gettime(CLOCK_MONOTONIC, &ended);
        if (quiet || verbose)
                return 0;
        seconds = (double)(ended.tv_sec - began.tv_sec) + (double)(ended.tv_nsec - began.tv_nsec) / 1e9;
        printf("swarm: seeds %llu to %llu, %llu runs (%llu wild, %llu with failing allocations), %.0f a second\n",
               (unsigned long long)seed, (unsigned long long)(seed + runs - 1), (unsigned long long)totals.runs,
               (unsigned long long)totals.wild, (unsigned long long)totals.failing, (double)runs / seconds);
        printf("swarm: a run has %.0f requests, %.0f grants, %.0f extensions, %.0f refusals, %.0f steps of an engine, "
               "%.1f s\n",
               (double)totals.counts.requests / (double)runs, (double)totals.counts.granted / (double)runs,
               (double)totals.counts.extended / (double)runs, (double)totals.counts.refused / (double)runs,
               (double)totals.steps / (double)runs, (double)totals.virtual_ms / 1000 / (double)runs);
        printf("swarm: of what the nodes were asked for and gave, %.2f %% took a second round for its fence\n",
               100 * (double)totals.counts.raised / (double)(totals.counts.asked ? totals.counts.asked : 1));
        return 0;
}
