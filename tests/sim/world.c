/*
 * The network is a list of parcels, commands and answers, each with the time of its arrival. A connection's parcels
 * arrive in the order they were sent. What a hung node is sent waits in its inbox.
 */
#include "sim/world.h"

#include "redlockd/base/mem.h"
#include "redlockd/core/inspect.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/queue.h>

#define NS_PER_US    1000u
#define NS_PER_MS_U  1000000u
#define EPOCH_NS     (1000 * (uint64_t)NS_PER_MS_U)
#define TOKENS_MAX   4096
#define REQUESTS_MAX 4096
#define CALM_MS      200000

struct parcel {
        TAILQ_ENTRY(parcel) entry;
        uint64_t at_ns;
        unsigned host, node;
        bool to_host;
        struct command command; /* to a node: owns its items and their texts */
        struct answer answer;   /* to a host */
};

TAILQ_HEAD(parcel_list, parcel);

struct sim_node {
        struct memory *memory;
        bool hung, down, scripts, refuses;
        uint64_t latency_ns;
        struct parcel_list inbox;
};

struct sim_host {
        struct engine *engine;
        uint64_t awake_ns;
        bool connected[NODES_MAX];
        uint64_t last_in_ns[NODES_MAX], last_out_ns[NODES_MAX];
        uint64_t closed_n;
};

struct world {
        struct world_options options;
        uint64_t now_ns, random, requests_n;
        struct sim_host hosts[WORLD_HOSTS_MAX];
        struct sim_node nodes[NODES_MAX];
        struct parcel_list parcels;
        unsigned sessions_n;
        struct {
                unsigned host;
                bool open;
        } sessions[WORLD_SESSIONS_MAX];
        uint8_t answers[REQUESTS_MAX];
        unsigned tokens_n;
        char tokens[TOKENS_MAX][TOKEN_TEXT_LEN + 1];
        char *trace;
        size_t trace_len;
        FILE *out;
        bool silent;
        struct { /* the line of commands that is being gathered */
                bool open;
                uint64_t round;
                char what[512];
        } line;
};

static bool story_failing; /* allocations are made to fail: traces are not compared */

static void world_random(void *userdata, void *ret_bytes, size_t n)
{
        struct world *w = userdata;
        unsigned char *bytes = ret_bytes;

        while (n-- > 0) {
                uint64_t z = (w->random += UINT64_C(0x9e3779b97f4a7c15));

                z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
                z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
                *bytes++ = (unsigned char)((z ^ (z >> 31)) >> 24);
        }
}

static unsigned world_token(struct world *w, const char *value)
{
        unsigned i;

        for (i = 0; i < w->tokens_n; ++i)
                if (strcmp(w->tokens[i], value) == 0)
                        return i + 1;
        assert(w->tokens_n < TOKENS_MAX);
        strcpy(w->tokens[w->tokens_n++], value);
        return w->tokens_n;
}

static void world_end_line(struct world *w)
{
        if (w->line.open)
                fprintf(w->out, "%s\n", w->line.what);
        w->line.open = false;
}

#define say(w, ...) (world_end_line(w), say_time(w), fprintf((w)->out, __VA_ARGS__), fputc('\n', (w)->out))

static void say_time(struct world *w)
{
        fprintf(w->out, "%.3f  ", (double)(w->now_ns - EPOCH_NS) / 1e6);
}

/* Commands of one round that go out at once share a line. */
static void say_command(struct world *w, unsigned host, const struct command *c)
{
        char *what = w->line.what;
        unsigned i;
        int n;

        if (!w->line.open || w->line.round != c->round) {
                world_end_line(w);
                say_time(w);
                fprintf(w->out, "h%u >", host + 1);
                n = sprintf(what, " %s", c->kind == COMMAND_TAKE ? "take" : "release");
                for (i = 0; i < c->items_n; ++i)
                        n += sprintf(what + n, " %s%.*s#%u", c->kind == COMMAND_TAKE && i >= c->acquire_n ? "+" : "",
                                     (int)c->items[i].key.len, c->items[i].key.data, world_token(w, c->items[i].value));
                w->line.open = true;
                w->line.round = c->round;
        }
        fprintf(w->out, " n%u", c->node + 1);
}

