/*
 * Metrics by HTTP.
 *
 *      accepted -> READING --the empty line--> answered, closed when it was read
 *                     `-- too long, too late, gone --> closed
 *
 * What stands in the headers does not matter. The scrape lives until it is closed and its last connection is gone.
 */
#include "redlockd/net/scrape.h"

#include "redlockd/base/mem.h"
#include "redlockd/net/client.h"
#include "redlockd/net/listener.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#define SCRAPE_OUTPUT_MAX  (4ul * 1024 * 1024)
#define SCRAPE_BACKLOG     64
#define SCRAPE_HEADERS_MAX 256

struct visit {
        struct scrape *scrape;
        LIST_ENTRY(visit) entry;
        struct client *client;
        uv_timer_t patience;
        size_t read_n;
        char request[SCRAPE_REQUEST_MAX];
        bool ended;
};

struct scrape {
        struct scrape_options options;
        struct listener *listener;
        LIST_HEAD(, visit) visits;
        unsigned visits_n; /* with those whose timer is not closed yet */
        bool closed;
};

static void scrape_free_closed(struct scrape *s)
{
        if (s->closed && s->visits_n == 0)
                mem_free(s);
}

static void visit_closed_cb(uv_handle_t *handle)
{
        struct visit *v = handle->data;
        struct scrape *s = v->scrape;

        mem_free(v);
        --s->visits_n;
        scrape_free_closed(s);
}

/* What was answered is still written. */
static void visit_end(struct visit *v)
{
        if (v->ended)
                return;
        v->ended = true;
        LIST_REMOVE(v, entry);
        client_finish(v->client);
        uv_close((uv_handle_t *)&v->patience, visit_closed_cb);
}

static void visit_patience_cb(uv_timer_t *timer)
{
        visit_end(timer->data);
}

static void visit_answer(struct visit *v, const char *status, const char *type, struct text body, bool head)
{
        struct buffer *out = client_output(v->client);
        char headers[SCRAPE_HEADERS_MAX];
        int n;

        n = snprintf(headers, sizeof(headers),
                     "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n", status,
                     type, body.len);
        if (buffer_append(out, headers, (size_t)n) == 0 && !head)
                buffer_append(out, body.data, body.len);
}

static void visit_refuse(struct visit *v, const char *status)
{
        char body[64];

        snprintf(body, sizeof(body), "%s\n", status);
        visit_answer(v, status, "text/plain", text_of(body), false);
}

static void visit_metrics(struct visit *v, bool head)
{
        struct buffer metrics = BUFFER_INIT(SCRAPE_OUTPUT_MAX);

        if (v->scrape->options.on_scrape(v->scrape->options.userdata, &metrics) < 0)
                visit_refuse(v, "500 Internal Server Error");
        else
                visit_answer(v, "200 OK", "text/plain; version=0.0.4; charset=utf-8",
                             (struct text){ buffer_data(&metrics), buffer_len(&metrics) }, head);
        buffer_deinit(&metrics);
}

/* The word at the front of what is left of the first line; the blank behind it is taken, too. */
static struct text visit_word(struct text *line)
{
        const char *blank = memchr(line->data, ' ', line->len);
        struct text word = { line->data, blank ? (size_t)(blank - line->data) : line->len };
        size_t taken = blank ? word.len + 1 : word.len;

        *line = (struct text){ line->data + taken, line->len - taken };
        return word;
}

static void visit_carry_out(struct visit *v)
{
        const char *eol = memchr(v->request, '\n', v->read_n), *query;
        struct text line = { v->request, (size_t)(eol - v->request) }, method, target;
        bool head;

        if (line.len > 0 && line.data[line.len - 1] == '\r')
                --line.len;
        method = visit_word(&line);
        target = visit_word(&line);
        query = memchr(target.data, '?', target.len);
        if (query)
                target.len = (size_t)(query - target.data);
        head = text_equal(method, text_of("HEAD"));
        if (line.len < 7 || memcmp(line.data, "HTTP/1.", 7) != 0)
                visit_refuse(v, "400 Bad Request");
        else if (!head && !text_equal(method, text_of("GET")))
                visit_refuse(v, "405 Method Not Allowed");
        else if (!text_equal(target, text_of("/metrics")))
                visit_refuse(v, "404 Not Found");
        else
                visit_metrics(v, head);
}

static bool visit_is_complete(const struct visit *v)
{
        return memmem(v->request, v->read_n, "\r\n\r\n", 4) || memmem(v->request, v->read_n, "\n\n", 2);
}

static void visit_on_bytes(void *userdata, struct text *bytes)
{
        struct visit *v = userdata;
        size_t n = sizeof(v->request) - v->read_n;

        if (n > bytes->len)
                n = bytes->len;
        memcpy(v->request + v->read_n, bytes->data, n);
        v->read_n += n;
        bytes->data += bytes->len;
        bytes->len = 0;
        if (visit_is_complete(v))
                visit_carry_out(v);
        else if (v->read_n == sizeof(v->request))
                visit_refuse(v, "431 Request Header Fields Too Large");
        else
                return;
        visit_end(v);
}

