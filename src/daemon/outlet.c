/*
 * One client's output. A listing of 100,000 locks takes tens of milliseconds and megabytes; here it gets a share of
 * each turn of the loop, and as much of the client's output as the client may leave unread:
 *
 *      outlet_list --> (busy) --> outlet_go_on ... --> the last piece, then what came meanwhile
 *
 * A line goes out whole or not at all: what is said while a listing is being printed, replies to earlier requests and
 * notices, comes after it, in its own order. So a listing is at least as new as all that was said before it. No request
 * is read meanwhile, so that what can come is bounded by the requests in flight and by what the session subscribed to.
 *
 * An answer that grants locks says for how long they are good from the moment when it is written, and that may be
 * seconds later: so it is kept as it came, and printed when its turn has come.
 */
#include "redlockd/daemon/outlet.h"

#include "redlockd/base/mem.h"
#include "redlockd/core/inspect.h"
#include "redlockd/daemon/access.h"
#include "redlockd/daemon/pump.h"
#include "redlockd/net/clock.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define OUTLET_TURN_NS 500000 /* of one turn of the loop, for the listings of all clients together */
#define OUTLET_STEPS   1024   /* between two looks at the clock */
#define OUTLET_ITEMS   16     /* the same, where there is something to show */

/* An answer that waits behind a listing, in one block with all that it points to. */
struct outlet_grant {
        TAILQ_ENTRY(outlet_grant) entry;
        size_t at; /* so much of `behind` comes before it */
        struct reply reply;
        char *id;
        struct reply_item items[];
};

void outlet_init(struct outlet *o, struct daemon *d, struct client *client)
{
        *o = (struct outlet){ .daemon = d, .client = client, .behind = BUFFER_INIT(CLIENT_OUTPUT_MAX) };
        TAILQ_INIT(&o->grants);
}

struct buffer *outlet_lines(struct outlet *o)
{
        return o->busy ? &o->behind : client_output(o->client);
}

static void outlet_drop(struct outlet *o, struct outlet_grant *g)
{
        TAILQ_REMOVE(&o->grants, g, entry);
        mem_free(g);
}

void outlet_stop(struct outlet *o)
{
        if (!o->busy)
                return;
        o->busy = false;
        while (!TAILQ_EMPTY(&o->grants))
                outlet_drop(o, TAILQ_FIRST(&o->grants));
        --o->daemon->listings_n;
        listing_deinit(&o->listing);
        buffer_deinit(&o->behind);
}

static bool outlet_shows(void *userdata, struct text key)
{
        struct outlet *o = userdata;

        return access_allows(o->daemon->config, o->client, key);
}

static bool outlet_has_enough(void *userdata)
{
        struct outlet *o = userdata;

        return client_full(o->client) || (++o->items_n % OUTLET_ITEMS == 0 && clock_now_ns() >= o->turn_end_ns);
}

/* One share of a turn. */
static int outlet_print(struct outlet *o)
{
        struct daemon *d = o->daemon;
        const struct reply_context *context = pump_context(d, clock_now_ns());
        int r;

        o->turn_end_ns = context->now_ns + OUTLET_TURN_NS / d->listings_n;
        o->listing.enough = outlet_has_enough;
        o->listing.userdata = o;
        d->context.viewer = o;
        d->context.shows = o->shows_all ? NULL : outlet_shows;
        do
                r = listing_print(&o->listing, client_output(o->client), context, OUTLET_STEPS);
        while (r > 0 && !client_full(o->client) && clock_now_ns() < o->turn_end_ns);
        return r;
}

static int outlet_keep(struct outlet *o, const char *id, const struct reply *reply)
{
        size_t bytes_n = strlen(id) + 1, i;
        struct outlet_grant *g;
        char *to;

        for (i = 0; i < reply->items_n; ++i)
                bytes_n += reply->items[i].key.len;
        g = mem_zalloc(sizeof(*g) + reply->items_n * sizeof(g->items[0]) + bytes_n);
        if (!g)
                return -ENOMEM;
        g->at = buffer_len(&o->behind);
        g->reply = *reply;
        g->reply.items = g->items;
        to = (char *)&g->items[reply->items_n];
        for (i = 0; i < reply->items_n; ++i) {
                g->items[i] = reply->items[i];
                g->items[i].key.data = memcpy(to, reply->items[i].key.data, reply->items[i].key.len);
                to += reply->items[i].key.len;
        }
        g->id = memcpy(to, id, strlen(id) + 1);
        TAILQ_INSERT_TAIL(&o->grants, g, entry);
        return 0;
}

