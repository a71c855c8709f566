#pragma once

/*
 * Where the configuration comes from: the file that was named, or the default one, over the defaults of the program.
 */
#include "redlockd/wire/config.h"

#define SETTINGS_FILE "/etc/redlockd/redlockd.json"

/*
 * `file` NULL: SETTINGS_FILE, and without that file the defaults. Returns 0, or negative errno after at least one error
 * was reported.
 */
int settings_load(const char *file, struct config *ret_config, config_error_fn report, void *userdata);

/* The same while a broker runs; a file that is missing is an error then. */
int settings_reload(const char *file, const struct config_running *running, struct config *ret_config,
                    config_error_fn report, void *userdata);

/*
 * Connects to every node and prints on stdout what it finds, a line each. Returns 0, or -ENETUNREACH where a node is
 * not fit to be used.
 */
int settings_probe(const struct config *config);
