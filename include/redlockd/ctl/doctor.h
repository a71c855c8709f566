#pragma once

/*
 * `redlockctl doctor`: what about the set-up is unsafe, weak or slow, each with what to do about it.
 */
#include "redlockd/ctl/command.h"

enum doctor_exit {
        DOCTOR_WELL = 0,
        DOCTOR_FINDINGS = 1,
        DOCTOR_NO_DAEMON = 3,
};

int doctor_main(const struct ctl *ctl, int argc, char **argv);