static void say_reply(struct world *w, const struct reply *r)
{
        static const char *const errors[ERRORS_N] = {
                [ERROR_INTERNAL] = "INTERNAL", [ERROR_LIMIT] = "LIMIT",         [ERROR_STOPPING] = "STOPPING",
                [ERROR_LOCKED] = "LOCKED",     [ERROR_NO_QUORUM] = "NO_QUORUM", [ERROR_NOT_HELD] = "NOT_HELD",
                [ERROR_LOST] = "LOST",         [ERROR_CANCELLED] = "CANCELLED"
        };
        static const char *const outcomes[] = { "",      "held",    "acquired", "extended", "reacquired",
                                                "freed", "pending", "expired",  "missing",  "taken" };
        static const char *const votes[] = { "granted", "held", "error", "lost", "timeout", "down", "pending", "late" };
        size_t i;

        world_end_line(w);
        say_time(w);
        fprintf(w->out, "%c <", (char)('A' + r->session - 1));
        if (r->error)
                fprintf(w->out, " %s", errors[r->error]);
        for (i = 0; i < r->items_n; ++i) {
                const struct reply_item *item = &r->items[i];

                if (r->error && item->outcome != OUTCOME_TAKEN)
                        continue;
                fprintf(w->out, " %.*s", (int)item->key.len, item->key.data);
                if (!r->error && item->value[0])
                        fprintf(w->out, "#%u %s %llu", world_token(w, item->value), outcomes[item->outcome],
                                (unsigned long long)((item->valid_until_ns - w->now_ns) / NS_PER_MS_U));
                else if (!r->error)
                        fprintf(w->out, " %s", outcomes[item->outcome]);
        }
        for (i = 0; r->error == ERROR_NO_QUORUM && i < r->votes_n; ++i)
                fprintf(w->out, " n%zu:%s", i + 1, votes[r->votes[i]]);
        if (r->error == ERROR_LOCKED || r->error == ERROR_NO_QUORUM)
                fprintf(w->out, ", %u attempts, %llu ms", r->attempts, (unsigned long long)r->waited_ms);
        if (r->error == ERROR_LOCKED && r->holder->session)
                fprintf(w->out, ", holder %c", (char)('A' + r->holder->session - 1));
        if (r->method == METHOD_CANCEL)
                fprintf(w->out, " cancelled %s", r->cancelled ? "true" : "false");
        if (r->error == ERROR_LIMIT)
                fprintf(w->out, " %s %llu", r->limit, (unsigned long long)r->limit_value);
        fputc('\n', w->out);
}

static void say_notice(struct world *w, const struct notice *n)
{
        char who = (char)('A' + n->session - 1);
        struct inspect_node node;

        if (n->kind == NOTICE_LOST) {
                say(w, "%c < lost %.*s#%u EXPIRED", who, (int)n->key.len, n->key.data, world_token(w, n->value));
        } else if (n->kind == NOTICE_STOPPING) {
                say(w, "%c < stopping", who);
        } else {
                inspect_node(w->hosts[w->sessions[n->session - 1].host].engine, n->node, &node);
                say(w, "%c < node n%u %s", who, n->node + 1, node.state == NODE_UP ? "up" : "down");
        }
}

/* Commands travel with copies of their texts. */
static void command_copy(struct command *to, const struct command *from)
{
        struct command_item *items = calloc(from->items_n, sizeof(*items));
        unsigned i;

        *to = *from;
        for (i = 0; i < from->items_n; ++i) {
                char *key = malloc(from->items[i].key.len + 1);

                memcpy(key, from->items[i].key.data, from->items[i].key.len);
                items[i].key = (struct text){ key, from->items[i].key.len };
                items[i].value = strdup(from->items[i].value);
        }
        to->items = items;
}

