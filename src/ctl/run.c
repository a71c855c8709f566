/*
 * A command under a lock.
 *
 *      WAITING -> RUNNING -> STOPPING -> KILLED
 *         |          |           |          |
 *         |          +-----------+----------+--> the command has ended
 *         +--> not acquired, or a signal: nothing was started
 *
 * Time line of a lock with its ttl, while the daemon does not answer:
 *
 *      granted        extend        again and again        SIGTERM      SIGKILL  validity ends
 *      |--------------|-------------------------------------|------------|--------|
 *      0            ttl/3                            RUN_TERM_PART left   run_kill_margin() left
 *
 * So the command is gone before anybody else may hold the lock, whatever became of the daemon; and it dies with us
 * (PR_SET_PDEATHSIG). Time is CLOCK_BOOTTIME, and the timer a timerfd on it, so that a suspended machine is no
 * exception. Signals are blocked and read from a signalfd: none can come between looking and starting.
 */
#include "redlockd/ctl/run.h"

#include "redlockd/ctl/connection.h"
#include "redlockd/ctl/run_arguments.h"
#include "redlockd/ctl/show.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define RUN_FAILED         125
#define RUN_LOST           123
#define RUN_NOT_EXECUTABLE 126
#define RUN_NOT_FOUND      127
#define RUN_TERM_PART      4          /* SIGTERM when a quarter of the ttl is left */
#define RUN_GRACE_NS       5000000000 /* from SIGTERM to SIGKILL, where validity lasts so long */
#define RUN_FREE_MS        1000       /* how long the answer to the last free is waited for */
#define RUN_ACQUIRE_TRIES  3          /* answers that came too late to be used */
#define NS_PER_MS          1000000ull

enum run_state {
        RUN_WAITING,
        RUN_RUNNING,
        RUN_STOPPING, /* SIGTERM was sent */
        RUN_KILLED,   /* SIGKILL was sent */
};

struct run {
        struct run_arguments arguments;
        struct connection connection;
        bool connected;
        int signals;
        int timer;
        enum run_state state;
        pid_t child;
        bool ended; /* the command, with `status` */
        int status;
        json_int_t extending; /* id of the extension that is not answered yet; 0: none */
        uint64_t ttl_ns;
        uint64_t valid_until_ns;
        uint64_t extend_at_ns;
        uint64_t kill_at_ns;
};

static uint64_t run_clock(clockid_t clock)
{
        struct timespec now;

        clock_gettime(clock, &now);
        return now.tv_sec * 1000000000ull + now.tv_nsec;
}

static uint64_t run_now(void)
{
        return run_clock(CLOCK_BOOTTIME);
}

/* How long before the end of validity the command has to be gone. */
static uint64_t run_kill_margin(const struct run *run)
{
        uint64_t margin = run->ttl_ns / 20;

        if (margin > 200 * NS_PER_MS)
                return 200 * NS_PER_MS;
        return margin < 2 * NS_PER_MS ? 2 * NS_PER_MS : margin;
}

static uint64_t run_term_at(const struct run *run)
{
        return run->valid_until_ns - run->ttl_ns / RUN_TERM_PART;
}

/*
 * Takes over how long the locks are valid. `validity` was true when the answer was written; it may have lain in the
 * socket since then, and `expiration` says for how long.
 */
static void run_take_validity(struct run *run, const json_t *message)
{
        json_int_t validity, left = INT64_MAX, unix_ms = (json_int_t)(run_clock(CLOCK_REALTIME) / NS_PER_MS);
        json_t *lock;
        size_t i;

        json_array_foreach(json_object_get(json_object_get(message, "result"), "locks"), i, lock)
        {
                validity = json_integer_value(json_object_get(lock, "validity"));
                left = validity < left ? validity : left;
                validity = json_integer_value(json_object_get(lock, "expiration")) - unix_ms;
                left = validity < left ? validity : left;
        }
        if (left < 0 || left == INT64_MAX)
                left = 0;
        run->ttl_ns = (run->arguments.ttl_ms > 0 ? run->arguments.ttl_ms : left) * NS_PER_MS;
        run->valid_until_ns = run_now() + left * NS_PER_MS;
        run->extend_at_ns = run->valid_until_ns - run->ttl_ns / 3 * 2;
}