int outlet_reply(struct outlet *o, const char *id, const struct reply *reply)
{
        bool grants = reply->error == ERROR_NONE && (reply->method == METHOD_ADD || reply->method == METHOD_EXTEND);

        if (o->busy && grants)
                return outlet_keep(o, id, reply);
        return reply_print(outlet_lines(o), pump_context(o->daemon, clock_now_ns()), id, reply);
}

/* The broker may have renewed it meanwhile. */
static bool outlet_renewed_cb(void *userdata, const struct inspect_lock *lock)
{
        struct reply_item *item = userdata;

        if (strcmp(item->value, lock->value) == 0)
                item->valid_until_ns = lock->valid_until_ns;
        return true;
}

/* None of its locks is good any more. (Where others still are, the session has them.) */
static bool outlet_is_late(const struct outlet_grant *g, uint64_t now_ns)
{
        size_t i;

        for (i = 0; i < g->reply.items_n; ++i)
                if (g->items[i].valid_until_ns >= now_ns + 1000000) /* as of reply_lapsed() */
                        return false;
        return true;
}

static int outlet_print_grant(struct outlet *o, struct outlet_grant *g)
{
        const struct reply_context *context = pump_context(o->daemon, clock_now_ns());
        struct inspect_cursor cursor = { 0 };
        struct reply late;
        size_t i;

        for (i = 0; i < g->reply.items_n; ++i)
                inspect_locks(o->daemon->engine, context->now_ns, g->reply.session, g->items[i].key, 1, &cursor,
                              outlet_renewed_cb, &g->items[i]);
        if (!outlet_is_late(g, context->now_ns))
                return reply_print(client_output(o->client), context, g->id, &g->reply);
        late = pump_too_late(o->daemon, &g->reply);
        return reply_print(client_output(o->client), context, g->id, &late);
}

/* What came while the listing was printed. */
static int outlet_catch_up(struct outlet *o)
{
        struct buffer *out = client_output(o->client), *behind = &o->behind;
        struct outlet_grant *g;
        size_t said = 0;
        int r = 0;

        while (r == 0 && (g = TAILQ_FIRST(&o->grants))) {
                if (g->at > said)
                        r = buffer_append(out, buffer_data(behind) + said, g->at - said);
                said = g->at;
                if (r == 0)
                        r = outlet_print_grant(o, g);
                outlet_drop(o, g);
        }
        if (r == 0 && buffer_len(behind) > said)
                r = buffer_append(out, buffer_data(behind) + said, buffer_len(behind) - said);
        return r;
}

int outlet_go_on(struct outlet *o)
{
        int r;

        assert(o->busy);
        r = outlet_print(o);
        if (r > 0)
                return r;
        if (r == 0)
                r = outlet_catch_up(o);
        outlet_stop(o);
        return r;
}

int outlet_list(struct outlet *o, const char *id, const struct reply *reply)
{
        struct buffer *out = client_output(o->client);
        size_t before = buffer_len(out);
        int r;

        assert(!o->busy);
        r = listing_init(&o->listing, reply);
        if (r < 0)
                return r;
        o->busy = true;
        o->shows_all = o->daemon->config->access.rules_n == 0 || access_is_admin(o->daemon->config, o->client);
        ++o->daemon->listings_n;
        r = listing_begin(&o->listing, out, id);
        if (r == 0)
                r = outlet_go_on(o);
        if (r > 0) {
                client_owe(o->client);
                return 0;
        }
        outlet_stop(o);
        if (r < 0)
                buffer_cut(out, before); /* nothing of it was written yet */
        return r;
}
