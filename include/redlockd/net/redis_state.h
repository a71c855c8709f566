#pragma once

/*
 * What one node is, for redis.c, which has the life of its connections, and redis_command.c, which has what goes over
 * the one that is up. Private to net/redis.
 */
#include "redlockd/net/redis.h"
#include "redlockd/net/redis_batch.h"
#include "redlockd/net/redis_codec.h"
#include "redlockd/net/redis_dead.h"
#include "redlockd/net/redis_hello.h"
#include "redlockd/net/redis_link.h"
#include "redlockd/net/redis_owed.h"

enum redis_state {
        REDIS_IDLE,
        REDIS_RESTING,
        REDIS_CONNECTING,
        REDIS_GREETING,
        REDIS_UP,
        REDIS_STALLED,
        REDIS_CLOSING,
};

struct redis {
        struct redis_options options;
        enum redis_state state;
        unsigned links_n;                    /* the present connection and those that libuv has not let go of */
        struct redis_link *link;             /* the present connection, or NULL */
        struct redis_reader *reader;         /* of the present connection, or of the last one */
        struct redis_owed_queue owed;        /* on the present connection */
        struct redis_batch batch;            /* of commands that are owed last, and not yet in the link's output */
        struct redis_facts facts;            /* of the present connection */
        struct redis_look look;              /* and of the node */
        struct redis_dead dead;              /* connections before the present one */
        uint64_t fences[KEYS_PER_ROUND_MAX]; /* of the answer that is being read */
        uint64_t rtt_us;
        unsigned looks_n;   /* on the present connection, that are not complete */
        uint64_t looked_ns; /* when the last one was sent */
        bool overdue;       /* the oldest answer is, and had no turn of the loop since that was seen */
        uv_timer_t timer;
        bool timer_closed;
        uint64_t delay_ms; /* to the next try, at most */
        unsigned skip;     /* addresses of a name that let a try run out of time */
        enum node_state told;
        char told_reason[NODE_REASON_MAX];
        void (*on_closed)(void *userdata, unsigned node);
};

/* Ends the present connection: what it owes is answered LOST, and another one is tried later. */
void redis_give_up(struct redis *r, const char *reason);

/* Asks for another look. */
void redis_look(struct redis *r);

void redis_answer(struct redis *r, uint64_t round, const struct answer *answer);

/* The answer to what is owed first, a command. The connection may have been given up by it. */
void redis_on_command(struct redis *r, const struct redis_value *value);

/* Before anything else goes into the link's output. Returns 0, -ENOBUFS or -ENOMEM: then nothing was changed. */
int redis_close_batch(struct redis *r);
