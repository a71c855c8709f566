/*
 *      IDLE --next_ns--> the holder of each key in turn? --a key of somebody else's--> what is its session's name? -->
 * IDLE
 *                                                       --none: held on another host--> IDLE
 *
 * Nothing is said in the first moment: most locks are got at once.
 */
#include "redlockd/ctl/waiting.h"

#include "redlockd/ctl/clock.h"
#include "redlockd/ctl/show.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define WAITING_QUIET_NS (200 * NS_PER_MS)
#define WAITING_EVERY_NS NS_PER_S

void waiting_init(struct waiting *w, const struct keep *keep)
{
        *w = (struct waiting){ .keep = keep, .terminal = isatty(STDERR_FILENO), .since_ns = clock_now_ns() };
        w->next_ns = w->since_ns + WAITING_QUIET_NS;
}

static const char *waiting_key(const struct waiting *w)
{
        return json_string_value(json_array_get(w->keep->keys, w->key));
}

static void waiting_say(struct waiting *w, const char *key)
{
        char line[sizeof(w->said)], holder[160];
        uint64_t seconds = (clock_now_ns() - w->since_ns) / NS_PER_S;

        if (w->session == 0)
                snprintf(holder, sizeof(holder), "which nobody on this host holds");
        else
                snprintf(holder, sizeof(holder), "held by process %lld%s%s%s", (long long)w->pid, *w->name ? " (" : "",
                         w->name, *w->name ? ")" : "");
        snprintf(line, sizeof(line), "redlockctl: waiting for \"%.300s\", %s", key, holder);
        if (w->terminal) {
                fputs("\r\033[K", stderr);
                show_plain(stderr, line);
                fprintf(stderr, ", %llu s", (unsigned long long)seconds);
                w->shown = true;
        } else if (strcmp(line, w->said) != 0) {
                show_plain(stderr, line);
                fputc('\n', stderr);
        }
        memcpy(w->said, line, sizeof(line));
        fflush(stderr);
}

static void waiting_rest(struct waiting *w)
{
        w->key = 0;
        w->asked = 0;
        w->next_ns = clock_now_ns() + WAITING_EVERY_NS;
}

static int waiting_ask(struct waiting *w)
{
        w->asked_name = false;
        return connection_send(w->keep->connection, "locks", json_pack("{s:s}", "key", waiting_key(w)), &w->asked);
}

int waiting_on_time(struct waiting *w)
{
        return w->asked == 0 && clock_now_ns() >= w->next_ns ? waiting_ask(w) : 0;
}

/* The holder of one of the keys: where it is another one than before, who is that? */
static void waiting_take_lock(struct waiting *w, const json_t *lock)
{
        json_int_t session = json_integer_value(json_object_get(lock, "session"));

        w->pid = json_integer_value(json_object_get(lock, "pid"));
        if (session == w->session) {
                waiting_say(w, waiting_key(w));
                waiting_rest(w);
                return;
        }
        w->session = session;
        *w->name = 0;
        w->asked_name = connection_send(w->keep->connection, "sessions", NULL, &w->asked) == 0;
}

static void waiting_take_locks(struct waiting *w, const json_t *locks)
{
        if (json_array_size(locks) > 0) {
                waiting_take_lock(w, json_array_get(locks, 0));
        } else if (++w->key < json_array_size(w->keep->keys)) {
                waiting_ask(w);
        } else {
                w->key = 0;
                w->session = 0;
                waiting_say(w, waiting_key(w));
                waiting_rest(w);
        }
}

static void waiting_take_name(struct waiting *w, const json_t *sessions)
{
        const json_t *session;
        const char *name;
        size_t i;

        json_array_foreach(sessions, i, session)
        {
                name = json_string_value(json_object_get(session, "name"));
                if (name && json_integer_value(json_object_get(session, "session")) == w->session)
                        snprintf(w->name, sizeof(w->name), "%s", name);
        }
        waiting_say(w, waiting_key(w));
        waiting_rest(w);
}

bool waiting_take(struct waiting *w, const json_t *message)
{
        const json_t *result = json_object_get(message, "result");

        if (w->asked == 0 || !connection_answers(message, w->asked))
                return false;
        if (w->asked_name)
                waiting_take_name(w, json_object_get(result, "sessions"));
        else
                waiting_take_locks(w, json_object_get(result, "locks"));
        return true;
}

void waiting_end(struct waiting *w)
{
        if (!w->shown)
                return;
        fputs("\r\033[K", stderr);
        fflush(stderr);
        w->shown = false;
}
