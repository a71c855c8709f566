#pragma once

/*
 * Sockets that the service manager has opened for us: sd_listen_fds(3), spoken by ourselves.
 */
struct activation {
        int clients; /* a listening Unix stream socket, or -1 */
        int metrics; /* the one that is named "metrics" (FileDescriptorName=), or -1 */
};

#define ACTIVATION_METRICS   "metrics"
#define ACTIVATION_ERROR_MAX 160

/*
 * Takes what $LISTEN_FDS, $LISTEN_PID and $LISTEN_FDNAMES tell of, close-on-exec and non-blocking, and takes them out
 * of the environment. Returns 0, or negative errno with what is wrong in `ret_error`: then nothing was taken.
 */
int activation_take(struct activation *ret_activation, char ret_error[static ACTIVATION_ERROR_MAX]);
