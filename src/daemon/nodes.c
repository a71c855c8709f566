/*
 * The pool of nodes: which there are, and how that changes. What goes to them and comes from them: nodes_traffic.c.
 *
 *      FREE --configured--> MEMBER --not configured any more--> LEAVING --maxTtl--> CLOSING --closed--> FREE
 *
 * LEAVING lasts as long as anything may be locked that was locked before: until then what is released is released there
 * too, for the sake of hosts that still count on it, and no other node comes or goes.
 */
#include "redlockd/daemon/nodes.h"

#include "redlockd/base/mem.h"
#include "redlockd/core/inspect.h"
#include "redlockd/daemon/daemon.h"
#include "redlockd/daemon/nodes_traffic.h"
#include "redlockd/daemon/pump.h"
#include "redlockd/net/clock.h"
#include "redlockd/net/log.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>

#define NS_PER_MS UINT64_C(1000000)

static const unsigned place_moves[] = {
        [PLACE_FREE] = 1 << PLACE_MEMBER,
        [PLACE_MEMBER] = 1 << PLACE_LEAVING | 1 << PLACE_CLOSING | 1 << PLACE_FREE,
        [PLACE_LEAVING] = 1 << PLACE_CLOSING,
        [PLACE_CLOSING] = 1 << PLACE_FREE,
};

static void nodes_move(struct node *n, enum node_place place)
{
        assert(place_moves[n->place] & 1u << place);
        n->place = place;
}

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
        const struct log_about about = { .event = "node", .node = name };
        struct inspect_node seen;

        inspect_node(d->engine, node, &seen);
        if (seen.state == NODE_CONNECTING)
                log_write(LOG_LEVEL_DEBUG, &about, "node %s: connecting", name);
        else if (seen.state == NODE_UP)
                log_write(LOG_LEVEL_INFO, &about, "node %s: up", name);
        else if (seen.votes_ns > 0)
                log_write(LOG_LEVEL_WARN, &about, "node %s: %s: %s; votes in %llu s", name, names[seen.state],
                          seen.reason, (unsigned long long)nodes_seconds_until(seen.votes_ns));
        else
                log_write(LOG_LEVEL_WARN, &about, "node %s: %s: %s", name, names[seen.state], seen.reason);
}

static void nodes_log_member(const struct node *n, const char *what)
{
        log_write(LOG_LEVEL_INFO, &(struct log_about){ .event = "node", .node = n->own.name }, "node %s: %s",
                  n->own.name, what);
}

/* What all hosts have to agree on. */
static void nodes_find_members(const struct config *config, char ret_members[REDIS_MEMBERS_MAX])
{
        const char *names[NODES_MAX];
        unsigned i;

        for (i = 0; i < config->nodes_n; ++i)
                names[i] = config->nodes[i].name;
        redis_members(names, config->nodes_n, ret_members);
}

static void nodes_close_one(struct daemon *d, unsigned node);

/* Takes the node over; it is a member from now on. 0 or -ENOMEM, and then it is nobody's. */
static int nodes_add(struct daemon *d, unsigned number, struct config_node own)
{
        struct node *n = &d->nodes.all[number];
        int r;

        n->own = own;
        n->round_trip = (struct histogram)HISTOGRAM_INIT(histogram_fast_us);
        d->nodes.epoch_ms = clock_unix_ms() - clock_now_ns() / 1000000;
        if (own.address.kind == ADDRESS_MEMORY)
                r = memory_new(&d->nodes.memory);
        else
                r = nodes_connect(d, number);
        if (r < 0 && n->open_n == 0) {
                config_node_deinit(&n->own);
                return r;
        }
        nodes_move(n, PLACE_MEMBER);
        if (r < 0) { /* half of it was made */
                nodes_close_one(d, number);
                return r;
        }
        d->nodes.shown[number] = (struct reply_node){ .name = n->own.name, .url = n->own.address.shown };
        if (number >= d->nodes.n)
                d->nodes.n = number + 1;
        return 0;
}

static void nodes_settle_cb(uv_timer_t *timer);

