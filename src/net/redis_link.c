/*
 * One connection, over TCP or a Unix socket.
 *
 *                   no address is left          the stream breaks
 *                  .-------------------> BROKEN <-----------.
 *      RESOLVING --+--> DIALING -----------------------> OPEN
 *       (a name)        |     ^
 *                       v     |  that address failed: its handle
 *                       TURNING  closes before the next is tried
 *
 *      any of them --redis_link_drop--> DROPPED --libuv lets go--> freed
 *
 * Invariants: at most one handle at a time, and libuv holds nothing of the link when it is freed: not the handle, not
 * the resolve request. A resolver's thread cannot be stopped: then the link outlives its owner's interest until that
 * thread comes back. `writing` is what libuv is writing; it does not move meanwhile, what comes on top waits in
 * `output`.
 *
 * A link that calls on_broken may be dropped in it and, without a handle, freed: nothing follows link_break().
 *
 * Dropping resets (SO_LINGER 0). After a plain close the kernel would go on sending what it still has for as long as
 * the other side can be reached, and the server would carry it out after whatever the next connection brought.
 */
#include "redlockd/net/redis_link.h"

#include "redlockd/base/mem.h"
#include "redlockd/core/types.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <sys/un.h>

#define LINK_ADDRESSES_MAX 8
#define LINK_INPUT_MAX     (16 * 1024)
#define LINK_KEEPALIVE_S   30
#define LINK_OUTPUT_KEPT   262144ul /* what a busy turn of the loop brings is not made room for anew each time */

enum link_state {
        LINK_RESOLVING,
        LINK_DIALING,
        LINK_TURNING,
        LINK_OPEN,
        LINK_BROKEN,
        LINK_DROPPED,
};

static const unsigned link_moves[] = {
        [LINK_RESOLVING] = 1 << LINK_DIALING | 1 << LINK_BROKEN | 1 << LINK_DROPPED,
        [LINK_DIALING] = 1 << LINK_TURNING | 1 << LINK_OPEN | 1 << LINK_BROKEN | 1 << LINK_DROPPED,
        [LINK_TURNING] = 1 << LINK_DIALING | 1 << LINK_DROPPED,
        [LINK_OPEN] = 1 << LINK_BROKEN | 1 << LINK_DROPPED,
        [LINK_BROKEN] = 1 << LINK_DROPPED,
        [LINK_DROPPED] = 0,
};

struct redis_link {
        struct redis_link_options options;
        enum link_state state;
        bool resolving; /* libuv holds `resolve` */
        bool handled;   /* libuv holds the handle */
        uv_getaddrinfo_t resolve;
        struct sockaddr_storage addresses[LINK_ADDRESSES_MAX];
        unsigned addresses_n;
        unsigned tried_n;
        union {
                uv_handle_t handle;
                uv_stream_t stream;
                uv_tcp_t tcp;
                uv_pipe_t pipe;
        };
        uv_connect_t connect;
        uv_write_t write;
        struct buffer output;
        struct buffer writing;
        char input[LINK_INPUT_MAX];
};

static void link_dial(struct redis_link *l);

static void link_move(struct redis_link *l, enum link_state state)
{
        assert(link_moves[l->state] & 1U << state);
        l->state = state;
}

static void link_free(struct redis_link *l)
{
        const struct redis_link_options options = l->options;

        assert(l->state == LINK_DROPPED && !l->resolving && !l->handled);
        buffer_deinit(&l->output);
        buffer_deinit(&l->writing);
        mem_free(l);
        options.on_gone(options.userdata);
}

/* The last thing that a function does: the link may be gone when it returns. */
static void link_break(struct redis_link *l, const char *what, int error)
{
        char reason[NODE_REASON_MAX];

        link_move(l, LINK_BROKEN);
        if (error == UV_EOF)
                snprintf(reason, sizeof(reason), "%s: closed by the server", what);
        else
                snprintf(reason, sizeof(reason), "%s: %s", what, uv_strerror(error));
        l->options.on_broken(l->options.userdata, reason);
}

