/*
 * Turns:
 *
 *      NONE --- lease kept ---> OURS --- tenure over, somebody waits here: given back ---> YIELDING --- end ---> NONE
 *                                |                                                           ^
 *                                +--- released; another host was told of it, tenure over ---+
 *                                |
 *                                +--- released, nobody was told: NONE
 *                                +--- released; another host was told: OURS for a moment more
 *
 * A tenure begins with the first lock that follows another: a lock alone, however long, is nobody's unfairness. A host
 * whose sessions take and free a key again and again is as fast as its own answer, and another host's is a round
 * trip late each time: so its turn goes on over such gaps, and ends like that of a host that never let go of it.
 *
 * When a lease is given back, what the nodes answer to its release says how long the host stands back: nobody asks for
 * the key before they did, or had their time to.
 */
#include "redlockd/core/turn.h"

#include "redlockd/core/call.h"
#include "redlockd/core/listen.h"
#include "redlockd/core/resource.h"

static void turn_arm(struct engine *e, struct resource *r, uint64_t at_ns)
{
        if (!deadline_armed(&r->turn.end))
                resource_ref_known(r);
        heap_set(&e->deadlines, &r->turn.end, at_ns);
}

/* The last thing that is done with the resource: it may be gone then. */
static void turn_disarm(struct engine *e, struct resource *r)
{
        if (!deadline_armed(&r->turn.end))
                return;
        heap_clear(&e->deadlines, &r->turn.end);
        resource_unref(e, r);
}

static bool turn_tenure_over(const struct engine *e, const struct resource *r)
{
        return r->turn.started_ns && (e->now_ns - r->turn.started_ns) / NS_PER_MS >= e->options.tenure_ms;
}

static void turn_go_on(struct engine *e, struct resource *r)
{
        if (r->turn.started_ns == 0)
                r->turn.started_ns = e->now_ns;
}

void turn_on_passed(struct engine *e, struct resource *r)
{
        ++e->counters.handovers;
        turn_go_on(e, r);
}

void turn_on_kept(struct engine *e, struct resource *r)
{
        struct turn *t = &r->turn;

        if (t->gap) {
                t->gap = false;
                t->gap_ms = t->gap_ms / 2 > TURN_GAP_MIN_MS ? t->gap_ms / 2 : TURN_GAP_MIN_MS;
        }
        if (t->state == TURN_NONE)
                t->started_ns = 0;
        else
                turn_go_on(e, r); /* also where it was asked for before the host stood back */
        t->state = TURN_OURS;
        t->wanted = false;
        t->undecided = true;
        turn_disarm(e, r);
}

bool turn_is_over(const struct engine *e, const struct resource *r)
{
        const struct claim *next = resource_head(r);

        return next && next->call->state == CALL_WAITING && turn_tenure_over(e, r);
}

static void turn_yield(struct engine *e, struct resource *r, uint64_t ms)
{
        r->turn.state = TURN_YIELDING;
        turn_arm(e, r, e->now_ns + ms * NS_PER_MS);
}

void turn_give_back(struct engine *e, struct resource *r)
{
        ++e->counters.tenures;
        r->turn.gap = true;
        if (r->turn.gap_ms == 0)
                r->turn.gap_ms = TURN_GAP_MIN_MS;
        turn_yield(e, r, NODE_TIMEOUT_MAX_MS);
}

static void turn_end(struct engine *e, struct resource *r)
{
        r->turn.state = TURN_NONE;
        resource_wake(e, r);
        listen_review(e, r);
        turn_disarm(e, r);
}

void turn_on_release(struct engine *e, struct resource *r, bool wanted, bool decided)
{
        struct turn *t = &r->turn;

        if (r->lease)
                return; /* what was undone before it was had */
        t->wanted |= wanted;
        if (!decided || !t->undecided)
                return;
        t->undecided = false;
        if (t->state == TURN_YIELDING && t->wanted) {
                t->gap = false;
                turn_yield(e, r, TURN_YIELD_MS);
        } else if (t->state == TURN_YIELDING && t->gap) {
                turn_yield(e, r, t->gap_ms);
        } else if (t->state == TURN_OURS && !t->wanted) {
                turn_end(e, r);
        } else if (t->state == TURN_OURS && turn_tenure_over(e, r)) {
                turn_yield(e, r, TURN_YIELD_MS);
        } else if (t->state == TURN_OURS) {
                turn_arm(e, r, e->now_ns + TURN_YIELD_MS * NS_PER_MS);
        }
}

void turn_on_refused(struct engine *e, struct resource *r)
{
        if (!r->turn.gap || r->turn.state == TURN_YIELDING)
                return;
        r->turn.gap = false;
        r->turn.gap_ms = e->options.tenure_ms / 2 > TURN_GAP_MIN_MS ? e->options.tenure_ms / 2 : TURN_GAP_MIN_MS;
}

uint64_t turn_yields_until_ns(const struct resource *r)
{
        return r->turn.state == TURN_YIELDING ? r->turn.end.at_ns : 0;
}

void turn_on_deadline(struct engine *e, struct resource *r)
{
        /* the heap has let go of it already */
        r->turn.state = TURN_NONE;
        resource_wake(e, r);
        listen_review(e, r);
        resource_unref(e, r);
}
