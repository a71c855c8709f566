/*
 * The table of commands, their help, and what is said of one that there is not.
 */
#include "redlockd/ctl/command.h"

#include "redlockd/ctl/admin.h"
#include "redlockd/ctl/certify.h"
#include "redlockd/ctl/connection.h"
#include "redlockd/ctl/doctor.h"
#include "redlockd/ctl/hold.h"
#include "redlockd/ctl/metrics.h"
#include "redlockd/ctl/reload.h"
#include "redlockd/ctl/run.h"
#include "redlockd/ctl/show.h"
#include "redlockd/ctl/top.h"
#include "redlockd/ctl/view.h"
#include "redlockd/ctl/why.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define COMMAND_NAME_MAX  32
#define COMMAND_GUESS_MAX 2 /* letters that may be wrong in a name */

static int command_run(const struct ctl *ctl, int argc, char **argv)
{
        return run_main(ctl->socket, argc, argv);
}

static int command_show_help(const struct ctl *ctl, int argc, char **argv)
{
        (void)ctl;
        if (argc > 2)
                return command_usage(argv[0]);
        if (argc == 2 && !command_find(argv[1]))
                return command_unknown(argv[1]);
        if (argc == 2)
                command_help(argv[1]);
        else
                command_list();
        return 0;
}

static const struct command commands[] = {
        { "run", "[OPTION...] KEY[,KEY...] [--] CMD [ARG...]", "a command while keys are locked",
          "  -n, --nonblock        try once          -w SEC       wait so long at most\n"
          "  -t, --ttl TTL_MS      of the lock       -c STRING    CMD is /bin/sh -c STRING\n"
          "  -E CODE               exit code where the lock is not acquired (124)\n"
          "  --on-lost=term|kill|warn  what CMD and all that it started get when the lock\n"
          "                        is lost: SIGTERM, then SIGKILL; SIGKILL; nothing\n"
          "  --grace SEC           from SIGTERM to SIGKILL at most (5)\n"
          "  -v, --verbose         say what is waited for, and who holds it\n"
          "Several keys are taken together or not at all. CMD gets $REDLOCK_KEYS and\n"
          "$REDLOCK_FENCES, and is gone before the lock ends. Exit code: CMD's own, 128+n\n"
          "by signal n; 123 the lock was lost, 124 not acquired, 125 a failure of\n"
          "redlockctl or the daemon, 126 CMD cannot be run, 127 it is not there.\n"
          "Example: redlockctl run -w 10 nightly,db -- backup --all\n",
          command_run },
        { "hold", "[-nv] [-w SEC] [-t TTL_MS] [-E CODE] KEY...", "hold keys until stdin ends",
          "Prints one line, `locked KEY...`, when the keys are locked, and frees them at\n"
          "the end of its input or at a signal. For coprocesses and tests. Options and\n"
          "exit codes are those of `run`; 0 at the end of input.\n"
          "Example: coproc redlockctl hold nightly; read -r line <&\"${COPROC[0]}\"\n",
          hold_main },
        { "status", "[--check]", "how the broker is",
          "  --check   for monitoring: one line, and as exit code 0 every node is up,\n"
          "            1 degraded (a node is not, or it drains), 2 no quorum, 3 no daemon\n"
          "Example: redlockctl status --check || logger \"redlockd: $?\"\n",
          view_status },
        { "nodes", "", "the Redis nodes",
          "One line each: its state (up, connecting, down, quarantined, unfit) with the\n"
          "reason, and its round trip in ms.\n"
          "Example: redlockctl nodes\n",
          view_table },
        { "sessions", "", "who is connected",
          "One line for each connection, with what it holds and waits for.\n"
          "Example: redlockctl sessions\n",
          view_table },
        { "locks", "[KEY]", "what is held on this host, and by whom",
          "One line for each lock, or for the one on KEY.\n"
          "Example: redlockctl --no-legend locks | sort -k 7\n",
          view_table },
        { "waiters", "[KEY]", "who waits on this host, and for what",
          "One line for each key that somebody waits for, first come first.\n"
          "Example: redlockctl waiters nightly\n",
          view_table },
        { "ping", "", "does the daemon answer", "Example: redlockctl -s /run/redlockd/redlockd.sock ping\n",
          view_ping },
        { "call", "METHOD [JSON]", "any one request, its result as JSON",
          "JSON is the object of its params. An error goes to stderr as it came, and the\n"
          "exit code is 1.\n"
          "Example: redlockctl call locks '{\"key\":\"nightly\"}'\n",
          view_call },
        { "top", "[-b]", "a live screen of nodes, busiest keys, waiters and holders",
          "Asks once a second; q quits. -b prints one page, with the rates of one second,\n"
          "and ends: for logs.\n"
          "Example: redlockctl top -b >> /var/log/redlockd-top.log\n",
          top_main },
        { "why", "KEY", "what each node says of a key, and what the next one waits for",
          "Asks every node: is the value under the key that of the lock held here (ours),\n"
          "somebody else's (other), or absent; how long it lasts; how far the node's clock\n"
          "is ahead, in ms. And who holds it here, who waits, and what has to happen first.\n"
          "Example: redlockctl why nightly\n",
          why_main },
        { "doctor", "", "what about the set-up is unsafe, weak or slow",
          "Each finding with what to do about it: the number of nodes, replicas, eviction,\n"
          "a restart that forgets, one server twice, clocks apart, slow nodes, short ttls.\n"
          "Exit code: 0 nothing is found, 1 something, 3 no daemon.\n"
          "Example: redlockctl doctor\n",
          doctor_main },
        { "drain", "[--off]", "no new locks (for administrators)",
          "Who waits is answered STOPPING, who holds a lock may use, extend and free it.\n"
          "--off takes new locks again. The daemon goes on running.\n"
          "Example: redlockctl drain && redlockctl locks\n",
          admin_main },
        { "kill", "[--yes] SESSION", "end a connection (for administrators)",
          "What it waits for is cancelled, what it holds is freed. Asks on a terminal, but\n"
          "not with --yes.\n"
          "Example: redlockctl kill 17\n",
          admin_main },
        { "metrics", "[-o FILE]", "what is counted, for Prometheus",
          "  -o FILE   into a file that is replaced as a whole, for node_exporter\n"
          "Example: redlockctl metrics -o /var/lib/prometheus/node-exporter/redlockd.prom\n",
          metrics_main },
        { "reload", "", "read the configuration again (for administrators)",
          "All of the file is taken, or none of it: then each error is shown with its\n"
          "place, and the exit code is 1.\n"
          "Example: redlockctl reload\n",
          reload_main },
        { "certify", "[--yes] NODE", "end the quarantine of a node (for administrators)",
          "A node that came back empty gives no vote until the longest TTL has passed.\n"
          "Where you know that nobody holds anything that it may have forgotten, it can\n"
          "vote at once. Asks first, on a terminal; without one --yes is needed.\n"
          "Example: redlockctl certify --yes 127.0.0.1:6379\n",
          certify_main },
        { "break", "[--yes] KEY", "take a lock away (for administrators)",
          "Its holder, on this host, is told that the lock is lost, and cannot renew it. A\n"
          "key that is held on another host is left alone: break it there, where its holder\n"
          "can be told; else it ends with its ttl. Asks on a terminal, but not with --yes.\n"
          "Example: redlockctl break nightly\n",
          admin_main },
        { "help", "[COMMAND]", "this list, or more of one command", "Example: redlockctl help run\n",
          command_show_help },
};

