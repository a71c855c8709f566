/*
 * What the broker counts of itself, as text: one function for each family of metrics, in the order in which they are
 * shown. The names are a contract (redlockd(8)); counters end in _total, durations are in seconds.
 */
#include "redlockd/daemon/metrics.h"

#include "redlockd/core/inspect.h"
#include "redlockd/daemon/daemon.h"
#include "redlockd/net/clock.h"
#include "redlockd/wire/reply.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define METRICS_LINE_MAX 512 /* bytes; names of nodes are 64 at most, escaped 128 */
#define NS_PER_S         1000000000
#define US_PER_S         1000000
#define MS_PER_S         1000

/* The text on its way; the first failure stays. */
struct page {
        struct daemon *d;
        struct buffer *out;
        struct inspect_status status;
        int r;
};

__attribute__((format(printf, 2, 3))) static void page_put(struct page *p, const char *format, ...)
{
        char line[METRICS_LINE_MAX];
        va_list args;
        int n;

        va_start(args, format);
        n = vsnprintf(line, sizeof(line), format, args);
        va_end(args);
        if (p->r == 0)
                p->r = n < (int)sizeof(line) ? buffer_append(p->out, line, (size_t)n) : -ENOBUFS;
}

static void page_head(struct page *p, const char *name, const char *type, const char *help)
{
        page_put(p, "# HELP redlockd_%s %s\n# TYPE redlockd_%s %s\n", name, help, name, type);
}

static void page_number(struct page *p, const char *name, const char *type, const char *help, uint64_t value)
{
        page_head(p, name, type, help);
        page_put(p, "redlockd_%s %" PRIu64 "\n", name, value);
}

static void page_seconds(struct page *p, const char *name, const char *type, const char *help, uint64_t ns)
{
        page_head(p, name, type, help);
        page_put(p, "redlockd_%s %" PRIu64 ".%09" PRIu64 "\n", name, ns / NS_PER_S, ns % NS_PER_S);
}

/* `labels` is empty, or ends in a comma. */
static void page_buckets(struct page *p, const char *name, const char *labels, const struct histogram *h)
{
        uint64_t below = 0;
        unsigned i;

        for (i = 0; i < h->bounds_n; ++i) {
                below += h->counts[i];
                page_put(p, "redlockd_%s_bucket{%sle=\"%g\"} %" PRIu64 "\n", name, labels,
                         (double)h->bounds_us[i] / US_PER_S, below);
        }
        page_put(p, "redlockd_%s_bucket{%sle=\"+Inf\"} %" PRIu64 "\n", name, labels, h->count);
        page_put(p, "redlockd_%s_sum%s%.*s%s %" PRIu64 ".%06" PRIu64 "\n", name, *labels ? "{" : "",
                 *labels ? (int)strlen(labels) - 1 : 0, labels, *labels ? "}" : "", h->sum_us / US_PER_S,
                 h->sum_us % US_PER_S);
        page_put(p, "redlockd_%s_count%s%.*s%s %" PRIu64 "\n", name, *labels ? "{" : "",
                 *labels ? (int)strlen(labels) - 1 : 0, labels, *labels ? "}" : "", h->count);
}

static void page_histogram(struct page *p, const char *name, const char *help, const struct histogram *h)
{
        page_head(p, name, "histogram", help);
        page_buckets(p, name, "", h);
}

/* node="name", and a comma: the name comes from the configuration, and is escaped all the same. */
static const char *page_label(const struct page *p, unsigned node, char *ret_label, size_t size)
{
        const char *name = p->d->nodes.shown[node].name;
        size_t len = (size_t)snprintf(ret_label, size, "node=\"");

        for (; *name && len + 6 < size; ++name) {
                if (*name == '"' || *name == '\\')
                        ret_label[len++] = '\\';
                ret_label[len++] = *name;
        }
        snprintf(ret_label + len, size - len, "\",");
        return ret_label;
}

static bool page_has(const struct page *p, unsigned node)
{
        return p->status.members & UINT32_C(1) << node;
}

