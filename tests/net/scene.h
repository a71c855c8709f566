#pragma once

/*
 * One node of net/redis on a loop of its own, and the log of what it called back: a line for each state and answer, to
 * be read in order.
 *
 *      connecting connecting | down REASON
 *      up | uncertified REASON | kept REASON | unfit REASON          a look, where it says something else than the last
 *      granted ROUND NUMBER NODE_MS | held ROUND TAKEN NUMBER NODE_MS | error ROUND WORDS | again ROUND | lost ROUND
 */
#include "net/fake_redis.h"
#include "redlockd/net/redis.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SCENE_TIMEOUT_MS 20000 /* for who waits for none */
#define SCENE_SHORT_MS   1000  /* no pause of a busy machine is taken for it */
#define SCENE_BEAT_MS    100   /* for who waits for looks */
#define SCENE_MEMBERS    "00000000000000aa"
#define SCENE_LATE       "down no answer for 1000 ms"
#define SCENE_VALUE      "0123456789abcdef0123456789abcdef"
#define SCENE_VALUE_B    "fedcba9876543210fedcba9876543210"

struct scene {
        uv_loop_t loop;
        uv_prepare_t prepare; /* what the daemon does in each turn */
        bool flushing;
        struct address address;
        struct redis_options options; /* of the node; may be changed before it is made */
        struct redis *redis;
        struct fake_redis fake;
        char **lines;
        size_t lines_n;
        size_t read_n;                     /* lines that were expected and came */
        unsigned closed_n;                 /* calls of on_closed */
        uint64_t live;                     /* blocks at the start */
        char looked[NODE_REASON_MAX + 16]; /* the line of the last look */
        unsigned looks_n;
        uint64_t mark;    /* of the last look */
        uint64_t node_ms; /* likewise */
        struct answer last;
        char last_facts[PEEK_WORDS_MAX];
        char last_error[NODE_REASON_MAX];
        unsigned turns_left; /* for a test's own handles */
        /* called after a line was added, with that line: what a caller does in his callback */
        void (*react)(struct scene *s, const char *line);
};

/* The time-out of the next scene's node, where it is not to be SCENE_TIMEOUT_MS: for that scene only. */
extern unsigned scene_timeout_ms;

/* Likewise how often the next scene's node is looked at; by default it is not, but for the first time. */
extern unsigned scene_heartbeat_ms;

/* Likewise how many commands may share a call; by default each has its own. */
extern unsigned scene_batch_max;

/* Likewise what the next scene's node wants of a certificate, where it is not to be none at all. */
extern const char *scene_members;

/* The loop, and the options that scenes share. Nothing is connected yet. */
void scene_init(struct scene *s);

/* The node, not started; at 127.0.0.1 where `host` is NULL. */
void scene_node_tcp(struct scene *s, const char *host, int port);
void scene_node_unix(struct scene *s, const char *path);

/* A fake on TCP that refuses, or is ready; and a node that was not started. */
void scene_down(struct scene *s);
void scene_ready(struct scene *s);

/* A fake on TCP, and a node that has come up with it. */
void scene_up(struct scene *s);

/* The same on a Unix socket of this name in a folder of its own. */
void scene_up_unix(struct scene *s);

void scene_start(struct scene *s);

/* One turn of the loop. */
void scene_turn(struct scene *s);

/* Turns the loop until the condition holds. */
#define scene_until(s, condition)                                                                                      \
        do {                                                                                                           \
                while (!(condition))                                                                                   \
                        scene_turn(s);                                                                                 \
        } while (0)

/* The next line of the log, waited for; it has to be this one. A star at the end: has to begin so. */
void scene_expect(struct scene *s, const char *line);

/* Sends a command about one key named "k". */
int scene_take(struct scene *s, uint64_t round);
int scene_release(struct scene *s, uint64_t round);
int scene_send(struct scene *s, const struct command *command);

/* Closes the node, and waits; what it called back by that is in the log. */
void scene_close_node(struct scene *s);

/* Closes everything; nothing may be left: lines, handles, memory. */
void scene_end(struct scene *s);

/* An address that swallows connections: the queue of its socket is full. The sockets are to be closed. */
#define SCENE_HOLE_N 3
void scene_hole(const char *ip, int port, int ret_fds[SCENE_HOLE_N]);

void scene_on_closed(void *userdata, unsigned node);

/* A number below `sides`, the next one of those that begin with this state. */
uint32_t scene_dice(uint64_t *state, uint32_t sides);

/* A fence that some host may propose: its clock is right, or some seconds off, or has lost its mind. */
uint64_t scene_random_fence(uint64_t *seed);
