/*
 * The life of the connection for listening:
 *
 *      IDLE --first key--> CONNECTING --connected--> UP
 *       ^                      |  ^                   |
 *       |                      |  `--timer, keys--.   |
 *       `--timer, no key-- RESTING <--------------+---' any failure
 *
 *      any of them --redis_ears_close--> CLOSING --handles closed--> freed
 *
 * AUTH, where the address has a password, and SUBSCRIBE go out together. In this mode Redis answers to SUBSCRIBE and
 * UNSUBSCRIBE with a push for each channel, to PING with one, and sends what is published as others; so nothing is
 * counted: what comes is what it says. Only silence is watched: what was asked is followed by some byte within the
 * timeout, and while there are keys PING asks.
 *
 * UP without keys costs nothing and stays.
 */
#include "redlockd/net/redis_ears.h"

#include "redlockd/base/map.h"
#include "redlockd/base/mem.h"
#include "redlockd/core/types.h"
#include "redlockd/net/clock.h"
#include "redlockd/net/redis.h"
#include "redlockd/net/redis_codec.h"
#include "redlockd/net/redis_hello.h"
#include "redlockd/net/redis_link.h"
#include "redlockd/net/redis_script.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define NS_PER_MS UINT64_C(1000000)

enum ears_state {
        EARS_IDLE,
        EARS_RESTING,
        EARS_CONNECTING,
        EARS_UP,
        EARS_CLOSING,
};

static const unsigned ears_moves[] = {
        [EARS_IDLE] = 1 << EARS_CONNECTING | 1 << EARS_CLOSING,
        [EARS_RESTING] = 1 << EARS_CONNECTING | 1 << EARS_IDLE | 1 << EARS_CLOSING,
        [EARS_CONNECTING] = 1 << EARS_UP | 1 << EARS_RESTING | 1 << EARS_CLOSING,
        [EARS_UP] = 1 << EARS_RESTING | 1 << EARS_CLOSING,
        [EARS_CLOSING] = 0,
};

struct ear {
        struct map_link link;
        size_t channel_len;
        char channel[]; /* REDIS_CHANNEL_PREFIX, the keys' prefix, the key */
};

struct redis_ears {
        struct redis_ears_options options;
        enum ears_state state;
        struct redis_link *link;
        unsigned links_n; /* the present one and those that libuv has not let go of */
        struct redis_reader *reader;
        uv_timer_t timer;
        bool timer_closed;
        uint64_t delay_ms;
        uint64_t asked_ns; /* since when some answer is waited for; 0: since nothing was asked, or since it came */
        bool overdue;      /* the answer is, and the loop had no turn since that was seen */
        bool greeting;     /* AUTH is not answered yet */
        struct map ears;   /* by channel */
        struct hash_seed seed;
        size_t key_at; /* in a channel */
        char deaf[NODE_REASON_MAX];
        void (*on_closed)(void *userdata, unsigned node);
};

static void ears_timer_cb(uv_timer_t *timer);

static void ears_move(struct redis_ears *e, enum ears_state state)
{
        assert(ears_moves[e->state] & 1U << state);
        e->state = state;
}

static void ears_arm(struct redis_ears *e, uint64_t ms)
{
        uv_timer_start(&e->timer, ears_timer_cb, ms, 0);
}

static struct ear *ears_find(const struct redis_ears *e, struct text channel)
{
        struct map_link *link;

        for (link = map_first(&e->ears, hash_text(&e->seed, channel)); link; link = map_next(link)) {
                struct ear *ear = container_of(link, struct ear, link);

                if (text_equal(channel, (struct text){ ear->channel, ear->channel_len }))
                        return ear;
        }
        return NULL;
}

static int ear_new(const struct redis_ears *e, struct text key, struct ear **ret_ear)
{
        struct ear *ear = mem_zalloc(sizeof(*ear) + e->key_at + key.len + 1);

        if (!ear)
                return -ENOMEM;
        ear->channel_len = (size_t)sprintf(ear->channel, "%s%s", REDIS_CHANNEL_PREFIX, e->options.key_prefix) + key.len;
        memcpy(ear->channel + e->key_at, key.data, key.len);
        *ret_ear = ear;
        return 0;
}

static struct redis_link *ears_detach(struct redis_ears *e)
{
        e->asked_ns = 0;
        e->overdue = e->greeting = false;
        return redis_link_drop(e->link);
}

static void ears_give_up(struct redis_ears *e, const char *reason)
{
        char words[NODE_REASON_MAX];

        snprintf(words, sizeof(words), "%s", reason);
        e->link = ears_detach(e);
        ears_move(e, EARS_RESTING);
        ears_arm(e, e->delay_ms);
        e->delay_ms = e->delay_ms * 2 < e->options.reconnect_max_ms ? e->delay_ms * 2 : e->options.reconnect_max_ms;
        if (strcmp(words, e->deaf) == 0)
                return;
        snprintf(e->deaf, sizeof(e->deaf), "%s", words);
        e->options.on_deaf(e->options.userdata, e->options.node, e->deaf);
}

