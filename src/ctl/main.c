/*
 * redlockctl: what the broker is doing, and commands under a lock. A client like any other.
 */
#include "redlockd/ctl/connection.h"
#include "redlockd/ctl/metrics.h"
#include "redlockd/ctl/reload.h"
#include "redlockd/ctl/run.h"
#include "redlockd/ctl/show.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SOCKET_DEFAULT "/run/redlockd/redlockd.sock"

static const char usage[] =
        "usage: redlockctl [-s SOCKET] [-j] COMMAND ...\n"
        "\n"
        "  status | nodes | sessions | locks [KEY] | waiters [KEY] | ping\n"
        "  metrics [-o FILE]                 what it counts, for Prometheus: shown, or into a file that is replaced\n"
        "  reload                            the broker reads its configuration again: all of it, or none\n"
        "  call METHOD [JSON]                one request, its result as JSON\n"
        "  run [-n | -w SEC] [-t TTL_MS] [-E CODE] KEY[,KEY...] -- CMD [ARG...]\n"
        "                                    CMD while the keys are locked: -n tries once, -w waits so long at most;\n"
        "                                    124 (or CODE): not acquired, 123: the lock was lost while CMD ran\n"
        "\n"
        "  -s, --socket SOCKET   where redlockd listens ($REDLOCKD_SOCKET, or " SOCKET_DEFAULT ")\n"
        "  -j, --json            results as they came, one JSON text on a line\n"
        "  -V, --version\n"
        "  -h, --help\n";

struct arguments {
        const char *socket;
        bool json;
        int argc; /* the command and what follows it */
        char **argv;
};

struct command {
        const char *name;
        bool takes_key;
        const char *const *columns; /* NULL: not a table */
};

static const char *const columns_nodes[] = { "name", "url",          "state", "reason", "votesAt",
                                             "rtt",  "redisVersion", "runId", "errors", NULL };
static const char *const columns_sessions[] = { "session",   "pid",   "uid",     "gid", "name",
                                                "connected", "locks", "waiting", NULL };
static const char *const columns_locks[] = { "key",     "session", "pid",   "fence", "ttl", "validity",
                                             "heldFor", "waiters", "state", "nodes", NULL };
static const char *const columns_waiters[] = { "key", "session", "pid", "position", "waited", NULL };

static const struct command commands[] = {
        { "status", false, NULL },        { "nodes", false, columns_nodes },    { "sessions", false, columns_sessions },
        { "locks", true, columns_locks }, { "waiters", true, columns_waiters },
};

static struct arguments read_arguments(int argc, char **argv)
{
        static const struct option options[] = {
                { "socket", required_argument, NULL, 's' },
                { "json", no_argument, NULL, 'j' },
                { "version", no_argument, NULL, 'V' },
                { "help", no_argument, NULL, 'h' },
                { NULL, 0, NULL, 0 },
        };
        const char *environment = getenv("REDLOCKD_SOCKET");
        struct arguments a = { .socket = environment && *environment ? environment : SOCKET_DEFAULT };
        int option;

        /* '+': options that follow the command are the command's own. */
        while ((option = getopt_long(argc, argv, "+s:jVh", options, NULL)) >= 0) {
                switch (option) {
                case 's':
                        a.socket = optarg;
                        break;
                case 'j':
                        a.json = true;
                        break;
                case 'V':
                        puts("redlockctl " REDLOCKD_VERSION);
                        exit(0);
                case 'h':
                        fputs(usage, stdout);
                        exit(0);
                default:
                        fputs(usage, stderr);
                        exit(1);
                }
        }
        a.argc = argc - optind;
        a.argv = argv + optind;
        return a;
}

static int bad_arguments(void)
{
        fputs(usage, stderr);
        return 1;
}

