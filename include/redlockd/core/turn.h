#pragma once

/*
 * Whose turn a key is, among hosts (lock cohorting: Dice, Marathe, Shavit, "Lock Cohorting", 2012). A host that has a
 * key passes it on among its own sessions for a tenure, then gives it back and stands back for a moment. See turn.c.
 */
#include "redlockd/core/state.h"

struct resource;

/* How long a host stands back after its turn where another host listens for the key. */
#define TURN_YIELD_MS 50

/*
 * ... and where nobody does: other programs poll. When one has used such a gap the next ones are half a tenure, and
 * each that nobody used is half as long as the one before, down to this.
 */
#define TURN_GAP_MIN_MS 10

enum turn_state {
        TURN_NONE,
        TURN_OURS,     /* while `end` is armed: has no lease, and is forgotten then */
        TURN_YIELDING, /* until `end` nobody of this host asks for the key */
} __attribute__((packed));

struct turn {
        enum turn_state state;
        bool wanted;    /* another host was told of the release */
        bool undecided; /* no release was decided since the lease was kept: what is repeated later moves nothing */
};

/* What it takes besides where the key is passed on, or wanted by other hosts. */
struct tenure {
        uint64_t started_ns; /* when it first passed to another lock; 0: has not yet */
        struct deadline end; /* armed: the resource is referenced */
        uint64_t gap_ms;
        bool gap; /* YIELDING, and after it until somebody asks: to those who poll */
};

/* The host has the key's lease. */
void turn_on_kept(struct engine *e, struct resource *r);

/* The lease has passed from one lock to another. */
void turn_on_passed(struct engine *e, struct resource *r);

/* The tenure is over, and somebody of this host waits: the lease is to be given back. */
bool turn_is_over(const struct engine *e, const struct resource *r);

/* The lease is given back since the tenure is over. */
void turn_give_back(struct engine *e, struct resource *r);

/* What the nodes said to a release of the key: `wanted` by one of them; `decided`: by a quorum of them. */
void turn_on_release(struct engine *e, struct resource *r, bool wanted, bool decided);

/* The nodes refused the key: somebody else has it. */
void turn_on_refused(struct engine *e, struct resource *r);

/* Until when nobody of this host asks for the key; 0: it may be asked for now. */
uint64_t turn_yields_until_ns(const struct resource *r);

void turn_on_deadline(struct engine *e, struct resource *r);
