#pragma once

/*
 * One lock: one random token under one key, and which nodes may have it. See lock.c for its life.
 */
#include "redlockd/core/state.h"

enum lock_state {
        LOCK_TAKING,  /* a round asks the nodes for it */
        LOCK_HELD,    /* in its session's map, valid */
        LOCK_LAPSED,  /* still known to its session, not valid any more */
        LOCK_LEAVING, /* nobody's; nodes that may have it are asked to release it */
};

/* A lock lapses this much before its validity ends, so that its `lost` is written in time: 1 % of its ttl, 1..5 ms. */
#define LOCK_LAPSE_MARGIN_MIN_MS 1
#define LOCK_LAPSE_MARGIN_MAX_MS 5

struct lock {
        enum lock_state state;
        unsigned refs; /* rounds that name it, and a notice that waits to be popped */
        struct resource *resource;
        struct session *session;      /* NULL: leaving */
        struct map_link link;         /* held, lapsed */
        TAILQ_ENTRY(lock) in_session; /* held, lapsed */
        TAILQ_ENTRY(lock) in_release; /* while `listed` */
        enum { LOCK_UNLISTED, LOCK_DUE, LOCK_LATER } listed;
        struct deadline end;
        struct outgoing lost_out;
        uint64_t lost_session; /* who is to be told, if it wants to be */
        bool lost_wanted;
        char value[TOKEN_TEXT_LEN + 1];
        uint32_t ttl_ms;     /* of the last grant */
        uint32_t ttl_max_ms; /* the longest that was ever sent for it */
        uint32_t sent;       /* mask of the nodes that may have it */
        uint32_t releasing;  /* mask of the nodes that were asked to release it and owe an answer */
        uint32_t granted;    /* mask of the nodes that said so */
        uint64_t since_ns;
        uint64_t valid_until_ns;
        uint64_t gone_ns; /* not held any more: when every node has forgotten it at the latest */
};

/* A new token for one try. 0 or -ENOMEM. */
int lock_new(struct engine *e, struct session *s, struct resource *r, uint32_t ttl_ms, struct lock **ret_lock);

/* The session's lock on a key, held or lapsed; or NULL. */
struct lock *lock_find(const struct engine *e, const struct session *s, const struct resource *r);

/* TAKING -> HELD: into its session's map, in the place of a lapsed one. */
void lock_grant(struct engine *e, struct lock *l, uint32_t ttl_ms, uint64_t valid_until_ns);

/* HELD: a new end. */
void lock_extend(struct engine *e, struct lock *l, uint32_t ttl_ms, uint64_t valid_until_ns);

/*
 * Out of the map, or out of its try: LEAVING. The nodes are not asked yet: hand it to the release module; or, where no
 * node can have it, it is freed when nothing names it any more.
 */
void lock_leave(struct engine *e, struct lock *l);

/* Its session does not hear of it any more. */
void lock_silence(struct engine *e, struct lock *l);

void lock_on_deadline(struct engine *e, struct lock *l);

struct lock *lock_ref(struct lock *l);
/* Drops one reference. A leaving lock without any, that no node can have, is freed. Returns NULL. */
struct lock *lock_unref(struct engine *e, struct lock *l);
/* Frees it if it may go: leaving, not named by anything, and on no node. */
void lock_settle(struct engine *e, struct lock *l);

/* The end of the engine: frees a leaving lock whatever nodes may have it. */
void lock_forget(struct engine *e, struct lock *l);
