/*
 * `redlockctl metrics`. A file is replaced as a whole: whoever reads it while it is written (node_exporter's textfile
 * collector) finds the old one or the new one.
 */
#include "redlockd/ctl/metrics.h"

#include "redlockd/ctl/connection.h"
#include "redlockd/ctl/show.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int metrics_fail(const char *what)
{
        fprintf(stderr, "redlockctl: %s: %s\n", what, strerror(errno));
        return 1;
}

/* Returns 0 or -1 with errno. The name of what is written is hidden, and does not end as the collector wants it. */
static int metrics_replace(const char *path, const char *text)
{
        const char *slash = strrchr(path, '/');
        int folder = slash ? (int)(slash - path) + 1 : 0, fd, r;
        char hidden[PATH_MAX];
        FILE *file;

        if (snprintf(hidden, sizeof(hidden), "%.*s.%s.XXXXXX", folder, path, path + folder) >= (int)sizeof(hidden)) {
                errno = ENAMETOOLONG;
                return -1;
        }
        fd = mkstemp(hidden);
        if (fd < 0)
                return -1;
        file = fdopen(fd, "w");
        if (!file)
                close(fd);
        r = file && fputs(text, file) >= 0 && fchmod(fd, 0644) == 0 ? 0 : -1;
        if (file && fclose(file) != 0)
                r = -1;
        if (r == 0)
                r = rename(hidden, path);
        if (r < 0)
                unlink(hidden);
        return r;
}

static int metrics_put(const json_t *message, const char *path)
{
        const char *text = json_string_value(json_object_get(json_object_get(message, "result"), "text"));

        if (!text) {
                show_error(json_object_get(message, "error"));
                return 1;
        }
        if (!path)
                return fputs(text, stdout) < 0 || fflush(stdout) != 0 ? metrics_fail("stdout") : 0;
        return metrics_replace(path, text) < 0 ? metrics_fail(path) : 0;
}

int metrics_main(const struct ctl *ctl, int argc, char **argv)
{
        const char *path = NULL;
        json_t *message;
        int option, code;

        optind = 0;
        while ((option = getopt(argc, argv, "+o:")) >= 0) {
                if (option != 'o')
                        return command_usage("metrics");
                path = optarg;
        }
        if (optind < argc)
                return command_usage("metrics");
        message = command_ask(ctl, "metrics", NULL, CONNECTION_ANSWER_MS);
        if (!message)
                return 1;
        code = metrics_put(message, path);
        json_decref(message);
        return code;
}
