#pragma once

/*
 * One session's lock on one key, under its host's lease on it. See lock.c for its life.
 */
#include "redlockd/core/state.h"
#include "redlockd/core/token.h"

enum lock_state {
        LOCK_TAKING,  /* asked for */
        LOCK_HELD,    /* in its session's map, valid */
        LOCK_LAPSED,  /* still known to its session, not valid any more */
        LOCK_DELAYED, /* its session is gone; its key stays taken for a while */
        LOCK_GONE,
} __attribute__((packed));

/* A lock lapses this much before its validity ends, so that its `lost` is written in time: 1 % of its ttl, 1..5 ms. */
#define LOCK_LAPSE_MARGIN_MIN_MS 1
#define LOCK_LAPSE_MARGIN_MAX_MS 5

/* What only a lock has that is asked for with autoExtend, maxHold or lockDelay. */
struct lock_terms {
        uint64_t hold_end_ns; /* it is not extended beyond; UINT64_MAX: no end */
        uint64_t delay_ms;    /* of the key when its session ends */
        struct outgoing expiring_out;
};

/* There may be a million: 104 bytes. */
struct lock {
        enum lock_state state;
        enum lost_reason lost; /* lapsed */
        uint8_t refs;          /* the claim that is about it, notices that wait to be popped: a few */
        bool lost_wanted : 1;  /* its session wants to be told; who carries out effects is in any case */
        bool told : 1;         /* its session knows that it is lost: from an extension that was refused, or a notice */
        bool auto_extend : 1;
        bool expiring : 1; /* less than a third of its ttl is left, and that was told */
        bool has_terms : 1;
        uint32_t ttl_ms;
        struct resource *resource;
        struct session *session; /* its notices are popped before its close is; NULL: delayed, or gone after that */
        union {
                struct lease *taking;         /* the one that it is to be under */
                TAILQ_ENTRY(lock) in_session; /* held, lapsed */
        };
        union {
                struct deadline end;  /* while it has its lease */
                struct map_link link; /* lapsed, and without it: a memory */
        };
        union {
                struct { /* until it lapses */
                        uint64_t fence;
                        uint64_t since_ns;
                        uint64_t closed_until_ns; /* others here do not get the key before: so long its session was told
                                                     that it has it */
                };
                struct outgoing lost_out; /* from then on */
        };
        uint64_t valid_until_ns;
        struct token value;        /* the lease's, or one of its own where the lease was taken over */
        struct lock_terms terms[]; /* one, if it has some */
};

/*
 * 0 or -ENOMEM. The lease is new, or the host's and idle: then it is not idle any more. `terms`: it has some, and they
 * are none until they are set.
 */
int lock_new(struct engine *e, struct session *s, struct lease *lease, bool terms, struct lock **ret_lock);

/* What it is under, or to be: as long as it keeps its key from others, its key's. NULL: its validity has ended, or it
 * is gone. */
struct lease *lock_lease(const struct lock *l);

/* The session's lock on a key, held or lapsed; or NULL. */
struct lock *lock_find(const struct engine *e, const struct session *s, const struct resource *r);

/* TAKING -> HELD: into its session's map, in the place of a lapsed one. Its lease is kept. */
void lock_grant(struct engine *e, struct lock *l, uint32_t ttl_ms, uint64_t valid_until_ns);

/* UINT64_MAX: it may be extended for ever. */
uint64_t lock_hold_end_ns(const struct lock *l);

/* HELD: a new end, or its hold's. */
void lock_extend(struct engine *e, struct lock *l, uint32_t ttl_ms, uint64_t valid_until_ns);

/* HELD: a new end that its session is not told of: its key stays closed as long as it was told last, at least. */
void lock_renew(struct engine *e, struct lock *l, uint64_t valid_until_ns);

/* Its lease ends earlier than it did: so does it, now if that is over. */
void lock_shorten(struct engine *e, struct lock *l);

/*
 * Out of the map, or out of its try: GONE. A lease that was kept is idle now, and the key open to others of this host;
 * one that was not is released.
 */
void lock_leave(struct engine *e, struct lock *l);

/*
 * HELD -> LAPSED, though its validity has not ended: the key is open to others of this host, and the nodes are asked to
 * release it.
 */
void lock_break(struct engine *e, struct lock *l);

/*
 * HELD: the broker renews it, or its session wants to hear when it is lost. Else it stays what it was until its old
 * end, which is all that its session knows of.
 */
bool lock_is_watched(const struct lock *l);

/* HELD: a quorum of nodes does not have it any more. Its session is told at once; its key is open when its validity
 * ends, as if it had lapsed. */
void lock_lose(struct engine *e, struct lock *l);

/* LAPSED or GONE: the key is open to the others of this host, and the lease with it. */
void lock_open(struct engine *e, struct lock *l);

/* HELD or LAPSED, and its session ends without having freed it: the key stays taken for its delay, within its validity.
 */
void lock_end(struct engine *e, struct lock *l);

/* Its session does not hear of it any more. */
void lock_silence(struct engine *e, struct lock *l);

void lock_on_deadline(struct engine *e, struct lock *l);

struct lock *lock_ref(struct lock *l);
/* Drops one reference; one that is gone and has none is freed. Returns NULL. */
struct lock *lock_unref(struct engine *e, struct lock *l);
