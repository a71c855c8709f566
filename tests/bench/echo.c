/*
 * The echo: a server on libuv that reads each line with jansson, and prints with jansson what redlockd would answer,
 * but decides nothing and remembers nothing. What it costs is the wire and the library.
 *
 *      echo SOCKET
 */
#include "bench.h"

#include <jansson.h>
#include <signal.h>
#include <unistd.h>
#include <uv.h>

#define IN_MAX  65536
#define OUT_MAX 262144

struct peer {
        uv_pipe_t pipe;
        char in[IN_MAX];
        size_t in_n;
};

static char out[OUT_MAX]; /* of one read; written before the next */
static size_t out_n;

static int echo_dump_cb(const char *bytes, size_t n, void *userdata)
{
        if (n > OUT_MAX - out_n)
                return -1;
        memcpy(out + out_n, bytes, n);
        out_n += n;
        return 0;
}

static json_t *echo_lock(json_t *key)
{
        return json_pack("{s:O,s:s,s:I,s:s,s:i,s:I}", "key", key, "value", "0123456789abcdef0123456789abcdef", "fence",
                         (json_int_t)1838438410239999, "state", "acquired", "validity", 9898, "expiration",
                         (json_int_t)1795365934476);
}

static json_t *echo_locks(json_t *keys)
{
        json_t *locks = json_array();
        size_t i;

        for (i = 0; i < json_array_size(keys); ++i)
                json_array_append_new(locks, echo_lock(json_array_get(keys, i)));
        return json_pack("{s:o,s:i,s:i}", "locks", locks, "attempts", 1, "waited", 0);
}

static void echo_line(const char *line, size_t n)
{
        json_t *request = json_loadb(line, n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL), *keys, *result, *reply;

        keys = json_object_get(json_object_get(request, "params"), "keys");
        if (strcmp(json_string_value(json_object_get(request, "method")), "add") == 0)
                result = echo_locks(keys);
        else
                result = json_pack("{s:O,s:[],s:[],s:[]}", "freed", keys, "pending", "expired", "missing");
        reply = json_pack("{s:s,s:O,s:o}", "jsonrpc", "2.0", "id", json_object_get(request, "id"), "result", result);
        if (json_dump_callback(reply, echo_dump_cb, NULL, JSON_COMPACT) < 0)
                bench_die("no room for the answer");
        echo_dump_cb("\n", 1, NULL);
        json_decref(reply);
        json_decref(request);
}

static void echo_alloc_cb(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buf)
{
        struct peer *p = handle->data;

        *ret_buf = uv_buf_init(p->in + p->in_n, (unsigned)(IN_MAX - p->in_n));
}

static void echo_close_cb(uv_handle_t *handle)
{
        free(handle->data);
}

static void echo_read_cb(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
        struct peer *p = stream->data;
        char *line = p->in, *end;
        uv_buf_t all;

        if (n < 0) {
                uv_close((uv_handle_t *)stream, echo_close_cb);
                return;
        }
        p->in_n += (size_t)n;
        out_n = 0;
        while ((end = memchr(line, '\n', p->in_n - (size_t)(line - p->in)))) {
                echo_line(line, (size_t)(end - line));
                line = end + 1;
        }
        p->in_n -= (size_t)(line - p->in);
        memmove(p->in, line, p->in_n);
        all = uv_buf_init(out, (unsigned)out_n);
        if (out_n > 0 && uv_try_write(stream, &all, 1) != (int)out_n)
                bench_die("cannot write an answer at once");
}

static void echo_connection_cb(uv_stream_t *server, int status)
{
        struct peer *p = calloc(1, sizeof(*p));

        if (!p)
                bench_die("out of memory");
        uv_pipe_init(server->loop, &p->pipe, 0);
        p->pipe.data = p;
        if (uv_accept(server, (uv_stream_t *)&p->pipe) < 0 ||
            uv_read_start((uv_stream_t *)&p->pipe, echo_alloc_cb, echo_read_cb) < 0)
                bench_die("cannot accept");
}

int main(int argc, char **argv)
{
        uv_loop_t *loop = uv_default_loop();
        uv_pipe_t server;

        signal(SIGPIPE, SIG_IGN);
        uv_pipe_init(loop, &server, 0);
        if (argc != 2 || uv_pipe_bind(&server, argv[1]) < 0 ||
            uv_listen((uv_stream_t *)&server, 1024, echo_connection_cb) < 0)
                bench_die("usage: echo SOCKET");
        printf("ready\n");
        fflush(stdout);
        return uv_run(loop, UV_RUN_DEFAULT);
}
