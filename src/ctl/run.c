/*
 * A command under a lock: redlockctl's own part.
 *
 *      WAITING (acquire.c) --granted--> fork the keeper --> FORWARDING --the keeper has ended--> exit
 *         |                                                     |
 *         +--> not acquired, or a signal: nothing is started    +--the keeper was killed--> kill all that runs --> exit
 *
 * Signals that are sent to us go to the command. What the terminal sends goes to its whole foreground process group,
 * and so to the command already; it comes with SI_KERNEL. Where the command has left our group, or where we lead the
 * session and are told alone that the terminal is gone, it is passed on all the same.
 *
 * Stop and continue are mirrored: where the command stops, so do we, that the shell sees it; where we go on, it does.
 * The keeper never stops, it goes on renewing.
 */
#include "redlockd/ctl/run.h"

#include "redlockd/ctl/acquire.h"
#include "redlockd/ctl/clock.h"
#include "redlockd/ctl/tree.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define RUN_KILL_AGAIN_MS 10

/* The fences in the order of $REDLOCK_KEYS, where the daemon gives any. */
static void run_export_fences(const struct run *run, const json_t *locks)
{
        const json_t *key, *lock, *fence;
        char *text = NULL;
        size_t size, i, k;
        FILE *out = open_memstream(&text, &size);

        if (!out)
                return;
        json_array_foreach(run->arguments.keys, i, key)
        {
                json_array_foreach(locks, k, lock)
                {
                        fence = json_object_get(lock, "fence");
                        if (json_equal(key, json_object_get(lock, "key")) && json_is_integer(fence))
                                fprintf(out, "%s%lld", i > 0 ? "," : "", (long long)json_integer_value(fence));
                }
        }
        if (fclose(out) == 0 && size > 0)
                setenv("REDLOCK_FENCES", text, 1);
        free(text);
}

static void run_tell_keeper(const struct run *run, int signum)
{
        const struct run_word word = { .kind = RUN_SIGNAL, .value = signum };

        send(run->channel, &word, sizeof(word), MSG_NOSIGNAL);
}

/* Stands still until somebody continues us. */
static void run_stop(int signum)
{
        sigset_t stop;

        if (signum == SIGTSTP) {
                sigemptyset(&stop);
                sigaddset(&stop, SIGTSTP);
                raise(SIGTSTP);
                sigprocmask(SIG_UNBLOCK, &stop, NULL);
                sigprocmask(SIG_BLOCK, &stop, NULL);
        } else {
                raise(signum == SIGTTIN || signum == SIGTTOU ? signum : SIGSTOP);
        }
}

/* Whether the terminal has sent it to the command as it has to us. */
static bool run_is_shared(int signum, int code)
{
        return code == SI_KERNEL && !(signum == SIGHUP && getsid(0) == getpid());
}

static void run_on_signals(struct run *run)
{
        int signum, code;

        while ((signum = acquire_next_signal(run->signals, &code)) > 0)
                if (signum != SIGCHLD && !run_is_shared(signum, code))
                        run_tell_keeper(run, signum);
}

static void run_on_words(struct run *run)
{
        struct run_word word;
        ssize_t n;

        for (;;) {
                n = recv(run->channel, &word, sizeof(word), MSG_DONTWAIT);
                if (n < 0 && errno == ECONNRESET)
                        continue; /* it has ended without reading our last word; what it said before is still there */
                if (n != (ssize_t)sizeof(word))
                        return;
                if (word.kind == RUN_ENDED)
                        run->ended = word;
                else if (word.kind == RUN_STOPPED)
                        run_stop(word.value);
        }
}

/* Nobody keeps the lock any more, but the connection is still ours: the command is gone before it is free. */
static int run_orphaned(void)
{
        fputs("redlockctl: the process that keeps the lock was killed: killing the command\n", stderr);
        for (;;) {
                tree_signal(getpid(), SIGKILL);
                while (waitpid(-1, NULL, WNOHANG) > 0)
                        continue;
                if (waitpid(-1, NULL, WNOHANG) < 0)
                        return ACQUIRE_FAILED;
                poll(NULL, 0, RUN_KILL_AGAIN_MS);
        }
}

static int run_exit_code(const struct run *run)
{
        int status = run->ended.value;

        if (run->ended.lost)
                return ACQUIRE_LOST;
        return WIFEXITED(status) ? WEXITSTATUS(status) : ACQUIRE_SIGNALLED + WTERMSIG(status);
}

