#pragma once

/*
 * The configuration, read again while the broker runs: all of it, or none.
 */
#include "redlockd/base/buffer.h"
#include "redlockd/net/client.h"
#include "redlockd/wire/request.h"

struct daemon;

#define RELOAD_ERRORS_MAX 32768 /* bytes that are told; the log has all */

/*
 * Returns 0, or negative errno: then nothing has changed, what is wrong is in the log, and in `errors` too (lines with
 * their LF), which may be NULL. `who` is for the log.
 */
int reload_run(struct daemon *d, const char *who, struct buffer *errors);

/* The same for a client that asks for it. On failure *ret_error answers it, whose lines are in `errors`. */
int reload_for(struct daemon *d, struct client *client, struct buffer *errors, struct wire_error *ret_error);
