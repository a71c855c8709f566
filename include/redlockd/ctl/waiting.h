#pragma once

/*
 * What is said on stderr while locks are waited for, and for whom: asked from the daemon on the connection that waits.
 */
#include "redlockd/ctl/keep.h"

struct waiting {
        const struct keep *keep;
        bool terminal; /* stderr is one: the line is written over, with the seconds running */
        bool shown;    /* a line stands there */
        uint64_t since_ns;
        uint64_t next_ns; /* when to ask again */
        size_t key;       /* the key that is asked about */
        json_int_t asked; /* 0: nothing */
        bool asked_name;  /* who the holder's session is */
        json_int_t session;
        json_int_t pid;
        char name[80];
        char said[512]; /* the last line without its seconds */
};

void waiting_init(struct waiting *w, const struct keep *keep);

/* Asks, when it is time to. Returns 0 or negative errno. */
int waiting_on_time(struct waiting *w);

/* Takes the answer to one of its questions. Returns whether it was one. */
bool waiting_take(struct waiting *w, const json_t *message);

/* Clears the line. */
void waiting_end(struct waiting *w);