static int run_send_lock(struct run *run, const char *method, json_int_t *ret_id)
{
        json_t *params = json_pack("{s:O}", "keys", run->arguments.keys);

        if (run->arguments.ttl_ms > 0)
                json_object_set_new(params, "ttl", json_integer(run->arguments.ttl_ms));
        if (strcmp(method, "extend") == 0) {
                json_object_set_new(params, "strict", json_true());
                json_object_set_new(params, "retryCount", json_integer(0)); /* we try again by ourselves */
        } else if (run->arguments.wait_ms > 0) {
                json_object_set_new(params, "wait", json_integer(run->arguments.wait_ms));
        } else {
                json_object_set_new(params, "retryCount", json_integer(run->arguments.wait_ms < 0 ? -1 : 0));
        }
        return connection_send(&run->connection, method, params, ret_id);
}

static void run_disconnect(struct run *run)
{
        if (run->connected)
                connection_close(&run->connection);
        run->connected = false;
}

/* Tells who we are; shown in `redlockctl sessions`. Nothing depends on it. */
static void run_hello(struct run *run)
{
        const char *name = strrchr(run->arguments.command[0], '/');
        json_int_t id;
        json_t *params;

        name = name && name[1] ? name + 1 : run->arguments.command[0];
        if (strlen(name) > 64)
                return;
        params = json_pack("{s:s}", "name", name);
        if (params)
                connection_send(&run->connection, "hello", params, &id);
}

static int run_poll(struct run *run)
{
        struct pollfd polled[] = {
                { run->signals, POLLIN, 0 },
                { run->timer, POLLIN, 0 },
                { run->connected ? run->connection.fd : -1, POLLIN, 0 },
        };

        while (poll(polled, 3, -1) < 0)
                if (errno != EINTR)
                        return -errno;
        return 0;
}

/* The next signal that came, but for SIGCHLD; 0: none. */
static int run_next_signal(struct run *run, bool *ret_from_terminal)
{
        struct signalfd_siginfo info;

        while (read(run->signals, &info, sizeof(info)) == sizeof(info)) {
                if (info.ssi_signo == SIGCHLD)
                        continue;
                *ret_from_terminal = info.ssi_code == SI_KERNEL;
                return (int)info.ssi_signo;
        }
        return 0;
}

/* An error answer to the add. Returns the exit code. */
static int run_refused(const struct run *run, const json_t *message)
{
        const json_t *error = json_object_get(message, "error");
        const char *name = json_string_value(json_object_get(json_object_get(error, "data"), "name"));

        show_error(error);
        return name && (strcmp(name, "LOCKED") == 0 || strcmp(name, "DEADLOCK") == 0) ? run->arguments.not_acquired
                                                                                      : RUN_FAILED;
}

static int run_daemon_failed(const char *what, int r)
{
        fprintf(stderr, "redlockctl: %s: %s\n", what, r == -ECONNRESET ? "the daemon is gone" : strerror(-r));
        return RUN_FAILED;
}

/* Waits for the answer to the add. Returns 0 when it was granted, else the exit code. */
static int run_await(struct run *run, json_int_t id)
{
        json_t *message;
        bool terminal;
        int r;

        for (;;) {
                r = run_next_signal(run, &terminal);
                if (r > 0)
                        return 128 + r;
                r = connection_next(&run->connection, &message);
                if (r == 0)
                        r = run_poll(run);
                else if (r > 0 && (connection_answers(message, id) || json_is_null(json_object_get(message, "id"))))
                        break;
                else if (r > 0)
                        json_decref(message);
                if (r < 0)
                        return run_daemon_failed("waiting for the lock", r);
        }
        r = json_object_get(message, "result") ? 0 : run_refused(run, message);
        if (r == 0)
                run_take_validity(run, message);
        json_decref(message);
        return r;
}