static void parcel_free(struct parcel *p)
{
        unsigned i;

        for (i = 0; i < p->command.items_n; ++i) {
                free((void *)(uintptr_t)p->command.items[i].key.data);
                free((void *)(uintptr_t)p->command.items[i].value);
        }
        free((void *)(uintptr_t)p->command.items);
        free(p);
}

static void world_post(struct world *w, unsigned host, struct event *ev);

static void world_answer(struct world *w, unsigned host, unsigned node, uint64_t round, const struct answer *answer)
{
        struct event ev = { .kind = EVENT_ANSWER, .answer = { .round = round, .node = node, .answer = *answer } };

        world_post(w, host, &ev);
}

static void world_send(struct world *w, unsigned host, const struct command *command)
{
        struct sim_host *h = &w->hosts[host];
        struct sim_node *n = &w->nodes[command->node];
        struct parcel *p;

        if (n->refuses) {
                engine_step(h->engine, &(struct event){ .kind = EVENT_ANSWER,
                                                        .now_ns = w->now_ns,
                                                        .answer = { .round = command->round,
                                                                    .node = command->node,
                                                                    .answer = { .verdict = ANSWER_LOST } } });
                return;
        }
        say_command(w, host, command);
        p = calloc(1, sizeof(*p));
        command_copy(&p->command, command);
        p->host = host;
        p->node = command->node;
        p->at_ns = w->now_ns + n->latency_ns;
        if (p->at_ns < h->last_out_ns[p->node])
                p->at_ns = h->last_out_ns[p->node];
        h->last_out_ns[p->node] = p->at_ns;
        TAILQ_INSERT_TAIL(&w->parcels, p, entry);
}

static void world_effect(struct world *w, unsigned host, const struct effect *fx)
{
        switch (fx->kind) {
        case EFFECT_COMMAND:
                world_send(w, host, &fx->command);
                break;
        case EFFECT_REPLY:
                ck_assert_uint_lt(fx->reply.request, REQUESTS_MAX);
                ck_assert_msg(++w->answers[fx->reply.request] == 1, "request %llu was answered twice",
                              (unsigned long long)fx->reply.request);
                say_reply(w, &fx->reply);
                break;
        case EFFECT_NOTICE:
                say_notice(w, &fx->notice);
                break;
        case EFFECT_CLOSE:
                w->sessions[fx->close.session - 1].open = false;
                say(w, "%c closed", (char)('A' + fx->close.session - 1));
                break;
        case EFFECT_DRAINED:
                say(w, "h%u drained", host + 1);
                break;
        }
}

static void world_post(struct world *w, unsigned host, struct event *ev)
{
        struct effect fx;

        ev->now_ns = w->now_ns;
        engine_step(w->hosts[host].engine, ev);
        while (engine_pop(w->hosts[host].engine, &fx))
                world_effect(w, host, &fx);
}

static void world_execute(struct world *w, struct parcel *p)
{
        struct sim_node *n = &w->nodes[p->node];
        struct sim_host *h = &w->hosts[p->host];
        struct answer answer;

        if (!n->scripts) {
                n->scripts = true;
                answer = (struct answer){ .verdict = ANSWER_AGAIN };
        } else {
                memory_execute(n->memory, &p->command, w->now_ns / NS_PER_MS_U, &answer);
        }
        p->to_host = true;
        p->answer = answer;
        p->at_ns = w->now_ns + n->latency_ns;
        if (p->at_ns < h->last_in_ns[p->node])
                p->at_ns = h->last_in_ns[p->node];
        h->last_in_ns[p->node] = p->at_ns;
        TAILQ_INSERT_TAIL(&w->parcels, p, entry);
}

