#pragma once

/*
 * A real redis-server of the test's own: in a folder under /tmp, on a Unix socket and a free port of 127.0.0.1. It ends
 * with the test, however that ends.
 */
#include <stdio.h>
#include <sys/types.h>

struct real_redis {
        pid_t pid;
        int port;
        char folder[48];
        char path[64];
        FILE *log;
};

/* Returns when it answers. */
void real_redis_start(struct real_redis *r);
void real_redis_start_at(struct real_redis *r, int port);
void real_redis_stop(struct real_redis *r);

/* One command in words, on a connection of its own; the raw reply, good until the next call. */
const char *real_redis_do(struct real_redis *r, const char *words);

/* A connection that listens for a key's release; it is to be closed. */
int real_redis_listener(const struct real_redis *r, const char *key);

/* Reads until what has come ends so. */
void real_redis_until_read(int fd, const char *end);
