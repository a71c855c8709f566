/*
 *      hello, add --> WAITING --granted--> subscribe --> CONFIRMING --good for a while--> held
 *                        |  ^                               |
 *                        |  +---- lapsed, or nearly: add ----+
 *                        +--> refused, a signal, the daemon is gone: nothing is held
 *
 * The answer to `add` may come at any time after the question, and we may have been stopped before we read it. So what
 * is relied on is what the daemon says to a second question, whose time we know; see keep.c.
 *
 * Signals are blocked and read from a signalfd: none can come between looking and starting.
 */
#include "redlockd/ctl/acquire.h"

#include "redlockd/ctl/clock.h"
#include "redlockd/ctl/show.h"
#include "redlockd/ctl/waiting.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>

#define ACQUIRE_TRIES    3 /* answers that came too late to be used */
#define ACQUIRE_NAME_MAX 64

struct acquiring {
        struct keep *keep;
        const struct acquire_options *options;
        struct waiting waiting;
        json_int_t hello;
        json_int_t add;  /* the request; 0: it is answered */
        uint64_t end_ns; /* of our patience with a daemon that does not answer */
        json_t *locks;
        int exit; /* once it has failed */
};

enum acquire_step {
        ACQUIRE_ON,
        ACQUIRE_TOLD, /* the daemon has said how long the locks are good */
        ACQUIRE_OVER, /* with `exit` */
};