static void world_deliver(struct world *w, struct parcel *p)
{
        static const char *const verdicts[] = { "granted", "held", "error", "again", "lost" };

        TAILQ_REMOVE(&w->parcels, p, entry);
        if (p->to_host) {
                say(w, "n%u > %s", p->node + 1,
                    p->command.kind == COMMAND_RELEASE ? "released" : verdicts[p->answer.verdict]);
                world_answer(w, p->host, p->node, p->command.round, &p->answer);
                parcel_free(p);
        } else if (w->nodes[p->node].hung) {
                TAILQ_INSERT_TAIL(&w->nodes[p->node].inbox, p, entry);
        } else {
                world_execute(w, p);
        }
}

/* The earliest parcel that may arrive; those for a paused host wait for it. */
static struct parcel *world_next(struct world *w, uint64_t *ret_at_ns)
{
        struct parcel *p, *next = NULL;
        uint64_t at_ns;

        TAILQ_FOREACH (p, &w->parcels, entry) {
                at_ns = p->at_ns;
                if (p->to_host && at_ns < w->hosts[p->host].awake_ns)
                        at_ns = w->hosts[p->host].awake_ns;
                if (!next || at_ns < *ret_at_ns) {
                        next = p;
                        *ret_at_ns = at_ns;
                }
        }
        return next;
}

void world_run(struct world *w, uint64_t ms)
{
        uint64_t end_ns, at_ns = 0, due_ns;
        struct parcel *p;
        unsigned h, first;

        if (!w)
                return;
        end_ns = w->now_ns + ms * NS_PER_MS_U;
        for (;;) {
                first = 0;
                for (due_ns = UINT64_MAX, h = 0; h < w->options.hosts_n; ++h) {
                        uint64_t ns = engine_deadline_ns(w->hosts[h].engine);

                        if (ns < w->hosts[h].awake_ns)
                                ns = w->hosts[h].awake_ns;
                        if (ns < due_ns) {
                                due_ns = ns;
                                first = h;
                        }
                }
                p = world_next(w, &at_ns);
                if (p && at_ns <= due_ns && at_ns <= end_ns) {
                        w->now_ns = at_ns > w->now_ns ? at_ns : w->now_ns;
                        world_deliver(w, p);
                } else if (due_ns <= end_ns) {
                        w->now_ns = due_ns > w->now_ns ? due_ns : w->now_ns;
                        world_post(w, first, &(struct event){ .kind = EVENT_TICK });
                } else {
                        break;
                }
        }
        w->now_ns = end_ns;
        world_end_line(w);
}

static void world_node_event(struct world *w, unsigned host, unsigned node, enum node_state state)
{
        struct event ev = {
                .kind = EVENT_NODE,
                .node = { .node = node, .state = state, .reason = state == NODE_UP ? "" : "connection lost" }
        };

        w->hosts[host].connected[node] = state == NODE_UP;
        world_post(w, host, &ev);
}

void world_cut(struct world *w, unsigned host, unsigned node)
{
        struct parcel_list *lists[2];
        const struct answer lost = { .verdict = ANSWER_LOST };
        struct parcel_list gone = TAILQ_HEAD_INITIALIZER(gone);
        struct parcel *p, *next;
        size_t i;

        if (!w || !w->hosts[host - 1].connected[node - 1])
                return;
        lists[0] = &w->parcels;
        lists[1] = &w->nodes[node - 1].inbox;
        say(w, "h%u n%u cut", host, node);
        for (i = 0; i < 2; ++i) {
                for (p = TAILQ_FIRST(lists[i]); p; p = next) {
                        next = TAILQ_NEXT(p, entry);
                        if (p->host != host - 1 || p->node != node - 1)
                                continue;
                        TAILQ_REMOVE(lists[i], p, entry);
                        TAILQ_INSERT_TAIL(&gone, p, entry);
                }
        }
        world_node_event(w, host - 1, node - 1, NODE_DOWN);
        while ((p = TAILQ_FIRST(&gone))) {
                TAILQ_REMOVE(&gone, p, entry);
                world_answer(w, host - 1, node - 1, p->command.round, &lost);
                parcel_free(p);
        }
        world_end_line(w);
}

