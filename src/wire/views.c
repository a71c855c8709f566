/*
 * What the broker shows of itself: status, nodes, sessions, locks, waiters, and a session's own lock map.
 */
#include "redlockd/wire/views.h"

#include "redlockd/wire/codec.h"

#include <assert.h>
#include <stdio.h>

#define NS_PER_MS 1000000
#define US_PER_MS 1000

uint64_t views_ms_until(uint64_t then_ns, uint64_t now_ns)
{
        return then_ns > now_ns ? (then_ns - now_ns) / NS_PER_MS : 0;
}

uint64_t views_ms_since(uint64_t then_ns, uint64_t now_ns)
{
        return views_ms_until(now_ns, then_ns);
}

const char *views_state_name(enum node_state state)
{
        switch (state) {
        case NODE_CONNECTING:
                return "connecting";
        case NODE_UP:
                return "up";
        case NODE_DOWN:
                return "down";
        case NODE_QUARANTINED:
                return "quarantined";
        case NODE_UNFIT:
                return "unfit";
        }
        assert(0);
}

/* {name: array}, or NULL; takes the array. */
static json_t *views_under(const char *name, json_t *array)
{
        json_t *value = json_object();

        return codec_finish(value, json_object_set_new(value, name, array));
}

static json_t *views_counters(const struct reply_context *context, const struct inspect_counters *counters)
{
        json_t *value = json_object();
        int r = 0;

        r |= json_object_set_new(value, "requests", codec_number(counters->requests));
        r |= json_object_set_new(value, "granted", codec_number(counters->granted));
        r |= json_object_set_new(value, "locked", codec_number(counters->locked));
        r |= json_object_set_new(value, "noQuorum", codec_number(counters->no_quorum));
        r |= json_object_set_new(value, "extended", codec_number(counters->extended));
        r |= json_object_set_new(value, "freed", codec_number(counters->freed));
        r |= json_object_set_new(value, "expired", codec_number(counters->expired));
        r |= json_object_set_new(value, "lost", codec_number(counters->lost));
        r |= json_object_set_new(value, "deadlocks", codec_number(counters->deadlocks));
        r |= json_object_set_new(value, "handovers", codec_number(counters->handovers));
        r |= json_object_set_new(value, "tenures", codec_number(counters->tenures));
        r |= json_object_set_new(value, "wakeups", codec_number(counters->wakeups));
        r |= json_object_set_new(value, "raises", codec_number(counters->raises));
        r |= json_object_set_new(value, "plants", codec_number(counters->plants));
        r |= json_object_set_new(value, "disconnectReleases", codec_number(counters->disconnect_releases));
        r |= json_object_set_new(value, "malformed", codec_number(context->malformed));
        return codec_finish(value, r);
}

json_t *views_status(const struct reply_context *context)
{
        struct inspect_status status;
        json_t *value = json_object();
        int r = 0;

        inspect_status(context->engine, &status);
        r |= json_object_set_new(value, "version", codec_string(context->version));
        r |= json_object_set_new(value, "pid", json_integer(context->pid));
        r |= json_object_set_new(value, "uptime", codec_number(views_ms_since(context->started_ns, context->now_ns)));
        r |= json_object_set_new(value, "scope", codec_string(context->scope));
        r |= json_object_set_new(value, "nodes", codec_number(status.nodes_n));
        r |= json_object_set_new(value, "nodesUp", codec_number(status.nodes_up_n));
        r |= json_object_set_new(value, "nodesQuarantined", codec_number(status.nodes_quarantined_n));
        r |= json_object_set_new(value, "nodesUnfit", codec_number(status.nodes_unfit_n));
        r |= json_object_set_new(value, "quorum", codec_number(status.quorum));
        r |= json_object_set_new(value, "quorumOk", json_boolean(status.nodes_up_n >= status.quorum));
        r |= json_object_set_new(value, "sessions", codec_number(status.sessions_n));
        r |= json_object_set_new(value, "locks", codec_number(status.locks_n));
        r |= json_object_set_new(value, "waiters", codec_number(status.waiters_n));
        r |= json_object_set_new(value, "restartQuarantine", json_boolean(context->restart_quarantine));
        r |= json_object_set_new(value, "draining", json_boolean(status.draining));
        r |= json_object_set_new(value, "counters", views_counters(context, &status.counters));
        return codec_finish(value, r);
}

