/*
 * The Unix socket that clients connect to: made, listened at, and taken away again.
 *
 * It is a descriptor of our own, watched by uv_poll, and not a uv_pipe_t: out of descriptors libuv accepts and closes
 * whoever waits (and, once its spare descriptor is lost, turns for ever). Here accepting pauses for a moment, and those
 * who connect wait in the backlog. It does so while some descriptors are left: nodes that come back, a reload and
 * scrapers need them, whoever connects.
 *
 * Between looking whether somebody listens at the path and listening there ourselves nobody else may do the same: the
 * directory is locked meanwhile.
 */
#include "redlockd/net/listener.h"

#include "redlockd/base/mem.h"
#include "redlockd/net/log.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define LISTENER_BACKLOG    4096 /* the kernel cuts it to net.core.somaxconn */
#define LISTENER_ACCEPT_MAX 64   /* connections in one turn, so that the others get theirs */
#define LISTENER_PAUSE_MS   100  /* out of descriptors or memory: how long until it is tried again */
#define LISTENER_TELL_S     60   /* of it not more than one line in so many seconds */
#define LISTENER_LOCK_TRIES 40   /* of 50 ms, for the directory's lock */

struct listener {
        uv_poll_t poll;
        uv_timer_t pause;
        unsigned open_n; /* handles */
        int fd;
        int fd_max;    /* descriptors from here on are left to others */
        time_t told_s; /* when it was said last that there are none */
        struct sockaddr_un address;
        bool made; /* device and inode are those of our socket file */
        dev_t device;
        ino_t inode;
        void (*on_connection)(void *userdata, int fd);
        void *userdata;
};

static int listener_fail(char *ret_error, const char *path, const char *what, int error)
{
        snprintf(ret_error, LISTENER_ERROR_MAX, "%s: %s: %s", path, what, strerror(error));
        return -error;
}

/* Where the error's own text would add nothing. */
static int listener_refuse(char *ret_error, const char *path, const char *what, int error)
{
        snprintf(ret_error, LISTENER_ERROR_MAX, "%s: %s", path, what);
        return -error;
}

#define LISTENER_PATH_MAX sizeof(((struct sockaddr_un *)0)->sun_path)

static void listener_directory(const char *path, char ret_directory[static LISTENER_PATH_MAX])
{
        const char *slash = strrchr(path, '/');
        size_t len = slash ? (size_t)(slash - path) : 0;

        if (slash == path)
                len = 1;
        snprintf(ret_directory, LISTENER_PATH_MAX, "%.*s", slash ? (int)len : 1, slash ? path : ".");
}

/* Locks the directory for as long as the descriptor is open; where somebody never gives it up, we go on without. */
static int listener_lock(const char *path, char *ret_error)
{
        char directory[LISTENER_PATH_MAX];
        int fd, i;

        listener_directory(path, directory);
        if (mkdir(directory, 0755) < 0 && errno != EEXIST)
                return listener_fail(ret_error, directory, "mkdir", errno);
        fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return listener_fail(ret_error, directory, "open", errno);
        for (i = 0; i < LISTENER_LOCK_TRIES && flock(fd, LOCK_EX | LOCK_NB) < 0; ++i)
                nanosleep(&(struct timespec){ .tv_nsec = 50000000 }, NULL);
        return fd;
}

/* Takes away the socket file of a daemon that is no more. */
static int listener_clear(const struct listener *l, char *ret_error)
{
        const char *path = l->address.sun_path;
        struct stat st;
        int fd, r;

        if (lstat(path, &st) < 0)
                return errno == ENOENT ? 0 : listener_fail(ret_error, path, "stat", errno);
        if (!S_ISSOCK(st.st_mode))
                return listener_refuse(ret_error, path, "is there, and is not a socket", EEXIST);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return listener_fail(ret_error, path, "socket", errno);
        r = connect(fd, (const struct sockaddr *)&l->address, sizeof(l->address)) < 0 ? errno : 0;
        close(fd);
        if (r == 0 || r == EAGAIN) /* EAGAIN: its backlog is full */
                return listener_refuse(ret_error, path, "already running", EADDRINUSE);
        if (r != ECONNREFUSED && r != ENOENT)
                return listener_fail(ret_error, path, "connect", r);
        if (unlink(path) < 0 && errno != ENOENT)
                return listener_fail(ret_error, path, "unlink", errno);
        return 0;
}

/* Bound closed to everybody else, then opened: no moment in which the mode or the group is a wrong one. */
static int listener_bind(struct listener *l, const struct listener_options *o, char *ret_error)
{
        const char *path = l->address.sun_path;
        struct group *group;
        struct stat st;
        mode_t mask;
        int r;

        mask = umask(0177);
        r = bind(l->fd, (const struct sockaddr *)&l->address, sizeof(l->address)) < 0 ? errno : 0;
        umask(mask);
        if (r > 0)
                return listener_fail(ret_error, path, "bind", r);
        if (lstat(path, &st) < 0)
                return listener_fail(ret_error, path, "stat", errno);
        l->made = true;
        l->device = st.st_dev;
        l->inode = st.st_ino;
        if (o->group) {
                group = getgrnam(o->group);
                if (!group)
                        return listener_refuse(ret_error, o->group, "no such group", ENOENT);
                if (chown(path, (uid_t)-1, group->gr_gid) < 0)
                        return listener_fail(ret_error, path, "chown", errno);
        }
        if (chmod(path, o->mode) < 0)
                return listener_fail(ret_error, path, "chmod", errno);
        if (listen(l->fd, LISTENER_BACKLOG) < 0)
                return listener_fail(ret_error, path, "listen", errno);
        return 0;
}

