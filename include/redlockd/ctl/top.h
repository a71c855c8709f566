#pragma once

/*
 * `redlockctl top`: a live screen. top.c asks and paints, top_page.c makes the lines.
 */
#include "redlockd/ctl/command.h"

#include <stdint.h>

#define TOP_LINE_MAX 1024 /* bytes */

enum top_look {
        TOP_PLAIN,
        TOP_TITLE,
        TOP_GOOD,
        TOP_WARNING,
        TOP_BAD,
};

struct top_line {
        enum top_look look;
        char text[TOP_LINE_MAX]; /* UTF-8, fit for a terminal, at most as many code points as there are columns */
};

/* What the daemon said at one moment; the results of the methods. Owned. */
struct top_sample {
        uint64_t at_ns;
        json_t *status, *nodes, *sessions, *locks, *waiters;
};

void top_sample_deinit(struct top_sample *s);

/* The lines of a page of rows * columns; `before` is an earlier sample, for the rates. Returns how many: rows at most.
 */
unsigned top_page(const struct top_sample *now, const struct top_sample *before, unsigned rows, unsigned columns,
                  struct top_line *ret_lines);

int top_main(const struct ctl *ctl, int argc, char **argv);
