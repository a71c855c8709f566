/*
 * One Redis node: the life of its connections, and what is owed on the present one.
 *
 *      IDLE --redis_start--.
 *                          v
 *      RESTING --timer--> CONNECTING --connected--> GREETING --all answered--> UP --no answer (Unix)--> STALLED
 *         ^                   |                        |                       |^                         ||
 *         `-- any failure ----+------------------------+-----------------------+`------ all answered -----'|
 *              (LOST for all that is owed)                                     `---------------------------'
 *
 *      any of them --redis_close--> CLOSING --handles closed--> freed
 *
 * Invariants: `owed` belongs to `link`; commands are taken in UP only; who gives a connection up takes `owed` off first
 * and answers then, so that callbacks may send, flush and close. Dropped links are counted until libuv lets go of them.
 *
 * What was given up must do nothing later. An acquire that waits in a connection may still be carried out when the
 * caller has long counted it out and has had it undone on the next connection; it would then stand for its whole ttl.
 * So:
 *
 * TCP is reset. What our kernel still has is thrown away, and nothing is sent again when a broken network heals. What
 * the server's kernel has already taken in remains readable there: a server that was stopped carries out one read of it
 * (16 KiB) in the turn of its loop in which it wakes, then finds the connection dead at its first reply and frees it.
 * That turn comes before it reads anything of a connection that was accepted later, so the undo still follows the
 * acquire. What the network still has is seen to by redis_dead.c.
 *
 * A Unix socket has no reset: all that was written lies in the server's queue at once, and goes nowhere else. Nor has
 * it a network: while the connection stands, its other end is a process of this host that will answer or end. So a
 * connection that stalls is kept. It is reported down and takes nothing, what it owes is answered when the server is
 * back (late answers settle the clean-up), and the next command queues behind all of it. When the server ends, so does
 * the queue. Given up for other reasons it is closed: the server is awake then, or the connection is broken already.
 *
 * The timer is the delay to the next try in RESTING, the time that is left for all of CONNECTING and GREETING, and the
 * heartbeat in UP. libuv runs timers before it looks at its sockets: where this process was stopped itself, an answer
 * may lie there unread, so an overdue answer gets one more turn of the loop.
 */
#include "redlockd/base/mem.h"
#include "redlockd/net/clock.h"
#include "redlockd/net/redis_state.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_US UINT64_C(1000)
#define RTT_SHARE 8 /* of each new round trip in the smoothed one */

static const unsigned redis_moves[] = {
        [REDIS_IDLE] = 1 << REDIS_CONNECTING | 1 << REDIS_CLOSING,
        [REDIS_RESTING] = 1 << REDIS_CONNECTING | 1 << REDIS_CLOSING,
        [REDIS_CONNECTING] = 1 << REDIS_GREETING | 1 << REDIS_RESTING | 1 << REDIS_CLOSING,
        [REDIS_GREETING] = 1 << REDIS_UP | 1 << REDIS_RESTING | 1 << REDIS_CLOSING,
        [REDIS_UP] = 1 << REDIS_STALLED | 1 << REDIS_RESTING | 1 << REDIS_CLOSING,
        [REDIS_STALLED] = 1 << REDIS_UP | 1 << REDIS_RESTING | 1 << REDIS_CLOSING,
        [REDIS_CLOSING] = 0,
};

static void redis_timer_cb(uv_timer_t *timer);

static void redis_move(struct redis *r, enum redis_state state)
{
        assert(redis_moves[r->state] & 1U << state);
        r->state = state;
}

static void redis_arm(struct redis *r, uint64_t ms)
{
        uv_timer_start(&r->timer, redis_timer_cb, ms, 0);
}

/* Each state and reason is told once, however many tries it lasts. */
static void redis_tell(struct redis *r, enum node_state state, const char *reason)
{
        if (r->told == state && strncmp(r->told_reason, reason, NODE_REASON_MAX - 1) == 0)
                return;
        r->told = state;
        snprintf(r->told_reason, sizeof(r->told_reason), "%s", reason);
        r->options.on_state(r->options.userdata, r->options.node, state, r->told_reason);
}

static void redis_answer_lost(struct redis *r, struct redis_owed_queue *owed)
{
        const struct answer lost = { .verdict = ANSWER_LOST };
        const struct redis_owed *first;

        for (; (first = redis_owed_first(owed)); redis_owed_pop(owed))
                if (first->kind == REDIS_OWED_COMMAND)
                        redis_answer(r, first->round, &lost);
        redis_owed_deinit(owed);
}

/* Ends the present connection, if there is one. Returns what it owed. */
static struct redis_owed_queue redis_detach(struct redis *r)
{
        struct redis_owed_queue owed = r->owed;

