/*
 * The broker as a service. The watchdog is fed by a timer of the loop: a loop that hangs in a callback, or a process
 * that is stopped, feeds it no more.
 */
#include "redlockd/daemon/service.h"

#include "redlockd/core/inspect.h"
#include "redlockd/daemon/daemon.h"
#include "redlockd/net/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FEEDS_PER_WATCHDOG 3

static void service_tell_status(struct daemon *d)
{
        struct service *s = &d->service;
        char status[SERVICE_STATUS_MAX];
        struct inspect_status seen;

        inspect_status(d->engine, &seen);
        snprintf(status, sizeof(status), "%u/%u nodes up%s, %" PRIu64 " sessions, %" PRIu64 " locks%s", seen.nodes_up_n,
                 seen.nodes_n, seen.nodes_up_n < seen.quorum ? " (no quorum)" : "", seen.sessions_n, seen.locks_n,
                 seen.draining ? ", draining" : "");
        if (strcmp(status, s->status) != 0 && notify_try(&s->notify, "STATUS=%s", status))
                memcpy(s->status, status, sizeof(status));
}

static void service_tick_cb(uv_timer_t *timer)
{
        struct daemon *d = timer->data;

        if (d->service.notify.watchdog_ms > 0)
                notify_try(&d->service.notify, "WATCHDOG=1");
        service_tell_status(d);
}

static uint64_t service_tick_ms(const struct service *s)
{
        uint64_t feed_ms = s->notify.watchdog_ms / FEEDS_PER_WATCHDOG;

        if (s->notify.watchdog_ms == 0 || feed_ms > SERVICE_TICK_MS)
                return SERVICE_TICK_MS;
        return feed_ms > 0 ? feed_ms : 1;
}

int service_init(struct daemon *d)
{
        struct service *s = &d->service;
        char error[ACTIVATION_ERROR_MAX];
        int r;

        *s = (struct service){ .notify.fd = -1, .activation = { -1, -1 } };
        uv_timer_init(&d->loop, &s->tick);
        s->tick.data = d;
        r = notify_init(&s->notify);
        if (r < 0)
                log_warn("NOTIFY_SOCKET: %s: the service manager is not told anything", strerror(-r));
        r = activation_take(&s->activation, error);
        if (r < 0)
                log_error("%s", error);
        return r;
}

void service_ready(struct daemon *d)
{
        notify_send(&d->service.notify, "READY=1");
        if (d->service.notify.fd < 0)
                return;
        service_tick_cb(&d->service.tick);
        uv_timer_start(&d->service.tick, service_tick_cb, service_tick_ms(&d->service), service_tick_ms(&d->service));
}

void service_reloading(struct daemon *d)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        notify_send(&d->service.notify, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64,
                    (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000);
}

void service_stopping(struct daemon *d)
{
        notify_send(&d->service.notify, "STOPPING=1");
        service_tell_status(d);
}

void service_close(struct daemon *d)
{
        struct service *s = &d->service;

        uv_close((uv_handle_t *)&s->tick, NULL);
        notify_deinit(&s->notify);
        if (s->activation.clients >= 0)
                close(s->activation.clients);
        if (s->activation.metrics >= 0)
                close(s->activation.metrics);
        s->activation = (struct activation){ -1, -1 };
}