static void ears_free_closed(struct redis_ears *e)
{
        struct map_link *link;

        if (e->state != EARS_CLOSING || !e->timer_closed || e->links_n > 0)
                return;
        e->on_closed(e->options.userdata, e->options.node);
        while ((link = map_any(&e->ears))) {
                map_unlink(&e->ears, link);
                mem_free(container_of(link, struct ear, link));
        }
        map_deinit(&e->ears);
        redis_reader_free(e->reader);
        mem_free(e);
}

static void ears_on_gone(void *userdata)
{
        struct redis_ears *e = userdata;

        --e->links_n;
        ears_free_closed(e);
}

static void ears_closed_cb(uv_handle_t *handle)
{
        struct redis_ears *e = handle->data;

        e->timer_closed = true;
        ears_free_closed(e);
}

static void ears_on_broken(void *userdata, const char *reason)
{
        ears_give_up(userdata, reason);
}

static uint64_t ears_heartbeat_ms(const struct redis_ears *e)
{
        return e->options.connect_timeout_ms < REDIS_HEARTBEAT_MS ? e->options.connect_timeout_ms : REDIS_HEARTBEAT_MS;
}

/* Appends one command. False: there was no room for it, and the connection is given up. */
static bool ears_ask(struct redis_ears *e, const char *verb, struct text argument)
{
        const struct text args[] = { text_of(verb), argument };

        if (redis_encode(redis_link_output(e->link), args, argument.data ? 2 : 1) < 0) {
                ears_give_up(e, "too much to listen for");
                return false;
        }
        if (e->asked_ns == 0)
                e->asked_ns = clock_now_ns();
        return true;
}

static void ears_on_connected(void *userdata)
{
        struct redis_ears *e = userdata;
        struct map_link *link;

        ears_move(e, EARS_UP);
        ears_arm(e, ears_heartbeat_ms(e));
        if (redis_hello_encode_auth(redis_link_output(e->link), e->options.address, &e->greeting) < 0) {
                ears_give_up(e, "out of memory");
                return;
        }
        for (link = map_any(&e->ears); link; link = map_after(&e->ears, link)) {
                struct ear *ear = container_of(link, struct ear, link);

                if (!ears_ask(e, "SUBSCRIBE", (struct text){ ear->channel, ear->channel_len }))
                        return;
        }
        redis_link_flush(e->link);
}

/* "subscribe" channel n, "message" channel payload */
static bool ears_hear(struct redis_ears *e, const struct redis_value *element)
{
        bool message = text_equal(element[0].text, text_of("message"));
        struct text channel = element[1].text;
        struct ear *ear;

        if (text_equal(element[0].text, text_of("unsubscribe")))
                return true;
        if (element[1].kind != REDIS_VALUE_STRING || (!message && !text_equal(element[0].text, text_of("subscribe"))))
                return false;
        e->deaf[0] = '\0';
        e->delay_ms = e->options.reconnect_min_ms;
        ear = ears_find(e, channel);
        if (!ear)
                return true; /* not wished any more */
        e->options.on_heard(e->options.userdata, e->options.node,
                            (struct text){ ear->channel + e->key_at, ear->channel_len - e->key_at }, message,
                            message && element[2].kind == REDIS_VALUE_STRING ? strtoull(element[2].text.data, NULL, 10)
                                                                             : 0);
        return true;
}

static void ears_on_value(struct redis_ears *e, const struct redis_value *value)
{
        char words[NODE_REASON_MAX];

        if (value->kind == REDIS_VALUE_ERROR) {
                redis_hello_words_of_error(words, value->text, e->greeting ? e->options.address : NULL);
                ears_give_up(e, words);
        } else if (e->greeting) {
                e->greeting = false;
        } else if (value->kind == REDIS_VALUE_STATUS) {
                return; /* PONG, where nothing is subscribed to */
        } else if (value->kind != REDIS_VALUE_ARRAY || value->elements_n < 2 || value[1].kind != REDIS_VALUE_STRING ||
                   (value->elements_n == 3 && !ears_hear(e, value + 1))) {
                ears_give_up(e, "an answer of the wrong shape to SUBSCRIBE");
        }
}

static void ears_on_bytes(void *userdata, const char *bytes, size_t n)
{
        struct redis_ears *e = userdata;
        const struct redis_link *link = e->link;
        const struct redis_value *value;
        int k;

        e->asked_ns = 0;
        if (redis_reader_feed(e->reader, bytes, n) == 0) {
                while ((k = redis_reader_next(e->reader, &value)) > 0) {
                        ears_on_value(e, value);
                        if (e->link != link)
                                return;
                }
                if (k == 0)
                        return;
        }
        ears_give_up(e, redis_reader_reason(e->reader));
}