static void link_closed_cb(uv_handle_t *handle)
{
        struct redis_link *l = handle->data;

        l->handled = false;
        if (l->state == LINK_DROPPED)
                link_free(l);
        else
                link_dial(l);
}

/* On to the next address, if there is one. */
static void link_turn(struct redis_link *l, int error)
{
        const struct sockaddr_storage *address = &l->addresses[(l->options.skip + l->tried_n - 1) % l->addresses_n];
        char ip[INET6_ADDRSTRLEN] = "", what[NODE_REASON_MAX];

        if (l->tried_n < l->addresses_n) {
                link_move(l, LINK_TURNING);
                uv_close(&l->handle, link_closed_cb);
                return;
        }
        if (address->ss_family == AF_INET6)
                uv_ip6_name((const struct sockaddr_in6 *)address, ip, sizeof(ip));
        else
                uv_ip4_name((const struct sockaddr_in *)address, ip, sizeof(ip));
        snprintf(what, sizeof(what), "connect to %s", ip);
        link_break(l, what, error);
}

static void link_alloc_cb(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buf)
{
        struct redis_link *l = handle->data;

        *ret_buf = uv_buf_init(l->input, sizeof(l->input));
}

static void link_read_cb(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
        struct redis_link *l = stream->data;

        if (l->state != LINK_OPEN)
                return;
        if (n < 0)
                link_break(l, "connection", (int)n);
        else if (n > 0)
                l->options.on_bytes(l->options.userdata, buf->base, (size_t)n);
}

static void link_connected_cb(uv_connect_t *req, int status)
{
        struct redis_link *l = req->data;

        if (l->state != LINK_DIALING)
                return; /* dropped: the handle is closing */
        if (status == 0)
                status = uv_read_start(&l->stream, link_alloc_cb, link_read_cb);
        if (status < 0) {
                if (l->options.address->kind == ADDRESS_UNIX)
                        link_break(l, "connect", status);
                else
                        link_turn(l, status);
                return;
        }
        if (l->options.address->kind == ADDRESS_TCP) {
                uv_tcp_nodelay(&l->tcp, 1);
                uv_tcp_keepalive(&l->tcp, 1, LINK_KEEPALIVE_S);
        }
        link_move(l, LINK_OPEN);
        l->options.on_connected(l->options.userdata);
}

static void link_dial(struct redis_link *l)
{
        const struct sockaddr_storage *address = &l->addresses[(l->options.skip + l->tried_n) % l->addresses_n];
        int r;

        link_move(l, LINK_DIALING);
        ++l->tried_n;
        r = uv_tcp_init(l->options.loop, &l->tcp);
        assert(r == 0); /* it makes no socket yet */
        l->handle.data = l;
        l->handled = true;
        r = uv_tcp_connect(&l->connect, &l->tcp, (const struct sockaddr *)address, link_connected_cb);
        if (r < 0)
                link_turn(l, r);
}

static void link_dial_unix(struct redis_link *l)
{
        const char *path = l->options.address->path;
        int r;

        link_move(l, LINK_DIALING);
        /* libuv would cut it to what fits, and connect to another socket */
        if (strlen(path) >= sizeof(((struct sockaddr_un *)0)->sun_path)) {
                link_break(l, "connect", UV_ENAMETOOLONG);
                return;
        }
        r = uv_pipe_init(l->options.loop, &l->pipe, 0);
        assert(r == 0);
        l->handle.data = l;
        l->handled = true;
        uv_pipe_connect(&l->connect, &l->pipe, path, link_connected_cb);
}

static void link_resolved_cb(uv_getaddrinfo_t *req, int status, struct addrinfo *list)
{
        struct redis_link *l = req->data;
        const struct addrinfo *info;

        l->resolving = false;
        for (info = list; info && l->addresses_n < LINK_ADDRESSES_MAX; info = info->ai_next)
                if (info->ai_family == AF_INET || info->ai_family == AF_INET6)
                        memcpy(&l->addresses[l->addresses_n++], info->ai_addr, info->ai_addrlen);
        uv_freeaddrinfo(list);
        if (l->state == LINK_DROPPED)
                link_free(l);
        else if (l->addresses_n == 0)
                link_break(l, "resolve", status < 0 ? status : UV_EAI_NODATA);
        else
                link_dial(l);
}

