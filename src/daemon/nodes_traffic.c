/*
 * What goes to the nodes and comes from them. A command goes to a Redis node by its connection, and its answer comes
 * back from the loop later; the `memory:` node carries it out on the spot.
 *
 * Every command is answered exactly once: what a node does not even take counts as unsent, right away.
 */
#include "redlockd/daemon/nodes_traffic.h"

#include "redlockd/core/inspect.h"
#include "redlockd/daemon/daemon.h"
#include "redlockd/daemon/pump.h"
#include "redlockd/net/clock.h"
#include "redlockd/net/log.h"

void nodes_post_state(struct daemon *d, unsigned node, enum node_state state, const char *reason, bool closed)
{
        struct event event = { .kind = EVENT_NODE };

        event.node.node = node;
        event.node.state = state;
        event.node.reason = reason;
        event.node.closed = closed;
        pump_post(d, &event);
}

static void nodes_on_state(void *userdata, unsigned node, enum node_state state, const char *reason)
{
        nodes_post_state(userdata, node, state, reason, false);
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
                .address = &d->nodes.all[node].own.address,
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
        if (r < 0)
                return r;
        ++d->nodes.all[node].open_n;
        ++d->nodes.open_n;
        return 0;
}

int nodes_connect(struct daemon *d, unsigned node)
{
        const struct config *config = d->config;
        struct redis_options options = {
                .loop = &d->loop,
                .node = node,
                .address = &d->nodes.all[node].own.address,
                .key_prefix = config->lock.key_prefix,
                .connect_timeout_ms = config->redis.connect_timeout_ms,
                .heartbeat_ms = REDIS_HEARTBEAT_MS,
                .batch_max = REDIS_BATCH_MAX,
                .reconnect_min_ms = config->redis.reconnect_min_ms,
                .reconnect_max_ms = config->redis.reconnect_max_ms,
                .members = config->redis.restart_quarantine ? d->nodes.members : NULL,
                .ttl_max_ms = config->lock.ttl_max_ms,
                .round_trip = &d->nodes.all[node].round_trip,
                .userdata = d,
                .on_state = nodes_on_state,
                .on_look = nodes_on_look,
                .on_answer = nodes_on_answer,
        };
        int r;

        r = redis_new(&d->nodes.all[node].redis, &options);
        if (r < 0)
                return r;
        ++d->nodes.all[node].open_n;
        ++d->nodes.open_n;
        return nodes_new_ears(d, node);
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
                memory_execute(d->nodes.memory, command, d->nodes.epoch_ms + clock_now_ns() / 1000000, &answer);
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
