/*
 * The physics. Commands and answers are parcels, each with its time of arrival, in a heap; a connection's parcels
 * arrive in the order they were sent. What a hung node is sent waits in its inbox. Everything here is in true time;
 * hosts and nodes see it through clocks of their own.
 *
 * Its own memory comes from malloc(3), so that failing allocations concern the engines and stores only.
 */
#include "sim/world.h"

#include "redlockd/core/inspect.h"
#include "redlockd/core/validity.h"

#include <assert.h>
#include <stdlib.h>

#define CALM_ROUND_MS   1000
#define CALM_ROUNDS_MAX 200
#define PPM             1000000

#define LOOK_MS     500
#define TTL_MAX_MS  60000
#define WORLD_DRIFT 0.01

enum parcel_kind {
        PARCEL_COMMAND, /* and its answer */
        PARCEL_LOOK,
        PARCEL_CERTIFY,
        PARCEL_LISTEN,   /* from now on; to a host: it has begun */
        PARCEL_UNLISTEN, /* no more */
        PARCEL_RELEASED, /* to a host: what it listens for was released */
};

struct parcel {
        uint64_t at_ns, seq;
        struct parcel *next; /* in an inbox */
        unsigned host, node; /* from 0 */
        bool to_host;
        bool orphan; /* its connection is gone: nobody hears its answer */
        enum parcel_kind kind;
        char key[64];              /* of what is listened for */
        uint64_t listeners_n;      /* RELEASED */
        uint64_t run;              /* LOOK: the incarnation that answered; else the one that the connection has read */
        uint64_t node_ms, sent_ns; /* LOOK: the node's clock; when it was sent, on the host's */
        uint64_t mark;             /* LOOK, CERTIFY: what stands in the certificate's place */
        bool durable, unfit;       /* LOOK */
        struct answer answer;      /* COMMAND, to a host */
        uint64_t *fences;          /* ... its; they follow the items */
        struct command command;    /* owns its items and their texts, which follow in the same block */
        struct command_item items[];
};

uint64_t world_draw(struct world *w, uint64_t n)
{
        uint64_t z = (w->random += UINT64_C(0x9e3779b97f4a7c15)); /* splitmix64 (Steele, Lea, Flood 2014) */

        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        z ^= z >> 31;
        return n ? z % n : z;
}

static void world_random(void *userdata, void *ret_bytes, size_t n)
{
        unsigned char *bytes = ret_bytes;
        uint64_t word = 0;
        size_t i;

        for (i = 0; i < n; ++i) {
                if (i % 8 == 0)
                        word = world_draw(userdata, 0);
                bytes[i] = (unsigned char)(word >> (8 * (i % 8)));
        }
}

struct sim_node *world_node(struct world *w, unsigned node)
{
        return &w->nodes[node + 1 == w->options.twin ? w->options.twin_of - 1 : node];
}

/* What a clock shows, in ns: exact integer arithmetic, the same everywhere. */
static uint64_t clock_at(const struct sim_clock *c, uint64_t true_ns)
{
        int64_t since = (int64_t)(true_ns - WORLD_EPOCH_NS);

        return (uint64_t)((int64_t)WORLD_EPOCH_NS + since + since / PPM * c->ppm + since % PPM * c->ppm / PPM +
                          c->step_ns);
}

uint64_t world_host_ns(const struct world *w, unsigned host, uint64_t true_ns)
{
        return clock_at(&w->hosts[host - 1].clock, true_ns);
}

uint64_t world_unix_ms(const struct world *w, unsigned host)
{
        return WORLD_UNIX_MS + world_host_ns(w, host, w->now_ns) / NS_PER_MS + (uint64_t)w->hosts[host - 1].wall_ms;
}

uint64_t world_node_ms(struct world *w, unsigned node, uint64_t true_ns)
{
        return WORLD_UNIX_MS + clock_at(&world_node(w, node - 1)->clock, true_ns) / NS_PER_MS;
}

uint64_t world_true_ns(const struct world *w, unsigned host, uint64_t host_ns)
{
        const struct sim_clock *c = &w->hosts[host - 1].clock;
        uint64_t true_ns = WORLD_EPOCH_NS;

        if (host_ns > WORLD_EPOCH_NS)
                true_ns += (uint64_t)((__int128)(host_ns - WORLD_EPOCH_NS) * PPM / (PPM + c->ppm));
        /* Near enough; now to the first instant at which the clock shows it. */
        while (clock_at(c, true_ns) < host_ns)
                ++true_ns;
        while (true_ns > WORLD_EPOCH_NS && clock_at(c, true_ns - 1) >= host_ns)
                --true_ns;
        return true_ns;
}

/* Something has changed that the next look depends on. */
static void world_forget_look(struct world *w)
{
        w->look_known = false;
}

static bool parcel_before(const struct parcel *a, const struct parcel *b)
{
        return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->seq < b->seq;
}

static void parcels_sift_down(struct world *w, size_t i)
{
        for (;;) {
                size_t least = i, child = 2 * i + 1;
                struct parcel *p;

                if (child < w->parcels_n && parcel_before(w->parcels[child], w->parcels[least]))
                        least = child;
                if (child + 1 < w->parcels_n && parcel_before(w->parcels[child + 1], w->parcels[least]))
                        least = child + 1;
                if (least == i)
                        return;
                p = w->parcels[i];
                w->parcels[i] = w->parcels[least];
                w->parcels[least] = p;
                i = least;
        }
}

static void parcels_push(struct world *w, struct parcel *p)
{
        size_t i = w->parcels_n++;

        if (i == w->parcels_size) {
                w->parcels_size = w->parcels_size ? 2 * w->parcels_size : 64;
                w->parcels = realloc(w->parcels, w->parcels_size * sizeof(*w->parcels));
        }
        p->seq = w->parcels_seen++;
        for (; i > 0 && parcel_before(p, w->parcels[(i - 1) / 2]); i = (i - 1) / 2)
                w->parcels[i] = w->parcels[(i - 1) / 2];
        w->parcels[i] = p;
}

