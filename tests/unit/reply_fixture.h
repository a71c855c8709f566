#pragma once

/*
 * What the tests of replies share. The engine is not there: what its views show is written down in the *_now tables,
 * and the functions of core/inspect.h are defined here in its place.
 */
#include "redlockd/wire/listing.h"
#include "redlockd/wire/quick.h"
#include "redlockd/wire/reply.h"

#include "redlockd/base/mem.h"
#include "unit/unit.h"

#include <errno.h>

#define MS 1000000ull

static struct inspect_status status_now;
static struct inspect_node nodes_now[NODES_MAX];
static struct inspect_session sessions_now[4];
static struct inspect_lock locks_now[4];
static struct inspect_waiter waiters_now[4];
static unsigned sessions_n, locks_n, waiters_n;

void inspect_status(const struct engine *e, struct inspect_status *ret_status)
{
        *ret_status = status_now;
}

void inspect_node(const struct engine *e, unsigned node, struct inspect_node *ret_node)
{
        *ret_node = nodes_now[node];
}

bool inspect_next_session(const struct engine *e, uint64_t after, struct inspect_session *ret_session)
{
        for (unsigned i = 0; i < sessions_n; ++i) {
                if (sessions_now[i].session > after) {
                        *ret_session = sessions_now[i];
                        return true;
                }
        }
        return false;
}

/* The cursor's `position` is that in the table. */
bool inspect_locks(const struct engine *e, uint64_t now_ns, uint64_t session, struct text key, unsigned steps,
                   struct inspect_cursor *cursor, inspect_lock_fn fn, void *userdata)
{
        for (; cursor->position < locks_n; ++cursor->position) {
                const struct inspect_lock *l = &locks_now[cursor->position];

                if (steps == 0)
                        return true;
                --steps;
                if ((session == 0 || l->session == session) && (!key.data || text_equal(key, l->key)) &&
                    !fn(userdata, l))
                        steps = 0;
        }
        return false;
}

bool inspect_waiters(const struct engine *e, struct text key, unsigned steps, struct inspect_cursor *cursor,
                     inspect_waiter_fn fn, void *userdata)
{
        for (; cursor->position < waiters_n; ++cursor->position) {
                if (steps == 0)
                        return true;
                --steps;
                if ((!key.data || text_equal(key, waiters_now[cursor->position].key)) &&
                    !fn(userdata, &waiters_now[cursor->position]))
                        steps = 0;
        }
        return false;
}

static const struct reply_node nodes_known[] = {
        { .name = "a", .url = "redis://a:6379/0", .redis_version = "7.0.15", .run_id = "f00", .rtt_us = 1499 },
        { .name = "b", .url = "redis://b:6379/0", .rtt_us = 1500 },
        { .name = "c", .url = "redis://c:6379/0" },
};

static const struct reply_limit limits[] = { { "maxKeys", 64 }, { "maxTtl", 60000 }, { NULL, 0 } };

static const struct reply_context context = {
        .nodes = nodes_known,
        .now_ns = 10000 * MS,
        .unix_ms = 1795350000000,
        .version = "0.1.0",
        .pid = 4321,
        .started_ns = 4000 * MS + 1,
        .scope = "network",
        .restart_quarantine = true,
        .malformed = 99,
        .release_on = RELEASE_ON_EXIT,
        .limits = limits,
};

static inline void check_line(const struct buffer *out, const char *expected)
{
        ck_assert_uint_gt(buffer_len(out), 0);
        ck_assert_int_eq(buffer_data(out)[buffer_len(out) - 1], '\n');
        ck_assert_msg(strlen(expected) == buffer_len(out) - 1 &&
                              memcmp(buffer_data(out), expected, strlen(expected)) == 0,
                      "%.*s instead of %s", (int)buffer_len(out) - 1, buffer_data(out), expected);
}

/* A listing to its end, `steps` at a time. Returns what the last step did. */
static inline int print_listing(struct buffer *out, const struct reply *reply, unsigned steps)
{
        struct listing l;
        int r;

        r = listing_init(&l, reply);
        if (r < 0)
                return r;
        r = listing_begin(&l, out, "17");
        while (r == 0 && (r = listing_print(&l, out, &context, steps)) > 0)
                r = 0;
        listing_deinit(&l);
        return r;
}

/* The whole line, without its LF. */
static inline void check_reply(const struct reply *reply, const char *expected)
{
        struct buffer out = BUFFER_INIT(100000);

        ck_assert_int_eq(reply_print(&out, &context, "17", reply), 0);
        check_line(&out, expected);
        buffer_deinit(&out);
}

typedef int (*print_fn)(struct buffer *out, const struct reply_context *context, const char *id,
                        const struct reply *reply);

/* Fails each allocation in turn while one reply is printed; it takes at least so many. */
static inline void check_print_without_memory(print_fn print, const struct reply *reply, uint64_t least_n)
{
        struct buffer whole = BUFFER_INIT(100000);
        uint64_t live, k = 1;

        ck_assert_int_eq(print(&whole, &context, "17", reply), 0);
        live = mem_live();
        for (;; ++k) {
                struct buffer out = BUFFER_INIT(100000);
                int r;

                mem_fail_at(k);
                r = print(&out, &context, "17", reply);
                if (r == 0) {
                        ck_assert(!mem_failed());
                        mem_fail_at(0);
                        ck_assert_uint_eq(buffer_len(&out), buffer_len(&whole));
                        ck_assert_mem_eq(buffer_data(&out), buffer_data(&whole), buffer_len(&whole));
                        buffer_deinit(&out);
                        break;
                }
                ck_assert_int_eq(r, -ENOMEM);
                ck_assert(mem_failed());
                ck_assert_uint_eq(buffer_len(&out), 0);
                buffer_deinit(&out);
                ck_assert_uint_eq(mem_live(), live);
        }
        ck_assert_uint_gt(k, least_n);
        ck_assert_uint_eq(mem_live(), live);
        buffer_deinit(&whole);
}

static inline void check_without_memory(const struct reply *reply)
{
        check_print_without_memory(reply_print_long, reply, 4);
        check_print_without_memory(reply_print, reply, 1);
}
