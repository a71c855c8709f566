#pragma once

/*
 * The second connection to a Redis node: it listens (SUBSCRIBE, https://redis.io/docs/latest/develop/interact/pubsub/)
 * to the channels of keys, on which scripts announce releases. It connects when there is something to listen for, comes
 * back after a failure, and then listens anew for all that is wished.
 *
 * It is help, and nothing more: what it misses is missed.
 */
#include "redlockd/base/address.h"
#include "redlockd/base/text.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct redis_ears;

struct redis_ears_options {
        uv_loop_t *loop;
        unsigned node;                 /* handed to the callbacks */
        const struct address *address; /* TCP or UNIX; borrowed for the whole life */
        const char *key_prefix;        /* put before every key; borrowed likewise */
        uint64_t connect_timeout_ms;   /* also for any answer */
        uint64_t reconnect_min_ms;     /* doubles with jitter after each failure ... */
        uint64_t reconnect_max_ms;     /* ... up to this */
        void *userdata;
        /* Listening for the key has begun (again); or it was released, and `listeners_n` connections were told. */
        void (*on_heard)(void *userdata, unsigned node, struct text key, bool released, uint64_t listeners_n);
        /* It cannot listen, for people; never with a password in it. Told once for each reason. */
        void (*on_deaf)(void *userdata, unsigned node, const char *reason);
};

/* Returns 0 or -ENOMEM. */
int redis_ears_new(struct redis_ears **ret_ears, const struct redis_ears_options *options);

/* Begins or ends to listen for a key. Returns 0 or -ENOMEM: then it does not listen for it. */
int redis_ears_listen(struct redis_ears *e, struct text key, bool on);

/* Writes what was queued. */
void redis_ears_flush(struct redis_ears *e);

/* Closes every handle; `on_closed` is the last callback, after which it is freed. Not to be called twice. */
void redis_ears_close(struct redis_ears *e, void (*on_closed)(void *userdata, unsigned node));
