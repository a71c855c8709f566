/*
 * The daemon: the loop and everything on it, made at start, drained on a signal, and closed again to the last handle.
 *
 *      STARTING -> RUNNING -> DRAINING -> FREEING -> CLOSING
 *          |                     +--------------------^  nothing is held any more
 *          +------------------------------------------^  could not start
 *
 * What happens in one turn of the loop: bytes and answers come in, each is posted (pump.c); before the loop waits
 * again, what came of it is written, once for each client and node.
 */
#include "redlockd/daemon/daemon.h"

#include "redlockd/base/mem.h"
#include "redlockd/daemon/access.h"
#include "redlockd/daemon/nodes.h"
#include "redlockd/daemon/nodes_traffic.h"
#include "redlockd/daemon/peer.h"
#include "redlockd/daemon/pump.h"
#include "redlockd/daemon/reload.h"
#include "redlockd/net/clock.h"
#include "redlockd/net/listener.h"
#include "redlockd/net/log.h"
#include "redlockd/net/process.h"
#include "redlockd/net/signals.h"
#include "redlockd/net/wakeup.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#define DAEMON_FILES_KEPT 16

static const unsigned daemon_moves[] = {
        [DAEMON_STARTING] = 1 << DAEMON_RUNNING | 1 << DAEMON_CLOSING,
        [DAEMON_RUNNING] = 1 << DAEMON_DRAINING,
        [DAEMON_DRAINING] = 1 << DAEMON_FREEING | 1 << DAEMON_CLOSING,
        [DAEMON_FREEING] = 1 << DAEMON_CLOSING,
        [DAEMON_CLOSING] = 0,
};

static void daemon_move(struct daemon *d, enum daemon_state state)
{
        assert(daemon_moves[d->state] & 1u << state);
        d->state = state;
}

static void daemon_on_connection(void *userdata, int fd)
{
        peer_open(userdata, fd);
}

static void daemon_on_wakeup(void *userdata)
{
        pump_post(userdata, &(struct event){ .kind = EVENT_TICK });
}

/* Every handle but those of clients, which close by themselves once their last bytes are written. */
static void daemon_close(struct daemon *d)
{
        d->closed = true;
        nodes_close(d);
        d->wakeup = wakeup_close(d->wakeup);
        d->signals = signals_close(d->signals);
        d->listener = listener_close(d->listener);
        d->scrape = scrape_close(d->scrape);
        service_close(d);
        busy_poll_close(&d->busy_poll);
        uv_close((uv_handle_t *)&d->flush, NULL);
        uv_close((uv_handle_t *)&d->patience, NULL);
}

static void daemon_flush_cb(uv_prepare_t *prepare)
{
        struct daemon *d = prepare->data;
        bool worked;

        pump_flush(d);
        worked = metrics_on_turn(d);
        busy_poll_on_turn(&d->busy_poll, worked, clock_now_ns());
        if (d->state == DAEMON_CLOSING && d->peers.n == 0 && !d->closed)
                daemon_close(d);
}

void daemon_on_drained(struct daemon *d)
{
        if (d->state == DAEMON_CLOSING)
                return;
        daemon_move(d, DAEMON_CLOSING);
        log_info("drained: %zu sessions to close", d->peers.n);
        uv_timer_stop(&d->patience);
        peer_end_all(d);
}

/* Patience is over: who still holds something loses its connection, and by that its locks. */
static void daemon_free_all(struct daemon *d)
{
        daemon_move(d, DAEMON_FREEING);
        log_info("stopping: freeing everything");
        uv_timer_stop(&d->patience);
        pump_together(d, peer_end_all);
}

static void daemon_patience_cb(uv_timer_t *timer)
{
        daemon_free_all(timer->data);
}

static void daemon_drain(struct daemon *d)
{
        struct event event = { .kind = EVENT_DRAIN };

        daemon_move(d, DAEMON_DRAINING);
        log_info("stopping: no new locks; what is held may be used for %llu ms",
                 (unsigned long long)d->config->stop.grace_ms);
        d->listener = listener_close(d->listener);
        uv_timer_start(&d->patience, daemon_patience_cb, d->config->stop.grace_ms, 0);
        pump_post(d, &event);
        service_stopping(d);
}