/* Returns 0 when the lock is held and good for a while, else the exit code. */
static int run_acquire(struct run *run)
{
        json_int_t id;
        int i, r;

        for (i = 0; i < RUN_ACQUIRE_TRIES; ++i) {
                r = run_send_lock(run, "add", &id);
                if (r < 0 && r != -ECONNRESET)
                        return run_daemon_failed("add", r);
                r = run_await(run, id);
                if (r > 0)
                        return r;
                if (run_now() < run_term_at(run))
                        return 0;
                /* We were stopped for so long that it has lapsed, or nearly: asking again takes it anew. */
        }
        fputs("redlockctl: the ttl is too short to run anything in it\n", stderr);
        return RUN_FAILED;
}

static void run_child(const struct run *run, pid_t parent)
{
        sigset_t none;

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
                _exit(RUN_FAILED);
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        execvp(run->arguments.command[0], run->arguments.command);
        fprintf(stderr, "redlockctl: %s: %s\n", run->arguments.command[0], strerror(errno));
        _exit(errno == ENOENT ? RUN_NOT_FOUND : RUN_NOT_EXECUTABLE);
}

static int run_start(struct run *run)
{
        pid_t parent = getpid();

        run->child = fork();
        if (run->child < 0) {
                fprintf(stderr, "redlockctl: fork: %s\n", strerror(errno));
                return RUN_FAILED;
        }
        if (run->child == 0)
                run_child(run, parent);
        run->state = RUN_RUNNING;
        return 0;
}

/* The lock is lost, or will be before we hear of it: the command must end while it is still ours. */
static void run_lose(struct run *run, const char *why)
{
        uint64_t end = run->valid_until_ns - run_kill_margin(run), grace = run_now() + RUN_GRACE_NS;

        if (run->state != RUN_RUNNING)
                return;
        fprintf(stderr, "redlockctl: %s: stopping %s\n", why, run->arguments.command[0]);
        run->state = RUN_STOPPING;
        run->kill_at_ns = end < grace ? end : grace;
        kill(run->child, SIGTERM);
}

static void run_on_extended(struct run *run, const json_t *message)
{
        const json_t *error = json_object_get(message, "error");
        const char *name = json_string_value(json_object_get(json_object_get(error, "data"), "name"));
        uint64_t pause = run->ttl_ns / 10;

        run->extending = 0;
        if (!error)
                run_take_validity(run, message);
        else if (name && (strcmp(name, "LOST") == 0 || strcmp(name, "NOT_HELD") == 0))
                run_lose(run, "the lock is lost");
        else
                run->extend_at_ns = run_now() + (pause > 10 * NS_PER_MS ? pause : 10 * NS_PER_MS);
}

static void run_read_daemon(struct run *run)
{
        json_t *message;
        int r;

        while ((r = connection_next(&run->connection, &message)) > 0) {
                if (run->extending > 0 && connection_answers(message, run->extending))
                        run_on_extended(run, message);
                json_decref(message);
        }
        if (r < 0) {
                run_disconnect(run);
                run_lose(run, "the daemon is gone, and the lock with it");
        }
}

/* What the time of now asks for. */
static void run_on_time(struct run *run)
{
        uint64_t now = run_now();

        if (run->state == RUN_RUNNING && run->connected && run->extending == 0 && now >= run->extend_at_ns &&
            run_send_lock(run, "extend", &run->extending) < 0)
                run_disconnect(run);
        if (run->state == RUN_RUNNING && !run->connected)
                run_lose(run, "the daemon is gone, and the lock with it");
        if (run->state == RUN_RUNNING && now >= run_term_at(run))
                run_lose(run, "the lock could not be extended");
        if (run->state == RUN_STOPPING && now >= run->kill_at_ns) {
                run->state = RUN_KILLED;
                kill(run->child, SIGKILL);
        }
}