static struct parcel *parcels_pop(struct world *w)
{
        struct parcel *p = w->parcels[0];

        w->parcels[0] = w->parcels[--w->parcels_n];
        parcels_sift_down(w, 0);
        return p;
}

static struct parcel *parcel_new(const struct command *command)
{
        size_t texts = 0, at;
        struct parcel *p;
        char *text;
        unsigned i;

        for (i = 0; i < command->items_n; ++i)
                texts += command->items[i].key.len + TOKEN_TEXT_LEN + 1;
        at = sizeof(*p) + command->items_n * (sizeof(p->items[0]) + sizeof(p->fences[0]));
        p = malloc(at + texts);
        memset(p, 0, sizeof(*p));
        p->command = *command;
        p->command.items = p->items;
        p->fences = (uint64_t *)&p->items[command->items_n];
        text = (char *)p + at;
        for (i = 0; i < command->items_n; ++i) {
                strncpy(text, command->items[i].value, TOKEN_TEXT_LEN + 1); /* PEEK's may be empty */
                p->items[i].value = text;
                text += TOKEN_TEXT_LEN + 1;
                memcpy(text, command->items[i].key.data, command->items[i].key.len);
                p->items[i].key = (struct text){ text, command->items[i].key.len };
                p->items[i].ttl_ms = command->items[i].ttl_ms;
                p->items[i].fence = command->items[i].fence;
                p->items[i].heard = command->items[i].heard;
                text += command->items[i].key.len;
        }
        return p;
}

static struct parcel *parcel_of_key(enum parcel_kind kind, unsigned host, unsigned node, const char *key)
{
        struct parcel *p = calloc(1, sizeof(*p));

        p->kind = kind;
        p->host = host;
        p->node = node;
        snprintf(p->key, sizeof(p->key), "%s", key);
        return p;
}

/* Whether it was sent over the connection for listening. */
static bool parcel_is_heard(const struct parcel *p)
{
        return p->kind >= PARCEL_LISTEN;
}

static void ears_add(struct sim_ear **ears, unsigned *n, unsigned *size, unsigned host, const char *key)
{
        if (*n == *size) {
                *size = *size ? 2 * *size : 8;
                *ears = realloc(*ears, *size * sizeof(**ears));
        }
        (*ears)[*n].host = host;
        snprintf((*ears)[(*n)++].key, sizeof((*ears)->key), "%s", key);
}

/* Removes those of a host (and of a key; NULL: all). True if there were any. */
static bool ears_remove(struct sim_ear *ears, unsigned *n, unsigned host, const char *key)
{
        unsigned i, kept = 0, was = *n;

        for (i = 0; i < was; ++i)
                if (ears[i].host != host || (key && strcmp(ears[i].key, key) != 0))
                        ears[kept++] = ears[i];
        *n = kept;
        return kept < was;
}

static uint64_t world_latency(struct world *w, unsigned node)
{
        uint64_t ns = world_node(w, node)->latency_ns;

        if (w->options.tail_us == 0)
                return ns;
        ns += world_draw(w, ns + 1);
        if (world_draw(w, 16) == 0)
                ns += world_draw(w, w->options.tail_us * NS_PER_US);
        return ns;
}

/* Sends a parcel on its way, behind those that its connection has already in that direction. */
static void world_send_parcel(struct world *w, struct parcel *p, uint64_t *last_ns)
{
        p->at_ns = w->now_ns + world_latency(w, p->node);
        if (p->at_ns < *last_ns)
                p->at_ns = *last_ns;
        *last_ns = p->at_ns;
        parcels_push(w, p);
}

static void world_send(struct world *w, unsigned host, const struct command *command)
{
        const struct world_watch *watch = w->options.watch;
        struct sim_host *h = &w->hosts[host];
        struct parcel *p;

        if (watch && watch->on_command)
                watch->on_command(watch->userdata, host + 1, command);
        if (world_node(w, command->node)->refuses || !h->connected[command->node]) {
                struct event ev = { .kind = EVENT_ANSWER,
                                    .now_ns = world_host_ns(w, host + 1, w->now_ns),
                                    .unix_ms = world_unix_ms(w, host + 1),
                                    .answer = { .round = command->round,
                                                .node = command->node,
                                                .answer = { .verdict = ANSWER_UNSENT } } };

                engine_step(h->engine, &ev);
                return;
        }
        trace_command(w->trace, w->now_ns, host + 1, command);
        p = parcel_new(command);
        p->host = host;
        p->node = command->node;
        p->run = h->run[p->node];
        world_send_parcel(w, p, &h->last_out_ns[p->node]);
}

/* What stands in the certificate's place: a certificate, or a mark, and no two of them alike. */
static uint64_t certificate_of(uint64_t run)
{
        return 2 * run;
}

static uint64_t world_draw_mark(struct world *w)
{
        return 2 * ++w->marks_n + 1;
}

/* What a look does on a node: where it finds nothing, it leaves a mark. */
static void node_show(struct world *w, unsigned node, struct parcel *p)
{
        struct sim_node *n = world_node(w, node);

        if (n->certificate == 0)
                n->certificate = world_draw_mark(w);
        p->run = n->run;
        p->node_ms = world_node_ms(w, node + 1, w->now_ns);
        p->mark = n->certificate;
        p->durable = n->durable;
        p->unfit = n->unfit;
}

static struct node_look world_judge(struct world *w, unsigned host, const struct parcel *p)
{
        static char run_id[24];
        struct sim_host *h = &w->hosts[host];
        struct node_look look = { .verdict = LOOK_UNCERTIFIED,
                                  .run_id = run_id,
                                  .reason = "no certificate",
                                  .mark = p->mark,
                                  .node_ms = p->node_ms,
                                  .sent_ns = p->sent_ns };
        uint64_t kept_run = h->durable_run[p->node];

