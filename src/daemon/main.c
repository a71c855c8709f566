/*
 * redlockd: arguments, configuration, and the daemon is run.
 */
#include "redlockd/daemon/daemon.h"
#include "redlockd/daemon/settings.h"
#include "redlockd/net/log.h"
#include "redlockd/wire/config.h"

#include <errno.h>
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAIN_MMAP_THRESHOLD                                                                                            \
        (128 << 10) /* bytes; larger blocks are the system's, and go back to it when they are freed */

static const char usage[] = "usage: redlockd [-c FILE] [-s SOCKET] [-t | -T] [-l LEVEL] [-V] [-h]\n"
                            "\n"
                            "  -c, --config FILE    the configuration (" SETTINGS_FILE " where it exists)\n"
                            "  -s, --socket SOCKET  where to listen ($REDLOCKD_SOCKET, or listen.socket of FILE)\n"
                            "  -t, --test           check the configuration and exit: 0, or 1 with every error shown\n"
                            "  -T, --test-nodes     the same, and connect to every node\n"
                            "  -l, --log LEVEL      error, warn, info or debug (log.level of FILE)\n"
                            "  -V, --version\n"
                            "  -h, --help\n";

struct arguments {
        const char *file; /* NULL: the default one, if it is there */
        const char *socket;
        const char *level;
        bool test;
        bool test_nodes;
};

static void bad_arguments(const char *what, const char *value)
{
        fprintf(stderr, "redlockd: %s%s\n%s", what, value, usage);
        exit(1);
}

static struct arguments read_arguments(int argc, char **argv)
{
        static const struct option options[] = {
                { "config", required_argument, NULL, 'c' }, { "socket", required_argument, NULL, 's' },
                { "test", no_argument, NULL, 't' },         { "test-nodes", no_argument, NULL, 'T' },
                { "log", required_argument, NULL, 'l' },    { "version", no_argument, NULL, 'V' },
                { "help", no_argument, NULL, 'h' },         { NULL, 0, NULL, 0 },
        };
        struct arguments a = { 0 };
        enum log_level level;
        int option;

        while ((option = getopt_long(argc, argv, "c:s:tTl:Vh", options, NULL)) >= 0) {
                switch (option) {
                case 'c':
                        a.file = optarg;
                        break;
                case 's':
                        a.socket = optarg;
                        break;
                case 't':
                case 'T':
                        a.test = true;
                        a.test_nodes |= option == 'T';
                        break;
                case 'l':
                        if (!log_level_parse(optarg, &level))
                                bad_arguments("unknown log level: ", optarg);
                        a.level = optarg;
                        break;
                case 'V':
                        puts("redlockd " REDLOCKD_VERSION);
                        exit(0);
                case 'h':
                        fputs(usage, stdout);
                        exit(0);
                default: /* getopt has said what */
                        fputs(usage, stderr);
                        exit(1);
                }
        }
        if (optind < argc)
                bad_arguments("unexpected argument: ", argv[optind]);
        return a;
}

static void print_error(void *userdata, const char *line)
{
        fprintf(stderr, "%s\n", line);
}

static const char *choose_socket(const struct arguments *a, const struct config *config)
{
        const char *environment = getenv("REDLOCKD_SOCKET");

        if (a->socket)
                return a->socket;
        return environment && *environment ? environment : config->listen.socket;
}

static int test_config(const struct arguments *a, const struct config *config)
{
        const char *file = a->file ? a->file : SETTINGS_FILE;

        printf("%s: ok\n", !a->file && access(file, F_OK) < 0 ? "defaults" : file);
        return a->test_nodes ? settings_probe(config) : 0;
}

int main(int argc, char **argv)
{
        struct daemon_options options;
        struct config config;
        struct arguments a;
        int r;

        /*
         * Set, it stays: else the first large block that is freed would raise it, and outputs of a megabyte, of clients
         * that do not read, would be cut out of the heap and leave holes there for good.
         */
        mallopt(M_MMAP_THRESHOLD, MAIN_MMAP_THRESHOLD);
        signal(SIGPIPE, SIG_IGN); /* a peer that is gone is an error of the write, not our end */
        a = read_arguments(argc, argv);
        r = settings_load(a.file, &config, print_error, NULL);
        if (r < 0) {
                fprintf(stderr, "redlockd: %s: not usable\n", a.file ? a.file : SETTINGS_FILE);
                return 1;
        }
        if (a.test) {
                r = test_config(&a, &config);
        } else {
                options = (struct daemon_options){ a.file, choose_socket(&a, &config), a.level };
                r = daemon_run(&config, &options);
        }
        config_deinit(&config);
        return r < 0 ? 1 : 0;
}
