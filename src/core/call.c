/*
 * Admission, order and reply of every request.
 *
 *      admitted --> ORDERED --> WAITING <--> TRYING --> DONE         add, extend
 *              \--> ORDERED --> GIVING ---------------> DONE         free, reset
 *              \--------------------------------------> DONE         everything else
 *
 * Admission allocates the call with its claims and the room for its reply; from then on it has exactly one reply to
 * come. A call acts only in call_advance(), when the event that concerned it has been handled completely: so releases
 * come before the acquires that they make room for, and nothing re-enters.
 */
#include "redlockd/core/call.h"

#include "redlockd/base/mem.h"
#include "redlockd/core/admin.h"
#include "redlockd/core/lock.h"
#include "redlockd/core/node.h"
#include "redlockd/core/peek.h"
#include "redlockd/core/renew.h"
#include "redlockd/core/round.h"
#include "redlockd/core/session.h"
#include "redlockd/core/take.h"

#include <assert.h>
#include <errno.h>

static const uint8_t call_moves[] = {
        [CALL_ORDERED] = 1 << CALL_WAITING | 1 << CALL_GIVING | 1 << CALL_DONE,
        [CALL_WAITING] = 1 << CALL_TRYING | 1 << CALL_DONE,
        [CALL_TRYING] = 1 << CALL_WAITING | 1 << CALL_DONE,
        [CALL_GIVING] = 1 << CALL_DONE,
        [CALL_DONE] = 0,
};

void call_move(struct call *c, enum call_state state)
{
        assert(call_moves[c->state] & 1 << state);
        c->state = state;
}

static bool call_takes(const struct call *c)
{
        return c->method == METHOD_ADD || c->method == METHOD_EXTEND;
}

/* The claim of the session's latest unfinished call on this key, or NULL. */
static struct claim *claim_find_last(const struct session *s, const struct resource *r)
{
        struct call *c;
        size_t i;

        TAILQ_FOREACH_REVERSE(c, &s->calls, call_list, entry)
        {
                for (i = 0; i < c->claims_n; ++i)
                        if (c->claims[i].resource == r && !c->claims[i].settled)
                                return &c->claims[i];
        }
        return NULL;
}

static void call_claim(struct call *c, struct resource *r)
{
        c->items[c->claims_n].key = resource_key(r);
        c->claims[c->claims_n] = (struct claim){ .call = c, .resource = r };
        ++c->claims_n;
}

static bool call_names(const struct call *c, const struct resource *r)
{
        size_t i;

        for (i = 0; i < c->claims_n; ++i)
                if (c->claims[i].resource == r)
                        return true;
        return false;
}

static int call_claim_keys(struct engine *e, struct call *c, const struct request *request)
{
        struct resource *r;
        unsigned i;

        for (i = 0; i < request->keys_n; ++i) {
                if (resource_ref(e, request->keys[i], &r) < 0)
                        return -ENOMEM;
                if (call_names(c, r))
                        resource_unref(e, r); /* duplicate keys collapse */
                else
                        call_claim(c, r);
        }
        return 0;
}

/* free without keys: all of the map, and what earlier requests of the session may yet put into it. */
static size_t session_count_all(const struct session *s)
{
        size_t n = s->held_n + s->lapsed_n;
        struct call *c;

        TAILQ_FOREACH (c, &s->calls, entry)
                n += c->claims_n;
        return n;
}

static void call_claim_all(struct call *c)
{
        const struct session *s = c->session;
        struct call *earlier;
        struct lock *l;
        size_t i;

        TAILQ_FOREACH (l, &s->held, in_session) {
                call_claim(c, resource_ref_known(l->resource));
        }
        TAILQ_FOREACH (l, &s->lapsed, in_session) {
                call_claim(c, resource_ref_known(l->resource));
        }
        TAILQ_FOREACH (earlier, &s->calls, entry) {
                for (i = 0; i < earlier->claims_n; ++i)
                        if (!earlier->claims[i].settled && !call_names(c, earlier->claims[i].resource))
                                call_claim(c, resource_ref_known(earlier->claims[i].resource));
        }
}

