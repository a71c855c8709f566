/*
 * What the broker shows of itself and does not grow with its clients; what does is in listing.c.
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

uint64_t views_unix_ms(const struct reply_context *context, uint64_t then_ns)
{
        return context->unix_ms + then_ns / NS_PER_MS - context->now_ns / NS_PER_MS;
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
        return codec_number(views_unix_ms(context, seen->votes_ns));
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
