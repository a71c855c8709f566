/*
 * The server logs into a pipe: when it says that it takes connections, it does. The socket's name is there earlier.
 */
#include "net/real_redis.h"

#include <check.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static int real_free_port(void)
{
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t size = sizeof(address);
        int fd = socket(AF_INET, SOCK_STREAM, 0);

        ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, size), 0);
        ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &size), 0);
        close(fd);
        return ntohs(address.sin_port);
}

static void real_run(const struct real_redis *r, pid_t parent, int log)
{
        char port[8];

        snprintf(port, sizeof(port), "%d", r->port);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() == parent && dup2(log, STDOUT_FILENO) >= 0)
                execlp("redis-server", "redis-server", "--port", port, "--bind", "127.0.0.1", "--unixsocket", r->path,
                       "--save", "", "--dir", r->folder, NULL);
        _exit(127);
}

void real_redis_start(struct real_redis *r)
{
        real_redis_start_at(r, real_free_port());
}

void real_redis_start_at(struct real_redis *r, int port)
{
        pid_t parent = getpid();
        char *line = NULL;
        size_t size = 0;
        int pipefd[2];

        snprintf(r->folder, sizeof(r->folder), "/tmp/redlockd-real-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(r->folder));
        snprintf(r->path, sizeof(r->path), "%s/s", r->folder);
        r->port = port;
        ck_assert_int_eq(pipe2(pipefd, O_CLOEXEC), 0);
        r->pid = fork();
        ck_assert_int_ge(r->pid, 0);
        if (r->pid == 0)
                real_run(r, parent, pipefd[1]);
        close(pipefd[1]);
        r->log = fdopen(pipefd[0], "r");
        /* "... at PATH" up to Redis 7.0, "... unix" since */
        do
                ck_assert_int_ge(getline(&line, &size, r->log), 0);
        while (!strcasestr(line, "ready to accept connections") || !(strstr(line, r->path) || strstr(line, "unix")));
        free(line);
        ck_assert_str_eq(real_redis_do(r, "PING"), "+PONG\r\n");
}

void real_redis_stop(struct real_redis *r)
{
        kill(r->pid, SIGKILL);
        ck_assert_int_eq(waitpid(r->pid, NULL, 0), r->pid);
        fclose(r->log);
        unlink(r->path);
        ck_assert_int_eq(rmdir(r->folder), 0);
}

const char *real_redis_do(struct real_redis *r, const char *words)
{
        static char reply[4096];
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        ssize_t n;

        snprintf(address.sun_path, sizeof(address.sun_path), "%s", r->path);
        ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
        ck_assert_int_gt(dprintf(fd, "%s\r\n", words), 0);
        n = read(fd, reply, sizeof(reply) - 1);
        ck_assert_int_gt(n, 0);
        reply[n] = '\0';
        close(fd);
        return reply;
}

/* Reads until the bytes end in `end`. */
void real_redis_until_read(int fd, const char *end)
{
        char bytes[512];
        size_t n = 0;
        ssize_t k;

        do {
                k = read(fd, bytes + n, sizeof(bytes) - 1 - n);
                ck_assert_int_gt(k, 0);
                n += (size_t)k;
                bytes[n] = '\0';
        } while (n < strlen(end) || strcmp(bytes + n - strlen(end), end) != 0);
}

int real_redis_listener(const struct real_redis *r, const char *key)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        snprintf(address.sun_path, sizeof(address.sun_path), "%s", r->path);
        ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
        ck_assert_int_gt(dprintf(fd, "SUBSCRIBE redlockd:free:%s\r\n", key), 0);
        real_redis_until_read(fd, ":1\r\n");
        return fd;
}
