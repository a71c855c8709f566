/*
 * One client. Whatever way it ends, session_end() leaves nothing of it: calls are answered CANCELLED, rounds under way
 * lose their call, and every lock, held or being taken, goes to the release module.
 */
#include "redlockd/core/session.h"

#include "redlockd/base/mem.h"
#include "redlockd/core/call.h"
#include "redlockd/core/lock.h"
#include "redlockd/core/resource.h"

#include <assert.h>
#include <errno.h>

int session_new(struct engine *e, const struct event *opened)
{
        struct session *s = mem_zalloc(sizeof(*s));

        if (!s)
                return -ENOMEM;
        assert(!session_find(e, opened->opened.session));
        s->id = opened->opened.session;
        s->pid = opened->opened.pid;
        s->uid = opened->opened.uid;
        s->gid = opened->opened.gid;
        s->connected_ns = opened->now_ns;
        TAILQ_INIT(&s->calls);
        TAILQ_INIT(&s->held);
        TAILQ_INIT(&s->lapsed);
        map_link(&e->sessions, &s->link, s->id);
        TAILQ_INSERT_TAIL(&e->sessions_in_order, s, in_order);
        return 0;
}

struct session *session_find(const struct engine *e, uint64_t id)
{
        struct map_link *link = map_first(&e->sessions, id);

        return link ? container_of(link, struct session, link) : NULL;
}

struct holder session_holder(const struct session *s)
{
        struct holder holder = { .session = s->id, .pid = s->pid, .uid = s->uid };

        memcpy(holder.name, s->name, sizeof(s->name));
        return holder;
}

void session_end(struct engine *e, struct session *s)
{
        struct lock *l;

        while (!TAILQ_EMPTY(&s->calls))
                call_cancel(e, TAILQ_FIRST(&s->calls), ERROR_CANCELLED);
        e->counters.disconnect_releases += s->held_n;
        while ((l = TAILQ_FIRST(&s->held)))
                lock_end(e, l);
        while ((l = TAILQ_FIRST(&s->lapsed)))
                lock_end(e, l);
        outgoing_unlink(e, &s->nodes_out);
        outgoing_unlink(e, &s->stopping_out);
        map_unlink(&e->sessions, &s->link);
        TAILQ_REMOVE(&e->sessions_in_order, s, in_order);
        outgoing_link(e, &s->close_out, OUTGOING_CLOSE);
}

struct session *session_free(struct engine *e, struct session *s)
{
        if (!s)
                return NULL;
        assert(TAILQ_EMPTY(&s->calls) && TAILQ_EMPTY(&s->held) && TAILQ_EMPTY(&s->lapsed));
        assert(s->taking_n == 0);
        outgoing_unlink(e, &s->close_out);
        return mem_free(s);
}

void session_search_again(struct session *s)
{
        struct call *c;

        TAILQ_FOREACH (c, &s->calls, entry) {
                c->searched = false;
                c->waits_late = true;
        }
}

void session_link_held(struct session *s, struct lock *l)
{
        TAILQ_INSERT_TAIL(&s->held, l, in_session);
        ++s->held_n;
}

void session_unlink_held(struct session *s, struct lock *l)
{
        TAILQ_REMOVE(&s->held, l, in_session);
        --s->held_n;
}

void session_link_lapsed(struct engine *e, struct session *s, struct lock *l)
{
        struct lock *oldest;

        TAILQ_INSERT_TAIL(&s->lapsed, l, in_session);
        oldest = TAILQ_FIRST(&s->lapsed);
        /* One whose validity has not ended yet still keeps its key from others. */
        if (++s->lapsed_n > e->options.locks_max && oldest->resource->holder != oldest)
                lock_leave(e, oldest);
}

void session_unlink_lapsed(struct session *s, struct lock *l)
{
        TAILQ_REMOVE(&s->lapsed, l, in_session);
        --s->lapsed_n;
}

void session_notify_node(struct engine *e, struct session *s, unsigned node)
{
        if (!(s->events & NOTICE_NODE))
                return;
        s->node_notices |= UINT32_C(1) << node;
        outgoing_link(e, &s->nodes_out, OUTGOING_NODES);
}

void session_notify_stopping(struct engine *e, struct session *s)
{
        if (s->events & NOTICE_STOPPING)
                outgoing_link(e, &s->stopping_out, OUTGOING_STOPPING);
}
