#pragma once

/*
 * `redlockctl reload`: the broker reads its configuration again. What is wrong with that is shown line by line, so that
 * `systemctl reload` tells it.
 */

/* Returns the exit code. */
int reload_main(const char *socket, int argc, char **argv);
