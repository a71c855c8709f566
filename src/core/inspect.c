/*
 * Read-only views of the engine. Everything is in the order of opening, of granting and of arrival; but keys, of which
 * there may be many and which have no order of their own, in that of their hashes.
 *
 * What makes it possible to go on with a walk after the engine has changed: sessions and requests have numbers that
 * only rise and stand in lists in the order of these; each session's locks stand in the order of their grant; places in
 * the table of keys do not change when it grows.
 */
#include "redlockd/core/inspect.h"

#include "redlockd/core/call.h"
#include "redlockd/core/lease.h"
#include "redlockd/core/lock.h"
#include "redlockd/core/members.h"
#include "redlockd/core/session.h"

#include <assert.h>

/* The session's requests that wait for a lock. */
static uint64_t session_count_waiting(const struct session *s)
{
        struct call *c;
        uint64_t n = 0;

        TAILQ_FOREACH (c, &s->calls, entry) {
                n += c->method == METHOD_ADD || c->method == METHOD_EXTEND;
        }
        return n;
}

static unsigned count_nodes(const struct engine *e, enum node_state state)
{
        unsigned node, n = 0;

        for (node = 0; node < e->options.nodes_n; ++node)
                n += e->members & UINT32_C(1) << node && e->nodes[node].state == state;
        return n;
}

void inspect_status(const struct engine *e, struct inspect_status *ret_status)
{
        *ret_status = (struct inspect_status){ .members = e->members,
                                               .nodes_n = (unsigned)__builtin_popcount(e->members),
                                               .nodes_up_n = count_nodes(e, NODE_UP),
                                               .nodes_quarantined_n = count_nodes(e, NODE_QUARANTINED),
                                               .nodes_unfit_n = count_nodes(e, NODE_UNFIT),
                                               .quorum = members_quorum(e),
                                               .sessions_n = e->sessions.n,
                                               .locks_n = e->held_n,
                                               .waiters_n = e->waiters_n,
                                               .draining = e->draining,
                                               .counters = e->counters };
}

uint64_t inspect_oldest_wait_ns(const struct engine *e, uint64_t now_ns)
{
        uint64_t oldest_ns = now_ns;
        struct session *s;
        struct call *c;

        TAILQ_FOREACH (s, &e->sessions_in_order, in_order) {
                TAILQ_FOREACH (c, &s->calls, entry) {
                        if (c->method != METHOD_ADD && c->method != METHOD_EXTEND)
                                continue;
                        if (c->arrived_ns < oldest_ns)
                                oldest_ns = c->arrived_ns;
                        break; /* the others came after it */
                }
        }
        return now_ns - oldest_ns;
}

const struct histogram *inspect_holds(const struct engine *e)
{
        return &e->holds;
}

void inspect_node(const struct engine *e, unsigned node, struct inspect_node *ret_node)
{
        const struct node *n = &e->nodes[node];

        assert(node < e->options.nodes_n);
        *ret_node =
                (struct inspect_node){ .state = n->state,
                                       .reason = n->reason,
                                       .error = n->error,
                                       .errors = n->errors,
                                       .votes_ns = n->state == NODE_QUARANTINED ? fitness_votes_ns(&n->fitness) : 0 };
}

bool inspect_next_session(const struct engine *e, uint64_t after, struct inspect_session *ret_session)
{
        struct session *s = after ? session_find(e, after) : NULL;

        s = s ? TAILQ_NEXT(s, in_order) : TAILQ_FIRST(&e->sessions_in_order);
        while (s && s->id <= after)
                s = TAILQ_NEXT(s, in_order);
        if (!s)
                return false;
        *ret_session = (struct inspect_session){ .session = s->id,
                                                 .pid = s->pid,
                                                 .uid = s->uid,
                                                 .gid = s->gid,
                                                 .name = s->name,
                                                 .connected_ns = s->connected_ns,
                                                 .locks_n = s->held_n,
                                                 .waiting_n = session_count_waiting(s) };
        return true;
}

static bool inspect_lock(uint64_t now_ns, const struct lock *l, inspect_lock_fn fn, void *userdata)
{
        char value[TOKEN_TEXT_LEN + 1];
        struct inspect_lock view;

        if (l->state != LOCK_HELD || now_ns >= l->valid_until_ns)
                return true;
        token_print(&l->value, value);
        view = (struct inspect_lock){ .key = resource_key(l->resource),
                                      .value = value,
                                      .fence = l->fence,
                                      .session = l->session->id,
                                      .pid = l->session->pid,
                                      .ttl_ms = l->ttl_ms,
                                      .valid_until_ns = l->valid_until_ns,
                                      .since_ns = l->since_ns,
                                      .waiters_n = resource_queue_n(l->resource),
                                      .nodes = l->resource->lease->counted | l->resource->lease->fresh };
        return fn(userdata, &view);
}

/* The session of this number, or the first one after it. */
static struct session *session_from(const struct engine *e, uint64_t id)
{
        struct session *s = session_find(e, id);

        if (s)
                return s;
        s = TAILQ_FIRST(&e->sessions_in_order);
        while (s && s->id < id)
                s = TAILQ_NEXT(s, in_order);
        return s;
}

/* The session's first lock that was not walked yet. The last that was is found at once, if it is still there. */
static struct lock *lock_from(const struct engine *e, const struct session *s, const struct inspect_cursor *cursor)
{
        struct lock *l = TAILQ_FIRST(&s->held), *last;
        struct map_link *link;

