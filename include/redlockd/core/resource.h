#pragma once

/*
 * One key on this host: who holds it here, and the first-come queue of those who want it. It lives while a claim, a
 * lease or a lock refers to it. There may be a million of them that nobody fights for: so what only a fight needs is in
 * a block of its own.
 */
#include "redlockd/core/listen.h"
#include "redlockd/core/state.h"
#include "redlockd/core/turn.h"

/*
 * One key of a call. It stands in two lines: the resource's queue (add and extend), which decides who of this host is
 * next; and, by `earlier` and `later`, the line of its own session's claims on the key, which keeps them in the order
 * they came.
 */
struct claim {
        struct call *call;
        struct resource *resource;
        struct claim *before; /* in the queue; of its first: the last */
        struct claim *after;
        uint32_t queue_n; /* of its first: how many stand in it */
        bool queued;
        bool settled; /* free: its outcome is known */
        struct claim *earlier;
        struct claim *later;
        struct lock *lock;     /* referenced: the lock that the present try takes or extends for it; or NULL */
        uint64_t round;        /* free: the round that releases it; or 0 */
        struct lease *leaving; /* free: what its lock was under, while it is decided who gets it */
};

/* What a key has besides while it is fought for. Made when it is first needed, and gone with its resource. */
struct contest {
        struct resource *resource;
        struct tenure tenure;
        struct ears ears;
};

struct resource {
        struct map_link link;
        struct lease *lease; /* the host's, kept; or NULL */
        struct lock *holder; /* the lock that keeps others of this host out: held, lapsed a moment ago, or delayed */
        struct claim *queue; /* its first; or NULL */
        struct contest *contest;
        uint64_t fence_seen; /* the highest that is known of; 0: none */
        uint32_t refs;
        uint32_t key_len;
        struct turn turn;
        char key[];
};

struct text resource_key(const struct resource *r);

/* NULL: not there. */
struct resource *resource_find(const struct engine *e, struct text key);

/* The resource of a key, made if it is not there, with one more reference. 0 or -ENOMEM. */
int resource_ref(struct engine *e, struct text key, struct resource **ret_resource);

/* One more reference to a resource that is there. Returns it. */
struct resource *resource_ref_known(struct resource *r);

/* Drops one reference; the last one frees it. Returns NULL. */
struct resource *resource_unref(struct engine *e, struct resource *r);

/*
 * Made if it is not there. NULL: no memory. Then its host is less fair to others, or hears less of them, and that is
 * all: what is in a contest keeps nobody out, and brings nobody in.
 */
struct contest *resource_contest(struct engine *e, struct resource *r);

/* The end of the engine: frees what nothing but its turn and its ears refer to. */
void resource_forget(struct engine *e, struct resource *r);

/* The claim that is next to get the key, or NULL. While its call is trying, no other asks the nodes for the key. */
struct claim *resource_head(const struct resource *r);

/* How many stand in its queue. */
uint32_t resource_queue_n(const struct resource *r);

/* The one before it in the queue, or NULL. */
struct claim *claim_before(const struct claim *c);

void resource_enqueue(struct resource *r, struct claim *c);
void resource_dequeue(struct resource *r, struct claim *c);

/* The key may have become free: its head goes on at once, outside its count of tries. */
void resource_wake(struct engine *e, struct resource *r);
