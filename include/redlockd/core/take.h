#pragma once

/*
 * add and extend: when they try (take_budget.c), one try (take.c), and what comes of its round (take_round.c).
 */
#include "redlockd/core/call.h"

/* Its turn has come. */
void take_begin(struct engine *e, struct call *c);
/* Its next try may have come nearer. */
void take_arm(struct engine *e, struct call *c);
void take_on_deadline(struct engine *e, struct call *c);
/* A try has failed, and is undone: another one follows, or `error` is the answer. */
void take_fail(struct engine *e, struct call *c, enum error_name error);
/* The answer, whatever is left of the budget. */
void take_finish(struct engine *e, struct call *c, enum error_name error);

void take_try(struct engine *e, struct call *c);
/* It waits, and all of its keys could be its own now as far as this host knows. */
bool take_would_take_over(const struct engine *e, const struct call *c);
/*
 * All that was asked for is had, until `valid_until_ns`: won by a round that began at `won_ns`; or, where no node was
 * asked and that is 0, no longer than each lease is good for.
 */
void take_grant(struct engine *e, struct call *c, uint64_t valid_until_ns, uint64_t won_ns);
/* What the try under way has taken, or may have, is given back. */
void take_undo(struct engine *e, struct call *c);
/* The session's own lock on the key of a claim, if it is good now; or NULL. */
struct lock *claim_held(const struct engine *e, const struct claim *claim);

void take_on_round(struct engine *e, struct call *c, struct round *r, enum quorum_verdict verdict);
