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

static int metrics_put(const json_t *message, const char *path, bool json)
{
        const json_t *result = json_object_get(message, "result");
        const char *text = json_string_value(json_object_get(result, "text"));

        if (!text) {
                show_error(json_object_get(message, "error"));
                return 1;
        }
        if (path)
                return metrics_replace(path, text) < 0 ? metrics_fail(path) : 0;
        if (json)
                show_json(result);
        else
                fputs(text, stdout);
        return 0;
}

int metrics_main(const struct ctl *ctl, int argc, char **argv)
{
        static const struct option options[] = { { "json", no_argument, NULL, 'j' }, { NULL, 0, NULL, 0 } };
        const char *path = NULL;
        bool json = ctl->json;
        json_t *message;
        int option, code;

        optind = 0; /* main() has read options before */
        while ((option = getopt_long(argc, argv, "o:j", options, NULL)) >= 0) {
                if (option == 'o')
                        path = optarg;
                else if (option == 'j')
                        json = true;
                else
                        return command_usage("metrics");
        }
        if (optind < argc)
                return command_usage("metrics");
        message = command_ask(ctl, "metrics", NULL, CONNECTION_ANSWER_MS);
        if (!message)
                return 1;
        code = metrics_put(message, path, json);
        json_decref(message);
        return code;
}