/* When a quarantined node will vote, in Unix ms. */
static json_t *views_votes_at(const struct reply_context *context, const struct inspect_node *seen)
{
        if (seen->votes_ns == 0)
                return json_null();
        return codec_number(context->unix_ms + views_ms_until(seen->votes_ns, context->now_ns));
}

static json_t *views_node(const struct reply_context *context, unsigned node)
{
        const struct reply_node *known = &context->nodes[node];
        struct inspect_node seen;
        json_t *value = json_object(), *rtt;
        int r = 0;

        inspect_node(context->engine, node, &seen);
        rtt = known->rtt_us ? codec_number((known->rtt_us + US_PER_MS / 2) / US_PER_MS) : json_null();
        r |= json_object_set_new(value, "name", codec_string(known->name));
        r |= json_object_set_new(value, "url", codec_string(known->url));
        r |= json_object_set_new(value, "state", codec_string(views_state_name(seen.state)));
        r |= json_object_set_new(value, "reason", codec_string(seen.reason));
        r |= json_object_set_new(value, "votesAt", views_votes_at(context, &seen));
        r |= json_object_set_new(value, "rtt", rtt);
        r |= json_object_set_new(value, "redisVersion", codec_string(known->redis_version));
        r |= json_object_set_new(value, "runId", codec_string(known->run_id));
        r |= json_object_set_new(value, "errors", codec_number(seen.errors));
        return codec_finish(value, r);
}

json_t *views_nodes(const struct reply_context *context)
{
        struct inspect_status status;
        json_t *array = json_array();
        int r = 0;
        unsigned i;

        inspect_status(context->engine, &status);
        for (i = 0; i < NODES_MAX; ++i)
                if (status.members & (1u << i))
                        r |= json_array_append_new(array, views_node(context, i));
        return views_under("nodes", codec_finish(array, r));
}

json_t *views_certified(const struct reply_context *context, const struct reply *reply)
{
        json_t *value = json_object();
        int r = 0;

        r |= json_object_set_new(value, "certified", json_boolean(reply->certified));
        r |= json_object_set_new(value, "node", views_node(context, reply->node));
        return codec_finish(value, r);
}

static json_t *views_session(const struct reply_context *context, const struct inspect_session *session)
{
        uint64_t ago_ms = views_ms_since(session->connected_ns, context->now_ns);
        json_t *value = json_object();
        int r = 0;

        r |= json_object_set_new(value, "session", codec_number(session->session));
        r |= json_object_set_new(value, "pid", json_integer(session->pid));
        r |= json_object_set_new(value, "uid", json_integer(session->uid));
        r |= json_object_set_new(value, "gid", json_integer(session->gid));
        r |= json_object_set_new(value, "name", codec_string(session->name));
        r |= json_object_set_new(value, "connected", codec_number(context->unix_ms - ago_ms));
        r |= json_object_set_new(value, "locks", codec_number(session->locks_n));
        r |= json_object_set_new(value, "waiting", codec_number(session->waiting_n));
        return codec_finish(value, r);
}

json_t *views_sessions(const struct reply_context *context)
{
        struct inspect_session session;
        json_t *array = json_array();
        uint64_t after = 0;
        int r = 0;

        while (r == 0 && inspect_next_session(context->engine, after, &session)) {
                r |= json_array_append_new(array, views_session(context, &session));
                after = session.session;
        }
        return views_under("sessions", codec_finish(array, r));
}

