#pragma once

/*
 * What this host has, or may have, under one key on the nodes: one random token, and who of the nodes may know it. The
 * locks of the host's sessions are passed from one to the next under it. See lease.c for its life.
 */
#include "redlockd/core/state.h"
#include "redlockd/core/token.h"

enum lease_state {
        LEASE_TAKING,  /* a round asks the nodes for it */
        LEASE_KEPT,    /* the host's, valid until `valid_until_ns`; its resource points to it */
        LEASE_LEAVING, /* nobody's; nodes that may have it are asked to release it */
} __attribute__((packed));

enum lease_list {
        LEASE_UNLISTED,
        LEASE_IDLE,  /* kept, but no lock is under it: passed on or released before the step is over */
        LEASE_DUE,   /* to be released at the end of this step */
        LEASE_LATER, /* ... at the next retry, or when its nodes come up */
} __attribute__((packed));

/* Each lock that is held has one: 104 bytes. */
struct lease {
        enum lease_state state : 2;
        enum lease_list listed : 2;
        bool lost : 1;              /* a quorum of nodes does not have it: it is never passed on */
        uint16_t fences_given : 11; /* how many locks have been under it: the next one's is `fence` + that */
        uint16_t refs;              /* rounds that name it */
        uint32_t ttl_max_ms;        /* the longest that was ever sent for it */
        uint32_t sent;              /* mask of the nodes that may have it */
        uint32_t adrift;            /* ... and may get it at any time: see release.c */
        uint32_t counted;           /* masks of nodes, see heal.c: have had it all the time, */
        uint32_t fresh;             /* have it */
        union {                     /* masks of the nodes that owe an answer: */
                uint32_t planting;  /* kept: they were asked to plant it */
                uint32_t releasing; /* leaving: to release it */
        };
        uint32_t won_ttl_ms; /* of the round that it was won with, */
        uint64_t won_ns;     /* ... and when that began */
        struct resource *resource;
        TAILQ_ENTRY(lease) in_list;
        struct renewal *renewal; /* kept, and it was to be renewed once; or NULL */
        union {
                uint64_t valid_until_ns; /* kept: no later than that; clocks may have stepped, see clockwatch.c */
                uint64_t gone_ns;        /* leaving: when every node has forgotten it at the latest */
        };
        uint64_t fence; /* a quorum of nodes stood at it while they had it */
        struct token value;
};

#define LEASE_REFS_MAX UINT16_MAX

/* A new token for one try. 0 or -ENOMEM. */
int lease_new(struct engine *e, struct resource *r, uint32_t ttl_ms, struct lease **ret_lease);

/* TAKING -> KEPT: a round with this ttl was won for it that began at `won_ns`. */
void lease_keep(struct engine *e, struct lease *l, uint64_t won_ns, uint32_t ttl_ms);

/* KEPT: a round was won for it once more. Its end comes no nearer by that: a ttl on a node is only ever raised. */
void lease_renew(struct engine *e, struct lease *l, uint64_t won_ns, uint32_t ttl_ms);

/* KEPT: a clock has stepped, and it may end earlier, its lock with it. */
void lease_review(struct engine *e, struct lease *l);

/* KEPT, and its lock is gone: whoever is next may take it over in this step, at the end of which it is released. */
void lease_set_idle(struct engine *e, struct lease *l);

/* Off whichever list it is on. */
void lease_unlist(struct engine *e, struct lease *l);

/* Releases those that nobody took over. */
void lease_flush_idle(struct engine *e);

/* LEAVING: handed to the release module; freed at once where no node can have it and nothing names it. */
void lease_leave(struct engine *e, struct lease *l);

/* No more than LEASE_REFS_MAX. */
struct lease *lease_ref(struct lease *l);
/* Drops one reference; a leaving one without any, that no node can have, is freed. Returns NULL. */
struct lease *lease_unref(struct engine *e, struct lease *l);
/* Frees it if it may go: leaving, not named by anything, and on no node. */
void lease_settle(struct engine *e, struct lease *l);

/* The end of the engine: frees a leaving lease whatever nodes may have it. */
void lease_forget(struct engine *e, struct lease *l);
