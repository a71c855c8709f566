/*
 * Replies and notices as lines of JSON. The value of `result`, `error` or `params` is built first, then the whole line
 * in a buffer of its own, and only a complete line is appended. What is said most often is printed by quick_print.c.
 */
#include "redlockd/wire/reply.h"

#include "redlockd/base/mem.h"
#include "redlockd/wire/codec.h"
#include "redlockd/wire/quick.h"
#include "redlockd/wire/views.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>

#define PROTOCOL    1
#define REASON_MAX  (NODE_REASON_MAX + 32) /* a node's own words and what stands before them */
#define BEFORE_ID   "{\"jsonrpc\":\"2.0\",\"id\":"
#define BEFORE_NAME "{\"jsonrpc\":\"2.0\",\"method\":\""

/* Appends the line `before name between value }`. Takes `value`; NULL: there was no memory for it. */
static int reply_append(struct buffer *out, const char *before, const char *name, const char *between, json_t *value)
{
        struct buffer line = BUFFER_INIT(out->max - buffer_len(out));
        int r = value ? 0 : -ENOMEM;

        if (r == 0)
                r = buffer_append(&line, before, strlen(before));
        if (r == 0)
                r = buffer_append(&line, name, strlen(name));
        if (r == 0)
                r = buffer_append(&line, between, strlen(between));
        if (r == 0)
                r = codec_write(value, &line);
        if (r == 0)
                r = buffer_append(&line, "}\n", 2);
        if (r == 0)
                r = buffer_append(out, buffer_data(&line), buffer_len(&line));
        buffer_deinit(&line);
        json_decref(value);
        return r;
}

/* The keys with this outcome. */
static json_t *reply_keys(const struct reply *reply, enum lock_outcome outcome)
{
        json_t *array = json_array();
        int r = 0;
        size_t i;

        for (i = 0; i < reply->items_n; ++i)
                if (reply->items[i].outcome == outcome)
                        r |= json_array_append_new(array, codec_key(reply->items[i].key));
        return codec_finish(array, r);
}

static const char *reply_state(enum lock_outcome outcome)
{
        switch (outcome) {
        case OUTCOME_HELD:
                return "held";
        case OUTCOME_ACQUIRED:
                return "acquired";
        case OUTCOME_EXTENDED:
                return "extended";
        case OUTCOME_REACQUIRED:
                return "reacquired";
        default:
                assert(0);
        }
}

static json_t *reply_lock(const struct reply_context *context, const struct reply_item *item)
{
        uint64_t validity_ms = views_ms_until(item->valid_until_ns, context->now_ns);
        json_t *value = json_object();
        int r = 0;

        r |= json_object_set_new(value, "key", codec_key(item->key));
        r |= json_object_set_new(value, "value", codec_string(item->value));
        r |= json_object_set_new(value, "fence", codec_number(item->fence));
        r |= json_object_set_new(value, "state", json_string(reply_state(item->outcome)));
        r |= json_object_set_new(value, "validity", codec_number(validity_ms));
        r |= json_object_set_new(value, "expiration", codec_number(views_unix_ms(context, item->valid_until_ns)));
        return codec_finish(value, r);
}

static json_t *reply_locks(const struct reply_context *context, const struct reply *reply)
{
        json_t *value = json_object(), *array = json_array();
        int r = 0;
        size_t i;

        for (i = 0; i < reply->items_n; ++i)
                r |= json_array_append_new(array, reply_lock(context, &reply->items[i]));
        r |= json_object_set_new(value, "locks", array);
        r |= json_object_set_new(value, "attempts", codec_number(reply->attempts));
        r |= json_object_set_new(value, "waited", codec_number(reply->waited_ms));
        return codec_finish(value, r);
}

