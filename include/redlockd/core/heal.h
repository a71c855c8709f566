#pragma once

/*
 * Which nodes' votes count for a lease that is held, and how those that lost it get it back. See heal.c for the rule.
 */
#include "redlockd/core/state.h"

struct lease;
struct round;

/* A round begins: what each node's yes will be worth. */
void heal_begin(struct engine *e, struct round *r);

/* Whose yes to one of a round's items counts. */
uint32_t heal_worth(const struct round *r, unsigned item);

/*
 * What a node said: that it took what is being acquired; about what is extended, or planted. `taken`: the items that it
 * does not have; `done`: it has the others.
 */
void heal_on_taken(struct engine *e, struct round *r, unsigned node);
void heal_on_extended(struct round *r, unsigned node, bool done, uint64_t taken);
void heal_on_planted(struct engine *e, struct round *r, unsigned node, bool done, uint64_t taken);

/* A round was won for its item. */
void heal_on_won(struct round *r, unsigned item);

/* The round found nodes that do not have the item, and too few are left whose yes counts. */
bool heal_is_lost(const struct round *r, unsigned item);

/* TAKE: after the verdict a node was found not to have an item, and what no later round can win is lost now. */
void heal_on_late_answer(struct engine *e, const struct round *r);

/* Plants what was won on those nodes that do not have it. */
void heal_plant(struct engine *e, struct round *r);

/* The node may have forgotten what it stored. */
void heal_on_forgotten(struct engine *e, unsigned node);
