/*
 * Four questions to the daemon, and what follows from the answers. No value of a lock is asked for or shown: who knows
 * it could free the lock.
 */
#include "redlockd/ctl/why.h"

#include "redlockd/ctl/connection.h"
#include "redlockd/ctl/show.h"
#include "redlockd/ctl/view.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

struct why {
        const char *key;
        json_t *nodes;    /* the result of `why` */
        json_t *locks;    /* of the key */
        json_t *waiters;  /* of the key */
        json_t *sessions; /* all */
};

static const json_t *why_session(const struct why *w, const json_t *of)
{
        const json_t *session, *number = json_object_get(of, "session");
        size_t i;

        json_array_foreach(w->sessions, i,
                           session) if (json_equal(json_object_get(session, "session"), number)) return session;
        return NULL;
}

/* session 5, process 17 (name) */
static void why_show_session(const struct why *w, const json_t *of)
{
        const char *name = json_string_value(json_object_get(why_session(w, of), "name"));

        printf("session %lld, process %lld", (long long)json_integer_value(json_object_get(of, "session")),
               (long long)json_integer_value(json_object_get(of, "pid")));
        if (name && *name) {
                fputs(" (", stdout);
                show_plain(stdout, name);
                fputc(')', stdout);
        }
}

static void why_show_holder(const struct why *w)
{
        const json_t *lock = json_array_get(w->locks, 0);
        char held[SHOW_DURATION_MAX], left[SHOW_DURATION_MAX];

        fputs("holder   ", stdout);
        if (!lock) {
                puts("nobody on this host");
                return;
        }
        why_show_session(w, lock);
        show_duration(json_integer_value(json_object_get(lock, "heldFor")), held);
        show_duration(json_integer_value(json_object_get(lock, "validity")), left);
        printf(", for %s, valid for %s more\n", held, left);
}

/* The nodes whose key has this value, and the longest ttl of them. */
static unsigned why_count(const struct why *w, const char *value, json_int_t *ret_ttl)
{
        const json_t *node;
        const char *text;
        unsigned n = 0;
        json_int_t ttl;
        size_t i;

        *ret_ttl = 0;
        json_array_foreach(json_object_get(w->nodes, "nodes"), i, node)
        {
                text = json_string_value(json_object_get(node, "value"));
                if (!text || strcmp(text, value) != 0)
                        continue;
                ttl = json_integer_value(json_object_get(node, "ttl"));
                *ret_ttl = ttl > *ret_ttl ? ttl : *ret_ttl;
                ++n;
        }
        return n;
}

static bool why_node_is_up(const json_t *node)
{
        const char *state = json_string_value(json_object_get(node, "state"));

        return state && strcmp(state, "up") == 0 && json_is_string(json_object_get(node, "value"));
}

static unsigned why_count_up(const struct why *w)
{
        const json_t *node;
        unsigned n = 0;
        size_t i;

        json_array_foreach(json_object_get(w->nodes, "nodes"), i, node) n += why_node_is_up(node);
        return n;
}

static void why_show_next(const struct why *w)
{
        unsigned quorum = (unsigned)json_integer_value(json_object_get(w->nodes, "quorum")), up = why_count_up(w), n;
        const json_t *lock = json_array_get(w->locks, 0), *waiter = json_array_get(w->waiters, 0);
        char text[SHOW_DURATION_MAX];
        json_int_t ttl;

        fputs("next     ", stdout);
        if (waiter)
                why_show_session(w, waiter);
        else
                fputs("whoever asks", stdout);
        if (json_is_true(json_object_get(w->nodes, "draining"))) {
                puts(": not before the broker takes new locks again (`redlockctl drain --off`)");
        } else if (up < quorum) {
                printf(": not before %u more node%s answer%s, see their reasons above\n", quorum - up,
                       quorum - up == 1 ? "" : "s", quorum - up == 1 ? "s" : "");
        } else if (lock) {
                show_duration(json_integer_value(json_object_get(lock, "validity")), text);
                printf(": when ");
                why_show_session(w, lock);
                printf(" frees it or ends, or in %s if it is not extended\n", text);
        } else if ((n = why_count(w, "otherType", &ttl)) > up - quorum) {
                printf(": not before the key, which is no string on %u node%s, is deleted there by hand\n", n,
                       n == 1 ? "" : "s");
        } else if (why_count(w, "other", &ttl) > up - quorum) {
                show_duration(ttl, text);
                printf(": when its holder on another host frees it%s%s%s\n", ttl > 0 ? ", or in " : "; it has no ttl",
                       ttl > 0 ? text : "", ttl > 0 ? " if it is not extended" : "");
        } else {
                puts(waiter ? ": at its next try" : ": at once");
        }
}

static void why_show(const struct why *w, const struct ctl *ctl)
{
        static const char *const columns[] = {
                "name", "state", "value", "ttl", "took", "clock", "reason", "error", NULL
        };
        json_t *node;
        size_t i;

        fputs("key      ", stdout);
        show_plain(stdout, w->key);
        fputc('\n', stdout);
        why_show_holder(w);
        json_array_foreach(json_object_get(w->nodes, "nodes"), i, node) json_object_del(node, "facts");
        show_table(json_object_get(w->nodes, "nodes"), columns, ctl->legend);
        if (json_array_size(w->waiters) > 0)
                show_table(w->waiters, view_columns("waiters"), ctl->legend);
        why_show_next(w);
}

/* One of the questions; *ret_value is a member of its answer, or the answer where that is NULL. */
static bool why_ask(const struct ctl *ctl, const char *method, const char *key, const char *member, json_t **ret_value)
{
        json_t *params = key ? json_pack("{s:s}", "key", key) : NULL;
        json_t *message = command_ask(ctl, method, params, CONNECTION_ANSWER_MS), *result = command_result(message);

        *ret_value = json_incref(result && member ? json_object_get(result, member) : result);
        json_decref(message);
        return *ret_value != NULL;
}

static bool why_ask_all(struct why *w, const struct ctl *ctl)
{
        return why_ask(ctl, "why", w->key, NULL, &w->nodes) && why_ask(ctl, "locks", w->key, "locks", &w->locks) &&
               why_ask(ctl, "waiters", w->key, "waiters", &w->waiters) &&
               why_ask(ctl, "sessions", NULL, "sessions", &w->sessions);
}

int why_main(const struct ctl *ctl, int argc, char **argv)
{
        static const struct option options[] = { { "json", no_argument, NULL, 'j' },
                                                 { "help", no_argument, NULL, 'h' },
                                                 { NULL, 0, NULL, 0 } };
        struct ctl own = *ctl;
        struct why w = { 0 };
        int option;
        bool done;

        optind = 0; /* main() has read options before */
        while ((option = getopt_long(argc, argv, "jh", options, NULL)) >= 0) {
                if (option == 'h')
                        command_help(argv[0]);
                if (option != 'j')
                        return option == 'h' ? 0 : command_usage(argv[0]);
                own.json = true;
        }
        if (argc - optind != 1)
                return command_usage(argv[0]);
        w.key = argv[optind];
        done = why_ask_all(&w, &own);
        if (done && own.json)
                show_json(w.nodes);
        else if (done)
                why_show(&w, &own);
        json_decref(w.nodes);
        json_decref(w.locks);
        json_decref(w.waiters);
        json_decref(w.sessions);
        return done ? 0 : 1;
}
