#pragma once

/*
 * What an administrator may do to the broker: drain it, end a session, break a lock. Who may is asked outside.
 */
#include "redlockd/core/state.h"

struct call;

/* Carries out one of these requests, and puts into `c` what its reply tells. Returns its error. */
enum error_name admin_do(struct engine *e, struct call *c, const struct request *request);

/* No new locks from now on: who waits for one is answered STOPPING. What is held may be used, extended and freed. */
void admin_close(struct engine *e);