int nodes_init(struct daemon *d)
{
        struct nodes *nodes = &d->nodes;
        unsigned i;
        int r;

        nodes->all = mem_zalloc_n(NODES_MAX, sizeof(*nodes->all));
        nodes->shown = mem_zalloc_n(NODES_MAX, sizeof(*nodes->shown));
        if (!nodes->all || !nodes->shown)
                return -ENOMEM;
        nodes_find_members(d->config, nodes->members);
        for (i = 0; i < d->config->nodes_n; ++i) {
                r = nodes_add(d, i, config_take_node(&d->settings, i));
                if (r < 0)
                        return r;
        }
        return 0;
}

void nodes_deinit(struct daemon *d)
{
        unsigned i;

        assert(d->nodes.open_n == 0);
        for (i = 0; i < d->nodes.n; ++i)
                config_node_deinit(&d->nodes.all[i].own);
        d->nodes.memory = memory_free(d->nodes.memory);
        d->nodes.all = mem_free(d->nodes.all);
        d->nodes.shown = mem_free(d->nodes.shown);
}

bool nodes_local(const struct daemon *d)
{
        return d->nodes.memory != NULL;
}

int nodes_find(const struct daemon *d, struct text name)
{
        unsigned i;

        for (i = 0; i < d->nodes.n; ++i)
                if (d->nodes.all[i].place == PLACE_MEMBER && text_equal(name, text_of(d->nodes.shown[i].name)))
                        return (int)i;
        return -ENOENT;
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
        struct node *n = &d->nodes.all[node];

        --d->nodes.open_n;
        if (--n->open_n > 0)
                return;
        d->nodes.shown[node] = (struct reply_node){ 0 }; /* a lock may still be known to stand on it */
        config_node_deinit(&n->own);
        nodes_move(n, PLACE_FREE);
}

static void nodes_close_one(struct daemon *d, unsigned node)
{
        struct node *n = &d->nodes.all[node];
        struct redis_ears *ears = n->ears;
        struct redis *redis = n->redis;

        if (n->open_n == 0 || n->place == PLACE_CLOSING)
                return;
        nodes_move(n, PLACE_CLOSING);
        /* First forgotten, then closed: what is answered meanwhile may ask for a command to it. */
        n->ears = NULL;
        n->redis = NULL;
        if (ears)
                redis_ears_close(ears, nodes_on_closed);
        if (redis)
                redis_close(redis, nodes_on_closed);
}

static void nodes_settle_cb(uv_timer_t *timer)
{
        struct daemon *d = timer->data;
        unsigned i;

        for (i = 0; i < d->nodes.n; ++i) {
                if (d->nodes.all[i].place == PLACE_MEMBER && d->nodes.all[i].redis)
                        redis_settle(d->nodes.all[i].redis);
                if (d->nodes.all[i].place != PLACE_LEAVING)
                        continue;
                nodes_log_member(&d->nodes.all[i], "closed");
                nodes_post_state(d, i, NODE_DOWN, "removed", true);
                nodes_close_one(d, i);
        }
}

static uint64_t nodes_wait_ms(const struct daemon *d)
{
        uint64_t now_ns = clock_now_ns(), end_ns = d->nodes.settled_ns;

        return end_ns > now_ns ? (end_ns - now_ns + NS_PER_MS - 1) / NS_PER_MS : 0;
}

struct config_running nodes_running(const struct daemon *d, const struct config_node **ret_nodes)
{
        struct config_running running = { .config = d->config, .nodes = ret_nodes, .nodes_wait_ms = nodes_wait_ms(d) };
        unsigned i;

        for (i = 0; i < d->nodes.n; ++i)
                if (d->nodes.all[i].place == PLACE_MEMBER)
                        ret_nodes[running.nodes_n++] = &d->nodes.all[i].own;
        return running;
}

/* The member that is this node; NODES_MAX: none. */
static unsigned nodes_find_same(const struct daemon *d, const struct config_node *node)
{
        unsigned i;

        for (i = 0; i < d->nodes.n; ++i)
                if (d->nodes.all[i].place == PLACE_MEMBER && config_same_node(&d->nodes.all[i].own, node))
                        return i;
        return NODES_MAX;
}