/* One request on a connection of its own. Takes over `params`. NULL after an error that was told. */
static json_t *ask(const struct arguments *a, const char *method, json_t *params)
{
        static struct connection connection;
        json_t *message = NULL;
        int r;

        r = connection_open(&connection, a->socket);
        if (r < 0) {
                json_decref(params);
        } else {
                r = connection_call(&connection, method, params, &message);
                connection_close(&connection);
        }
        if (r >= 0)
                return message;
        fprintf(stderr, "redlockctl: %s: %s\n", a->socket, strerror(-r));
        return NULL;
}

static int command_show(const struct arguments *a, const struct command *command)
{
        json_t *message, *result, *params = NULL;
        int code = 1;

        if (a->argc > (command->takes_key ? 2 : 1))
                return bad_arguments();
        if (a->argc == 2) {
                params = json_pack("{s:s}", "key", a->argv[1]);
                if (!params) {
                        fputs("redlockctl: the key is not UTF-8\n", stderr);
                        return 1;
                }
        }
        message = ask(a, command->name, params);
        if (!message)
                return 1;
        result = json_object_get(message, "result");
        if (!result) {
                show_error(json_object_get(message, "error"));
        } else {
                if (a->json)
                        show_json(result);
                else if (command->columns)
                        show_table(json_object_get(result, command->name), command->columns);
                else
                        show_values(result);
                code = 0;
        }
        json_decref(message);
        return code;
}

static double elapsed_ms(const struct timespec *from, const struct timespec *to)
{
        return (double)(to->tv_sec - from->tv_sec) * 1e3 + (double)(to->tv_nsec - from->tv_nsec) / 1e6;
}

static int command_ping(const struct arguments *a)
{
        struct timespec from, to;
        json_t *message, *result;
        int code = 1;

        if (a->argc != 1)
                return bad_arguments();
        clock_gettime(CLOCK_MONOTONIC, &from);
        message = ask(a, "ping", NULL);
        clock_gettime(CLOCK_MONOTONIC, &to);
        if (!message)
                return 1;
        result = json_object_get(message, "result");
        if (!result) {
                show_error(json_object_get(message, "error"));
        } else {
                if (a->json)
                        show_json(result);
                else
                        printf("answered in %.3f ms\n", elapsed_ms(&from, &to));
                code = 0;
        }
        json_decref(message);
        return code;
}

static int command_call(const struct arguments *a)
{
        json_t *message, *result, *params = NULL;
        json_error_t error;
        int code = 1;

        if (a->argc < 2 || a->argc > 3)
                return bad_arguments();
        if (a->argc == 3) {
                params = json_loads(a->argv[2], JSON_DECODE_ANY | JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
                if (!params) {
                        fprintf(stderr, "redlockctl: not JSON: %s\n", error.text);
                        return 1;
                }
        }
        message = ask(a, a->argv[1], params);
        if (!message)
                return 1;
        result = json_object_get(message, "result");
        if (result) {
                show_json(result);
                code = 0;
        } else {
                /* As it came: scripts read data.name from it. */
                json_dumpf(json_object_get(message, "error"), stderr, JSON_COMPACT | JSON_ENSURE_ASCII);
                fputc('\n', stderr);
        }
        json_decref(message);
        return code;
}

int main(int argc, char **argv)
{
        struct arguments a = read_arguments(argc, argv);
        size_t i;

        if (a.argc == 0)
                return bad_arguments();
        if (strcmp(a.argv[0], "run") == 0)
                return run_main(a.socket, a.argc, a.argv);
        if (strcmp(a.argv[0], "metrics") == 0)
                return metrics_main(a.socket, a.argc, a.argv);
        if (strcmp(a.argv[0], "reload") == 0)
                return reload_main(a.socket, a.argc, a.argv);
        if (strcmp(a.argv[0], "call") == 0)
                return command_call(&a);
        if (strcmp(a.argv[0], "ping") == 0)
                return command_ping(&a);
        for (i = 0; i < sizeof(commands) / sizeof(commands[0]); ++i)
                if (strcmp(a.argv[0], commands[i].name) == 0)
                        return command_show(&a, &commands[i]);
        fprintf(stderr, "redlockctl: unknown command: %s\n", a.argv[0]);
        return bad_arguments();
}