static void print_broker(struct page *p)
{
        const struct reply_context *c = &p->d->context;
        uint64_t start_ms = p->d->metrics.started_unix_ms;

        page_head(p, "build_info", "gauge", "Always 1; what is running.");
        page_put(p, "redlockd_build_info{version=\"%s\",scope=\"%s\"} 1\n", c->version, c->scope);
        page_head(p, "start_time_seconds", "gauge", "When it started, Unix time.");
        page_put(p, "redlockd_start_time_seconds %" PRIu64 ".%03" PRIu64 "\n", start_ms / MS_PER_S,
                 start_ms % MS_PER_S);
        page_number(p, "draining", "gauge", "1 while it is stopping: no new locks.", p->status.draining);
        page_head(p, "reloads_total", "counter", "Times the configuration was read again.");
        page_put(p, "redlockd_reloads_total{result=\"done\"} %" PRIu64 "\n", p->d->metrics.reloads[1]);
        page_put(p, "redlockd_reloads_total{result=\"failed\"} %" PRIu64 "\n", p->d->metrics.reloads[0]);
}

static void print_nodes(struct page *p)
{
        struct inspect_node seen;
        char label[METRICS_LINE_MAX / 2];
        unsigned i;

        page_number(p, "nodes", "gauge", "Configured nodes.", p->status.nodes_n);
        page_number(p, "nodes_up", "gauge", "Nodes that are up.", p->status.nodes_up_n);
        page_number(p, "quorum", "gauge", "Nodes that have to agree.", p->status.quorum);
        page_number(p, "quorum_ok", "gauge", "1 while enough nodes are up.", p->status.nodes_up_n >= p->status.quorum);
        page_head(p, "node_up", "gauge", "1 while the node is up.");
        for (i = 0; i < p->d->nodes.n; ++i) {
                if (!page_has(p, i))
                        continue;
                inspect_node(p->d->engine, i, &seen);
                page_label(p, i, label, sizeof(label));
                label[strlen(label) - 1] = '\0';
                page_put(p, "redlockd_node_up{%s} %d\n", label, seen.state == NODE_UP);
        }
        page_head(p, "node_errors_total", "counter", "Error answers of the node.");
        for (i = 0; i < p->d->nodes.n; ++i) {
                if (!page_has(p, i))
                        continue;
                inspect_node(p->d->engine, i, &seen);
                page_label(p, i, label, sizeof(label));
                label[strlen(label) - 1] = '\0';
                page_put(p, "redlockd_node_errors_total{%s} %" PRIu64 "\n", label, seen.errors);
        }
        page_head(p, "node_round_trip_seconds", "histogram",
                  "From a call to its answer, which several commands may share.");
        for (i = 0; i < p->d->nodes.n; ++i)
                if (page_has(p, i) && p->d->nodes.all[i].redis)
                        page_buckets(p, "node_round_trip_seconds", page_label(p, i, label, sizeof(label)),
                                     &p->d->nodes.all[i].round_trip);
}

static void print_locks(struct page *p)
{
        const struct inspect_counters *n = &p->status.counters;

        page_number(p, "sessions", "gauge", "Connected clients.", p->status.sessions_n);
        page_number(p, "locks", "gauge", "Locks that are held.", p->status.locks_n);
        page_number(p, "waiters", "gauge", "Requests that wait for a lock.", p->status.waiters_n);
        page_seconds(p, "oldest_wait_seconds", "gauge", "How long the request has waited that waits longest.",
                     inspect_oldest_wait_ns(p->d->engine, clock_now_ns()));
        page_number(p, "locks_granted_total", "counter", "Keys that were acquired.", n->granted);
        page_number(p, "locks_extended_total", "counter", "Keys that were extended.", n->extended);
        page_head(p, "locks_ended_total", "counter", "Locks that ended, by what ended them.");
        page_put(p, "redlockd_locks_ended_total{reason=\"freed\"} %" PRIu64 "\n", n->freed);
        page_put(p, "redlockd_locks_ended_total{reason=\"disconnected\"} %" PRIu64 "\n", n->disconnect_releases);
        page_put(p, "redlockd_locks_ended_total{reason=\"expired\"} %" PRIu64 "\n", n->expired);
        page_number(p, "extensions_lost_total", "counter",
                    "Extensions refused since a majority had lost the lock, and renewals that failed.", n->lost);
        page_number(p, "fence_raises_total", "counter", "Acquires whose fences took a second round trip.", n->raises);
        page_number(p, "plants_total", "counter", "Keys planted again on nodes that had lost them.", n->plants);
        page_number(p, "handovers_total", "counter", "Keys passed from one session of this host to another.",
                    n->handovers);
        page_number(p, "tenures_total", "counter", "Keys given back for other hosts, though a session here waited.",
                    n->tenures);
        page_number(p, "wakeups_total", "counter", "Tries on the announcement of a release by another host.",
                    n->wakeups);
        page_number(p, "deadlocks_total", "counter", "Requests that were refused since they would wait for ever.",
                    n->deadlocks);
        page_histogram(p, "wait_seconds", "From a request for locks to its answer, where they were granted.",
                       &p->d->metrics.wait);
        page_histogram(p, "hold_seconds", "From the grant of a lock to its end.", inspect_holds(p->d->engine));
        page_histogram(p, "validity_seconds", "Validity that was left when a lock was granted or extended.",
                       &p->d->metrics.validity);
}

