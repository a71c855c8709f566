/*
 * `redlockctl reload`.
 */
#include "redlockd/ctl/reload.h"

#include "redlockd/ctl/connection.h"
#include "redlockd/ctl/show.h"

#include <stdio.h>
#include <string.h>

static int reload_show(json_t *message)
{
        json_t *error = json_object_get(message, "error"), *line;
        json_t *lines = json_object_get(json_object_get(error, "data"), "errors");
        size_t i;

        if (json_object_get(message, "result"))
                return 0;
        if (json_array_size(lines) == 0)
                show_error(error);
        json_array_foreach(lines, i, line) fprintf(stderr, "%s\n", json_string_value(line));
        return 1;
}

int reload_main(const struct ctl *ctl, int argc, char **argv)
{
        json_t *message;
        int code;

        if (argc != 1)
                return command_usage("reload");
        message = command_ask(ctl, "reload", NULL, CONNECTION_ANSWER_MS);
        if (!message)
                return 1;
        code = reload_show(message);
        json_decref(message);
        return code;
}
