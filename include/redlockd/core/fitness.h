#pragma once

/*
 * Whether one node may vote, as one host sees it: from what each look at the node told, and from time. Pure value: no
 * I/O, no clock, no allocation; embed it by value. See fitness.c for the argument.
 */
#include "redlockd/core/types.h"

enum fitness_state {
        FITNESS_UNSEEN,      /* not looked at since its connection came up */
        FITNESS_UNFIT,       /* can never vote as it is */
        FITNESS_QUARANTINED, /* may have forgotten locks that are still valid */
        FITNESS_FIT,
};

struct fitness {
        enum fitness_state state;
        uint64_t quarantine_ns;
        char run_id[NODE_RUN_ID_MAX]; /* of the last look */
        /* What stands in the certificate's place, and has stood there since it was first seen. */
        bool kept; /* found to have forgotten nothing, though its certificate has to be renewed */
        bool watching;
        uint64_t mark;
        uint64_t votes_ns; /* while it is watched: when it has stood there for long enough */
};

void fitness_init(struct fitness *f, uint64_t quarantine_ns);

/* The connection is down: nothing is known of it, but what stood in the certificate's place may still be there. */
void fitness_on_down(struct fitness *f);

void fitness_on_look(struct fitness *f, const struct node_look *look, uint64_t now_ns);

/* It answered that its certificate does not stand. */
void fitness_on_uncertified(struct fitness *f);

/* An operator says that nobody holds anything that it may have forgotten. False: it is not in quarantine, or not known
 * well enough yet. */
bool fitness_vouch(struct fitness *f, uint64_t now_ns);

/* True where its certificate is to be written, in the place of `mark`. */
bool fitness_is_due(const struct fitness *f, uint64_t now_ns);

/* When it will be due; 0: that is not known. */
uint64_t fitness_votes_ns(const struct fitness *f);
