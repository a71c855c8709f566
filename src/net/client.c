/*
 * One accepted connection as a pipe of bytes.
 *
 *      NEW -> READING <-> PAUSED          PAUSED: more than output_max waits to be written, or its turn is over, or
 *               |            |                    something is owed
 *               +-> ENDED <--+            EOF, a failure or client_stop(): nothing is called back any more
 *                     |
 *      (any) ---> FINISHING -> CLOSING    what is due is written, then the handles are closed
 *
 * Output: `out` takes what is appended; `block` is what is being written, untouched while libuv has it, and changes
 * places with `out` when it is used up. Large blocks are handed to libuv in pieces, so that progress is seen. What is
 * too long for one turn, or for this buffer, is owed: it is asked for in each turn in which there is room for more.
 *
 * A peer that does not read: past output_max nothing is read from it, so that the memory it can cost is bounded; if it
 * does not come down to half of that within CLIENT_STALL_MS, it is given up.
 */
#include "redlockd/net/client.h"

#include "redlockd/base/mem.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLIENT_READ_BYTES  32768ul
#define CLIENT_WRITE_BYTES 65536ul /* handed to libuv at a time */

enum client_state {
        CLIENT_NEW,
        CLIENT_READING,
        CLIENT_PAUSED,
        CLIENT_ENDED,
        CLIENT_FINISHING,
        CLIENT_CLOSING,
};

static const unsigned client_moves[] = {
        [CLIENT_NEW] = 1 << CLIENT_READING | 1 << CLIENT_ENDED | 1 << CLIENT_FINISHING | 1 << CLIENT_CLOSING,
        [CLIENT_READING] = 1 << CLIENT_PAUSED | 1 << CLIENT_ENDED | 1 << CLIENT_FINISHING,
        [CLIENT_PAUSED] = 1 << CLIENT_READING | 1 << CLIENT_ENDED | 1 << CLIENT_FINISHING,
        [CLIENT_ENDED] = 1 << CLIENT_FINISHING,
        [CLIENT_FINISHING] = 1 << CLIENT_CLOSING,
        [CLIENT_CLOSING] = 0,
};

struct client {
        uv_pipe_t pipe;
        uv_timer_t timer; /* `full`: the stall; FINISHING: the end of patience */
        uv_idle_t turn;   /* its next turn comes. (A timer of 0 ms would fire again and again in the same turn) */
        uv_write_t write;
        unsigned open_n; /* handles */
        enum client_state state;
        bool writing;    /* `write` is under way, with write_n bytes of `block` */
        bool broken;     /* nothing can be written any more */
        bool full;       /* more than output_max waited, and not yet half of it or less since */
        bool owes;       /* on_room() has more */
        bool piece_full; /* the last read filled its buffer */
        size_t write_n;
        struct buffer out;
        struct buffer block;
        struct buffer held; /* input that on_bytes() left */
        struct client_peer peer;
        gid_t *gids; /* its supplementary groups, once somebody asked */
        size_t gids_n;
        bool gids_read;
        struct client_options options;
};

/* Input is used up or copied before the loop reads for anybody else. */
static char client_input[CLIENT_READ_BYTES];

static void client_alloc_cb(uv_handle_t *handle, size_t suggested, uv_buf_t *buf);
static void client_read_cb(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf);

static void client_move(struct client *c, enum client_state state)
{
        assert(client_moves[c->state] & 1u << state);
        c->state = state;
}

static void client_free_cb(uv_handle_t *handle)
{
        struct client *c = handle->data;

        if (--c->open_n > 0)
                return;
        buffer_deinit(&c->out);
        buffer_deinit(&c->block);
        buffer_deinit(&c->held);
        mem_free(c->gids);
        mem_free(c);
}

static void client_close(struct client *c)
{
        bool owes = c->owes;

        client_move(c, CLIENT_CLOSING);
        c->owes = false;
        uv_close((uv_handle_t *)&c->timer, client_free_cb);
        uv_close((uv_handle_t *)&c->turn, client_free_cb);
        uv_close((uv_handle_t *)&c->pipe, client_free_cb);
        if (owes)
                c->options.on_end(c->options.userdata, "closed before all was said");
}

static bool client_reads(const struct client *c)
{
        return c->state == CLIENT_READING || c->state == CLIENT_PAUSED;
}

static size_t client_waiting(const struct client *c)
{
        return buffer_len(&c->out) + buffer_len(&c->block);
}

static void client_end(struct client *c, const char *reason)
{
        if (reason)
                c->broken = true;
        if (client_reads(c)) {
                client_stop(c);
                c->options.on_end(c->options.userdata, reason);
        } else if (c->state == CLIENT_FINISHING && c->broken) {
                client_close(c);
        }
}