/* Stands in line: behind the session's earlier claims on the same keys, and in the keys' queues. */
static void call_link(struct engine *e, struct call *c)
{
        struct session *s = c->session;
        size_t i;

        for (i = 0; i < c->claims_n; ++i) {
                struct claim *claim = &c->claims[i], *last = claim_find_last(s, claim->resource);

                if (last) {
                        claim->earlier = last;
                        last->later = claim;
                        ++c->behind_n;
                        c->waits_late = true;
                }
                if (call_takes(c))
                        resource_enqueue(claim->resource, claim);
        }
        TAILQ_INSERT_TAIL(&s->calls, c, entry);
        ++e->calls_n;
        e->waiters_n += call_takes(c);
}

static int call_new(struct engine *e, struct session *s, const struct request *request, struct call **ret_call)
{
        bool all = (request->method == METHOD_FREE || request->method == METHOD_RESET) && request->keys_n == 0;
        size_t claims_n = all ? session_count_all(s) : request->keys_n;
        struct call *c;

        c = mem_zalloc(sizeof(*c) + claims_n * (sizeof(struct claim) + sizeof(struct reply_item)));
        if (!c)
                return -ENOMEM;
        if (heap_reserve(&e->deadlines) < 0) {
                mem_free(c);
                return -ENOMEM;
        }
        c->items = (struct reply_item *)&c->claims[claims_n];
        c->id = request->id;
        c->session = s;
        c->session_id = s->id;
        c->method = request->method;
        c->arrived_ns = e->now_ns;
        c->timer.kind = DEADLINE_CALL;
        c->ttl_ms = request->ttl_ms;
        c->retry_count = request->retry_count;
        c->retry_delay_ms = request->retry_delay_ms;
        c->retry_jitter_ms = request->retry_jitter_ms;
        c->wait_ms = request->wait_ms;
        c->strict = request->strict;
        c->auto_extend = request->auto_extend;
        c->max_hold_ms = request->max_hold_ms;
        c->lock_delay_ms = request->lock_delay_ms;
        if (all) {
                call_claim_all(c);
        } else if (call_claim_keys(e, c, request) < 0) {
                call_free(e, c);
                return -ENOMEM;
        }
        *ret_call = c;
        return 0;
}

struct call *call_free(struct engine *e, struct call *c)
{
        size_t i;

        if (!c)
                return NULL;
        outgoing_unlink(e, &c->out);
        heap_clear(&e->deadlines, &c->timer);
        heap_release(&e->deadlines);
        peek_free(e, c->peek);
        for (i = 0; i < c->claims_n; ++i)
                resource_unref(e, c->claims[i].resource);
        mem_free(c->cycle);
        return mem_free(c);
}

/* Answers a request that was not admitted; one at a time, since the engine is drained before it is given the next. */
static void call_refuse(struct engine *e, const struct request *request, enum error_name error)
{
        assert(!e->refusal_out.linked);
        e->refusal = (struct reply){
                .session = request->session, .request = request->id, .method = request->method, .error = error
        };
        outgoing_link(e, &e->refusal_out, OUTGOING_REFUSAL);
}

static bool session_cancel(struct engine *e, struct session *s, uint64_t id)
{
        struct call *c;

        TAILQ_FOREACH (c, &s->calls, entry) {
                if (c->id != id || !call_takes(c))
                        continue;
                call_cancel(e, c, ERROR_CANCELLED);
                return true;
        }
        return false;
}

