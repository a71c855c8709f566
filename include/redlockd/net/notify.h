#pragma once

/*
 * What the service manager is told about this process: sd_notify(3), spoken by ourselves. Without $NOTIFY_SOCKET every
 * call does nothing.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

struct notify {
        int fd; /* -1: nobody wants to be told */
        struct sockaddr_un manager;
        socklen_t manager_len;
        uint64_t watchdog_ms; /* how often the manager wants to hear of us at least; 0: it does not */
};

#define NOTIFY_TEXT_MAX 256 /* bytes of one message with the NUL; what is longer is cut */
#define NOTIFY_WAIT_MS  1000

/*
 * Reads $NOTIFY_SOCKET, $WATCHDOG_USEC and $WATCHDOG_PID, and takes them out of the environment. Returns 0, or negative
 * errno where the manager's socket cannot be used.
 */
int notify_init(struct notify *ret_notify);
void notify_deinit(struct notify *n);

/*
 * Sends one message: lines `NAME=value`. One that must arrive (READY, RELOADING, STOPPING) waits for room in the
 * manager's queue, NOTIFY_WAIT_MS at most.
 */
__attribute__((format(printf, 2, 3))) void notify_send(const struct notify *n, const char *format, ...);

/* The same for what is sent again anyway (WATCHDOG, STATUS): without room it is dropped, and false. */
__attribute__((format(printf, 2, 3))) bool notify_try(const struct notify *n, const char *format, ...);