static void ears_connect(struct redis_ears *e)
{
        const struct redis_link_options options = {
                .loop = e->options.loop,
                .address = e->options.address,
                .output_max = REDIS_OUTPUT_MAX,
                .userdata = e,
                .on_connected = ears_on_connected,
                .on_bytes = ears_on_bytes,
                .on_broken = ears_on_broken,
                .on_gone = ears_on_gone,
        };

        ears_move(e, EARS_CONNECTING);
        ears_arm(e, e->options.connect_timeout_ms);
        if (redis_reader_reset(e->reader) < 0 || redis_link_new(&e->link, &options) < 0) {
                ears_give_up(e, "out of memory");
                return;
        }
        ++e->links_n;
        redis_link_open(e->link);
}

static void ears_beat(struct redis_ears *e)
{
        const uint64_t timeout_ns = e->options.connect_timeout_ms * NS_PER_MS;

        if (e->asked_ns > 0 && clock_now_ns() - e->asked_ns >= timeout_ns) {
                /* this process may have stood still: what was answered meanwhile is read first */
                if (e->overdue) {
                        ears_give_up(e, "no answer");
                        return;
                }
                e->overdue = true;
                ears_arm(e, 1);
                return;
        }
        e->overdue = false;
        if (e->ears.n == 0)
                return;
        if (e->asked_ns == 0 && !ears_ask(e, "PING", (struct text){ 0 }))
                return;
        ears_arm(e, ears_heartbeat_ms(e));
        redis_link_flush(e->link);
}

static void ears_timer_cb(uv_timer_t *timer)
{
        struct redis_ears *e = timer->data;

        switch (e->state) {
        case EARS_RESTING:
                if (e->ears.n > 0)
                        ears_connect(e);
                else
                        ears_move(e, EARS_IDLE);
                break;
        case EARS_CONNECTING:
                ears_give_up(e, "no answer");
                break;
        case EARS_UP:
                ears_beat(e);
                break;
        case EARS_IDLE:
        case EARS_CLOSING:
                break;
        }
}

int redis_ears_new(struct redis_ears **ret_ears, const struct redis_ears_options *options)
{
        struct redis_ears *e = mem_zalloc(sizeof(*e));
        int r;

        if (!e)
                return -ENOMEM;
        if (map_init(&e->ears) < 0) {
                mem_free(e);
                return -ENOMEM;
        }
        r = redis_reader_new(&e->reader);
        if (r < 0) {
                map_deinit(&e->ears);
                mem_free(e);
                return r;
        }
        e->options = *options;
        e->delay_ms = options->reconnect_min_ms;
        e->key_at = strlen(REDIS_CHANNEL_PREFIX) + strlen(options->key_prefix);
        uv_random(NULL, NULL, &e->seed, sizeof(e->seed), 0, NULL);
        r = uv_timer_init(options->loop, &e->timer);
        assert(r == 0);
        e->timer.data = e;
        *ret_ears = e;
        return 0;
}

static void ears_unlisten(struct redis_ears *e, struct ear *ear)
{
        map_unlink(&e->ears, &ear->link);
        if (e->state == EARS_UP)
                ears_ask(e, "UNSUBSCRIBE", (struct text){ ear->channel, ear->channel_len });
        mem_free(ear);
}

int redis_ears_listen(struct redis_ears *e, struct text key, bool on)
{
        struct ear *ear, *present;
        struct text channel;
        int r;

        r = ear_new(e, key, &ear);
        if (r < 0)
                return r;
        channel = (struct text){ ear->channel, ear->channel_len };
        present = ears_find(e, channel);
        if (present || !on) {
                mem_free(ear);
                if (present && !on)
                        ears_unlisten(e, present);
                return 0;
        }
        map_link(&e->ears, &ear->link, hash_text(&e->seed, channel));
        if (e->state == EARS_IDLE)
                ears_connect(e);
        else if (e->state == EARS_UP && ears_ask(e, "SUBSCRIBE", channel) && !uv_is_active((uv_handle_t *)&e->timer))
                ears_arm(e, ears_heartbeat_ms(e));
        return 0;
}

void redis_ears_flush(struct redis_ears *e)
{
        if (e->link)
                redis_link_flush(e->link);
}

void redis_ears_close(struct redis_ears *e, void (*on_closed)(void *userdata, unsigned node))
{
        ears_move(e, EARS_CLOSING);
        e->on_closed = on_closed;
        e->link = ears_detach(e);
        uv_close((uv_handle_t *)&e->timer, ears_closed_cb);
}
