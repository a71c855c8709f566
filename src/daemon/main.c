/*
 * redlockd: arguments, configuration, and the daemon is run.
 */
#include "redlockd/daemon/daemon.h"
#include "redlockd/net/log.h"
#include "redlockd/wire/config.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONFIG_FILE "/etc/redlockd/redlockd.json"

static const char usage[] = "usage: redlockd [-c FILE] [-s SOCKET] [-t] [-l LEVEL] [-V] [-h]\n"
                            "\n"
                            "  -c, --config FILE    the configuration (" CONFIG_FILE " where it exists)\n"
                            "  -s, --socket SOCKET  where to listen ($REDLOCKD_SOCKET, or listen.socket of FILE)\n"
                            "  -t, --test           check the configuration and exit: 0, or 1 with every error shown\n"
                            "  -l, --log LEVEL      error, warn, info or debug (log.level of FILE)\n"
                            "  -V, --version\n"
                            "  -h, --help\n";

struct arguments {
        const char *file; /* NULL: the default one, if it is there */
        const char *socket;
        const char *level;
        bool test;
};

static void bad_arguments(const char *what, const char *value)
{
        fprintf(stderr, "redlockd: %s%s\n%s", what, value, usage);
        exit(1);
}

static struct arguments read_arguments(int argc, char **argv)
{
        static const struct option options[] = {
                { "config", required_argument, NULL, 'c' },
                { "socket", required_argument, NULL, 's' },
                { "test", no_argument, NULL, 't' },
                { "log", required_argument, NULL, 'l' },
                { "version", no_argument, NULL, 'V' },
                { "help", no_argument, NULL, 'h' },
                { NULL, 0, NULL, 0 },
        };
        struct arguments a = { 0 };
        enum log_level level;
        int option;

        while ((option = getopt_long(argc, argv, "c:s:tl:Vh", options, NULL)) >= 0) {
                switch (option) {
                case 'c':
                        a.file = optarg;
                        break;
                case 's':
                        a.socket = optarg;
                        break;
                case 't':
                        a.test = true;
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

/* Without -c a missing file means the defaults: a broker of this host's processes. */
static int read_config(const struct arguments *a, struct config *ret_config)
{
        const char *file = a->file ? a->file : CONFIG_FILE;
        int r;

        if (!a->file && access(file, F_OK) < 0 && errno == ENOENT)
                r = config_init(ret_config);
        else
                r = config_load(file, getenv("CREDENTIALS_DIRECTORY"), ret_config, print_error, NULL);
        if (r < 0)
                fprintf(stderr, "redlockd: %s: %s\n", file, r == -EINVAL ? "not usable" : strerror(-r));
        else if (a->test)
                printf("%s: ok\n", !a->file && access(file, F_OK) < 0 ? "defaults" : file);
        return r;
}

static const char *choose_socket(const struct arguments *a, const struct config *config)
{
        const char *environment = getenv("REDLOCKD_SOCKET");

        if (a->socket)
                return a->socket;
        return environment && *environment ? environment : config->listen.socket;
}

int main(int argc, char **argv)
{
        struct arguments a;
        struct config config;
        enum log_level level;
        int r;

        signal(SIGPIPE, SIG_IGN); /* a peer that is gone is an error of the write, not our end */
        a = read_arguments(argc, argv);
        r = read_config(&a, &config);
        if (r < 0)
                return 1;
        if (log_level_parse(a.level ? a.level : config.log.level, &level))
                log_set_level(level);
        if (!a.test)
                r = daemon_run(&config, choose_socket(&a, &config));
        config_deinit(&config);
        return r < 0 ? 1 : 0;
}
