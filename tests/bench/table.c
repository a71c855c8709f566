/*
 * The table: a first-come lock table, and nothing more, behind redlockd's own wire and sockets. No ttl, no nodes, no
 * limits, no memory of who waited how long: a key has a holder and a queue. What redlockd costs beyond it is the
 * engine.
 *
 *      table SOCKET
 *
 * It knows add of one key that waits for ever, and free of one key; a client that ends loses what it held.
 */
#include "bench.h"

#include "redlockd/base/map.h"
#include "redlockd/net/client.h"
#include "redlockd/net/clock.h"
#include "redlockd/net/listener.h"
#include "redlockd/wire/line.h"
#include "redlockd/wire/reply.h"

#include <signal.h>
#include <sys/queue.h>

#define REQUEST_MAX 65536
#define KEY_MAX     64

struct peer {
        struct client *client;
        struct line_reader lines;
        bool unflushed;
        TAILQ_ENTRY(peer) entry;
};

/* A key's holder is at the front, and those who wait stand behind it. */
struct claim {
        struct peer *peer;
        char id[32];
        TAILQ_ENTRY(claim) entry;
};

struct key {
        struct map_link link;
        TAILQ_HEAD(claims, claim) queue;
        size_t len;
        char name[KEY_MAX];
};

static struct {
        uv_loop_t loop;
        struct map keys;
        struct hash_seed seed;
        TAILQ_HEAD(, peer) unflushed;
        uint64_t tokens_n;
} table = { .unflushed = TAILQ_HEAD_INITIALIZER(table.unflushed) };

static const struct request_rules rules = {
        .ttl_ms = 15000,
        .ttl_min_ms = 10,
        .ttl_max_ms = 60000,
        .retry_count = 200,
        .retry_delay_ms = 100,
        .retry_jitter_ms = 100,
        .keys_max = 64,
        .key_bytes_max = KEY_MAX,
};

static struct key *key_find(struct text name)
{
        uint64_t hash = hash_text(&table.seed, name);
        struct map_link *link;
        struct key *k;

        for (link = map_first(&table.keys, hash); link; link = map_next(link)) {
                k = container_of(link, struct key, link);
                if (text_equal(name, (struct text){ k->name, k->len }))
                        return k;
        }
        k = calloc(1, sizeof(*k));
        TAILQ_INIT(&k->queue);
        k->len = name.len;
        memcpy(k->name, name.data, name.len);
        map_link(&table.keys, &k->link, hash);
        return k;
}

static void peer_print(struct peer *p, const char *id, const struct reply *reply)
{
        const struct reply_context context = { .now_ns = clock_now_ns(), .unix_ms = clock_unix_ms() };

        if (reply_print(client_output(p->client), &context, id, reply) < 0)
                bench_die("no room for an answer");
        if (!p->unflushed)
                TAILQ_INSERT_TAIL(&table.unflushed, p, entry);
        p->unflushed = true;
}

static void key_grant(struct key *k)
{
        struct claim *first = TAILQ_FIRST(&k->queue);
        struct reply_item item = { .key = { k->name, k->len },
                                   .outcome = OUTCOME_ACQUIRED,
                                   .valid_until_ns = clock_now_ns() + 9898 * NS_PER_MS };
        struct reply reply = { .method = METHOD_ADD, .items = &item, .items_n = 1, .attempts = 1 };

        item.fence = ++table.tokens_n;
        snprintf(item.value, sizeof(item.value), "%032llx", (unsigned long long)item.fence);
        peer_print(first->peer, first->id, &reply);
}

static void key_drop(struct key *k, struct claim *claim)
{
        bool held = claim == TAILQ_FIRST(&k->queue);

        TAILQ_REMOVE(&k->queue, claim, entry);
        free(claim);
        if (held && !TAILQ_EMPTY(&k->queue))
                key_grant(k);
        if (TAILQ_EMPTY(&k->queue)) {
                map_unlink(&table.keys, &k->link);
                free(k);
        }
}

