#pragma once

/*
 * A small world in virtual time: hosts (real engines), nodes (real memory stores), sessions, and a network between them
 * with a latency, connections that keep their order, nodes that hang, crash and forget, connections that break. It
 * prints a trace of what crosses the seam:
 *
 *      0.000  A > add k                     a request
 *      0.000  h1 > n1 n2 n3 take k#1        a command to nodes; #1 is the first token that was seen
 *      1.000  n1 > granted                  an answer, as it reaches its host
 *      1.000  A < k#1 acquired 9897         a reply
 *
 * Several hosts appear as h1, h2; a single one too. Every request must be answered exactly once, and when a world ends,
 * all that its sessions had is gone from the nodes: world_free() sees to that.
 */
#include "redlockd/core/engine.h"
#include "redlockd/store/memory.h"

#include <check.h>

#define WORLD_HOSTS_MAX    4
#define WORLD_SESSIONS_MAX 48

struct world;

struct world_options {
        unsigned nodes_n;    /* 0: 3 */
        unsigned hosts_n;    /* 0: 1 */
        uint32_t locks_max;  /* 0: 1024 */
        uint64_t latency_us; /* one way; 0: 500 */
};

/* NULL where an engine or a store could not be made (only with failing allocations). */
struct world *world_new(const struct world_options *options);
struct world *world_free(struct world *w);

/* What a request asks for, beside its keys. */
struct ask {
        uint32_t ttl_ms;   /* 0: 10000 */
        int tries;         /* 0: 201; -1: for ever */
        uint64_t delay_ms; /* 0: 100; no jitter */
        uint64_t wait_ms;  /* 0: no cap */
        bool strict;
};

/* Sessions are 'A', 'B', ... in the order of opening; `host` counts from 1. */
char world_open(struct world *w, unsigned host);
void world_end(struct world *w, char session);

/* Keys are separated by commas; NULL: all. Returns the request's number. */
uint64_t world_add(struct world *w, char session, const char *keys, struct ask ask);
uint64_t world_extend(struct world *w, char session, const char *keys, struct ask ask);
uint64_t world_give(struct world *w, char session, const char *keys);
uint64_t world_reset(struct world *w, char session);
void world_cancel(struct world *w, char session, uint64_t request);
void world_subscribe(struct world *w, char session, unsigned events);

/* Lets time pass. */
void world_run(struct world *w, uint64_t ms);

/* Nodes count from 1. A hung node keeps what it is sent and carries it out when it goes on. */
void world_hang(struct world *w, unsigned node);
void world_go_on(struct world *w, unsigned node);
/* Loses its connections; with `forget` what it stored, too. It stays down until world_join(). */
void world_crash(struct world *w, unsigned node, bool forget);
/* All of a host's connections to it break; what it was sent and has not carried out is gone. */
void world_cut(struct world *w, unsigned host, unsigned node);
void world_join(struct world *w, unsigned host, unsigned node);
/* Its host cannot send to it (a full queue): each command is answered as lost between two effects. */
void world_refuse(struct world *w, unsigned node, bool refuse);
void world_flush_scripts(struct world *w, unsigned node);
/* Somebody else's key, or the loss of one. */
void world_plant(struct world *w, unsigned node, const char *key, uint32_t ttl_ms);
void world_lose(struct world *w, unsigned node);
void world_slow(struct world *w, unsigned node, uint64_t latency_us);
void world_drain(struct world *w, unsigned host, bool now);
/* The host stands still: it sees nothing before this much time has passed. */
void world_pause(struct world *w, unsigned host, uint64_t ms);

struct engine *world_engine(struct world *w, unsigned host);
uint64_t world_now_ns(const struct world *w);

/* What a node holds under a key; NULL: nothing. */
const char *world_stored(struct world *w, unsigned node, const char *key);
size_t world_stored_n(struct world *w, unsigned node);

/* What must hold while allocations succeed; a story with failing ones may have come to another end. */
bool world_is_whole(const struct world *w);
#define world_check(w, what)                                                                                           \
        do {                                                                                                           \
                if (world_is_whole(w))                                                                                 \
                        ck_assert(what);                                                                               \
        } while (0)

/* The trace since the last call, which must be this; failing allocations excuse it. */
void world_expect(struct world *w, const char *trace);

/* Forgets the trace so far. */
void world_skip(struct world *w);

/* Stories with their names; each is run as it is, and with the k-th allocation failing for every k. */
struct story {
        const char *name;
        void (*tell)(void);
};

int story_main(const char *suite, const struct story *stories, size_t n);

#define STORY_MAIN(suite, ...)                                                                                         \
        int main(void)                                                                                                 \
        {                                                                                                              \
                const struct story stories[] = { __VA_ARGS__ };                                                        \
                                                                                                                       \
                return story_main(suite, stories, sizeof(stories) / sizeof(stories[0]));                               \
        }
#define STORY(name)                                                                                                    \
        {                                                                                                              \
#name, name                                                                                            \
        }
