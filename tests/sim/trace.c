/*
 * The trace: one line an event, with true time in milliseconds. Commands of one round that go out at once share a line.
 * Tokens are numbered in the order in which they are first seen.
 */
#include "sim/world.h"

#include <stdarg.h>
#include <stdlib.h>

struct trace {
        FILE *out;
        bool fences;
        bool gathering;
        uint64_t round;
        unsigned host;
        char what[KEYS_PER_ROUND_MAX * 24 + 16];
        char (*tokens)[TOKEN_TEXT_LEN + 1];
        unsigned tokens_n, tokens_size;
};

struct trace *trace_new(FILE *out, bool fences)
{
        struct trace *t = calloc(1, sizeof(*t));

        t->out = out;
        t->fences = fences;
        return t;
}

struct trace *trace_free(struct trace *t)
{
        if (!t)
                return NULL;
        trace_flush(t);
        free(t->tokens);
        free(t);
        return NULL;
}

static unsigned trace_token(struct trace *t, const char *value)
{
        unsigned i;

        for (i = t->tokens_n; i > 0; --i)
                if (strcmp(t->tokens[i - 1], value) == 0)
                        return i;
        if (t->tokens_n == t->tokens_size) {
                t->tokens_size = t->tokens_size ? 2 * t->tokens_size : 64;
                t->tokens = realloc(t->tokens, t->tokens_size * sizeof(*t->tokens));
        }
        strcpy(t->tokens[t->tokens_n++], value);
        return t->tokens_n;
}

const char *trace_name(uint64_t session)
{
        static char names[4][24];
        static unsigned next;
        char *name = names[next++ % 4];

        if (session >= 1 && session <= 26)
                snprintf(name, sizeof(names[0]), "%c", (char)('A' + session - 1));
        else
                snprintf(name, sizeof(names[0]), "S%llu", (unsigned long long)session);
        return name;
}

void trace_flush(struct trace *t)
{
        if (t && t->gathering)
                fprintf(t->out, "%s\n", t->what);
        if (t)
                t->gathering = false;
}

static void trace_time(struct trace *t, uint64_t now_ns)
{
        trace_flush(t);
        fprintf(t->out, "%.3f  ", (double)(now_ns - WORLD_EPOCH_NS) / 1e6);
}

void trace_line(struct trace *t, uint64_t now_ns, const char *format, ...)
{
        va_list arguments;

        if (!t)
                return;
        trace_time(t, now_ns);
        va_start(arguments, format);
        vfprintf(t->out, format, arguments);
        va_end(arguments);
        fputc('\n', t->out);
}

void trace_command(struct trace *t, uint64_t now_ns, unsigned host, const struct command *c)
{
        static const char *const kinds[COMMAND_KINDS_N] = { "take", "release", "renew", "plant", "peek" };
        unsigned i;
        int n;

        if (!t)
                return;
        if (!t->gathering || t->round != c->round || t->host != host) {
                trace_time(t, now_ns);
                fprintf(t->out, "h%u >", host);
                n = sprintf(t->what, " %s", kinds[c->kind]);
                for (i = 0; i < c->items_n && c->kind == COMMAND_PEEK; ++i)
                        n += sprintf(t->what + n, " %.*s", (int)c->items[i].key.len, c->items[i].key.data);
                for (i = 0; i < c->items_n && c->kind != COMMAND_PEEK; ++i)
                        n += sprintf(t->what + n, " %s%.*s#%u", c->kind == COMMAND_TAKE && i >= c->acquire_n ? "+" : "",
                                     (int)c->items[i].key.len, c->items[i].key.data, trace_token(t, c->items[i].value));
                t->gathering = true;
                t->round = c->round;
                t->host = host;
        }
        fprintf(t->out, " n%u", c->node + 1);
}

void trace_request(struct trace *t, uint64_t now_ns, const struct request *r)
{
        static const char *const methods[METHODS_N] = { "add",    "extend",    "free",  "reset",   "list",
                                                        "cancel", "subscribe", "hello", "ping",    "status",
                                                        "nodes",  "sessions",  "locks", "waiters", "drain",
                                                        "kill",   "break",     "why",   "certify" };
        unsigned i;

        if (!t)
                return;
        trace_time(t, now_ns);
        fprintf(t->out, "%s > %s", trace_name(r->session), methods[r->method]);
        for (i = 0; i < r->keys_n; ++i)
                fprintf(t->out, "%s%.*s", i ? "," : " ", (int)r->keys[i].len, r->keys[i].data);
        if (r->method == METHOD_CERTIFY)
                fprintf(t->out, " n%u", r->node + 1);
        fputc('\n', t->out);
}

static const char *const trace_outcomes[] = { "",      "held",    "acquired", "extended", "reacquired",
                                              "freed", "pending", "expired",  "missing",  "taken" };

