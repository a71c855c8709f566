/*
 * redlockctl: what the broker is doing, and commands under a lock. A client like any other.
 */
#include "redlockd/ctl/command.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SOCKET_DEFAULT "/run/redlockd/redlockd.sock"

enum { OPTION_NO_LEGEND = 256 };

static int bad_arguments(void)
{
        fputs("usage: redlockctl [-s SOCKET] [-j] [--no-legend] COMMAND ...\n"
              "`redlockctl --help` lists the commands, `redlockctl COMMAND --help` says more of one.\n",
              stderr);
        return 1;
}

/* Options up to the command. Returns -1 to go on, or the exit code. */
static int read_options(int argc, char **argv, struct ctl *ret_ctl)
{
        static const struct option options[] = {
                { "socket", required_argument, NULL, 's' },
                { "json", no_argument, NULL, 'j' },
                { "no-legend", no_argument, NULL, OPTION_NO_LEGEND },
                { "version", no_argument, NULL, 'V' },
                { "help", no_argument, NULL, 'h' },
                { NULL, 0, NULL, 0 },
        };
        int option;

        /* '+': options that follow the command are the command's own. */
        while ((option = getopt_long(argc, argv, "+s:jVh", options, NULL)) >= 0) {
                switch (option) {
                case 's':
                        ret_ctl->socket = optarg;
                        break;
                case 'j':
                        ret_ctl->json = true;
                        break;
                case OPTION_NO_LEGEND:
                        ret_ctl->legend = false;
                        break;
                case 'V':
                        puts("redlockctl " REDLOCKD_VERSION);
                        return 0;
                case 'h':
                        command_list();
                        return 0;
                default:
                        return bad_arguments();
                }
        }
        return -1;
}

/* A table of which a full disk took the end is no success. */
static int finish(int code)
{
        if (fflush(stdout) == 0 && !ferror(stdout))
                return code;
        fprintf(stderr, "redlockctl: stdout: %s\n", strerror(errno));
        return code != 0 ? code : 1;
}

int main(int argc, char **argv)
{
        const char *environment = getenv("REDLOCKD_SOCKET");
        struct ctl ctl = { .socket = environment && *environment ? environment : SOCKET_DEFAULT, .legend = true };
        const struct command *command;
        int r;

        r = read_options(argc, argv, &ctl);
        if (r >= 0)
                return finish(r);
        argc -= optind;
        argv += optind;
        if (argc == 0)
                return bad_arguments();
        command = command_find(argv[0]);
        if (!command)
                return command_unknown(argv[0]);
        if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
                command_help(argv[0]);
                return finish(0);
        }
        return finish(command->main(&ctl, argc, argv));
}
