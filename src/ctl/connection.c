/*
 * A connection to redlockd. Writing never raises SIGPIPE, without touching what a command that is started inherits.
 */
#include "redlockd/ctl/connection.h"

#include "redlockd/ctl/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

int connection_open(struct connection *c, const char *path)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        /* A daemon that hangs does not accept, and once its backlog is full connect(2) waits. */
        const struct timeval patience = { .tv_sec = CONNECTION_ANSWER_MS / 1000 };
        int fd, r;

        if (strlen(path) >= sizeof(address.sun_path))
                return -ENAMETOOLONG;
        strcpy(address.sun_path, path);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return -errno;
        if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0 ||
            connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) < 0) {
                r = errno == EAGAIN ? -ETIMEDOUT : -errno;
                close(fd);
                return r;
        }
        c->fd = fd;
        c->input = (struct text){ c->chunk, 0 };
        c->last_id = 0;
        line_init(&c->lines, CONNECTION_LINE_MAX);
        return 0;
}

void connection_close(struct connection *c)
{
        close(c->fd);
        c->fd = -1;
        line_deinit(&c->lines);
}

/* Until end_ns, or for ever where that is UINT64_MAX. */
static int connection_wait(struct connection *c, short events, uint64_t end_ns)
{
        struct pollfd pollfd = { c->fd, events, 0 };
        struct timespec left;
        uint64_t now_ns;
        int n;

        for (;;) {
                now_ns = clock_now_ns();
                left = clock_timespec(end_ns > now_ns ? end_ns - now_ns : 0);
                n = ppoll(&pollfd, 1, end_ns == UINT64_MAX ? NULL : &left, NULL);
                if (n > 0)
                        return 0;
                if (n == 0)
                        return -ETIMEDOUT;
                if (errno != EINTR)
                        return -errno;
        }
}

static int connection_write(struct connection *c, const char *bytes, size_t n)
{
        ssize_t sent;
        int r;

        while (n > 0) {
                sent = send(c->fd, bytes, n, MSG_NOSIGNAL);
                if (sent >= 0) {
                        bytes += sent;
                        n -= sent;
                } else if (errno == EAGAIN) {
                        r = connection_wait(c, POLLOUT, clock_now_ns() + CONNECTION_ANSWER_MS * NS_PER_MS);
                        if (r < 0)
                                return r;
                } else if (errno != EINTR) {
                        return errno == EPIPE ? -ECONNRESET : -errno;
                }
        }
        return 0;
}

int connection_send(struct connection *c, const char *method, json_t *params, json_int_t *ret_id)
{
        json_t *request;
        char *line = NULL;
        size_t n;
        int r;

        request = json_pack("{s:s, s:I, s:s, s:o*}", "jsonrpc", "2.0", "id", c->last_id + 1, "method", method, "params",
                            params);
        if (request)
                line = json_dumps(request, JSON_COMPACT);
        json_decref(request);
        if (!line)
                return -ENOMEM;
        n = strlen(line);
        line[n] = '\n'; /* in the place of the NUL */
        r = connection_write(c, line, n + 1);
        free(line);
        if (r < 0)
                return r;
        *ret_id = ++c->last_id;
        return 0;
}

static int connection_read(struct connection *c)
{
        ssize_t n;

        do {
                n = recv(c->fd, c->chunk, sizeof(c->chunk), 0);
        } while (n < 0 && errno == EINTR);
        if (n == 0)
                return -ECONNRESET;
        if (n < 0)
                return errno == EAGAIN ? 0 : -errno;
        c->input = (struct text){ c->chunk, n };
        return 1;
}

int connection_next(struct connection *c, json_t **ret_message)
{
        struct text line;
        json_t *message;
        int r;

        for (;;) {
                r = line_next(&c->lines, &c->input, &line);
                if (r < 0)
                        return r;
                if (r == LINE_TOO_LARGE)
                        return -EBADMSG;
                if (r == LINE_COMPLETE)
                        break;
                r = connection_read(c);
                if (r <= 0)
                        return r;
        }
        message = json_loadb(line.data, line.len, JSON_ALLOW_NUL, NULL);
        if (!json_is_object(message)) {
                json_decref(message);
                return -EBADMSG;
        }
        *ret_message = message;
        return 1;
}

bool connection_answers(const json_t *message, json_int_t id)
{
        const json_t *answered = json_object_get(message, "id");

        return json_is_integer(answered) && json_integer_value(answered) == id;
}

int connection_call(struct connection *c, const char *method, json_t *params, int timeout_ms, json_t **ret_message)
{
        uint64_t end_ns = timeout_ms < 0 ? UINT64_MAX : clock_now_ns() + (uint64_t)timeout_ms * NS_PER_MS;
        json_t *message;
        json_int_t id;
        int r;

        r = connection_send(c, method, params, &id);
        /* Refused at the door (too many sessions): the reason is there to be read although nothing can be sent. */
        if (r < 0 && r != -ECONNRESET)
                return r;
        for (;;) {
                r = connection_next(c, &message);
                if (r == 0)
                        r = connection_wait(c, POLLIN, end_ns);
                else if (r == 1 && (connection_answers(message, id) || json_is_null(json_object_get(message, "id"))))
                        break;
                else if (r == 1)
                        json_decref(message);
                if (r < 0)
                        return r;
        }
        *ret_message = message;
        return 0;
}

const char *connection_strerror(int r)
{
        if (r == -ECONNRESET)
                return "the daemon is gone";
        if (r == -ETIMEDOUT)
                return "the daemon does not answer";
        if (r == -ECONNREFUSED)
                return "no daemon listens there";
        return strerror(-r);
}
