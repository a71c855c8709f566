/*
 * The keeper of a command that runs under a lock: it starts it, keeps the lock and the time, and sees to it that
 * nothing of the command is left when the lock is not ours any more.
 *
 *      RUNNING --the command exits-----------------------------------------------------------> over: the lock is freed
 *         |                                                                                     ^
 *         +--lost; or it died of a signal and left others--> STOPPING --nobody is left----------+
 *         |                                                     |                               |
 *         +--redlockctl is gone---------------------------------+--kill_at--> KILLING --nobody--+
 *
 * Time line of a lock, while the daemon does not answer:
 *
 *      told                                    SIGTERM                   SIGKILL             end
 *      |---------------------------------------|-------------------------|-------------------|
 *      0                          grace (ttl/6 at most)          keep_margin_ns()
 *
 * So the command is gone before anybody else may hold the lock, whatever became of the daemon. With the command goes
 * all that it started: the keeper is a subreaper, below which everything stays, and nobody is left when it has no
 * children. Should the keeper be killed, the kernel kills the command (PR_SET_PDEATHSIG), and redlockctl the rest.
 *
 * Time is CLOCK_BOOTTIME, and the timer a timerfd on it, so that a suspended machine is no exception. In a session of
 * its own the keeper is out of reach of the terminal: it renews while the job is stopped.
 */
#include "redlockd/ctl/run.h"

#include "redlockd/ctl/acquire.h"
#include "redlockd/ctl/clock.h"
#include "redlockd/ctl/tree.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEEPER_TERM_PART      6         /* of the ttl: the longest grace before its end */
#define KEEPER_AGAIN_MIN_NS   NS_PER_MS /* SIGKILL once more, to whom it missed; doubles up to ... */
#define KEEPER_AGAIN_MAX_NS   (100 * NS_PER_MS)
#define KEEPER_NOT_EXECUTABLE 126
#define KEEPER_NOT_FOUND      127

enum keeper_state {
        KEEPER_RUNNING,
        KEEPER_STOPPING, /* SIGTERM was sent */
        KEEPER_KILLING,
};

struct keeper {
        struct run *run;
        struct keep *keep;
        enum keeper_state state;
        bool connected; /* to the daemon */
        bool lost;
        int channel; /* to redlockctl; -1: it is gone */
        pid_t front; /* redlockctl */
        int signals;
        int timer;
        pid_t command;
        bool ended; /* the command, with `status` */
        bool alone; /* nothing is left below us */
        bool stopped;
        int status;
        uint64_t kill_at_ns;
        uint64_t again_ns;
};

static uint64_t keeper_grace_ns(const struct keeper *k)
{
        return (uint64_t)k->run->arguments.grace_ms * NS_PER_MS;
}

/* By when the command has to be gone. */
static uint64_t keeper_kill_at(const struct keeper *k)
{
        uint64_t end_ns = keep_end_ns(k->keep), margin_ns = keep_margin_ns(k->keep);

        return end_ns > margin_ns ? end_ns - margin_ns : 0;
}

/* Until when a new validity is hoped for. */
static uint64_t keeper_lose_at(const struct keeper *k)
{
        uint64_t kill_at_ns = keeper_kill_at(k), lead_ns = k->keep->ttl_ns / KEEPER_TERM_PART;

        if (k->run->arguments.on_lost != RUN_ON_LOST_TERM)
                return kill_at_ns;
        if (keeper_grace_ns(k) < lead_ns)
                lead_ns = keeper_grace_ns(k);
        return kill_at_ns > lead_ns ? kill_at_ns - lead_ns : 0;
}

static void keeper_disconnect(struct keeper *k)
{
        k->connected = false;
        k->keep->asked = 0;
}

static void keeper_kill(struct keeper *k)
{
        k->state = KEEPER_KILLING;
        k->kill_at_ns = clock_now_ns();
}

/* Asks everything to end, `kill_at_ns` at the latest. */
static void keeper_stop(struct keeper *k, uint64_t kill_at_ns, bool term)
{
        k->state = KEEPER_STOPPING;
        k->kill_at_ns = kill_at_ns;
        if (!term)
                return;
        tree_signal(getpid(), SIGTERM);
        tree_signal(getpid(), SIGCONT); /* who is stopped would not hear of it */
}

