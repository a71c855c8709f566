#pragma once

/*
 * The seam. The engine is a pure state machine: events go in, each with its time; effects come out. It has no sockets,
 * no clock and no threads, and nothing in it blocks.
 *
 *      engine_step(e, &event);
 *      while (engine_pop(e, &effect))
 *              carry it out (stepping the engine in between is allowed, but for a new session or request)
 *
 * Sessions, requests and rounds are named by integers on both sides; what is no longer there is simply not found.
 */
#include "redlockd/core/types.h"

struct engine;

/* Random bytes, as good as getrandom(2)'s; the simulator gives its own. Never fails. */
typedef void (*engine_random)(void *userdata, void *ret_bytes, size_t n);

struct engine_options {
        unsigned nodes_n;       /* 1..NODES_MAX, all of them members at first; quorum = nodes_n / 2 + 1 */
        double drift_factor;    /* of a ttl, for the drift of clocks */
        uint32_t ttl_max_ms;    /* the longest that any host asks for: how long a node may have to keep silent */
        uint32_t locks_max;     /* a session's locks */
        uint32_t locks_all_max; /* of all sessions, with those that wait out a lockDelay */
        uint32_t waiters_max;   /* requests that wait for one key */
        uint64_t tenure_ms;     /* how long a host passes a key on among its sessions before others have their turn */
        uint32_t adrift_max;    /* leases that wait for a node for no reason but what its kernel may have of them */
        engine_random random;
        void *random_userdata;
};

#define ENGINE_ADRIFT_MAX 4096 /* what a daemon has for adrift_max */

enum event_kind {
        EVENT_SESSION_OPENED,
        EVENT_SESSION_GONE, /* EOF, reset or kicked out: its requests are cancelled and its locks freed */
        EVENT_REQUEST,
        EVENT_NODE, /* a node's connection came up, went down, or the node was looked at */
        EVENT_ANSWER,
        EVENT_HEARD, /* of a key that is listened for */
        EVENT_TICK,
        EVENT_CONFIGURE, /* other settings, see members.c for what may change */
        EVENT_DRAIN,     /* to stop: no new locks from now on; what is held may be used, extended and freed */
};

struct event {
        enum event_kind kind;
        uint64_t now_ns;  /* CLOCK_BOOTTIME, read for this event; never goes back */
        uint64_t unix_ms; /* the wall clock, for fences only: it may be wrong, and go back */
        union {
                struct {
                        uint64_t session;
                        pid_t pid;
                        uid_t uid;
                        gid_t gid;
                } opened;
                struct {
                        uint64_t session;
                } gone;
                struct request request;
                struct {
                        unsigned node;
                        enum node_state state; /* CONNECTING, UP or DOWN */
                        const char *reason;    /* why it is not up; copied */
                        bool closed;           /* DOWN: for good, since it has left the list */
                        struct node_look look; /* UP; copied */
                } node;
                struct {
                        uint64_t round;
                        unsigned node;
                        struct answer answer;
                } answer;
                struct {
                        unsigned node;
                        struct text key;
                        bool released;        /* ... it was; else: listening has begun there, or begun anew */
                        uint64_t listeners_n; /* released: how many were told, this host among them */
                } heard;
                struct {
                        uint32_t members; /* mask of the nodes whose votes count */
                        uint32_t locks_max;
                        uint32_t locks_all_max;
                        uint32_t waiters_max;
                } configure;
        };
};

enum effect_kind {
        EFFECT_COMMAND,
        EFFECT_LISTEN, /* on every node, for the release of a key; or no more */
        EFFECT_REPLY,
        EFFECT_NOTICE,
        EFFECT_NODE,    /* a node's state or reason changed: see inspect_node() */
        EFFECT_CERTIFY, /* write the node's certificate where the mark still stands, and look at it then; not answered
                         */
        EFFECT_CLOSE,   /* the session's last effect: write what is due, then close */
        EFFECT_DRAINED, /* after a drain, once: nothing is held or waited for, and the nodes had their time to confirm
                         */
};

struct effect {
        enum effect_kind kind;
        union {
                struct command command;
                struct {
                        struct text key;
                        bool on;
                } listen;
                struct reply reply;
                struct notice notice;
                struct {
                        unsigned node;
                        uint64_t mark; /* CERTIFY */
                } node;
                struct {
                        uint64_t session;
                } close;
        };
};

/* Returns 0 or -ENOMEM. */
int engine_new(struct engine **ret_engine, const struct engine_options *options);

/* Takes NULL. Asserts that every session is gone and every round answered; what is still to be undone is forgotten. */
struct engine *engine_free(struct engine *e);

void engine_step(struct engine *e, const struct event *ev);

/* The next effect; false: none is left. What it borrows is good until the next step or pop. */
bool engine_pop(struct engine *e, struct effect *ret_effect);

/* When a tick is due; UINT64_MAX: never. */
uint64_t engine_deadline_ns(const struct engine *e);