static json_t *reply_freed(const struct reply *reply)
{
        json_t *value = json_object();
        int r = 0;

        r |= json_object_set_new(value, "freed", reply_keys(reply, OUTCOME_FREED));
        r |= json_object_set_new(value, "pending", reply_keys(reply, OUTCOME_PENDING));
        r |= json_object_set_new(value, "expired", reply_keys(reply, OUTCOME_EXPIRED));
        r |= json_object_set_new(value, "missing", reply_keys(reply, OUTCOME_MISSING));
        return codec_finish(value, r);
}

static json_t *reply_cancelled(const struct reply *reply)
{
        json_t *value = json_object();

        return codec_finish(value, json_object_set_new(value, "cancelled", json_boolean(reply->cancelled)));
}

static json_t *reply_hello(const struct reply_context *context, const struct reply *reply)
{
        json_t *value = json_object(), *limits = json_object();
        const struct reply_limit *limit;
        int r = 0;

        for (limit = context->limits; limit && limit->name; ++limit)
                r |= json_object_set_new(limits, limit->name, codec_number(limit->value));
        r |= json_object_set_new(value, "server", json_string("redlockd"));
        r |= json_object_set_new(value, "version", codec_string(context->version));
        r |= json_object_set_new(value, "protocol", codec_number(PROTOCOL));
        r |= json_object_set_new(value, "session", codec_number(reply->session));
        r |= json_object_set_new(value, "releaseOn", json_string(release_on_name(context->release_on)));
        r |= json_object_set_new(value, "limits", limits);
        return codec_finish(value, r);
}

static json_t *reply_holder(const struct holder *holder)
{
        json_t *value = json_object();
        int r = 0;

        r |= json_object_set_new(value, "session", codec_number(holder->session));
        r |= json_object_set_new(value, "pid", json_integer(holder->pid));
        r |= json_object_set_new(value, "uid", json_integer(holder->uid));
        r |= json_object_set_new(value, "name", codec_string(holder->name));
        return codec_finish(value, r);
}

static json_t *reply_drain(const struct reply *reply)
{
        json_t *value = json_object();

        return codec_finish(value, json_object_set_new(value, "draining", json_boolean(reply->draining)));
}

static json_t *reply_broken(const struct reply *reply)
{
        json_t *value = json_object();
        int r = 0;

        r |= json_object_set_new(value, "key", codec_key(reply->items[0].key));
        r |= json_object_set_new(value, "holder", reply_holder(reply->holder));
        return codec_finish(value, r);
}

static json_t *reply_metrics(const struct reply_context *context)
{
        json_t *value = json_object();

        return codec_finish(value, json_object_set_new(value, "text", codec_key(context->metrics)));
}

static json_t *reply_result(const struct reply_context *context, const struct reply *reply)
{
        switch (reply->method) {
        case METHOD_ADD:
        case METHOD_EXTEND:
                return reply_locks(context, reply);
        case METHOD_FREE:
        case METHOD_RESET:
                return reply_freed(reply);
        case METHOD_CANCEL:
                return reply_cancelled(reply);
        case METHOD_HELLO:
                return reply_hello(context, reply);
        case METHOD_METRICS:
                return reply_metrics(context);
        case METHOD_PING:
        case METHOD_RELOAD:
                return json_object();
        case METHOD_STATUS:
                return views_status(context);
        case METHOD_NODES:
                return views_nodes(context);
        case METHOD_WHY:
                return views_why(context, reply);
        case METHOD_DRAIN:
                return reply_drain(reply);
        case METHOD_KILL:
                return reply_holder(reply->holder);
        case METHOD_BREAK:
                return reply_broken(reply);
        case METHOD_CERTIFY:
                return views_certified(context, reply);
        case METHOD_LIST:
        case METHOD_SUBSCRIBE:
        case METHOD_SESSIONS:
        case METHOD_LOCKS:
        case METHOD_WAITERS: /* see listing.h */
        case METHODS_N:
                break;
        }
        assert(0);
}

