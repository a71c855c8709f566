#pragma once

/*
 * The processes below this one. They stay below it whatever they do, once it is a subreaper (PR_SET_CHILD_SUBREAPER):
 * waitpid() says ECHILD when, and only when, none of them is left.
 */
#include <sys/types.h>

/*
 * Sends a signal to every process below `root`, not to `root` itself. Who forks meanwhile may be missed: to be repeated
 * until nobody is left.
 */
void tree_signal(pid_t root, int signum);
