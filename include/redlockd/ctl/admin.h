#pragma once

/*
 * What an administrator tells the daemon to do: drain, kill, break.
 */
#include "redlockd/ctl/command.h"

int admin_main(const struct ctl *ctl, int argc, char **argv);
