#pragma once

/*
 * The words that the engine shares with those who carry for it: requests and replies (wire), commands and answers (net,
 * store). Plain values; a `struct text` or pointer in them is borrowed and good only as long as its giver says.
 *
 * Units: *_ms whole milliseconds, *_ns nanoseconds of CLOCK_BOOTTIME.
 */
#include "redlockd/base/text.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define NODES_MAX          31  /* a set of nodes is a 32-bit mask */
#define KEYS_PER_ROUND_MAX 64  /* a set of one command's keys is a 64-bit mask */
#define NODE_REASON_MAX    160 /* bytes with the NUL; longer reasons are cut */
#define NODE_VERSION_MAX   24
#define NODE_RUN_ID_MAX    48
#define SESSION_NAME_MAX   64 /* bytes without a NUL */
#define TOKEN_TEXT_LEN     32 /* a lock's value: 128 random bits in lower-case hex */
#define RETRY_FOR_EVER     (-1)
#define FENCE_STEP         1024 /* fences that a host may give to its own sessions under one that the nodes gave */
#define FENCE_MAX          (UINT64_C(1) << 53)
#define FENCE_STORED_MAX   (FENCE_MAX - (UINT64_C(1) << 40)) /* what a node finds is below it, or is no fence */
#define FENCE_KEPT_MS                                                                                                  \
        UINT64_C(86400000)   /* a node remembers the fence of a key that is not used so long, or a minute less */
#define WAIT_NONE UINT64_MAX /* no cap on the time of waiting */

enum method {
        METHOD_ADD,
        METHOD_EXTEND,
        METHOD_FREE,
        METHOD_RESET,
        METHOD_LIST,
        METHOD_CANCEL,
        METHOD_SUBSCRIBE,
        METHOD_HELLO,
        METHOD_PING,
        METHOD_STATUS,
        METHOD_NODES,
        METHOD_SESSIONS,
        METHOD_LOCKS,
        METHOD_WAITERS,
        METHOD_DRAIN,
        METHOD_KILL,
        METHOD_BREAK,
        METHOD_WHY,
        METHOD_CERTIFY,
        METHOD_METRICS,
        METHOD_RELOAD,
        METHODS_N,
};

/* Errors of the contract, in the order of its table. */
enum error_name {
        ERROR_NONE,
        ERROR_PARSE,
        ERROR_INVALID_REQUEST,
        ERROR_METHOD_NOT_FOUND,
        ERROR_INVALID_PARAMS,
        ERROR_INTERNAL,
        ERROR_TOO_LARGE,
        ERROR_LIMIT,
        ERROR_DENIED,
        ERROR_STOPPING,
        ERROR_LOCKED,
        ERROR_NO_QUORUM,
        ERROR_NOT_HELD,
        ERROR_LOST,
        ERROR_CANCELLED,
        ERROR_DEADLOCK,
        ERROR_BROKEN,
        ERRORS_N,
};

/* Events that a session can subscribe to, as bits of a mask. */
enum notice_kind {
        NOTICE_LOST = 1 << 0,
        NOTICE_EXPIRING = 1 << 1,
        NOTICE_STOPPING = 1 << 2,
        NOTICE_NODE = 1 << 3,
        NOTICE_DEFAULT = NOTICE_LOST | NOTICE_EXPIRING | NOTICE_STOPPING,
};

/* One request of a client, checked: types, ranges and limits hold. Everything in it is copied by the engine. */
struct request {
        uint64_t session;
        uint64_t id; /* the daemon's own number, each one greater than all before */
        enum method method;
        const struct text *keys; /* add, extend, free, locks, waiters, break, why; duplicates are allowed */
        unsigned keys_n;         /* 0: all (free, locks, waiters) */
        uint32_t ttl_ms;
        int64_t retry_count; /* RETRY_FOR_EVER: no end */
        uint64_t retry_delay_ms;
        uint64_t retry_jitter_ms;
        uint64_t wait_ms; /* WAIT_NONE: no cap */
        bool strict;
        bool auto_extend;       /* add: the broker renews it */
        uint64_t max_hold_ms;   /* add: it ends then, however often it is extended; 0: never */
        uint64_t lock_delay_ms; /* add: how long the key stays taken when the session ends without freeing it */
        uint64_t cancel_id;     /* cancel: the id (above) of the request to be cancelled; 0: there is none */
        unsigned events;        /* subscribe: mask of enum notice_kind */
        struct text name;       /* hello; data NULL: left as it is */
        bool off;               /* drain: take new locks again */
        uint64_t target;        /* kill: a session */
        unsigned node;          /* certify */
};

