#pragma once

/*
 * `redlockctl metrics`: what the broker counts, in Prometheus' text, on stdout or into a file.
 */
#include "redlockd/ctl/command.h"

/* What follows `metrics` on the command line, with `metrics` itself as argv[0]. Returns the exit code. */
int metrics_main(const struct ctl *ctl, int argc, char **argv);
