/*
 * certify: an operator vouches that nobody holds anything that a node in quarantine may have forgotten. He is asked
 * whether he does, and cannot be asked where there is no terminal: then he has to have said so with --yes.
 */
#include "redlockd/ctl/certify.h"

#include "redlockd/ctl/connection.h"
#include "redlockd/ctl/show.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool certify_asks(const char *node)
{
        char line[16];

        fprintf(stderr,
                "Node %s may have forgotten locks. If anybody on any host still relies on one of them,\n"
                "two may hold it when the node votes. Does nobody? [y/N] ",
                node);
        fflush(stderr);
        return fgets(line, sizeof(line), stdin) && (line[0] == 'y' || line[0] == 'Y');
}

/* 0, or 1 where the node was in no quarantine that could have been ended. */
static int certify_tell(const json_t *result, bool json)
{
        const json_t *node = json_object_get(result, "node");
        const char *name = json_string_value(json_object_get(node, "name"));
        const char *state = json_string_value(json_object_get(node, "state"));
        const char *reason = json_string_value(json_object_get(node, "reason"));
        bool certified = json_is_true(json_object_get(result, "certified"));

        if (json)
                show_json(result);
        else if (certified)
                printf("node %s is certified\n", name);
        else
                fprintf(stderr, "redlockctl: node %s is %s, and there is nothing to certify%s%s\n", name, state,
                        *reason ? ": " : "", reason);
        return certified ? 0 : 1;
}

int certify_main(const char *socket, bool json, int argc, char **argv)
{
        static struct connection connection;
        bool yes = argc > 1 && strcmp(argv[1], "--yes") == 0;
        json_t *message = NULL, *result;
        int r, code = 1;

        if (argc != 2 + yes || argv[argc - 1][0] == '-') {
                fputs("usage: redlockctl certify [--yes] NODE\n", stderr);
                return 1;
        }
        if (!yes && !isatty(STDIN_FILENO)) {
                fputs("redlockctl: certify asks on a terminal, and there is none; --yes answers in advance\n", stderr);
                return 1;
        }
        if (!yes && !certify_asks(argv[1])) {
                fputs("redlockctl: nothing was done\n", stderr);
                return 1;
        }
        r = connection_open(&connection, socket);
        if (r >= 0) {
                r = connection_call(&connection, "certify", json_pack("{s:s}", "node", argv[argc - 1]), &message);
                connection_close(&connection);
        }
        if (r < 0) {
                fprintf(stderr, "redlockctl: %s: %s\n", socket, strerror(-r));
                return 1;
        }
        result = json_object_get(message, "result");
        if (result)
                code = certify_tell(result, json);
        else
                show_error(json_object_get(message, "error"));
        json_decref(message);
        return code;
}