/* The lock is lost, or will be before we hear of it: the command must end while it is still ours. */
static void keeper_lose(struct keeper *k, const char *why)
{
        enum run_on_lost on_lost = k->run->arguments.on_lost;
        uint64_t end_ns = keeper_kill_at(k), grace_ns = clock_now_ns() + keeper_grace_ns(k);

        if (k->lost)
                return;
        k->lost = true;
        fprintf(stderr, "redlockctl: %s: %s %s\n", why, on_lost == RUN_ON_LOST_WARN ? "going on with" : "stopping",
                k->run->arguments.command[0]);
        if (on_lost == RUN_ON_LOST_WARN || k->state == KEEPER_KILLING)
                return;
        if (on_lost == RUN_ON_LOST_KILL)
                keeper_kill(k);
        else
                keeper_stop(k, end_ns < grace_ns ? end_ns : grace_ns, true);
}

static void keeper_read_daemon(struct keeper *k)
{
        json_t *message;
        int r;

        while ((r = connection_next(&k->run->connection, &message)) > 0) {
                keep_take(k->keep, message);
                json_decref(message);
        }
        if (*k->keep->lost)
                keeper_lose(k, k->keep->lost);
        if (r < 0) {
                keeper_disconnect(k);
                keeper_lose(k, "the daemon is gone, and the lock with it");
        }
}

/* To redlockctl, which waits for nothing else; a word that it cannot take is not worth waiting for. */
static void keeper_tell(const struct keeper *k, enum run_word_kind kind, int value)
{
        const struct run_word word = { .kind = kind, .value = value, .lost = k->lost };

        if (k->channel >= 0)
                send(k->channel, &word, sizeof(word), MSG_NOSIGNAL);
}

/* It stands still because it was told that the command does. */
static void keeper_continue_front(const struct keeper *k)
{
        if (k->channel >= 0 && getppid() == k->front)
                kill(k->front, SIGCONT);
}

static void keeper_on_signal(struct keeper *k, int signum)
{
        /* Who was continued with its whole group goes on already. */
        if (!k->ended && (signum != SIGCONT || k->stopped))
                kill(k->command, signum);
}

static void keeper_read_front(struct keeper *k)
{
        struct run_word word;
        ssize_t n = 0;

        while (k->channel >= 0 && (n = recv(k->channel, &word, sizeof(word), MSG_DONTWAIT)) == (ssize_t)sizeof(word))
                keeper_on_signal(k, word.value);
        if (k->channel < 0 || (n < 0 && errno == EAGAIN))
                return;
        close(k->channel);
        k->channel = -1;
        if (!k->ended || k->state != KEEPER_RUNNING)
                keeper_kill(k);
}

/* The command has stopped, goes on, or has ended; others of it may have come to us meanwhile. */
static void keeper_reap(struct keeper *k)
{
        struct signalfd_siginfo info;
        int status;
        pid_t pid;

        while (read(k->signals, &info, sizeof(info)) == (ssize_t)sizeof(info))
                continue;
        while ((pid = waitpid(-1, &status, WNOHANG | WUNTRACED | WCONTINUED)) > 0) {
                if (pid != k->command)
                        continue;
                if (WIFSTOPPED(status)) {
                        k->stopped = true;
                        keeper_tell(k, RUN_STOPPED, WSTOPSIG(status));
                } else if (WIFCONTINUED(status)) {
                        k->stopped = false;
                        keeper_continue_front(k);
                } else {
                        k->ended = true;
                        k->status = status;
                }
        }
        k->alone = pid < 0;
}

/* What a command that exits leaves behind is its own business; what one that was killed could not end is ours. */
static bool keeper_over(struct keeper *k)
{
        int signum;

        if (k->state != KEEPER_RUNNING)
                return k->alone;
        if (!k->ended)
                return false;
        if (k->alone || WIFEXITED(k->status) || k->run->arguments.on_lost == RUN_ON_LOST_WARN)
                return true;
        if (k->channel < 0) { /* redlockctl was killed with it */
                keeper_kill(k);
                return false;
        }
        signum = WTERMSIG(k->status);
        /* The keyboard's signals have gone to all of them. */
        keeper_stop(k, clock_now_ns() + keeper_grace_ns(k), signum != SIGINT && signum != SIGQUIT);
        return false;
}

