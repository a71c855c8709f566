#pragma once

/*
 * `redlockctl reload`: the broker reads its configuration again. What is wrong with that is shown line by line, so that
 * `systemctl reload` tells it.
 */
#include "redlockd/ctl/command.h"

/* Returns the exit code. */
int reload_main(const struct ctl *ctl, int argc, char **argv);
