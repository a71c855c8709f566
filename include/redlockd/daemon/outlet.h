#pragma once

/*
 * What one client is told, in the order in which it is told: lines, and listings, which are printed over several turns
 * of the loop and keep the lines that come meanwhile behind them.
 */
#include "redlockd/daemon/daemon.h"
#include "redlockd/net/client.h"
#include "redlockd/wire/listing.h"

struct outlet {
        struct daemon *daemon;
        struct client *client;
        bool busy;      /* `listing` is being printed */
        bool shows_all; /* ... whatever the rules say. Of when it began: to look up groups may take long */
        struct listing listing;
        uint64_t turn_end_ns; /* of its share of this turn */
        unsigned items_n;
        struct buffer behind;              /* lines that come meanwhile, */
        TAILQ_HEAD(, outlet_grant) grants; /* ... and those between them that say how long locks are good for */
};

void outlet_init(struct outlet *o, struct daemon *d, struct client *client);

/* Where the next line is to be appended. */
struct buffer *outlet_lines(struct outlet *o);

/* The next line is this answer. Returns 0, or negative errno, after which the client has to go. */
int outlet_reply(struct outlet *o, const char *id, const struct reply *reply);

/*
 * Prints as much of a listing as one turn allows, and lets the client owe the rest: outlet_go_on() is to be called
 * then. There may be only one at a time: while it is busy no request is read. Returns 0, or negative errno, after which
 * the client has to go.
 */
int outlet_list(struct outlet *o, const char *id, const struct reply *reply);

/* The next piece. Returns 1 where more is to come, or as above. */
int outlet_go_on(struct outlet *o);

/* Whatever is under way is forgotten. */
void outlet_stop(struct outlet *o);
