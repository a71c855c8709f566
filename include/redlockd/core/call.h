#pragma once

/*
 * A request on its way from admission to its reply: call.c (admission, order, the reply), take.h (add and extend),
 * give.c (free and reset).
 */
#include "redlockd/core/resource.h"

struct round;

enum call_state {
        CALL_ORDERED, /* an earlier request of its session names one of its keys */
        CALL_WAITING, /* stands in the queues of its keys; the next try is due at `timer` */
        CALL_TRYING,  /* a round is under way */
        CALL_GIVING,  /* free: some of its keys are being released, or ordered behind earlier requests */
        CALL_DONE,    /* its reply is queued */
};

/* The least time between two tries, so that retryDelay 0 does not burn the budget within one moment. */
#define CALL_RETRY_MIN_MS 1

struct call {
        uint64_t id;
        uint64_t session_id;
        struct session *session; /* NULL: answered */
        TAILQ_ENTRY(call) entry; /* in its session */
        enum method method;
        enum call_state state;
        uint32_t ttl_ms;
        int64_t retry_count;
        uint64_t retry_delay_ms;
        uint64_t retry_jitter_ms;
        uint64_t wait_ms;
        bool strict;
        bool auto_extend;
        uint64_t max_hold_ms;
        uint64_t lock_delay_ms;

        TAILQ_ENTRY(call) ready_entry;
        bool ready;
        bool counted;  /* the try that is due, or under way, is one of its budget */
        bool repeated; /* the same try once more */
        bool raising;  /* the round under way raises the fences of what it has acquired */
        struct deadline timer;
        unsigned behind_n; /* claims that stand behind an earlier request of the session */
        unsigned attempts;
        uint64_t arrived_ns;
        uint64_t started_ns; /* when its turn came */
        uint64_t next_try_ns;
        uint64_t wait_end_ns;     /* UINT64_MAX: none */
        uint64_t wake_ns;         /* a try outside the budget; UINT64_MAX: none */
        bool waits_late;          /* it waits for others since later than it has its places in the queues */
        bool searched;            /* for a deadlock */
        struct cycle_step *cycle; /* owned */
        struct round *round;
        struct peek *peek;          /* why */
        enum error_name last_error; /* of the last try */

        struct outgoing out;
        struct reply reply;
        struct holder holder;
        enum vote_reason votes[NODES_MAX];
        struct reply_item *items; /* one for each claim */
        size_t claims_n;
        struct claim claims[];
};

/* A request comes in. Whatever is wrong with it becomes its reply. */
void call_admit(struct engine *e, const struct request *request);

/* What is due for it: its next try, its next release, its first step. Only from the engine's settling. */
void call_advance(struct engine *e, struct call *c);

/* One of its keys may have become free: it tries, outside its budget. */
void call_wake(struct engine *e, struct call *c);

/* ... or at a later time. A call that is trying takes it up when that try has failed. */
void call_wake_at(struct engine *e, struct call *c, uint64_t at_ns);

/* The same, in the place of a later time that was given and has not come. */
void call_wake_anew(struct engine *e, struct call *c, uint64_t at_ns);

void call_on_deadline(struct engine *e, struct call *c);
void call_on_round(struct engine *e, struct call *c, struct round *r, enum quorum_verdict verdict);

/* Broken off from outside, and answered with `error`. */
void call_cancel(struct engine *e, struct call *c, enum error_name error);

/* The reply is complete but for its frame: queues it, and lets those behind its claims go on. */
void call_finish(struct engine *e, struct call *c, enum error_name error);

/* Puts it among those that may go on once the event is handled. */
void call_set_ready(struct engine *e, struct call *c);

/* Drops a claim's places in both lines. */
void claim_leave(struct engine *e, struct claim *claim);

struct call *call_free(struct engine *e, struct call *c);

/* give.c */
void give_advance(struct engine *e, struct call *c);
void give_on_round(struct engine *e, struct call *c, struct round *r, enum quorum_verdict verdict);

/* The only way from one state to another. */
void call_move(struct call *c, enum call_state state);