        if (r->facts.id && r->look.run_id[0])
                redis_dead_add(&r->dead, r->facts.id, r->look.run_id);
        r->owed = (struct redis_owed_queue){ 0 };
        redis_batch_clear(&r->batch);
        r->facts = (struct redis_facts){ 0 };
        redis_look_reset(&r->look);
        r->looks_n = 0;
        r->rtt_us = 0;
        r->overdue = false;
        r->link = redis_link_drop(r->link);
        return owed;
}

/* Somewhere in [half, full], so that the brokers of many hosts don't come back in step. */
static uint64_t redis_jitter(uint64_t full_ms)
{
        uint32_t random = 0;

        uv_random(NULL, NULL, &random, sizeof(random), 0, NULL);
        return full_ms - full_ms / 2 * random / UINT32_MAX;
}

void redis_give_up(struct redis *r, const char *reason)
{
        struct redis_owed_queue owed;
        char words[NODE_REASON_MAX];

        snprintf(words, sizeof(words), "%s", reason);
        owed = redis_detach(r);
        redis_move(r, REDIS_RESTING);
        redis_arm(r, redis_jitter(r->delay_ms));
        r->delay_ms = r->delay_ms * 2 < r->options.reconnect_max_ms ? r->delay_ms * 2 : r->options.reconnect_max_ms;
        /* the state first: what is answered LOST need not be sent here again */
        redis_tell(r, NODE_DOWN, words);
        redis_answer_lost(r, &owed);
}

static void redis_free_closed(struct redis *r)
{
        if (r->state != REDIS_CLOSING || !r->timer_closed || r->links_n > 0)
                return;
        assert(!r->link && r->owed.n == 0);
        r->on_closed(r->options.userdata, r->options.node);
        redis_reader_free(r->reader);
        redis_batch_deinit(&r->batch);
        mem_free(r);
}

static void redis_on_gone(void *userdata)
{
        struct redis *r = userdata;

        --r->links_n;
        redis_free_closed(r);
}

static void redis_closed_cb(uv_handle_t *handle)
{
        struct redis *r = handle->data;

        r->timer_closed = true;
        redis_free_closed(r);
}

static void redis_on_broken(void *userdata, const char *reason)
{
        redis_give_up(userdata, reason);
}

static void redis_on_connected(void *userdata)
{
        struct redis *r = userdata;

        redis_move(r, REDIS_GREETING);
        ++r->looks_n;
        r->looked_ns = clock_now_ns();
        if (redis_hello_encode(redis_link_output(r->link), &r->owed, r->options.address, &r->look, clock_now_ns()) < 0)
                redis_give_up(r, "out of memory");
        else
                redis_link_flush(r->link);
}

/* How long the timer may rest: the next look may be due then, or an answer overdue. */
static uint64_t redis_beat_ms(const struct redis *r)
{
        return r->options.connect_timeout_ms < r->options.heartbeat_ms ? r->options.connect_timeout_ms
                                                                       : r->options.heartbeat_ms;
}

void redis_look(struct redis *r)
{
        ++r->looks_n;
        r->looked_ns = clock_now_ns();
        if (redis_close_batch(r) < 0 ||
            redis_look_encode(redis_link_output(r->link), &r->owed, &r->look, clock_now_ns()) < 0)
                redis_give_up(r, "out of memory");
        else
                redis_link_flush(r->link);
}

/* Tells what the last look found. Whoever is told may give the connection up. */
static void redis_tell_look(struct redis *r)
{
        const struct redis_link *link = r->link;
        const struct node_look look = redis_look_judge(&r->look);

        r->options.on_look(r->options.userdata, r->options.node, &look);
        if (r->link != link || r->state != REDIS_UP)
                return;
        if (redis_look_revokes(&r->look) &&
            (redis_close_batch(r) < 0 ||
             redis_look_encode_revoke(redis_link_output(r->link), &r->owed, clock_now_ns()) < 0))
                redis_give_up(r, "out of memory");
        else if (redis_look_again(&r->look))
                redis_look(r);
        else
                redis_flush(r); /* who is told need not have anything to send */
}

static void redis_rise(struct redis *r)
{
        redis_move(r, REDIS_UP);
        r->delay_ms = r->options.reconnect_min_ms;
        r->skip = 0;
        r->overdue = false;
        redis_arm(r, redis_beat_ms(r));
        r->told = NODE_UP;
        if (redis_dead_encode(&r->dead, redis_link_output(r->link), &r->owed, r->look.run_id, clock_now_ns()) < 0)
                redis_give_up(r, "out of memory");
        else
                redis_tell_look(r);
}

