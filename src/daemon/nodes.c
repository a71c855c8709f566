/*
 * The pool of nodes. A command goes to a Redis node by its connection, and its answer comes back from the loop later;
 * the `memory:` node carries it out on the spot.
 *
 * Every command is answered exactly once: what a node does not even take counts as lost, right away.
 */
#include "redlockd/daemon/nodes.h"

#include "redlockd/base/mem.h"
#include "redlockd/core/inspect.h"
#include "redlockd/daemon/daemon.h"
#include "redlockd/daemon/pump.h"
#include "redlockd/net/clock.h"
#include "redlockd/net/log.h"

#include <assert.h>
#include <errno.h>

/* Rounded up. */
static uint64_t nodes_seconds_until(uint64_t then_ns)
{
        uint64_t now_ns = clock_now_ns();

        return then_ns > now_ns ? (then_ns - now_ns + 999999999) / 1000000000 : 0;
}

/* A node that stays down says so once, not at each try to come back. */
void nodes_log(const struct daemon *d, unsigned node)
{
        static const char *const names[] = {
                [NODE_CONNECTING] = "connecting",   [NODE_UP] = "up",       [NODE_DOWN] = "down",
                [NODE_QUARANTINED] = "quarantined", [NODE_UNFIT] = "unfit",
        };
        const char *name = d->nodes.shown[node].name;
        struct inspect_node seen;

        inspect_node(d->engine, node, &seen);
        if (seen.state == NODE_CONNECTING)
                log_debug("node %s: connecting", name);
        else if (seen.state == NODE_UP)
                log_info("node %s: up", name);
        else if (seen.votes_ns > 0)
                log_warn("node %s: %s: %s; votes in %llu s", name, names[seen.state], seen.reason,
                         (unsigned long long)nodes_seconds_until(seen.votes_ns));
        else
                log_warn("node %s: %s: %s", name, names[seen.state], seen.reason);
}

static void nodes_on_state(void *userdata, unsigned node, enum node_state state, const char *reason)
{
        struct event event = { .kind = EVENT_NODE };

        event.node.node = node;
        event.node.state = state;
        event.node.reason = reason;
        pump_post(userdata, &event);
}

static void nodes_on_look(void *userdata, unsigned node, const struct node_look *look)
{
        struct event event = { .kind = EVENT_NODE };

        event.node.node = node;
        event.node.state = NODE_UP;
        event.node.look = *look;
        pump_post(userdata, &event);
}

static void nodes_on_answer(void *userdata, unsigned node, uint64_t round, const struct answer *answer)
{
        struct event event = { .kind = EVENT_ANSWER };

        event.answer.node = node;
        event.answer.round = round;
        event.answer.answer = *answer;
        pump_post(userdata, &event);
}

static void nodes_on_heard(void *userdata, unsigned node, struct text key, bool released, uint64_t listeners_n)
{
        struct event event = { .kind = EVENT_HEARD };

        event.heard.node = node;
        event.heard.key = key;
        event.heard.released = released;
        event.heard.listeners_n = listeners_n;
        pump_post(userdata, &event);
}

/* While the node is down it is deaf as well, and that was said. */
static void nodes_on_deaf(void *userdata, unsigned node, const char *reason)
{
        const struct daemon *d = userdata;
        struct inspect_node seen;

        inspect_node(d->engine, node, &seen);
        if (seen.state != NODE_DOWN && seen.state != NODE_CONNECTING)
                log_warn(
                        "node %s: cannot listen for releases by other hosts, who waits asks again after retryDelay: %s",
                        d->nodes.shown[node].name, reason);
}

static int nodes_new_ears(struct daemon *d, unsigned node)
{
        const struct config *config = d->config;
        struct redis_ears_options options = {
                .loop = &d->loop,
                .node = node,
                .address = &config->nodes[node].address,
                .key_prefix = config->lock.key_prefix,
                .connect_timeout_ms = config->redis.connect_timeout_ms,
                .reconnect_min_ms = config->redis.reconnect_min_ms,
                .reconnect_max_ms = config->redis.reconnect_max_ms,
                .userdata = d,
                .on_heard = nodes_on_heard,
                .on_deaf = nodes_on_deaf,
        };
        int r;

        r = redis_ears_new(&d->nodes.all[node].ears, &options);
        if (r >= 0)
                ++d->nodes.open_n;
        return r;
}

static int nodes_new_redis(struct daemon *d, unsigned node)
{
        const struct config *config = d->config;
        struct redis_options options = {
                .loop = &d->loop,
                .node = node,
                .address = &config->nodes[node].address,
                .key_prefix = config->lock.key_prefix,
                .connect_timeout_ms = config->redis.connect_timeout_ms,
                .heartbeat_ms = REDIS_HEARTBEAT_MS,
                .reconnect_min_ms = config->redis.reconnect_min_ms,
                .reconnect_max_ms = config->redis.reconnect_max_ms,
                .members = config->redis.restart_quarantine ? d->nodes.members : NULL,
                .ttl_max_ms = config->lock.ttl_max_ms,
                .userdata = d,
                .on_state = nodes_on_state,
                .on_look = nodes_on_look,
                .on_answer = nodes_on_answer,
        };
        int r;

        r = redis_new(&d->nodes.all[node].redis, &options);
        if (r < 0)
                return r;
        ++d->nodes.open_n;
        return nodes_new_ears(d, node);
}

