#pragma once

/*
 * Connections that were given up and may still stand at the server's end. Private to net/redis.
 */
#include "redlockd/base/buffer.h"
#include "redlockd/core/types.h"
#include "redlockd/net/redis_owed.h"

#define REDIS_DEAD_MAX 8

struct redis_dead {
        uint64_t ids[REDIS_DEAD_MAX]; /* as CLIENT ID said, the oldest first */
        unsigned n;
        char run_id[NODE_RUN_ID_MAX]; /* of the server that gave them */
};

/* A connection to this server is given up. Of too many the oldest is forgotten. */
void redis_dead_add(struct redis_dead *d, uint64_t id, const char *run_id);

/*
 * Appends what ends them, and what is owed for it; on a connection to another server they are forgotten. Returns 0,
 * -ENOBUFS or -ENOMEM.
 */
int redis_dead_encode(struct redis_dead *d, struct buffer *output, struct redis_owed_queue *owed, const char *run_id,
                      uint64_t now_ns);

/* The oldest was answered for: it is ended, or was, or may not be. */
void redis_dead_pop(struct redis_dead *d);