static void keeper_on_time(struct keeper *k)
{
        uint64_t now_ns;

        if (k->connected && !k->lost && keep_on_time(k->keep) < 0) {
                keeper_disconnect(k);
                keeper_lose(k, "the daemon is gone, and the lock with it");
        }
        now_ns = clock_now_ns();
        if (!k->lost && now_ns >= keeper_lose_at(k))
                keeper_lose(k, k->keep->freed_ns < k->keep->until_ns ? "the daemon stops, and frees the lock"
                                                                     : "the lock could not be extended");
        if (k->state == KEEPER_STOPPING && now_ns >= k->kill_at_ns)
                keeper_kill(k);
        if (k->state != KEEPER_KILLING || now_ns < k->kill_at_ns)
                return;
        if (!k->ended)
                kill(k->command, SIGKILL); /* that takes no time */
        tree_signal(getpid(), SIGKILL);
        /* Who came to us while the tree was walked may have been missed. */
        k->again_ns = k->again_ns == 0 ? KEEPER_AGAIN_MIN_NS : k->again_ns * 2;
        if (k->again_ns > KEEPER_AGAIN_MAX_NS)
                k->again_ns = KEEPER_AGAIN_MAX_NS;
        k->kill_at_ns = now_ns + k->again_ns;
}

static void keeper_set_timer(const struct keeper *k)
{
        struct itimerspec spec = { 0 };
        uint64_t at_ns = UINT64_MAX;

        if (k->state != KEEPER_RUNNING)
                at_ns = k->kill_at_ns;
        if (!k->lost && keeper_lose_at(k) < at_ns)
                at_ns = keeper_lose_at(k);
        if (!k->lost && k->connected && keep_next_ns(k->keep) < at_ns)
                at_ns = keep_next_ns(k->keep);
        if (at_ns != UINT64_MAX)
                spec.it_value = clock_timespec(at_ns > 0 ? at_ns : 1);
        timerfd_settime(k->timer, TFD_TIMER_ABSTIME, &spec, NULL);
}

static void keeper_poll(const struct keeper *k)
{
        struct pollfd polled[] = {
                { k->signals, POLLIN, 0 },
                { k->timer, POLLIN, 0 },
                { k->channel, POLLIN, 0 },
                { k->connected ? k->run->connection.fd : -1, POLLIN, 0 },
        };

        poll(polled, sizeof(polled) / sizeof(polled[0]), -1); /* where it fails, all is simply looked at again */
}

/* In the child: the command, as if nobody had been between it and who called us. */
static void keeper_exec(const struct run *run, pid_t parent)
{
        char *const *command = run->arguments.command;

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
                _exit(ACQUIRE_FAILED);
        sigaction(SIGCHLD, &run->on_child, NULL);
        sigprocmask(SIG_SETMASK, &run->mask, NULL);
        execvp(command[0], command);
        fprintf(stderr, "redlockctl: %s: %s\n", command[0], strerror(errno));
        _exit(errno == ENOENT ? KEEPER_NOT_FOUND : KEEPER_NOT_EXECUTABLE);
}

static int keeper_start(struct keeper *k)
{
        pid_t parent = getpid();
        sigset_t set;

        /* What would end a process by default must not end this one; SIGCHLD is what it waits for. */
        sigfillset(&set);
        sigprocmask(SIG_BLOCK, &set, NULL);
        sigemptyset(&set);
        sigaddset(&set, SIGCHLD);
        k->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
        k->timer = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
        if (k->signals < 0 || k->timer < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
                return -errno;
        k->command = fork();
        if (k->command < 0)
                return -errno;
        if (k->command == 0)
                keeper_exec(k->run, parent);
        /* After the fork: the command stays where the terminal is. And killall(1) is not to meet us with redlockctl. */
        setsid();
        prctl(PR_SET_NAME, "redlock-keeper");
        return 0;
}

static void keeper_guard(struct keeper *k)
{
        for (;;) {
                keeper_reap(k);
                keeper_read_front(k);
                if (k->connected)
                        keeper_read_daemon(k);
                if (keeper_over(k))
                        return;
                keeper_on_time(k);
                keeper_set_timer(k);
                keeper_poll(k);
        }
}

int run_keeper(struct run *run, int channel)
{
        struct keeper k = { .run = run, .keep = &run->keep, .connected = true, .channel = channel, .front = getppid() };
        int r;

        r = keeper_start(&k);
        if (r < 0) {
                fprintf(stderr, "redlockctl: cannot start the command: %s\n", strerror(-r));
                keeper_tell(&k, RUN_ENDED, W_EXITCODE(ACQUIRE_FAILED, 0));
                return ACQUIRE_FAILED;
        }
        keeper_guard(&k);
        if (!k.lost && clock_now_ns() >= keep_end_ns(k.keep))
                k.lost = true;
        keeper_tell(&k, RUN_ENDED, k.status);
        keeper_continue_front(&k);
        if (k.connected && !k.lost)
                keep_free(k.keep);
        return 0;
}