        snprintf(run_id, sizeof(run_id), "run%llu", (unsigned long long)p->run);
        h->durable_run[p->node] = 0;
        if (p->unfit) {
                look.verdict = LOOK_UNFIT;
                look.reason = "a replica";
        } else if (w->options.ttl_max_ms == 0 || p->mark == certificate_of(p->run)) {
                look.verdict = LOOK_CERTIFIED;
                look.reason = "";
                if (p->durable)
                        h->durable_run[p->node] = p->run;
        } else if (p->durable && kept_run && p->mark == certificate_of(kept_run)) {
                look.verdict = LOOK_KEPT;
                h->durable_run[p->node] = kept_run;
        }
        return look;
}

static void world_send_look(struct world *w, unsigned host, unsigned node, uint64_t mark)
{
        struct sim_host *h = &w->hosts[host];
        struct parcel *p = parcel_new(&(struct command){ 0 });

        p->kind = mark ? PARCEL_CERTIFY : PARCEL_LOOK;
        p->host = host;
        p->node = node;
        p->run = h->run[node];
        p->mark = mark;
        p->sent_ns = world_host_ns(w, host + 1, w->now_ns);
        world_send_parcel(w, p, &h->last_out_ns[node]);
}

static void world_certify_node(struct world *w, unsigned host, unsigned node, uint64_t mark)
{
        if (!w->hosts[host].connected[node])
                return;
        trace_line(w->trace, w->now_ns, "h%u > n%u certify", host + 1, node + 1);
        world_send_look(w, host, node, mark);
        world_send_look(w, host, node, 0);
}

static void world_on_node(struct world *w, unsigned host, unsigned node)
{
        static const char *const states[] = { "connecting", "votes", "down", "quarantined", "unfit" };
        struct inspect_node seen;

        if (w->options.ttl_max_ms == 0)
                return;
        inspect_node(w->hosts[host].engine, node, &seen);
        trace_line(w->trace, w->now_ns, "h%u: n%u %s", host + 1, node + 1, states[seen.state]);
}

static void world_on_reply(struct world *w, unsigned host, const struct reply *reply)
{
        const struct world_watch *watch = w->options.watch;

        ++w->answers[reply->request];
        trace_reply(w->trace, w->now_ns, world_host_ns(w, host + 1, w->now_ns), reply);
        if (watch && watch->on_reply)
                watch->on_reply(watch->userdata, reply);
}

static void world_on_notice(struct world *w, unsigned host, const struct notice *n)
{
        const struct world_watch *watch = w->options.watch;
        struct inspect_node node;

        if (n->kind == NOTICE_LOST && !n->wanted)
                return;
        if (n->kind == NOTICE_LOST) {
                trace_lost(w->trace, w->now_ns, n);
        } else if (n->kind == NOTICE_EXPIRING) {
                trace_line(
                        w->trace, w->now_ns, "%s < expiring %.*s %llu", trace_name(n->session), (int)n->key.len,
                        n->key.data,
                        (unsigned long long)((n->valid_until_ns - world_host_ns(w, host + 1, w->now_ns)) / NS_PER_MS));
        } else if (n->kind == NOTICE_STOPPING) {
                trace_line(w->trace, w->now_ns, "%s < stopping", trace_name(n->session));
        } else {
                inspect_node(w->hosts[host].engine, n->node, &node);
                trace_line(w->trace, w->now_ns, "%s < node n%u %s", trace_name(n->session), n->node + 1,
                           node.state == NODE_UP      ? "up"
                           : node.state == NODE_UNFIT ? "unfit"
                                                      : "down");
        }
        if (watch && watch->on_notice)
                watch->on_notice(watch->userdata, n);
}

/* Hands a wish to a node, over the connection for listening. */
static void world_tell_wish(struct world *w, unsigned host, unsigned node, const char *key, bool on)
{
        struct sim_host *h = &w->hosts[host];

        if (!h->connected[node])
                return; /* it is told when it is there again */
        world_send_parcel(w, parcel_of_key(on ? PARCEL_LISTEN : PARCEL_UNLISTEN, host, node, key),
                          &h->ears_out_ns[node]);
}

static void world_listen(struct world *w, unsigned host, struct text text, bool on)
{
        struct sim_host *h = &w->hosts[host];
        char key[64];
        unsigned node;

        assert(text.len < sizeof(key));
        snprintf(key, sizeof(key), "%.*s", (int)text.len, text.data);
        trace_line(w->trace, w->now_ns, "h%u > %s %s", host + 1, on ? "listen" : "unlisten", key);
        ears_remove(h->wishes, &h->wishes_n, host, key);
        if (on)
                ears_add(&h->wishes, &h->wishes_n, &h->wishes_size, host, key);
        for (node = 0; node < w->options.nodes_n; ++node)
                world_tell_wish(w, host, node, key, on);
}

static void world_on_effect(struct world *w, unsigned host, const struct effect *fx)
{
        const struct world_watch *watch = w->options.watch;

        switch (fx->kind) {
        case EFFECT_COMMAND:
                world_send(w, host, &fx->command);
                break;
        case EFFECT_LISTEN:
                world_listen(w, host, fx->listen.key, fx->listen.on);
                if (watch && watch->on_listen)
                        watch->on_listen(watch->userdata, host);
                break;
        case EFFECT_REPLY:
                world_on_reply(w, host, &fx->reply);
                break;
        case EFFECT_NOTICE:
                world_on_notice(w, host, &fx->notice);
                break;
        case EFFECT_CLOSE:
                w->sessions[fx->close.session - 1].open = false;
                trace_line(w->trace, w->now_ns, "%s closed", trace_name(fx->close.session));
                if (watch && watch->on_close)
                        watch->on_close(watch->userdata, (unsigned)fx->close.session);
                break;
        case EFFECT_DRAINED:
                trace_line(w->trace, w->now_ns, "h%u drained", host + 1);
                break;
        case EFFECT_NODE:
                world_on_node(w, host, fx->node.node);
                break;
        case EFFECT_CERTIFY:
                world_certify_node(w, host, fx->node.node, fx->node.mark);
                break;
        }
}