static int listener_open(struct listener *l, const struct listener_options *o, char *ret_error)
{
        int lock, r;

        l->fd = o->fd;
        if (l->fd >= 0)
                return 0;
        if (o->path[0] == 0 || strlen(o->path) >= sizeof(l->address.sun_path))
                return listener_refuse(ret_error, o->path, "empty or too long for the path of a socket", ENAMETOOLONG);
        l->address.sun_family = AF_UNIX;
        strcpy(l->address.sun_path, o->path);
        l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (l->fd < 0)
                return listener_fail(ret_error, o->path, "socket", errno);

        lock = listener_lock(o->path, ret_error);
        if (lock < 0)
                return lock;
        r = listener_clear(l, ret_error);
        if (r >= 0)
                r = listener_bind(l, o, ret_error);
        close(lock);
        return r;
}

static void listener_poll_cb(uv_poll_t *poll, int status, int events);

static void listener_resume_cb(uv_timer_t *timer)
{
        struct listener *l = timer->data;

        uv_poll_start(&l->poll, UV_READABLE, listener_poll_cb);
}

/* Whoever is not taken now waits in the backlog. */
static void listener_pause(struct listener *l, int error)
{
        struct timespec now;

        clock_gettime(CLOCK_BOOTTIME, &now);
        if (l->told_s == 0 || now.tv_sec - l->told_s >= LISTENER_TELL_S) {
                l->told_s = now.tv_sec;
                log_warn("accept: %s: new clients wait until that changes", strerror(error));
        }
        uv_poll_stop(&l->poll);
        uv_timer_start(&l->pause, listener_resume_cb, LISTENER_PAUSE_MS, 0);
}

/* The next connection; -EMFILE where it would take a descriptor that is to be left. */
static int listener_accept(struct listener *l)
{
        int fd = fcntl(l->fd, F_DUPFD_CLOEXEC, 0); /* the lowest that is free, as the connection's will be */

        if (fd < 0)
                return -errno;
        close(fd);
        if (fd >= l->fd_max)
                return -EMFILE;
        fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        return fd < 0 ? -errno : fd;
}

static void listener_poll_cb(uv_poll_t *poll, int status, int events)
{
        struct listener *l = poll->data;
        int fd, i;

        for (i = 0; i < LISTENER_ACCEPT_MAX && !uv_is_closing((uv_handle_t *)poll); ++i) {
                fd = listener_accept(l);
                if (fd >= 0) {
                        l->on_connection(l->userdata, fd);
                } else if (fd == -EAGAIN) {
                        return;
                } else if (fd != -ECONNABORTED && fd != -EINTR) {
                        listener_pause(l, -fd);
                        return;
                }
        }
}

static int listener_fd_max(unsigned keep)
{
        struct rlimit files;

        if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur > INT_MAX)
                return INT_MAX;
        return (int)files.rlim_cur - (int)keep;
}

static void listener_free_cb(uv_handle_t *handle)
{
        struct listener *l = handle->data;

        if (--l->open_n == 0)
                mem_free(l);
}

int listener_new(struct listener **ret_listener, const struct listener_options *options,
                 char ret_error[static LISTENER_ERROR_MAX])
{
        struct listener *l = mem_zalloc(sizeof(*l));
        int r;

        if (!l) {
                if (options->fd >= 0)
                        close(options->fd);
                return listener_fail(ret_error, options->path, "listen", ENOMEM);
        }
        l->fd = -1;
        l->fd_max = listener_fd_max(options->keep);
        l->on_connection = options->on_connection;
        l->userdata = options->userdata;
        uv_timer_init(options->loop, &l->pause);
        l->pause.data = l;
        l->open_n = 1;
        r = listener_open(l, options, ret_error);
        if (r < 0)
                goto fail;
        r = uv_poll_init(options->loop, &l->poll, l->fd);
        if (r < 0) {
                listener_fail(ret_error, options->path, "poll", -r);
                goto fail;
        }
        l->poll.data = l;
        l->open_n = 2;
        r = uv_poll_start(&l->poll, UV_READABLE, listener_poll_cb);
        if (r < 0) {
                listener_fail(ret_error, options->path, "poll", -r);
                goto fail;
        }
        *ret_listener = l;
        return 0;
fail:
        listener_close(l);
        return r;
}

struct listener *listener_close(struct listener *l)
{
        struct stat st;

        if (!l)
                return NULL;
        /* Somebody may have put another file there since. */
        if (l->made && lstat(l->address.sun_path, &st) == 0 && st.st_dev == l->device && st.st_ino == l->inode)
                unlink(l->address.sun_path);
        if (l->open_n > 1)
                uv_close((uv_handle_t *)&l->poll, listener_free_cb);
        uv_close((uv_handle_t *)&l->pause, listener_free_cb);
        if (l->fd >= 0)
                close(l->fd);
        return NULL;
}
