#pragma once

/*
 * The Unix socket that clients connect to; or any stream socket that listens already.
 */
#include <sys/types.h>
#include <uv.h>

struct listener;

struct listener_options {
        uv_loop_t *loop;
        int fd;            /* a socket that listens already, taken over also on failure; -1: one is made at `path` */
        const char *path;  /* its directory is made (0755) when it is missing */
        mode_t mode;       /* of the socket file */
        const char *group; /* its group; NULL: left as it is */
        unsigned keep;     /* descriptors that are left to others: with fewer to be had, who connects waits */
        void *userdata;
        /* One accepted connection: non-blocking, close-on-exec, the callee's to close. */
        void (*on_connection)(void *userdata, int fd);
};

#define LISTENER_ERROR_MAX 256

/*
 * Binds and listens. A socket file that nobody listens at is replaced. Returns 0 or negative errno with what went wrong
 * in `ret_error`; -EADDRINUSE: somebody listens there.
 */
int listener_new(struct listener **ret_listener, const struct listener_options *options,
                 char ret_error[static LISTENER_ERROR_MAX]);

/*
 * Takes NULL. Unlinks the socket file if it is still the one that was made; that of a socket that was given is never
 * touched, since its owner goes on listening at it. Freed by the loop. Returns NULL.
 */
struct listener *listener_close(struct listener *l);
