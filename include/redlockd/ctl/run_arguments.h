#pragma once

/*
 * The command lines of `redlockctl run` and `redlockctl hold`.
 */
#include <jansson.h>
#include <stdbool.h>

enum run_on_lost {
        RUN_ON_LOST_TERM, /* SIGTERM at once, SIGKILL after the grace or before validity ends, whichever is first */
        RUN_ON_LOST_KILL,
        RUN_ON_LOST_WARN, /* let it run on: not safe */
};

struct run_arguments {
        json_t *keys;       /* array of strings */
        json_int_t ttl_ms;  /* 0: the daemon's default */
        json_int_t wait_ms; /* -1: for ever, 0: once */
        json_int_t grace_ms;
        int not_acquired; /* exit code */
        enum run_on_lost on_lost;
        bool verbose;
        char **command; /* borrowed from argv, or `shell`; NULL: hold */
        char *shell[4]; /* of -c */
};

/*
 * What follows `run` (or `hold`, which has no command) with that word as argv[0]. Sets REDLOCK_KEYS too. Returns 0; 1
 * when help was asked for and given; or -EINVAL after having said what is wrong. run_arguments_deinit() in all cases.
 */
int run_arguments_read(struct run_arguments *a, int argc, char **argv);

void run_arguments_deinit(struct run_arguments *a);