static void world_post(struct world *w, unsigned host, struct event *ev)
{
        const struct world_watch *watch = w->options.watch;
        struct effect fx;
        unsigned n;

        ++w->steps_n;
        ev->now_ns = world_host_ns(w, host + 1, w->now_ns);
        ev->unix_ms = world_unix_ms(w, host + 1);
        engine_step(w->hosts[host].engine, ev);
        for (n = 0; engine_pop(w->hosts[host].engine, &fx); ++n)
                world_on_effect(w, host, &fx);
        if (watch && watch->on_step)
                watch->on_step(watch->userdata, host + 1, n);
}

static void world_answer(struct world *w, const struct parcel *p, const struct answer *answer)
{
        struct event ev = { .kind = EVENT_ANSWER,
                            .answer = { .round = p->command.round, .node = p->node, .answer = *answer } };

        world_post(w, p->host, &ev);
}

/* Tells those who listen for what a release deletes, and its answer whether others than who asked were told. */
static uint64_t world_announce(struct world *w, const struct parcel *p)
{
        struct sim_node *n = world_node(w, p->node);
        uint64_t others = 0, told;
        unsigned i, k;

        for (i = 0; i < p->command.items_n; ++i) {
                const struct command_item *item = &p->command.items[i];
                const char *stored = memory_get(n->memory, item->key, world_node_ms(w, p->node + 1, w->now_ns));

                if (!stored || strcmp(stored, item->value) != 0)
                        continue;
                for (k = 0, told = 0; k < n->ears_n; ++k)
                        told += text_equal(text_of(n->ears[k].key), item->key);
                others |= told > item->heard ? UINT64_C(1) << i : 0;
                for (k = 0; k < n->ears_n; ++k) {
                        struct parcel *heard;

                        if (!text_equal(text_of(n->ears[k].key), item->key))
                                continue;
                        heard = parcel_of_key(PARCEL_RELEASED, n->ears[k].host, p->node, n->ears[k].key);
                        heard->listeners_n = told;
                        heard->to_host = true;
                        world_send_parcel(w, heard, &w->hosts[heard->host].ears_in_ns[p->node]);
                }
        }
        return others;
}

static void world_execute_listen(struct world *w, struct parcel *p)
{
        struct sim_node *n = world_node(w, p->node);
        bool on = p->kind == PARCEL_LISTEN;

        ears_remove(n->ears, &n->ears_n, p->host, p->key);
        if (!on) {
                free(p);
                return;
        }
        ears_add(&n->ears, &n->ears_n, &n->ears_size, p->host, p->key);
        p->to_host = true;
        world_send_parcel(w, p, &w->hosts[p->host].ears_in_ns[p->node]);
}

/* What a node does with a command. */
static void world_carry_out(struct world *w, struct parcel *p)
{
        struct sim_node *n = world_node(w, p->node);
        const struct world_watch *watch = w->options.watch;
        uint64_t others = 0;

        if (!n->scripts) {
                n->scripts = true;
                p->answer = (struct answer){ .verdict = ANSWER_AGAIN };
                return;
        }
        if (w->options.ttl_max_ms > 0 && (p->command.kind == COMMAND_TAKE || p->command.kind == COMMAND_RENEW) &&
            n->certificate != certificate_of(p->run)) {
                p->answer = (struct answer){ .verdict = ANSWER_UNCERTIFIED };
                return;
        }
        if (p->command.kind == COMMAND_RELEASE)
                others = world_announce(w, p);
        memory_execute(n->memory, &p->command, world_node_ms(w, p->node + 1, w->now_ns), &p->answer);
        p->answer.taken |= others;
        if (p->answer.fences)
                p->answer.fences = memcpy(p->fences, p->answer.fences, p->command.acquire_n * sizeof(p->fences[0]));
        if (watch && watch->on_vote && p->command.kind == COMMAND_TAKE && p->answer.verdict == ANSWER_GRANTED)
                watch->on_vote(watch->userdata, p->node + 1);
}

static void world_execute(struct world *w, struct parcel *p)
{
        struct sim_node *n = world_node(w, p->node);

        switch (p->kind) {
        case PARCEL_COMMAND:
                world_carry_out(w, p);
                if (p->orphan) {
                        free(p);
                        return;
                }
                break;
        case PARCEL_LOOK:
                node_show(w, p->node, p);
                break;
        case PARCEL_LISTEN:
        case PARCEL_UNLISTEN:
        case PARCEL_RELEASED:
                world_execute_listen(w, p);
                return;
        case PARCEL_CERTIFY:
                if (n->run == p->run && n->certificate == p->mark)
                        n->certificate = certificate_of(p->run);
                free(p);
                return;
        }
        p->to_host = true;
        world_send_parcel(w, p, &w->hosts[p->host].last_in_ns[p->node]);
}

static void world_hear(struct world *w, struct parcel *p)
{
        struct event ev = { .kind = EVENT_HEARD,
                            .heard = { .node = p->node,
                                       .key = text_of(p->key),
                                       .released = p->kind == PARCEL_RELEASED,
                                       .listeners_n = p->listeners_n } };

        if (ev.heard.released)
                trace_line(w->trace, w->now_ns, "n%u > free %s %llu", p->node + 1, p->key,
                           (unsigned long long)p->listeners_n);
        else
                trace_line(w->trace, w->now_ns, "n%u > listening %s", p->node + 1, p->key);
        world_post(w, p->host, &ev);
        free(p);
}

static void world_on_look(struct world *w, const struct parcel *p)
{
        struct sim_host *h = &w->hosts[p->host];
        struct event ev = { .kind = EVENT_NODE,
                            .node = { .node = p->node, .state = NODE_UP, .look = world_judge(w, p->host, p) } };

        h->look_ns[p->node] = w->now_ns + w->options.look_ms * NS_PER_MS;
        world_forget_look(w);
        world_post(w, p->host, &ev);
}

