/*
 * `redlockctl reload`.
 */
#include "redlockd/ctl/reload.h"

#include "redlockd/ctl/connection.h"
#include "redlockd/ctl/show.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

static int reload_show(json_t *message, bool json)
{
        json_t *result = json_object_get(message, "result"), *error = json_object_get(message, "error"), *line;
        json_t *lines = json_object_get(json_object_get(error, "data"), "errors");
        size_t i;

        if (result && json)
                show_json(result);
        if (result)
                return 0;
        if (json_array_size(lines) == 0)
                show_error(error);
        json_array_foreach(lines, i, line) fprintf(stderr, "%s\n", json_string_value(line));
        return 1;
}

int reload_main(const struct ctl *ctl, int argc, char **argv)
{
        static const struct option options[] = { { "json", no_argument, NULL, 'j' }, { NULL, 0, NULL, 0 } };
        bool json = ctl->json;
        json_t *message;
        int option, code;

        optind = 0; /* main() has read options before */
        while ((option = getopt_long(argc, argv, "j", options, NULL)) >= 0) {
                if (option != 'j')
                        return command_usage("reload");
                json = true;
        }
        if (optind < argc)
                return command_usage("reload");
        message = command_ask(ctl, "reload", NULL, CONNECTION_ANSWER_MS);
        if (!message)
                return 1;
        code = reload_show(message, json);
        json_decref(message);
        return code;
}