static void client_stall_cb(uv_timer_t *timer)
{
        client_end(timer->data, "does not read its replies");
}

static void client_patience_cb(uv_timer_t *timer)
{
        client_close(timer->data);
}

static void client_pause(struct client *c)
{
        client_move(c, CLIENT_PAUSED);
        uv_read_stop((uv_stream_t *)&c->pipe);
}

/* Shows bytes once. Where some are left it is not this client's turn any more. */
static void client_feed(struct client *c, struct text *bytes)
{
        c->options.on_bytes(c->options.userdata, bytes);
        if (c->state != CLIENT_READING)
                return;
        if (bytes->len > 0)
                client_pause(c);
        client_flush(c);
}

static void client_resume(struct client *c)
{
        struct text bytes = { buffer_data(&c->held), buffer_len(&c->held) };
        size_t n = bytes.len;
        int r;

        client_move(c, CLIENT_READING);
        if (n > 0) {
                client_feed(c, &bytes);
                buffer_consume(&c->held, n - bytes.len);
        }
        if (c->state != CLIENT_READING)
                return;
        r = uv_read_start((uv_stream_t *)&c->pipe, client_alloc_cb, client_read_cb);
        if (r < 0)
                client_end(c, uv_strerror(r));
}

/* What was left over has its turn: output first, since what is read now is answered after it. */
static void client_turn_cb(uv_idle_t *turn)
{
        struct client *c = turn->data;

        uv_idle_stop(&c->turn);
        if (c->full)
                return; /* more has come meanwhile */
        if (!c->owes) {
                client_resume(c);
                return;
        }
        c->owes = false;
        if (c->options.on_room(c->options.userdata) && c->state != CLIENT_CLOSING)
                c->owes = true;
        client_flush(c);
}

static void client_gauge(struct client *c)
{
        bool was = c->full;

        c->full = was ? client_waiting(c) > c->options.output_max / 2 : client_full(c);
        if (c->full == was || !client_reads(c))
                return;
        if (c->full)
                uv_timer_start(&c->timer, client_stall_cb, CLIENT_STALL_MS, 0);
        else
                uv_timer_stop(&c->timer);
}

/* What follows from how much waits now. */
static void client_balance(struct client *c)
{
        client_gauge(c);
        if (c->state == CLIENT_READING && (c->full || c->owes))
                client_pause(c);
        if (c->state == CLIENT_FINISHING && client_waiting(c) == 0 && !c->owes)
                client_close(c);
        else if (!c->full && (c->state == CLIENT_PAUSED || (c->state == CLIENT_FINISHING && c->owes)))
                uv_idle_start(&c->turn, client_turn_cb);
}

static void client_write_cb(uv_write_t *write, int status)
{
        struct client *c = write->data;

        c->writing = false;
        if (c->state == CLIENT_CLOSING)
                return;
        if (status < 0) {
                client_end(c, uv_strerror(status));
                return;
        }
        buffer_consume(&c->block, c->write_n);
        client_flush(c);
}

static uv_buf_t client_piece(const struct client *c)
{
        size_t n = buffer_len(&c->block);

        /* libuv's type has no const; it only reads. */
        return uv_buf_init((char *)(uintptr_t)buffer_data(&c->block), n < CLIENT_WRITE_BYTES ? n : CLIENT_WRITE_BYTES);
}

static void client_flush_block(struct client *c)
{
        struct buffer empty;
        uv_buf_t piece;
        int r;

        for (;;) {
                if (buffer_len(&c->block) == 0) {
                        empty = c->block;
                        c->block = c->out;
                        c->out = empty;
                }
                if (buffer_len(&c->block) == 0)
                        return;
                piece = client_piece(c);
                r = uv_try_write((uv_stream_t *)&c->pipe, &piece, 1);
                if (r == UV_EAGAIN || r == 0)
                        break;
                if (r < 0) {
                        client_end(c, uv_strerror(r));
                        return;
                }
                buffer_consume(&c->block, r);
        }
        c->write_n = piece.len;
        r = uv_write(&c->write, (uv_stream_t *)&c->pipe, &piece, 1, client_write_cb);
        if (r < 0)
                client_end(c, uv_strerror(r));
        else
                c->writing = true;
}

void client_flush(struct client *c)
{
        if (c->state == CLIENT_CLOSING)
                return;
        if (!c->writing && !c->broken)
                client_flush_block(c);
        client_balance(c);
}

/*
 * libuv reads on while the buffer comes back full. An empty buffer breaks that off until the next turn, so that one
 * busy client does not keep the others waiting.
 */
