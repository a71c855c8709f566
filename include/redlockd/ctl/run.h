#pragma once

/*
 * `redlockctl run`: a command under a lock.
 */

/* What follows `run` on the command line, with `run` itself as argv[0]. Returns the exit code (SPEC, 5). */
int run_main(const char *socket, int argc, char **argv);