void world_join(struct world *w, unsigned host, unsigned node)
{
        if (!w || w->hosts[host - 1].connected[node - 1])
                return;
        w->nodes[node - 1].down = false;
        say(w, "h%u n%u up", host, node);
        world_node_event(w, host - 1, node - 1, NODE_UP);
        world_end_line(w);
}

void world_crash(struct world *w, unsigned node, bool forget)
{
        unsigned host;

        if (!w)
                return;
        for (host = 1; host <= w->options.hosts_n; ++host)
                world_cut(w, host, node);
        w->nodes[node - 1].down = true;
        w->nodes[node - 1].hung = false;
        if (forget)
                memory_flush(w->nodes[node - 1].memory);
}

void world_hang(struct world *w, unsigned node)
{
        if (w)
                w->nodes[node - 1].hung = true;
}

void world_go_on(struct world *w, unsigned node)
{
        struct sim_node *n;
        struct parcel *p;

        if (!w)
                return;
        n = &w->nodes[node - 1];
        n->hung = false;
        while ((p = TAILQ_FIRST(&n->inbox))) {
                TAILQ_REMOVE(&n->inbox, p, entry);
                world_execute(w, p);
        }
}

void world_refuse(struct world *w, unsigned node, bool refuse)
{
        if (w)
                w->nodes[node - 1].refuses = refuse;
}

void world_flush_scripts(struct world *w, unsigned node)
{
        if (w)
                w->nodes[node - 1].scripts = false;
}

void world_slow(struct world *w, unsigned node, uint64_t latency_us)
{
        if (w)
                w->nodes[node - 1].latency_ns = latency_us * NS_PER_US;
}

void world_plant(struct world *w, unsigned node, const char *key, uint32_t ttl_ms)
{
        struct command_item item = { text_of(key), "somebody-else-holds-this-key-now" };
        struct command command = {
                .kind = COMMAND_TAKE, .ttl_ms = ttl_ms, .items = &item, .items_n = 1, .acquire_n = 1
        };
        struct answer answer;

        if (w)
                memory_execute(w->nodes[node - 1].memory, &command, w->now_ns / NS_PER_MS_U, &answer);
}

void world_lose(struct world *w, unsigned node)
{
        if (w)
                memory_flush(w->nodes[node - 1].memory);
}

void world_pause(struct world *w, unsigned host, uint64_t ms)
{
        if (w)
                w->hosts[host - 1].awake_ns = w->now_ns + ms * NS_PER_MS_U;
}

void world_drain(struct world *w, unsigned host, bool now)
{
        struct event ev = { .kind = EVENT_DRAIN, .drain = { .now = now } };

        if (!w)
                return;
        say(w, "h%u > drain%s", host, now ? " now" : "");
        world_post(w, host - 1, &ev);
        world_end_line(w);
}

char world_open(struct world *w, unsigned host)
{
        struct event ev = { .kind = EVENT_SESSION_OPENED };

        if (!w)
                return 'A';
        ck_assert_uint_lt(w->sessions_n, WORLD_SESSIONS_MAX);
        w->sessions[w->sessions_n].host = host - 1;
        w->sessions[w->sessions_n++].open = true;
        ev.opened.session = w->sessions_n;
        ev.opened.pid = (pid_t)(100 + w->sessions_n);
        world_post(w, host - 1, &ev);
        return (char)('A' + w->sessions_n - 1);
}

void world_end(struct world *w, char session)
{
        unsigned s = (unsigned)(session - 'A');
        struct event ev = { .kind = EVENT_SESSION_GONE, .gone = { .session = s + 1 } };

        if (!w || !w->sessions[s].open)
                return;
        say(w, "%c gone", session);
        world_post(w, w->sessions[s].host, &ev);
        world_end_line(w);
}