/* {"code", "message", "data": {"name", ...}}; takes `message` and `data`. */
static json_t *reply_error_value(enum error_name name, json_t *message, json_t *data)
{
        json_t *value = json_object();
        int r = 0;

        r |= json_object_set_new(value, "code", json_integer(error_code(name)));
        r |= json_object_set_new(value, "message", message);
        r |= json_object_set_new(value, "data", data);
        return codec_finish(value, r);
}

static json_t *reply_error_data(enum error_name name)
{
        json_t *data = json_object();

        return codec_finish(data, json_object_set_new(data, "name", json_string(error_name(name))));
}

/* `before`, the keys that the error is about, joined by a comma, and `after`. */
static json_t *reply_message(const char *before, const struct reply *reply, const char *after)
{
        struct buffer text = BUFFER_INIT(SIZE_MAX);
        json_t *value = NULL;
        bool first = true;
        size_t i;
        int r;

        r = buffer_append(&text, before, strlen(before));
        for (i = 0; i < reply->items_n && r == 0; ++i) {
                if (reply->items[i].outcome != OUTCOME_TAKEN)
                        continue;
                if (!first)
                        r = buffer_append(&text, ",", 1);
                if (r == 0)
                        r = buffer_append(&text, reply->items[i].key.data, reply->items[i].key.len);
                first = false;
        }
        if (r == 0)
                r = buffer_append(&text, after, strlen(after));
        if (r == 0)
                value = codec_key((struct text){ buffer_data(&text), buffer_len(&text) });
        buffer_deinit(&text);
        return value;
}

static json_t *reply_error_message(const struct reply *reply)
{
        char text[160];

        switch (reply->error) {
        case ERROR_LOCKED:
                snprintf(text, sizeof(text), "Exceeded %lld attempts to lock the resource \"",
                         (long long)reply->retries);
                return reply_message(text, reply, "\".");
        case ERROR_NOT_HELD:
                if (reply->method == METHOD_BREAK)
                        return reply_message("Nobody on this host holds the resource \"", reply, "\".");
                return reply_message("This session does not hold the resource \"", reply, "\".");
        case ERROR_LOST:
                return reply_message("The lock on the resource \"", reply, "\" was lost.");
        case ERROR_BROKEN:
                return reply_message("An administrator broke the lock on the resource \"", reply, "\".");
        case ERROR_NO_QUORUM:
                return json_string("Too few nodes answered for a quorum.");
        case ERROR_LIMIT:
                snprintf(text, sizeof(text), "Over the limit %s (%llu).", reply->limit ? reply->limit : "",
                         (unsigned long long)reply->limit_value);
                return codec_string(text);
        case ERROR_STOPPING:
                return json_string("The broker is stopping.");
        case ERROR_DEADLOCK:
                return reply_message("Waiting for the resource \"", reply,
                                     "\" would not end: it waits for this session.");
        case ERROR_CANCELLED:
                return json_string("The request was cancelled.");
        case ERROR_DENIED:
                return json_string("Not allowed.");
        case ERROR_INTERNAL:
                return json_string("No memory for the request, or a bug in the broker.");
        default:
                return json_string(error_name(reply->error));
        }
}

/* Who waits for which key, which the next of them holds or is to get first; the last waits for the first. */
static json_t *reply_cycle(const struct reply *reply)
{
        json_t *value = json_array(), *step;
        size_t i;
        int r = 0;

        for (i = 0; i < reply->cycle_n; ++i) {
                step = reply_holder(&reply->cycle[i].session);
                r |= json_object_set_new(step, "key", codec_key(reply->cycle[i].key));
                r |= json_array_append_new(value, step);
        }
        return codec_finish(value, r);
}

