/*
 * Listening on one node: against the scripted Redis, and a real one.
 */
#include "net/fake_redis.h"
#include "net/real_redis.h"
#include "redlockd/base/mem.h"
#include "redlockd/net/redis_ears.h"
#include "unit/unit.h"

#include <inttypes.h>
#include <stdlib.h>

#define SHORT_MS 200

struct hearing {
        uv_loop_t loop;
        struct address address;
        struct redis_ears_options options;
        struct redis_ears *ears;
        struct fake_redis fake;
        char heard[512]; /* what was called back, a line each */
        bool closed;
        uint64_t live;
};

static void on_heard(void *userdata, unsigned node, struct text key, bool released, uint64_t listeners_n)
{
        struct hearing *h = userdata;
        size_t n = strlen(h->heard);

        ck_assert_uint_eq(node, 3);
        if (released)
                snprintf(h->heard + n, sizeof(h->heard) - n, "free %.*s %" PRIu64 "\n", (int)key.len, key.data,
                         listeners_n);
        else
                snprintf(h->heard + n, sizeof(h->heard) - n, "listening %.*s\n", (int)key.len, key.data);
}

static void on_deaf(void *userdata, unsigned node, const char *reason)
{
        struct hearing *h = userdata;
        size_t n = strlen(h->heard);

        snprintf(h->heard + n, sizeof(h->heard) - n, "deaf %s\n", reason);
}

static void on_closed(void *userdata, unsigned node)
{
        ((struct hearing *)userdata)->closed = true;
}

static void until_heard(struct hearing *h, const char *lines)
{
        while (strcmp(h->heard, lines) != 0) {
                ck_assert_msg(strncmp(lines, h->heard, strlen(h->heard)) == 0, "%s, and not %s", h->heard, lines);
                redis_ears_flush(h->ears);
                uv_run(&h->loop, UV_RUN_ONCE);
        }
        h->heard[0] = '\0';
}

static void until_asked(struct hearing *h, const char *words, unsigned n)
{
        while (fake_redis_count(&h->fake, words) < n) {
                redis_ears_flush(h->ears);
                uv_run(&h->loop, UV_RUN_ONCE);
        }
}

static void hearing_init(struct hearing *h, int port)
{
        static char host[] = "127.0.0.1";

        *h = (struct hearing){ .live = mem_live() };
        ck_assert_int_eq(uv_loop_init(&h->loop), 0);
        h->address = (struct address){ .kind = ADDRESS_TCP, .host = host, .port = (uint16_t)port };
        h->options = (struct redis_ears_options){ .loop = &h->loop,
                                                  .node = 3,
                                                  .address = &h->address,
                                                  .key_prefix = "",
                                                  .connect_timeout_ms = 20000,
                                                  .reconnect_min_ms = 1,
                                                  .reconnect_max_ms = 4,
                                                  .userdata = h,
                                                  .on_heard = on_heard,
                                                  .on_deaf = on_deaf };
        if (port != 0)
                return;
        fake_redis_bind_tcp(&h->fake, &h->loop, host);
        fake_redis_listen(&h->fake);
        h->address.port = (uint16_t)h->fake.port;
        fake_redis_rule(&h->fake, "SUBSCRIBE", "");
        fake_redis_rule(&h->fake, "UNSUBSCRIBE", "");
        fake_redis_rule(&h->fake, "PING", "");
}

static void hearing_start(struct hearing *h)
{
        ck_assert_int_eq(redis_ears_new(&h->ears, &h->options), 0);
}

static void hearing_end(struct hearing *h)
{
        redis_ears_close(h->ears, on_closed);
        if (h->fake.bound)
                fake_redis_close(&h->fake);
        uv_run(&h->loop, UV_RUN_DEFAULT);
        ck_assert(h->closed);
        ck_assert_int_eq(uv_loop_close(&h->loop), 0);
        ck_assert_uint_eq(mem_live(), h->live);
}

static void listen_to(struct hearing *h, const char *key)
{
        ck_assert_int_eq(redis_ears_listen(h->ears, text_of(key), true), 0);
}