static void call_do_at_once(struct engine *e, struct session *s, struct call *c, const struct request *request)
{
        enum error_name error = ERROR_NONE;

        switch (request->method) {
        case METHOD_DRAIN:
        case METHOD_KILL:
        case METHOD_BREAK:
                error = admin_do(e, c, request);
                break;
        case METHOD_CANCEL:
                c->reply.cancelled = session_cancel(e, s, request->cancel_id);
                break;
        case METHOD_SUBSCRIBE:
                s->events = request->events;
                break;
        case METHOD_HELLO:
                if (request->name.data) {
                        memcpy(s->name, request->name.data, request->name.len);
                        s->name[request->name.len] = '\0';
                }
                break;
        case METHOD_CERTIFY:
                c->reply.node = request->node;
                c->reply.certified = node_vouch(e, request->node);
                break;
        default:
                break;
        }
        call_link(e, c);
        call_finish(e, c, error);
}

/* `why` stands in no line, and names its key by itself. */
static void call_admit_why(struct engine *e, struct session *s, const struct request *request)
{
        struct request alone = *request;
        struct call *c;

        alone.keys_n = 0;
        if (call_new(e, s, &alone, &c) < 0) {
                call_refuse(e, request, ERROR_INTERNAL);
                return;
        }
        call_link(e, c);
        if (peek_begin(e, c, request->keys[0]) < 0)
                call_finish(e, c, ERROR_INTERNAL);
}

/* A key that it may have to wait for has as many waiters as it may have. Who holds the key does not wait for it. */
static bool call_finds_full(const struct engine *e, const struct call *c)
{
        const struct resource *r;
        size_t i;

        for (i = 0; i < c->claims_n && call_takes(c) && c->retry_count != 0; ++i) {
                r = c->claims[i].resource;
                if (resource_queue_n(r) >= e->options.waiters_max && !(r->holder && r->holder->session == c->session))
                        return true;
        }
        return false;
}

static bool call_wants_new_locks(const struct engine *e, const struct session *s, const struct request *request)
{
        unsigned i;

        for (i = 0; i < request->keys_n; ++i) {
                const struct resource *r = resource_find(e, request->keys[i]);
                const struct lock *l = r ? lock_find(e, s, r) : NULL;

                if (!l || l->state != LOCK_HELD)
                        return true;
        }
        return false;
}

void call_admit(struct engine *e, const struct request *request)
{
        bool takes = request->method == METHOD_ADD || request->method == METHOD_EXTEND;
        bool gives = request->method == METHOD_FREE || request->method == METHOD_RESET;
        struct session *s = session_find(e, request->session);
        struct call *c;

        if (!s)
                return; /* it ended, and its requests with it */
        ++e->counters.requests;
        if (request->method == METHOD_ADD && e->draining && call_wants_new_locks(e, s, request)) {
                call_refuse(e, request, ERROR_STOPPING);
        } else if (request->method == METHOD_WHY) {
                call_admit_why(e, s, request);
        } else if (call_new(e, s, request, &c) < 0) {
                call_refuse(e, request, ERROR_INTERNAL);
        } else if (call_finds_full(e, c)) {
                call_free(e, c);
                call_refuse(e, request, ERROR_LIMIT);
                e->refusal.limit = "maxWaitersPerKey";
                e->refusal.limit_value = e->options.waiters_max;
        } else if (!takes && !gives) {
                call_do_at_once(e, s, c, request);
        } else {
                call_link(e, c);
                if (gives || c->behind_n == 0)
                        call_set_ready(e, c);
        }
}

void call_set_ready(struct engine *e, struct call *c)
{
        if (c->ready)
                return;
        c->ready = true;
        TAILQ_INSERT_TAIL(&e->ready, c, ready_entry);
}

static void call_unset_ready(struct engine *e, struct call *c)
{
        if (!c->ready)
                return;
        c->ready = false;
        TAILQ_REMOVE(&e->ready, c, ready_entry);
}

