/*
 * What the daemon tells of itself and of its nodes, held against the terms of the algorithm. A rule looks, and finds
 * something or not; nothing is changed anywhere.
 *
 *      unsafe: two clients may come to hold one lock        weak: less is survived than could be        slow
 *
 * The nodes are asked for a key that nobody locks (`why`): that tells how long each takes, what its clock shows, and
 * what it says of its own fitness.
 */
#include "redlockd/ctl/doctor.h"

#include "redlockd/ctl/connection.h"
#include "redlockd/ctl/show.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DOCTOR_KEY            "redlockd:doctor"
#define DOCTOR_CLOCK_MS       500 /* clocks that differ by more than this and the way there and back are apart */
#define DOCTOR_TIMEOUT_MIN_MS 20  /* the node timeout: 5 % of the ttl, within these (SPEC, 3) */
#define DOCTOR_TIMEOUT_MAX_MS 200
#define DOCTOR_TEXT_MAX       400

struct doctor {
        json_t *status;
        json_t *nodes; /* array */
        json_t *seen;  /* array: what `why` tells of each, in the same order */
        json_t *limits;
        json_t *locks; /* array */
        json_t *findings;
};

__attribute__((format(printf, 4, 5))) static void doctor_find(struct doctor *d, const char *level, const char *advice,
                                                              const char *format, ...)
{
        char text[DOCTOR_TEXT_MAX];
        va_list args;

        va_start(args, format);
        vsnprintf(text, sizeof(text), format, args);
        va_end(args);
        json_array_append_new(d->findings,
                              json_pack("{s:s, s:s, s:s}", "level", level, "finding", text, "todo", advice));
}

static const char *doctor_text(const json_t *object, const char *name)
{
        const char *text = json_string_value(json_object_get(object, name));

        return text ? text : "";
}

static json_int_t doctor_number(const json_t *object, const char *name)
{
        return json_integer_value(json_object_get(object, name));
}

static bool doctor_fact_is(const json_t *seen, const char *name, const char *value)
{
        return strcmp(doctor_text(json_object_get(seen, "facts"), name), value) == 0;
}

static bool doctor_fact_known(const json_t *seen, const char *name)
{
        return *doctor_text(json_object_get(seen, "facts"), name) != 0;
}

/* How long a node is waited for. */
static json_int_t doctor_timeout(json_int_t ttl)
{
        json_int_t timeout = ttl / 20;

        if (timeout < DOCTOR_TIMEOUT_MIN_MS)
                return DOCTOR_TIMEOUT_MIN_MS;
        return timeout > DOCTOR_TIMEOUT_MAX_MS ? DOCTOR_TIMEOUT_MAX_MS : timeout;
}

/* --- the pool as a whole --- */

static void doctor_look_at_number(struct doctor *d)
{
        json_int_t n = doctor_number(d->status, "nodes"), quorum = doctor_number(d->status, "quorum");

        if (strcmp(doctor_text(d->status, "scope"), "host") == 0)
                return;
        if (n == 1)
                doctor_find(d, "weak", "Name three or five independent masters.",
                            "one node: when it is down nothing can be locked");
        else if (n % 2 == 0)
                doctor_find(d, "weak", "Take one away, or add one: an odd number survives as much, and asks fewer.",
                            "%lld nodes: an even number; %lld of them may fail, as of %lld", (long long)n,
                            (long long)(n - quorum), (long long)(n - 1));
}

static void doctor_look_at_quorum(struct doctor *d)
{
        if (doctor_number(d->status, "nodesUp") < doctor_number(d->status, "quorum"))
                doctor_find(d, "weak", "Bring nodes up; below is why each of them is not.",
                            "no quorum: %lld of %lld nodes are up, and %lld are needed; nothing can be locked",
                            (long long)doctor_number(d->status, "nodesUp"),
                            (long long)doctor_number(d->status, "nodes"),
                            (long long)doctor_number(d->status, "quorum"));
        if (json_is_true(json_object_get(d->status, "draining")))
                doctor_find(d, "weak", "`redlockctl drain --off`, when the work is done.",
                            "the broker drains: it grants no new locks");
}

static void doctor_look_for_twins(struct doctor *d)
{
        const json_t *a, *b;
        size_t i, k;

        json_array_foreach(d->nodes, i, a) for (k = i + 1; (b = json_array_get(d->nodes, k)); ++k)
        {
                if (*doctor_text(a, "runId") && strcmp(doctor_text(a, "runId"), doctor_text(b, "runId")) == 0)
                        doctor_find(d, "unsafe", "Name every server once; each must be a server of its own.",
                                    "nodes %s and %s are one server: one machine has two votes", doctor_text(a, "name"),
                                    doctor_text(b, "name"));
        }
}

/* --- each node --- */

