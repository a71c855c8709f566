/*
 * Who waits for whom. A session waits, for each key that one of its calls asks for and that it does not hold, for the
 * session of the claim before its own in the key's queue; and the first in the queue for the session that holds the
 * key. Through the claim before it, it waits for all that are before that one: one edge a claim is enough. But a claim
 * of a call whose turn has not come, or of the holder itself, waits for nobody, though others wait for it: it is looked
 * past.
 *
 * An edge comes into being when a call has its turn, or when its session's own lock lapses under it, and never points
 * to anybody who came later; so a cycle is closed by a call, and found when that call is about to wait. It is searched
 * breadth first from that call, so what is found is the shortest; each session is visited once.
 *
 * A session for which nobody can be waiting closes no cycle: it holds nothing, and has no call but this one, which
 * waits since it came. That is the common case, and costs nothing.
 */
#include "redlockd/core/deadlock.h"

#include "redlockd/base/mem.h"
#include "redlockd/core/call.h"
#include "redlockd/core/lock.h"
#include "redlockd/core/session.h"

#include <errno.h>

/* Visits a session, unless it was visited before. True if it is the first of all. */
static bool search_visit(struct engine *e, struct session *t, const struct claim *claim, const struct session *first,
                         struct session ***ret_last)
{
        if (t == claim->call->session || t->search == e->search)
                return false;
        t->search = e->search;
        t->search_from = claim->call->session;
        t->search_key = claim->resource;
        t->search_next = NULL;
        **ret_last = t;
        *ret_last = &t->search_next;
        return t == first;
}

/*
 * Its session holds the key, or believes so until the end of a lapsed lock, after which is looked again. But who was
 * told that it is lost asks for it anew, and that end may be far.
 */
static bool claim_is_held(const struct claim *claim)
{
        const struct lock *l = claim->resource->holder;

        return l && l->session == claim->call->session && (l->state == LOCK_HELD || !l->told);
}

/* It stands in the queue for the key, and its session does not hold it. */
static bool claim_waits(const struct claim *claim)
{
        return claim->queued && claim->call->state != CALL_ORDERED && !claim_is_held(claim);
}

/* Visits those whom a claim waits for: one that is before it and waits itself stands for all that are before that. */
static bool search_claim(struct engine *e, const struct claim *claim, const struct session *first,
                         struct session ***ret_last)
{
        const struct lock *holder = claim->resource->holder;
        const struct claim *before = claim;

        if (!claim_waits(claim))
                return false;
        while ((before = claim_before(before))) {
                if (search_visit(e, before->call->session, claim, first, ret_last))
                        return true;
                if (before->call->session != claim->call->session && claim_waits(before))
                        return false;
        }
        return holder && holder->state == LOCK_HELD && search_visit(e, holder->session, claim, first, ret_last);
}

static bool search_call(struct engine *e, const struct call *c, const struct session *first, struct session ***ret_last)
{
        size_t i;

        for (i = 0; i < c->claims_n; ++i)
                if (search_claim(e, &c->claims[i], first, ret_last))
                        return true;
        return false;
}

static bool search_session(struct engine *e, const struct session *s, const struct session *first,
                           struct session ***ret_last)
{
        struct call *c;

        TAILQ_FOREACH (c, &s->calls, entry) {
                if (search_call(e, c, first, ret_last))
                        return true;
        }
        return false;
}

static void step_set(struct cycle_step *step, const struct session *s, const struct resource *key, char **at)
{
        step->session = session_holder(s);
        memcpy(*at, key->key, key->key_len);
        step->key = (struct text){ *at, key->key_len };
        *at += key->key_len;
}

/* Tells the cycle that leads back to `first`: its steps and their keys, in one block. */
static int search_tell(struct call *c, const struct session *first)
{
        const struct session *s = first;
        size_t n = 0, keys_len = 0, i;
        struct cycle_step *steps;
        char *at;

        do {
                ++n;
                keys_len += s->search_key->key_len;
                s = s->search_from;
        } while (s != first);
        steps = mem_zalloc(n * sizeof(*steps) + keys_len);
        if (!steps)
                return -ENOMEM;
        at = (char *)&steps[n];
        /* the search remembers who led to whom: the last step is met first */
        for (i = n; i-- > 0; s = s->search_from)
                step_set(&steps[i], s->search_from, s->search_key, &at);
        c->cycle = steps;
        c->reply.cycle = steps;
        c->reply.cycle_n = n < CYCLE_SHOWN_MAX ? n : CYCLE_SHOWN_MAX;
        return DEADLOCK_FOUND;
}

int deadlock_search(struct engine *e, struct call *c)
{
        struct session *first = c->session, *next = NULL, **last = &next, *s;

        if (first->held_n == 0 && !c->waits_late && TAILQ_FIRST(&first->calls) == TAILQ_LAST(&first->calls, call_list))
                return 0;
        ++e->search;
        if (search_call(e, c, first, &last))
                return search_tell(c, first);
        for (s = next; s; s = s->search_next)
                if (search_session(e, s, first, &last))
                        return search_tell(c, first);
        return 0;
}
