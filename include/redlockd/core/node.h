#pragma once

/*
 * The nodes, as the engine sees them: whether each is connected, and whether it votes.
 */
#include "redlockd/core/state.h"

/* A number that is given for the first time, or anew. */
void node_init(struct engine *e, unsigned node);

/* Of all numbers there can be. 0 or -ENOMEM: then nothing is to be taken down. */
int node_init_all(struct engine *e);
void node_deinit_all(struct engine *e);

/* Its connection came up, went down, or it was looked at. */
void node_on_event(struct engine *e, const struct event *ev);

/* An answer of it: its certificate does not stand. */
void node_on_uncertified(struct engine *e, unsigned node);

void node_on_deadline(struct engine *e, struct node *n);

/* An operator says that nobody holds anything that it may have forgotten. False: that changes nothing. */
bool node_vouch(struct engine *e, unsigned node);

void node_note_error(struct engine *e, unsigned node, const char *error);

/* Describes the effect that is queued for it. */
void node_pop(const struct engine *e, const struct node *n, struct effect *ret_effect);
