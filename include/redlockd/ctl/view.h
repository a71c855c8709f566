#pragma once

/*
 * What the daemon shows of itself: status, nodes, sessions, locks, waiters, ping, and any one request.
 */
#include "redlockd/ctl/command.h"

/* status --check: what monitoring asks for. */
enum view_check {
        VIEW_CHECK_OK = 0,        /* every node is up */
        VIEW_CHECK_DEGRADED = 1,  /* a quorum is up, or no new locks are granted since it drains */
        VIEW_CHECK_NO_QUORUM = 2, /* no lock can be granted */
        VIEW_CHECK_NO_DAEMON = 3, /* it is not there, or does not answer */
};

int view_status(const struct ctl *ctl, int argc, char **argv);
int view_table(const struct ctl *ctl, int argc, char **argv);
int view_ping(const struct ctl *ctl, int argc, char **argv);
int view_call(const struct ctl *ctl, int argc, char **argv);

/* The columns of a table, NULL at the end. */
const char *const *view_columns(const char *method);
