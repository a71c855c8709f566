/*
 * One question to all nodes, whose answers are shown and not counted:
 *
 *      peek_begin --> commands popped --> the last answer, or NODE_TIMEOUT_MAX_MS --> its call is finished
 *
 * It changes nothing on the nodes and nothing in the engine, and is no round: there is no ballot, and what comes after
 * its end finds nothing. The value of a lock crosses to the node, that it can say "yours" or "somebody else's"; no
 * value comes back.
 */
#include "redlockd/core/peek.h"

#include "redlockd/base/mem.h"
#include "redlockd/core/call.h"
#include "redlockd/core/lease.h"
#include "redlockd/core/resource.h"

#include <errno.h>

static void peek_finish(struct engine *e, struct peek *p)
{
        struct call *c = p->call;

        peek_stop(e, p);
        call_finish(e, c, ERROR_NONE);
}

int peek_begin(struct engine *e, struct call *c, struct text key)
{
        struct peek *p = mem_zalloc(sizeof(*p));
        unsigned node;

        if (!p)
                return -ENOMEM;
        if (resource_ref(e, key, &p->resource) < 0) {
                mem_free(p);
                return -ENOMEM;
        }
        p->call = c;
        p->id = ++e->round_id;
        p->to_send = e->nodes_linked;
        p->sent_ns = e->now_ns;
        if (p->resource->lease)
                token_print(&p->resource->lease->value, p->value);
        for (node = 0; node < e->options.nodes_n; ++node)
                p->seen[node].vote = p->to_send & UINT32_C(1) << node ? VOTE_TIMEOUT : VOTE_DOWN;
        TAILQ_INSERT_TAIL(&e->peeks, p, entry);
        p->linked = true;
        c->peek = p;
        c->reply.key = resource_key(p->resource);
        c->reply.seen = p->seen;
        c->reply.seen_n = e->options.nodes_n;
        if (p->to_send == 0) {
                peek_finish(e, p);
                return 0;
        }
        heap_set(&e->deadlines, &c->timer, e->now_ns + NODE_TIMEOUT_MAX_MS * NS_PER_MS);
        outgoing_link(e, &p->out, OUTGOING_PEEK);
        return 0;
}

struct peek *peek_find(const struct engine *e, uint64_t id)
{
        struct peek *p;

        TAILQ_FOREACH (p, &e->peeks, entry)
                if (p->id == id)
                        return p;
        return NULL;
}

void peek_pop(struct engine *e, struct peek *p, struct command *ret_command)
{
        unsigned node = (unsigned)__builtin_ctz(p->to_send);

        p->to_send &= p->to_send - 1;
        p->owed |= UINT32_C(1) << node;
        e->items[0] = (struct command_item){ .key = resource_key(p->resource), .value = p->value };
        *ret_command =
                (struct command){ .round = p->id, .node = node, .kind = COMMAND_PEEK, .items = e->items, .items_n = 1 };
}

void peek_on_answer(struct engine *e, struct peek *p, unsigned node, const struct answer *answer)
{
        struct peek_seen *seen = &p->seen[node];

        p->owed &= ~(UINT32_C(1) << node);
        seen->vote = answer->verdict == ANSWER_GRANTED                                    ? VOTE_GRANTED
                     : answer->verdict == ANSWER_ERROR || answer->verdict == ANSWER_AGAIN ? VOTE_ERROR
                                                                                          : VOTE_LOST;
        seen->value = answer->peek;
        seen->ttl_ms = answer->number;
        seen->node_ms = answer->node_ms;
        seen->at_ns = e->now_ns;
        seen->took_ns = e->now_ns - p->sent_ns;
        strncpy(seen->words,
                answer->verdict == ANSWER_GRANTED ? (answer->facts ? answer->facts : "")
                : answer->error                   ? answer->error
                                                  : "",
                PEEK_WORDS_MAX - 1);
        if (p->owed == 0 && p->to_send == 0)
                peek_finish(e, p);
}

void peek_stop(struct engine *e, struct peek *p)
{
        if (!p->linked)
                return;
        p->linked = false;
        TAILQ_REMOVE(&e->peeks, p, entry);
        outgoing_unlink(e, &p->out);
}

struct peek *peek_free(struct engine *e, struct peek *p)
{
        if (!p)
                return NULL;
        peek_stop(e, p);
        resource_unref(e, p->resource);
        return mem_free(p);
}