/* Why a node gave no vote, or what its vote was. */
static json_t *reply_vote(const struct reply_context *context, unsigned node, enum vote_reason vote)
{
        static const char *const words[] = {
                [VOTE_NONE] = "no vote",
                [VOTE_GRANTED] = "granted",
                [VOTE_HELD] = "held",
                [VOTE_ERROR] = "error",
                [VOTE_LOST] = "connection lost",
                [VOTE_TIMEOUT] = "no answer in time",
                [VOTE_DOWN] = "down",
                [VOTE_PENDING] = "decided before it answered",
                [VOTE_LATE] = "granted too late",
                [VOTE_UNCERTIFIED] = "quarantined",
        };
        const char *word = words[vote], *why = "";
        struct inspect_node seen;
        char text[REASON_MAX];

        inspect_node(context->engine, node, &seen);
        if (vote == VOTE_ERROR) {
                why = seen.error;
        } else if (vote == VOTE_DOWN || vote == VOTE_UNCERTIFIED) {
                why = seen.reason;
                if (vote == VOTE_DOWN && seen.state != NODE_UP)
                        word = views_state_name(seen.state);
        }
        snprintf(text, sizeof(text), "%s%s%s", word, *why ? ": " : "", why);
        return codec_string(text);
}

static json_t *reply_votes(const struct reply_context *context, const struct reply *reply)
{
        json_t *array = json_array();
        int r = 0;
        unsigned i;

        for (i = 0; i < reply->votes_n; ++i) {
                json_t *node;

                if (reply->votes[i] == VOTE_NONE)
                        continue;
                node = json_object();
                r |= json_object_set_new(node, "name", codec_string(context->nodes[i].name));
                r |= json_object_set_new(node, "reason", reply_vote(context, i, reply->votes[i]));
                r |= json_array_append_new(array, node);
        }
        return codec_finish(array, r);
}

static json_t *reply_error(const struct reply_context *context, const struct reply *reply)
{
        bool keys = reply->error == ERROR_LOCKED || reply->error == ERROR_NOT_HELD || reply->error == ERROR_LOST ||
                    reply->error == ERROR_DEADLOCK || reply->error == ERROR_BROKEN;
        bool tried = reply->error == ERROR_LOCKED || reply->error == ERROR_NO_QUORUM;
        json_t *data = reply_error_data(reply->error);
        int r = 0;

        if (keys)
                r |= json_object_set_new(data, "keys", reply_keys(reply, OUTCOME_TAKEN));
        if (reply->error == ERROR_NO_QUORUM)
                r |= json_object_set_new(data, "nodes", reply_votes(context, reply));
        if (tried) {
                r |= json_object_set_new(data, "attempts", codec_number(reply->attempts));
                r |= json_object_set_new(data, "waited", codec_number(reply->waited_ms));
        }
        if (reply->error == ERROR_DEADLOCK)
                r |= json_object_set_new(data, "cycle", reply_cycle(reply));
        if (reply->error == ERROR_LOCKED && reply->holder && reply->holder->session != 0)
                r |= json_object_set_new(data, "holder", reply_holder(reply->holder));
        if (reply->error == ERROR_LIMIT) {
                r |= json_object_set_new(data, "what", codec_string(reply->limit));
                r |= json_object_set_new(data, "limit", codec_number(reply->limit_value));
        }
        return reply_error_value(reply->error, reply_error_message(reply), codec_finish(data, r));
}

int reply_print(struct buffer *out, const struct reply_context *context, const char *id, const struct reply *reply)
{
        int r = quick_print(out, context, id, reply);

        if (r == 0)
                return reply_print_long(out, context, id, reply);
        return r < 0 ? r : 0;
}

int reply_print_long(struct buffer *out, const struct reply_context *context, const char *id, const struct reply *reply)
{
        codec_use();
        if (reply->error != ERROR_NONE)
                return reply_append(out, BEFORE_ID, id, ",\"error\":", reply_error(context, reply));
        return reply_append(out, BEFORE_ID, id, ",\"result\":", reply_result(context, reply));
}

