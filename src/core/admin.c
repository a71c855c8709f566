/*
 * drain, kill, break.
 *
 * A lock is broken on the host that holds it, and nowhere else: only there can its holder be told. A key that is held
 * elsewhere is left alone; it ends with its ttl.
 */
#include "redlockd/core/admin.h"

#include "redlockd/core/call.h"
#include "redlockd/core/lock.h"
#include "redlockd/core/session.h"

void admin_close(struct engine *e)
{
        struct session *s;
        struct call *c, *next;

        if (e->draining)
                return;
        e->draining = true;
        TAILQ_FOREACH (s, &e->sessions_in_order, in_order) {
                for (c = TAILQ_FIRST(&s->calls); c; c = next) {
                        next = TAILQ_NEXT(c, entry);
                        if (c->method == METHOD_ADD)
                                call_cancel(e, c, ERROR_STOPPING);
                        else
                                call_wake(e, c);
                }
        }
}

static enum error_name admin_drain(struct engine *e, struct call *c, bool off)
{
        if (off && e->stopping)
                return ERROR_STOPPING;
        if (off)
                e->draining = false;
        else
                admin_close(e);
        c->reply.draining = e->draining;
        return ERROR_NONE;
}

static enum error_name admin_kill(struct engine *e, struct call *c, uint64_t target)
{
        struct session *s = session_find(e, target);

        if (!s || s == c->session)
                return ERROR_INVALID_PARAMS;
        c->holder = session_holder(s);
        session_end(e, s);
        return ERROR_NONE;
}

static enum error_name admin_break(struct engine *e, struct call *c)
{
        struct lock *l = c->claims[0].resource->holder;

        if (!l || l->state != LOCK_HELD) {
                c->items[0].outcome = OUTCOME_TAKEN;
                return ERROR_NOT_HELD;
        }
        c->holder = session_holder(l->session);
        lock_break(e, l);
        return ERROR_NONE;
}

enum error_name admin_do(struct engine *e, struct call *c, const struct request *request)
{
        c->reply.holder = &c->holder;
        if (request->method == METHOD_DRAIN)
                return admin_drain(e, c, request->off);
        if (request->method == METHOD_KILL)
                return admin_kill(e, c, request->target);
        return admin_break(e, c);
}
