#pragma once

/*
 * A small world in virtual time: hosts (real engines), nodes (real memory stores), sessions, and a network between them
 * with latencies, connections that keep their order, nodes that hang, crash and forget, connections that break, clocks
 * that drift. Given the same calls and the same seed it does the same, on every compiler.
 *
 * It prints what crosses the seam, see trace.c:
 *
 *      0.000  A > add k                     a request
 *      0.000  h1 > n1 n2 n3 take k#1        a command to nodes; #1 is the first token that was seen
 *      1.000  n1 > granted                  an answer, as it reaches its host
 *      1.000  A < k#1 acquired 9897         a reply
 *      1.000  h1 > listen k                 to every node
 *      2.000  n1 > listening k              it has begun there
 *      7.000  n1 > free k 1                 it was released there; one host was told
 *
 * Every request must be answered exactly once, and when a world ends, all that its sessions had is gone from the nodes:
 * world_calm() sees to that. Where `ttl_max_ms` is given nodes have certificates, as in core/fitness.c: each
 * incarnation of a node needs one of its own in order to vote, every host looks at every node at intervals, and what a
 * look finds missing it marks. A world that could not be made (allocations are failing) is NULL, and every call takes
 * NULL.
 */
#include "redlockd/core/engine.h"
#include "redlockd/core/quorum.h"
#include "redlockd/store/memory.h"

#include <stdio.h>

#ifndef WORLD_HOSTS_MAX
#define WORLD_HOSTS_MAX 4
#endif
#define WORLD_EPOCH_NS UINT64_C(1000000000)
#define WORLD_UNIX_MS  UINT64_C(1700000000000) /* at the beginning of time */
#define NS_PER_US      UINT64_C(1000)
#define NS_PER_MS      UINT64_C(1000000)

struct world;
struct parcel;

/* Who looks on. Each may be NULL. */
struct world_watch {
        void *userdata;
        void (*on_request)(void *userdata, const struct request *request);
        void (*on_reply)(void *userdata, const struct reply *reply);
        void (*on_notice)(void *userdata, const struct notice *notice);
        void (*on_end)(void *userdata, unsigned session);   /* its process is gone */
        void (*on_close)(void *userdata, unsigned session); /* ... and its last effect was popped */
        void (*on_command)(void *userdata, unsigned host, const struct command *command);
        void (*on_listen)(void *userdata,
                          unsigned host);               /* it tells every node that it listens, or does not any more */
        void (*on_vote)(void *userdata, unsigned node); /* it granted an acquire or an extension */
        void (*on_step)(void *userdata, unsigned host, unsigned effects_n);
};

struct world_options {
        unsigned nodes_n;       /* 0: 3 */
        unsigned hosts_n;       /* 0: 1 */
        uint32_t locks_max;     /* 0: 1024 */
        uint32_t locks_all_max; /* 0: no limit, nearly */
        uint32_t waiters_max;   /* 0: no limit, nearly */
        uint64_t tenure_ms;     /* 0: 500 */
        uint32_t adrift_max;    /* 0: ENGINE_ADRIFT_MAX */
        uint64_t latency_us;    /* one way; 0: 500 */
        uint64_t tail_us;       /* now and then a parcel takes up to this much longer */
        uint32_t ttl_max_ms;    /* nodes need certificates, and are quarantined for as long; 0: they need none */
        uint64_t look_ms;       /* between two looks at a node; 0: 500 */
        unsigned twin;          /* this node is only another name of an earlier one, ... 0: none is */
        unsigned twin_of;       /* ... of this one */
        bool fences;            /* the trace shows them: the ms since the beginning, and what the host added */
        bool fresh;             /* no node has its certificate to begin with */
        uint64_t seed;
        FILE *trace; /* NULL: none is printed. Not closed */
        const struct world_watch *watch;
};

struct sim_clock {
        int64_t ppm;     /* how much faster than true time */
        int64_t step_ns; /* nodes only */
};

struct sim_node {
        struct memory *memory;
        struct sim_clock clock;
        bool hung, scripts, refuses;
        bool unfit;           /* it is found to be a replica, say */
        bool durable;         /* a restart forgets nothing, which its hosts can verify */
        uint64_t run;         /* its incarnation: each has another number */
        uint64_t certificate; /* what stands in its place: see certificate_of(); 0: nothing */
        uint64_t latency_ns;
        uint64_t wiped_ns;  /* when it last forgot something; 0: never */
        uint64_t forgot_ns; /* the same, or when it last restarted and might have */
        struct parcel *inbox_first, **inbox_last;
        struct sim_ear *ears; /* who listens, in the order in which they began */
        unsigned ears_n, ears_size;
};

/* A host that listens for the release of a key, on a node; or wants to, on all of them. */
struct sim_ear {
        unsigned host; /* from 0 */
        char key[64];
};

struct sim_host {
        struct engine *engine;
        struct sim_clock clock;
        int64_t wall_ms;                        /* its wall clock is ahead by so much */
        uint64_t deadline_ns, deadline_true_ns; /* of its engine, as seen last */
        uint64_t awake_ns;                      /* stands still until then */
        uint64_t paused_ns;                     /* the last pause began here */
        uint32_t members;                       /* of its engine */
        unsigned quorum;                        /* of its members, now or before their last change */
        bool connected[NODES_MAX];
        uint64_t run[NODES_MAX];         /* the incarnation that was read when the connection came up */
        uint64_t durable_run[NODES_MAX]; /* the incarnation that was seen last to be certified and durable */
        uint64_t look_ns[NODES_MAX];     /* when the next look is sent; UINT64_MAX: one is under way */
        uint64_t last_in_ns[NODES_MAX], last_out_ns[NODES_MAX];
        uint64_t ears_in_ns[NODES_MAX], ears_out_ns[NODES_MAX]; /* the same, of the connection for listening */
        struct sim_ear *wishes;
        unsigned wishes_n, wishes_size;
};

