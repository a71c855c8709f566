#pragma once

/*
 * What the engine holds, for the modules of the core only: nobody outside includes it.
 *
 *      engine 1 --- * session 1 --- * call 1 --- * claim * --- 1 resource 1 --- * lease 1 --- 0..1 lock
 *                             1 --- * lock (its lock map)
 *      engine 1 --- * round   * --- * lease
 *
 * A call is a request on its way from admission to its reply. A claim is one key of a call. A resource is one key of
 * this host. A lease is one token under one key, from before the first node is asked until the last node has forgotten
 * it. A lock is what one session has under a lease. A round is one command to N nodes and their votes on it.
 *
 * A lock that is held is a resource, a lease and a lock, and there may be a million of them: what only some need is in
 * blocks beside these, a resource's contest, a lease's renewal, a lock's terms.
 */
#include "redlockd/base/heap.h"
#include "redlockd/base/histogram.h"
#include "redlockd/base/map.h"
#include "redlockd/core/clockwatch.h"
#include "redlockd/core/engine.h"
#include "redlockd/core/fitness.h"
#include "redlockd/core/inspect.h"
#include "redlockd/core/quorum.h"
#include "redlockd/core/validity.h"

#include <sys/queue.h>

/* What a deadline in the engine's heap is embedded in. */
enum deadline_kind {
        DEADLINE_CALL,
        DEADLINE_ROUND,
        DEADLINE_LOCK,
        DEADLINE_RENEWAL,
        DEADLINE_TURN, /* of a contest */
        DEADLINE_RELEASE,
        DEADLINE_DRAIN,
        DEADLINE_NODE,
};

/* What an effect that waits to be popped is embedded in. First in, first out: their order is the order of decisions. */
enum outgoing_kind {
        OUTGOING_ROUND,     /* struct round: a command for each node of `to_send` */
        OUTGOING_PEEK,      /* struct peek: likewise */
        OUTGOING_CALL,      /* struct call: its reply */
        OUTGOING_LOST,      /* struct lock: a notice */
        OUTGOING_EXPIRING,  /* struct lock_terms: a notice */
        OUTGOING_STOPPING,  /* struct session: a notice */
        OUTGOING_NODES,     /* struct session: a notice for each node of `node_notices` */
        OUTGOING_CLOSE,     /* struct session */
        OUTGOING_REFUSAL,   /* struct engine: the reply to a request that was not admitted */
        OUTGOING_TURN_AWAY, /* struct engine: the close of a session that was not opened */
        OUTGOING_LISTEN,    /* struct contest */
        OUTGOING_DRAINED,   /* struct engine */
        OUTGOING_NODE,      /* struct node: its state changed */
        OUTGOING_CERTIFY,   /* struct node: its certificate is to be written */
};

struct outgoing {
        TAILQ_ENTRY(outgoing) entry;
        enum outgoing_kind kind;
        bool linked;
};

/* See node.c. */
struct node {
        enum node_state link; /* of its connection */
        struct fitness fitness;
        struct clockwatch clock;
        char told[NODE_REASON_MAX]; /* by the connection or the last look: why it does not vote */
        enum node_state state;      /* what comes of all that */
        char reason[NODE_REASON_MAX];
        char error[NODE_REASON_MAX];
        uint64_t errors;
        struct deadline quarantine; /* the end of it */
        struct outgoing state_out;
        struct outgoing certify_out;
};

TAILQ_HEAD(session_list, session);
TAILQ_HEAD(lock_list, lock);
TAILQ_HEAD(lease_queue, lease);
TAILQ_HEAD(call_list, call);
TAILQ_HEAD(peek_list, peek);

struct engine {
        struct engine_options options;
        struct hash_seed seed;
        uint64_t now_ns;  /* of the event being handled */
        uint64_t unix_ms; /* the same */
        uint64_t round_id;
        struct node nodes[NODES_MAX];
        uint32_t nodes_up;     /* mask: they vote */
        uint32_t nodes_linked; /* mask: they are connected, and get releases whether they vote or not */
        uint32_t nodes_closed; /* mask: they have left the list, and nobody will ever be connected to them again */
        uint32_t members;      /* mask: whose votes count. options.nodes_n bounds all that ever were */

        struct map resources; /* by key */
        struct map sessions;  /* by id */
        struct session_list sessions_in_order;
        struct map rounds; /* by id */
        struct peek_list peeks;
        struct map memories; /* of locks that have lapsed, by session and resource */
        struct heap deadlines;
        TAILQ_HEAD(, outgoing) outbox;
        struct call_list ready; /* calls that may go on, once the event is handled */

        struct lease_queue leases_idle;
        TAILQ_HEAD(, renewal) renew_due;
        /* Leases that some node may still have though the host does not, see release.c. */
        struct lease_queue release_due;
        struct lease_queue release_later;
        struct deadline release_retry;

        uint64_t held_n;
        uint64_t locks_n;   /* that keep a key from others: being taken, held, delayed */
        uint64_t calls_n;   /* not yet answered */
        uint64_t waiters_n; /* those of them that want locks */
        struct inspect_counters counters;
        struct histogram holds;

        bool draining;      /* no new locks */
        bool stopping;      /* and drained is to be said */
        bool drained;       /* said so */
        bool drain_overdue; /* nodes had their time to confirm the last releases */
        struct deadline drain_end;
        struct outgoing drained_out;

        struct reply refusal;
        struct outgoing refusal_out;
        uint64_t turned_away; /* session id */
        struct outgoing turn_away_out;

        struct call *popped_call; /* freed by the next step or pop: its reply is borrowed until then */
        struct lock *popped_lock;
        struct resource *popped_resource;
        uint64_t search;                                     /* number of the last search for a cycle */
        struct command_item items[KEYS_PER_ROUND_MAX];       /* of the command popped last */
        char values[KEYS_PER_ROUND_MAX][TOKEN_TEXT_LEN + 1]; /* ... or of the notice */
};

/* Queues an effect; does nothing to one that is queued. */
void outgoing_link(struct engine *e, struct outgoing *out, enum outgoing_kind kind);
void outgoing_unlink(struct engine *e, struct outgoing *out);