/* What became of one key. */
enum lock_outcome {
        OUTCOME_NONE,
        OUTCOME_HELD, /* add: was in the map and valid */
        OUTCOME_ACQUIRED,
        OUTCOME_EXTENDED,
        OUTCOME_REACQUIRED,
        OUTCOME_FREED,
        OUTCOME_PENDING,
        OUTCOME_EXPIRED,
        OUTCOME_MISSING,
        OUTCOME_TAKEN, /* the key that a failed add or extend is about */
};

struct reply_item {
        struct text key;
        enum lock_outcome outcome;
        char value[TOKEN_TEXT_LEN + 1]; /* the lock's, where one is held */
        uint64_t fence;                 /* likewise */
        uint64_t valid_until_ns;
};

/* Why a node gave no vote, for NO_QUORUM. */
enum vote_reason {
        VOTE_NONE, /* was not one of the nodes that vote */
        VOTE_GRANTED,
        VOTE_HELD,        /* somebody else's value is there (or, at an extension, not ours) */
        VOTE_ERROR,       /* the node's own error, in its `error` */
        VOTE_LOST,        /* the connection broke with the command in it */
        VOTE_TIMEOUT,     /* no answer within the node timeout */
        VOTE_DOWN,        /* not connected: the reason is in its `reason` */
        VOTE_PENDING,     /* decided before it answered */
        VOTE_LATE,        /* it granted, but no validity was left */
        VOTE_UNCERTIFIED, /* its certificate did not stand */
};

/* What stands on a node under a key. */
enum peek_value {
        PEEK_ABSENT,
        PEEK_OURS, /* the value of the lock that is held on this host */
        PEEK_OTHER,
        PEEK_OTHER_TYPE, /* no string, so nobody's lock */
};

#define PEEK_WORDS_MAX 200

/* What one node said of a key, for `why`. */
struct peek_seen {
        enum vote_reason vote; /* GRANTED: it answered */
        enum peek_value value;
        uint64_t ttl_ms; /* 0: none */
        uint64_t node_ms;
        uint64_t at_ns;
        uint64_t took_ns;
        char words[PEEK_WORDS_MAX]; /* its facts, as in struct answer; or its error */
};

/* Who holds a key on this host. */
struct holder {
        uint64_t session; /* 0: nobody on this host */
        pid_t pid;
        uid_t uid;
        char name[SESSION_NAME_MAX + 1];
};

/* One step of a cycle: this session waits for the key, which the next one holds, or is to get before it. */
struct cycle_step {
        struct holder session;
        struct text key;
};

#define CYCLE_SHOWN_MAX 32 /* steps of a longer cycle are left out of the reply */

/* The answer to one request. Borrowed from the engine until it is stepped or popped again. */
struct reply {
        uint64_t session;
        uint64_t request;
        enum method method;
        enum error_name error;
        const struct reply_item *items; /* add, extend, free, reset */
        size_t items_n;
        unsigned attempts;
        uint64_t waited_ms;
        int64_t retries;                /* LOCKED: the number that its message names */
        const struct holder *holder;    /* LOCKED; kill, break: who lost it */
        const struct cycle_step *cycle; /* DEADLOCK */
        size_t cycle_n;
        const enum vote_reason *votes; /* NO_QUORUM: one for each node */
        unsigned votes_n;
        struct text key;              /* why */
        const struct peek_seen *seen; /* why: one for each node */
        unsigned seen_n;
        bool cancelled;    /* cancel */
        bool draining;     /* drain */
        bool certified;    /* certify: its certificate is being written */
        unsigned node;     /* certify */
        const char *limit; /* LIMIT: the limit's name in the configuration */
        uint64_t limit_value;
};

enum lost_reason {
        LOST_EXPIRED,
        LOST_NO_QUORUM, /* it could not be renewed, or a quorum of nodes does not have it any more */
        LOST_MAX_HOLD,
        LOST_BROKEN, /* by an administrator */
} __attribute__((packed));

enum node_state {
        NODE_CONNECTING,
        NODE_UP, /* of a connection: it stands. Of a node: it votes */
        NODE_DOWN,
        NODE_QUARANTINED, /* connected; it may have forgotten locks that are still valid */
        NODE_UNFIT,       /* connected; it can never vote as it is */
};