static void daemon_on_signal(void *userdata, int signum)
{
        struct daemon *d = userdata;

        if (signum == SIGHUP)
                reload_run(d, "SIGHUP", NULL);
        else if (d->state == DAEMON_RUNNING)
                daemon_drain(d);
        else if (d->state == DAEMON_DRAINING)
                daemon_free_all(d);
}

static void daemon_prepare_rules(struct daemon *d)
{
        const struct config *c = d->config;
        const struct reply_limit limits[] = {
                { "maxSessions", c->limits.sessions_max },
                { "maxSessionsPerUid", c->limits.sessions_per_uid_max },
                { "maxRequestBytes", c->limits.request_bytes_max },
                { "maxOutputBytes", c->limits.output_bytes_max },
                { "maxInFlight", c->limits.in_flight_max },
                { "maxKeysPerRequest", c->limits.keys_per_request_max },
                { "maxKeyBytes", c->limits.key_bytes_max },
                { "maxLocksPerSession", c->limits.locks_per_session_max },
                { "maxWaitersPerKey", c->limits.waiters_per_key_max },
                { "maxLocks", c->limits.locks_max },
                { "minTtl", c->lock.ttl_min_ms },
                { "maxTtl", c->lock.ttl_max_ms },
                { "stopGrace", c->stop.grace_ms },
                { "ttl", c->lock.ttl_ms },
                { NULL, 0 },
        };

        _Static_assert(sizeof(limits) == sizeof(d->limits), "DAEMON_LIMITS_N");
        memcpy(d->limits, limits, sizeof(limits));
        d->rules = (struct request_rules){
                .ttl_ms = c->lock.ttl_ms,
                .ttl_min_ms = c->lock.ttl_min_ms,
                .ttl_max_ms = c->lock.ttl_max_ms,
                .retry_count = c->lock.retry_count,
                .retry_delay_ms = c->lock.retry_delay_ms,
                .retry_jitter_ms = c->lock.retry_jitter_ms,
                .keys_max = c->limits.keys_per_request_max,
                .key_bytes_max = c->limits.key_bytes_max,
                .key_prefix = c->lock.key_prefix,
        };
}

void daemon_apply_settings(struct daemon *d)
{
        enum log_level level;

        if (log_level_parse(d->options.level ? d->options.level : d->config->log.level, &level))
                log_set_level(level);
        access_check(d->config);
        daemon_prepare_rules(d);
}

static void daemon_prepare_context(struct daemon *d)
{
        d->context = (struct reply_context){
                .engine = d->engine,
                .nodes = d->nodes.shown,
                .version = REDLOCKD_VERSION,
                .pid = getpid(),
                .started_ns = clock_now_ns(),
                .scope = nodes_local(d) ? "host" : "network",
                .restart_quarantine = d->config->redis.restart_quarantine,
                .limits = d->limits,
        };
}

static void daemon_high_cb(uv_poll_t *poll, int status, int events)
{
}

/*
 * Each client costs a descriptor, two where its process is watched; and the soft limit is 1024 for the sake of
 * select(2), which is not used here.
 */
static uint64_t daemon_raise_files(const struct config *config)
{
        struct rlimit files;
        bool exits = config->release_on == RELEASE_ON_EXIT;
        uint64_t needed = (exits ? 2ull : 1ull) * config->limits.sessions_max + 2ull * NODES_MAX + 32;

        if (getrlimit(RLIMIT_NOFILE, &files) < 0)
                return 0;
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
        if (files.rlim_max < needed)
                log_warn("only %llu descriptors for limits.maxSessions %u%s", (unsigned long long)files.rlim_max,
                         config->limits.sessions_max, exits ? " (two each with releaseOn \"exit\")" : "");
        return files.rlim_max < needed ? files.rlim_max : needed;
}

/*
 * Where libuv has no memory to let its table of descriptors grow it ends the program. The table grows with the highest
 * one: so it grows now, by one that is as high as any will be, and not when clients are there.
 */
