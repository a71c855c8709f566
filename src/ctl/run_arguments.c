/*
 * The command line of `redlockctl run`. What follows KEY is the command's: none of its options is looked at.
 */
#include "redlockd/ctl/run_arguments.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RUN_NOT_ACQUIRED 124
#define RUN_WAIT_MAX_MS  2592000000 /* what the daemon takes: 30 days */

static const char run_usage[] =
        "usage: redlockctl run [-n | -w SEC] [-t TTL_MS] [-E CODE] KEY[,KEY...] -- CMD [ARG...]\n";

static int run_arguments_bad(const char *what, const char *value)
{
        fprintf(stderr, "redlockctl: %s%s\n%s", what, value, run_usage);
        return -EINVAL;
}

static bool run_arguments_number(const char *text, long long min, long long max, long long *ret_number)
{
        char *end;
        long long number;

        errno = 0;
        number = strtoll(text, &end, 10);
        if (errno != 0 || end == text || *end != 0 || number < min || number > max)
                return false;
        *ret_number = number;
        return true;
}

static bool run_arguments_seconds(const char *text, json_int_t *ret_ms)
{
        char *end;
        double seconds;

        seconds = strtod(text, &end);
        if (end == text || *end != 0 || !isfinite(seconds) || seconds < 0 || seconds * 1e3 > RUN_WAIT_MAX_MS)
                return false;
        *ret_ms = (json_int_t)(seconds * 1e3 + 0.999); /* waiting at all is not trying once */
        return true;
}

static int run_arguments_keys(struct run_arguments *a, char *text)
{
        char *key;

        a->keys = json_array();
        while ((key = strsep(&text, ",")))
                if (*key == 0 || json_array_append_new(a->keys, json_string(key)) < 0)
                        return run_arguments_bad("a key is empty or not UTF-8", "");
        return 0;
}

int run_arguments_read(struct run_arguments *a, int argc, char **argv)
{
        long long number;
        int option;

        *a = (struct run_arguments){ .wait_ms = -1, .not_acquired = RUN_NOT_ACQUIRED };
        optind = 0; /* main() has read options before */
        while ((option = getopt(argc, argv, "+nw:t:E:")) >= 0) {
                if (option == 'n') {
                        a->wait_ms = 0;
                } else if (option == 'w') {
                        if (!run_arguments_seconds(optarg, &a->wait_ms))
                                return run_arguments_bad("not a number of seconds: ", optarg);
                } else if (option == 't') {
                        if (!run_arguments_number(optarg, 1, UINT32_MAX, &number))
                                return run_arguments_bad("not a number of milliseconds: ", optarg);
                        a->ttl_ms = number;
                } else if (option == 'E') {
                        if (!run_arguments_number(optarg, 0, 255, &number))
                                return run_arguments_bad("not an exit code: ", optarg);
                        a->not_acquired = (int)number;
                } else {
                        fputs(run_usage, stderr);
                        return -EINVAL;
                }
        }
        argv += optind;
        if (!argv[0] || !argv[1] || (strcmp(argv[1], "--") == 0 && !argv[2]))
                return run_arguments_bad("KEY and CMD are needed", "");
        a->command = argv + (strcmp(argv[1], "--") == 0 ? 2 : 1);
        if (setenv("REDLOCK_KEYS", argv[0], 1) < 0)
                return -errno;
        return run_arguments_keys(a, argv[0]);
}

void run_arguments_deinit(struct run_arguments *a)
{
        json_decref(a->keys);
        a->keys = NULL;
}
