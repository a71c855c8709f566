/*
 * Read-only views of the engine. Everything is in the order of opening, of granting and of arrival.
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
        struct session *s;

        *ret_status = (struct inspect_status){ .members = e->members,
                                               .nodes_n = (unsigned)__builtin_popcount(e->members),
                                               .nodes_up_n = count_nodes(e, NODE_UP),
                                               .nodes_quarantined_n = count_nodes(e, NODE_QUARANTINED),
                                               .nodes_unfit_n = count_nodes(e, NODE_UNFIT),
                                               .quorum = members_quorum(e),
                                               .sessions_n = e->sessions.n,
                                               .locks_n = e->held_n,
                                               .draining = e->draining,
                                               .counters = e->counters };
        TAILQ_FOREACH (s, &e->sessions_in_order, in_order) {
                ret_status->waiters_n += session_count_waiting(s);
        }
}

uint64_t inspect_oldest_wait_ns(const struct engine *e, uint64_t now_ns)
{
        uint64_t oldest_ns = now_ns;
        struct session *s;
        struct call *c;

        TAILQ_FOREACH (s, &e->sessions_in_order, in_order) {
                TAILQ_FOREACH (c, &s->calls, entry) {
                        if ((c->method == METHOD_ADD || c->method == METHOD_EXTEND) && c->arrived_ns < oldest_ns)
                                oldest_ns = c->arrived_ns;
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

static void inspect_lock(uint64_t now_ns, const struct lock *l, inspect_lock_fn fn, void *userdata)
{
        char value[TOKEN_TEXT_LEN + 1];
        struct inspect_lock view;

        if (l->state != LOCK_HELD || now_ns >= l->valid_until_ns)
                return;
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
                                      .nodes = l->lease->counted | l->lease->fresh };
        fn(userdata, &view);
}

void inspect_locks(const struct engine *e, uint64_t now_ns, uint64_t session, struct text key, inspect_lock_fn fn,
                   void *userdata)
{
        const struct resource *only = key.data ? resource_find(e, key) : NULL;
        struct session *s;
        struct lock *l;

        if (key.data) {
                if (only && only->holder && only->holder->state == LOCK_HELD &&
                    (session == 0 || only->holder->session->id == session))
                        inspect_lock(now_ns, only->holder, fn, userdata);
                return;
        }
        TAILQ_FOREACH (s, &e->sessions_in_order, in_order) {
                if (session != 0 && s->id != session)
                        continue;
                TAILQ_FOREACH (l, &s->held, in_session) {
                        inspect_lock(now_ns, l, fn, userdata);
                }
        }
}

static void inspect_queue(const struct resource *r, inspect_waiter_fn fn, void *userdata)
{
        struct claim *claim;
        unsigned position = 0;

        for (claim = resource_head(r); claim; claim = claim->after) {
                const struct call *c = claim->call;

                if (r->holder && r->holder->session == c->session)
                        continue; /* it extends, or leaves as it is, what it holds */
                ++position;
                fn(userdata, &(struct inspect_waiter){ .key = resource_key(r),
                                                       .session = c->session_id,
                                                       .pid = c->session->pid,
                                                       .position = position,
                                                       .since_ns = c->arrived_ns });
        }
}

void inspect_waiters(const struct engine *e, struct text key, inspect_waiter_fn fn, void *userdata)
{
        struct map_link *link;
        const struct resource *r;

        if (key.data) {
                if ((r = resource_find(e, key)))
                        inspect_queue(r, fn, userdata);
                return;
        }
        for (link = map_any(&e->resources); link; link = map_after(&e->resources, link))
                inspect_queue(container_of(link, struct resource, link), fn, userdata);
}
