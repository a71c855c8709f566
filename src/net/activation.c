/*
 * Descriptors from 3 on, each with a name. A socket that is given and not used would queue clients for ever: whatever
 * is not understood is an error.
 */
#include "redlockd/net/activation.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ACTIVATION_FIRST 3 /* SD_LISTEN_FDS_START */
#define ACTIVATION_NAME  "LISTEN_FDNAMES"

static int activation_refuse(char *ret_error, int fd, const char *what, int error)
{
        snprintf(ret_error, ACTIVATION_ERROR_MAX, "descriptor %d of the service manager: %s", fd, what);
        return -error;
}

static int activation_option(int fd, int option)
{
        socklen_t len = sizeof(int);
        int value = -1;

        return getsockopt(fd, SOL_SOCKET, option, &value, &len) < 0 ? -1 : value;
}

/* Where the name (of `len` bytes) says that the descriptor belongs. */
static int activation_sort(struct activation *a, int fd, const char *name, size_t len, char *ret_error)
{
        bool metrics = len == strlen(ACTIVATION_METRICS) && memcmp(name, ACTIVATION_METRICS, len) == 0;
        int *place = metrics ? &a->metrics : &a->clients;

        if (activation_option(fd, SO_TYPE) != SOCK_STREAM || activation_option(fd, SO_ACCEPTCONN) != 1)
                return activation_refuse(ret_error, fd, "not a listening stream socket (Accept=yes?)", EINVAL);
        if (!metrics && activation_option(fd, SO_DOMAIN) != AF_UNIX)
                return activation_refuse(ret_error, fd, "clients are served at a Unix socket only", EAFNOSUPPORT);
        if (*place >= 0)
                return activation_refuse(ret_error, fd, "a second socket of the same name", EEXIST);
        if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 || fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0)
                return activation_refuse(ret_error, fd, strerror(errno), errno);
        *place = fd;
        return 0;
}

static int activation_sort_all(struct activation *a, long fds_n, char *ret_error)
{
        const char *name = getenv(ACTIVATION_NAME);
        size_t len;
        long i;
        int r;

        for (i = 0; i < fds_n; ++i) {
                len = name ? strcspn(name, ":") : 0;
                r = activation_sort(a, ACTIVATION_FIRST + (int)i, name, len, ret_error);
                if (r < 0)
                        return r;
                name = name && name[len] == ':' ? name + len + 1 : NULL;
        }
        return 0;
}

int activation_take(struct activation *ret_activation, char ret_error[static ACTIVATION_ERROR_MAX])
{
        const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
        struct activation a = { .clients = -1, .metrics = -1 };
        int r = 0;

        /* Another pid: inherited, and meant for somebody before us. */
        if (pid && fds && strtol(pid, NULL, 10) == getpid())
                r = activation_sort_all(&a, strtol(fds, NULL, 10), ret_error);
        unsetenv("LISTEN_PID");
        unsetenv("LISTEN_FDS");
        unsetenv(ACTIVATION_NAME);
        if (r < 0)
                return r;
        *ret_activation = a;
        return 0;
}
