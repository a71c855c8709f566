#pragma once

/*
 * `redlockctl why KEY`: what each node says of a key just now, who holds it, who waits, and what the next one waits
 * for.
 */
#include "redlockd/ctl/command.h"

int why_main(const struct ctl *ctl, int argc, char **argv);
