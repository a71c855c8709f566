/*
 * Locks for somebody else: a coprocess, or a test.
 *
 *      WAITING (acquire.c) --granted: one line on stdout--> HOLDING --end of input, a signal--> freed
 *                                                              +-----lost, or nearly over-----> exit code 123
 */
#include "redlockd/ctl/hold.h"

#include "redlockd/ctl/acquire.h"
#include "redlockd/ctl/clock.h"
#include "redlockd/ctl/run_arguments.h"
#include "redlockd/ctl/show.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct hold {
        struct run_arguments arguments;
        struct connection connection;
        struct keep keep;
        int signals;
};

/* Returns whether the line could be written. */
static bool hold_print(const struct hold *h, const struct ctl *ctl, json_t *locks)
{
        const json_t *key;
        json_t *value;
        size_t i;

        if (ctl->json) {
                value = json_pack("{s:O}", "locks", locks);
                show_json(value);
                json_decref(value);
        } else {
                fputs("locked", stdout);
                json_array_foreach(h->arguments.keys, i, key)
                {
                        fputc(' ', stdout);
                        show_plain(stdout, json_string_value(key));
                }
                fputc('\n', stdout);
        }
        return fflush(stdout) == 0;
}

static int hold_lost(const char *why)
{
        fprintf(stderr, "redlockctl: %s\n", why);
        return ACQUIRE_LOST;
}

/* What the daemon said, and the time. Returns -1 to go on, or the exit code. */
static int hold_look(struct hold *h)
{
        json_t *message;
        int r;

        while ((r = connection_next(&h->connection, &message)) > 0) {
                keep_take(&h->keep, message);
                json_decref(message);
        }
        if (r == 0 && *h->keep.lost == 0)
                r = keep_on_time(&h->keep);
        if (*h->keep.lost)
                return hold_lost(h->keep.lost);
        if (r < 0)
                return hold_lost("the daemon is gone, and the lock with it");
        if (clock_now_ns() + keep_margin_ns(&h->keep) >= keep_end_ns(&h->keep))
                return hold_lost("the lock could not be extended");
        return -1;
}

/* Returns whether the input has ended. */
static bool hold_read(void)
{
        char bytes[4096];
        ssize_t n;

        n = read(STDIN_FILENO, bytes, sizeof(bytes));
        return n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN);
}

static int hold_guard(struct hold *h)
{
        struct pollfd polled[] = {
                { STDIN_FILENO, POLLIN, 0 },
                { h->signals, POLLIN, 0 },
                { h->connection.fd, POLLIN, 0 },
        };
        uint64_t at_ns, now_ns;
        struct timespec left;
        int r, signum, code;

        for (;;) {
                r = hold_look(h);
                if (r >= 0)
                        return r;
                signum = acquire_next_signal(h->signals, &code);
                if (signum > 0 && signum != SIGCHLD)
                        return ACQUIRE_SIGNALLED + signum;
                at_ns = keep_end_ns(&h->keep) - keep_margin_ns(&h->keep);
                if (keep_next_ns(&h->keep) < at_ns)
                        at_ns = keep_next_ns(&h->keep);
                now_ns = clock_now_ns();
                left = clock_timespec(at_ns > now_ns ? at_ns - now_ns : 0);
                polled[0].revents = 0;
                if (ppoll(polled, 3, &left, NULL) < 0 && errno != EINTR)
                        return ACQUIRE_FAILED;
                if (polled[0].revents && hold_read())
                        return 0;
        }
}

static int hold_locked(struct hold *h, const struct ctl *ctl)
{
        struct acquire_options options = { .name = "redlockctl hold",
                                           .wait_ms = h->arguments.wait_ms,
                                           .not_acquired = h->arguments.not_acquired,
                                           .verbose = h->arguments.verbose,
                                           .signals = h->signals };
        json_t *locks;
        int code;

        keep_init(&h->keep, &h->connection, h->arguments.keys, h->arguments.ttl_ms);
        if (!acquire(&h->keep, &options, &locks, &code))
                return code;
        code = hold_print(h, ctl, locks) ? hold_guard(h) : ACQUIRE_FAILED;
        json_decref(locks);
        if (code != ACQUIRE_LOST)
                keep_free(&h->keep);
        return code;
}

int hold_main(const struct ctl *ctl, int argc, char **argv)
{
        static struct hold h;
        sigset_t watched;
        int r;

        r = run_arguments_read(&h.arguments, argc, argv);
        if (r != 0) {
                run_arguments_deinit(&h.arguments);
                return r < 0 ? ACQUIRE_FAILED : 0;
        }
        r = h.signals = acquire_watch_signals(&watched);
        if (r >= 0)
                r = connection_open(&h.connection, ctl->socket);
        if (r < 0) {
                fprintf(stderr, "redlockctl: %s: %s\n", ctl->socket, connection_strerror(r));
                r = ACQUIRE_FAILED;
        } else {
                r = hold_locked(&h, ctl);
                connection_close(&h.connection);
        }
        run_arguments_deinit(&h.arguments);
        return r;
}
