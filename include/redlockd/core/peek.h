#pragma once

/*
 * What each node says of a key just now: for people, and never a vote. See peek.c.
 */
#include "redlockd/core/state.h"

struct call;

struct peek {
        TAILQ_ENTRY(peek) entry; /* while an answer is expected */
        bool linked;
        uint64_t id; /* in the place of a round's */
        struct call *call;
        struct resource *resource;
        struct outgoing out;
        uint32_t to_send;
        uint32_t owed;
        uint64_t sent_ns;
        char value[TOKEN_TEXT_LEN + 1];
        struct peek_seen seen[NODES_MAX];
};

/* Asks every node that is up, for a call (its timer is ours), which is answered when all have answered. 0 or -ENOMEM.
 */
int peek_begin(struct engine *e, struct call *c, struct text key);

struct peek *peek_find(const struct engine *e, uint64_t id);
void peek_pop(struct engine *e, struct peek *p, struct command *ret_command);
void peek_on_answer(struct engine *e, struct peek *p, unsigned node, const struct answer *answer);

/* Nobody waits for more: its call is to be finished by who calls. Answers that are still owed are not expected. */
void peek_stop(struct engine *e, struct peek *p);

struct peek *peek_free(struct engine *e, struct peek *p);
