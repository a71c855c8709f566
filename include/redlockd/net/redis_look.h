#pragma once

/*
 * A look at the server at the other end of a connection: PING, INFO, CONFIG where that matters, TIME where INFO does
 * not tell it (Redis 6.0), and what stands in the place of its certificate; and what comes of it. Private to net/redis.
 */
#include "redlockd/base/buffer.h"
#include "redlockd/core/types.h"
#include "redlockd/net/redis.h"
#include "redlockd/net/redis_codec.h"
#include "redlockd/net/redis_owed.h"

#define REDIS_CERTIFICATE_KEY "redlockd:cert"
#define REDIS_CERTIFICATE_MAX 192 /* bytes with the NUL */
#define REDIS_IDENTITY_MAX    64

struct redis_look {
        /* Of the node, whatever connection it has. */
        char members[REDIS_MEMBERS_MAX]; /* that its certificate has to name; "": it needs none */
        char former[REDIS_MEMBERS_MAX];  /* ... or these, as long as that is so; "": only those */
        uint32_t ttl_max_ms;
        char kept[REDIS_IDENTITY_MAX]; /* seen last to be certified and to forget nothing at a restart; "": none */

        /* What the present connection has told. */
        char version[NODE_VERSION_MAX];
        char run_id[NODE_RUN_ID_MAX];
        char identity[REDIS_IDENTITY_MAX];       /* of this incarnation of the server and of its data */
        char certificate[REDIS_CERTIFICATE_MAX]; /* that has to stand for its votes to count; "": that does not matter
                                                  */
        char standing[REDIS_CERTIFICATE_MAX];    /* what stands in its place; "" where that is not known */
        char unfit[NODE_REASON_MAX];
        char trouble[NODE_REASON_MAX];         /* why no mark could be left, or what stands there not be read */
        char certify_trouble[NODE_REASON_MAX]; /* why its certificate could not be written */
        uint64_t node_ms;                      /* of its clock; 0: not known */
        bool clockless;                        /* INFO does not tell it */
        uint64_t sent_ns;                      /* when INFO was sent */
        bool evicts;                           /* it may have dropped locks, and its certificate would not show it */
        uint64_t evicted_n;
        bool aof;
        bool config_refused;
        bool config_seen; /* within the present look */
        unsigned config;  /* what was seen: mask */
        bool again;       /* this look did not ask for all that matters */
};

/* A new connection: nothing is known of what it leads to. */
void redis_look_reset(struct redis_look *look);

/* Appends the questions, and what is owed for them. Returns 0, -ENOBUFS or -ENOMEM. */
int redis_look_encode(struct buffer *output, struct redis_owed_queue *owed, const struct redis_look *look,
                      uint64_t now_ns);

/*
 * Takes the answer to one of them. Returns 0, 1 where the look is complete with it, or -EPROTO where the connection is
 * of no use.
 */
int redis_look_take(struct redis_look *look, enum redis_owed_kind kind, const struct redis_value *value,
                    char ret_reason[NODE_REASON_MAX]);

/* What a complete look says. Borrows from `look`. */
struct node_look redis_look_judge(struct redis_look *look);

/* True where another look has to follow at once, since only that can know what this one did not ask for. */
bool redis_look_again(const struct redis_look *look);

/* True where the certificate that stands there must not stand there any more. */
bool redis_look_revokes(const struct redis_look *look);

/* Appends what puts a mark in the certificate's place. */
int redis_look_encode_revoke(struct buffer *output, struct redis_owed_queue *owed, uint64_t now_ns);

/*
 * Appends what writes the certificate, if `mark` is still what the last look saw there; else nothing. Without a mark:
 * what puts it in the place of the certificate for the former members, if that is what stood there.
 */
int redis_look_encode_certify(struct buffer *output, struct redis_owed_queue *owed, const struct redis_look *look,
                              const uint64_t *mark, uint64_t now_ns);

/* From now on only the certificate for the members counts, which was just ordered in the place of the former one. */
void redis_look_settle(struct redis_look *look);
