#pragma once

/*
 * Waiting for locks: until they are granted and known to be good for a while, refused, or a signal comes.
 */
#include "redlockd/ctl/keep.h"

#include <signal.h>

struct acquire_options {
        const char *name;   /* shown in `redlockctl sessions` */
        json_int_t wait_ms; /* -1: for ever, 0: once */
        int not_acquired;   /* the exit code for that */
        bool verbose;       /* say on stderr what is waited for */
        int signals;        /* a signalfd, non-blocking */
};

enum acquire_exit {
        ACQUIRE_FAILED = 125,       /* our own failure, or the daemon's */
        ACQUIRE_NOT_ACQUIRED = 124, /* where -E says nothing else */
        ACQUIRE_SIGNALLED = 128,    /* and its number */
        ACQUIRE_LOST = 123,
};

/*
 * True with the locks held, *ret_locks as the daemon told them (for json_decref()) and `keep` up to date; false with
 * the exit code, after having said why.
 */
bool acquire(struct keep *keep, const struct acquire_options *options, json_t **ret_locks, int *ret_exit);

/* Blocks the signals that end a program, where they are not ignored; as a signalfd, or negative errno. */
int acquire_watch_signals(sigset_t *ret_watched);

/* The next signal that came, SIGCHLD too; 0: none. `ret_code` is its si_code. */
int acquire_next_signal(int signals, int *ret_code);
