#pragma once

/*
 * Replies and notices as lines of JSON. Each function appends one line (LF included) to `out` and returns 0, -ENOMEM,
 * or -ENOBUFS when it does not fit; on failure nothing was appended.
 *
 * Durations are computed from *_ns at `now_ns`, rounded down; moments in Unix time from *_ns, `now_ns` being `unix_ms`.
 */
#include "redlockd/base/buffer.h"
#include "redlockd/core/inspect.h"
#include "redlockd/wire/request.h"

/* What is known of a node from outside the engine. Strings may be NULL: printed as null. */
struct reply_node {
        const char *name;
        const char *url; /* without a password */
        const char *redis_version;
        const char *run_id;
        uint64_t rtt_us; /* 0: not measured */
};

/* The surroundings of every reply. */
struct reply_context {
        const struct engine *engine;
        const struct reply_node *nodes; /* as many as the engine has */
        uint64_t now_ns;
        uint64_t unix_ms;
        /* locks, waiters: whether who asks may see the key; NULL: all of them */
        bool (*shows)(void *viewer, struct text key);
        void *viewer;
        /* status, hello */
        const char *version;
        pid_t pid;
        uint64_t started_ns;
        const char *scope;          /* "host" or "network" */
        bool restart_quarantine;    /* whether a node that may have forgotten something keeps silent */
        uint64_t malformed;         /* lines answered with PARSE, INVALID_REQUEST or TOO_LARGE */
        struct text metrics;        /* `metrics`: as it is, UTF-8 */
        enum release_on release_on; /* hello: what holds for its session */
        /* hello's `limits`: name and value pairs, ended by a NULL name */
        const struct reply_limit {
                const char *name;
                uint64_t value;
        } * limits;
};

/* The answer to a request, but for those of listing.h. */
int reply_print(struct buffer *out, const struct reply_context *context, const char *id, const struct reply *reply);

/* An error found before the engine saw the request. */
int reply_print_error(struct buffer *out, const char *id, const struct wire_error *error);

int reply_print_notice(struct buffer *out, const struct reply_context *context, const struct notice *notice);

/* True where an answer that grants something has a lock with less than a whole millisecond of validity left. */
bool reply_lapsed(const struct reply *reply, uint64_t now_ns);
