/*
 * The pump: the only place that steps the engine and carries out what it decides.
 *
 *      peer.c   --request--+                               +--reply, notice, close--> peer.c
 *      nodes.c  --answer---+--> pump_post: step, then pop -+
 *      daemon.c --tick-----+                               +--command---------------> nodes.c
 *
 * An effect borrows from the engine until the next step or pop. So each is finished before the next: a reply is printed
 * into the client's buffer at once, a command into the node's. Carrying out an effect may itself post (the `memory:`
 * node answers on the spot); that steps the engine between two pops, which it allows, and the loop that is popping goes
 * on with what came of it.
 */
#include "redlockd/daemon/pump.h"

#include "redlockd/daemon/nodes.h"
#include "redlockd/daemon/nodes_traffic.h"
#include "redlockd/daemon/peer.h"
#include "redlockd/net/clock.h"
#include "redlockd/net/log.h"
#include "redlockd/net/wakeup.h"

#include <assert.h>

/* Validity is told as of the printing; an answer must not lie about for longer than this. */
#define PUMP_UNFLUSHED_MAX_NS 1000000
#define PUMP_LOOK_EACH        8 /* effects, of some microseconds each */

static const enum vote_reason pump_late[NODES_MAX] = { [0 ... NODES_MAX - 1] = VOTE_LATE };

const struct reply_context *pump_context(struct daemon *d, uint64_t now_ns)
{
        d->context.now_ns = now_ns;
        d->context.unix_ms = clock_wall_ms(&d->wall, now_ns);
        if (d->oldest_unflushed_ns == 0)
                d->oldest_unflushed_ns = now_ns;
        return &d->context;
}

struct reply pump_too_late(const struct daemon *d, const struct reply *reply)
{
        static struct reply_item items[KEYS_PER_ROUND_MAX];
        struct reply late = *reply;
        size_t i;

        for (i = 0; i < reply->items_n && i < KEYS_PER_ROUND_MAX; ++i)
                items[i] = (struct reply_item){ .key = reply->items[i].key, .outcome = OUTCOME_TAKEN };
        late.error = ERROR_NO_QUORUM;
        late.items = items;
        late.items_n = i;
        late.votes = pump_late;
        late.votes_n = d->nodes.n;
        return late;
}

/* What was granted is no news to anybody but who looks for it. */
static void pump_log_reply(const struct reply *reply)
{
        const struct log_about about = { .event = method_name(reply->method),
                                         .key = reply->items_n > 0 ? reply->items[0].key : (struct text){ NULL, 0 },
                                         .session = reply->session,
                                         .waited_ms = reply->method <= METHOD_EXTEND ? &reply->waited_ms : NULL };

        log_write(LOG_LEVEL_DEBUG, &about, "%s: %s", about.event,
                  reply->error == ERROR_NONE ? "done" : error_name(reply->error));
}

static void pump_reply(struct daemon *d, const struct reply *reply)
{
        struct peer *peer = peer_find(d, reply->session);
        struct reply late;

        assert(peer);
        pump_log_reply(reply);
        if (reply_lapsed(reply, clock_now_ns())) {
                late = pump_too_late(d, reply);
                reply = &late;
        }
        peer_reply(peer, reply);
}

static void pump_log_lost(struct daemon *d, const struct notice *notice)
{
        const struct log_about about = { .event = "lost", .key = notice->key, .session = notice->session };

        if (log_rate_admits(&d->lost_rate, "locks were lost"))
                log_write(LOG_LEVEL_WARN, &about, "lock lost: %s", lost_reason_name(notice->lost));
}

static void pump_notice(struct daemon *d, const struct notice *notice)
{
        struct peer *peer = peer_find(d, notice->session);

        assert(peer);
        if (notice->kind == NOTICE_LOST)
                pump_log_lost(d, notice);
        if (notice->kind != NOTICE_LOST || notice->wanted)
                peer_notice(peer, notice);
}

static void pump_execute(struct daemon *d, const struct effect *effect)
{
        switch (effect->kind) {
        case EFFECT_COMMAND:
                nodes_send(d, &effect->command);
                break;
        case EFFECT_LISTEN:
                nodes_listen(d, effect->listen.key, effect->listen.on);
                break;
        case EFFECT_REPLY:
                pump_reply(d, &effect->reply);
                break;
        case EFFECT_NOTICE:
                pump_notice(d, &effect->notice);
                break;
        case EFFECT_NODE:
                nodes_log(d, effect->node.node);
                break;
        case EFFECT_CERTIFY:
                nodes_certify(d, effect->node.node, effect->node.mark);
                break;
        case EFFECT_CLOSE:
                peer_close(peer_find(d, effect->close.session));
                break;
        case EFFECT_DRAINED:
                daemon_on_drained(d);
                break;
        }
}

/* Carries out what the engine wants, to the end. */
static void pump_run(struct daemon *d)
{
        struct effect effect;
        unsigned n;

        d->popping = true;
        for (n = 1; engine_pop(d->engine, &effect); ++n) {
                pump_execute(d, &effect);
                if (n % PUMP_LOOK_EACH == 0 && d->oldest_unflushed_ns > 0 &&
                    clock_now_ns() - d->oldest_unflushed_ns > PUMP_UNFLUSHED_MAX_NS)
                        pump_flush(d);
        }
        d->popping = false;
        if (d->wakeup)
                wakeup_set(d->wakeup, engine_deadline_ns(d->engine));
}

void pump_post(struct daemon *d, struct event *event)
{
        assert(!d->stepping);
        event->now_ns = clock_now_ns();
        event->unix_ms = clock_unix_ms();
        metrics_on_work(d, event->now_ns);
        d->stepping = true;
        engine_step(d->engine, event);
        d->stepping = false;
        if (!d->popping)
                pump_run(d);
}

void pump_together(struct daemon *d, void (*fn)(struct daemon *d))
{
        assert(!d->popping);
        d->popping = true;
        fn(d);
        pump_run(d);
}

void pump_flush(struct daemon *d)
{
        struct peer *peer;
        bool any;

        /* What cannot be written ends a session or a node, and that is news for others: until nothing is left. */
        do {
                d->oldest_unflushed_ns = 0;
                while ((peer = TAILQ_FIRST(&d->unflushed)))
                        peer_flush(peer);
                any = nodes_flush(d);
        } while (any || !TAILQ_EMPTY(&d->unflushed));
}