static void world_deliver(struct world *w, struct parcel *p)
{
        static const char *const verdicts[] = { "granted", "held", "error", "again", "unsent", "uncertified", "lost" };
        struct sim_node *n = world_node(w, p->node);

        if (p->to_host) {
                if (w->hosts[p->host].awake_ns > w->now_ns) {
                        p->at_ns = w->hosts[p->host].awake_ns;
                        parcels_push(w, p);
                        return;
                }
                if (parcel_is_heard(p)) {
                        world_hear(w, p);
                        return;
                }
                if (p->kind == PARCEL_LOOK) {
                        world_on_look(w, p);
                        free(p);
                        return;
                }
                trace_line(w->trace, w->now_ns, "n%u > %s", p->node + 1,
                           p->command.kind == COMMAND_RELEASE && p->answer.verdict == ANSWER_GRANTED
                                   ? "released"
                                   : verdicts[p->answer.verdict]);
                world_answer(w, p, &p->answer);
                free(p);
        } else if (n->hung) {
                p->next = NULL;
                *n->inbox_last = p;
                n->inbox_last = &p->next;
        } else {
                world_execute(w, p);
        }
}

/* The host whose engine is due first, and when; UINT64_MAX: none. */
static unsigned world_due(struct world *w, uint64_t *ret_due_ns)
{
        unsigned h, first = 0;

        *ret_due_ns = UINT64_MAX;
        for (h = 0; h < w->options.hosts_n; ++h) {
                uint64_t ns = engine_deadline_ns(w->hosts[h].engine);

                if (ns == UINT64_MAX)
                        continue;
                if (ns != w->hosts[h].deadline_ns) {
                        w->hosts[h].deadline_ns = ns;
                        w->hosts[h].deadline_true_ns = world_true_ns(w, h + 1, ns);
                }
                ns = w->hosts[h].deadline_true_ns;
                if (ns < w->hosts[h].awake_ns)
                        ns = w->hosts[h].awake_ns;
                if (ns < *ret_due_ns) {
                        *ret_due_ns = ns;
                        first = h;
                }
        }
        return first;
}

/* The look that is due first, and when; UINT64_MAX: none. */
static uint64_t world_due_look(struct world *w, unsigned *ret_host, unsigned *ret_node)
{
        uint64_t ns;
        unsigned h, n;

        if (!w->look_known) {
                w->look_known = true;
                w->look_due_ns = UINT64_MAX;
                for (h = 0; h < w->options.hosts_n && w->options.ttl_max_ms > 0 && !w->blind; ++h)
                        for (n = 0; n < w->options.nodes_n; ++n) {
                                ns = w->hosts[h].look_ns[n];
                                if (!w->hosts[h].connected[n] || ns == UINT64_MAX)
                                        continue;
                                if (ns < w->hosts[h].awake_ns)
                                        ns = w->hosts[h].awake_ns;
                                if (ns >= w->look_due_ns)
                                        continue;
                                w->look_due_ns = ns;
                                w->look_host = h;
                                w->look_node = n;
                        }
        }
        *ret_host = w->look_host;
        *ret_node = w->look_node;
        return w->look_due_ns;
}

void world_run_ns(struct world *w, uint64_t ns)
{
        uint64_t end_ns, due_ns, look_ns;
        unsigned host, looking = 0, node = 0;

        if (!w)
                return;
        end_ns = w->now_ns + ns;
        for (;;) {
                host = world_due(w, &due_ns);
                look_ns = world_due_look(w, &looking, &node);
                if (look_ns <= end_ns && look_ns < due_ns && (w->parcels_n == 0 || look_ns < w->parcels[0]->at_ns)) {
                        if (look_ns > w->now_ns)
                                w->now_ns = look_ns;
                        w->hosts[looking].look_ns[node] = UINT64_MAX;
                        world_forget_look(w);
                        world_send_look(w, looking, node, 0);
                } else if (w->parcels_n > 0 && w->parcels[0]->at_ns <= due_ns && w->parcels[0]->at_ns <= end_ns) {
                        if (w->parcels[0]->at_ns > w->now_ns)
                                w->now_ns = w->parcels[0]->at_ns;
                        world_deliver(w, parcels_pop(w));
                } else if (due_ns <= end_ns) {
                        if (due_ns > w->now_ns)
                                w->now_ns = due_ns;
                        world_post(w, host, &(struct event){ .kind = EVENT_TICK });
                } else {
                        break;
                }
        }
        w->now_ns = end_ns;
        trace_flush(w->trace);
}

static void world_node_event(struct world *w, unsigned host, unsigned node, enum node_state state)
{
        struct event ev = { .kind = EVENT_NODE, .node = { .node = node, .state = state, .reason = "connection lost" } };
        struct parcel seen = { .host = host, .node = node, .sent_ns = world_host_ns(w, host + 1, w->now_ns) };
        struct sim_host *h = &w->hosts[host];

        h->connected[node] = state == NODE_UP;
        world_forget_look(w);
        if (state == NODE_UP) {
                node_show(w, node, &seen);
                h->run[node] = seen.run;
                h->look_ns[node] = w->now_ns + w->options.look_ms * NS_PER_MS;
                world_forget_look(w);
                ev.node.look = world_judge(w, host, &seen);
        }
        world_post(w, host, &ev);
}

struct found {
        struct parcel *parcel;
        size_t at; /* in the heap */
};

static int found_compare(const void *one, const void *other)
{
        const struct found *a = one, *b = other;

        if (a->parcel->command.round != b->parcel->command.round)
                return a->parcel->command.round < b->parcel->command.round ? -1 : 1;
        return a->at < b->at ? -1 : 1;
}

/*
 * Takes what is on its way in one connection out of the heap and the inbox; in the order it was sent. Commands that
 * have arrived stay in the inbox, and others like them are taken: a node that hangs carries them out when it goes on,
 * whatever has become of the connection.
 */
static struct parcel *world_take_parcels(struct world *w, unsigned host, unsigned node)
{
        struct sim_node *n = world_node(w, node);
        struct parcel *taken = NULL, **last = &taken, **at, *p;
        size_t i, kept = 0, found_n = 0;
        struct found *found;

