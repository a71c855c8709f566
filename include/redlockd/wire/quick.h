#pragma once

/*
 * The short ways: requests that most lines are, and replies that most answers are, without a value of jansson's in
 * between. For request.c and reply.c, which know the long ways.
 */
#include "redlockd/wire/reply.h"
#include "redlockd/wire/request.h"

/*
 * Reads a line that is plain in all respects and has nothing wrong: 1, and *r (zero but for its id) is what the long
 * way makes of it. 0: the long way has to look at it; *r is as it was. Or -ENOMEM. What is read stays in `line`.
 */
int quick_read(struct wire_request *r, struct text line, const struct request_rules *rules);

/* Appends the answer to an add, extend, free or reset that went well: 1. 0: go the long way. Or -ENOMEM. */
int quick_print(struct buffer *out, const struct reply_context *context, const char *id, const struct reply *reply);

/* The long ways alone, for who compares. */
int wire_request_parse_long(struct text line, const struct request_rules *rules, struct wire_request *ret_request);
int reply_print_long(struct buffer *out, const struct reply_context *context, const char *id,
                     const struct reply *reply);
