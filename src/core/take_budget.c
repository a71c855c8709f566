/*
 * When add and extend try: one try after the other until the keys are all held or the budget is spent.
 *
 * Tries of the budget come by the timer: the first at once, each next after retryDelay +- retryJitter. Others come
 * outside the budget: when a key becomes free on this host; when another host's release of it is announced; when the
 * ttls that the nodes told have passed on a quorum of them.
 */
#include "redlockd/core/take.h"

#include "redlockd/core/deadlock.h"
#include "redlockd/core/renew.h"

#include <assert.h>

void take_begin(struct engine *e, struct call *c)
{
        c->started_ns = e->now_ns;
        c->wait_end_ns = c->wait_ms == WAIT_NONE ? UINT64_MAX : e->now_ns + c->wait_ms * NS_PER_MS;
        c->counted = true;
        c->wake_ns = UINT64_MAX;
        c->last_error = ERROR_LOCKED; /* should the cap on waiting end it before a try has */
}

void take_finish(struct engine *e, struct call *c, enum error_name error)
{
        c->reply.attempts = c->attempts;
        c->reply.waited_ms = (e->now_ns - c->started_ns) / NS_PER_MS;
        c->reply.retries = c->retry_count == RETRY_FOR_EVER ? (int64_t)c->attempts - 1 : c->retry_count;
        c->reply.holder = &c->holder;
        c->reply.votes = c->votes;
        c->reply.votes_n = e->options.nodes_n;
        call_finish(e, c, error);
}

static bool take_spent(const struct call *c)
{
        return c->retry_count != RETRY_FOR_EVER && c->attempts > (uint64_t)c->retry_count;
}

/* retryDelay +- retryJitter, uniformly; what falls below CALL_RETRY_MIN_MS is raised to it. */
static uint64_t take_delay_ms(struct engine *e, const struct call *c)
{
        uint64_t random, sum, delay_ms;

        e->options.random(e->options.random_userdata, &random, sizeof(random));
        sum = c->retry_delay_ms + random % (2 * c->retry_jitter_ms + 1);
        delay_ms = sum > c->retry_jitter_ms ? sum - c->retry_jitter_ms : 0;
        return delay_ms > CALL_RETRY_MIN_MS ? delay_ms : CALL_RETRY_MIN_MS;
}

void take_arm(struct engine *e, struct call *c)
{
        uint64_t at_ns = c->wake_ns;

        if (!c->counted && c->next_try_ns < at_ns)
                at_ns = c->next_try_ns;
        if (c->wait_end_ns < at_ns)
                at_ns = c->wait_end_ns;
        heap_set(&e->deadlines, &c->timer, at_ns);
        if (at_ns <= e->now_ns)
                take_on_deadline(e, c);
}

/* It is going to wait for the first time. True if it was refused, since nobody in a cycle would ever go on. */
static bool take_refuse_deadlock(struct engine *e, struct call *c)
{
        int r;

        if (c->searched || c->wait_end_ns <= e->now_ns)
                return false;
        c->searched = true;
        r = deadlock_search(e, c);
        if (r != 0)
                take_finish(e, c, r < 0 ? ERROR_INTERNAL : ERROR_DEADLOCK);
        return r != 0;
}

void take_fail(struct engine *e, struct call *c, enum error_name error)
{
        size_t i;

        c->last_error = error;
        if (!c->counted && e->now_ns >= c->next_try_ns) {
                /* the next one of the budget became due meanwhile: this was it */
                c->counted = true;
                ++c->attempts;
        }
        if (c->counted) {
                c->counted = false;
                if (take_spent(c)) {
                        take_finish(e, c, error);
                        return;
                }
                c->next_try_ns = e->now_ns + take_delay_ms(e, c) * NS_PER_MS;
        }
        if (take_refuse_deadlock(e, c))
                return;
        if (c->state == CALL_TRYING)
                call_move(c, CALL_WAITING);
        take_arm(e, c);
        for (i = 0; i < c->claims_n; ++i)
                renew_review(e, c->claims[i].resource);
}

void take_on_deadline(struct engine *e, struct call *c)
{
        assert(c->state == CALL_WAITING);
        if (e->now_ns >= c->wait_end_ns) {
                take_finish(e, c, c->last_error);
                return;
        }
        if (e->now_ns >= c->next_try_ns)
                c->counted = true;
        call_set_ready(e, c);
}
