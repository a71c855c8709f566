/*
 * The time line of a lock that the daemon answers for, and of one for which it does not:
 *
 *      told        asked       told                    asked, no answer               end - margin   end
 *      |-----------|-----------|-----------------------|------------------------------|--------------|
 *      0         ttl/3                               ttl/3                          be gone      not ours
 *
 * A validity that is told was true when the answer was written, and that was after the question was sent: so it is
 * counted from there, on CLOCK_BOOTTIME. It errs by a round trip, and never to the wrong side, however long the answer
 * lay in the socket. The answer to `add` comes at any time after the question; for the locks that it grants
 * keep_send_subscribe() asks anew.
 *
 * An end that a daemon names by `stopping` comes first where it is earlier: then it frees whatever is still held.
 */
#include "redlockd/ctl/keep.h"

#include "redlockd/ctl/clock.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

#define KEEP_ASK_PART    6  /* asked again when this part of the ttl has passed */
#define KEEP_AGAIN_PART  10 /* after an answer that brought nothing */
#define KEEP_AGAIN_MS    10 /* but not sooner */
#define KEEP_MARGIN_PART 5
#define KEEP_MARGIN_MIN  (10 * NS_PER_MS)
#define KEEP_MARGIN_MAX  (500 * NS_PER_MS)

void keep_init(struct keep *k, struct connection *connection, const json_t *keys, json_int_t ttl_ms)
{
        *k = (struct keep){ .connection = connection,
                            .keys = keys,
                            .ttl_ms = ttl_ms,
                            .freed_ns = UINT64_MAX,
                            .stop_grace_ms = KEEP_STOP_GRACE_MS };
}

static json_t *keep_params(const struct keep *k)
{
        json_t *params = json_object();

        json_object_set(params, "keys", (json_t *)(uintptr_t)k->keys); /* only counted, not changed */
        if (k->ttl_ms > 0)
                json_object_set_new(params, "ttl", json_integer(k->ttl_ms));
        return params;
}

int keep_send_add(struct keep *k, json_int_t wait_ms, json_int_t *ret_id)
{
        json_t *params = keep_params(k);

        json_object_set_new(params, "autoExtend", json_true());
        if (wait_ms > 0)
                json_object_set_new(params, "wait", json_integer(wait_ms));
        else
                json_object_set_new(params, "retryCount", json_integer(wait_ms < 0 ? -1 : 0));
        return connection_send(k->connection, "add", params, ret_id);
}

static int keep_ask(struct keep *k, const char *method, json_t *params)
{
        k->asked_ns = clock_now_ns();
        return connection_send(k->connection, method, params, &k->asked);
}

int keep_send_subscribe(struct keep *k)
{
        return keep_ask(k, "subscribe", json_pack("{s:[s,s]}", "events", "lost", "stopping"));
}

/* The daemon renews the locks; what is asked is how long they are valid now. */
static int keep_send_list(struct keep *k)
{
        return keep_ask(k, "list", NULL);
}

static void keep_lose(struct keep *k, const char *key, const char *why)
{
        if (*k->lost == 0)
                snprintf(k->lost, sizeof(k->lost), "the lock on \"%.160s\" is lost (%.40s)", key ? key : "?",
                         why ? why : "?");
}

static const json_t *keep_find(const json_t *locks, const char *key)
{
        const json_t *lock;
        size_t i;

        json_array_foreach(locks, i, lock)
        {
                const char *name = json_string_value(json_object_get(lock, "key"));

                if (name && strcmp(name, key) == 0)
                        return lock;
        }
        return NULL;
}

/* The least validity of our locks, ms; or -1: one of them is not there. */
static json_int_t keep_validity(struct keep *k, const json_t *locks)
{
        json_int_t validity, least = INT64_MAX;
        const json_t *key, *lock;
        size_t i;

        json_array_foreach(k->keys, i, key)
        {
                lock = keep_find(locks, json_string_value(key));
                if (!lock) {
                        keep_lose(k, json_string_value(key), "NOT_HELD");
                        return -1;
                }
                validity = json_integer_value(json_object_get(lock, "validity"));
                least = validity < least ? validity : least;
        }
        return least > 0 ? least : 0;
}

