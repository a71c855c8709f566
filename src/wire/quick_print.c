/*
 * The answers that say that all went well, written straight into the output. Room is made for the longest that such an
 * answer can be, with every number at its longest; where that is too much, or a key needs an escape, reply.c prints it.
 */
#include "redlockd/wire/put.h"
#include "redlockd/wire/quick.h"
#include "redlockd/wire/views.h"

#include <assert.h>
#include <errno.h>

#define ITEM_LEN_MAX 256 /* of a lock, beside its key; a key among others costs less */
#define LINE_LEN_MAX 256 /* of all else, beside the id */

/* Stands in JSON as it is. (A key is known to be UTF-8.) */
static bool text_is_plain(struct text text)
{
        size_t i;

        for (i = 0; i < text.len; ++i)
                if (!put_is_plain(text.data[i]))
                        return false;
        return true;
}

static const char *lock_state(enum lock_outcome outcome)
{
        return outcome == OUTCOME_ACQUIRED   ? "acquired"
               : outcome == OUTCOME_HELD     ? "held"
               : outcome == OUTCOME_EXTENDED ? "extended"
                                             : "reacquired";
}

static char *put_lock(char *to, const struct reply_context *context, const struct reply_item *item)
{
        uint64_t validity_ms = views_ms_until(item->valid_until_ns, context->now_ns);

        to = put_text(PUT(to, "{\"key\":\""), item->key);
        to = put_text(PUT(to, "\",\"value\":\""), text_of(item->value));
        to = put_number(PUT(to, "\",\"fence\":"), item->fence);
        to = put_text(PUT(to, ",\"state\":\""), text_of(lock_state(item->outcome)));
        to = put_number(PUT(to, "\",\"validity\":"), validity_ms);
        to = put_number(PUT(to, ",\"expiration\":"), views_unix_ms(context, item->valid_until_ns));
        return PUT(to, "}");
}

static char *put_locks(char *to, const struct reply_context *context, const struct reply *reply)
{
        size_t i;

        to = PUT(to, "\"locks\":[");
        for (i = 0; i < reply->items_n; ++i)
                to = put_lock(i > 0 ? PUT(to, ",") : to, context, &reply->items[i]);
        to = put_number(PUT(to, "],\"attempts\":"), reply->attempts);
        return put_number(PUT(to, ",\"waited\":"), reply->waited_ms);
}

static char *put_keys(char *to, const struct reply *reply, enum lock_outcome outcome)
{
        bool first = true;
        size_t i;

        for (i = 0; i < reply->items_n; ++i) {
                if (reply->items[i].outcome != outcome)
                        continue;
                to = put_text(first ? PUT(to, "\"") : PUT(to, ",\""), reply->items[i].key);
                to = PUT(to, "\"");
                first = false;
        }
        return to;
}

static char *put_freed(char *to, const struct reply *reply)
{
        to = put_keys(PUT(to, "\"freed\":["), reply, OUTCOME_FREED);
        to = put_keys(PUT(to, "],\"pending\":["), reply, OUTCOME_PENDING);
        to = put_keys(PUT(to, "],\"expired\":["), reply, OUTCOME_EXPIRED);
        to = put_keys(PUT(to, "],\"missing\":["), reply, OUTCOME_MISSING);
        return PUT(to, "]");
}

/* The most bytes that the line can have; 0: it is not for here. */
static size_t quick_bound(const char *id, const struct reply *reply)
{
        size_t i, bound = LINE_LEN_MAX + strlen(id);

        if (reply->error != ERROR_NONE || (reply->method != METHOD_ADD && reply->method != METHOD_EXTEND &&
                                           reply->method != METHOD_FREE && reply->method != METHOD_RESET))
                return 0;
        for (i = 0; i < reply->items_n; ++i) {
                if (!text_is_plain(reply->items[i].key))
                        return 0;
                bound += ITEM_LEN_MAX + reply->items[i].key.len;
        }
        return bound;
}

int quick_print(struct buffer *out, const struct reply_context *context, const char *id, const struct reply *reply)
{
        size_t bound = quick_bound(id, reply);
        char *begin, *to;

        if (bound == 0 || bound > out->max - buffer_len(out))
                return 0;
        begin = buffer_room(out, bound);
        if (!begin)
                return -ENOMEM;
        to = put_text(PUT(begin, "{\"jsonrpc\":\"2.0\",\"id\":"), text_of(id));
        to = PUT(to, ",\"result\":{");
        if (reply->method == METHOD_ADD || reply->method == METHOD_EXTEND)
                to = put_locks(to, context, reply);
        else
                to = put_freed(to, reply);
        to = PUT(to, "}}\n");
        assert((size_t)(to - begin) <= bound);
        buffer_commit(out, (size_t)(to - begin));
        return 1;
}