static void daemon_grow_table(struct daemon *d, uint64_t files_n)
{
        int low, high;

        low = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        high = low < 0 ? -1 : fcntl(low, F_DUPFD_CLOEXEC, (int)files_n - 1);
        if (high >= 0 && uv_poll_init(&d->loop, &d->high, high) == 0) {
                uv_poll_start(&d->high, UV_READABLE, daemon_high_cb);
                uv_close((uv_handle_t *)&d->high, NULL);
        }
        if (high >= 0)
                close(high);
        if (low >= 0)
                close(low);
}

/* Else every single client would be refused later. */
static int daemon_check_kernel(const struct config *config)
{
        int r = config->release_on == RELEASE_ON_EXIT ? process_supported() : 0;

        if (r < 0)
                log_error("cannot start: releaseOn \"exit\": %s", process_error(r));
        return r;
}

static int daemon_start_engine(struct daemon *d)
{
        struct engine_options options = {
                .nodes_n = d->config->nodes_n,
                .drift_factor = d->config->lock.drift_factor,
                .ttl_max_ms = d->config->lock.ttl_max_ms,
                .locks_max = d->config->limits.locks_per_session_max,
                .locks_all_max = d->config->limits.locks_max,
                .waiters_max = d->config->limits.waiters_per_key_max,
                /* on a host of its own nobody else waits */
                .adrift_max = ENGINE_ADRIFT_MAX,
                .tenure_ms =
                        d->config->nodes[0].address.kind == ADDRESS_MEMORY ? UINT64_MAX : d->config->lock.tenure_ms,
                .random = entropy_fill,
                .random_userdata = &d->entropy,
        };
        int r;

        r = engine_new(&d->engine, &options);
        if (r >= 0)
                r = nodes_init(d);
        if (r < 0)
                log_error("cannot start: %s", strerror(-r));
        return r;
}

static int daemon_on_scrape(void *userdata, struct buffer *out)
{
        return metrics_print(userdata, out);
}

int daemon_listen_for_scrapes(struct daemon *d, const struct config *config, struct scrape **ret_scrape,
                              char ret_error[static SCRAPE_ERROR_MAX])
{
        struct scrape_options options = { .loop = &d->loop,
                                          .fd = d->service.activation.metrics,
                                          .address = config->metrics.listen,
                                          .userdata = d,
                                          .on_scrape = daemon_on_scrape };

        *ret_scrape = NULL;
        if (options.fd < 0 && !options.address)
                return 0;
        d->scrape_was_handed_over |= options.fd >= 0;
        d->service.activation.metrics = -1;
        return scrape_new(ret_scrape, &options, ret_error);
}

/* Descriptors that clients may not take: nodes connect anew, two for each; a reload reads files; scrapers come. */
static unsigned daemon_files_kept(const struct daemon *d)
{
        unsigned wanted = 2 * d->config->nodes_n + DAEMON_FILES_KEPT;
        struct rlimit files;

        if (getrlimit(RLIMIT_NOFILE, &files) < 0)
                return 0;
        return files.rlim_cur / 4 < wanted ? (unsigned)files.rlim_cur / 4 : wanted;
}

static int daemon_start_loop(struct daemon *d)
{
        struct listener_options options = {
                .loop = &d->loop,
                .fd = d->service.activation.clients,
                .path = d->options.socket,
                .mode = d->config->listen.mode,
                .group = d->config->listen.group,
                .keep = daemon_files_kept(d),
                .userdata = d,
                .on_connection = daemon_on_connection,
        };
        char error[SCRAPE_ERROR_MAX];
        int r;

        r = wakeup_new(&d->wakeup, &d->loop, daemon_on_wakeup, d);
        if (r >= 0)
                r = signals_new(&d->signals, &d->loop, daemon_on_signal, d);
        if (r < 0) {
                log_error("cannot start: %s", strerror(-r));
                return r;
        }
        d->service.activation.clients = -1; /* the listener's from now on */
        r = listener_new(&d->listener, &options, error);
        if (r >= 0)
                r = daemon_listen_for_scrapes(d, d->config, &d->scrape, error);
        if (r < 0)
                log_error("%s", error);
        return r;
}