#define COMMANDS_N (sizeof(commands) / sizeof(commands[0]))

const struct command *command_find(const char *name)
{
        size_t i;

        for (i = 0; i < COMMANDS_N; ++i)
                if (strcmp(commands[i].name, name) == 0)
                        return &commands[i];
        return NULL;
}

void command_list(void)
{
        size_t i;

        fputs("usage: redlockctl [-s SOCKET] [-j] [--no-legend] COMMAND ...\n", stdout);
        for (i = 0; i < COMMANDS_N; ++i)
                printf("  %-10s%s\n", commands[i].name, commands[i].summary);
        fputs("options: -s SOCKET (or $REDLOCKD_SOCKET), -j results as JSON, --no-legend, -V\n"
              "`redlockctl COMMAND --help` says more. Example: redlockctl run nightly backup\n",
              stdout);
}

void command_help(const char *name)
{
        const struct command *command = command_find(name);

        assert(command);
        printf("usage: redlockctl %s%s%s\n%s.\n%s", name, *command->arguments ? " " : "", command->arguments,
               command->summary, command->help);
}

int command_usage(const char *name)
{
        const struct command *command = command_find(name);

        assert(command);
        fprintf(stderr, "usage: redlockctl %s%s%s\n`redlockctl %s --help` says more.\n", name,
                *command->arguments ? " " : "", command->arguments, name);
        return 1;
}

/* Letters to be put in, left out, changed, or swapped with their neighbour, to make one name of the other. */
static unsigned command_distance(const char *a, const char *b)
{
        unsigned rows[3][COMMAND_NAME_MAX + 1], *before = rows[0], *last = rows[1], *row = rows[2], *spare;
        size_t i, k, b_len = strlen(b);
        unsigned least;

        for (k = 0; k <= b_len; ++k)
                last[k] = (unsigned)k;
        for (i = 1; i <= strlen(a); ++i) {
                row[0] = (unsigned)i;
                for (k = 1; k <= b_len; ++k) {
                        least = last[k - 1] + (a[i - 1] != b[k - 1]);
                        if (last[k] + 1 < least)
                                least = last[k] + 1;
                        if (row[k - 1] + 1 < least)
                                least = row[k - 1] + 1;
                        if (i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1] && before[k - 2] + 1 < least)
                                least = before[k - 2] + 1;
                        row[k] = least;
                }
                spare = before;
                before = last;
                last = row;
                row = spare;
        }
        return last[b_len];
}

int command_unknown(const char *name)
{
        unsigned distance, best = COMMAND_GUESS_MAX + 1;
        const char *guess = NULL;
        size_t i;

        for (i = 0; i < COMMANDS_N && strlen(name) < COMMAND_NAME_MAX; ++i) {
                distance = command_distance(name, commands[i].name);
                if (distance >= best || distance >= strlen(commands[i].name))
                        continue;
                best = distance;
                guess = commands[i].name;
        }
        fputs("redlockctl: there is no command ", stderr);
        show_plain(stderr, name);
        if (guess)
                fprintf(stderr, "; did you mean %s?\n", guess);
        else
                fputs("; `redlockctl --help` lists them\n", stderr);
        return 1;
}

json_t *command_ask(const struct ctl *ctl, const char *method, json_t *params, int timeout_ms)
{
        static struct connection connection;
        json_t *message = NULL;
        int r;

        r = connection_open(&connection, ctl->socket);
        if (r < 0) {
                json_decref(params);
        } else {
                r = connection_call(&connection, method, params, timeout_ms, &message);
                connection_close(&connection);
        }
        if (r >= 0)
                return message;
        fprintf(stderr, "redlockctl: %s: %s\n", ctl->socket, connection_strerror(r));
        return NULL;
}

json_t *command_result(const json_t *message)
{
        json_t *result = json_object_get(message, "result");

        if (message && !result)
                show_error(json_object_get(message, "error"));
        return result;
}
