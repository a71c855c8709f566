/*
 * One client's connection: the engine's session, as seen from the wire.
 *
 *      bytes -> line -> struct wire_request -> EVENT_REQUEST      (an error found on the way is answered here)
 *      struct reply -> line -> bytes
 *
 *      OPEN -> GONE -> (closed)
 *
 * GONE: nothing is read any more and the engine knows; it cancels and frees, and its last word for the session is
 * EFFECT_CLOSE. Until then the peer stays, since replies that are due are still printed.
 */
#include "redlockd/daemon/peer.h"

#include "redlockd/base/mem.h"
#include "redlockd/daemon/access.h"
#include "redlockd/daemon/admin.h"
#include "redlockd/daemon/inflight.h"
#include "redlockd/daemon/outlet.h"
#include "redlockd/daemon/pump.h"
#include "redlockd/daemon/reload.h"
#include "redlockd/daemon/users.h"
#include "redlockd/net/client.h"
#include "redlockd/net/clock.h"
#include "redlockd/net/log.h"
#include "redlockd/net/process.h"
#include "redlockd/wire/line.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define PEER_TURN_NS 1000000 /* how long one client's lines are worked on before the others have their turn */

struct peer {
        struct daemon *daemon;
        struct map_link link;
        uint64_t number;
        struct client *client;
        struct outlet out; /* of `client` */
        struct user *user;
        struct process *process; /* releaseOn "exit"; else NULL */
        struct line_reader lines;
        uint64_t inflight_n;
        unsigned entered_n; /* callbacks of the client that are under way: they free it when they leave */
        bool gone;
        bool closed;    /* freed, once no callback is under way and its output is done */
        bool unflushed; /* is in daemon->unflushed */
        TAILQ_ENTRY(peer) unflushed_link;
};

static uint64_t peer_hash(const struct daemon *d, uint64_t number)
{
        return hash_u64(&d->inflight.seed, number, 1);
}

struct peer *peer_find(const struct daemon *d, uint64_t number)
{
        struct map_link *link;
        struct peer *p;

        for (link = map_first(&d->peers, peer_hash(d, number)); link; link = map_next(link)) {
                p = container_of(link, struct peer, link);
                if (p->number == number)
                        return p;
        }
        return NULL;
}

/* What a client sends can end its own session, and with that the object under the feet of who called. */
static void peer_enter(struct peer *p)
{
        ++p->entered_n;
}

static void peer_leave(struct peer *p)
{
        if (--p->entered_n == 0 && p->closed && !p->out.busy)
                mem_free(p);
}

/* After something was printed, or could not be: r is what the printing returned. */
static void peer_printed(struct peer *p, int r)
{
        if (r < 0) {
                peer_end(p, strerror(-r));
        } else if (!p->unflushed) {
                p->unflushed = true;
                TAILQ_INSERT_TAIL(&p->daemon->unflushed, p, unflushed_link);
        }
}

static void peer_error(struct peer *p, const char *id, const struct wire_error *error)
{
        enum error_name name = error->name;

        ++p->daemon->metrics.refused[name];
        if (name == ERROR_PARSE || name == ERROR_INVALID_REQUEST || name == ERROR_TOO_LARGE)
                ++p->daemon->context.malformed;
        peer_printed(p, reply_print_error(outlet_lines(&p->out), id, error));
}

/* The answer to a request of its own. */
static void peer_print(struct peer *p, const char *id, const struct reply *reply)
{
        if (listing_is_for(reply))
                peer_printed(p, outlet_list(&p->out, id, reply));
        else
                peer_printed(p, outlet_reply(&p->out, id, reply));
}

void peer_reply(struct peer *p, const struct reply *reply)
{
        struct inflight_request *request = inflight_find(&p->daemon->inflight, reply->request);

        assert(request && request->session == p->number);
        p->daemon->context.release_on = p->process ? RELEASE_ON_EXIT : RELEASE_ON_DISCONNECT;
        metrics_on_reply(p->daemon, reply, request->posted_ns);
        if (reply->method == METHOD_NODES || reply->method == METHOD_CERTIFY)
                nodes_show(p->daemon);
        if (!request->notification)
                peer_print(p, request->id, reply);
        inflight_free(&p->daemon->inflight, request);
        --p->inflight_n;
}

void peer_notice(struct peer *p, const struct notice *notice)
{
        const struct reply_context *context = pump_context(p->daemon, clock_now_ns());

        peer_printed(p, reply_print_notice(outlet_lines(&p->out), context, notice));
}

