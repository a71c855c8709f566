/*
 * A node counts a ttl on its wall clock. Where that is set forward the key is gone before its time, and nobody says so.
 * But nodes tell their time with every answer, and at every heartbeat:
 *
 *      sent           node's time t          received               the node's clock is ahead of ours by something in
 *      |--------------------|--------------------|                  [t - received, t - sent]
 *
 * Two such intervals of one node must overlap, once the earlier one is widened by what the rates of two clocks may
 * differ; then what they have in common is what is known. If they do not, one of the two clocks has stepped: by no more
 * than from the beginning of the one to the end of the other.
 *
 * Forward: what the node granted before ends by so much earlier. A lease is as good as the best quorum of those that
 * count for it. If all nodes have stepped alike it was our own clock that stood still, as a machine does that is
 * paused from outside: the same thing, since every lease has to end earlier by that.
 *
 * Back: keys live longer than they need to, which costs time and no safety.
 */
#include "redlockd/core/clockwatch.h"

#include "redlockd/core/lease.h"
#include "redlockd/core/lock.h"
#include "redlockd/core/renew.h"
#include "redlockd/core/resource.h"

#include <assert.h>

/* Whatever was granted before has ended by now: steps of so long ago are nobody's. */
static bool clockwatch_is_old(const struct engine *e, const struct clockwatch *c)
{
        return e->now_ns - c->stepped_ns > UINT64_C(2) * e->options.ttl_max_ms * NS_PER_MS;
}

static void clockwatch_review(struct engine *e, unsigned node)
{
        struct map_link *link;

        for (link = map_any(&e->resources); link;) {
                struct resource *r = resource_ref_known(container_of(link, struct resource, link));

                if (r->lease && r->lease->counted & UINT32_C(1) << node)
                        lease_review(e, r->lease);
                link = map_after(&e->resources, link);
                resource_unref(e, r);
        }
}

/* What the rates of two clocks may have made of it since. */
static int64_t clockwatch_drift_ns(const struct engine *e, uint64_t since_ns)
{
        return (int64_t)((double)(e->now_ns - since_ns) * e->options.drift_factor);
}

void clockwatch_on_sample(struct engine *e, unsigned node, uint64_t node_ms, uint64_t sent_ns)
{
        struct clockwatch *c = &e->nodes[node].clock;
        int64_t least_ns, most_ns, was_least_ns, was_most_ns, drift_ns;

        if (node_ms == 0 || node_ms > INT64_MAX / NS_PER_MS - 1)
                return;
        drift_ns = clockwatch_drift_ns(e, sent_ns); /* it may have been shown at any moment since then */
        least_ns = (int64_t)(node_ms * NS_PER_MS) - (int64_t)e->now_ns - drift_ns;
        most_ns = (int64_t)((node_ms + 1) * NS_PER_MS) - (int64_t)sent_ns + drift_ns;
        drift_ns = clockwatch_drift_ns(e, c->at_ns);
        was_least_ns = c->least_ns - drift_ns;
        was_most_ns = c->most_ns + drift_ns;
        c->at_ns = e->now_ns;
        if (!c->known || (least_ns <= was_most_ns && most_ns >= was_least_ns)) {
                c->least_ns = c->known && was_least_ns > least_ns ? was_least_ns : least_ns;
                c->most_ns = c->known && was_most_ns < most_ns ? was_most_ns : most_ns;
                c->known = true;
                return;
        }
        c->least_ns = least_ns;
        c->most_ns = most_ns;
        ++c->steps;
        if (most_ns < was_least_ns)
                return;
        if (clockwatch_is_old(e, c))
                c->step_ns = 0;
        c->stepped_ns = e->now_ns;
        c->step_ns += (uint64_t)(most_ns - was_least_ns);
        clockwatch_review(e, node);
}

/* By how much what the node granted is shorter. */
static uint64_t clockwatch_step_ns(const struct engine *e, unsigned node, uint64_t since_ns)
{
        const struct clockwatch *c = &e->nodes[node].clock;

        return c->stepped_ns > since_ns ? c->step_ns : 0;
}

uint64_t clockwatch_end_ns(const struct engine *e, uint32_t nodes, uint64_t since_ns, uint64_t until_ns)
{
        unsigned needed = (unsigned)__builtin_popcount(e->members) / 2 + 1, node, other, as_good;
        uint64_t step_ns, least_ns = UINT64_MAX;
        uint32_t left, others;

        /* The needed-th smallest step. */
        for (left = nodes & e->members; left; left &= left - 1) {
                node = (unsigned)__builtin_ctz(left);
                step_ns = clockwatch_step_ns(e, node, since_ns);
                for (as_good = 0, others = nodes & e->members; others; others &= others - 1) {
                        other = (unsigned)__builtin_ctz(others);
                        as_good += clockwatch_step_ns(e, other, since_ns) <= step_ns;
                }
                if (as_good >= needed && step_ns < least_ns)
                        least_ns = step_ns;
        }
        if (least_ns == UINT64_MAX) /* too few of them: heal.c says what comes of that */
                least_ns = 0;
        return until_ns > least_ns ? until_ns - least_ns : 0;
}
