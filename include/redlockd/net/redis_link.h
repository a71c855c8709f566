#pragma once

/*
 * The bytes of one connection to a Redis server, from the name to the last byte: it resolves, tries the addresses in
 * order, writes and reads. It knows nothing of what the bytes mean. Private to net/redis.
 *
 * A link lives from redis_link_new() to redis_link_drop(); its memory goes later, when libuv has let go of it.
 */
#include "redlockd/base/address.h"
#include "redlockd/base/buffer.h"

#include <uv.h>

struct redis_link;

struct redis_link_options {
        uv_loop_t *loop;
        const struct address *address; /* borrowed until on_gone */
        unsigned skip;                 /* how many of the addresses of a name are tried last, not first */
        size_t output_max;             /* bytes that wait to be written */
        void *userdata;
        void (*on_connected)(void *userdata);
        void (*on_bytes)(void *userdata, const char *bytes, size_t n);
        /* Once at most; after it the link is good for redis_link_drop() only. */
        void (*on_broken)(void *userdata, const char *reason);
        /* After redis_link_drop(), also from within it: the memory is gone. */
        void (*on_gone)(void *userdata);
};

/* Returns 0 or -ENOMEM. Nothing is called back before redis_link_open(). */
int redis_link_new(struct redis_link **ret_link, const struct redis_link_options *options);

/* Starts to connect. */
void redis_link_open(struct redis_link *l);

/* What is to be written: append to it, then flush. */
struct buffer *redis_link_output(struct redis_link *l);

/* Writes what waits in one go. on_broken may be called from within. */
void redis_link_flush(struct redis_link *l);

/*
 * Ends it, by a reset where it is TCP. Nothing but on_gone is called back from now on; what was not written never will
 * be. Takes NULL. Returns NULL.
 */
struct redis_link *redis_link_drop(struct redis_link *l);
