/*
 * The scripted Redis. Its replies are written at once (uv_try_write): when it has answered, the bytes are in the
 * kernel.
 */
#include "net/fake_redis.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FAKE_CHUNK_MAX (256 * 1024)

static const char fake_info[] = FAKE_INFO("0");

struct fake_conn {
        union {
                uv_handle_t handle;
                uv_stream_t stream;
                uv_tcp_t tcp;
                uv_pipe_t pipe;
        };
        struct fake_redis *fake;
        struct fake_conn *next; /* of the open ones */
        char *bytes;            /* of commands that are not whole yet */
        size_t bytes_n;
        unsigned loads_n;
        char chunk[FAKE_CHUNK_MAX];
};

static void fake_conn_closed_cb(uv_handle_t *handle)
{
        struct fake_conn *c = handle->data;

        free(c->bytes);
        free(c);
}

static void fake_conn_close(struct fake_conn *c)
{
        struct fake_conn **at = &c->fake->conns;

        while (*at != c)
                at = &(*at)->next;
        *at = c->next;
        if (c->fake->conn == c)
                c->fake->conn = NULL;
        uv_close(&c->handle, fake_conn_closed_cb);
}

static const char *fake_default(struct fake_conn *c, const char *name, char *space, size_t size)
{
        static const char *const shas[] = { FAKE_SHA_TAKE,  FAKE_SHA_RELEASE, FAKE_SHA_RENEW,
                                            FAKE_SHA_PLANT, FAKE_SHA_PEEK,    FAKE_SHA_BATCH };

        if (strcmp(name, "PING") == 0)
                return "+PONG\r\n";
        if (strncmp(name, "EVAL", 4) == 0)
                return "";
        if (strcmp(name, "CLIENT KILL") == 0)
                return ":1\r\n";
        if (strcmp(name, "SET") == 0)
                return "$-1\r\n";
        if (strcmp(name, "GET") == 0)
                return FAKE_STANDS(FAKE_CERTIFICATE);
        if (strcmp(name, "CONFIG") == 0)
                return "*0\r\n";
        if (strcmp(name, "CLIENT ID") == 0)
                snprintf(space, size, ":%u\r\n", c->fake->connections_n);
        else if (strcmp(name, "INFO") == 0)
                snprintf(space, size, "$%zu\r\n%s\r\n", strlen(fake_info), fake_info);
        else if (strcmp(name, "SCRIPT") == 0)
                snprintf(space, size, "$40\r\n%s\r\n", shas[c->loads_n++ % FAKE_SCRIPTS_N]);
        else
                return "+OK\r\n";
        return space;
}

static void fake_answer(struct fake_conn *c, const char *name)
{
        struct fake_redis *f = c->fake;
        char space[1024];
        const char *reply = NULL;
        unsigned i;

        if (f->mute)
                return;
        for (i = 0; i < FAKE_RULES_MAX; ++i)
                if (f->rules[i][0] && strcmp(f->rules[i][0], name) == 0)
                        reply = f->rules[i][1];
        if (!reply)
                reply = fake_default(c, name, space, sizeof(space));
        if (f->conn == c)
                fake_redis_reply(f, reply);
}

/* Keeps one command as a line; the name is its first word. */
static void fake_command(struct fake_conn *c, char *const *args, const size_t *lens, unsigned n)
{
        struct fake_redis *f = c->fake;
        char name[32], *line = NULL;
        size_t size;
        FILE *out;
        unsigned i;

        out = open_memstream(&line, &size);
        for (i = 0; i < n; ++i) {
                if (i > 0)
                        fputc(' ', out);
                if (memchr(args[i], '\n', lens[i]))
                        fputs("<script>", out);
                else
                        fwrite(args[i], 1, lens[i], out);
        }
        fclose(out);
        if (f->commands_n < FAKE_COMMANDS_MAX)
                f->commands[f->commands_n] = line;
        else
                free(line);
        ++f->commands_n;
        snprintf(name, sizeof(name), "%.*s", (int)lens[0], args[0]);
        if (strcmp(name, "CLIENT") == 0 && n > 1 && memcmp(args[1], "SETNAME", lens[1]) != 0)
                snprintf(name, sizeof(name), "CLIENT %.*s", (int)lens[1], args[1]);
        fake_answer(c, name);
}

/* The command at an offset of c->bytes. Returns its length, or 0 where it is not whole. */
static size_t fake_parse(struct fake_conn *c, size_t offset)
{
        char *at = c->bytes + offset, *end = c->bytes + c->bytes_n, *args[256];
        size_t lens[256];
        long i, n;

        if (!memchr(at, '\n', (size_t)(end - at)))
                return 0;
        assert(*at == '*');
        n = strtol(at + 1, &at, 10);
        assert(n > 0 && n <= 256);
        at += 2;
        for (i = 0; i < n; ++i) {
                if (at >= end || !memchr(at, '\n', (size_t)(end - at)))
                        return 0;
                assert(*at == '$');
                lens[i] = (size_t)strtol(at + 1, &at, 10);
                args[i] = at + 2;
                if ((size_t)(end - at) < lens[i] + 4)
                        return 0;
                at += lens[i] + 4;
        }
        fake_command(c, args, lens, (unsigned)n);
        return (size_t)(at - c->bytes) - offset;
}