struct sim_session {
        unsigned host; /* from 0 */
        bool open;
};

struct world {
        struct world_options options;
        uint64_t now_ns; /* true time */
        uint64_t random;
        uint64_t requests_n;
        uint64_t steps_n;
        uint64_t runs_n, marks_n;
        bool blind;          /* no more looks */
        bool members_change; /* nodes came or went */
        struct sim_host hosts[WORLD_HOSTS_MAX];
        struct sim_node nodes[NODES_MAX];
        struct parcel **parcels; /* heap, by time of arrival */
        size_t parcels_n, parcels_size;
        uint64_t parcels_seen;
        struct sim_session *sessions; /* number 1 is at 0 */
        unsigned sessions_n, sessions_size;
        uint8_t *answers; /* of each request */
        size_t answers_size;
        struct trace *trace;
        bool look_known; /* whether these are: the next look that is due */
        uint64_t look_due_ns;
        unsigned look_host, look_node;
};

/* A node by its index, from 0. */
struct sim_node *world_node(struct world *w, unsigned node);

struct world *world_new(const struct world_options *options);
struct world *world_free(struct world *w);

/*
 * Everybody leaves, every node is well again; then nothing may be left: on the nodes after `undo_ms`, in the engines
 * after the longest ttl. Returns NULL, or what is wrong.
 */
const char *world_calm(struct world *w, uint64_t undo_ms);

/* Random numbers of the world's own, from its seed: 0 <= result < n. */
uint64_t world_draw(struct world *w, uint64_t n);

/* Sessions count from 1 in the order of opening, hosts and nodes from 1. */
unsigned world_open(struct world *w, unsigned host);
void world_end(struct world *w, unsigned session);
/* `request` but for its session and id. Returns the id, 0 if the session is not open. */
uint64_t world_request(struct world *w, unsigned session, struct request request);

/* Lets time pass. */
void world_run_ns(struct world *w, uint64_t ns);

/* A hung node keeps what it is sent and carries it out when it goes on. */
void world_hang(struct world *w, unsigned node);
void world_go_on(struct world *w, unsigned node);
/* Loses its connections, and comes back as another incarnation; with `forget` without what it stored. It stays down
 * until world_join(). */
void world_crash(struct world *w, unsigned node, bool forget);
/* A host's connection to it breaks; what was in it is gone, both ways, but for what had arrived at a node that hangs.
 */
void world_cut(struct world *w, unsigned host, unsigned node);
void world_join(struct world *w, unsigned host, unsigned node);
/* A host has no use for a node that was taken from its members: it will not be connected to it again. */
void world_part(struct world *w, unsigned host, unsigned node);
/* Its host cannot send to it (a full queue): each command is answered as lost between two effects. */
void world_refuse(struct world *w, unsigned node, bool refuse);
void world_flush_scripts(struct world *w, unsigned node);
/* Somebody else's key, or the loss of all keys. */
void world_plant(struct world *w, unsigned node, const char *key, uint32_t ttl_ms);
void world_lose(struct world *w, unsigned node);
/* Crashes, and comes back with a state of the past: without some of the keys, and with its certificate. */
void world_roll_back(struct world *w, unsigned node, const char *const *keys, unsigned keys_n);
/* It becomes a replica, say, and a master again. */
void world_spoil(struct world *w, unsigned node, bool spoiled);
/* An operator of this host vouches for it. */
uint64_t world_certify(struct world *w, unsigned session, unsigned node);
void world_slow(struct world *w, unsigned node, uint64_t latency_us);
/* The wall clock of a host, which says nothing to it but how its fences begin. */
void world_set_wall(struct world *w, unsigned host, int64_t ms);
void world_step_clock(struct world *w, unsigned node, int64_t ms);
void world_drain(struct world *w, unsigned host);
/* A host counts the votes of these nodes only, bit 0 for node 1. A node that comes must be cut, and is joined after. */
void world_members(struct world *w, unsigned host, uint32_t members);
/* The host stands still: it sees nothing before this much time has passed. */
void world_pause(struct world *w, unsigned host, uint64_t ms);

/* A host's clock, and the true time at which it will show `host_ns`. */
uint64_t world_host_ns(const struct world *w, unsigned host, uint64_t true_ns);
uint64_t world_true_ns(const struct world *w, unsigned host, uint64_t host_ns);
uint64_t world_unix_ms(const struct world *w, unsigned host);
uint64_t world_node_ms(struct world *w, unsigned node, uint64_t true_ns);

/* What a node holds under a key at a true time not before now; NULL: nothing. */
const char *world_stored(struct world *w, unsigned node, const char *key, uint64_t true_ns);

/* trace.c: the language. Each takes NULL and prints nothing. */
struct trace *trace_new(FILE *out, bool fences);
struct trace *trace_free(struct trace *t);
void trace_line(struct trace *t, uint64_t now_ns, const char *format, ...) __attribute__((format(printf, 3, 4)));
void trace_command(struct trace *t, uint64_t now_ns, unsigned host, const struct command *command);
void trace_request(struct trace *t, uint64_t now_ns, const struct request *request);
void trace_reply(struct trace *t, uint64_t now_ns, uint64_t host_ns, const struct reply *reply);
void trace_lost(struct trace *t, uint64_t now_ns, const struct notice *notice);
/* Ends the line of commands that is being gathered. */
void trace_flush(struct trace *t);
/* A session's name: A, B, ..., Z, S27, ... */
const char *trace_name(uint64_t session);
