#pragma once

/*
 * The commands of redlockctl: what each is called, how it is used, and who carries it out.
 */
#include <jansson.h>
#include <stdbool.h>

/* What stands before the command. */
struct ctl {
        const char *socket;
        bool json;   /* results as they came */
        bool legend; /* tables have a header */
};

struct command {
        const char *name;
        const char *arguments;
        const char *summary;                                       /* of one line, for the list of all */
        const char *help;                                          /* what --help says more */
        int (*main)(const struct ctl *ctl, int argc, char **argv); /* with the command as argv[0]; the exit code */
};

/* NULL: there is none of this name. */
const struct command *command_find(const char *name);

/* All of them on stdout, or the one: its help. */
void command_list(void);
void command_help(const char *name);

/* How a command is used, on stderr, after it was said what is wrong. Returns 1. */
int command_usage(const char *name);

/* There is no command of this name: says so, and which one may have been meant. Returns 1. */
int command_unknown(const char *name);

/*
 * One request on a connection of its own, answered within timeout_ms (-1: whenever). Takes over `params`. Returns the
 * message, or NULL after having said what went wrong.
 */
json_t *command_ask(const struct ctl *ctl, const char *method, json_t *params, int timeout_ms);

/* The result in a message (borrowed), or NULL after having shown its error. */
json_t *command_result(const json_t *message);
