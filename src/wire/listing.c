/*
 * The long answers, item by item straight into the output: room is made for the longest that an item can be.
 *
 *      {"jsonrpc":"2.0","id":ID,"result":{"locks":[   listing_begin()
 *      {...},{...},{...}                              listing_print(), again and again
 *      ]}} LF                                         the last one
 */
#include "redlockd/wire/listing.h"

#include "redlockd/base/mem.h"
#include "redlockd/wire/put.h"
#include "redlockd/wire/views.h"

#include <assert.h>
#include <errno.h>

#define ITEM_LEN_MAX 384 /* of an item, beside its strings: names, punctuation, and numbers at their longest */
#define LAST         "]}}\n"

/* One piece on its way; the first failure stays. */
struct listing_piece {
        struct listing *l;
        struct buffer *out;
        const struct reply_context *context;
        int r;
};

bool listing_is_for(const struct reply *reply)
{
        return reply->error == ERROR_NONE &&
               (reply->method == METHOD_LIST || reply->method == METHOD_SUBSCRIBE || reply->method == METHOD_SESSIONS ||
                reply->method == METHOD_LOCKS || reply->method == METHOD_WAITERS);
}

int listing_init(struct listing *l, const struct reply *reply)
{
        char *key = NULL;
        size_t n = 0;

        if (reply->items_n > 0) {
                n = reply->items[0].key.len;
                key = mem_zalloc(n + 1);
                if (!key)
                        return -ENOMEM;
                memcpy(key, reply->items[0].key.data, n);
        }
        *l = (struct listing){ .method = reply->method, .session = reply->session, .key = { key, n } };
        return 0;
}

void listing_deinit(struct listing *l)
{
        mem_free((char *)(uintptr_t)l->key.data);
        *l = (struct listing){ 0 };
}

static int listing_append(struct buffer *out, struct text text)
{
        return buffer_append(out, text.data, text.len);
}

int listing_begin(struct listing *l, struct buffer *out, const char *id)
{
        const char *name = l->method == METHOD_SESSIONS  ? "sessions"
                           : l->method == METHOD_WAITERS ? "waiters"
                                                         : "locks";
        int r;

        r = listing_append(out, text_of("{\"jsonrpc\":\"2.0\",\"id\":"));
        if (r == 0)
                r = listing_append(out, text_of(id));
        if (r == 0)
                r = listing_append(out, text_of(",\"result\":{\""));
        if (r == 0)
                r = listing_append(out, text_of(name));
        return r == 0 ? listing_append(out, text_of("\":[")) : r;
}

/* Where to write the next item, of so many bytes at most; NULL: nowhere. */
static char *piece_room(struct listing_piece *p, size_t n)
{
        char *to;

        if (p->r < 0)
                return NULL;
        if (n + 1 > p->out->max - buffer_len(p->out)) {
                p->r = -ENOBUFS;
                return NULL;
        }
        to = buffer_room(p->out, n + 1);
        if (!to) {
                p->r = -ENOMEM;
                return NULL;
        }
        if (p->l->any)
                *to++ = ',';
        return to;
}

/* There may be another item in this piece. */
static bool piece_goes_on(struct listing_piece *p)
{
        return !p->l->enough || !p->l->enough(p->l->userdata);
}

static bool piece_commit(struct listing_piece *p, const char *end)
{
        buffer_commit(p->out, (size_t)(end - buffer_data(p->out)) - buffer_len(p->out));
        p->l->any = true;
        return piece_goes_on(p);
}

static bool piece_shows(const struct listing_piece *p, struct text key)
{
        return !p->context->shows || p->context->shows(p->context->viewer, key);
}

static uint64_t piece_ms_since(const struct listing_piece *p, uint64_t then_ns)
{
        return views_ms_since(then_ns, p->context->now_ns);
}

static bool put_session(struct listing_piece *p, const struct inspect_session *session)
{
        char *to = piece_room(p, ITEM_LEN_MAX + PUT_STRING_MAX(strlen(session->name)));

        if (!to)
                return false;
        to = put_number(PUT(to, "{\"session\":"), session->session);
        to = put_number(PUT(to, ",\"pid\":"), (uint64_t)session->pid);
        to = put_number(PUT(to, ",\"uid\":"), session->uid);
        to = put_number(PUT(to, ",\"gid\":"), session->gid);
        to = put_string(PUT(to, ",\"name\":"), text_of(session->name));
        to = put_number(PUT(to, ",\"connected\":"), views_unix_ms(p->context, session->connected_ns));
        to = put_number(PUT(to, ",\"locks\":"), session->locks_n);
        to = put_number(PUT(to, ",\"waiting\":"), session->waiting_n);
        return piece_commit(p, PUT(to, "}"));
}