/*
 * What only the daemon can know to be wrong with a request. The limit is for those that may stay open (add, extend,
 * free, reset, why): who has as many as it may must still be able to cancel one.
 */
static bool peer_admits(struct peer *p, const struct wire_request *parsed, struct wire_error *ret_error)
{
        uint32_t inflight_max = p->daemon->config->limits.in_flight_max;

        if (!parsed->notification && inflight_find_id(&p->daemon->inflight, p->number, parsed->id)) {
                *ret_error = (struct wire_error){ .name = ERROR_INVALID_REQUEST };
                snprintf(ret_error->message, sizeof(ret_error->message), "A request with this id is not answered yet.");
                return false;
        }
        if ((parsed->request.method <= METHOD_RESET || parsed->request.method == METHOD_WHY) &&
            p->inflight_n >= inflight_max) {
                *ret_error = (struct wire_error){ .name = ERROR_LIMIT, .what = "maxInFlight", .limit = inflight_max };
                snprintf(ret_error->message, sizeof(ret_error->message),
                         "More than %u requests that are not answered yet.", inflight_max);
                return false;
        }
        if (!access_admits(p->daemon->config, p->client, &parsed->request, ret_error))
                return false;
        if (!admin_admits(p->daemon, p->client, p->number, &parsed->request, ret_error))
                return false;
        if (parsed->request.method == METHOD_CERTIFY && nodes_find(p->daemon, parsed->node_name) < 0) {
                *ret_error = (struct wire_error){ .name = ERROR_INVALID_PARAMS, .path = "node" };
                snprintf(ret_error->message, sizeof(ret_error->message), "There is no node of this name.");
                return false;
        }
        return true;
}

static void peer_on_exit(void *userdata)
{
        struct peer *p = userdata;
        char reason[64];

        snprintf(reason, sizeof(reason), "process %d has ended", (int)client_peer(p->client).pid);
        peer_enter(p);
        peer_end(p, reason);
        peer_leave(p);
}

/*
 * From now on the end of its process ends the session, or only that of the connection does. False: it cannot, nothing
 * has changed, and the error says why. A client that asks for it relies on it: served without, it would find out when
 * its locks stay behind.
 */
static bool peer_release_on(struct peer *p, enum release_on on, struct wire_error *ret_error)
{
        struct rlimit files;
        int r;

        if (on == RELEASE_ON_DISCONNECT)
                p->process = process_close(p->process);
        if (on != RELEASE_ON_EXIT || p->process)
                return true;
        r = process_new(&p->process, &p->daemon->loop, client_fd(p->client), peer_on_exit, p);
        if (r >= 0)
                return true;
        if (r == -ENOSYS)
                *ret_error = (struct wire_error){ .name = ERROR_INVALID_PARAMS, .path = "releaseOn" };
        else if (r == -EMFILE && getrlimit(RLIMIT_NOFILE, &files) == 0)
                *ret_error = (struct wire_error){ .name = ERROR_LIMIT, .what = "descriptors", .limit = files.rlim_cur };
        else
                *ret_error = (struct wire_error){ .name = ERROR_INTERNAL };
        snprintf(ret_error->message, sizeof(ret_error->message), "releaseOn \"exit\": %s", process_error(r));
        log_warn("process %d is not watched: %s", (int)client_peer(p->client).pid, ret_error->message);
        return false;
}

static void peer_post(struct peer *p, struct wire_request *parsed)
{
        struct daemon *d = p->daemon;
        struct inflight_request *cancelled, *request;
        struct event event = { .kind = EVENT_REQUEST };
        int r;

        event.request = parsed->request;
        event.request.session = p->number;
        event.request.id = d->last_request + 1;
        event.request.cancel_id = 0;
        if (parsed->request.method == METHOD_CERTIFY)
                event.request.node = (unsigned)nodes_find(d, parsed->node_name);
        cancelled = parsed->cancel_id ? inflight_find_id(&d->inflight, p->number, parsed->cancel_id) : NULL;
        if (cancelled)
                event.request.cancel_id = cancelled->number;

        r = inflight_new(&d->inflight, event.request.id, p->number, parsed->id, parsed->notification, &request);
        if (r < 0) {
                peer_end(p, strerror(-r));
                return;
        }
        request->posted_ns = clock_now_ns();
        ++d->last_request;
        ++p->inflight_n;
        pump_post(d, &event);
}

static void peer_answer(struct peer *p, const struct wire_request *parsed, const struct reply *reply)
{
        metrics_on_reply(p->daemon, reply, clock_now_ns());
        if (!parsed->notification)
                peer_print(p, parsed->id, reply);
}

