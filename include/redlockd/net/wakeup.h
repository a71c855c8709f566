#pragma once

/*
 * The engine's next deadline as a timer of the loop: a timerfd on CLOCK_BOOTTIME, since libuv's own timers stand still
 * while the machine is suspended.
 */
#include <stdint.h>
#include <uv.h>

struct wakeup;

/* Returns 0 or negative errno. `on_wakeup` comes at or after the time that was set, or early for one that was put off.
 */
int wakeup_new(struct wakeup **ret_wakeup, uv_loop_t *loop, void (*on_wakeup)(void *userdata), void *userdata);

/* When to call back next, ns of CLOCK_BOOTTIME; UINT64_MAX: there is no need to. */
void wakeup_set(struct wakeup *w, uint64_t at_ns);

/* Takes NULL. Nothing is called back any more; freed by the loop. Returns NULL. */
struct wakeup *wakeup_close(struct wakeup *w);
