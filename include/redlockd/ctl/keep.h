#pragma once

/*
 * Locks that are held over a connection, and until when they are known to be good: the daemon is asked again and again,
 * and what it said last counts, whether it says more or not.
 */
#include "redlockd/ctl/connection.h"

#include <stdint.h>

struct keep {
        struct connection *connection; /* borrowed */
        const json_t *keys;            /* array of strings; borrowed */
        json_int_t ttl_ms;             /* 0: the daemon's default */
        uint64_t ttl_ns;               /* of which shares are taken; known once the locks are */
        uint64_t until_ns;             /* the last validity told ends */
        uint64_t freed_ns;             /* a daemon that stops frees everything; UINT64_MAX: it does not stop */
        uint64_t stop_grace_ms;        /* how long it lets holders finish then */
        uint64_t ask_at_ns;
        uint64_t asked_ns;
        json_int_t asked; /* id of the question that is not answered yet; 0: none */
        char lost[256];   /* why the locks are lost; "": they are not */
};

#define KEEP_STOP_GRACE_MS 5000 /* stop.grace of a daemon that does not tell */
#define KEEP_FREE_MS       1000 /* how long the answer to the last free is waited for */

void keep_init(struct keep *k, struct connection *connection, const json_t *keys, json_int_t ttl_ms);

/* Asks for the locks, which the daemon renews from then on; wait_ms is -1 for ever, 0 once. Returns 0 or negative
 * errno. */
int keep_send_add(struct keep *k, json_int_t wait_ms, json_int_t *ret_id);

/*
 * They were granted: asks to hear what becomes of them, and until when they are good. The answer is one of
 * keep_take(). Returns 0 or negative errno.
 */
int keep_send_subscribe(struct keep *k);

/* Takes a message of the daemon, if it is about the locks. Returns whether it was the answer to the question. */
bool keep_take(struct keep *k, const json_t *message);

/* What the time of now asks for. Returns 0 or negative errno: the daemon is gone. */
int keep_on_time(struct keep *k);

/* When keep_on_time() has something to do; UINT64_MAX: not before an answer came. */
uint64_t keep_next_ns(const struct keep *k);

/* From then on nobody may rely on the locks. */
uint64_t keep_end_ns(const struct keep *k);

/* How long before that whoever relies on them has to be gone. */
uint64_t keep_margin_ns(const struct keep *k);

/* Frees the locks and waits for the answer, so that who comes next finds them free; KEEP_FREE_MS at most. */
void keep_free(struct keep *k);