static void client_alloc_cb(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
        struct client *c = handle->data;

        *buf = c->piece_full ? uv_buf_init(NULL, 0) : uv_buf_init(client_input, sizeof(client_input));
        c->piece_full = false;
}

static void client_read_cb(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
        struct client *c = stream->data;
        struct text bytes = { client_input, n > 0 ? n : 0 };
        int r;

        if (n == 0 || n == UV_ENOBUFS)
                return;
        if (n < 0) {
                client_end(c, n == UV_EOF ? NULL : uv_strerror((int)n));
                return;
        }
        c->piece_full = n == sizeof(client_input);
        client_feed(c, &bytes);
        if (c->state != CLIENT_PAUSED || bytes.len == 0)
                return;
        r = buffer_append(&c->held, bytes.data, bytes.len);
        if (r < 0)
                client_end(c, uv_strerror(r));
}

int client_new(struct client **ret_client, int fd, const struct client_options *options)
{
        struct client *c = mem_zalloc(sizeof(*c));
        struct ucred cred;
        socklen_t cred_size = sizeof(cred);
        int r;

        if (!c || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &cred_size) < 0) {
                r = c ? -errno : -ENOMEM;
                mem_free(c);
                close(fd);
                return r;
        }
        c->options = *options;
        c->peer = (struct client_peer){ cred.pid, cred.uid, cred.gid };
        c->out = c->block = (struct buffer)BUFFER_INIT(CLIENT_OUTPUT_MAX);
        c->held = (struct buffer)BUFFER_INIT(CLIENT_READ_BYTES);
        uv_timer_init(options->loop, &c->timer);
        uv_idle_init(options->loop, &c->turn);
        uv_pipe_init(options->loop, &c->pipe, 0);
        c->open_n = 3;
        c->timer.data = c->turn.data = c->pipe.data = c->write.data = c;
        r = uv_pipe_open(&c->pipe, fd);
        if (r < 0) {
                close(fd);
                client_close(c);
                return r;
        }
        *ret_client = c;
        return 0;
}

void client_start(struct client *c)
{
        int r;

        client_move(c, CLIENT_READING);
        r = uv_read_start((uv_stream_t *)&c->pipe, client_alloc_cb, client_read_cb);
        if (r < 0)
                client_end(c, uv_strerror(r));
}

struct client_peer client_peer(const struct client *c)
{
        return c->peer;
}

/* The kernel keeps them as they were at connect(2), so that asking once is enough. */
static int client_read_groups(struct client *c)
{
        gid_t *gids = NULL;
        socklen_t size = 0;
        int r;

        /* Asked with no room it says how much it needs. */
        r = getsockopt(client_fd(c), SOL_SOCKET, SO_PEERGROUPS, NULL, &size) < 0 ? errno : 0;
        if (r == ERANGE) {
                gids = mem_zalloc(size);
                r = !gids ? ENOMEM : getsockopt(client_fd(c), SOL_SOCKET, SO_PEERGROUPS, gids, &size) < 0 ? errno : 0;
        }
        if (r > 0) {
                mem_free(gids);
                return -r;
        }
        c->gids = gids;
        c->gids_n = gids ? size / sizeof(*gids) : 0;
        c->gids_read = true;
        return 0;
}

int client_in_group(struct client *c, gid_t gid)
{
        size_t i;
        int r;

        if (c->peer.gid == gid)
                return 1;
        r = c->gids_read ? 0 : client_read_groups(c);
        for (i = 0; r == 0 && i < c->gids_n; ++i)
                r = c->gids[i] == gid;
        return r;
}

int client_fd(const struct client *c)
{
        uv_os_fd_t fd;
        int r;

        r = uv_fileno((const uv_handle_t *)&c->pipe, &fd);
        assert(r == 0);
        return fd;
}

struct buffer *client_output(struct client *c)
{
        return &c->out;
}

bool client_full(const struct client *c)
{
        return client_waiting(c) > c->options.output_max;
}

void client_owe(struct client *c)
{
        c->owes = true;
}

void client_stop(struct client *c)
{
        if (c->state >= CLIENT_ENDED)
                return;
        client_move(c, CLIENT_ENDED);
        uv_read_stop((uv_stream_t *)&c->pipe);
        uv_timer_stop(&c->timer);
        uv_idle_stop(&c->turn);
}

void client_finish(struct client *c)
{
        client_stop(c);
        client_move(c, CLIENT_FINISHING);
        if (c->broken) {
                client_close(c);
                return;
        }
        uv_timer_start(&c->timer, client_patience_cb, CLIENT_FINISH_MS, 0);
        client_flush(c);
}
