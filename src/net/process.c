/*
 * A pidfd watched by the loop: it becomes readable when the process ends.
 *
 *      the kernel                   process lives      process is gone
 *      6.5 and later: SO_PEERPIDFD  pidfd              EINVAL or ESRCH, since 6.16 a pidfd that is readable
 *      since 5.3: pidfd_open()      pidfd              ESRCH
 *
 * The socket knows its peer as the kernel does, so that SO_PEERPIDFD cannot meet another process. A pid from
 * SO_PEERCRED can have been given anew before it is opened; then the end that is seen is that other process's, which
 * comes too late, never too early: the one that connected has ended before.
 */
#include "redlockd/net/process.h"

#include "redlockd/base/mem.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* not in Debian 12's headers */
#endif

struct process {
        uv_poll_t poll;
        int fd;
        void (*on_exit)(void *userdata);
        void *userdata;
};

/* Readable at once, in the place of a pidfd that cannot be had any more. */
static int process_gone(void)
{
        int fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);

        return fd < 0 ? -errno : fd;
}

static int process_open_pid(pid_t pid)
{
        int fd;

        if (pid <= 0)
                return -ENOSYS;                    /* of a pid namespace that we cannot see */
        fd = (int)syscall(SYS_pidfd_open, pid, 0); /* close-on-exec by itself */
        if (fd >= 0)
                return fd;
        if (errno == ESRCH)
                return process_gone();
        return errno == EPERM ? -ENOSYS : -errno; /* EPERM: what a seccomp filter says that never heard of it */
}

static int process_open(int socket)
{
        struct ucred cred;
        socklen_t cred_size = sizeof(cred);
        int fd;
        socklen_t fd_size = sizeof(fd);

        if (getsockopt(socket, SOL_SOCKET, SO_PEERPIDFD, &fd, &fd_size) == 0)
                return fd;
        if (errno == EINVAL || errno == ESRCH)
                return process_gone();
        if (errno != ENOPROTOOPT)
                return -errno;
        if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &cred, &cred_size) < 0)
                return -errno;
        return process_open_pid(cred.pid);
}

static void process_free_cb(uv_handle_t *handle)
{
        mem_free(handle->data);
}

static void process_poll_cb(uv_poll_t *poll, int status, int events)
{
        struct process *p = poll->data;

        uv_poll_stop(poll); /* readable from now on */
        p->on_exit(p->userdata);
}

int process_new(struct process **ret_process, uv_loop_t *loop, int socket, void (*on_exit)(void *userdata),
                void *userdata)
{
        struct process *p = mem_zalloc(sizeof(*p));
        int r;

        if (!p)
                return -ENOMEM;
        p->fd = process_open(socket);
        r = p->fd < 0 ? p->fd : uv_poll_init(loop, &p->poll, p->fd);
        if (r < 0) {
                if (p->fd >= 0)
                        close(p->fd);
                mem_free(p);
                return r;
        }
        p->poll.data = p;
        p->on_exit = on_exit;
        p->userdata = userdata;
        r = uv_poll_start(&p->poll, UV_READABLE, process_poll_cb);
        if (r < 0) {
                process_close(p);
                return r;
        }
        *ret_process = p;
        return 0;
}

struct process *process_close(struct process *p)
{
        if (!p)
                return NULL;
        uv_close((uv_handle_t *)&p->poll, process_free_cb);
        close(p->fd);
        return NULL;
}

int process_supported(void)
{
        int pair[2], fd;

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
                return -errno;
        fd = process_open(pair[0]); /* ourselves */
        close(pair[0]);
        close(pair[1]);
        if (fd < 0)
                return fd;
        close(fd);
        return 0;
}

const char *process_error(int error)
{
        return error == -ENOSYS ? "this kernel cannot tell when a process ends (pidfd, Linux 5.3)" : strerror(-error);
}
