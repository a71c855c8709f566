/*
 * Dispatch. A step takes one event through three stages:
 *
 *      1. deadlines that passed before it, in their order: nothing is decided on an answer that came after its deadline
 *      2. the event itself
 *      3. settling: releases that became due are queued, then one call that may go on goes on, and again, until nothing
 *         moves; leases that no call took over are released; renewals that became due are queued
 *
 * Invariants between steps: `ready`, `leases_idle`, `release_due` and `renew_due` are empty; every call has a reply to
 * come and every round a node that owes it an answer, a deadline, or a command in the outbox.
 */
#include "redlockd/core/engine.h"

#include "redlockd/base/mem.h"
#include "redlockd/core/admin.h"
#include "redlockd/core/call.h"
#include "redlockd/core/lease.h"
#include "redlockd/core/lock.h"
#include "redlockd/core/members.h"
#include "redlockd/core/node.h"
#include "redlockd/core/peek.h"
#include "redlockd/core/release.h"
#include "redlockd/core/renew.h"
#include "redlockd/core/resource.h"
#include "redlockd/core/round.h"
#include "redlockd/core/session.h"

#include <assert.h>
#include <errno.h>

/* How long a drained engine waits for nodes that have not confirmed its last releases. */
#define DRAIN_CONFIRM_MS NODE_TIMEOUT_MAX_MS

static void engine_deinit_maps(struct engine *e)
{
        struct map *maps[] = { &e->resources, &e->sessions, &e->rounds, &e->memories };
        size_t i;

        for (i = 0; i < sizeof(maps) / sizeof(maps[0]); ++i)
                map_deinit(maps[i]);
}

int engine_new(struct engine **ret_engine, const struct engine_options *options)
{
        struct engine *e = mem_zalloc(sizeof(*e));

        assert(options->nodes_n >= 1 && options->nodes_n <= NODES_MAX);
        if (!e)
                return -ENOMEM;
        e->options = *options;
        e->members = (UINT32_C(1) << options->nodes_n) - 1;
        options->random(options->random_userdata, &e->seed, sizeof(e->seed));
        TAILQ_INIT(&e->outbox);
        TAILQ_INIT(&e->ready);
        TAILQ_INIT(&e->peeks);
        TAILQ_INIT(&e->sessions_in_order);
        TAILQ_INIT(&e->leases_idle);
        TAILQ_INIT(&e->renew_due);
        TAILQ_INIT(&e->release_due);
        TAILQ_INIT(&e->release_later);
        e->holds = (struct histogram)HISTOGRAM_INIT(histogram_slow_us);
        e->release_retry.kind = DEADLINE_RELEASE;
        e->drain_end.kind = DEADLINE_DRAIN;
        if (map_init(&e->resources) < 0 || map_init(&e->sessions) < 0 || map_init(&e->rounds) < 0 ||
            map_init(&e->memories) < 0 || heap_reserve(&e->deadlines) < 0 || heap_reserve(&e->deadlines) < 0 ||
            node_init_all(e) < 0) {
                engine_deinit_maps(e);
                e->deadlines.reserved = 0;
                heap_deinit(&e->deadlines);
                mem_free(e);
                return -ENOMEM;
        }
        *ret_engine = e;
        return 0;
}

/* What the pop before this one lent out. */
static void engine_forget_popped(struct engine *e)
{
        struct lock *l = e->popped_lock;

        e->popped_call = call_free(e, e->popped_call);
        e->popped_lock = NULL;
        if (l)
                lock_unref(e, l);
        e->popped_resource = resource_unref(e, e->popped_resource);
}

/* Keys that stay taken after their sessions: their ttl ends them. */
static void engine_end_delays(struct engine *e)
{
        struct map_link *link, *next;

        for (link = map_any(&e->resources); link; link = next) {
                struct resource *r = resource_ref_known(container_of(link, struct resource, link));

                if (r->holder)
                        lock_leave(e, r->holder);
                lease_flush_idle(e);
                next = map_after(&e->resources, link);
                resource_unref(e, r);
        }
}

struct engine *engine_free(struct engine *e)
{
        struct map_link *link;
        struct lease *l;

        if (!e)
                return NULL;
        engine_forget_popped(e);
        assert(e->sessions.n == 0 && e->rounds.n == 0 && e->waiters_n == 0);
        engine_end_delays(e);
        while ((l = TAILQ_FIRST(&e->release_due)))
                lease_forget(e, l);
        while ((l = TAILQ_FIRST(&e->release_later)))
                lease_forget(e, l);
        while ((link = map_any(&e->resources)))
                resource_forget(e, container_of(link, struct resource, link));
        outgoing_unlink(e, &e->drained_out);
        node_deinit_all(e);
        assert(TAILQ_EMPTY(&e->outbox));
        heap_clear(&e->deadlines, &e->release_retry);
        heap_clear(&e->deadlines, &e->drain_end);
        heap_release(&e->deadlines);
        heap_release(&e->deadlines);
        heap_deinit(&e->deadlines);
        engine_deinit_maps(e);
        return mem_free(e);
}

