#pragma once

/*
 * A connection to redlockd: requests out, messages in. Nothing of it is inherited by a command that is started.
 */
#include "redlockd/base/text.h"
#include "redlockd/wire/line.h"

#include <jansson.h>

struct connection {
        int fd; /* non-blocking */
        struct line_reader lines;
        struct text input; /* what of `chunk` was not yet looked at */
        char chunk[65536];
        json_int_t last_id;
};

#define CONNECTION_LINE_MAX  (256ul * 1024 * 1024) /* bytes of one message: `locks` of a busy daemon is long */
#define CONNECTION_ANSWER_MS 5000                  /* how long a daemon may take for what it can answer at once */

/* Returns 0 or negative errno; -ETIMEDOUT where the daemon has taken nobody in for CONNECTION_ANSWER_MS. */
int connection_open(struct connection *c, const char *path);
void connection_close(struct connection *c);

/* Sends one request. Takes over `params` (NULL: none). Returns 0 or negative errno. */
int connection_send(struct connection *c, const char *method, json_t *params, json_int_t *ret_id);

/*
 * The next message, without waiting. Returns 1; 0 when none is there; -ECONNRESET when the daemon is gone, -EBADMSG
 * when it does not speak JSON, -ENOMEM. The message is the caller's.
 */
int connection_next(struct connection *c, json_t **ret_message);

/*
 * Sends one request and waits for its answer, {"result"} or {"error"}, timeout_ms at most (-1: for ever). Takes over
 * `params`. Returns 0 or negative errno, -ETIMEDOUT too.
 */
int connection_call(struct connection *c, const char *method, json_t *params, int timeout_ms, json_t **ret_message);

/* What went wrong, in words. */
const char *connection_strerror(int r);

/* Whether a message is the answer to a request. */
bool connection_answers(const json_t *message, json_int_t id);