        for (at = &n->inbox_first; (p = *at);) {
                if (p->host != host || p->node != node || p->orphan) {
                        at = &p->next;
                        continue;
                }
                if (p->kind == PARCEL_COMMAND) {
                        p->orphan = true;
                        at = &p->next;
                        p = parcel_new(&p->command);
                        p->host = host;
                        p->node = node;
                } else {
                        *at = p->next;
                }
                p->next = NULL;
                *last = p;
                last = &p->next;
        }
        n->inbox_last = at;
        found = malloc((w->parcels_n + 1) * sizeof(*found));
        for (i = 0; i < w->parcels_n; ++i) {
                p = w->parcels[i];
                if (p->host != host || p->node != node)
                        w->parcels[kept++] = p;
                else
                        found[found_n++] = (struct found){ p, i };
        }
        qsort(found, found_n, sizeof(*found), found_compare);
        for (i = 0, at = &taken; i < found_n; ++i) {
                while (*at && (*at)->command.round <= found[i].parcel->command.round)
                        at = &(*at)->next;
                found[i].parcel->next = *at;
                *at = found[i].parcel;
        }
        free(found);
        w->parcels_n = kept;
        for (i = kept; i-- > 0;)
                parcels_sift_down(w, i);
        return taken;
}

void world_cut(struct world *w, unsigned host, unsigned node)
{
        const struct answer lost = { .verdict = ANSWER_LOST };
        struct parcel *taken, *p;

        if (!w || !w->hosts[host - 1].connected[node - 1])
                return;
        trace_line(w->trace, w->now_ns, "h%u n%u cut", host, node);
        taken = world_take_parcels(w, host - 1, node - 1);
        world_node_event(w, host - 1, node - 1, NODE_DOWN);
        while ((p = taken)) {
                taken = p->next;
                if (p->kind == PARCEL_COMMAND)
                        world_answer(w, p, &lost);
                free(p);
        }
        ears_remove(world_node(w, node - 1)->ears, &world_node(w, node - 1)->ears_n, host - 1, NULL);
        w->hosts[host - 1].ears_in_ns[node - 1] = w->hosts[host - 1].ears_out_ns[node - 1] = 0;
        w->hosts[host - 1].last_in_ns[node - 1] = w->hosts[host - 1].last_out_ns[node - 1] = 0;
        trace_flush(w->trace);
}

void world_join(struct world *w, unsigned host, unsigned node)
{
        unsigned i;

        if (!w || w->hosts[host - 1].connected[node - 1])
                return;
        trace_line(w->trace, w->now_ns, "h%u n%u up", host, node);
        world_node_event(w, host - 1, node - 1, NODE_UP);
        for (i = 0; i < w->hosts[host - 1].wishes_n; ++i)
                world_tell_wish(w, host - 1, node - 1, w->hosts[host - 1].wishes[i].key, true);
        trace_flush(w->trace);
}

void world_part(struct world *w, unsigned host, unsigned node)
{
        struct event ev = { .kind = EVENT_NODE, .node = { .node = node - 1, .state = NODE_DOWN, .closed = true } };

        if (!w)
                return;
        world_cut(w, host, node);
        trace_line(w->trace, w->now_ns, "h%u n%u parted", host, node);
        world_post(w, host - 1, &ev);
        trace_flush(w->trace);
}

void world_lose(struct world *w, unsigned node)
{
        if (!w)
                return;
        trace_line(w->trace, w->now_ns, "n%u forgets", node);
        memory_flush(world_node(w, node - 1)->memory);
        world_node(w, node - 1)->certificate = 0;
        world_node(w, node - 1)->wiped_ns = world_node(w, node - 1)->forgot_ns = w->now_ns;
}

static void world_empty_inbox(struct sim_node *n)
{
        struct parcel *p;

        while ((p = n->inbox_first)) {
                n->inbox_first = p->next;
                free(p);
        }
        n->inbox_last = &n->inbox_first;
}

void world_crash(struct world *w, unsigned node, bool forget)
{
        unsigned host, n;

        if (!w)
                return;
        for (host = 1; host <= w->options.hosts_n; ++host)
                for (n = 1; n <= w->options.nodes_n; ++n)
                        if (world_node(w, n - 1) == world_node(w, node - 1))
                                world_cut(w, host, n);
        world_empty_inbox(world_node(w, node - 1));
        world_node(w, node - 1)->hung = false;
        world_node(w, node - 1)->run = ++w->runs_n;
        if (!world_node(w, node - 1)->durable)
                world_node(w, node - 1)->forgot_ns = w->now_ns;
        if (forget)
                world_lose(w, node);
}

void world_roll_back(struct world *w, unsigned node, const char *const *keys, unsigned keys_n)
{
        struct command_item item;
        struct command command = { .kind = COMMAND_RELEASE, .items = &item, .items_n = 1 };
        char value[TOKEN_TEXT_LEN + 1];
        struct answer answer;
        const char *stored;
        unsigned i;

        if (!w)
                return;
        world_crash(w, node, false);
        trace_line(w->trace, w->now_ns, "n%u forgets %u keys", node, keys_n);
        for (i = 0; i < keys_n; ++i) {
                stored = world_stored(w, node, keys[i], w->now_ns);
                if (!stored)
                        continue;
                memcpy(value, stored, sizeof(value));
                item = (struct command_item){ .key = text_of(keys[i]), .value = value };
                memory_execute(world_node(w, node - 1)->memory, &command, world_node_ms(w, node, w->now_ns), &answer);
        }
        world_node(w, node - 1)->wiped_ns = world_node(w, node - 1)->forgot_ns = w->now_ns;
}

void world_hang(struct world *w, unsigned node)
{
        if (!w)
                return;
        trace_line(w->trace, w->now_ns, "n%u hangs", node);
        world_node(w, node - 1)->hung = true;
}

void world_go_on(struct world *w, unsigned node)
{
        struct sim_node *n;
        struct parcel *p, *next;

        if (!w || !world_node(w, node - 1)->hung)
                return;
        trace_line(w->trace, w->now_ns, "n%u goes on", node);
        n = world_node(w, node - 1);
        n->hung = false;
        p = n->inbox_first;
        n->inbox_first = NULL;
        n->inbox_last = &n->inbox_first;
        for (; p; p = next) {
                next = p->next;
                world_execute(w, p);
        }
}