int nodes_prepare(struct daemon *d, struct config *next, unsigned *ret_number)
{
        unsigned i, free;
        int r;

        *ret_number = NODES_MAX;
        for (i = 0; i < next->nodes_n && nodes_find_same(d, &next->nodes[i]) < NODES_MAX; ++i)
                ;
        if (i == next->nodes_n)
                return 0;
        for (free = 0; free < NODES_MAX && d->nodes.all[free].place != PLACE_FREE; ++free)
                ;
        if (free == NODES_MAX)
                return -EBUSY;
        r = nodes_add(d, free, config_take_node(next, i));
        if (r >= 0)
                *ret_number = free;
        return r;
}

static void swap_strings(char **a, char **b)
{
        char *kept = *a;

        *a = *b;
        *b = kept;
}

/* What of a node may be another while it stays: how it is called, and who we are to it. */
static void nodes_rename(struct daemon *d, unsigned node, struct config_node *next)
{
        struct node *n = &d->nodes.all[node];

        swap_strings(&n->own.name, &next->name);
        swap_strings(&n->own.address.user, &next->address.user);
        swap_strings(&n->own.address.password, &next->address.password);
        swap_strings(&n->own.address.shown, &next->address.shown);
        d->nodes.shown[node].name = n->own.name;
        d->nodes.shown[node].url = n->own.address.shown;
        if (n->redis)
                redis_configure(n->redis, d->config->redis.connect_timeout_ms, d->config->redis.reconnect_min_ms,
                                d->config->redis.reconnect_max_ms);
}

static void nodes_begin_to_settle(struct daemon *d)
{
        d->nodes.settled_ns = clock_now_ns() + d->config->lock.ttl_max_ms * NS_PER_MS;
        uv_timer_start(&d->nodes.settle, nodes_settle_cb, d->config->lock.ttl_max_ms, 0);
}

/* The list may be another one, or its names: all hosts are to agree on the new one by the time it has settled. */
static void nodes_recertify(struct daemon *d)
{
        char members[REDIS_MEMBERS_MAX];
        const char *names[NODES_MAX];
        unsigned i, n = 0;

        for (i = 0; i < d->nodes.n; ++i)
                if (d->nodes.all[i].place == PLACE_MEMBER)
                        names[n++] = d->nodes.all[i].own.name;
        redis_members(names, n, members);
        if (strcmp(members, d->nodes.members) == 0)
                return;
        snprintf(d->nodes.members, sizeof(d->nodes.members), "%s", members);
        for (i = 0; i < d->nodes.n && d->config->redis.restart_quarantine; ++i)
                if (d->nodes.all[i].place == PLACE_MEMBER && d->nodes.all[i].redis)
                        redis_recertify(d->nodes.all[i].redis, d->nodes.members);
        nodes_begin_to_settle(d);
}

void nodes_configure(struct daemon *d, struct config *next, unsigned number)
{
        struct event event = { .kind = EVENT_CONFIGURE };
        bool stays[NODES_MAX] = { false }, changed = number < NODES_MAX;
        unsigned i, node;

        for (i = 0; i < next->nodes_n; ++i) {
                if (!next->nodes[i].name)
                        continue; /* the one that was made of it */
                node = nodes_find_same(d, &next->nodes[i]);
                nodes_rename(d, node, &next->nodes[i]);
                stays[node] = true;
        }
        for (i = 0; i < d->nodes.n; ++i) {
                if (d->nodes.all[i].place != PLACE_MEMBER)
                        continue;
                if (!stays[i] && i != number) {
                        nodes_move(&d->nodes.all[i], PLACE_LEAVING);
                        nodes_log_member(&d->nodes.all[i], "removed");
                        changed = true;
                        continue;
                }
                event.configure.members |= UINT32_C(1) << i;
        }
        event.configure.locks_max = d->config->limits.locks_per_session_max;
        event.configure.locks_all_max = d->config->limits.locks_max;
        event.configure.waiters_max = d->config->limits.waiters_per_key_max;
        pump_post(d, &event);
        nodes_recertify(d);
        if (changed)
                nodes_begin_to_settle(d);
        if (number < NODES_MAX) {
                nodes_log_member(&d->nodes.all[number], "added");
                redis_start(d->nodes.all[number].redis);
        }
}

void nodes_close(struct daemon *d)
{
        unsigned i;

        uv_close((uv_handle_t *)&d->nodes.settle, NULL);
        for (i = 0; i < d->nodes.n; ++i)
                nodes_close_one(d, i);
}
