#pragma once

#include <stdbool.h>

/* `certify [--yes] NODE`. Returns the exit code. */
int certify_main(const char *socket, bool json, int argc, char **argv);