static uint64_t world_request(struct world *w, char session, struct request request, const char *keys, const char *verb)
{
        struct text texts[64];
        unsigned s = (unsigned)(session - 'A');
        struct event ev = { .kind = EVENT_REQUEST };
        char *copy = strdup(keys ? keys : ""), *key, *rest = copy;

        if (!w || !w->sessions[s].open) {
                free(copy);
                return 0;
        }
        say(w, "%c > %s%s%s", session, verb, keys ? " " : "", copy);
        while (keys && (key = strsep(&rest, ",")))
                texts[request.keys_n++] = text_of(key);
        request.keys = texts;
        request.session = s + 1;
        request.id = ++w->requests_n;
        ev.request = request;
        world_post(w, w->sessions[s].host, &ev);
        world_end_line(w);
        free(copy);
        return request.id;
}

static struct request request_of(enum method method, struct ask ask)
{
        return (struct request){ .method = method,
                                 .ttl_ms = ask.ttl_ms ? ask.ttl_ms : 10000,
                                 .retry_count = ask.tries < 0 ? RETRY_FOR_EVER
                                                : ask.tries   ? ask.tries - 1
                                                              : 200,
                                 .retry_delay_ms = ask.delay_ms ? ask.delay_ms : 100,
                                 .wait_ms = ask.wait_ms ? ask.wait_ms : WAIT_NONE,
                                 .strict = ask.strict };
}

uint64_t world_add(struct world *w, char session, const char *keys, struct ask ask)
{
        return world_request(w, session, request_of(METHOD_ADD, ask), keys, "add");
}

uint64_t world_extend(struct world *w, char session, const char *keys, struct ask ask)
{
        return world_request(w, session, request_of(METHOD_EXTEND, ask), keys, "extend");
}

uint64_t world_give(struct world *w, char session, const char *keys)
{
        return world_request(w, session, (struct request){ .method = METHOD_FREE }, keys, "free");
}

uint64_t world_reset(struct world *w, char session)
{
        return world_request(w, session, (struct request){ .method = METHOD_RESET }, NULL, "reset");
}

void world_cancel(struct world *w, char session, uint64_t request)
{
        world_request(w, session, (struct request){ .method = METHOD_CANCEL, .cancel_id = request }, NULL, "cancel");
}

void world_subscribe(struct world *w, char session, unsigned events)
{
        world_request(w, session, (struct request){ .method = METHOD_SUBSCRIBE, .events = events }, NULL, "subscribe");
}

struct engine *world_engine(struct world *w, unsigned host)
{
        return w->hosts[host - 1].engine;
}

uint64_t world_now_ns(const struct world *w)
{
        return w->now_ns;
}

const char *world_stored(struct world *w, unsigned node, const char *key)
{
        return memory_get(w->nodes[node - 1].memory, text_of(key), w->now_ns / NS_PER_MS_U);
}

size_t world_stored_n(struct world *w, unsigned node)
{
        return memory_keys(w->nodes[node - 1].memory, w->now_ns / NS_PER_MS_U);
}

bool world_is_whole(const struct world *w)
{
        return w && !story_failing;
}

/* A stream for the trace; anew, since a memory stream that is rewound keeps its tail. */
static void world_open_trace(struct world *w)
{
        if (w->out)
                fclose(w->out);
        free(w->trace);
        w->out = open_memstream(&w->trace, &w->trace_len);
}

void world_skip(struct world *w)
{
        if (!w)
                return;
        world_end_line(w);
        world_open_trace(w);
}

void world_expect(struct world *w, const char *trace)
{
        if (!w)
                return;
        world_end_line(w);
        fflush(w->out);
        if (world_is_whole(w) && strcmp(w->trace, trace) != 0)
                ck_abort_msg("the trace is\n%s\nand should be\n%s", w->trace, trace);
        world_skip(w);
}

struct world *world_new(const struct world_options *options)
{
        struct world *w = calloc(1, sizeof(*w));
        unsigned h, n;

