#pragma once

/*
 * Read-only views of the engine for `status`, `nodes`, `sessions`, `locks`, `waiters`, `list`. Walks change nothing.
 * What a view borrows is good until the next step.
 */
#include "redlockd/base/histogram.h"
#include "redlockd/core/engine.h"

struct inspect_counters {
        uint64_t requests; /* accepted by the engine, of every method */
        uint64_t granted;  /* keys acquired */
        uint64_t locked;   /* requests answered LOCKED */
        uint64_t no_quorum;
        uint64_t extended;            /* keys extended */
        uint64_t freed;               /* keys freed by a request */
        uint64_t expired;             /* locks whose validity passed in the map */
        uint64_t lost;                /* extensions refused since a majority had lost the lock; failed renewals */
        uint64_t disconnect_releases; /* locks freed by the end of their session */
        uint64_t handovers;           /* keys passed from one session of this host to another */
        uint64_t tenures;             /* keys given back to let other hosts go first, though a session here waited */
        uint64_t raises;              /* acquires whose fences took a second round trip */
        uint64_t plants;              /* keys planted again on nodes that had lost them */
        uint64_t wakeups;             /* tries on the announcement of a release by another host */
        uint64_t deadlocks;           /* requests answered DEADLOCK */
};

struct inspect_status {
        uint32_t members; /* mask of the nodes that vote */
        unsigned nodes_n; /* how many they are */
        unsigned nodes_up_n;
        unsigned nodes_quarantined_n;
        unsigned nodes_unfit_n;
        unsigned quorum;
        uint64_t sessions_n;
        uint64_t locks_n;   /* held and valid */
        uint64_t waiters_n; /* requests that wait for a lock */
        bool draining;
        struct inspect_counters counters;
};

void inspect_status(const struct engine *e, struct inspect_status *ret_status);

/* How long the request has waited that waits for its locks longest; 0 where none does. */
uint64_t inspect_oldest_wait_ns(const struct engine *e, uint64_t now_ns);

/* How long locks were held that have ended. */
const struct histogram *inspect_holds(const struct engine *e);

struct inspect_node {
        enum node_state state;
        const char *reason; /* "" while it is up */
        const char *error;  /* the last error that it answered with, "" for none */
        uint64_t errors;    /* error answers since the start */
        uint64_t votes_ns;  /* quarantined: when it will vote; 0: not known */
};

void inspect_node(const struct engine *e, unsigned node, struct inspect_node *ret_node);

struct inspect_session {
        uint64_t session;
        pid_t pid;
        uid_t uid;
        gid_t gid;
        const char *name;
        uint64_t connected_ns; /* time of the event that opened it */
        uint64_t locks_n;
        uint64_t waiting_n; /* its requests that are not answered yet */
};

/* The session after this one in the order of their numbers (0: the first); false: there is none. */
bool inspect_next_session(const struct engine *e, uint64_t after, struct inspect_session *ret_session);

struct inspect_lock {
        struct text key;
        const char *value; /* good within the call only */
        uint64_t fence;
        uint64_t session;
        pid_t pid;
        uint32_t ttl_ms;
        uint64_t valid_until_ns;
        uint64_t since_ns;  /* when it was granted */
        uint64_t waiters_n; /* requests in the key's queue */
        uint32_t nodes;     /* mask of the nodes that are known to have the host's lease */
};

/*
 * How far a walk has come, so that a long one can be made in pieces with steps of the engine in between. It has
 * integers only, which are looked up anew. All zero: at the beginning. What comes and goes between two pieces may be
 * seen or not; what is there all the time is seen once, and nothing twice.
 */
struct inspect_cursor {
        uint64_t session; /* locks: whose are being walked. waiters: who was the last */
        uint64_t from_ns; /* locks: of that session, those that were granted at this time or later are to come */
        uint64_t hash;    /* locks: of the last one's key */
        uint64_t place;   /* waiters: of the key whose queue is being walked, see base/map.h */
        uint64_t request; /* waiters: the last one in that queue; 0: none yet */
        unsigned position;
};

/* Returns false where that was enough: then the walk is broken off behind it. */
typedef bool (*inspect_lock_fn)(void *userdata, const struct inspect_lock *lock);

/*
 * The valid locks of this host at `now_ns`, session by session in the order of opening, each session's in that of
 * granting; of one session (0: all), of one key (data NULL: all). Looks at `steps` of them at most, shown or not; but
 * what one event has granted is not divided. Returns whether there may be more; then it goes on from the cursor.
 */
bool inspect_locks(const struct engine *e, uint64_t now_ns, uint64_t session, struct text key, unsigned steps,
                   struct inspect_cursor *cursor, inspect_lock_fn fn, void *userdata);

struct inspect_waiter {
        struct text key;
        uint64_t session;
        pid_t pid;
        unsigned position; /* 1: the next to get the key */
        uint64_t since_ns;
};

typedef bool (*inspect_waiter_fn)(void *userdata, const struct inspect_waiter *waiter);

/*
 * Those who wait for a key, of one key (data NULL: all), first come first, key by key; in pieces as above. Positions
 * are counted on from one piece to the next.
 */
bool inspect_waiters(const struct engine *e, struct text key, unsigned steps, struct inspect_cursor *cursor,
                     inspect_waiter_fn fn, void *userdata);
