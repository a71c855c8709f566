/*
 * Signals as events of the loop. The three handles live in one block, which goes when the last of them is closed.
 */
#include "redlockd/net/signals.h"

#include "redlockd/base/mem.h"

#include <errno.h>
#include <signal.h>

static const int signals_watched[] = { SIGTERM, SIGINT, SIGHUP };

#define SIGNALS_N (sizeof(signals_watched) / sizeof(signals_watched[0]))

struct signals {
        uv_signal_t handles[SIGNALS_N];
        unsigned open_n;
        void (*on_signal)(void *userdata, int signum);
        void *userdata;
};

static void signals_free_cb(uv_handle_t *handle)
{
        struct signals *s = handle->data;

        if (--s->open_n == 0)
                mem_free(s);
}

static void signals_cb(uv_signal_t *handle, int signum)
{
        struct signals *s = handle->data;

        s->on_signal(s->userdata, signum);
}

int signals_new(struct signals **ret_signals, uv_loop_t *loop, void (*on_signal)(void *userdata, int signum),
                void *userdata)
{
        struct signals *s = mem_zalloc(sizeof(*s));
        unsigned i;
        int r = 0;

        if (!s)
                return -ENOMEM;
        s->on_signal = on_signal;
        s->userdata = userdata;
        for (i = 0; i < SIGNALS_N && r >= 0; ++i) {
                r = uv_signal_init(loop, &s->handles[i]);
                if (r < 0)
                        break;
                s->handles[i].data = s;
                ++s->open_n;
                r = uv_signal_start(&s->handles[i], signals_cb, signals_watched[i]);
        }
        if (r < 0) {
                if (s->open_n == 0)
                        mem_free(s);
                else
                        signals_close(s);
                return r;
        }
        *ret_signals = s;
        return 0;
}

/*
 * libuv leaves the default action behind, by which a signal that comes now would end a process that is about to end in
 * good order: they are held back until they are ignored.
 */
struct signals *signals_close(struct signals *s)
{
        sigset_t ours, before;
        unsigned i, n;

        if (!s)
                return NULL;
        sigemptyset(&ours);
        for (i = 0; i < SIGNALS_N; ++i)
                sigaddset(&ours, signals_watched[i]);
        sigprocmask(SIG_BLOCK, &ours, &before);
        for (i = 0, n = s->open_n; i < n; ++i)
                uv_close((uv_handle_t *)&s->handles[i], signals_free_cb);
        for (i = 0; i < SIGNALS_N; ++i)
                signal(signals_watched[i], SIG_IGN);
        sigprocmask(SIG_SETMASK, &before, NULL);
        return NULL;
}