/* A number is taken as it is: names may keep all of the resolver's threads busy for long. */
static void link_resolve(struct redis_link *l)
{
        const struct addrinfo hints = { .ai_family = AF_UNSPEC,
                                        .ai_socktype = SOCK_STREAM,
                                        .ai_flags = AI_NUMERICSERV };
        const struct address *a = l->options.address;
        char port[8];
        int r;

        if (uv_ip4_addr(a->host, a->port, (struct sockaddr_in *)&l->addresses[0]) == 0 ||
            uv_ip6_addr(a->host, a->port, (struct sockaddr_in6 *)&l->addresses[0]) == 0) {
                l->addresses_n = 1;
                link_dial(l);
                return;
        }
        snprintf(port, sizeof(port), "%u", a->port);
        l->resolve.data = l;
        r = uv_getaddrinfo(l->options.loop, &l->resolve, link_resolved_cb, a->host, port, &hints);
        if (r < 0)
                link_break(l, "resolve", r);
        else
                l->resolving = true;
}

int redis_link_new(struct redis_link **ret_link, const struct redis_link_options *options)
{
        struct redis_link *l = mem_zalloc(sizeof(*l));

        if (!l)
                return -ENOMEM;
        l->options = *options;
        l->output.max = l->writing.max = options->output_max;
        l->output.keep = l->writing.keep = LINK_OUTPUT_KEPT;
        l->connect.data = l->write.data = l;
        *ret_link = l;
        return 0;
}

void redis_link_open(struct redis_link *l)
{
        if (l->options.address->kind == ADDRESS_UNIX)
                link_dial_unix(l);
        else
                link_resolve(l);
}

struct buffer *redis_link_output(struct redis_link *l)
{
        return &l->output;
}

static void link_written_cb(uv_write_t *req, int status)
{
        struct redis_link *l = req->data;

        if (l->state != LINK_OPEN)
                return;
        buffer_consume(&l->writing, buffer_len(&l->writing));
        l->output.max = l->options.output_max;
        if (status < 0)
                link_break(l, "connection", status);
        else
                redis_link_flush(l);
}

void redis_link_flush(struct redis_link *l)
{
        struct buffer swap;
        uv_buf_t buf;
        int r;

        if (l->state != LINK_OPEN || buffer_len(&l->writing) > 0 || buffer_len(&l->output) == 0)
                return;
        buf = uv_buf_init((char *)(uintptr_t)buffer_data(&l->output), (unsigned)buffer_len(&l->output));
        r = uv_try_write(&l->stream, &buf, 1);
        if (r > 0)
                buffer_consume(&l->output, (size_t)r);
        if ((r < 0 && r != UV_EAGAIN) || buffer_len(&l->output) == 0) {
                if (r < 0)
                        link_break(l, "connection", r);
                return;
        }
        swap = l->writing;
        l->writing = l->output;
        l->output = swap;
        l->output.max = l->options.output_max - buffer_len(&l->writing);
        buf = uv_buf_init((char *)(uintptr_t)buffer_data(&l->writing), (unsigned)buffer_len(&l->writing));
        r = uv_write(&l->write, &l->stream, &buf, 1, link_written_cb);
        if (r < 0)
                link_break(l, "connection", r);
}

struct redis_link *redis_link_drop(struct redis_link *l)
{
        const bool closing = l && l->state == LINK_TURNING;

        if (!l)
                return NULL;
        link_move(l, LINK_DROPPED);
        if (l->resolving)
                uv_cancel(
                        (uv_req_t *)&l->resolve); /* in vain once a thread is at it; its callback comes all the same */
        else if (!l->handled)
                link_free(l);
        else if (!closing &&
                 (l->options.address->kind != ADDRESS_TCP || uv_tcp_close_reset(&l->tcp, link_closed_cb) < 0))
                uv_close(&l->handle, link_closed_cb);
        return NULL;
}