static void visit_on_end(void *userdata, const char *reason)
{
        visit_end(userdata);
}

static void scrape_on_connection(void *userdata, int fd)
{
        struct scrape *s = userdata;
        struct client_options options = { .loop = s->options.loop,
                                          .output_max = SCRAPE_OUTPUT_MAX,
                                          .on_bytes = visit_on_bytes,
                                          .on_end = visit_on_end };
        struct visit *v = s->visits_n < SCRAPE_CONNECTIONS_MAX ? mem_zalloc(sizeof(*v)) : NULL;

        if (!v) {
                close(fd);
                return;
        }
        options.userdata = v;
        if (client_new(&v->client, fd, &options) < 0) {
                mem_free(v);
                return;
        }
        v->scrape = s;
        ++s->visits_n;
        LIST_INSERT_HEAD(&s->visits, v, entry);
        uv_timer_init(s->options.loop, &v->patience);
        v->patience.data = v;
        uv_timer_start(&v->patience, visit_patience_cb, SCRAPE_REQUEST_MS, 0);
        client_start(v->client);
}

static int scrape_fail(char *ret_error, const char *address, const char *what, int error)
{
        snprintf(ret_error, SCRAPE_ERROR_MAX, "%s: %s: %s", address, what, strerror(error));
        return -error;
}

/* The port behind the last colon; -EINVAL where there is none. */
static int scrape_read_address(const char *address, struct sockaddr_storage *ret_address)
{
        const char *colon = strrchr(address, ':');
        char host[64], *end;
        unsigned long port;
        size_t len;

        if (!colon || colon[1] < '0' || colon[1] > '9')
                return -EINVAL;
        port = strtoul(colon + 1, &end, 10);
        len = (size_t)(colon - address);
        if (*end || port > UINT16_MAX || len >= sizeof(host))
                return -EINVAL;
        memcpy(host, address, len);
        host[len] = '\0';
        if (len > 2 && host[0] == '[' && host[len - 1] == ']') {
                host[len - 1] = '\0';
                return uv_ip6_addr(host + 1, (int)port, (struct sockaddr_in6 *)ret_address) < 0 ? -EINVAL : 0;
        }
        return uv_ip4_addr(host, (int)port, (struct sockaddr_in *)ret_address) < 0 ? -EINVAL : 0;
}

/* Returns the socket, or negative errno. */
static int scrape_listen(const char *address, char *ret_error)
{
        struct sockaddr_storage storage = { 0 };
        const int yes = 1;
        int fd, error;

        if (scrape_read_address(address, &storage) < 0)
                return scrape_fail(ret_error, address, "not an address with a port", EINVAL);
        fd = socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return scrape_fail(ret_error, address, "socket", errno);
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
        if (bind(fd, (const struct sockaddr *)&storage,
                 storage.ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6)) < 0 ||
            listen(fd, SCRAPE_BACKLOG) < 0) {
                error = errno;
                close(fd);
                return scrape_fail(ret_error, address, "listen", error);
        }
        return fd;
}

int scrape_new(struct scrape **ret_scrape, const struct scrape_options *options,
               char ret_error[static SCRAPE_ERROR_MAX])
{
        struct listener_options listener = { .loop = options->loop,
                                             .fd = options->fd,
                                             .path = options->address,
                                             .mode = 0660,
                                             .on_connection = scrape_on_connection };
        struct scrape *s = mem_zalloc(sizeof(*s));
        int r;

        if (!s) {
                if (options->fd >= 0)
                        close(options->fd);
                return scrape_fail(ret_error, "metrics", "listen", ENOMEM);
        }
        s->options = *options;
        LIST_INIT(&s->visits);
        listener.userdata = s;
        if (options->fd < 0 && options->address[0] != '/') {
                listener.fd = scrape_listen(options->address, ret_error);
                if (listener.fd < 0) {
                        mem_free(s);
                        return listener.fd;
                }
        }
        _Static_assert(SCRAPE_ERROR_MAX >= LISTENER_ERROR_MAX, "listener_new() has room for its error");
        r = listener_new(&s->listener, &listener, ret_error);
        if (r < 0) {
                mem_free(s);
                return r;
        }
        *ret_scrape = s;
        return 0;
}

struct scrape *scrape_close(struct scrape *s)
{
        struct visit *v, *next;

        if (!s)
                return NULL;
        s->listener = listener_close(s->listener);
        s->closed = true;
        ++s->visits_n; /* it must not go while we walk it */
        for (v = LIST_FIRST(&s->visits); v; v = next) {
                next = LIST_NEXT(v, entry);
                visit_end(v);
        }
        --s->visits_n;
        scrape_free_closed(s);
        return NULL;
}
