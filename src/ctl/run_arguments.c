/*
 * The command lines of `run` and `hold`. What follows KEY is the command's: none of its options is looked at, but for
 * flock(1)'s `KEY -c STRING`.
 */
#include "redlockd/ctl/run_arguments.h"

#include "redlockd/ctl/acquire.h"
#include "redlockd/ctl/command.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RUN_WAIT_MAX_MS  2592000000 /* what the daemon takes: 30 days */
#define RUN_GRACE_MS     5000
#define RUN_GRACE_MAX_MS 3600000
#define RUN_SHELL        "/bin/sh"

static const char *const on_lost_names[] = {
        [RUN_ON_LOST_TERM] = "term",
        [RUN_ON_LOST_KILL] = "kill",
        [RUN_ON_LOST_WARN] = "warn",
};

struct run_reading {
        struct run_arguments *out;
        const char *name; /* run, hold */
        char *string;     /* of -c; NULL: none */
};

enum { OPTION_ON_LOST = 256, OPTION_GRACE };

static const char run_options[] = "+nw:t:E:c:vh";
static const struct option run_long_options[] = {
        { "nonblock", no_argument, NULL, 'n' },
        { "wait", required_argument, NULL, 'w' },
        { "ttl", required_argument, NULL, 't' },
        { "conflict-exit-code", required_argument, NULL, 'E' },
        { "command", required_argument, NULL, 'c' },
        { "on-lost", required_argument, NULL, OPTION_ON_LOST },
        { "grace", required_argument, NULL, OPTION_GRACE },
        { "verbose", no_argument, NULL, 'v' },
        { "help", no_argument, NULL, 'h' },
        { NULL, 0, NULL, 0 },
};

static const char hold_options[] = "nw:t:E:vh";
static const struct option hold_long_options[] = {
        { "nonblock", no_argument, NULL, 'n' },
        { "wait", required_argument, NULL, 'w' },
        { "ttl", required_argument, NULL, 't' },
        { "conflict-exit-code", required_argument, NULL, 'E' },
        { "verbose", no_argument, NULL, 'v' },
        { "help", no_argument, NULL, 'h' },
        { NULL, 0, NULL, 0 },
};

static int run_bad(const struct run_reading *rd, const char *what, const char *value)
{
        fprintf(stderr, "redlockctl: %s%s\n", what, value);
        command_usage(rd->name);
        return -EINVAL;
}

static bool run_number(const char *text, long long min, long long max, long long *ret_number)
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

static bool run_seconds(const char *text, json_int_t max_ms, json_int_t *ret_ms)
{
        char *end;
        double seconds;

        seconds = strtod(text, &end);
        if (end == text || *end != 0 || !isfinite(seconds) || seconds < 0 || seconds * 1e3 > (double)max_ms)
                return false;
        *ret_ms = (json_int_t)(seconds * 1e3 + 0.999); /* waiting at all is not trying once */
        return true;
}

static bool run_on_lost(const char *text, enum run_on_lost *ret_on_lost)
{
        unsigned i;

        for (i = 0; i < sizeof(on_lost_names) / sizeof(on_lost_names[0]); ++i) {
                if (strcmp(text, on_lost_names[i]) != 0)
                        continue;
                *ret_on_lost = (enum run_on_lost)i;
                return true;
        }
        return false;
}

