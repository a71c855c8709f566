#pragma once

/*
 * What the broker counts of itself, as the text that Prometheus scrapes
 * (https://prometheus.io/docs/instrumenting/exposition_formats/). No label has anything in it that a client chose.
 */
#include "redlockd/base/buffer.h"
#include "redlockd/base/histogram.h"
#include "redlockd/core/types.h"

struct daemon;
struct inflight_request;
struct wire_error;

#define METRICS_TEXT_MAX (4ul * 1024 * 1024)

struct metrics {
        uint64_t answered[METHODS_N][ERRORS_N]; /* by the engine */
        uint64_t refused[ERRORS_N];             /* before the engine saw them */
        uint64_t reloads[2];                    /* failed, done */
        struct histogram wait;
        struct histogram validity;
        struct histogram turn;
        uint64_t started_unix_ms;
        uint64_t turn_begun_ns; /* of the loop: when it found the first thing to do; 0: nothing yet */
};

void metrics_init(struct metrics *m);

void metrics_on_reply(struct daemon *d, const struct reply *reply, uint64_t posted_ns);

/* Something is to be done in this turn of the loop. */
void metrics_on_work(struct daemon *d, uint64_t now_ns);

/* At the end of each turn of the loop, before it waits: whether it had work. */
bool metrics_on_turn(struct daemon *d);

/* Appends all of it. Returns 0, -ENOMEM or -ENOBUFS. */
int metrics_print(struct daemon *d, struct buffer *out);