/* Of an answer, whatever it says. */
static void redis_measure(struct redis *r, const struct redis_owed *owed)
{
        uint64_t ns = clock_now_ns() - owed->sent_ns, us = ns / NS_PER_US + 1;

        if (r->options.round_trip)
                histogram_observe_ns(r->options.round_trip, ns);
        if (r->state == REDIS_STALLED)
                return;
        r->rtt_us = r->rtt_us == 0 ? us : (r->rtt_us * (RTT_SHARE - 1) + us) / RTT_SHARE;
}

static void redis_on_hello(struct redis *r, const struct redis_owed *owed, const struct redis_value *value)
{
        char reason[NODE_REASON_MAX];
        int k;

        if (owed->kind == REDIS_OWED_INFO)
                r->look.sent_ns = owed->sent_ns;
        if (redis_owed_is_look(owed->kind))
                k = redis_look_take(&r->look, owed->kind, value, reason);
        else
                k = redis_hello_take(&r->facts, owed, value, r->options.address, reason);
        if (k < 0) {
                redis_hello_hide(reason, r->options.address);
                redis_give_up(r, reason);
                return;
        }
        if (owed->kind == REDIS_OWED_KILL)
                redis_dead_pop(&r->dead);
        redis_owed_pop(&r->owed);
        if (k > 0) {
                --r->looks_n;
                r->facts.unbatched = false;
        }
        if (r->state == REDIS_GREETING && r->owed.n == 0)
                redis_rise(r);
        else if (r->state == REDIS_UP && k > 0)
                redis_tell_look(r);
}

static void redis_on_value(struct redis *r, const struct redis_value *value)
{
        const struct redis_link *link = r->link;
        const struct redis_owed *owed = redis_owed_first(&r->owed);

        if (r->owed.n == r->batch.n) { /* what is in the batch was not asked yet */
                redis_give_up(r, "a reply that nobody waits for");
                return;
        }
        redis_measure(r, owed);
        if (owed->kind == REDIS_OWED_COMMAND)
                redis_on_command(r, value);
        else
                redis_on_hello(r, owed, value);
        if (r->link == link && r->state == REDIS_STALLED && r->owed.n == 0)
                redis_rise(r);
}

static void redis_on_bytes(void *userdata, const char *bytes, size_t n)
{
        struct redis *r = userdata;
        const struct redis_link *link = r->link;
        const struct redis_value *value;
        int k;

        if (redis_reader_feed(r->reader, bytes, n) == 0) {
                while ((k = redis_reader_next(r->reader, &value)) > 0) {
                        redis_on_value(r, value);
                        /* the connection may have been given up by that, or by whoever was called back */
                        if (r->link != link)
                                return;
                }
                if (k == 0)
                        return;
        }
        redis_give_up(r, redis_reader_reason(r->reader));
}

static void redis_attempt(struct redis *r)
{
        const struct redis_link_options options = {
                .loop = r->options.loop,
                .address = r->options.address,
                .skip = r->skip,
                .output_max = REDIS_OUTPUT_MAX,
                .userdata = r,
                .on_connected = redis_on_connected,
                .on_bytes = redis_on_bytes,
                .on_broken = redis_on_broken,
                .on_gone = redis_on_gone,
        };

        redis_move(r, REDIS_CONNECTING);
        redis_arm(r, r->options.connect_timeout_ms);
        if (redis_reader_reset(r->reader) < 0 || redis_link_new(&r->link, &options) < 0) {
                redis_give_up(r, "out of memory");
                return;
        }
        ++r->links_n;
        redis_link_open(r->link);
}

static void redis_give_up_late(struct redis *r)
{
        char reason[NODE_REASON_MAX];

        snprintf(reason, sizeof(reason), "no answer for %llu ms", (unsigned long long)r->options.connect_timeout_ms);
        if (r->state == REDIS_CONNECTING)
                ++r->skip; /* a name's next address has its turn */
        if (r->state == REDIS_UP && r->options.address->kind == ADDRESS_UNIX) {
                redis_move(r, REDIS_STALLED);
                redis_tell(r, NODE_DOWN, reason);
        } else {
                redis_give_up(r, reason);
        }
}