        if (cursor->from_ns == UINT64_MAX)
                return NULL;
        for (link = cursor->from_ns > 0 ? map_first(&e->resources, cursor->hash) : NULL; link; link = map_next(link)) {
                last = container_of(link, struct resource, link)->holder;
                if (last && last->session == s && last->state == LOCK_HELD && last->since_ns == cursor->from_ns - 1)
                        l = last;
        }
        while (l && l->since_ns < cursor->from_ns)
                l = TAILQ_NEXT(l, in_session);
        return l;
}

/* At least one lock. Returns false where the steps are used up within the session's locks. */
static bool inspect_session_locks(const struct engine *e, uint64_t now_ns, const struct session *s, unsigned *steps,
                                  struct inspect_cursor *cursor, inspect_lock_fn fn, void *userdata)
{
        struct lock *l = lock_from(e, s, cursor);

        while (l) {
                *steps -= *steps > 0;
                if (!inspect_lock(now_ns, l, fn, userdata))
                        *steps = 0;
                cursor->from_ns = l->since_ns + 1;
                cursor->hash = l->resource->link.hash;
                l = TAILQ_NEXT(l, in_session);
                if (l && *steps == 0 && l->since_ns >= cursor->from_ns)
                        return false;
        }
        cursor->from_ns = UINT64_MAX;
        return true;
}

bool inspect_locks(const struct engine *e, uint64_t now_ns, uint64_t session, struct text key, unsigned steps,
                   struct inspect_cursor *cursor, inspect_lock_fn fn, void *userdata)
{
        const struct resource *only = key.data ? resource_find(e, key) : NULL;
        struct session *s;

        if (key.data) {
                if (only && only->holder && only->holder->state == LOCK_HELD &&
                    (session == 0 || only->holder->session->id == session))
                        inspect_lock(now_ns, only->holder, fn, userdata);
                return false;
        }
        s = session ? session_find(e, session) : session_from(e, cursor->session);
        while (s) {
                if (s->id != cursor->session) {
                        if (steps == 0)
                                return true;
                        --steps;
                        *cursor = (struct inspect_cursor){ .session = s->id };
                }
                if (!inspect_session_locks(e, now_ns, s, &steps, cursor, fn, userdata))
                        return true;
                s = session ? NULL : TAILQ_NEXT(s, in_order);
        }
        return false;
}

/* The first claim in the queue that was not walked yet. The last that was is found at once, if it is still there. */
static struct claim *claim_from(const struct engine *e, const struct resource *r, const struct inspect_cursor *cursor)
{
        struct session *s = cursor->request ? session_find(e, cursor->session) : NULL;
        struct claim *claim;
        struct call *c;
        size_t i;

        for (c = s ? TAILQ_FIRST(&s->calls) : NULL; c && c->id <= cursor->request; c = TAILQ_NEXT(c, entry)) {
                for (i = 0; c->id == cursor->request && i < c->claims_n; ++i)
                        if (c->claims[i].resource == r && c->claims[i].queued)
                                return c->claims[i].after;
        }
        for (claim = resource_head(r); claim; claim = claim->after) {
                if (claim->call->id > cursor->request)
                        break;
        }
        return claim;
}

/* At least one claim. Returns false where the steps are used up within the queue. */
static bool inspect_queue(const struct engine *e, const struct resource *r, unsigned *steps,
                          struct inspect_cursor *cursor, inspect_waiter_fn fn, void *userdata)
{
        struct claim *claim, *last = NULL;

        for (claim = claim_from(e, r, cursor); claim; claim = claim->after) {
                const struct call *c = claim->call;

                if (last && *steps == 0)
                        return false;
                last = claim;
                *steps -= *steps > 0;
                cursor->session = c->session_id;
                cursor->request = c->id;
                if (r->holder && r->holder->session == c->session)
                        continue; /* it extends, or leaves as it is, what it holds */
                ++cursor->position;
                if (!fn(userdata, &(struct inspect_waiter){ .key = resource_key(r),
                                                            .session = c->session_id,
                                                            .pid = c->session->pid,
                                                            .position = cursor->position,
                                                            .since_ns = c->arrived_ns }))
                        *steps = 0;
        }
        return true;
}

bool inspect_waiters(const struct engine *e, struct text key, unsigned steps, struct inspect_cursor *cursor,
                     inspect_waiter_fn fn, void *userdata)
{
        const struct resource *only = key.data ? resource_find(e, key) : NULL;
        struct map_link *link;
        uint64_t place = cursor->place;

        if (key.data)
                return only && !inspect_queue(e, only, &steps, cursor, fn, userdata);
        while (map_walk(&e->resources, &place, &steps, &link)) {
                if (place != cursor->place)
                        *cursor = (struct inspect_cursor){ .place = place };
                if (!link)
                        return true;
                /* (Of two keys with one hash, one in 2^64, some that wait for one may not be seen.) */
                for (; link; link = map_next(link))
                        if (!inspect_queue(e, container_of(link, struct resource, link), &steps, cursor, fn, userdata))
                                return true;
                if (place == UINT64_MAX)
                        return false;
                ++place;
                *cursor = (struct inspect_cursor){ .place = place };
        }
        return false;
}
