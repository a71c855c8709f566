#pragma once

/*
 * The daemon: everything that one broker owns, and its life from start to exit.
 */
#include "redlockd/base/map.h"
#include "redlockd/core/engine.h"
#include "redlockd/daemon/inflight.h"
#include "redlockd/daemon/metrics.h"
#include "redlockd/daemon/nodes.h"
#include "redlockd/daemon/service.h"
#include "redlockd/net/busy_poll.h"
#include "redlockd/net/clock.h"
#include "redlockd/net/entropy.h"
#include "redlockd/net/log.h"
#include "redlockd/net/scrape.h"
#include "redlockd/wire/config.h"
#include "redlockd/wire/reply.h"
#include "redlockd/wire/request.h"

#include <sys/queue.h>
#include <uv.h>

struct peer;

enum daemon_state {
        DAEMON_STARTING,
        DAEMON_RUNNING,
        DAEMON_DRAINING, /* no new clients and no new locks; what is held is waited for */
        DAEMON_FREEING,  /* patience is over: sessions end, and what they held is released */
        DAEMON_CLOSING,  /* sessions end, then the nodes; the loop runs out */
};

#define DAEMON_LIMITS_N 14 /* of hello's `limits` */

struct daemon_options {
        const char *file;   /* the configuration, to be read again; NULL: the default one */
        const char *socket; /* where to listen */
        const char *level;  /* of the log, whatever the configuration says; or NULL */
};

struct daemon {
        uv_loop_t loop;
        uv_prepare_t flush; /* writes what a turn has produced, before the loop waits */
        struct busy_poll busy_poll;
        uv_poll_t high;      /* while it starts: a high descriptor */
        uv_timer_t patience; /* DRAINING: stop.grace */
        enum daemon_state state;
        bool closed; /* every handle of the daemon's own is closed */
        struct daemon_options options;
        struct config settings;      /* the nodes of it are with `nodes` */
        const struct config *config; /* these settings, to be read */

        struct engine *engine;
        struct entropy entropy;
        struct wakeup *wakeup;
        struct signals *signals;
        struct listener *listener;
        struct nodes nodes;
        struct service service;
        struct metrics metrics;
        struct scrape *scrape; /* NULL: nobody is listened to for metrics */
        bool scrape_was_handed_over;

        /* The pump's. */
        bool stepping;                /* inside engine_step(): nothing may be posted */
        bool popping;                 /* inside the loop that pops: what is posted is stepped, and popped there */
        uint64_t oldest_unflushed_ns; /* when the oldest answer that waits to be flushed was printed; 0: none */
        struct log_rate lost_rate, closed_rate, refused_rate;
        struct clock_wall wall;
        struct reply_context context;
        struct reply_limit limits[DAEMON_LIMITS_N + 1];

        /* The peers'. */
        struct map users; /* those who have sessions, by uid */
        struct map peers; /* by number, which is the session's in the engine */
        struct inflight inflight;
        TAILQ_HEAD(peer_list, peer) unflushed; /* those with output that was not yet flushed */
        unsigned listings_n;                   /* long answers on their way */
        struct request_rules rules;
        uint64_t last_session;
        uint64_t last_request;
};

/*
 * Runs a broker that listens at options->socket, or at the socket that the service manager hands over, until it has
 * been told to stop and has drained. Returns 0, or negative errno when it could not start; what went wrong is in the
 * log then. The configuration is taken over.
 */
int daemon_run(struct config *config, const struct daemon_options *options);

/*
 * Listens for scrapers where the service manager handed over a socket for them, or else where `config` says. Returns 0,
 * with NULL where neither does, or negative errno.
 */
int daemon_listen_for_scrapes(struct daemon *d, const struct config *config, struct scrape **ret_scrape,
                              char ret_error[static SCRAPE_ERROR_MAX]);

/* What follows from the settings and may change while it runs. */
void daemon_apply_settings(struct daemon *d);

/* The engine is drained: all sessions end, then the loop runs out. */
void daemon_on_drained(struct daemon *d);