/* An array that a walk of the engine fills. */
struct views_walk {
        const struct reply_context *context;
        json_t *array;
        int r;
};

/* The names of the nodes in a mask. */
static json_t *views_names(const struct views_walk *walk, uint32_t nodes)
{
        json_t *array = json_array();
        int r = 0;
        unsigned i;

        for (i = 0; i < NODES_MAX; ++i)
                if (nodes & (1u << i))
                        r |= json_array_append_new(array, codec_string(walk->context->nodes[i].name));
        return codec_finish(array, r);
}

static bool views_shows(const struct views_walk *walk, struct text key)
{
        return walk->r == 0 && (!walk->context->shows || walk->context->shows(walk->context->viewer, key));
}

static void views_lock_cb(void *userdata, const struct inspect_lock *lock)
{
        struct views_walk *walk = userdata;
        uint64_t now_ns = walk->context->now_ns;
        json_t *value;
        int r = 0;

        if (!views_shows(walk, lock->key))
                return;
        value = json_object();
        r |= json_object_set_new(value, "key", codec_key(lock->key));
        r |= json_object_set_new(value, "session", codec_number(lock->session));
        r |= json_object_set_new(value, "pid", json_integer(lock->pid));
        r |= json_object_set_new(value, "fence", codec_number(lock->fence));
        r |= json_object_set_new(value, "ttl", codec_number(lock->ttl_ms));
        r |= json_object_set_new(value, "validity", codec_number(views_ms_until(lock->valid_until_ns, now_ns)));
        r |= json_object_set_new(value, "heldFor", codec_number(views_ms_since(lock->since_ns, now_ns)));
        r |= json_object_set_new(value, "waiters", codec_number(lock->waiters_n));
        r |= json_object_set_new(value, "state", json_string("held"));
        r |= json_object_set_new(value, "nodes", views_names(walk, lock->nodes));
        walk->r |= json_array_append_new(walk->array, codec_finish(value, r));
}

static struct text views_filter(const struct reply *reply)
{
        return reply->items_n > 0 ? reply->items[0].key : (struct text){ NULL, 0 };
}

json_t *views_locks(const struct reply_context *context, const struct reply *reply)
{
        struct views_walk walk = { .context = context, .array = json_array() };

        inspect_locks(context->engine, context->now_ns, 0, views_filter(reply), views_lock_cb, &walk);
        return views_under("locks", codec_finish(walk.array, walk.r));
}

static void views_map_cb(void *userdata, const struct inspect_lock *lock)
{
        struct views_walk *walk = userdata;
        uint64_t validity_ms = views_ms_until(lock->valid_until_ns, walk->context->now_ns);
        json_t *value;
        int r = 0;

        if (walk->r != 0)
                return;
        value = json_object();
        r |= json_object_set_new(value, "key", codec_key(lock->key));
        r |= json_object_set_new(value, "value", codec_string(lock->value));
        r |= json_object_set_new(value, "fence", codec_number(lock->fence));
        r |= json_object_set_new(value, "state", json_string("held"));
        r |= json_object_set_new(value, "validity", codec_number(validity_ms));
        r |= json_object_set_new(value, "expiration", codec_number(walk->context->unix_ms + validity_ms));
        walk->r |= json_array_append_new(walk->array, codec_finish(value, r));
}

json_t *views_map(const struct reply_context *context, const struct reply *reply)
{
        struct views_walk walk = { .context = context, .array = json_array() };

        assert(reply->session != 0); /* 0 would show everybody's values */
        inspect_locks(context->engine, context->now_ns, reply->session, (struct text){ NULL, 0 }, views_map_cb, &walk);
        return views_under("locks", codec_finish(walk.array, walk.r));
}

