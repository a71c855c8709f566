#pragma once

/*
 * One client's connection: lines in, replies out.
 */
#include "redlockd/daemon/daemon.h"

struct peer;

/* A client connected. Over maxSessions, or without memory, it is told so or closed, and there is no session. */
void peer_open(struct daemon *d, int fd);

/* NULL: there is none. */
struct peer *peer_find(const struct daemon *d, uint64_t number);

/* Ends every session. To be called while effects are carried out. */
void peer_end_all(struct daemon *d);

/* Prints the answer to one of its requests, which is in flight no more. */
void peer_reply(struct peer *s, const struct reply *reply);
void peer_notice(struct peer *s, const struct notice *notice);

/* Writes what was printed. */
void peer_flush(struct peer *s);

/*
 * Reads no more, and lets the engine know that the session is gone. Does nothing for one that has ended. `reason` goes
 * to the log; NULL: in good order.
 */
void peer_end(struct peer *s, const char *reason);

/* The engine is done with it: what is due is written, then the connection is closed. Returns NULL. */
struct peer *peer_close(struct peer *s);