static void peer_reload(struct peer *p, const struct wire_request *parsed)
{
        const struct reply done = { .session = p->number, .method = METHOD_RELOAD };
        struct buffer errors = BUFFER_INIT(RELOAD_ERRORS_MAX);
        struct wire_error error;

        if (reload_for(p->daemon, p->client, &errors, &error) >= 0)
                peer_answer(p, parsed, &done);
        else if (!parsed->notification)
                peer_error(p, parsed->id, &error);
        buffer_deinit(&errors);
}

static void peer_metrics(struct peer *p, const struct wire_request *parsed)
{
        const struct reply done = { .session = p->number, .method = METHOD_METRICS };
        struct buffer text = BUFFER_INIT(METRICS_TEXT_MAX);

        if (metrics_print(p->daemon, &text) < 0) {
                peer_end(p, strerror(ENOMEM));
        } else {
                p->daemon->context.metrics = (struct text){ buffer_data(&text), buffer_len(&text) };
                peer_answer(p, parsed, &done);
                p->daemon->context.metrics = (struct text){ NULL, 0 };
        }
        buffer_deinit(&text);
}

/* What the engine has no part in. */
static bool peer_carries_out(struct peer *p, const struct wire_request *parsed)
{
        switch (parsed->request.method) {
        case METHOD_METRICS:
                peer_metrics(p, parsed);
                return true;
        case METHOD_RELOAD:
                peer_reload(p, parsed);
                return true;
        default:
                return false;
        }
}

static void peer_line(struct peer *p, struct text line)
{
        struct wire_request parsed;
        struct wire_error error;
        int r;

        r = wire_request_parse(line, &p->daemon->rules, &parsed);
        if (r < 0) {
                peer_end(p, strerror(-r));
                return;
        }
        error = parsed.error;
        if (error.name == ERROR_NONE && peer_admits(p, &parsed, &error) &&
            peer_release_on(p, parsed.release_on, &error)) {
                if (!peer_carries_out(p, &parsed))
                        peer_post(p, &parsed);
        } else if (!parsed.notification)
                peer_error(p, parsed.id, &error);
        wire_request_deinit(&parsed);
}

static void peer_too_large(struct peer *p)
{
        uint32_t max = p->daemon->config->limits.request_bytes_max;
        struct wire_error error = { .name = ERROR_TOO_LARGE, .what = "maxRequestBytes", .limit = max };

        snprintf(error.message, sizeof(error.message), "A line of more than %u bytes.", max);
        peer_error(p, "null", &error);
}

static void peer_on_bytes(void *userdata, struct text *bytes)
{
        uint64_t now_ns = clock_now_ns(), end_ns = now_ns + PEER_TURN_NS;
        struct peer *p = userdata;
        struct text line;
        int r;

        metrics_on_work(p->daemon, now_ns);
        peer_enter(p);
        /* What a client asks for may be much longer than the question: no more of them than it reads answers. */
        while (!p->gone && !p->out.busy && !client_full(p->client)) {
                r = line_next(&p->lines, bytes, &line);
                if (r == LINE_NONE)
                        break;
                if (r == LINE_COMPLETE)
                        peer_line(p, line);
                else if (r == LINE_TOO_LARGE)
                        peer_too_large(p);
                else
                        peer_end(p, strerror(-r));
                if (clock_now_ns() >= end_ns)
                        break;
        }
        peer_leave(p);
}

static bool peer_on_room(void *userdata)
{
        struct peer *p = userdata;
        bool more;
        int r;

        metrics_on_work(p->daemon, clock_now_ns());
        peer_enter(p);
        r = outlet_go_on(&p->out);
        more = r > 0;
        if (r < 0)
                peer_end(p, strerror(-r));
        peer_leave(p);
        return more;
}

static void peer_on_end(void *userdata, const char *reason)
{
        struct peer *p = userdata;
        struct wire_error error = { .name = ERROR_PARSE, .message = "unfinished line" };

        peer_enter(p);
        if (p->closed) {
                outlet_stop(&p->out); /* it did not read on */
                peer_leave(p);
                return;
        }
        if (!reason && line_unfinished(&p->lines)) {
                peer_error(p, "null", &error);
                reason = "it ended within a line";
        }
        peer_end(p, reason);
        peer_leave(p);
}

/* One line that says why, then the connection is closed. */
static void peer_refuse(struct peer *p, const struct wire_error *error)
{
        log_debug("refused a client of process %d: %s", (int)client_peer(p->client).pid, error->message);
        if (reply_print_error(client_output(p->client), "null", error) < 0)
                log_warn("refused a client without a word: no memory");
        users_leave(p->daemon, p->user);
        client_finish(p->client);
        mem_free(p);
}

