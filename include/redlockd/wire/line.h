#pragma once

/*
 * Framing: one message a line, ended by LF; a CR before it is dropped, empty lines are skipped. A line longer than the
 * maximum (bytes without its LF and CR) is reported once and skipped to its LF.
 */
#include "redlockd/base/buffer.h"
#include "redlockd/base/text.h"

struct line_reader {
        struct buffer held; /* the beginning of a line that is not complete */
        size_t max;
        bool skipping; /* past a line that was too large, up to its LF */
        bool lent;     /* what is held is the line that was handed out last */
};

enum line_result {
        LINE_NONE = 0, /* all input is used up: feed more */
        LINE_COMPLETE = 1,
        LINE_TOO_LARGE = 2,
};

void line_init(struct line_reader *l, size_t max);
void line_deinit(struct line_reader *l);

/*
 * Takes bytes off the front of `input` until it has a result. A complete line is borrowed: from `input` where it came
 * in one piece, else from the reader until the next call. Returns enum line_result or -ENOMEM; then the call may be
 * repeated.
 */
int line_next(struct line_reader *l, struct text *input, struct text *ret_line);

/* True when bytes of an unfinished line are held (or being skipped). */
bool line_unfinished(const struct line_reader *l);
