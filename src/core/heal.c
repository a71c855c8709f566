/*
 * What the vote of a node is worth at an extension:
 *
 *                  the acquire's yes, within its node timeout
 *          +---------------------------------------------------------------------------------+
 *          |                                                                                 v
 *        NONE ---- says that it has it: --------> FRESH ---- a round begins: RIPE, says yes, and the round is won ---->
 * COUNTED ^       planted, or a late yes          |                                         |
 *          +---------------------------------------+-----------------------------------------+
 *            does not have it; may have forgotten; has another
 *
 * An extension is won where a quorum of COUNTED nodes says that it still has the lease: nodes that have had it all the
 * time since it was granted. Whoever merely has it now may have got it after others held the key. What was planted
 * before a round began that was won has been there for as long as that quorum has to be believed: so it may count from
 * the next round on, and not in this one.
 *
 * A yes to the acquire itself that comes after the verdict counts like the others if it comes within the node timeout:
 * between them lies no time in which anybody else could have had the key, since whoever forgets keeps silent for a
 * quarantine.
 *
 * A key is planted only after a round was won. A planted node is nobody's vote before it has said so, and the round
 * after that was won. Each of these orders was checked with its neighbours left out, and none may be.
 *
 * Nodes that are quarantined are planted, too: so they are of use from the moment when they vote again.
 *
 * Where too few nodes are left that count, no round can ever be won again: the lock is lost, and its session is told at
 * once.
 */
#include "redlockd/core/heal.h"

#include "redlockd/core/lease.h"
#include "redlockd/core/lock.h"
#include "redlockd/core/renew.h"
#include "redlockd/core/resource.h"
#include "redlockd/core/round.h"

#include <assert.h>

static uint32_t bit_of(unsigned node)
{
        return UINT32_C(1) << node;
}

/* It is being acquired: by this round, or by one before it whose fence this one raises. */
static bool heal_is_taking(const struct round *r, unsigned i)
{
        return i < r->acquire_n || r->items[i].lease->state == LEASE_TAKING;
}

void heal_begin(struct engine *e, struct round *r)
{
        unsigned i;

        for (i = 0; i < r->items_n; ++i) {
                struct round_item *item = &r->items[i];
                bool taking = heal_is_taking(r, i);

                item->eligible = taking ? e->members : item->lease->counted;
                item->ripe = taking ? 0 : item->lease->fresh;
        }
}

uint32_t heal_worth(const struct round *r, unsigned i)
{
        const struct round_item *item = &r->items[i];

        return heal_is_taking(r, i) ? item->eligible : item->eligible & item->lease->counted & ~r->distrusted;
}

void heal_on_taken(struct engine *e, struct round *r, unsigned node)
{
        uint64_t timeout_ns = validity_node_timeout_ms(r->ttl_ms) * NS_PER_MS;
        unsigned i;

        for (i = 0; i < r->items_n; ++i) {
                struct lease *l = r->items[i].lease;

                if (!heal_is_taking(r, i) || r->distrusted & bit_of(node) || (l->counted | l->fresh) & bit_of(node))
                        continue;
                if (l->state != LEASE_KEPT || e->now_ns <= r->started_ns + timeout_ns) {
                        l->counted |= bit_of(node);
                } else {
                        l->fresh |= bit_of(node);
                        renew_verify(e, l);
                }
        }
}

/* The round was won, and the node said yes to it. */
static void heal_promote(const struct round *r, struct round_item *item)
{
        uint32_t promoted = item->extended & item->ripe & item->lease->fresh & ~r->distrusted;

        item->lease->counted |= promoted;
        item->lease->fresh &= ~promoted;
}

void heal_on_extended(struct round *r, unsigned node, bool done, uint64_t taken)
{
        unsigned i;

        for (i = r->acquire_n; i < r->items_n; ++i) {
                struct round_item *item = &r->items[i];
                struct lease *l = item->lease;

                if (taken & UINT64_C(1) << i) {
                        item->missing |= bit_of(node);
                        l->counted &= ~bit_of(node);
                        l->fresh &= ~bit_of(node);
                        continue;
                }
                if (!done || l->state != LEASE_KEPT || r->distrusted & bit_of(node))
                        continue;
                item->extended |= bit_of(node);
                if (!((l->counted | l->fresh) & bit_of(node)))
                        l->fresh |= bit_of(node);
                else if (item->won)
                        heal_promote(r, item);
        }
}

void heal_on_planted(struct engine *e, struct round *r, unsigned node, bool done, uint64_t taken)
{
        unsigned i;

        for (i = 0; i < r->items_n; ++i) {
                struct lease *l = r->items[i].lease;

                if (l->state != LEASE_KEPT)
                        continue;
                l->planting &= ~bit_of(node);
                if (!done || taken & UINT64_C(1) << i || r->distrusted & bit_of(node) || l->counted & bit_of(node))
                        continue;
                e->counters.plants += !(l->fresh & bit_of(node));
                l->fresh |= bit_of(node);
        }
}