void call_advance(struct engine *e, struct call *c)
{
        call_unset_ready(e, c);
        if (!call_takes(c)) {
                if (c->state == CALL_ORDERED)
                        call_move(c, CALL_GIVING);
                give_advance(e, c);
                return;
        }
        if (c->state == CALL_ORDERED) {
                call_move(c, CALL_WAITING);
                take_begin(e, c);
        }
        take_try(e, c);
}

void call_wake(struct engine *e, struct call *c)
{
        if (c->state == CALL_WAITING)
                call_set_ready(e, c);
}

void call_wake_at(struct engine *e, struct call *c, uint64_t at_ns)
{
        if (c->state != CALL_WAITING && c->state != CALL_TRYING)
                return;
        if (at_ns < c->wake_ns)
                c->wake_ns = at_ns;
        if (c->state == CALL_WAITING)
                take_arm(e, c);
}

void call_wake_anew(struct engine *e, struct call *c, uint64_t at_ns)
{
        if (c->wake_ns > e->now_ns && (c->state == CALL_WAITING || c->state == CALL_TRYING))
                c->wake_ns = UINT64_MAX;
        call_wake_at(e, c, at_ns);
}

void call_on_deadline(struct engine *e, struct call *c)
{
        if (!c->peek) {
                take_on_deadline(e, c);
                return;
        }
        peek_stop(e, c->peek); /* who has not answered is shown as such */
        call_finish(e, c, ERROR_NONE);
}

void call_on_round(struct engine *e, struct call *c, struct round *r, enum quorum_verdict verdict)
{
        if (call_takes(c))
                take_on_round(e, c, r, verdict);
        else
                give_on_round(e, c, r, verdict);
}

/* Lets the session's next claim on the key take its place. */
static void claim_pass_on(struct engine *e, struct claim *claim)
{
        struct claim *later = claim->later;

        if (claim->earlier)
                claim->earlier->later = later;
        if (later) {
                later->earlier = claim->earlier;
                if (!later->earlier && (--later->call->behind_n == 0 || !call_takes(later->call)))
                        call_set_ready(e, later->call);
        }
        claim->earlier = claim->later = NULL;
}

void claim_leave(struct engine *e, struct claim *claim)
{
        claim_pass_on(e, claim);
        if (!claim->queued)
                return;
        resource_dequeue(claim->resource, claim);
        resource_wake(e, claim->resource);
        renew_review(e, claim->resource);
        listen_review(e, claim->resource);
}

void call_finish(struct engine *e, struct call *c, enum error_name error)
{
        struct session *s = c->session;
        size_t i;

        assert(!c->round);
        call_move(c, CALL_DONE);
        call_unset_ready(e, c);
        heap_clear(&e->deadlines, &c->timer);
        c->session = NULL;
        TAILQ_REMOVE(&s->calls, c, entry);
        --e->calls_n;
        e->waiters_n -= call_takes(c);
        for (i = 0; i < c->claims_n; ++i)
                claim_leave(e, &c->claims[i]);
        c->reply.session = c->session_id;
        c->reply.request = c->id;
        c->reply.method = c->method;
        c->reply.error = error;
        c->reply.items = c->items;
        c->reply.items_n = c->claims_n;
        e->counters.locked += error == ERROR_LOCKED;
        e->counters.no_quorum += error == ERROR_NO_QUORUM;
        e->counters.deadlocks += error == ERROR_DEADLOCK;
        outgoing_link(e, &c->out, OUTGOING_CALL);
}

void call_cancel(struct engine *e, struct call *c, enum error_name error)
{
        size_t i;

        if (c->peek)
                peek_stop(e, c->peek);
        if (call_takes(c)) {
                take_undo(e, c);
        } else {
                /* What was sent to the nodes goes on in the background; what was not is freed by the session's end. */
                for (i = 0; i < c->claims_n; ++i) {
                        struct round *r = c->claims[i].round ? round_find(e, c->claims[i].round) : NULL;

                        if (r)
                                r->call = NULL;
                }
        }
        call_finish(e, c, error);
}