static void run_set_timer(struct run *run)
{
        uint64_t at = 0; /* disarms */
        struct itimerspec spec = { 0 };

        if (run->state == RUN_RUNNING)
                at = run->extending == 0 && run->extend_at_ns < run_term_at(run) ? run->extend_at_ns : run_term_at(run);
        else if (run->state == RUN_STOPPING)
                at = run->kill_at_ns;
        spec.it_value.tv_sec = (time_t)(at / 1000000000);
        spec.it_value.tv_nsec = (long)(at % 1000000000);
        timerfd_settime(run->timer, TFD_TIMER_ABSTIME, &spec, NULL);
}

static void run_on_signals(struct run *run)
{
        bool terminal;
        int signum;

        /* What the terminal sends has gone to the command too, which is in our process group. */
        while ((signum = run_next_signal(run, &terminal)) > 0)
                if (!terminal)
                        kill(run->child, signum);
        if (waitpid(run->child, &run->status, WNOHANG) == run->child)
                run->ended = true;
}

/* Until the command has ended. Returns the exit code. */
static int run_guard(struct run *run)
{
        for (;;) {
                run_on_signals(run);
                if (run->ended)
                        break;
                if (run->connected)
                        run_read_daemon(run);
                run_on_time(run);
                run_set_timer(run);
                if (run_poll(run) < 0)
                        run_lose(run, "poll failed");
        }
        if (run->state > RUN_RUNNING || run_now() >= run->valid_until_ns)
                return RUN_LOST;
        return WIFEXITED(run->status) ? WEXITSTATUS(run->status) : 128 + WTERMSIG(run->status);
}

/*
 * So that who comes after us finds the lock free. The end of the connection would do it too, a moment later; and does
 * it where the lock was lost, since a daemon that hangs is not to be waited for.
 */
static void run_free(struct run *run)
{
        struct pollfd pollfd = { run->connection.fd, POLLIN, 0 };
        uint64_t end = run_now() + RUN_FREE_MS * NS_PER_MS, now;
        json_t *message;
        json_int_t id;
        bool done = false;
        int r;

        if (!run->connected || run->state != RUN_RUNNING || connection_send(&run->connection, "free", NULL, &id) < 0)
                return;
        while (!done && (now = run_now()) < end) {
                r = connection_next(&run->connection, &message);
                if (r == 0)
                        r = poll(&pollfd, 1, (int)((end - now) / NS_PER_MS) + 1);
                else if (r > 0) {
                        done = connection_answers(message, id);
                        json_decref(message);
                }
                if (r < 0)
                        return;
        }
}

static int run_open_descriptors(struct run *run)
{
        static const int watched[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGCHLD };
        sigset_t set;
        size_t i;

        signal(SIGCHLD, SIG_DFL); /* where it was inherited as ignored there would be no status to wait for */
        sigemptyset(&set);
        for (i = 0; i < sizeof(watched) / sizeof(watched[0]); ++i)
                sigaddset(&set, watched[i]);
        sigprocmask(SIG_BLOCK, &set, NULL);
        run->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
        run->timer = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
        return run->signals < 0 || run->timer < 0 ? -errno : 0;
}

static int run_locked(struct run *run)
{
        bool terminal;
        int r;

        run_hello(run);
        r = run_acquire(run);
        if (r > 0)
                return r;
        /* It may have come while the answer was read. */
        r = run_next_signal(run, &terminal);
        if (r > 0)
                return 128 + r;
        r = run_start(run);
        return r > 0 ? r : run_guard(run);
}

int run_main(const char *socket, int argc, char **argv)
{
        static struct run run = { .signals = -1, .timer = -1 };
        int r;

        if (run_arguments_read(&run.arguments, argc, argv) < 0) {
                run_arguments_deinit(&run.arguments);
                return RUN_FAILED;
        }
        r = run_open_descriptors(&run);
        if (r >= 0)
                r = connection_open(&run.connection, socket);
        if (r < 0) {
                fprintf(stderr, "redlockctl: %s: %s\n", socket, strerror(-r));
                r = RUN_FAILED;
        } else {
                run.connected = true;
                r = run_locked(&run);
                run_free(&run);
                run_disconnect(&run);
        }
        run_arguments_deinit(&run.arguments);
        return r;
}
