#pragma once

/*
 * The process at the other end of a Unix socket, and its end: pidfd_open(2), SO_PEERPIDFD of unix(7).
 */
#include <uv.h>

struct process;

/*
 * Watches the process that connected to us, by connect(2); `socket` is our accepted end, and is asked once. The process
 * has ended when its last thread has, waited for by its parent or not; who else has the connection open by then (a
 * child, a process that it was sent to) does not count. `on_exit` comes once, and never before this returns, also for a
 * process that was gone already.
 *
 * Returns 0 or negative errno; -ENOSYS: the kernel has no pidfd (Linux 5.3), or none for this process.
 */
int process_new(struct process **ret_process, uv_loop_t *loop, int socket, void (*on_exit)(void *userdata),
                void *userdata);

/* Takes NULL. Nothing is called back any more, and the descriptor is closed; freed by the loop. Returns NULL. */
struct process *process_close(struct process *p);

/* Whether the kernel can watch at all: 0 or negative errno, as above. */
int process_supported(void);

/* What such an error means, for people. */
const char *process_error(int error);
