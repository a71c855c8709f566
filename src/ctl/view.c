/*
 * The views: one request each, and its result as lines, as a table, or as it came.
 */
#include "redlockd/ctl/view.h"

#include "redlockd/ctl/clock.h"
#include "redlockd/ctl/connection.h"
#include "redlockd/ctl/show.h"

#include <assert.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

enum { OPTION_NO_LEGEND = 256, OPTION_CHECK };

static const struct view {
        const char *method;
        bool takes_key;
        const char *columns[12];
} views[] = {
        { "nodes", false, { "name", "url", "state", "reason", "votesAt", "rtt", "redisVersion", "runId", "errors" } },
        { "sessions", false, { "session", "pid", "uid", "gid", "name", "connected", "locks", "waiting" } },
        { "locks",
          true,
          { "key", "session", "pid", "fence", "ttl", "validity", "heldFor", "waiters", "state", "nodes" } },
        { "waiters", true, { "key", "session", "pid", "position", "waited" } },
};

static const struct view *view_find(const char *method)
{
        size_t i;

        for (i = 0; i < sizeof(views) / sizeof(views[0]); ++i)
                if (strcmp(views[i].method, method) == 0)
                        return &views[i];
        return NULL;
}

const char *const *view_columns(const char *method)
{
        return view_find(method)->columns;
}

struct view_options {
        struct ctl ctl;
        bool check;
        int exit; /* -1: go on */
        char **words;
        int words_n;
};

/* What follows the command; -j and --no-legend may stand here too. */
static struct view_options view_read(const struct ctl *ctl, int argc, char **argv, int words_max)
{
        static const struct option options[] = {
                { "json", no_argument, NULL, 'j' },
                { "no-legend", no_argument, NULL, OPTION_NO_LEGEND },
                { "help", no_argument, NULL, 'h' },
                { "check", no_argument, NULL, OPTION_CHECK },
                { NULL, 0, NULL, 0 },
        };
        struct view_options o = { .ctl = *ctl, .exit = -1 };
        int option;

        optind = 0; /* main() has read options before */
        while (o.exit < 0 && (option = getopt_long(argc, argv, "jh", options, NULL)) >= 0) {
                if (option == 'j') {
                        o.ctl.json = true;
                } else if (option == OPTION_NO_LEGEND) {
                        o.ctl.legend = false;
                } else if (option == OPTION_CHECK && strcmp(argv[0], "status") == 0) {
                        o.check = true;
                } else if (option == 'h') {
                        command_help(argv[0]);
                        o.exit = 0;
                } else {
                        o.exit = command_usage(argv[0]);
                }
        }
        o.words = argv + optind;
        o.words_n = argc - optind;
        if (o.exit < 0 && o.words_n > words_max)
                o.exit = command_usage(argv[0]);
        return o;
}

static int view_print_check(json_t *status)
{
        json_int_t nodes = json_integer_value(json_object_get(status, "nodes"));
        json_int_t up = json_integer_value(json_object_get(status, "nodesUp"));
        json_int_t quorum = json_integer_value(json_object_get(status, "quorum"));
        bool draining = json_is_true(json_object_get(status, "draining"));
        enum view_check check = VIEW_CHECK_OK;

        if (up < quorum)
                check = VIEW_CHECK_NO_QUORUM;
        else if (up < nodes || draining)
                check = VIEW_CHECK_DEGRADED;
        printf("redlockd %s: %lld of %lld nodes up, quorum %lld%s\n",
               check == VIEW_CHECK_OK         ? "ok"
               : check == VIEW_CHECK_DEGRADED ? "degraded"
                                              : "NO QUORUM",
               (long long)up, (long long)nodes, (long long)quorum, draining ? ", draining" : "");
        return check;
}

int view_status(const struct ctl *ctl, int argc, char **argv)
{
        struct view_options o = view_read(ctl, argc, argv, 0);
        json_t *message, *result;
        int code = 0;

        if (o.exit >= 0)
                return o.exit;
        message = command_ask(&o.ctl, "status", NULL, CONNECTION_ANSWER_MS);
        result = command_result(message);
        if (!result)
                code = o.check ? VIEW_CHECK_NO_DAEMON : 1;
        else if (o.check)
                code = view_print_check(result);
        else if (o.ctl.json)
                show_json(result);
        else
                show_values(result);
        json_decref(message);
        return code;
}

int view_table(const struct ctl *ctl, int argc, char **argv)
{
        const struct view *view = view_find(argv[0]);
        json_t *message, *result, *params = NULL;
        struct view_options o;

        assert(view); /* command_run() came here by its name */
        o = view_read(ctl, argc, argv, view->takes_key ? 1 : 0);
        if (o.exit >= 0)
                return o.exit;
        if (o.words_n == 1) {
                params = json_pack("{s:s}", "key", o.words[0]);
                if (!params) {
                        fputs("redlockctl: the key is not UTF-8\n", stderr);
                        return 1;
                }
        }
        message = command_ask(&o.ctl, view->method, params, CONNECTION_ANSWER_MS);
        result = command_result(message);
        if (result && o.ctl.json)
                show_json(result);
        else if (result)
                show_table(json_object_get(result, view->method), view->columns, o.ctl.legend);
        json_decref(message);
        return result ? 0 : 1;
}

int view_ping(const struct ctl *ctl, int argc, char **argv)
{
        struct view_options o = view_read(ctl, argc, argv, 0);
        json_t *message, *result;
        uint64_t from_ns, to_ns;

        if (o.exit >= 0)
                return o.exit;
        from_ns = clock_now_ns();
        message = command_ask(&o.ctl, "ping", NULL, CONNECTION_ANSWER_MS);
        to_ns = clock_now_ns();
        result = command_result(message);
        if (result && o.ctl.json)
                show_json(result);
        else if (result)
                printf("answered in %.3f ms\n", (double)(to_ns - from_ns) / 1e6);
        json_decref(message);
        return result ? 0 : 1;
}

int view_call(const struct ctl *ctl, int argc, char **argv)
{
        struct view_options o = view_read(ctl, argc, argv, 2);
        json_t *message, *result, *params = NULL;
        json_error_t error;

        if (o.exit >= 0)
                return o.exit;
        if (o.words_n < 1)
                return command_usage(argv[0]);
        if (o.words_n == 2) {
                params = json_loads(o.words[1], JSON_DECODE_ANY | JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
                if (!params) {
                        fputs("redlockctl: not JSON: ", stderr);
                        show_plain(stderr, error.text);
                        fputc('\n', stderr);
                        return 1;
                }
        }
        message = command_ask(&o.ctl, o.words[0], params, -1); /* an `add` may wait */
        if (!message)
                return 1;
        result = json_object_get(message, "result");
        if (result) {
                show_json(result);
        } else {
                /* As it came: scripts read data.name from it. */
                show_json_ascii(stderr, json_object_get(message, "error"));
        }
        json_decref(message);
        return result ? 0 : 1;
}
