#pragma once

/*
 * The middle of the line from a client to the nodes and back: an event is posted, the engine is stepped, and its
 * effects are carried out.
 */
#include "redlockd/daemon/daemon.h"

/* Stamps the event with the time and gives it to the engine. Its effects are carried out before this returns, unless it
 * was called while effects are being carried out: then by that call. */
void pump_post(struct daemon *d, struct event *event);

/* Steps all that `fn` posts, and carries out only then what came of it. */
void pump_together(struct daemon *d, void (*fn)(struct daemon *d));

/* The surroundings of a reply that is printed now. */
const struct reply_context *pump_context(struct daemon *d, uint64_t now_ns);

/*
 * What is said instead of a grant on which nobody may rely any more; the engine takes it out of the map at its next
 * tick. Its items are good until the next call.
 */
struct reply pump_too_late(const struct daemon *d, const struct reply *reply);

/* Writes what clients and nodes are to get, as far as it can be written without waiting. */
void pump_flush(struct daemon *d);
