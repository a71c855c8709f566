#pragma once

/*
 * Renews leases on the nodes: those of locks that are to be renewed; and, while somebody of this host waits for a key
 * that is held here, ahead of need, so that the lease is good for a whole grant and passing it on asks nobody.
 */
#include "redlockd/core/state.h"

struct lease;
struct resource;

/*
 * A lease is passed on as it is while it is good for at least this much of what the next caller asked for; it is
 * renewed once less than the second is left.
 */
#define LEASE_PASS_PERCENT  90
#define LEASE_RENEW_PERCENT 95

#define RENEW_RETRY_MS 20

/* The least time between two renewals of one lease: for short ttls a part of them is less than the way to the nodes. */
#define RENEW_PAUSE_MS 5

/* What a lease has besides from the moment when it is to be renewed, or asked for, until it is not kept any more. */
struct renewal {
        struct lease *lease;
        struct deadline at;
        TAILQ_ENTRY(renewal) entry; /* due */
        bool due;                   /* in this step */
        bool busy;                  /* due or under way */
        bool verify;                /* the nodes are to be asked at once whether they have it */
        bool verifying;             /* ... and have been */
        uint64_t begun_ns;          /* the last one */
};

/*
 * A kept or coming lease will be renewed, if that is wanted. 0 or -ENOMEM. A lock that is to be renewed reserves it
 * before it is asked for. Where others want it renewed and there is no memory it is not: those who wait will have to
 * ask the nodes, and a lock that some nodes have forgotten is its session's until its old end.
 */
int renew_reserve(struct engine *e, struct lease *l);

/* It is not kept any more. */
void renew_end(struct engine *e, struct lease *l);

/* Whether a lock of this ttl may be granted under it as it is. */
bool renew_is_fresh(const struct engine *e, const struct lease *l, uint32_t ttl_ms);

/* Who holds the key, or who waits for it, has changed: the next renewal of its lease. */
void renew_review(struct engine *e, struct resource *r);

/* A node that had the lease may not have it any more: the nodes are asked now, whoever wants it renewed. */
void renew_verify(struct engine *e, struct lease *l);

void renew_on_deadline(struct engine *e, struct renewal *n);

/* Sends what is due. */
void renew_flush(struct engine *e);

/* What came of it: of a round's leases, each for itself. `failed`: not known. */
void renew_on_won(struct engine *e, struct lease *l, uint64_t started_ns, uint32_t ttl_ms, uint64_t fence);
void renew_on_lost(struct engine *e, struct lease *l);
void renew_on_failed(struct engine *e, struct lease *l);