static void redis_beat(struct redis *r)
{
        const uint64_t beat_ms = redis_beat_ms(r), timeout_ms = r->options.connect_timeout_ms, now_ns = clock_now_ns();
        const struct redis_owed *oldest = redis_owed_first(&r->owed);
        const uint64_t age_ms = oldest ? (now_ns - oldest->sent_ns) / NS_PER_MS : 0;

        if (age_ms < timeout_ms) {
                r->overdue = false;
                redis_arm(r, timeout_ms - age_ms < beat_ms ? timeout_ms - age_ms : beat_ms);
                if (r->looks_n == 0 && (now_ns - r->looked_ns) / NS_PER_MS + 1 >= r->options.heartbeat_ms)
                        redis_look(r);
        } else if (!r->overdue) {
                r->overdue = true;
                redis_arm(r, 1);
        } else {
                redis_give_up_late(r);
        }
}

static void redis_timer_cb(uv_timer_t *timer)
{
        struct redis *r = timer->data;

        switch (r->state) {
        case REDIS_RESTING:
                redis_attempt(r);
                break;
        case REDIS_CONNECTING:
        case REDIS_GREETING:
                redis_give_up_late(r);
                break;
        case REDIS_UP:
                redis_beat(r);
                break;
        case REDIS_IDLE:
        case REDIS_STALLED:
        case REDIS_CLOSING:
                break;
        }
}

int redis_new(struct redis **ret_redis, const struct redis_options *options)
{
        struct redis *r;
        int k;

        assert(options->address->kind == ADDRESS_TCP || options->address->kind == ADDRESS_UNIX);
        r = mem_zalloc(sizeof(*r));
        if (!r)
                return -ENOMEM;
        k = redis_reader_new(&r->reader);
        if (k < 0) {
                mem_free(r);
                return k;
        }
        r->options = *options;
        r->delay_ms = options->reconnect_min_ms;
        redis_batch_init(&r->batch, options->batch_max);
        r->look.ttl_max_ms = options->ttl_max_ms;
        snprintf(r->look.members, sizeof(r->look.members), "%s", options->members ? options->members : "");
        k = uv_timer_init(options->loop, &r->timer);
        assert(k == 0);
        r->timer.data = r;
        *ret_redis = r;
        return 0;
}

void redis_start(struct redis *r)
{
        redis_tell(r, NODE_CONNECTING, "connecting");
        if (r->state == REDIS_IDLE)
                redis_attempt(r);
}

void redis_configure(struct redis *r, uint64_t connect_timeout_ms, uint64_t reconnect_min_ms, uint64_t reconnect_max_ms)
{
        r->options.connect_timeout_ms = connect_timeout_ms;
        r->options.reconnect_min_ms = reconnect_min_ms;
        r->options.reconnect_max_ms = reconnect_max_ms;
        if (r->delay_ms > reconnect_max_ms)
                r->delay_ms = reconnect_max_ms;
        if (r->delay_ms < reconnect_min_ms)
                r->delay_ms = reconnect_min_ms;
}

/* Without memory for it: the next heartbeat finds that it is still to be written. */
static void redis_write_certificate(struct redis *r, const uint64_t *mark)
{
        const uint64_t now_ns = clock_now_ns();
        struct buffer *output;

        if (r->state != REDIS_UP)
                return;
        output = redis_link_output(r->link);
        if (redis_close_batch(r) == 0 && redis_look_encode_certify(output, &r->owed, &r->look, mark, now_ns) == 0 &&
            redis_look_encode(output, &r->owed, &r->look, now_ns) == 0)
                ++r->looks_n;
}

void redis_certify(struct redis *r, uint64_t mark)
{
        redis_write_certificate(r, &mark);
}

void redis_recertify(struct redis *r, const char *members)
{
        if (!r->look.members[0])
                return;
        memcpy(r->look.former, r->look.members, sizeof(r->look.former));
        snprintf(r->look.members, sizeof(r->look.members), "%s", members);
}

void redis_settle(struct redis *r)
{
        redis_write_certificate(r, NULL);
        redis_look_settle(&r->look);
}

void redis_flush(struct redis *r)
{
        if (!r->link)
                return;
        if (redis_close_batch(r) < 0)
                redis_give_up(r, "out of memory");
        else
                redis_link_flush(r->link);
}

const char *redis_version(const struct redis *r)
{
        return r->look.version[0] ? r->look.version : NULL;
}

const char *redis_run_id(const struct redis *r)
{
        return r->look.run_id[0] ? r->look.run_id : NULL;
}

uint64_t redis_rtt_us(const struct redis *r)
{
        return r->rtt_us;
}

void redis_close(struct redis *r, void (*on_closed)(void *userdata, unsigned node))
{
        struct redis_owed_queue owed = redis_detach(r);

        redis_move(r, REDIS_CLOSING);
        r->on_closed = on_closed;
        uv_close((uv_handle_t *)&r->timer, redis_closed_cb);
        redis_answer_lost(r, &owed);
}