/* Where clients connect, and what their locks are worth. */
static void daemon_say_hello(const struct daemon *d, bool activated)
{
        const char *from = activated ? "handed over by the service manager" : d->options.socket;

        if (nodes_local(d))
                log_info("redlockd " REDLOCKD_VERSION ": scope host (memory: locks between the processes of this host "
                         "only), socket %s",
                         from);
        else
                log_info("redlockd " REDLOCKD_VERSION ": scope network, %u nodes, quorum %u, socket %s", d->nodes.n,
                         d->nodes.n / 2 + 1, from);
        if (!nodes_local(d) && !d->config->redis.restart_quarantine)
                log_warn(
                        "redis.restartQuarantine is false: a node that restarts empty or is flushed votes at once, and "
                        "two clients may hold one lock");
}

static int daemon_start(struct daemon *d)
{
        bool activated;
        int r;

        daemon_grow_table(d, daemon_raise_files(d->config));
        r = service_init(d);
        activated = d->service.activation.clients >= 0;
        if (r >= 0)
                r = daemon_check_kernel(d->config);
        if (r >= 0)
                r = daemon_start_engine(d);
        if (r >= 0)
                r = daemon_start_loop(d);
        if (r < 0)
                return r;
        daemon_apply_settings(d);
        daemon_prepare_context(d);
        daemon_move(d, DAEMON_RUNNING);
        daemon_say_hello(d, activated);
        nodes_start(d);
        service_ready(d);
        return 0;
}

static int daemon_init(struct daemon *d)
{
        struct hash_seed seed;
        int r;

        TAILQ_INIT(&d->unflushed);
        entropy_fill(&d->entropy, &seed, sizeof(seed));
        r = inflight_init(&d->inflight, seed);
        if (r < 0)
                return r;
        r = map_init(&d->peers);
        if (r < 0)
                goto fail_inflight;
        r = map_init(&d->users);
        if (r < 0)
                goto fail_peers;
        r = uv_loop_init(&d->loop);
        if (r < 0)
                goto fail_users;
        metrics_init(&d->metrics);
        busy_poll_init(&d->busy_poll, &d->loop);
        uv_prepare_init(&d->loop, &d->flush);
        uv_timer_init(&d->loop, &d->patience);
        uv_timer_init(&d->loop, &d->nodes.settle);
        d->flush.data = d->patience.data = d->nodes.settle.data = d;
        uv_prepare_start(&d->flush, daemon_flush_cb);
        return 0;
fail_users:
        map_deinit(&d->users);
fail_peers:
        map_deinit(&d->peers);
fail_inflight:
        inflight_deinit(&d->inflight);
        return r;
}

static void daemon_deinit(struct daemon *d)
{
        int r = uv_loop_close(&d->loop);

        assert(r == 0);
        d->engine = engine_free(d->engine);
        nodes_deinit(d);
        map_deinit(&d->peers);
        map_deinit(&d->users);
        inflight_deinit(&d->inflight);
        config_deinit(&d->settings);
}

int daemon_run(struct config *config, const struct daemon_options *options)
{
        struct daemon *d = mem_zalloc(sizeof(*d));
        int r = -ENOMEM;

        if (d) {
                d->options = *options;
                d->settings = *config;
                d->config = &d->settings;
                *config = (struct config){ 0 };
                r = daemon_init(d);
        }
        if (r < 0) {
                log_error("cannot start: %s", strerror(-r));
                if (d)
                        config_deinit(&d->settings);
                mem_free(d);
                return r;
        }
        r = daemon_start(d);
        if (r < 0) {
                daemon_move(d, DAEMON_CLOSING);
                daemon_close(d);
        }
        uv_run(&d->loop, UV_RUN_DEFAULT);
        daemon_deinit(d);
        mem_free(d);
        if (r >= 0)
                log_info("stopped");
        return r;
}
