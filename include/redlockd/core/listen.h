#pragma once

/*
 * Wake-ups between hosts: a host whose head waiter was refused by the nodes listens for the release of the key. Nodes
 * announce a release to those who listen. See listen.c.
 */
#include "redlockd/core/state.h"

struct contest;
struct resource;
struct event;
struct effect;

/*
 * Where several hosts listen, who has waited longest tries first: a host that has waited for WAKE_SPREAD_TENURES
 * tenures tries at once, one that has just begun to wait up to WAKE_SPREAD_MS later; each later than that by a random
 * part of WAKE_SLOT_MS, about a round trip; or, where more than WAKE_FEW listen, of as many of them.
 */
#define WAKE_SPREAD_MS      8
#define WAKE_SPREAD_TENURES 4
#define WAKE_SLOT_MS        1
#define WAKE_FEW            8

struct ears {
        bool on;
        bool referenced; /* the resource is: from on to the moment when off is popped */
        uint32_t open;   /* mask of the nodes where listening has begun */
        uint32_t told;   /* mask of the nodes that announced a release since the last wake-up */
        uint64_t since_ns;
        struct outgoing out;
};

/* The nodes refused the key to its head. Without memory nothing is listened for: it tries again by its delay. */
void listen_start(struct engine *e, struct resource *r);

/* Stops listening where there is no reason left: nobody waits, no lease, no turn. */
void listen_review(struct engine *e, struct resource *r);

void listen_on_heard(struct engine *e, const struct event *ev);

/* Listening for the key has begun on the node, or ends and is heard there to its end. */
bool listen_is_open(const struct resource *r, unsigned node);

/* The host has the key no more: from now on it waits as others do. */
void listen_on_left(const struct engine *e, struct resource *r);

/* What is to be listened for now. */
void listen_pop(struct engine *e, struct contest *contest, struct effect *ret_effect);
