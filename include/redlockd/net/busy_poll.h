#pragma once

/*
 * Looking for more before the loop sleeps. Who sleeps is woken late, by some 10 to 50 us where the processor has to be
 * woken with him, and whoever wakes him pays for that, too: for a client with one request at a time, or a key that is
 * handed over, that is most of the time there is. Looking on costs a processor meanwhile; so it is done only while
 * something mostly comes of it.
 */
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#define BUSY_POLL_NS         30000 /* how long is looked after each turn that had work */
#define BUSY_POLL_CREDIT_MAX 16    /* times in vain, less those in between that were not, until it is given up */
#define BUSY_POLL_PROBE_EACH 64    /* turns with work, after which it is tried once more */

struct busy_poll {
        uv_idle_t idle;    /* while it is active the loop does not sleep */
        uint64_t until_ns; /* 0: the loop may sleep */
        unsigned credit;   /* what came of it, less what was in vain; 0: it is not done, but for a probe */
        unsigned turns_n;  /* with work but without credit */
};

void busy_poll_init(struct busy_poll *b, uv_loop_t *loop);

/* At the end of each turn, before the loop waits: whether it had work, and the time. */
void busy_poll_on_turn(struct busy_poll *b, bool worked, uint64_t now_ns);

/* The loop may sleep, and end, from now on. */
void busy_poll_close(struct busy_poll *b);