/* What a node was found to be by one look: when its connection came up, and at each heartbeat. */
enum look_verdict {
        LOOK_CERTIFIED,   /* its certificate stands, or none is wanted */
        LOOK_UNCERTIFIED, /* something else stands there: a mark that a look left, or another certificate */
        LOOK_KEPT,        /* its certificate from before a restart that forgot nothing, as was verified */
        LOOK_UNFIT,
};

struct node_look {
        enum look_verdict verdict;
        const char *run_id; /* of the server's incarnation; "" for one that has none */
        const char *reason; /* why it may not vote, and what to do about it; "" where it may */
        uint64_t node_ms;   /* the node's own clock, Unix ms; 0 where it did not say; */
        uint64_t sent_ns;   /* ... some time after this */
        uint64_t mark; /* UNCERTIFIED, KEPT: what stands in the certificate's place; another one for each other thing */
};

/* Something that a session subscribed to. Borrowed as a reply is. */
struct notice {
        uint64_t session;
        enum notice_kind kind;
        bool wanted;             /* lost: the session has subscribed; who carries out effects is told in any case */
        struct text key;         /* lost, expiring */
        uint64_t valid_until_ns; /* expiring */
        const char *value;
        enum lost_reason lost;
        unsigned node; /* node: with its state and reason of now */
};

enum command_kind {
        /*
         * All or nothing on one node: where no key of the first `acquire_n` items exists and every other item's key has
         * the item's value, the first are set with their value and the ttl, and get a fence (see core/fence.h); of the
         * others each ttl below it is raised, and each fence below the item's.
         */
        COMMAND_TAKE,
        /* Deletes each key that has the item's value. Fences stay. */
        COMMAND_RELEASE,
        /* Of each key that has the item's value, ttl and fence are raised to the item's where they are below; each for
         * itself. */
        COMMAND_RENEW,
        /* Each key that does not exist is set with the item's value; of each that has it, ttl and fence are raised as
         * by RENEW; each for itself, and whether the node may vote or not. */
        COMMAND_PLANT,
        /* Changes nothing: says whether the key of its one item has the item's value ("": nobody's). */
        COMMAND_PEEK,
        COMMAND_KINDS_N,
};

struct command_item {
        struct text key;
        const char *value; /* TOKEN_TEXT_LEN bytes and a NUL; PEEK: or "" */
        uint32_t ttl_ms;   /* TAKE: the command's; RENEW, PLANT: its own */
        uint64_t fence;    /* TAKE, of what is acquired: the least that the host would have; else the lock's */
        bool heard;        /* RELEASE: the host itself listens there for the key's release */
};

/* One command for one node. Borrowed from the engine until it is stepped or popped again. */
struct command {
        uint64_t round;
        unsigned node;
        enum command_kind kind;
        uint32_t ttl_ms;         /* TAKE */
        uint32_t fence_slack_ms; /* TAKE: see core/fence.h */
        const struct command_item *items;
        unsigned items_n; /* 1..KEYS_PER_ROUND_MAX */
        unsigned acquire_n;
};

enum answer_verdict {
        ANSWER_GRANTED,     /* TAKE, RENEW, PLANT: done on this node. RELEASE: none of the values is there any more.
                               PEEK: answered */
        ANSWER_HELD,        /* TAKE: nothing was done; `taken` says which items stood in the way. RENEW, PLANT: done for
                               the items not in `taken`; the values of those are not there */
        ANSWER_ERROR,       /* the node refused; a part may have been done */
        ANSWER_AGAIN,       /* not carried out: the node did not know the script, or refused what shared a call with it;
                               asked once more, it will be */
        ANSWER_UNSENT,      /* not carried out, and never will be: it was not even sent */
        ANSWER_UNCERTIFIED, /* TAKE, RENEW: nothing was done, since the node's certificate does not stand */
        ANSWER_LOST,        /* not known: the connection broke with it */
};

/* What a node said. Every command is answered exactly once. */
struct answer {
        enum answer_verdict verdict;
        uint64_t taken;   /* HELD: bit i for item i. RELEASE: another host listened for item i, and was told */
        uint64_t number;  /* TAKE, HELD; PEEK: the longest ttl among the keys in the way, ms; 0 where one has none.
                             RELEASE: how many keys were deleted */
        uint64_t node_ms; /* the node's own clock, Unix ms; 0 where it did not say */
        const uint64_t *fences; /* TAKE, GRANTED: of each key that was acquired; borrowed; else NULL */
        const char *error;      /* ERROR: the node's words; borrowed; else NULL */
        enum peek_value peek;
        const char *facts; /* PEEK: of the node itself, "name:value name:value ..."; borrowed; NULL: none */
};