static void doctor_look_at_state(struct doctor *d, const json_t *node)
{
        const char *state = doctor_text(node, "state"), *name = doctor_text(node, "name");

        if (strcmp(state, "up") == 0)
                return;
        if (strcmp(state, "quarantined") == 0)
                doctor_find(d, "weak",
                            "Wait; or, if you know that nobody holds a lock there, `redlockctl certify NODE`.",
                            "node %s does not vote yet: %s", name, doctor_text(node, "reason"));
        else if (strcmp(state, "unfit") == 0)
                doctor_find(d, "unsafe", "Change that, or name another server; until then it does not vote.",
                            "node %s is unfit: %s", name, doctor_text(node, "reason"));
        else
                doctor_find(d, "weak", "Start it, or see to the network between here and there.", "node %s is %s: %s",
                            name, state, doctor_text(node, "reason"));
}

static void doctor_look_at_copies(struct doctor *d, const char *name, const json_t *seen)
{
        if (doctor_fact_known(seen, "role") && !doctor_fact_is(seen, "role", "master"))
                doctor_find(d, "unsafe", "Name masters only.",
                            "node %s is a replica: its master may undo what it was told", name);
        if (doctor_fact_known(seen, "connected_slaves") && !doctor_fact_is(seen, "connected_slaves", "0"))
                doctor_find(d, "unsafe",
                            "Take the replicas away, or let no one of them be promoted within the longest ttl.",
                            "node %s has replicas: one that is promoted has not heard of the last locks", name);
}

static void doctor_look_at_memory(struct doctor *d, const char *name, const json_t *seen)
{
        bool limited = doctor_fact_known(seen, "maxmemory") && !doctor_fact_is(seen, "maxmemory", "0");

        if (!doctor_fact_known(seen, "maxmemory_policy") || doctor_fact_is(seen, "maxmemory_policy", "noeviction"))
                return;
        doctor_find(d, limited ? "unsafe" : "weak", "CONFIG SET maxmemory-policy noeviction, and in its redis.conf.",
                    "node %s evicts by %s%s: a lock may vanish before its time", name,
                    doctor_text(json_object_get(seen, "facts"), "maxmemory_policy"),
                    limited ? "" : " as soon as maxmemory is set");
}

static void doctor_look_at_persistence(struct doctor *d, const char *name, const json_t *seen)
{
        if (!json_is_true(json_object_get(d->status, "restartQuarantine")) && doctor_fact_is(seen, "aof_enabled", "0"))
                doctor_find(d, "unsafe",
                            "Set redis.restartQuarantine to true; or appendonly yes with appendfsync always there.",
                            "node %s keeps nothing on disk, and votes at once after a restart, having forgotten", name);
}

static void doctor_look_at_clock(struct doctor *d, const char *name, const json_t *seen)
{
        json_int_t ahead = doctor_number(seen, "clock");

        if (llabs(ahead) > DOCTOR_CLOCK_MS + doctor_number(seen, "took"))
                doctor_find(d, "unsafe", "Run a time service (chrony, systemd-timesyncd) on all machines.",
                            "the clock of node %s is %lld ms %s ours", name, llabs(ahead),
                            ahead > 0 ? "ahead of" : "behind");
}

/* Whether it can answer in time for locks of this ttl. */
static void doctor_look_at_pace(struct doctor *d, const char *name, json_int_t took, json_int_t ttl, const char *whose)
{
        json_int_t timeout = doctor_timeout(ttl);

        if (took >= timeout)
                doctor_find(d, "slow", "Bring it nearer, or give locks a ttl of at least twenty times what it takes.",
                            "node %s takes %lld ms, and %s of %lld ms wait for a node %lld ms: it never votes for them",
                            name, (long long)took, whose, (long long)ttl, (long long)timeout);
        else if (took * 2 > timeout)
                doctor_find(d, "slow", "See what slows it: SLOWLOG, swapping, disk, the network.",
                            "node %s takes %lld ms of the %lld that %s of %lld ms wait for it", name, (long long)took,
                            (long long)timeout, whose, (long long)ttl);
}

static void doctor_look_at_node(struct doctor *d, const json_t *node, const json_t *seen)
{
        const char *name = doctor_text(node, "name"), *error = doctor_text(seen, "error");
        json_int_t took = doctor_number(seen, "took"), rtt = doctor_number(node, "rtt");

        doctor_look_at_state(d, node);
        if (*error)
                doctor_find(d, "weak", "See its log; while it answers so it does not vote.", "node %s: %s", name,
                            error);
        if (!json_is_string(json_object_get(seen, "value")))
                return;
        doctor_look_at_copies(d, name, seen);
        doctor_look_at_memory(d, name, seen);
        doctor_look_at_persistence(d, name, seen);
        doctor_look_at_clock(d, name, seen);
        if (doctor_number(d->limits, "ttl") > 0)
                doctor_look_at_pace(d, name, rtt > took ? rtt : took, doctor_number(d->limits, "ttl"), "locks");
}