static bool run_keeper_gone(const struct run *run)
{
        siginfo_t info = { 0 };

        return waitid(P_PID, (id_t)run->keeper, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == run->keeper;
}

static int run_forward(struct run *run)
{
        struct pollfd polled[] = { { run->signals, POLLIN, 0 }, { run->channel, POLLIN, 0 } };
        bool gone;

        for (;;) {
                run_on_signals(run);
                /* After its SIGCHLD may have been read, and before the last that it said is. */
                gone = run_keeper_gone(run);
                run_on_words(run);
                if (gone)
                        return run->ended.kind == RUN_ENDED ? run_exit_code(run) : run_orphaned();
                if (poll(polled, run->ended.kind == RUN_ENDED ? 1 : 2, -1) < 0 && errno != EINTR)
                        return run_orphaned();
        }
}

/* From now on stopping and continuing is ours to mirror. */
static int run_watch_more(struct run *run)
{
        struct sigaction action;

        if (sigaction(SIGTSTP, NULL, &action) == 0 && action.sa_handler != SIG_IGN)
                sigaddset(&run->watched, SIGTSTP);
        sigaddset(&run->watched, SIGCONT);
        sigprocmask(SIG_BLOCK, &run->watched, NULL);
        return signalfd(run->signals, &run->watched, SFD_CLOEXEC | SFD_NONBLOCK) < 0 ? -errno : 0;
}

static int run_start(struct run *run)
{
        int channel[2], signum, code, r;

        r = run_watch_more(run);
        if (r >= 0 && (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0 ||
                       socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel) < 0))
                r = -errno;
        if (r < 0) {
                fprintf(stderr, "redlockctl: %s\n", strerror(-r));
                return ACQUIRE_FAILED;
        }
        /* The last look: a signal that came until here starts nothing, one that comes later goes to the command. */
        while ((signum = acquire_next_signal(run->signals, &code)) > 0)
                if (signum != SIGCHLD && signum != SIGCONT)
                        return ACQUIRE_SIGNALLED + signum;
        fflush(NULL);
        run->keeper = fork();
        if (run->keeper == 0) {
                close(channel[0]);
                _exit(run_keeper(run, channel[1]));
        }
        close(channel[1]);
        run->channel = channel[0];
        if (run->keeper < 0) {
                fprintf(stderr, "redlockctl: fork: %s\n", strerror(errno));
                return ACQUIRE_FAILED;
        }
        return run_forward(run);
}

static int run_locked(struct run *run)
{
        struct acquire_options options = { .name = run->arguments.command[0],
                                           .wait_ms = run->arguments.wait_ms,
                                           .not_acquired = run->arguments.not_acquired,
                                           .verbose = run->arguments.verbose,
                                           .signals = run->signals };
        json_t *locks;
        int exit_code;

        keep_init(&run->keep, &run->connection, run->arguments.keys, run->arguments.ttl_ms);
        if (!acquire(&run->keep, &options, &locks, &exit_code))
                return exit_code;
        run_export_fences(run, locks);
        json_decref(locks);
        return run_start(run);
}

static int run_prepare(struct run *run)
{
        sigprocmask(SIG_BLOCK, NULL, &run->mask);
        /* Where it was inherited as ignored there would be no status to wait for. */
        sigaction(SIGCHLD, &(struct sigaction){ .sa_handler = SIG_DFL }, &run->on_child);
        run->signals = acquire_watch_signals(&run->watched);
        return run->signals < 0 ? run->signals : 0;
}

int run_main(const char *socket, int argc, char **argv)
{
        static struct run run;
        int r;

        r = run_arguments_read(&run.arguments, argc, argv);
        if (r != 0) {
                run_arguments_deinit(&run.arguments);
                return r < 0 ? ACQUIRE_FAILED : 0;
        }
        r = run_prepare(&run);
        if (r >= 0)
                r = connection_open(&run.connection, socket);
        if (r < 0) {
                fprintf(stderr, "redlockctl: %s: %s\n", socket, connection_strerror(r));
                r = ACQUIRE_FAILED;
        } else {
                r = run_locked(&run);
                connection_close(&run.connection);
        }
        run_arguments_deinit(&run.arguments);
        return r;
}