void world_refuse(struct world *w, unsigned node, bool refuse)
{
        if (w)
                world_node(w, node - 1)->refuses = refuse;
}

void world_spoil(struct world *w, unsigned node, bool spoiled)
{
        if (!w)
                return;
        trace_line(w->trace, w->now_ns, "n%u is %s", node, spoiled ? "a replica" : "a master");
        world_node(w, node - 1)->unfit = spoiled;
}

void world_flush_scripts(struct world *w, unsigned node)
{
        if (w)
                world_node(w, node - 1)->scripts = false;
}

void world_slow(struct world *w, unsigned node, uint64_t latency_us)
{
        if (w)
                world_node(w, node - 1)->latency_ns = latency_us * NS_PER_US;
}

void world_set_wall(struct world *w, unsigned host, int64_t ms)
{
        if (w)
                w->hosts[host - 1].wall_ms = ms;
}

void world_step_clock(struct world *w, unsigned node, int64_t ms)
{
        if (!w)
                return;
        trace_line(w->trace, w->now_ns, "n%u clock steps by %lld ms", node, (long long)ms);
        world_node(w, node - 1)->clock.step_ns += ms * (int64_t)NS_PER_MS;
}

void world_plant(struct world *w, unsigned node, const char *key, uint32_t ttl_ms)
{
        struct command_item item = { .key = text_of(key), .value = "0e15e0e15e0e15e0e15e0e15e0e15e0e" };
        struct command command = {
                .kind = COMMAND_TAKE, .ttl_ms = ttl_ms, .items = &item, .items_n = 1, .acquire_n = 1
        };
        struct answer answer;

        if (w)
                memory_execute(world_node(w, node - 1)->memory, &command, world_node_ms(w, node, w->now_ns), &answer);
}

void world_pause(struct world *w, unsigned host, uint64_t ms)
{
        if (!w)
                return;
        trace_line(w->trace, w->now_ns, "h%u pauses for %llu ms", host, (unsigned long long)ms);
        w->hosts[host - 1].paused_ns = w->now_ns;
        w->hosts[host - 1].awake_ns = w->now_ns + ms * NS_PER_MS;
        world_forget_look(w);
}

void world_drain(struct world *w, unsigned host)
{
        struct event ev = { .kind = EVENT_DRAIN };

        if (!w)
                return;
        trace_line(w->trace, w->now_ns, "h%u > drain", host);
        world_post(w, host - 1, &ev);
        trace_flush(w->trace);
}

void world_members(struct world *w, unsigned host, uint32_t members)
{
        struct event ev = { .kind = EVENT_CONFIGURE };

        if (!w)
                return;
        ev.configure.members = members;
        ev.configure.locks_max = w->options.locks_max ? w->options.locks_max : 1024;
        ev.configure.locks_all_max = w->options.locks_all_max ? w->options.locks_all_max : UINT32_MAX;
        ev.configure.waiters_max = w->options.waiters_max ? w->options.waiters_max : UINT32_MAX;
        w->hosts[host - 1].quorum = quorum_of((unsigned)__builtin_popcount(members & w->hosts[host - 1].members));
        w->hosts[host - 1].members = members;
        w->members_change = true;
        trace_line(w->trace, w->now_ns, "h%u members %x", host, members);
        world_post(w, host - 1, &ev);
        trace_flush(w->trace);
}

unsigned world_open(struct world *w, unsigned host)
{
        struct event ev = { .kind = EVENT_SESSION_OPENED };

        if (!w)
                return 1;
        if (w->sessions_n == w->sessions_size) {
                w->sessions_size = w->sessions_size ? 2 * w->sessions_size : 16;
                w->sessions = realloc(w->sessions, w->sessions_size * sizeof(*w->sessions));
        }
        w->sessions[w->sessions_n++] = (struct sim_session){ .host = host - 1, .open = true };
        ev.opened.session = w->sessions_n;
        ev.opened.pid = (pid_t)(100 + w->sessions_n);
        world_post(w, host - 1, &ev);
        return w->sessions_n;
}

void world_end(struct world *w, unsigned session)
{
        struct event ev = { .kind = EVENT_SESSION_GONE, .gone = { .session = session } };

        if (!w || !w->sessions[session - 1].open)
                return;
        trace_line(w->trace, w->now_ns, "%s gone", trace_name(session));
        if (w->options.watch && w->options.watch->on_end)
                w->options.watch->on_end(w->options.watch->userdata, session);
        world_post(w, w->sessions[session - 1].host, &ev);
        trace_flush(w->trace);
}

uint64_t world_request(struct world *w, unsigned session, struct request request)
{
        struct event ev = { .kind = EVENT_REQUEST };

        if (!w || !w->sessions[session - 1].open)
                return 0;
        request.session = session;
        request.id = ++w->requests_n;
        if (w->requests_n >= w->answers_size) {
                size_t size = w->answers_size ? 2 * w->answers_size : 256;

                w->answers = realloc(w->answers, size);
                memset(w->answers + w->answers_size, 0, size - w->answers_size);
                w->answers_size = size;
        }
        trace_request(w->trace, w->now_ns, &request);
        if (w->options.watch && w->options.watch->on_request)
                w->options.watch->on_request(w->options.watch->userdata, &request);
        ev.request = request;
        world_post(w, w->sessions[session - 1].host, &ev);
        trace_flush(w->trace);
        return request.id;
}

const char *world_stored(struct world *w, unsigned node, const char *key, uint64_t true_ns)
{
        return memory_get(world_node(w, node - 1)->memory, text_of(key), world_node_ms(w, node, true_ns));
}

struct world *world_new(const struct world_options *options)
{
        struct world *w = calloc(1, sizeof(*w));
        unsigned h, n;