static void nodes_find_members(struct daemon *d)
{
        const char *names[NODES_MAX];
        unsigned i;

        for (i = 0; i < d->config->nodes_n; ++i)
                names[i] = d->config->nodes[i].name;
        redis_members(names, d->config->nodes_n, d->nodes.members);
}

int nodes_init(struct daemon *d)
{
        const struct config_node *configured = d->config->nodes;
        struct nodes *nodes = &d->nodes;
        int r;

        nodes_find_members(d);

        nodes->all = mem_zalloc_n(d->config->nodes_n, sizeof(*nodes->all));
        nodes->shown = mem_zalloc_n(d->config->nodes_n, sizeof(*nodes->shown));
        if (!nodes->all || !nodes->shown)
                return -ENOMEM;
        for (nodes->n = 0; nodes->n < d->config->nodes_n; ++nodes->n) {
                nodes->shown[nodes->n].name = configured[nodes->n].name;
                nodes->shown[nodes->n].url = configured[nodes->n].address.shown;
                if (configured[nodes->n].address.kind == ADDRESS_MEMORY)
                        r = memory_new(&nodes->memory);
                else
                        r = nodes_new_redis(d, nodes->n);
                if (r < 0)
                        return r;
        }
        return 0;
}

void nodes_deinit(struct daemon *d)
{
        assert(d->nodes.open_n == 0);
        d->nodes.memory = memory_free(d->nodes.memory);
        d->nodes.all = mem_free(d->nodes.all);
        d->nodes.shown = mem_free(d->nodes.shown);
}

bool nodes_local(const struct daemon *d)
{
        return d->nodes.memory != NULL;
}

void nodes_start(struct daemon *d)
{
        /* It forgets when this daemon ends; what its clients held ends with it. */
        const struct node_look local = { .verdict = LOOK_CERTIFIED, .run_id = "", .reason = "" };
        unsigned i;

        if (nodes_local(d))
                nodes_on_look(d, 0, &local);
        for (i = 0; i < d->nodes.n; ++i)
                if (d->nodes.all[i].redis)
                        redis_start(d->nodes.all[i].redis);
}

void nodes_send(struct daemon *d, const struct command *command)
{
        struct node *node = &d->nodes.all[command->node];
        struct answer answer = { .verdict = ANSWER_UNSENT };

        if (nodes_local(d)) {
                memory_execute(d->nodes.memory, command, clock_now_ns() / 1000000, &answer);
        } else if (node->redis && redis_send(node->redis, command) >= 0) {
                node->unflushed = true;
                return;
        }
        nodes_on_answer(d, command->node, command->round, &answer);
}

void nodes_listen(struct daemon *d, struct text key, bool on)
{
        unsigned i;

        for (i = 0; i < d->nodes.n; ++i) {
                struct node *node = &d->nodes.all[i];

                /* without memory for it, there are the ttl and retryDelay */
                if (node->ears && redis_ears_listen(node->ears, key, on) >= 0)
                        node->unflushed = true;
        }
}

void nodes_certify(struct daemon *d, unsigned node, uint64_t mark)
{
        if (!d->nodes.all[node].redis)
                return;
        redis_certify(d->nodes.all[node].redis, mark);
        d->nodes.all[node].unflushed = true;
}

int nodes_find(const struct daemon *d, struct text name)
{
        unsigned i;

        for (i = 0; i < d->nodes.n; ++i)
                if (text_equal(name, text_of(d->nodes.shown[i].name)))
                        return (int)i;
        return -ENOENT;
}

bool nodes_flush(struct daemon *d)
{
        bool any = false;
        unsigned i;

        for (i = 0; i < d->nodes.n; ++i) {
                if (!d->nodes.all[i].unflushed)
                        continue;
                d->nodes.all[i].unflushed = false;
                any = true;
                if (d->nodes.all[i].redis)
                        redis_flush(d->nodes.all[i].redis);
                if (d->nodes.all[i].ears)
                        redis_ears_flush(d->nodes.all[i].ears);
        }
        return any;
}

void nodes_show(struct daemon *d)
{
        const struct redis *redis;
        unsigned i;

        for (i = 0; i < d->nodes.n; ++i) {
                redis = d->nodes.all[i].redis;
                d->nodes.shown[i].redis_version = redis ? redis_version(redis) : NULL;
                d->nodes.shown[i].run_id = redis ? redis_run_id(redis) : NULL;
                d->nodes.shown[i].rtt_us = redis ? redis_rtt_us(redis) : 0;
        }
}

static void nodes_on_closed(void *userdata, unsigned node)
{
        struct daemon *d = userdata;

        --d->nodes.open_n;
}

void nodes_close(struct daemon *d)
{
        struct redis_ears *ears;
        struct redis *redis;
        unsigned i;

        for (i = 0; i < d->nodes.n; ++i) {
                ears = d->nodes.all[i].ears;
                d->nodes.all[i].ears = NULL;
                if (ears)
                        redis_ears_close(ears, nodes_on_closed);
                redis = d->nodes.all[i].redis;
                if (!redis)
                        continue;
                /* First forgotten, then closed: what is answered meanwhile may ask for a command to it. */
                d->nodes.all[i].redis = NULL;
                redis_close(redis, nodes_on_closed);
        }
}
