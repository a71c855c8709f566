/*
 * One client's output. A listing of 100,000 locks takes tens of milliseconds and megabytes; here it gets a share of
 * each turn of the loop, and as much of the client's output as the client may leave unread:
 *
 *      outlet_list --> (busy) --> outlet_go_on ... --> the last piece, then what came meanwhile
 *
 * A line goes out whole or not at all: what is said while a listing is being printed, replies to earlier requests and
 * notices, comes after it, in its own order. So a listing is at least as new as all that was said before it. No request
 * is read meanwhile, so that what can come is bounded by the requests in flight and by what the session subscribed to.
 */
#include "redlockd/daemon/outlet.h"

#include "redlockd/daemon/access.h"
#include "redlockd/daemon/pump.h"
#include "redlockd/net/clock.h"

#include <assert.h>

#define OUTLET_TURN_NS 500000 /* of one turn of the loop, for the listings of all clients together */
#define OUTLET_STEPS   1024   /* between two looks at the clock */
#define OUTLET_ITEMS   16     /* the same, where there is something to show */

void outlet_init(struct outlet *o, struct daemon *d, struct client *client)
{
        *o = (struct outlet){ .daemon = d, .client = client, .behind = BUFFER_INIT(CLIENT_OUTPUT_MAX) };
}

struct buffer *outlet_lines(struct outlet *o)
{
        return o->busy ? &o->behind : client_output(o->client);
}

void outlet_stop(struct outlet *o)
{
        if (!o->busy)
                return;
        o->busy = false;
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
        bool all = d->config->access.rules_n == 0 || access_is_admin(d->config, o->client);
        const struct reply_context *context = pump_context(d, clock_now_ns());
        int r;

        o->turn_end_ns = context->now_ns + OUTLET_TURN_NS / d->listings_n;
        o->listing.enough = outlet_has_enough;
        o->listing.userdata = o;
        d->context.viewer = o;
        d->context.shows = all ? NULL : outlet_shows;
        do
                r = listing_print(&o->listing, client_output(o->client), context, OUTLET_STEPS);
        while (r > 0 && !client_full(o->client) && clock_now_ns() < o->turn_end_ns);
        return r;
}

int outlet_go_on(struct outlet *o)
{
        struct buffer *behind = &o->behind;
        int r;

        assert(o->busy);
        r = outlet_print(o);
        if (r > 0)
                return r;
        if (r == 0)
                r = buffer_append(client_output(o->client), buffer_data(behind), buffer_len(behind));
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