static void views_waiter_cb(void *userdata, const struct inspect_waiter *waiter)
{
        struct views_walk *walk = userdata;
        json_t *value;
        int r = 0;

        if (!views_shows(walk, waiter->key))
                return;
        value = json_object();
        r |= json_object_set_new(value, "key", codec_key(waiter->key));
        r |= json_object_set_new(value, "session", codec_number(waiter->session));
        r |= json_object_set_new(value, "pid", json_integer(waiter->pid));
        r |= json_object_set_new(value, "position", codec_number(waiter->position));
        r |= json_object_set_new(value, "waited",
                                 codec_number(views_ms_since(waiter->since_ns, walk->context->now_ns)));
        walk->r |= json_array_append_new(walk->array, codec_finish(value, r));
}

json_t *views_waiters(const struct reply_context *context, const struct reply *reply)
{
        struct views_walk walk = { .context = context, .array = json_array() };

        inspect_waiters(context->engine, views_filter(reply), views_waiter_cb, &walk);
        return views_under("waiters", codec_finish(walk.array, walk.r));
}

/* "name:value name:value" as an object. */
static json_t *views_facts(const char *facts)
{
        json_t *value = json_object();
        char name[32], word[48];
        int r = 0, n;

        for (; sscanf(facts, " %31[^: ]:%47[^ ]%n", name, word, &n) == 2; facts += n)
                r |= json_object_set_new(value, name, codec_string(word));
        return codec_finish(value, r);
}

static json_t *views_seen(const struct reply_context *context, unsigned node, const struct peek_seen *seen)
{
        static const char *const values[] = {
                [PEEK_ABSENT] = "absent", [PEEK_OURS] = "ours", [PEEK_OTHER] = "other", [PEEK_OTHER_TYPE] = "otherType"
        };
        uint64_t ago_ms = views_ms_since(seen->at_ns, context->now_ns);
        bool answered = seen->vote == VOTE_GRANTED;
        struct inspect_node known;
        json_t *value = json_object();
        int r = 0;

        inspect_node(context->engine, node, &known);
        r |= json_object_set_new(value, "name", codec_string(context->nodes[node].name));
        r |= json_object_set_new(value, "state", codec_string(views_state_name(known.state)));
        r |= json_object_set_new(value, "reason", codec_string(known.reason));
        r |= json_object_set_new(value, "value", answered ? codec_string(values[seen->value]) : json_null());
        r |= json_object_set_new(value, "ttl", answered && seen->ttl_ms > 0 ? codec_number(seen->ttl_ms) : json_null());
        r |= json_object_set_new(value, "took", answered ? codec_number(seen->took_ns / NS_PER_MS) : json_null());
        /* How far its clock is ahead of ours. */
        r |= json_object_set_new(value, "clock",
                                 answered && seen->node_ms > 0
                                         ? json_integer((int64_t)(seen->node_ms - (context->unix_ms - ago_ms)))
                                         : json_null());
        r |= json_object_set_new(value, "facts", answered ? views_facts(seen->words) : json_null());
        r |= json_object_set_new(value, "error",
                                 seen->vote == VOTE_ERROR     ? codec_string(seen->words)
                                 : seen->vote == VOTE_TIMEOUT ? json_string("no answer in time")
                                 : seen->vote == VOTE_LOST    ? json_string("connection lost")
                                                              : json_null());
        return codec_finish(value, r);
}

json_t *views_why(const struct reply_context *context, const struct reply *reply)
{
        struct inspect_status status;
        json_t *value = json_object(), *array = json_array();
        int r = 0;
        unsigned i;

        inspect_status(context->engine, &status);
        for (i = 0; i < reply->seen_n; ++i)
                r |= json_array_append_new(array, views_seen(context, i, &reply->seen[i]));
        r |= json_object_set_new(value, "key", codec_key(reply->key));
        r |= json_object_set_new(value, "quorum", codec_number(status.quorum));
        r |= json_object_set_new(value, "draining", json_boolean(status.draining));
        r |= json_object_set_new(value, "nodes", array);
        return codec_finish(value, r);
}
