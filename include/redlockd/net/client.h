#pragma once

/*
 * One accepted connection as a pipe of bytes, with its peer's credentials and a bound on what waits to be written.
 */
#include "redlockd/base/buffer.h"
#include "redlockd/base/text.h"

#include <sys/types.h>
#include <uv.h>

struct client;

struct client_peer {
        pid_t pid; /* at the time of connect(2), as SO_PEERCRED has it */
        uid_t uid;
        gid_t gid;
};

struct client_options {
        uv_loop_t *loop;
        size_t output_max; /* bytes; past it nothing is read until half of it or less waits */
        void *userdata;
        /*
         * Bytes came. It takes off the front of `bytes` what it uses. What it leaves, because client_full() or to let
         * others have their turn, is shown again in a later turn.
         */
        void (*on_bytes)(void *userdata, struct text *bytes);
        /*
         * After client_owe(): there is room for more, and it is this client's turn. Prints until client_full(), or to
         * let others have theirs; returns whether it still owes something.
         */
        bool (*on_room)(void *userdata);
        /* Nothing more will come: at EOF with NULL, else with the reason, and then nothing can be written either. */
        void (*on_end)(void *userdata, const char *reason);
};

#define CLIENT_OUTPUT_MAX                                                                                              \
        (64ul * 1024 * 1024)  /* bytes that wait, whatever output_max: room for one large reply past it */
#define CLIENT_STALL_MS  5000 /* how long a peer may leave output_max bytes unread */
#define CLIENT_FINISH_MS 5000 /* how long client_finish() waits for the peer to read what is due */

/*
 * Takes over the descriptor, also on failure. Returns 0 or negative errno. Nothing is called back before
 * client_start().
 */
int client_new(struct client **ret_client, int fd, const struct client_options *options);

void client_start(struct client *c);

struct client_peer client_peer(const struct client *c);

/*
 * Whether the peer was in this group when it connected, supplementary groups included: 1, 0, or negative errno where
 * that cannot be told.
 */
int client_in_group(struct client *c, gid_t gid);

/* The connection's descriptor, to be asked about and not to be used otherwise. */
int client_fd(const struct client *c);

/* Where to append what is to be written; client_flush() writes it. */
struct buffer *client_output(struct client *c);

/* True while more than output_max waits to be written. */
bool client_full(const struct client *c);

/*
 * More is to be said than was printed: nothing is read until on_room() has printed the rest. It is called once in a
 * turn, and as fast as the peer reads.
 */
void client_owe(struct client *c);

/* Writes what it can without waiting, and the rest when the peer reads. May call on_end(). */
void client_flush(struct client *c);

/* No more is read, and nothing is called back any more. */
void client_stop(struct client *c);

/*
 * As client_stop(); closes once everything is written, CLIENT_FINISH_MS at most. Freed by the loop. Where it owes
 * something, on_room() is called on until it has no more, or else on_end() once, that nobody will ask any more.
 */
void client_finish(struct client *c);