        w->options = *options;
        w->options.nodes_n = options->nodes_n ? options->nodes_n : 3;
        w->options.hosts_n = options->hosts_n ? options->hosts_n : 1;
        w->options.look_ms = options->look_ms ? options->look_ms : LOOK_MS;
        w->now_ns = WORLD_EPOCH_NS;
        w->random = options->seed;
        for (n = 0; n < w->options.nodes_n; ++n) {
                w->nodes[n].inbox_last = &w->nodes[n].inbox_first;
                w->nodes[n].latency_ns = (options->latency_us ? options->latency_us : 500) * NS_PER_US;
                w->nodes[n].scripts = true;
                w->nodes[n].run = ++w->runs_n;
                w->nodes[n].certificate = options->fresh ? 0 : certificate_of(w->nodes[n].run);
                if (memory_new(&w->nodes[n].memory) < 0)
                        return world_free(w);
        }
        for (h = 0; h < w->options.hosts_n; ++h) {
                struct engine_options eo = { .nodes_n = w->options.nodes_n,
                                             .drift_factor = WORLD_DRIFT,
                                             .ttl_max_ms = options->ttl_max_ms ? options->ttl_max_ms : TTL_MAX_MS,
                                             .tenure_ms = options->tenure_ms ? options->tenure_ms : 500,
                                             .adrift_max =
                                                     options->adrift_max ? options->adrift_max : ENGINE_ADRIFT_MAX,
                                             .locks_max = options->locks_max ? options->locks_max : 1024,
                                             .locks_all_max =
                                                     options->locks_all_max ? options->locks_all_max : UINT32_MAX,
                                             .waiters_max = options->waiters_max ? options->waiters_max : UINT32_MAX,
                                             .random = world_random,
                                             .random_userdata = w };

                if (engine_new(&w->hosts[h].engine, &eo) < 0)
                        return world_free(w);
                w->hosts[h].members = (UINT32_C(1) << w->options.nodes_n) - 1;
                w->hosts[h].quorum = quorum_of(w->options.nodes_n);
                for (n = 0; n < w->options.nodes_n; ++n)
                        world_join(w, h + 1, n + 1);
        }
        w->trace = options->trace ? trace_new(options->trace, options->fences) : NULL;
        return w;
}

uint64_t world_certify(struct world *w, unsigned session, unsigned node)
{
        return world_request(w, session, (struct request){ .method = METHOD_CERTIFY, .node = node - 1 });
}

static size_t world_left(struct world *w)
{
        size_t left = 0, on_node;
        unsigned n;

        for (n = 1; n <= w->options.nodes_n; ++n) {
                on_node = memory_keys(world_node(w, n - 1)->memory, world_node_ms(w, n, w->now_ns));
                if (on_node > 0)
                        trace_line(w->trace, w->now_ns, "n%u still has %zu keys", n, on_node);
                left += on_node;
        }
        return left;
}

/* Nothing is on its way, and no engine waits for anything. */
static bool world_rests(const struct world *w)
{
        unsigned h;

        for (h = 0; h < w->options.hosts_n; ++h)
                if (engine_deadline_ns(w->hosts[h].engine) != UINT64_MAX)
                        return false;
        return w->parcels_n == 0;
}

/* Every host lets every node vote, once its quarantine is over. */
static bool world_votes(struct world *w)
{
        struct inspect_status status;
        unsigned h;

        if (w->options.ttl_max_ms > 0) /* twice: a node may have to begin anew when this does */
                world_run_ns(w, 2 * validity_quarantine_ns(w->options.ttl_max_ms, WORLD_DRIFT) +
                                        4 * w->options.look_ms * NS_PER_MS);
        w->blind = true;
        world_forget_look(w);
        for (h = 0; h < w->options.hosts_n; ++h) {
                inspect_status(w->hosts[h].engine, &status);
                if (status.nodes_up_n + (w->options.twin > 0) < status.nodes_n)
                        return false;
        }
        return true;
}

const char *world_calm(struct world *w, uint64_t undo_ms)
{
        uint64_t id, i;
        unsigned h, n, s;

        if (!w)
                return NULL;
        for (h = 0; h < w->options.hosts_n; ++h)
                if (w->hosts[h].awake_ns > w->now_ns)
                        world_run_ns(w, w->hosts[h].awake_ns - w->now_ns);
        for (s = 1; s <= w->sessions_n; ++s)
                world_end(w, s);
        w->options.tail_us = 0;
        for (n = 1; n <= w->options.nodes_n; ++n) {
                world_node(w, n - 1)->refuses = world_node(w, n - 1)->unfit = false;
                world_node(w, n - 1)->latency_ns = 500 * NS_PER_US;
                world_go_on(w, n);
                for (h = 1; h <= w->options.hosts_n; ++h)
                        world_join(w, h, n);
        }
        world_run_ns(w, undo_ms * NS_PER_MS);
        if (world_left(w) > 0)
                return "a key is left on a node after every session's end";
        if (!world_votes(w))
                return "a node that is well does not vote again";
        for (i = 0; i < CALM_ROUNDS_MAX && !world_rests(w); ++i)
                world_run_ns(w, CALM_ROUND_MS * NS_PER_MS);
        if (!world_rests(w))
                return "an engine does not come to rest";
        for (id = 1; id <= w->requests_n; ++id)
                if (w->answers[id] != 1)
                        return w->answers[id] ? "a request was answered twice" : "a request was never answered";
        return NULL;
}

struct world *world_free(struct world *w)
{
        unsigned h, n;

        if (!w)
                return NULL;
        trace_free(w->trace);
        for (h = 0; h < WORLD_HOSTS_MAX; ++h)
                engine_free(w->hosts[h].engine);
        for (h = 0; h < WORLD_HOSTS_MAX; ++h)
                free(w->hosts[h].wishes);
        for (n = 0; n < NODES_MAX; ++n)
                memory_free(w->nodes[n].memory);
        for (n = 0; n < NODES_MAX; ++n)
                free(w->nodes[n].ears);
        assert(w->parcels_n == 0);
        free(w->parcels);
        free(w->sessions);
        free(w->answers);
        free(w);
        return NULL;
}