int acquire_watch_signals(sigset_t *ret_watched)
{
        static const int ends[] = { SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGQUIT, SIGINT };
        struct sigaction action;
        sigset_t blocked;
        size_t i;
        int fd;

        sigemptyset(ret_watched);
        sigaddset(ret_watched, SIGCHLD);
        for (i = 0; i < sizeof(ends) / sizeof(ends[0]); ++i)
                /* nohup(1) and `&` ignore some: they stay ignored, and end neither the waiting nor the command */
                if (sigaction(ends[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
                        sigaddset(ret_watched, ends[i]);
        blocked = *ret_watched;
        sigaddset(&blocked, SIGPIPE);
        sigprocmask(SIG_BLOCK, &blocked, NULL);
        fd = signalfd(-1, ret_watched, SFD_CLOEXEC | SFD_NONBLOCK);
        return fd < 0 ? -errno : fd;
}

int acquire_next_signal(int signals, int *ret_code)
{
        struct signalfd_siginfo info;
        ssize_t n;

        n = read(signals, &info, sizeof(info));
        if (n != (ssize_t)sizeof(info))
                return 0;
        *ret_code = info.ssi_code;
        return (int)info.ssi_signo;
}

/* A signal that ends the waiting; 0: none. */
static int acquire_ending_signal(const struct acquiring *a)
{
        int signum, code;

        while ((signum = acquire_next_signal(a->options->signals, &code)) == SIGCHLD)
                continue;
        return signum;
}

static enum acquire_step acquire_over(struct acquiring *a, int exit_code)
{
        a->exit = exit_code;
        return ACQUIRE_OVER;
}

static enum acquire_step acquire_daemon_failed(struct acquiring *a, int r)
{
        waiting_end(&a->waiting);
        fprintf(stderr, "redlockctl: while waiting for the lock: %s\n", connection_strerror(r));
        return acquire_over(a, ACQUIRE_FAILED);
}

static enum acquire_step acquire_refused(struct acquiring *a, const json_t *error)
{
        const char *name = json_string_value(json_object_get(json_object_get(error, "data"), "name"));
        bool taken = name && (strcmp(name, "LOCKED") == 0 || strcmp(name, "DEADLOCK") == 0);

        waiting_end(&a->waiting);
        show_error(error);
        return acquire_over(a, taken ? a->options->not_acquired : ACQUIRE_FAILED);
}

/* Nothing depends on it. */
static void acquire_send_hello(struct acquiring *a)
{
        const char *slash = strrchr(a->options->name, '/'), *name = slash && slash[1] ? slash + 1 : a->options->name;
        char cut[ACQUIRE_NAME_MAX + 1];
        json_t *params;

        snprintf(cut, sizeof(cut), "%s", name);
        params = json_pack("{s:s}", "name", cut);
        if (params) /* else it is not UTF-8 */
                connection_send(a->keep->connection, "hello", params, &a->hello);
}

static int acquire_send_add(struct acquiring *a)
{
        json_int_t wait_ms = a->options->wait_ms;

        /* One that may wait for ever says nothing until it is granted; any other has to be answered in time. */
        a->end_ns = wait_ms < 0 ? UINT64_MAX : clock_now_ns() + (uint64_t)(wait_ms + CONNECTION_ANSWER_MS) * NS_PER_MS;
        return keep_send_add(a->keep, wait_ms, &a->add);
}

static int acquire_on_granted(struct acquiring *a, const json_t *message)
{
        a->add = 0;
        json_decref(a->locks);
        a->locks = json_incref(json_object_get(json_object_get(message, "result"), "locks"));
        a->end_ns = clock_now_ns() + CONNECTION_ANSWER_MS * NS_PER_MS;
        *a->keep->lost = 0;
        return keep_send_subscribe(a->keep);
}

/* Long enough to begin with: half of what it was granted for. */
static bool acquire_good(const struct keep *k)
{
        return *k->lost == 0 && clock_now_ns() + k->ttl_ns / 2 < keep_end_ns(k) && keep_margin_ns(k) < k->ttl_ns / 2;
}

static void acquire_on_hello(struct acquiring *a, const json_t *message)
{
        const json_t *limits = json_object_get(json_object_get(message, "result"), "limits");
        const json_t *grace = json_object_get(limits, "stopGrace");

        if (json_is_integer(grace) && json_integer_value(grace) >= 0)
                a->keep->stop_grace_ms = (uint64_t)json_integer_value(grace);
}

static enum acquire_step acquire_take(struct acquiring *a, const json_t *message)
{
        const json_t *error = json_object_get(message, "error");
        bool unasked = error && json_is_null(json_object_get(message, "id"));
        int r;

        if (a->add > 0 && (connection_answers(message, a->add) || unasked)) {
                if (error)
                        return acquire_refused(a, error);
                r = acquire_on_granted(a, message);
                return r < 0 ? acquire_daemon_failed(a, r) : ACQUIRE_ON;
        }
        if (a->hello > 0 && connection_answers(message, a->hello))
                acquire_on_hello(a, message);
        else if (!waiting_take(&a->waiting, message) && keep_take(a->keep, message))
                return ACQUIRE_TOLD;
        return ACQUIRE_ON;
}

static int acquire_poll(const struct acquiring *a)
{
        struct pollfd polled[] = { { a->options->signals, POLLIN, 0 }, { a->keep->connection->fd, POLLIN, 0 } };
        uint64_t now_ns = clock_now_ns(), end_ns = a->end_ns;
        struct timespec left;
        int n;

        if (a->options->verbose && a->add > 0 && a->waiting.asked == 0 && a->waiting.next_ns < end_ns)
                end_ns = a->waiting.next_ns;
        left = clock_timespec(end_ns > now_ns ? end_ns - now_ns : 0);
        n = ppoll(polled, 2, end_ns == UINT64_MAX ? NULL : &left, NULL);
        if (n < 0 && errno != EINTR)
                return -errno;
        return n == 0 && clock_now_ns() >= a->end_ns ? -ETIMEDOUT : 0;
}

/* Until the daemon has said how long the locks are good, or it is over. */
static enum acquire_step acquire_await(struct acquiring *a)
{
        enum acquire_step step = ACQUIRE_ON;
        json_t *message;
        int r;

        while (step == ACQUIRE_ON) {
                r = acquire_ending_signal(a);
                if (r > 0)
                        return acquire_over(a, ACQUIRE_SIGNALLED + r);
                r = connection_next(a->keep->connection, &message);
                if (r > 0) {
                        step = acquire_take(a, message);
                        json_decref(message);
                        continue;
                }
                if (r == 0 && a->options->verbose && a->add > 0)
                        r = waiting_on_time(&a->waiting);
                if (r == 0)
                        r = acquire_poll(a);
                if (r < 0)
                        return acquire_daemon_failed(a, r);
        }
        return step;
}

static bool acquire_try(struct acquiring *a)
{
        int i, r;

        for (i = 0; i < ACQUIRE_TRIES; ++i) {
                r = acquire_send_add(a);
                /* Refused at the door (too many sessions): the reason can be read although nothing can be sent. */
                if (r < 0 && r != -ECONNRESET)
                        acquire_daemon_failed(a, r);
                else if (acquire_await(a) == ACQUIRE_TOLD && acquire_good(a->keep))
                        return true;
                if (a->exit >= 0)
                        return false;
                /* We were stopped for so long that it has lapsed, or nearly. */
        }
        fputs("redlockctl: the lock ends too soon for anything to be done under it: the ttl is too short, or the "
              "daemon is stopping\n",
              stderr);
        acquire_over(a, ACQUIRE_FAILED);
        return false;
}

bool acquire(struct keep *keep, const struct acquire_options *options, json_t **ret_locks, int *ret_exit)
{
        struct acquiring a = { .keep = keep, .options = options, .exit = -1 };
        bool granted;

        waiting_init(&a.waiting, keep);
        acquire_send_hello(&a);
        granted = acquire_try(&a);
        waiting_end(&a.waiting);
        if (granted) {
                *ret_locks = a.locks;
        } else {
                *ret_exit = a.exit;
                json_decref(a.locks);
        }
        return granted;
}