/* Each line as an element; they end with their LF. */
static json_t *reply_lines(struct text lines)
{
        json_t *array = json_array();
        const char *end;
        char *line;
        int r = 0;

        while (r == 0 && lines.len > 0 && (end = memchr(lines.data, '\n', lines.len))) {
                size_t n = (size_t)(end - lines.data);

                line = mem_zalloc(n + 1);
                if (!line) {
                        r = -1;
                        break;
                }
                memcpy(line, lines.data, n);
                r |= json_array_append_new(array, codec_string(line));
                mem_free(line);
                lines = (struct text){ end + 1, lines.len - n - 1 };
        }
        return codec_finish(array, r);
}

int reply_print_error(struct buffer *out, const char *id, const struct wire_error *error)
{
        json_t *data;
        int r = 0;

        codec_use();
        data = reply_error_data(error->name);
        if (error->name == ERROR_INVALID_PARAMS || (error->name == ERROR_DENIED && error->path[0]))
                r |= json_object_set_new(data, "path", codec_string(error->path));
        if (error->lines.len > 0)
                r |= json_object_set_new(data, "errors", reply_lines(error->lines));
        if (error->what) {
                r |= json_object_set_new(data, "what", codec_string(error->what));
                r |= json_object_set_new(data, "limit", codec_number(error->limit));
        }
        return reply_append(out, BEFORE_ID, id, ",\"error\":",
                            reply_error_value(error->name, codec_string(error->message), codec_finish(data, r)));
}

static json_t *reply_notice_lost(const struct notice *notice)
{
        json_t *value = json_object();
        int r = 0;

        r |= json_object_set_new(value, "key", codec_key(notice->key));
        r |= json_object_set_new(value, "value", codec_string(notice->value));
        r |= json_object_set_new(value, "reason", json_string(lost_reason_name(notice->lost)));
        return codec_finish(value, r);
}

static json_t *reply_notice_expiring(const struct reply_context *context, const struct notice *notice)
{
        json_t *value = json_object();
        int r = 0;

        r |= json_object_set_new(value, "key", codec_key(notice->key));
        r |= json_object_set_new(value, "validity",
                                 codec_number(views_ms_until(notice->valid_until_ns, context->now_ns)));
        return codec_finish(value, r);
}

static json_t *reply_notice_node(const struct reply_context *context, const struct notice *notice)
{
        struct inspect_node seen;
        json_t *value = json_object();
        int r = 0;

        inspect_node(context->engine, notice->node, &seen);
        r |= json_object_set_new(value, "name", codec_string(context->nodes[notice->node].name));
        r |= json_object_set_new(value, "state", json_string(views_state_name(seen.state)));
        r |= json_object_set_new(value, "reason", codec_string(seen.reason));
        return codec_finish(value, r);
}

int reply_print_notice(struct buffer *out, const struct reply_context *context, const struct notice *notice)
{
        codec_use();
        switch (notice->kind) {
        case NOTICE_LOST:
                return reply_append(out, BEFORE_NAME, "lost", "\",\"params\":", reply_notice_lost(notice));
        case NOTICE_STOPPING:
                return reply_append(out, BEFORE_NAME, "stopping", "\",\"params\":", json_object());
        case NOTICE_NODE:
                return reply_append(out, BEFORE_NAME, "node", "\",\"params\":", reply_notice_node(context, notice));
        case NOTICE_EXPIRING:
                return reply_append(out, BEFORE_NAME, "expiring",
                                    "\",\"params\":", reply_notice_expiring(context, notice));
        case NOTICE_DEFAULT:
                break;
        }
        assert(0);
}

bool reply_lapsed(const struct reply *reply, uint64_t now_ns)
{
        size_t i;

        if (reply->error != ERROR_NONE || (reply->method != METHOD_ADD && reply->method != METHOD_EXTEND))
                return false;
        for (i = 0; i < reply->items_n; ++i)
                if (views_ms_until(reply->items[i].valid_until_ns, now_ns) < 1)
                        return true;
        return false;
}