void heal_on_won(struct round *r, unsigned i)
{
        struct round_item *item = &r->items[i];

        if (heal_is_taking(r, i) || item->lease->state != LEASE_KEPT)
                return;
        item->won = true;
        heal_promote(r, item);
}

bool heal_is_lost(const struct round *r, unsigned i)
{
        const struct round_item *item = &r->items[i];

        return item->missing &&
               (unsigned)__builtin_popcount(item->lease->counted & r->ballot.members) < quorum_needed(&r->ballot);
}

/* The leases of a round that are to be planted on a node; again, where it gets no renewals since it may not vote. */
static unsigned heal_gather(const struct engine *e, const struct round *r, unsigned node, struct lease **ret_leases)
{
        bool votes = e->nodes_up & bit_of(node);
        unsigned i, n = 0;

        for (i = 0; i < r->items_n; ++i) {
                struct lease *l = r->items[i].lease;
                uint32_t has_it = l->counted | l->planting | (votes ? l->fresh : 0);

                if (r->items[i].won && l->state == LEASE_KEPT && !l->lost && !(has_it & bit_of(node)))
                        ret_leases[n++] = l;
        }
        return n;
}

static void heal_plant_on(struct engine *e, struct lease *const *leases, unsigned n, unsigned node)
{
        struct round *round;
        uint64_t left_ms;
        unsigned i;

        if (round_new(e, COMMAND_PLANT, leases, n, 0, leases[0]->ttl_max_ms, bit_of(node), NULL, &round) < 0)
                return; /* after the next round that is won */
        for (i = 0; i < n; ++i) {
                left_ms = validity_left_ms(leases[i]->valid_until_ns, e->now_ns) + 1;
                round->items[i].ttl_ms =
                        (uint32_t)(left_ms + validity_drift_ms((uint32_t)left_ms, e->options.drift_factor));
                leases[i]->planting |= bit_of(node);
                leases[i]->sent |= bit_of(node);
        }
        round->decided = true;
        heap_clear(&e->deadlines, &round->timeout);
}

void heal_plant(struct engine *e, struct round *r)
{
        struct lease *leases[KEYS_PER_ROUND_MAX];
        uint32_t nodes = e->members & e->nodes_linked & ~r->owed & ~r->to_send;
        unsigned node, n;

        for (; nodes; nodes &= nodes - 1) {
                node = (unsigned)__builtin_ctz(nodes);
                n = heal_gather(e, r, node, leases);
                if (n > 0)
                        heal_plant_on(e, leases, n, node);
        }
}

/* Rounds under way do not believe what the node said to them before. */
static void heal_distrust(struct engine *e, unsigned node)
{
        struct map_link *link;
        unsigned i;

        for (link = map_any(&e->rounds); link; link = map_after(&e->rounds, link)) {
                struct round *r = container_of(link, struct round, link);

                r->distrusted |= bit_of(node);
                if (!r->decided && r->kind == COMMAND_TAKE && r->ballot.granted & bit_of(node)) {
                        r->ballot.granted &= ~bit_of(node);
                        r->ballot.refused |= bit_of(node);
                        r->votes[node] = VOTE_UNCERTIFIED;
                }
                for (i = 0; i < r->items_n && r->kind != COMMAND_RELEASE; ++i)
                        if (r->items[i].lease->state == LEASE_TAKING)
                                r->items[i].lease->counted &= ~bit_of(node);
        }
}

/* Too few nodes are left that have had it all the time. */
static void heal_lose(struct engine *e, struct lease *l)
{
        struct lock *lock = l->resource->holder;

        l->lost = true;
        if (lock && lock->state == LOCK_HELD && lock_is_watched(lock))
                lock_lose(e, lock);
}

void heal_on_late_answer(struct engine *e, const struct round *r)
{
        unsigned i;

        for (i = r->acquire_n; i < r->items_n; ++i)
                if (r->items[i].lease->state == LEASE_KEPT && !r->items[i].lease->lost && heal_is_lost(r, i))
                        heal_lose(e, r->items[i].lease);
}

static void heal_review(struct engine *e, struct lease *l)
{
        struct quorum all;

        quorum_init_members(&all, e->members);
        if ((unsigned)__builtin_popcount(l->counted & e->members) >= quorum_needed(&all)) {
                renew_verify(e, l);
                return;
        }
        heal_lose(e, l);
}

void heal_on_forgotten(struct engine *e, unsigned node)
{
        struct map_link *link;

        heal_distrust(e, node);
        for (link = map_any(&e->resources); link;) {
                struct resource *r = resource_ref_known(container_of(link, struct resource, link));
                bool counted = r->lease && r->lease->counted & bit_of(node);

                if (r->lease) {
                        r->lease->counted &= ~bit_of(node);
                        r->lease->fresh &= ~bit_of(node);
                }
                if (counted)
                        heal_review(e, r->lease);
                link = map_after(&e->resources, link);
                resource_unref(e, r);
        }
}