void outgoing_link(struct engine *e, struct outgoing *out, enum outgoing_kind kind)
{
        if (out->linked)
                return;
        out->kind = kind;
        out->linked = true;
        TAILQ_INSERT_TAIL(&e->outbox, out, entry);
}

void outgoing_unlink(struct engine *e, struct outgoing *out)
{
        if (!out->linked)
                return;
        out->linked = false;
        TAILQ_REMOVE(&e->outbox, out, entry);
}

static void engine_on_deadline(struct engine *e, struct deadline *d)
{
        switch ((enum deadline_kind)d->kind) {
        case DEADLINE_CALL:
                call_on_deadline(e, container_of(d, struct call, timer));
                break;
        case DEADLINE_ROUND:
                round_on_deadline(e, container_of(d, struct round, timeout));
                break;
        case DEADLINE_LOCK:
                lock_on_deadline(e, container_of(d, struct lock, end));
                break;
        case DEADLINE_RENEWAL:
                renew_on_deadline(e, container_of(d, struct renewal, at));
                break;
        case DEADLINE_TURN:
                turn_on_deadline(e, container_of(d, struct contest, tenure.end)->resource);
                break;
        case DEADLINE_RELEASE:
                release_on_deadline(e);
                break;
        case DEADLINE_DRAIN:
                e->drain_overdue = true;
                break;
        case DEADLINE_NODE:
                node_on_deadline(e, container_of(d, struct node, quarantine));
                break;
        }
}

static void engine_pass_deadlines(struct engine *e)
{
        struct deadline *d;

        while ((d = heap_first(&e->deadlines)) && d->at_ns <= e->now_ns) {
                heap_clear(&e->deadlines, d);
                engine_on_deadline(e, d);
        }
}

/* Who waits for a lock is answered STOPPING; who holds one may use, extend and free it. */
static void engine_on_drain(struct engine *e)
{
        struct session *s;

        if (e->stopping)
                return;
        e->stopping = true;
        TAILQ_FOREACH (s, &e->sessions_in_order, in_order)
                session_notify_stopping(e, s);
        admin_close(e);
}

static void engine_on_answer(struct engine *e, const struct event *ev)
{
        struct round *r = round_find(e, ev->answer.round);
        struct peek *p = r ? NULL : peek_find(e, ev->answer.round);

        if (r)
                round_on_answer(e, r, ev->answer.node, &ev->answer.answer);
        else if (p)
                peek_on_answer(e, p, ev->answer.node, &ev->answer.answer);
}

static void engine_on_event(struct engine *e, const struct event *ev)
{
        struct session *s;

        switch (ev->kind) {
        case EVENT_SESSION_OPENED:
                if (session_new(e, ev) == 0)
                        break;
                e->turned_away = ev->opened.session;
                outgoing_link(e, &e->turn_away_out, OUTGOING_TURN_AWAY);
                break;
        case EVENT_SESSION_GONE:
                if ((s = session_find(e, ev->gone.session)))
                        session_end(e, s);
                break;
        case EVENT_REQUEST:
                call_admit(e, &ev->request);
                break;
        case EVENT_NODE:
                node_on_event(e, ev);
                break;
        case EVENT_ANSWER:
                engine_on_answer(e, ev);
                break;
        case EVENT_HEARD:
                listen_on_heard(e, ev);
                break;
        case EVENT_TICK:
                break;
        case EVENT_CONFIGURE:
                members_on_configure(e, ev);
                break;
        case EVENT_DRAIN:
                engine_on_drain(e);
                break;
        }
}

static void engine_settle(struct engine *e)
{
        struct call *c;

        for (;;) {
                release_flush(e);
                if ((c = TAILQ_FIRST(&e->ready)))
                        call_advance(e, c);
                else if (!TAILQ_EMPTY(&e->leases_idle))
                        lease_flush_idle(e);
                else
                        break;
        }
        renew_flush(e);
}

static void engine_review_drain(struct engine *e)
{
        if (!e->stopping || e->drained || e->held_n > 0 || e->calls_n > 0)
                return;
        if (e->rounds.n > 0 && !e->drain_overdue) {
                if (!deadline_armed(&e->drain_end))
                        heap_set(&e->deadlines, &e->drain_end, e->now_ns + DRAIN_CONFIRM_MS * NS_PER_MS);
                return;
        }
        e->drained = true;
        heap_clear(&e->deadlines, &e->drain_end);
        outgoing_link(e, &e->drained_out, OUTGOING_DRAINED);
}

