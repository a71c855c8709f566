/*
 * Leases that some node may still have though the host has given them up:
 *
 *      release_lease --> due --> a round to each node that may have it --> confirmed by all: done
 *                         ^                        | no answer, error, node down
 *                         +---- node up, retry ----+--> later --> its ttl has passed, and it is adrift nowhere: done
 *
 * Releasing is repeated for ever and harmless to repeat (compare and delete of a value that nobody else has), so that a
 * lack of memory is just one more reason for a node not to have confirmed.
 *
 * A release follows its acquire on the same connection, so the node carries them out in that order. Where the
 * connection broke in between, the ttl counts from the moment when that was known: `gone_ns`. But a server that is
 * stopped, or does not get to it, may have the acquire in its kernel, which no reset takes back, and carry it out
 * whenever it goes on. So it is adrift on that node until a release has been answered there: the kernel has the old
 * connection's bytes before the new connection's, and the server reads them in that order. There may be as many of them
 * as there were acquires in the connections that broke since then, and `adrift_max` at most; a node that has left
 * the list for good has none.
 */
#include "redlockd/core/release.h"

#include "redlockd/core/lease.h"
#include "redlockd/core/round.h"

#include <assert.h>

static void release_list_due(struct engine *e, struct lease *l)
{
        lease_unlist(e, l);
        TAILQ_INSERT_TAIL(&e->release_due, l, in_list);
        l->listed = LEASE_DUE;
}

static void release_list_later(struct engine *e, struct lease *l)
{
        lease_unlist(e, l);
        TAILQ_INSERT_TAIL(&e->release_later, l, in_list);
        l->listed = LEASE_LATER;
        if (!deadline_armed(&e->release_retry))
                heap_set(&e->deadlines, &e->release_retry, e->now_ns + RELEASE_RETRY_MS * NS_PER_MS);
}

void release_lease(struct engine *e, struct lease *l)
{
        if (l->sent && l->listed == LEASE_UNLISTED)
                release_list_due(e, l);
}

void release_again(struct engine *e, struct lease *l)
{
        if (l->sent)
                release_list_later(e, l);
}

static int release_round(struct engine *e, struct call *call, struct lease *const *leases, unsigned leases_n,
                         uint32_t nodes, struct round **ret_round)
{
        uint32_t ttl_ms = 0;
        unsigned i;
        int r;

        for (i = 0; i < leases_n; ++i)
                if (leases[i]->ttl_max_ms > ttl_ms)
                        ttl_ms = leases[i]->ttl_max_ms;
        r = round_new(e, COMMAND_RELEASE, leases, leases_n, 0, ttl_ms, nodes, call, ret_round);
        for (i = 0; i < leases_n; ++i) {
                if (r < 0)
                        release_again(e, leases[i]);
                else
                        lease_unlist(e, leases[i]);
        }
        return r;
}

int release_for(struct engine *e, struct call *call, struct lease *const *leases, unsigned leases_n,
                uint64_t *ret_round)
{
        struct round *round;
        int r = release_round(e, call, leases, leases_n, e->nodes_linked, &round);

        if (r < 0)
                return r;
        *ret_round = round_id(round);
        return 0;
}

/* The nodes that are to be asked for it now. */
static uint32_t release_open(const struct engine *e, const struct lease *l)
{
        return l->sent & e->nodes_linked & ~l->releasing;
}

void release_flush(struct engine *e)
{
        struct lease *batch[KEYS_PER_ROUND_MAX], *l;
        struct round *round;
        uint32_t nodes;
        unsigned n;

        do {
                nodes = 0;
                for (n = 0; n < KEYS_PER_ROUND_MAX && (l = TAILQ_FIRST(&e->release_due));) {
                        if (!release_open(e, l)) {
                                release_list_later(e, l);
                                continue;
                        }
                        lease_unlist(e, l);
                        nodes |= release_open(e, l);
                        batch[n++] = l;
                }
                if (n > 0 && release_round(e, NULL, batch, n, nodes, &round) == 0)
                        round_review(e, round);
        } while (n > 0);
}

void release_on_node_up(struct engine *e, unsigned node)
{
        struct lease *l, *next;
        struct map_link *link;

        for (link = map_any(&e->rounds); link; link = map_after(&e->rounds, link))
                round_on_node_up(e, container_of(link, struct round, link), node);
        for (l = TAILQ_FIRST(&e->release_later); l; l = next) {
                next = TAILQ_NEXT(l, in_list);
                if (l->sent & UINT32_C(1) << node)
                        release_list_due(e, l);
        }
}

void release_postpone(struct engine *e, struct lease *l)
{
        uint64_t gone_ns = validity_gone_ns(e->now_ns, l->ttl_max_ms, e->options.drift_factor);

        if (l->state == LEASE_LEAVING && gone_ns > l->gone_ns)
                l->gone_ns = gone_ns;
}

void release_on_deadline(struct engine *e)
{
        struct lease *l, *next;
        unsigned adrift_n = 0;

        for (l = TAILQ_FIRST(&e->release_later); l; l = next) {
                next = TAILQ_NEXT(l, in_list);
                /* While a round names it, a node may yet carry out an acquire of it. */
                if (e->now_ns >= l->gone_ns && l->refs == 0) {
                        l->sent &= l->adrift & ~e->nodes_closed;
                        if (l->sent && ++adrift_n > e->options.adrift_max)
                                l->sent = 0;
                }
                if (!l->sent) {
                        lease_unlist(e, l);
                        lease_settle(e, l);
                } else if (release_open(e, l)) {
                        release_list_due(e, l);
                }
        }
        if (!TAILQ_EMPTY(&e->release_later))
                heap_set(&e->deadlines, &e->release_retry, e->now_ns + RELEASE_RETRY_MS * NS_PER_MS);
}
