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

static void turn_arm(struct engine *e, struct contest *contest, uint64_t at_ns)
{
        if (!deadline_armed(&contest->tenure.end))
                resource_ref_known(contest->resource);
        heap_set(&e->deadlines, &contest->tenure.end, at_ns);
}

/* The last thing that is done with the resource: it may be gone then. */
static void turn_disarm(struct engine *e, struct resource *r)
{
        if (!r->contest || !deadline_armed(&r->contest->tenure.end))
                return;
        heap_clear(&e->deadlines, &r->contest->tenure.end);
        resource_unref(e, r);
}

static bool turn_tenure_over(const struct engine *e, const struct resource *r)
{
        uint64_t started_ns = r->contest ? r->contest->tenure.started_ns : 0;

        return started_ns && (e->now_ns - started_ns) / NS_PER_MS >= e->options.tenure_ms;
}

/* Without memory the tenure begins when it goes on once more. */
static void turn_go_on(struct engine *e, struct resource *r)
{
        struct contest *contest = resource_contest(e, r);

        if (contest && contest->tenure.started_ns == 0)
                contest->tenure.started_ns = e->now_ns;
}

void turn_on_passed(struct engine *e, struct resource *r)
{
        ++e->counters.handovers;
        turn_go_on(e, r);
}

void turn_on_kept(struct engine *e, struct resource *r)
{
        struct tenure *tenure = r->contest ? &r->contest->tenure : NULL;
        struct turn *t = &r->turn;

        if (tenure && tenure->gap) {
                tenure->gap = false;
                tenure->gap_ms = tenure->gap_ms / 2 > TURN_GAP_MIN_MS ? tenure->gap_ms / 2 : TURN_GAP_MIN_MS;
        }
        if (t->state != TURN_NONE)
                turn_go_on(e, r); /* also where it was asked for before the host stood back */
        else if (tenure)
                tenure->started_ns = 0;
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

static void turn_yield(struct engine *e, struct contest *contest, uint64_t ms)
{
        contest->resource->turn.state = TURN_YIELDING;
        turn_arm(e, contest, e->now_ns + ms * NS_PER_MS);
}

void turn_give_back(struct engine *e, struct resource *r)
{
        struct tenure *tenure = &r->contest->tenure; /* it has one, that is over */

        ++e->counters.tenures;
        tenure->gap = true;
        if (tenure->gap_ms == 0)
                tenure->gap_ms = TURN_GAP_MIN_MS;
        turn_yield(e, r->contest, NODE_TIMEOUT_MAX_MS);
}

static void turn_end(struct engine *e, struct resource *r)
{
        r->turn.state = TURN_NONE;
        resource_wake(e, r);
        listen_review(e, r);
        turn_disarm(e, r);
}

/* It stood back until it was known who wants the key: now for as long as they need. */
static void turn_yield_on(struct engine *e, struct contest *contest)
{
        struct tenure *tenure = &contest->tenure;

        if (contest->resource->turn.wanted) {
                tenure->gap = false;
                turn_yield(e, contest, TURN_YIELD_MS);
        } else if (tenure->gap) {
                turn_yield(e, contest, tenure->gap_ms);
        }
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
        if (t->state == TURN_YIELDING)
                turn_yield_on(e, r->contest);
        else if (t->state == TURN_OURS && (!t->wanted || !resource_contest(e, r)))
                turn_end(e, r); /* without memory nobody is waited for */
        else if (t->state == TURN_OURS && turn_tenure_over(e, r))
                turn_yield(e, r->contest, TURN_YIELD_MS);
        else if (t->state == TURN_OURS)
                turn_arm(e, r->contest, e->now_ns + TURN_YIELD_MS * NS_PER_MS);
}

void turn_on_refused(struct engine *e, struct resource *r)
{
        struct tenure *tenure = r->contest ? &r->contest->tenure : NULL;

        if (!tenure || !tenure->gap || r->turn.state == TURN_YIELDING)
                return;
        tenure->gap = false;
        tenure->gap_ms = e->options.tenure_ms / 2 > TURN_GAP_MIN_MS ? e->options.tenure_ms / 2 : TURN_GAP_MIN_MS;
}

uint64_t turn_yields_until_ns(const struct resource *r)
{
        return r->turn.state == TURN_YIELDING ? r->contest->tenure.end.at_ns : 0;
}

void turn_on_deadline(struct engine *e, struct resource *r)
{
        /* the heap has let go of it already */
        r->turn.state = TURN_NONE;
        resource_wake(e, r);
        listen_review(e, r);
        resource_unref(e, r);
}