static void trace_held(struct trace *t, uint64_t host_ns, const struct reply_item *item)
{
        fprintf(t->out, "#%u %s %llu", trace_token(t, item->value), trace_outcomes[item->outcome],
                (unsigned long long)((item->valid_until_ns - host_ns) / NS_PER_MS));
        if (t->fences)
                fprintf(t->out, " fence %lld.%llu",
                        (long long)(item->fence / FENCE_STEP) - (long long)(WORLD_EPOCH_NS / NS_PER_MS) -
                                (long long)WORLD_UNIX_MS,
                        (unsigned long long)(item->fence % FENCE_STEP));
}

static void trace_items(struct trace *t, uint64_t host_ns, const struct reply *r)
{
        size_t i;

        for (i = 0; i < r->items_n; ++i) {
                const struct reply_item *item = &r->items[i];

                if (r->error && item->outcome != OUTCOME_TAKEN)
                        continue;
                fprintf(t->out, " %.*s", (int)item->key.len, item->key.data);
                if (!r->error && item->value[0])
                        trace_held(t, host_ns, item);
                else if (!r->error)
                        fprintf(t->out, " %s", trace_outcomes[item->outcome]);
        }
}

void trace_reply(struct trace *t, uint64_t now_ns, uint64_t host_ns, const struct reply *r)
{
        static const char *const errors[ERRORS_N] = { [ERROR_INTERNAL] = "INTERNAL",
                                                      [ERROR_LIMIT] = "LIMIT",
                                                      [ERROR_STOPPING] = "STOPPING",
                                                      [ERROR_LOCKED] = "LOCKED",
                                                      [ERROR_NO_QUORUM] = "NO_QUORUM",
                                                      [ERROR_NOT_HELD] = "NOT_HELD",
                                                      [ERROR_LOST] = "LOST",
                                                      [ERROR_CANCELLED] = "CANCELLED",
                                                      [ERROR_DEADLOCK] = "DEADLOCK",
                                                      [ERROR_BROKEN] = "BROKEN",
                                                      [ERROR_INVALID_PARAMS] = "INVALID_PARAMS" };
        static const char *const votes[] = { "none",    "granted", "held",    "error", "lost",
                                             "timeout", "down",    "pending", "late",  "uncertified" };
        static const char *const peeks[] = { "absent", "ours", "other", "other type" };
        unsigned i;

        if (!t)
                return;
        trace_time(t, now_ns);
        fprintf(t->out, "%s <", trace_name(r->session));
        if (r->error)
                fprintf(t->out, " %s", errors[r->error]);
        trace_items(t, host_ns, r);
        for (i = 0; r->error == ERROR_NO_QUORUM && i < r->votes_n; ++i)
                if (r->votes[i] != VOTE_NONE)
                        fprintf(t->out, " n%u:%s", i + 1, votes[r->votes[i]]);
        if (r->error == ERROR_LOCKED || r->error == ERROR_NO_QUORUM)
                fprintf(t->out, ", %u attempts, %llu ms", r->attempts, (unsigned long long)r->waited_ms);
        if (r->error == ERROR_LOCKED && r->holder->session)
                fprintf(t->out, ", holder %s", trace_name(r->holder->session));
        for (i = 0; r->error == ERROR_DEADLOCK && i < r->cycle_n; ++i)
                fprintf(t->out, " %s waits for %.*s", trace_name(r->cycle[i].session.session), (int)r->cycle[i].key.len,
                        r->cycle[i].key.data);
        if ((r->method == METHOD_KILL || r->method == METHOD_BREAK) && !r->error)
                fprintf(t->out, " %s", trace_name(r->holder->session));
        if (r->method == METHOD_DRAIN && !r->error)
                fprintf(t->out, " %s", r->draining ? "draining" : "not draining");
        if (r->method == METHOD_CANCEL)
                fprintf(t->out, " cancelled %s", r->cancelled ? "true" : "false");
        for (i = 0; r->method == METHOD_WHY && !r->error && i < r->seen_n; ++i)
                fprintf(t->out, " n%u:%s %llu", i + 1,
                        r->seen[i].vote == VOTE_GRANTED ? peeks[r->seen[i].value] : votes[r->seen[i].vote],
                        (unsigned long long)r->seen[i].ttl_ms);
        if (r->method == METHOD_CERTIFY)
                fprintf(t->out, " n%u %s", r->node + 1, r->certified ? "certified" : "not certified");
        if (r->error == ERROR_LIMIT)
                fprintf(t->out, " %s %llu", r->limit, (unsigned long long)r->limit_value);
        fputc('\n', t->out);
}

void trace_lost(struct trace *t, uint64_t now_ns, const struct notice *n)
{
        static const char *const reasons[] = { "EXPIRED", "NO_QUORUM", "MAX_HOLD", "BROKEN" };

        if (t)
                trace_line(t, now_ns, "%s < lost %.*s#%u %s", trace_name(n->session), (int)n->key.len, n->key.data,
                           trace_token(t, n->value), reasons[n->lost]);
}
