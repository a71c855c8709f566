#pragma once

#include "redlockd/ctl/command.h"

/* certify. Returns the exit code. */
int certify_main(const struct ctl *ctl, int argc, char **argv);