        w->options = *options;
        w->options.nodes_n = options->nodes_n ? options->nodes_n : 3;
        w->options.hosts_n = options->hosts_n ? options->hosts_n : 1;
        w->now_ns = EPOCH_NS;
        TAILQ_INIT(&w->parcels);
        world_open_trace(w);
        for (n = 0; n < w->options.nodes_n; ++n) {
                TAILQ_INIT(&w->nodes[n].inbox);
                w->nodes[n].latency_ns = (options->latency_us ? options->latency_us : 500) * NS_PER_US;
                w->nodes[n].scripts = true;
                if (memory_new(&w->nodes[n].memory) < 0)
                        return world_free(w);
        }
        for (h = 0; h < w->options.hosts_n; ++h) {
                struct engine_options eo = { .nodes_n = w->options.nodes_n,
                                             .drift_factor = 0.01,
                                             .locks_max = options->locks_max ? options->locks_max : 1024,
                                             .random = world_random,
                                             .random_userdata = w };

                if (engine_new(&w->hosts[h].engine, &eo) < 0)
                        return world_free(w);
                for (n = 0; n < w->options.nodes_n; ++n)
                        world_join(w, h + 1, n + 1);
        }
        world_skip(w);
        return w;
}

/* Everybody leaves, every node is well again: then nothing may be left anywhere. */
static void world_calm(struct world *w)
{
        unsigned h, n, s;

        for (s = 0; s < w->sessions_n; ++s)
                world_end(w, (char)('A' + s));
        for (n = 1; n <= w->options.nodes_n; ++n) {
                world_go_on(w, n);
                for (h = 1; h <= w->options.hosts_n; ++h)
                        world_join(w, h, n);
        }
        world_run(w, CALM_MS);
        for (n = 1; n <= w->options.nodes_n; ++n)
                ck_assert_uint_eq(world_stored_n(w, n), 0);
        for (h = 0; h < w->options.hosts_n; ++h)
                ck_assert_uint_eq(engine_deadline_ns(w->hosts[h].engine), UINT64_MAX);
        for (n = 1; n <= w->requests_n; ++n)
                ck_assert_msg(w->answers[n] == 1, "request %u was answered %u times", n, w->answers[n]);
}

struct world *world_free(struct world *w)
{
        unsigned h, n;

        if (!w)
                return NULL;
        if (w->hosts[w->options.hosts_n - 1].engine)
                world_calm(w);
        for (h = 0; h < WORLD_HOSTS_MAX; ++h)
                engine_free(w->hosts[h].engine);
        for (n = 0; n < NODES_MAX; ++n)
                memory_free(w->nodes[n].memory);
        fclose(w->out);
        free(w->trace);
        free(w);
        return NULL;
}

static void story_tell(const struct story *story)
{
        uint64_t live = mem_live(), k;

        story_failing = false;
        story->tell();
        ck_assert_uint_eq(mem_live(), live);
        story_failing = true;
        for (k = 1;; ++k) {
                mem_fail_at(k);
                story->tell();
                ck_assert_msg(mem_live() == live, "%llu blocks are left when allocation %llu fails",
                              (unsigned long long)(mem_live() - live), (unsigned long long)k);
                if (!mem_failed())
                        break;
        }
        mem_fail_at(0);
}

static const struct story *story_list;

START_TEST(story)
{
        story_tell(&story_list[_i]);
}
END_TEST

int story_main(const char *name, const struct story *stories, size_t n)
{
        Suite *suite = suite_create(name);
        TCase *tcase = tcase_create(name);
        SRunner *runner;
        int failed;

        story_list = stories;
        tcase_add_loop_test(tcase, story, 0, (int)n);
        tcase_set_timeout(tcase, 60);
        suite_add_tcase(suite, tcase);
        runner = srunner_create(suite);
        srunner_run_all(runner, CK_NORMAL);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
