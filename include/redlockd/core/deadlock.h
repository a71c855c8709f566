#pragma once

/*
 * Deadlocks among the sessions of this host, see deadlock.c.
 */
#include "redlockd/core/state.h"

struct call;

/*
 * Whether a call that is about to wait closes a cycle of sessions that wait for each other. Returns 0, DEADLOCK_FOUND
 * with the cycle in the call's reply, or -ENOMEM.
 */
#define DEADLOCK_FOUND 1
int deadlock_search(struct engine *e, struct call *c);