/* One option with its argument in optarg. Returns 0, 1 for help, or -EINVAL. */
static int run_option(struct run_reading *rd, int option)
{
        struct run_arguments *a = rd->out;
        long long number;

        switch (option) {
        case 'n':
                a->wait_ms = 0;
                return 0;
        case 'w':
                return run_seconds(optarg, RUN_WAIT_MAX_MS, &a->wait_ms)
                               ? 0
                               : run_bad(rd, "not a number of seconds: ", optarg);
        case 't':
                if (!run_number(optarg, 1, UINT32_MAX, &number))
                        return run_bad(rd, "not a number of milliseconds: ", optarg);
                a->ttl_ms = number;
                return 0;
        case 'E':
                if (!run_number(optarg, 0, 255, &number))
                        return run_bad(rd, "not an exit code: ", optarg);
                a->not_acquired = (int)number;
                return 0;
        case 'c':
                rd->string = optarg;
                return 0;
        case 'v':
                a->verbose = true;
                return 0;
        case OPTION_ON_LOST:
                return run_on_lost(optarg, &a->on_lost) ? 0 : run_bad(rd, "not one of term, kill, warn: ", optarg);
        case OPTION_GRACE:
                return run_seconds(optarg, RUN_GRACE_MAX_MS, &a->grace_ms)
                               ? 0
                               : run_bad(rd, "not a number of seconds: ", optarg);
        case 'h':
                command_help(rd->name);
                return 1;
        default: /* getopt has said what is wrong */
                command_usage(rd->name);
                return -EINVAL;
        }
}

static int run_add_key(struct run_reading *rd, const char *key)
{
        if (*key == 0 || json_array_append_new(rd->out->keys, json_string(key)) < 0)
                return run_bad(rd, "a key is empty or not UTF-8", "");
        return 0;
}

/* What stands behind KEY. */
static int run_read_command(struct run_reading *rd, char **words)
{
        struct run_arguments *a = rd->out;

        if (!rd->string && words[0] && strcmp(words[0], "-c") == 0) {
                if (!words[1])
                        return run_bad(rd, "-c needs a STRING", "");
                rd->string = words[1];
                words += 2;
        }
        if (rd->string) {
                if (words[0])
                        return run_bad(rd, "after -c STRING there is nothing more to be said: ", words[0]);
                a->shell[0] = (char *)(uintptr_t)RUN_SHELL; /* execvp() wants it so, and changes nothing */
                a->shell[1] = (char *)(uintptr_t) "-c";
                a->shell[2] = rd->string;
                a->command = a->shell;
                return 0;
        }
        if (words[0] && strcmp(words[0], "--") == 0)
                ++words;
        else if (words[0] && words[0][0] == '-')
                return run_bad(rd, "options stand before KEY, and a command that begins with - behind --: ", words[0]);
        if (!words[0])
                return run_bad(rd, "there is no command", "");
        a->command = words;
        return 0;
}

static int run_read_run(struct run_reading *rd, char **words)
{
        char *key, *keys = words[0];
        int r = 0;

        if (!keys)
                return run_bad(rd, "there is no key", "");
        if (setenv("REDLOCK_KEYS", keys, 1) < 0)
                return -errno;
        unsetenv("REDLOCK_FENCES"); /* of a redlockctl further up */
        while (r == 0 && (key = strsep(&keys, ",")))
                r = run_add_key(rd, key);
        return r < 0 ? r : run_read_command(rd, words + 1);
}

static int run_read_hold(struct run_reading *rd, char **words)
{
        int r = 0;

        if (!*words)
                return run_bad(rd, "there is no key", "");
        while (r == 0 && *words)
                r = run_add_key(rd, *words++);
        return r;
}

int run_arguments_read(struct run_arguments *a, int argc, char **argv)
{
        struct run_reading rd = { .out = a, .name = argv[0] };
        bool hold = strcmp(argv[0], "hold") == 0;
        int option, r;

        *a = (struct run_arguments){
                .wait_ms = -1, .grace_ms = RUN_GRACE_MS, .not_acquired = ACQUIRE_NOT_ACQUIRED, .keys = json_array()
        };
        optind = 0; /* main() has read options before */
        while ((option = getopt_long(argc, argv, hold ? hold_options : run_options,
                                     hold ? hold_long_options : run_long_options, NULL)) >= 0) {
                r = run_option(&rd, option);
                if (r != 0)
                        return r;
        }
        return hold ? run_read_hold(&rd, argv + optind) : run_read_run(&rd, argv + optind);
}

void run_arguments_deinit(struct run_arguments *a)
{
        json_decref(a->keys);
        a->keys = NULL;
}
