#pragma once

/*
 * What one connection owes an answer to, first in first out: Redis answers in the order in which it was asked, and says
 * nothing of what it answers. Private to net/redis.
 */
#include "redlockd/core/types.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The commands first, in the order of enum command_kind. */
enum redis_owed_kind {
        REDIS_OWED_COMMAND, /* of the engine */
        REDIS_OWED_AUTH,
        REDIS_OWED_SELECT,
        REDIS_OWED_SETNAME,
        REDIS_OWED_ID,   /* of the connection, as the server counts them */
        REDIS_OWED_LOAD, /* of a script */
        REDIS_OWED_KILL, /* of a connection that was given up */
        /* of looks */
        REDIS_OWED_PING,
        REDIS_OWED_CONFIG,
        REDIS_OWED_TIME,
        REDIS_OWED_INFO,
        REDIS_OWED_MARK,
        REDIS_OWED_STANDING,
        REDIS_OWED_CERTIFY,
};

static inline bool redis_owed_is_look(enum redis_owed_kind kind)
{
        return kind >= REDIS_OWED_PING;
}

struct redis_owed {
        enum redis_owed_kind kind;
        enum command_kind command; /* COMMAND */
        unsigned script;           /* LOAD: see redis_script.h */
        unsigned batch_n;          /* COMMAND: above 1: it and those after it, so many together, have one answer */
        bool by_text;              /* COMMAND: the call that it is the first of carried the script */
        unsigned items_n;
        unsigned acquire_n;
        uint64_t round;
        uint64_t sent_ns;
};

struct redis_owed_queue {
        struct redis_owed *items; /* owned; a ring */
        size_t first;
        size_t n;
        size_t size;
};

void redis_owed_deinit(struct redis_owed_queue *q);

/* Makes room for one more: 0 or -ENOMEM. After it one push succeeds. */
int redis_owed_reserve(struct redis_owed_queue *q);
void redis_owed_push(struct redis_owed_queue *q, const struct redis_owed *owed);

/* The first of the `n` that were pushed last. Good until the next reserve. */
struct redis_owed *redis_owed_last(struct redis_owed_queue *q, size_t n);

/* The one that is answered next, or NULL. Good until the next reserve. */
const struct redis_owed *redis_owed_first(const struct redis_owed_queue *q);
void redis_owed_pop(struct redis_owed_queue *q);
