/*
 * Datagrams to the service manager. It runs on the loop's thread: a manager that does not read must not hold up the
 * broker, so that what is sent often never waits, and what must arrive waits for a bounded time.
 */
#include "redlockd/net/notify.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define US_PER_MS 1000

static int notify_open(struct notify *n, const char *address)
{
        const struct timeval wait = { .tv_sec = NOTIFY_WAIT_MS / 1000 };
        size_t len = strlen(address);

        /* '@' is the abstract namespace; vsock of virtual machines is for their PID 1, not for us. */
        if ((address[0] != '/' && address[0] != '@') || len < 2 || len >= sizeof(n->manager.sun_path))
                return -EINVAL;
        n->manager.sun_family = AF_UNIX;
        memcpy(n->manager.sun_path, address, len);
        if (address[0] == '@')
                n->manager.sun_path[0] = '\0';
        n->manager_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
        n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (n->fd < 0)
                return -errno;
        setsockopt(n->fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
        return 0;
}

/* $WATCHDOG_PID is another's where the environment was inherited. */
static uint64_t notify_watchdog_ms(void)
{
        const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");

        if (!usec || (pid && strtol(pid, NULL, 10) != getpid()))
                return 0;
        return strtoull(usec, NULL, 10) / US_PER_MS;
}

int notify_init(struct notify *ret_notify)
{
        const char *address = getenv("NOTIFY_SOCKET");
        struct notify n = { .fd = -1 };
        int r = 0;

        if (address && *address) {
                n.watchdog_ms = notify_watchdog_ms();
                r = notify_open(&n, address);
        }
        unsetenv("NOTIFY_SOCKET");
        unsetenv("WATCHDOG_USEC");
        unsetenv("WATCHDOG_PID");
        if (r < 0)
                n = (struct notify){ .fd = -1 };
        *ret_notify = n;
        return r;
}

void notify_deinit(struct notify *n)
{
        if (n->fd >= 0)
                close(n->fd);
        n->fd = -1;
}

__attribute__((format(printf, 3, 0))) static bool notify_write(const struct notify *n, int flags, const char *format,
                                                               va_list args)
{
        char text[NOTIFY_TEXT_MAX];
        ssize_t sent;
        int len;

        if (n->fd < 0)
                return true;
        len = vsnprintf(text, sizeof(text), format, args);
        if (len >= (int)sizeof(text))
                len = sizeof(text) - 1;
        do {
                sent = sendto(n->fd, text, (size_t)len, flags | MSG_NOSIGNAL, (const struct sockaddr *)&n->manager,
                              n->manager_len);
        } while (sent < 0 && errno == EINTR);
        return sent == len;
}

void notify_send(const struct notify *n, const char *format, ...)
{
        va_list args;

        va_start(args, format);
        notify_write(n, 0, format, args);
        va_end(args);
}

bool notify_try(const struct notify *n, const char *format, ...)
{
        va_list args;
        bool sent;

        va_start(args, format);
        sent = notify_write(n, MSG_DONTWAIT, format, args);
        va_end(args);
        return sent;
}
