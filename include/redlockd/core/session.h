#pragma once

/*
 * One client: its lock map, its calls in the order they came, and what it subscribed to.
 */
#include "redlockd/core/state.h"

struct session {
        struct map_link link;          /* hash: its id */
        TAILQ_ENTRY(session) in_order; /* of opening, which is the order of ids */
        uint64_t id;
        pid_t pid;
        uid_t uid;
        gid_t gid;
        char name[SESSION_NAME_MAX + 1];
        uint64_t connected_ns;
        unsigned events;         /* mask of enum notice_kind */
        struct call_list calls;  /* not yet answered, first come first */
        struct lock_list held;   /* valid locks, the latest last */
        struct lock_list lapsed; /* the oldest first */
        uint32_t held_n;
        uint32_t lapsed_n;
        uint32_t taking_n; /* locks that rounds under way may grant it */
        uint32_t node_notices;
        /* Of the search for a cycle that visited it last: from whom it came, over which key, and who is visited next.
         */
        uint64_t search;
        struct session *search_from;
        struct session *search_next;
        const struct resource *search_key;
        struct outgoing nodes_out;
        struct outgoing stopping_out;
        struct outgoing close_out;
};

/* 0 or -ENOMEM. */
int session_new(struct engine *e, const struct event *opened);

struct session *session_find(const struct engine *e, uint64_t id);

/* Who it is, for those that it stands in the way of. */
struct holder session_holder(const struct session *s);

/* Its calls are cancelled, its locks released; it is not found any more, and freed when its close was popped. */
void session_end(struct engine *e, struct session *s);
struct session *session_free(struct engine *e, struct session *s);

/* The key of a lock that has lapsed is open: its calls may wait for others now for whom they did not before. */
void session_search_again(struct session *s);

void session_link_held(struct session *s, struct lock *l);
void session_unlink_held(struct session *s, struct lock *l);

/* Remembers a lapsed lock; past locks_max the oldest is forgotten. */
void session_link_lapsed(struct engine *e, struct session *s, struct lock *l);
void session_unlink_lapsed(struct session *s, struct lock *l);

/* Notices to those who subscribed. */
void session_notify_node(struct engine *e, struct session *s, unsigned node);
void session_notify_stopping(struct engine *e, struct session *s);
