#pragma once

/*
 * `redlockctl run`: a command under a lock, by three processes.
 *
 *      redlockctl (run.c)                       has the terminal, the signals, and the exit code
 *        `-- keeper (run_keeper.c)              keeps the lock and the time; in a session of its own
 *              `-- the command                  in redlockctl's session and process group
 *
 * Redlockctl and the keeper both have the connection to the daemon, which is thus not over before both have ended. So
 * whichever of them is killed, the other one kills what runs before the daemon frees the lock.
 */
#include "redlockd/ctl/keep.h"
#include "redlockd/ctl/run_arguments.h"

#include <signal.h>
#include <sys/types.h>

enum run_word_kind {
        RUN_SIGNAL,  /* to the keeper: for the command, `value` */
        RUN_STOPPED, /* from the keeper: the command has stopped by the signal `value` */
        RUN_ENDED,   /* from the keeper: the command's wait status is `value` */
};

/* What the two say to each other, over a pair of sockets. */
struct run_word {
        enum run_word_kind kind;
        int value;
        bool lost; /* ENDED: while the command ran */
};

struct run {
        struct run_arguments arguments;
        struct connection connection;
        struct keep keep;
        sigset_t mask;             /* what the command gets back */
        struct sigaction on_child; /* likewise */
        sigset_t watched;
        int signals; /* signalfd */
        int channel; /* to the other process */
        pid_t keeper;
        struct run_word ended;
};

/* What follows `run` on the command line, with `run` itself as argv[0]. Returns the exit code (SPEC, 5). */
int run_main(const char *socket, int argc, char **argv);

/* In the child of a fork: the keeper's whole life, with its end of the channel. Returns its exit code. */
int run_keeper(struct run *run, int channel);