#define SUBSCRIBED(len, channel) "*3\r\n$9\r\nsubscribe\r\n$" #len "\r\n" channel "\r\n:1\r\n"
#define MESSAGE(len, channel)    "*3\r\n$7\r\nmessage\r\n$" #len "\r\n" channel "\r\n$1\r\n2\r\n"

START_TEST(nothing_is_connected_before_there_is_something_to_listen_for)
{
        struct hearing h;

        hearing_init(&h, 0);
        hearing_start(&h);
        ck_assert_int_eq(redis_ears_listen(h.ears, text_of("k"), false), 0);
        uv_run(&h.loop, UV_RUN_NOWAIT);
        ck_assert_uint_eq(h.fake.connections_n, 0);
        listen_to(&h, "k");
        until_asked(&h, "SUBSCRIBE redlockd:free:k", 1);
        hearing_end(&h);
}
END_TEST

START_TEST(what_is_said_of_a_key_is_called_back)
{
        struct hearing h;

        hearing_init(&h, 0);
        h.options.key_prefix = "p:";
        hearing_start(&h);
        listen_to(&h, "k");
        until_asked(&h, "SUBSCRIBE redlockd:free:p:k", 1);
        fake_redis_reply(&h.fake, SUBSCRIBED(17, "redlockd:free:p:k"));
        until_heard(&h, "listening k\n");
        /* of another key, in pieces, and of a key that is not listened for any more */
        fake_redis_reply(&h.fake, MESSAGE(17, "redlockd:free:p:x") "*3\r\n$7\r\nmess");
        uv_run(&h.loop, UV_RUN_ONCE);
        fake_redis_reply(&h.fake, "age\r\n$17\r\nredlockd:free:p:k\r\n$2\r\n14\r\n");
        until_heard(&h, "free k 14\n");
        listen_to(&h, "s");
        redis_ears_listen(h.ears, text_of("k"), false);
        until_asked(&h, "UNSUBSCRIBE redlockd:free:p:k", 1);
        fake_redis_reply(&h.fake, MESSAGE(17, "redlockd:free:p:k") "*3\r\n$11\r\nunsubscribe\r\n$17\r\nredlockd:free:p:"
                                                                   "k\r\n:0\r\n" MESSAGE(17, "redlockd:free:p:s"));
        until_heard(&h, "free s 2\n");
        listen_to(&h, "k");
        until_asked(&h, "SUBSCRIBE redlockd:free:p:k", 2);
        fake_redis_reply(&h.fake, SUBSCRIBED(17, "redlockd:free:p:k"));
        until_heard(&h, "listening k\n");
        ck_assert_uint_eq(h.fake.connections_n, 1);
        hearing_end(&h);
}
END_TEST

START_TEST(after_a_failure_it_listens_anew_for_all_that_is_wished)
{
        struct hearing h;

        hearing_init(&h, 0);
        hearing_start(&h);
        listen_to(&h, "a");
        listen_to(&h, "b");
        listen_to(&h, "c");
        listen_to(&h, "a");
        redis_ears_listen(h.ears, text_of("c"), false);
        until_asked(&h, "SUBSCRIBE", 2);
        fake_redis_hang_up(&h.fake);
        until_asked(&h, "SUBSCRIBE redlockd:free:a", 2);
        until_asked(&h, "SUBSCRIBE redlockd:free:b", 2);
        ck_assert_uint_eq(fake_redis_count(&h.fake, "SUBSCRIBE redlockd:free:c"), 0);
        until_heard(&h, "deaf connection: closed by the server\n");
        /* the same reason again is not told again */
        fake_redis_hang_up(&h.fake);
        until_asked(&h, "SUBSCRIBE redlockd:free:a", 3);
        ck_assert_str_eq(h.heard, "");
        hearing_end(&h);
}
END_TEST