static void fake_alloc_cb(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buf)
{
        struct fake_conn *c = handle->data;

        *ret_buf = uv_buf_init(c->chunk, sizeof(c->chunk));
}

static void fake_read_cb(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
        struct fake_conn *c = stream->data;
        size_t used, offset = 0;

        if (n < 0) {
                c->fake->ended = (int)n;
                ++c->fake->ended_n;
                fake_conn_close(c);
                return;
        }
        if (n == 0)
                return;
        if (c->fake->conn == c)
                ++c->fake->reads_n;
        c->bytes = realloc(c->bytes, c->bytes_n + (size_t)n + 1);
        memcpy(c->bytes + c->bytes_n, buf->base, (size_t)n);
        c->bytes_n += (size_t)n;
        c->bytes[c->bytes_n] = '\0';
        while ((used = fake_parse(c, offset)) > 0)
                offset += used;
        c->bytes_n -= offset;
        memmove(c->bytes, c->bytes + offset, c->bytes_n + 1);
}

static void fake_connection_cb(uv_stream_t *listener, int status)
{
        struct fake_redis *f = listener->data;
        struct fake_conn *c = calloc(1, sizeof(*c));
        int r;

        assert(status == 0);
        r = listener->type == UV_TCP ? uv_tcp_init(f->loop, &c->tcp) : uv_pipe_init(f->loop, &c->pipe, 0);
        assert(r == 0);
        c->fake = f;
        c->handle.data = c;
        r = uv_accept(listener, &c->stream);
        assert(r == 0);
        f->conn = c;
        c->next = f->conns;
        f->conns = c;
        ++f->connections_n;
        f->reads_n = 0;
        if (f->farewell) {
                fake_redis_reply(f, f->farewell);
                fake_conn_close(c);
        } else {
                uv_read_start(&c->stream, fake_alloc_cb, fake_read_cb);
        }
}

void fake_redis_bind_tcp(struct fake_redis *f, uv_loop_t *loop, const char *ip)
{
        struct sockaddr_storage address;
        int r, size = sizeof(address);

        *f = (struct fake_redis){ .loop = loop, .bound = true };
        if (uv_ip4_addr(ip, 0, (struct sockaddr_in *)&address) < 0)
                uv_ip6_addr(ip, 0, (struct sockaddr_in6 *)&address);
        uv_tcp_init(loop, &f->listener.tcp);
        f->listener.handle.data = f;
        r = uv_tcp_bind(&f->listener.tcp, (struct sockaddr *)&address, 0);
        assert(r == 0);
        r = uv_tcp_getsockname(&f->listener.tcp, (struct sockaddr *)&address, &size);
        assert(r == 0);
        /* the port stands at the same place in both families */
        f->port = ntohs(((struct sockaddr_in *)&address)->sin_port);
}

void fake_redis_bind_unix(struct fake_redis *f, uv_loop_t *loop, const char *path)
{
        int r;

        *f = (struct fake_redis){ .loop = loop, .bound = true };
        uv_pipe_init(loop, &f->listener.pipe, 0);
        f->listener.handle.data = f;
        r = uv_pipe_bind(&f->listener.pipe, path);
        assert(r == 0);
}

void fake_redis_listen(struct fake_redis *f)
{
        int r = uv_listen(&f->listener.stream, 16, fake_connection_cb);

        assert(r == 0);
}

void fake_redis_rule(struct fake_redis *f, const char *command, const char *reply)
{
        unsigned i;

        for (i = 0; i < FAKE_RULES_MAX; ++i) {
                if (f->rules[i][0] && strcmp(f->rules[i][0], command) != 0)
                        continue;
                f->rules[i][0] = command;
                f->rules[i][1] = reply;
                return;
        }
        assert(!"room for a rule");
}

void fake_redis_write(struct fake_redis *f, const char *bytes, size_t n)
{
        uv_buf_t buf = uv_buf_init((char *)(uintptr_t)bytes, (unsigned)n);
        int r;

        assert(f->conn);
        if (n == 0)
                return;
        r = uv_try_write(&f->conn->stream, &buf, 1);
        /* the other side may have reset it already */
        assert(r == (int)n || r == UV_EPIPE || r == UV_ECONNRESET);
}

void fake_redis_reply(struct fake_redis *f, const char *reply)
{
        fake_redis_write(f, reply, strlen(reply));
}

void fake_redis_deafen(struct fake_redis *f)
{
        uv_read_stop(&f->conn->stream);
}

void fake_redis_hear(struct fake_redis *f)
{
        uv_read_start(&f->conn->stream, fake_alloc_cb, fake_read_cb);
}

void fake_redis_hang_up(struct fake_redis *f)
{
        assert(f->conn);
        fake_conn_close(f->conn);
}

unsigned fake_redis_count(const struct fake_redis *f, const char *words)
{
        unsigned i, n = 0;

        for (i = 0; i < f->commands_n && i < FAKE_COMMANDS_MAX; ++i)
                n += strncmp(f->commands[i], words, strlen(words)) == 0;
        return n;
}

void fake_redis_close(struct fake_redis *f)
{
        unsigned i;

        while (f->conns)
                fake_conn_close(f->conns);
        if (f->bound)
                uv_close(&f->listener.handle, NULL);
        f->bound = false;
        for (i = 0; i < FAKE_COMMANDS_MAX; ++i) {
                free(f->commands[i]);
                f->commands[i] = NULL;
        }
}
