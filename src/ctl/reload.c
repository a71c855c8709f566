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

int reload_main(const char *socket, int argc, char **argv)
{
        static struct connection connection;
        json_t *message;
        int r, code;

        if (argc != 1) {
                fputs("usage: redlockctl [-s SOCKET] reload\n", stderr);
                return 1;
        }
        r = connection_open(&connection, socket);
        if (r >= 0) {
                r = connection_call(&connection, "reload", NULL, &message);
                connection_close(&connection);
        }
        if (r < 0) {
                fprintf(stderr, "redlockctl: %s: %s\n", socket, strerror(-r));
                return 1;
        }
        code = reload_show(message);
        json_decref(message);
        return code;
}