void engine_step(struct engine *e, const struct event *ev)
{
        assert(ev->now_ns >= e->now_ns);
        engine_forget_popped(e);
        e->now_ns = ev->now_ns;
        e->unix_ms = ev->unix_ms;
        engine_pass_deadlines(e);
        engine_on_event(e, ev);
        engine_settle(e);
        engine_review_drain(e);
}

static void engine_pop_lock_notice(struct engine *e, struct lock *l, enum notice_kind kind, struct effect *ret_effect)
{
        e->popped_lock = l;
        token_print(&l->value, e->values[0]);
        ret_effect->kind = EFFECT_NOTICE;
        ret_effect->notice = (struct notice){ .session = l->session->id,
                                              .kind = kind,
                                              .wanted = kind != NOTICE_LOST || l->lost_wanted,
                                              .key = resource_key(l->resource),
                                              .value = e->values[0],
                                              .valid_until_ns = l->valid_until_ns,
                                              .lost = l->lost };
}

/* One effect of an entry of the outbox. True if the entry has more. */
static bool engine_pop_from(struct engine *e, struct outgoing *out, struct effect *ret_effect)
{
        struct session *s;
        struct round *r;
        struct call *c;
        struct peek *p;

        switch (out->kind) {
        case OUTGOING_ROUND:
                r = container_of(out, struct round, out);
                ret_effect->kind = EFFECT_COMMAND;
                round_pop(e, r, &ret_effect->command);
                return r->to_send != 0;
        case OUTGOING_PEEK:
                p = container_of(out, struct peek, out);
                ret_effect->kind = EFFECT_COMMAND;
                peek_pop(e, p, &ret_effect->command);
                return p->to_send != 0;
        case OUTGOING_CALL:
                c = container_of(out, struct call, out);
                e->popped_call = c;
                *ret_effect = (struct effect){ .kind = EFFECT_REPLY, .reply = c->reply };
                return false;
        case OUTGOING_LOST:
                engine_pop_lock_notice(e, container_of(out, struct lock, lost_out), NOTICE_LOST, ret_effect);
                return false;
        case OUTGOING_EXPIRING:
                engine_pop_lock_notice(e, container_of(out, struct lock, terms[0].expiring_out), NOTICE_EXPIRING,
                                       ret_effect);
                return false;
        case OUTGOING_STOPPING:
                s = container_of(out, struct session, stopping_out);
                *ret_effect = (struct effect){ .kind = EFFECT_NOTICE,
                                               .notice = { .session = s->id, .kind = NOTICE_STOPPING } };
                return false;
        case OUTGOING_NODES:
                s = container_of(out, struct session, nodes_out);
                *ret_effect = (struct effect){ .kind = EFFECT_NOTICE,
                                               .notice = { .session = s->id,
                                                           .kind = NOTICE_NODE,
                                                           .node = (unsigned)__builtin_ctz(s->node_notices) } };
                s->node_notices &= s->node_notices - 1;
                return s->node_notices != 0;
        case OUTGOING_CLOSE:
                s = container_of(out, struct session, close_out);
                *ret_effect = (struct effect){ .kind = EFFECT_CLOSE, .close = { .session = s->id } };
                out->linked = false;
                TAILQ_REMOVE(&e->outbox, out, entry);
                session_free(e, s);
                return true;
        case OUTGOING_REFUSAL:
                *ret_effect = (struct effect){ .kind = EFFECT_REPLY, .reply = e->refusal };
                return false;
        case OUTGOING_TURN_AWAY:
                *ret_effect = (struct effect){ .kind = EFFECT_CLOSE, .close = { .session = e->turned_away } };
                return false;
        case OUTGOING_LISTEN:
                listen_pop(e, container_of(out, struct contest, ears.out), ret_effect);
                return false;
        case OUTGOING_DRAINED:
                *ret_effect = (struct effect){ .kind = EFFECT_DRAINED };
                return false;
        case OUTGOING_NODE:
                ret_effect->kind = EFFECT_NODE;
                node_pop(e, container_of(out, struct node, state_out), ret_effect);
                return false;
        case OUTGOING_CERTIFY:
                ret_effect->kind = EFFECT_CERTIFY;
                node_pop(e, container_of(out, struct node, certify_out), ret_effect);
                return false;
        }
        return false;
}

bool engine_pop(struct engine *e, struct effect *ret_effect)
{
        struct outgoing *out;

        engine_forget_popped(e);
        out = TAILQ_FIRST(&e->outbox);
        if (!out)
                return false;
        if (!engine_pop_from(e, out, ret_effect))
                outgoing_unlink(e, out);
        return true;
}

uint64_t engine_deadline_ns(const struct engine *e)
{
        const struct deadline *d = heap_first(&e->deadlines);

        return d ? d->at_ns : UINT64_MAX;
}
