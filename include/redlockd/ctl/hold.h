#pragma once

/*
 * `redlockctl hold`: locks that are held until the input ends.
 */
#include "redlockd/ctl/command.h"

int hold_main(const struct ctl *ctl, int argc, char **argv);
