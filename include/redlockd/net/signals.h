#pragma once

/*
 * SIGTERM, SIGINT and SIGHUP as events of the loop.
 */
#include <uv.h>

struct signals;

/* Returns 0 or negative errno. */
int signals_new(struct signals **ret_signals, uv_loop_t *loop, void (*on_signal)(void *userdata, int signum),
                void *userdata);

/* Takes NULL. Nothing is called back any more; freed by the loop. Returns NULL. */
struct signals *signals_close(struct signals *s);