static void print_requests(struct page *p)
{
        const struct metrics *m = &p->d->metrics;
        unsigned method, error;

        page_head(p, "requests_total", "counter", "Requests that were carried out, by their result.");
        for (method = 0; method < METHODS_N; ++method)
                for (error = 0; error < ERRORS_N; ++error)
                        if (m->answered[method][error] > 0 || error == ERROR_NONE)
                                page_put(p, "redlockd_requests_total{method=\"%s\",result=\"%s\"} %" PRIu64 "\n",
                                         method_name(method), error == ERROR_NONE ? "OK" : error_name(error),
                                         m->answered[method][error]);
        page_head(p, "refused_total", "counter", "Lines that were refused as they came, by the reason.");
        for (error = ERROR_NONE + 1; error < ERRORS_N; ++error)
                if (m->refused[error] > 0 || error == ERROR_PARSE)
                        page_put(p, "redlockd_refused_total{reason=\"%s\"} %" PRIu64 "\n", error_name(error),
                                 m->refused[error]);
        page_histogram(p, "loop_turn_seconds", "How long one turn of the loop kept everything else waiting.", &m->turn);
}

int metrics_print(struct daemon *d, struct buffer *out)
{
        struct page p = { .d = d, .out = out };

        inspect_status(d->engine, &p.status);
        print_broker(&p);
        print_nodes(&p);
        print_locks(&p);
        print_requests(&p);
        return p.r;
}

void metrics_init(struct metrics *m)
{
        *m = (struct metrics){ .wait = HISTOGRAM_INIT(histogram_slow_us),
                               .validity = HISTOGRAM_INIT(histogram_slow_us),
                               .turn = HISTOGRAM_INIT(histogram_fast_us),
                               .started_unix_ms = clock_unix_ms() };
}

void metrics_on_reply(struct daemon *d, const struct reply *reply, uint64_t posted_ns)
{
        bool takes = reply->method == METHOD_ADD || reply->method == METHOD_EXTEND;
        uint64_t now_ns = clock_now_ns();
        size_t i;

        ++d->metrics.answered[reply->method][reply->error];
        if (!takes || reply->error != ERROR_NONE)
                return;
        histogram_observe_ns(&d->metrics.wait, now_ns - posted_ns);
        for (i = 0; i < reply->items_n; ++i)
                if (reply->items[i].outcome != OUTCOME_HELD && reply->items[i].valid_until_ns > now_ns)
                        histogram_observe_ns(&d->metrics.validity, reply->items[i].valid_until_ns - now_ns);
}

void metrics_on_work(struct daemon *d, uint64_t now_ns)
{
        if (d->metrics.turn_begun_ns == 0)
                d->metrics.turn_begun_ns = now_ns;
}

bool metrics_on_turn(struct daemon *d)
{
        struct metrics *m = &d->metrics;

        if (m->turn_begun_ns == 0)
                return false;
        histogram_observe_ns(&m->turn, clock_now_ns() - m->turn_begun_ns);
        m->turn_begun_ns = 0;
        return true;
}