static bool peer_takes_place(struct peer *p, struct wire_error *ret_error)
{
        const struct config *c = p->daemon->config;
        bool full = p->daemon->peers.n >= c->limits.sessions_max;
        int r = full ? -EUSERS : users_enter(p->daemon, client_peer(p->client).uid, &p->user);

        if (r >= 0)
                return true;
        *ret_error = (struct wire_error){ .name = ERROR_INTERNAL, .message = "No memory." };
        if (r == -ENOMEM)
                return false;
        ret_error->name = ERROR_LIMIT;
        ret_error->what = full ? "maxSessions" : "maxSessionsPerUid";
        ret_error->limit = full ? c->limits.sessions_max : c->limits.sessions_per_uid_max;
        snprintf(ret_error->message, sizeof(ret_error->message), "More than %u sessions%s.", (unsigned)ret_error->limit,
                 full ? "" : " of one user");
        return false;
}

static void peer_start(struct peer *p)
{
        struct client_peer peer = client_peer(p->client);
        struct event event = { .kind = EVENT_SESSION_OPENED };

        log_write(LOG_LEVEL_DEBUG, &(struct log_about){ .event = "session", .session = p->number },
                  "opened by process %d of user %u", (int)peer.pid, (unsigned)peer.uid);
        event.opened.session = p->number;
        event.opened.pid = peer.pid;
        event.opened.uid = peer.uid;
        event.opened.gid = peer.gid;
        peer_enter(p);
        pump_post(p->daemon, &event);
        if (!p->closed)
                client_start(p->client);
        peer_leave(p);
}

void peer_open(struct daemon *d, int fd)
{
        struct client_options options = {
                .loop = &d->loop,
                .output_max = d->config->limits.output_bytes_max,
                .on_bytes = peer_on_bytes,
                .on_room = peer_on_room,
                .on_end = peer_on_end,
        };
        struct wire_error error;
        struct peer *p;
        int r;

        p = mem_zalloc(sizeof(*p));
        if (!p) {
                log_warn("client not taken: %s", strerror(ENOMEM));
                close(fd);
                return;
        }
        options.userdata = p;
        r = client_new(&p->client, fd, &options);
        if (r < 0) {
                log_warn("client not taken: %s", strerror(-r));
                mem_free(p);
                return;
        }
        p->daemon = d;
        outlet_init(&p->out, d, p->client);
        if (!peer_takes_place(p, &error) || !peer_release_on(p, d->config->release_on, &error)) {
                peer_refuse(p, &error);
                return;
        }
        p->number = ++d->last_session;
        line_init(&p->lines, d->config->limits.request_bytes_max);
        map_link(&d->peers, &p->link, peer_hash(d, p->number));
        peer_start(p);
}

void peer_flush(struct peer *p)
{
        if (p->unflushed)
                TAILQ_REMOVE(&p->daemon->unflushed, p, unflushed_link);
        p->unflushed = false;
        client_flush(p->client);
}

void peer_end(struct peer *p, const char *reason)
{
        struct event event = { .kind = EVENT_SESSION_GONE };

        if (p->gone)
                return;
        p->gone = true;
        if (!reason || log_rate_admits(&p->daemon->closed_rate, "sessions ended with a reason"))
                log_write(reason ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG,
                          &(struct log_about){ .event = "session", .session = p->number }, "closed%s%s",
                          reason ? ": " : "", reason ? reason : "");
        client_stop(p->client);
        event.gone.session = p->number;
        pump_post(p->daemon, &event);
}

struct peer *peer_close(struct peer *p)
{
        if (!p)
                return NULL;
        assert(p->inflight_n == 0);
        p->gone = p->closed = true;
        if (p->unflushed)
                TAILQ_REMOVE(&p->daemon->unflushed, p, unflushed_link);
        p->process = process_close(p->process);
        map_unlink(&p->daemon->peers, &p->link);
        users_leave(p->daemon, p->user);
        line_deinit(&p->lines);
        peer_enter(p);
        client_finish(p->client);
        peer_leave(p);
        return NULL;
}

void peer_end_all(struct daemon *d)
{
        struct map_link *link;

        assert(d->popping); /* else sessions would leave the map while we walk it */
        for (link = map_any(&d->peers); link; link = map_after(&d->peers, link))
                peer_end(container_of(link, struct peer, link), NULL);
}