/* --- the locks in use --- */

static void doctor_look_at_locks(struct doctor *d)
{
        const json_t *lock, *seen, *shortest = NULL;
        json_int_t ttl;
        size_t i;

        json_array_foreach(d->locks, i, lock) if (!shortest || doctor_number(lock, "ttl") <
                                                                       doctor_number(shortest, "ttl")) shortest = lock;
        if (!shortest || strcmp(doctor_text(d->status, "scope"), "host") == 0)
                return;
        ttl = doctor_number(shortest, "ttl");
        if (ttl <= doctor_timeout(ttl) * 2)
                doctor_find(d, "slow", "Take a ttl of some seconds, and have it renewed.",
                            "the lock on \"%.100s\" has a ttl of %lld ms, and one node that hangs costs %lld ms of it",
                            doctor_text(shortest, "key"), (long long)ttl, (long long)doctor_timeout(ttl));
        json_array_foreach(d->seen, i, seen) if (ttl < doctor_number(d->limits, "ttl"))
                doctor_look_at_pace(d, doctor_text(seen, "name"), doctor_number(seen, "took"), ttl, "locks in use");
}

/* --- asking and telling --- */

static bool doctor_ask(const struct ctl *ctl, const char *method, json_t *params, const char *member,
                       json_t **ret_value)
{
        json_t *message = command_ask(ctl, method, params, CONNECTION_ANSWER_MS), *result = command_result(message);

        *ret_value = json_incref(result && member ? json_object_get(result, member) : result);
        json_decref(message);
        return *ret_value != NULL;
}

static bool doctor_examine(struct doctor *d, const struct ctl *ctl)
{
        json_t *node;
        size_t i;

        if (!doctor_ask(ctl, "status", NULL, NULL, &d->status) || !doctor_ask(ctl, "nodes", NULL, "nodes", &d->nodes) ||
            !doctor_ask(ctl, "why", json_pack("{s:s}", "key", DOCTOR_KEY), "nodes", &d->seen) ||
            !doctor_ask(ctl, "hello", NULL, "limits", &d->limits) ||
            !doctor_ask(ctl, "locks", NULL, "locks", &d->locks))
                return false;
        d->findings = json_array();
        doctor_look_at_number(d);
        doctor_look_at_quorum(d);
        doctor_look_for_twins(d);
        if (strcmp(doctor_text(d->status, "scope"), "host") != 0)
                json_array_foreach(d->nodes, i, node) doctor_look_at_node(d, node, json_array_get(d->seen, i));
        doctor_look_at_locks(d);
        return true;
}

static void doctor_show(const struct doctor *d)
{
        static const char *const levels[][2] = { { "unsafe", "\033[31m" },
                                                 { "weak", "\033[33m" },
                                                 { "slow", "\033[33m" } };
        bool colour = show_colour();
        const json_t *finding;
        size_t level, i;

        for (level = 0; level < sizeof(levels) / sizeof(levels[0]); ++level) {
                json_array_foreach(d->findings, i, finding)
                {
                        if (strcmp(doctor_text(finding, "level"), levels[level][0]) != 0)
                                continue;
                        printf("%s%-8s%s", colour ? levels[level][1] : "", levels[level][0], colour ? "\033[0m" : "");
                        show_plain(stdout, doctor_text(finding, "finding"));
                        printf("\n        %s\n", doctor_text(finding, "todo"));
                }
        }
        if (strcmp(doctor_text(d->status, "scope"), "host") == 0)
                puts("note    no Redis: locks are between the processes of this host only, and gone with the daemon");
        if (json_array_size(d->findings) == 0)
                puts("nothing is found that is unsafe, weak or slow");
}

int doctor_main(const struct ctl *ctl, int argc, char **argv)
{
        static const struct option options[] = { { "json", no_argument, NULL, 'j' },
                                                 { "help", no_argument, NULL, 'h' },
                                                 { NULL, 0, NULL, 0 } };
        struct ctl own = *ctl;
        struct doctor d = { 0 };
        int option, code = DOCTOR_NO_DAEMON;

        optind = 0; /* main() has read options before */
        while ((option = getopt_long(argc, argv, "jh", options, NULL)) >= 0) {
                if (option == 'h')
                        command_help(argv[0]);
                if (option != 'j')
                        return option == 'h' ? 0 : command_usage(argv[0]);
                own.json = true;
        }
        if (argc != optind)
                return command_usage(argv[0]);
        if (doctor_examine(&d, &own)) {
                code = json_array_size(d.findings) > 0 ? DOCTOR_FINDINGS : DOCTOR_WELL;
                if (own.json)
                        show_json(d.findings);
                else
                        doctor_show(&d);
        }
        json_decref(d.status);
        json_decref(d.nodes);
        json_decref(d.seen);
        json_decref(d.limits);
        json_decref(d.locks);
        json_decref(d.findings);
        return code;
}
