#pragma once

/*
 * The answers that can be long, `list`, `subscribe`, `sessions`, `locks` and `waiters`, printed in pieces: between two
 * of them the engine may be stepped, and what was printed may be written.
 *
 *      listing_init(&l, &reply);
 *      r = listing_begin(&l, out, id);
 *      while (r == 0 && (r = listing_print(&l, out, context, steps)) > 0)
 *              others have their turn, and r = 0
 *      listing_deinit(&l);
 *
 * Each item is true as of its piece. What comes and goes meanwhile may be shown or not; all else is, and nothing twice.
 */
#include "redlockd/wire/reply.h"

struct listing {
        enum method method;
        uint64_t session; /* list, subscribe: whose */
        struct text key;  /* locks, waiters: of this one only; owned; data NULL: of all */
        struct inspect_cursor cursor;
        bool any; /* an item was printed */
        /* Asked after each item, left out or not, whether that was enough for one piece. NULL: it never is */
        bool (*enough)(void *userdata);
        void *userdata;
};

/* Whether the answer is one of these; then reply_print() is not for it. */
bool listing_is_for(const struct reply *reply);

/* 0 or -ENOMEM. */
int listing_init(struct listing *l, const struct reply *reply);
void listing_deinit(struct listing *l);

/* Appends what comes before the items. 0, -ENOMEM or -ENOBUFS. */
int listing_begin(struct listing *l, struct buffer *out, const char *id);

/*
 * Looks at `steps` items at most, as inspect_locks() does, and appends them. Returns 1 where there may be more, 0 when
 * the line is complete, its LF included; -ENOMEM or -ENOBUFS: then it never will be.
 */
int listing_print(struct listing *l, struct buffer *out, const struct reply_context *context, unsigned steps);
