#pragma once

/*
 * The broker as a service: what the service manager is told, and what it hands over. Without a manager nothing happens.
 */
#include "redlockd/net/activation.h"
#include "redlockd/net/notify.h"

#include <uv.h>

struct daemon;

#define SERVICE_TICK_MS    1000 /* how often the status line is looked at */
#define SERVICE_STATUS_MAX 128

struct service {
        struct notify notify;
        struct activation activation;
        uv_timer_t tick;
        char status[SERVICE_STATUS_MAX]; /* as it was told last */
};

/* Reads the environment. Returns 0, or negative errno after it was logged; service_close() in both cases. */
int service_init(struct daemon *d);

/* Clients are served from now on: READY, also after a reload. */
void service_ready(struct daemon *d);
void service_reloading(struct daemon *d);
void service_stopping(struct daemon *d);

/* Nothing more is told. */
void service_close(struct daemon *d);
