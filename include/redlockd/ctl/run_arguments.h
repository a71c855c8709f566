#pragma once

/*
 * The command line of `redlockctl run`.
 */
#include <jansson.h>

struct run_arguments {
        json_t *keys;       /* array of strings */
        json_int_t ttl_ms;  /* 0: the daemon's default */
        json_int_t wait_ms; /* -1: for ever, 0: once */
        int not_acquired;   /* exit code */
        char **command;     /* borrowed from argv */
};

/*
 * Sets REDLOCK_KEYS too. Returns 0, or -EINVAL after having said what is wrong; run_arguments_deinit() in both cases.
 */
int run_arguments_read(struct run_arguments *a, int argc, char **argv);

void run_arguments_deinit(struct run_arguments *a);