static void peer_add(struct peer *p, const char *id, struct text name)
{
        struct key *k = key_find(name);
        struct claim *claim = calloc(1, sizeof(*claim));

        claim->peer = p;
        snprintf(claim->id, sizeof(claim->id), "%s", id);
        TAILQ_INSERT_TAIL(&k->queue, claim, entry);
        if (claim == TAILQ_FIRST(&k->queue))
                key_grant(k);
}

static void peer_free_key(struct peer *p, const char *id, struct text name)
{
        struct key *k = key_find(name);
        struct claim *holder = TAILQ_FIRST(&k->queue);
        struct reply_item item = { .key = name, .outcome = OUTCOME_FREED };
        struct reply reply = { .method = METHOD_FREE, .items = &item, .items_n = 1 };

        if (!holder || holder->peer != p)
                bench_die("freed what it does not hold");
        peer_print(p, id, &reply);
        key_drop(k, holder);
}

static void peer_on_bytes(void *userdata, struct text *bytes)
{
        struct wire_request request;
        struct peer *p = userdata;
        struct text line;

        while (line_next(&p->lines, bytes, &line) == LINE_COMPLETE) {
                if (wire_request_parse(line, &rules, &request) < 0 || request.error.name != ERROR_NONE)
                        bench_die("a request that is not understood: %.*s", (int)line.len, line.data);
                if (request.request.method == METHOD_ADD)
                        peer_add(p, request.id, request.request.keys[0]);
                else
                        peer_free_key(p, request.id, request.request.keys[0]);
                wire_request_deinit(&request);
        }
}

static void peer_on_end(void *userdata, const char *reason)
{
        struct peer *p = userdata;
        struct map_link *link, *next;
        struct claim *claim, *after;

        for (link = map_any(&table.keys); link; link = next) {
                struct key *k = container_of(link, struct key, link);

                next = map_after(&table.keys, link);
                for (claim = TAILQ_LAST(&k->queue, claims); claim; claim = after) {
                        after = TAILQ_PREV(claim, claims, entry);
                        if (claim->peer == p)
                                key_drop(k, claim);
                }
        }
        if (p->unflushed)
                TAILQ_REMOVE(&table.unflushed, p, entry);
        line_deinit(&p->lines);
        client_finish(p->client);
        free(p);
}

static void table_on_connection(void *userdata, int fd)
{
        struct peer *p = calloc(1, sizeof(*p));
        const struct client_options options = { .loop = &table.loop,
                                                .output_max = 1 << 20,
                                                .userdata = p,
                                                .on_bytes = peer_on_bytes,
                                                .on_end = peer_on_end };

        line_init(&p->lines, REQUEST_MAX);
        if (client_new(&p->client, fd, &options) < 0)
                bench_die("cannot accept");
        client_start(p->client);
}

static void table_flush_cb(uv_prepare_t *prepare)
{
        struct peer *p;

        while ((p = TAILQ_FIRST(&table.unflushed))) {
                TAILQ_REMOVE(&table.unflushed, p, entry);
                p->unflushed = false;
                client_flush(p->client);
        }
}

int main(int argc, char **argv)
{
        struct listener_options options = { .loop = &table.loop, .fd = -1, .mode = 0600 };
        char error[LISTENER_ERROR_MAX] = "usage: table SOCKET";
        struct listener *listener;
        uv_prepare_t flush;

        signal(SIGPIPE, SIG_IGN);
        if (argc != 2)
                bench_die("%s", error);
        options.path = argv[1];
        options.on_connection = table_on_connection;
        uv_loop_init(&table.loop);
        uv_prepare_init(&table.loop, &flush);
        uv_prepare_start(&flush, table_flush_cb);
        if (map_init(&table.keys) < 0 || listener_new(&listener, &options, error) < 0)
                bench_die("%s", error);
        printf("ready\n");
        fflush(stdout);
        return uv_run(&table.loop, UV_RUN_DEFAULT);
}