START_TEST(what_makes_no_sense_ends_the_connection)
{
        static const char *const bad[] = {
                ":1\r\n",
                "$2\r\nOK\r\n",
                "*0\r\n",
                "*1\r\n$7\r\nmessage\r\n",
                "*3\r\n:1\r\n:2\r\n:3\r\n",
                "*3\r\n$3\r\nwhy\r\n$1\r\nx\r\n:1\r\n",
                "*3\r\n$9\r\nsubscribe\r\n:1\r\n:1\r\n",
                "*3\r\n$9\r\nsubscribe\r\n*1\r\n:1\r\n:1\r\n",
                "hello\r\n",
                "*200000000\r\n",
        };
        struct hearing h;
        unsigned i;

        hearing_init(&h, 0);
        hearing_start(&h);
        listen_to(&h, "k");
        for (i = 0; i < sizeof(bad) / sizeof(bad[0]); ++i) {
                until_asked(&h, "SUBSCRIBE", i + 1);
                fake_redis_reply(&h.fake, bad[i]);
        }
        until_asked(&h, "SUBSCRIBE", i + 1);
        ck_assert_uint_eq(h.fake.connections_n, i + 1);
        hearing_end(&h);
}
END_TEST

START_TEST(a_refusal_is_told_without_the_password)
{
        static char password[] = "secret";
        struct hearing h;

        hearing_init(&h, 0);
        h.address.password = password;
        hearing_start(&h);
        fake_redis_rule(&h.fake, "AUTH", "-ERR unknown command 'AUTH', with args beginning with: 'secret'\r\n");
        listen_to(&h, "k");
        until_heard(&h, "deaf ERR unknown command\n");
        fake_redis_rule(&h.fake, "AUTH", "+OK\r\n");
        fake_redis_rule(&h.fake, "SUBSCRIBE", "-NOPERM this user has no permissions\r\n");
        until_heard(&h, "deaf NOPERM this user has no permissions\n");
        fake_redis_rule(&h.fake, "SUBSCRIBE", SUBSCRIBED(15, "redlockd:free:k"));
        until_heard(&h, "listening k\n");
        hearing_end(&h);
}
END_TEST

START_TEST(silence_ends_the_connection)
{
        struct hearing h;

        hearing_init(&h, 0);
        h.options.connect_timeout_ms = SHORT_MS;
        hearing_start(&h);
        listen_to(&h, "k");
        until_heard(&h, "deaf no answer\n");
        /* answered, it stays; PING is asked meanwhile, and not answered */
        until_asked(&h, "SUBSCRIBE", 2);
        fake_redis_reply(&h.fake, SUBSCRIBED(15, "redlockd:free:k"));
        until_heard(&h, "listening k\n");
        until_asked(&h, "PING", 1);
        until_heard(&h, "deaf no answer\n");
        hearing_end(&h);
}
END_TEST

START_TEST(a_real_server_tells_who_released_what)
{
        struct real_redis server;
        struct hearing h;

        real_redis_start(&server);
        hearing_init(&h, server.port);
        hearing_start(&h);
        listen_to(&h, "k");
        until_heard(&h, "listening k\n");
        ck_assert_str_eq(real_redis_do(&server, "PUBLISH redlockd:free:k 1"), ":1\r\n");
        until_heard(&h, "free k 1\n");
        redis_ears_listen(h.ears, text_of("k"), false);
        do {
                redis_ears_flush(h.ears);
                uv_run(&h.loop, UV_RUN_NOWAIT);
        } while (strcmp(real_redis_do(&server, "PUBLISH redlockd:free:k 1"), ":0\r\n") != 0);
        listen_to(&h, "k");
        redis_ears_flush(h.ears);
        h.heard[0] = '\0';
        until_heard(&h, "listening k\n");
        real_redis_do(&server, "CLIENT KILL TYPE pubsub");
        until_heard(&h, "deaf connection: closed by the server\nlistening k\n");
        hearing_end(&h);
        real_redis_stop(&server);
}
END_TEST

UNIT_MAIN("ears", nothing_is_connected_before_there_is_something_to_listen_for, what_is_said_of_a_key_is_called_back,
          after_a_failure_it_listens_anew_for_all_that_is_wished, what_makes_no_sense_ends_the_connection,
          a_refusal_is_told_without_the_password, silence_ends_the_connection, a_real_server_tells_who_released_what)
