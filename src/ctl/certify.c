/*
 * certify: an operator vouches that nobody holds anything that a node in quarantine may have forgotten. He is asked
 * whether he does, and cannot be asked where there is no terminal: then he has to have said so with --yes.
 */
#include "redlockd/ctl/certify.h"

#include "redlockd/ctl/connection.h"
#include "redlockd/ctl/show.h"

#include <getopt.h>
#include <stdio.h>
#include <unistd.h>

static bool certify_asks(const char *node)
{
        char line[16];

        fputs("Node ", stderr);
        show_plain(stderr, node);
        fputs(" may have forgotten locks. If anybody on any host still relies on one of them,\n"
              "two may hold it when the node votes. Does nobody? [y/N] ",
              stderr);
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

static int certify_ask(const struct ctl *ctl, const char *node, bool json)
{
        json_t *message, *params, *result;
        int code = 1;

        params = json_pack("{s:s}", "node", node);
        if (!params) {
                fputs("redlockctl: the name is not UTF-8\n", stderr);
                return 1;
        }
        message = command_ask(ctl, "certify", params, CONNECTION_ANSWER_MS);
        result = command_result(message);
        if (result)
                code = certify_tell(result, json);
        json_decref(message);
        return code;
}

int certify_main(const struct ctl *ctl, int argc, char **argv)
{
        static const struct option options[] = { { "yes", no_argument, NULL, 'y' },
                                                 { "json", no_argument, NULL, 'j' },
                                                 { NULL, 0, NULL, 0 } };
        bool yes = false, json = ctl->json;
        int option;

        optind = 0; /* main() has read options before */
        while ((option = getopt_long(argc, argv, "yj", options, NULL)) >= 0) {
                if (option == 'y')
                        yes = true;
                else if (option == 'j')
                        json = true;
                else
                        return command_usage("certify");
        }
        if (argc - optind != 1)
                return command_usage("certify");
        if (!yes && !isatty(STDIN_FILENO)) {
                fputs("redlockctl: certify asks on a terminal, and there is none; --yes answers in advance\n", stderr);
                return 1;
        }
        if (!yes && !certify_asks(argv[optind])) {
                fputs("redlockctl: nothing was done\n", stderr);
                return 1;
        }
        return certify_ask(ctl, argv[optind], json);
}