static void keep_told(struct keep *k, const json_t *locks)
{
        json_int_t validity = keep_validity(k, locks);

        if (validity < 0)
                return;
        k->until_ns = k->asked_ns + (uint64_t)validity * NS_PER_MS;
        if (k->ttl_ns == 0)
                k->ttl_ns = (uint64_t)(k->ttl_ms > 0 ? k->ttl_ms : validity) * NS_PER_MS;
        k->ask_at_ns = k->asked_ns + k->ttl_ns / KEEP_ASK_PART;
}

static void keep_refused(struct keep *k, const json_t *error)
{
        const json_t *data = json_object_get(error, "data");
        const char *name = json_string_value(json_object_get(data, "name"));
        uint64_t pause_ns = k->ttl_ns / KEEP_AGAIN_PART;

        if (name && (strcmp(name, "LOST") == 0 || strcmp(name, "NOT_HELD") == 0 || strcmp(name, "BROKEN") == 0))
                keep_lose(k, json_string_value(json_array_get(json_object_get(data, "keys"), 0)), name);
        else
                k->ask_at_ns =
                        clock_now_ns() + (pause_ns > KEEP_AGAIN_MS * NS_PER_MS ? pause_ns : KEEP_AGAIN_MS * NS_PER_MS);
}

static void keep_notice(struct keep *k, const char *method, const json_t *params)
{
        const char *key = json_string_value(json_object_get(params, "key"));

        if (strcmp(method, "lost") == 0)
                keep_lose(k, key, json_string_value(json_object_get(params, "reason")));
        else if (strcmp(method, "stopping") == 0 && k->freed_ns == UINT64_MAX)
                k->freed_ns = clock_now_ns() + k->stop_grace_ms * NS_PER_MS;
}

bool keep_take(struct keep *k, const json_t *message)
{
        const char *method = json_string_value(json_object_get(message, "method"));
        const json_t *error = json_object_get(message, "error");

        if (method)
                keep_notice(k, method, json_object_get(message, "params"));
        if (k->asked == 0 || !connection_answers(message, k->asked))
                return false;
        k->asked = 0;
        if (error)
                keep_refused(k, error);
        else
                keep_told(k, json_object_get(json_object_get(message, "result"), "locks"));
        return true;
}

int keep_on_time(struct keep *k)
{
        return k->asked == 0 && clock_now_ns() >= k->ask_at_ns ? keep_send_list(k) : 0;
}

uint64_t keep_next_ns(const struct keep *k)
{
        return k->asked == 0 ? k->ask_at_ns : UINT64_MAX;
}

uint64_t keep_end_ns(const struct keep *k)
{
        return k->until_ns < k->freed_ns ? k->until_ns : k->freed_ns;
}

uint64_t keep_margin_ns(const struct keep *k)
{
        uint64_t margin_ns = k->ttl_ns / KEEP_MARGIN_PART;

        if (margin_ns > KEEP_MARGIN_MAX)
                return KEEP_MARGIN_MAX;
        return margin_ns < KEEP_MARGIN_MIN ? KEEP_MARGIN_MIN : margin_ns;
}

void keep_free(struct keep *k)
{
        struct pollfd pollfd = { k->connection->fd, POLLIN, 0 };
        uint64_t end_ns = clock_now_ns() + KEEP_FREE_MS * NS_PER_MS, now_ns;
        json_t *message;
        json_int_t id;
        bool done = false;
        int r;

        if (connection_send(k->connection, "free", NULL, &id) < 0)
                return;
        while (!done && (now_ns = clock_now_ns()) < end_ns) {
                r = connection_next(k->connection, &message);
                if (r == 0) {
                        r = poll(&pollfd, 1, (int)((end_ns - now_ns) / NS_PER_MS) + 1);
                } else if (r > 0) {
                        done = connection_answers(message, id);
                        json_decref(message);
                }
                if (r < 0)
                        return;
        }
}