/* A lock of the session's own, with its value. */
static bool put_own_cb(void *userdata, const struct inspect_lock *lock)
{
        struct listing_piece *p = userdata;
        uint64_t validity_ms = views_ms_until(lock->valid_until_ns, p->context->now_ns);
        char *to = piece_room(p, ITEM_LEN_MAX + PUT_STRING_MAX(lock->key.len) + PUT_STRING_MAX(strlen(lock->value)));

        if (!to)
                return false;
        to = put_string(PUT(to, "{\"key\":"), lock->key);
        to = put_string(PUT(to, ",\"value\":"), text_of(lock->value));
        to = put_number(PUT(to, ",\"fence\":"), lock->fence);
        to = put_number(PUT(to, ",\"state\":\"held\",\"validity\":"), validity_ms);
        to = put_number(PUT(to, ",\"expiration\":"), views_unix_ms(p->context, lock->valid_until_ns));
        return piece_commit(p, PUT(to, "}"));
}

/* NULL for a node that has been removed. */
static const char *name_of(const struct reply_context *context, uint32_t nodes)
{
        return context->nodes[__builtin_ctz(nodes)].name;
}

static size_t names_len_max(const struct reply_context *context, uint32_t nodes)
{
        size_t n = 0;

        for (; nodes; nodes &= nodes - 1)
                if (name_of(context, nodes))
                        n += PUT_STRING_MAX(strlen(name_of(context, nodes))) + 1;
        return n;
}

/* The names of the nodes in a mask. */
static char *put_names(char *to, const struct reply_context *context, uint32_t nodes)
{
        bool any = false;

        for (; nodes; nodes &= nodes - 1) {
                if (!name_of(context, nodes))
                        continue;
                to = any ? PUT(to, ",") : to;
                to = put_string(to, text_of(name_of(context, nodes)));
                any = true;
        }
        return to;
}

static bool put_lock_cb(void *userdata, const struct inspect_lock *lock)
{
        struct listing_piece *p = userdata;
        uint64_t validity_ms = views_ms_until(lock->valid_until_ns, p->context->now_ns);
        char *to;

        if (!piece_shows(p, lock->key))
                return piece_goes_on(p);
        to = piece_room(p, ITEM_LEN_MAX + PUT_STRING_MAX(lock->key.len) + names_len_max(p->context, lock->nodes));
        if (!to)
                return false;
        to = put_string(PUT(to, "{\"key\":"), lock->key);
        to = put_number(PUT(to, ",\"session\":"), lock->session);
        to = put_number(PUT(to, ",\"pid\":"), (uint64_t)lock->pid);
        to = put_number(PUT(to, ",\"fence\":"), lock->fence);
        to = put_number(PUT(to, ",\"ttl\":"), lock->ttl_ms);
        to = put_number(PUT(to, ",\"validity\":"), validity_ms);
        to = put_number(PUT(to, ",\"heldFor\":"), piece_ms_since(p, lock->since_ns));
        to = put_number(PUT(to, ",\"waiters\":"), lock->waiters_n);
        to = put_names(PUT(to, ",\"state\":\"held\",\"nodes\":["), p->context, lock->nodes);
        return piece_commit(p, PUT(to, "]}"));
}

static bool put_waiter_cb(void *userdata, const struct inspect_waiter *waiter)
{
        struct listing_piece *p = userdata;
        char *to;

        if (!piece_shows(p, waiter->key))
                return piece_goes_on(p);
        to = piece_room(p, ITEM_LEN_MAX + PUT_STRING_MAX(waiter->key.len));
        if (!to)
                return false;
        to = put_string(PUT(to, "{\"key\":"), waiter->key);
        to = put_number(PUT(to, ",\"session\":"), waiter->session);
        to = put_number(PUT(to, ",\"pid\":"), (uint64_t)waiter->pid);
        to = put_number(PUT(to, ",\"position\":"), waiter->position);
        to = put_number(PUT(to, ",\"waited\":"), piece_ms_since(p, waiter->since_ns));
        return piece_commit(p, PUT(to, "}"));
}

static bool print_sessions(struct listing_piece *p, unsigned steps)
{
        struct inspect_cursor *cursor = &p->l->cursor;
        struct inspect_session session;
        bool more = true;

        for (; steps > 0 && more; --steps) {
                if (!inspect_next_session(p->context->engine, cursor->session, &session))
                        return false;
                cursor->session = session.session;
                more = put_session(p, &session);
        }
        return true;
}

static bool print_items(struct listing_piece *p, unsigned steps)
{
        const struct reply_context *c = p->context;
        struct listing *l = p->l;

        if (l->method == METHOD_SESSIONS)
                return print_sessions(p, steps);
        if (l->method == METHOD_LOCKS)
                return inspect_locks(c->engine, c->now_ns, 0, l->key, steps, &l->cursor, put_lock_cb, p);
        if (l->method == METHOD_WAITERS)
                return inspect_waiters(c->engine, l->key, steps, &l->cursor, put_waiter_cb, p);
        assert(l->session != 0); /* 0 would show everybody's values */
        return inspect_locks(c->engine, c->now_ns, l->session, l->key, steps, &l->cursor, put_own_cb, p);
}

int listing_print(struct listing *l, struct buffer *out, const struct reply_context *context, unsigned steps)
{
        struct listing_piece p = { .l = l, .out = out, .context = context };
        bool more = print_items(&p, steps);

        if (p.r == 0 && !more)
                p.r = listing_append(out, text_of(LAST));
        return p.r < 0 ? p.r : more;
}
