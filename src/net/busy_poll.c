/*
 * While an idle handle is active, libuv polls and does not wait.
 *
 *      asleep --a turn with work, and credit or a probe--> looking --work came: credit + 1, from the beginning--.
 *         ^                                                 |  ^                                                 |
 *         '--- BUSY_POLL_NS without any: credit - 1 --------'  '-------------------------------------------------'
 */
#include "redlockd/net/busy_poll.h"

static void busy_poll_cb(uv_idle_t *idle)
{
}

void busy_poll_init(struct busy_poll *b, uv_loop_t *loop)
{
        *b = (struct busy_poll){ .credit = BUSY_POLL_CREDIT_MAX };
        uv_idle_init(loop, &b->idle);
}

static void busy_poll_look(struct busy_poll *b, uint64_t until_ns)
{
        if (until_ns > 0)
                uv_idle_start(&b->idle, busy_poll_cb);
        else
                uv_idle_stop(&b->idle);
        b->until_ns = until_ns;
}

void busy_poll_on_turn(struct busy_poll *b, bool worked, uint64_t now_ns)
{
        const bool looking = b->until_ns > 0;

        if (uv_is_closing((uv_handle_t *)&b->idle))
                return;
        if (!worked) {
                if (!looking || now_ns < b->until_ns)
                        return;
                if (b->credit > 0)
                        --b->credit;
                busy_poll_look(b, 0);
                return;
        }
        if (looking && b->credit < BUSY_POLL_CREDIT_MAX)
                ++b->credit;
        if (b->credit > 0 || ++b->turns_n % BUSY_POLL_PROBE_EACH == 0)
                busy_poll_look(b, now_ns + BUSY_POLL_NS);
}

void busy_poll_close(struct busy_poll *b)
{
        uv_close((uv_handle_t *)&b->idle, NULL);
}
