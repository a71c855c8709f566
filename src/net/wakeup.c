/*
 * A timerfd on CLOCK_BOOTTIME, watched by the loop.
 *
 * Deadlines move all the time and mostly to later, so that the timer is left where it is until it fires: the one early
 * wake-up costs less than a system call for each of a thousand requests.
 */
#include "redlockd/net/wakeup.h"

#include "redlockd/base/mem.h"

#include <assert.h>
#include <errno.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

struct wakeup {
        uv_poll_t poll;
        int fd;
        uint64_t armed_ns; /* UINT64_MAX: not armed */
        void (*on_wakeup)(void *userdata);
        void *userdata;
};

static void wakeup_free_cb(uv_handle_t *handle)
{
        struct wakeup *w = handle->data;

        close(w->fd);
        mem_free(w);
}

static void wakeup_poll_cb(uv_poll_t *poll, int status, int events)
{
        struct wakeup *w = poll->data;
        uint64_t fired_n;

        if (read(w->fd, &fired_n, sizeof(fired_n)) != sizeof(fired_n))
                return;
        w->armed_ns = UINT64_MAX;
        w->on_wakeup(w->userdata);
}

int wakeup_new(struct wakeup **ret_wakeup, uv_loop_t *loop, void (*on_wakeup)(void *userdata), void *userdata)
{
        struct wakeup *w = mem_zalloc(sizeof(*w));
        int r;

        if (!w)
                return -ENOMEM;
        w->fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
        r = w->fd < 0 ? -errno : uv_poll_init(loop, &w->poll, w->fd);
        if (r < 0) {
                if (w->fd >= 0)
                        close(w->fd);
                mem_free(w);
                return r;
        }
        w->poll.data = w;
        w->armed_ns = UINT64_MAX;
        w->on_wakeup = on_wakeup;
        w->userdata = userdata;
        r = uv_poll_start(&w->poll, UV_READABLE, wakeup_poll_cb);
        if (r < 0) {
                uv_close((uv_handle_t *)&w->poll, wakeup_free_cb);
                return r;
        }
        *ret_wakeup = w;
        return 0;
}

void wakeup_set(struct wakeup *w, uint64_t at_ns)
{
        struct itimerspec spec = { 0 };
        int r;

        if (at_ns >= w->armed_ns)
                return;
        if (at_ns == 0)
                at_ns = 1; /* zero would disarm */
        spec.it_value.tv_sec = (time_t)(at_ns / 1000000000);
        spec.it_value.tv_nsec = (long)(at_ns % 1000000000);
        r = timerfd_settime(w->fd, TFD_TIMER_ABSTIME, &spec, NULL);
        assert(r == 0);
        w->armed_ns = at_ns;
}

struct wakeup *wakeup_close(struct wakeup *w)
{
        if (w)
                uv_close((uv_handle_t *)&w->poll, wakeup_free_cb);
        return NULL;
}
