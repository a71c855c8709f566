/*
 * The load: sessions of one process that take and free keys as fast as they are answered.
 *
 *      load [-s SOCKET] [-m MODE] [-n SESSIONS] [-t SECONDS] [-l LOCKS]
 *
 *      distinct   each session takes a key of its own, frees it, and so on: a cycle is both answers
 *      new        likewise, but each time a key that nobody ever took: the nodes remember one more fence after each
 *      one        all sessions want one key, and hold it for no time: what frees it and what asks for it again go out
 *                 together, and a wait is from there to the grant
 *      hold       LOCKS keys are taken, as many by each session, then one more is taken and freed, again and again;
 *                 what is held is held until stdin ends
 *      death      a process that holds the key is killed, again and again, while another one waits for it
 *
 * It costs little: requests are written beforehand and only their id and key change, and of an answer no more is looked
 * at than shows that it is the right one. But that much is looked at: the id, the key, that it is a grant or a release,
 * that no two sessions hold one key at one moment, and that fences rise. The first thing that is wrong ends it with
 * code 1. It prints one line of JSON: cycles a second in the second half of its time or more (the first 200 ms do not
 * count), latencies in microseconds, its own CPU time for each cycle.
 */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define IN_MAX       16384
#define OUT_MAX      8192
#define ID_FIRST     UINT64_C(1000000000) /* ids have ten digits each */
#define KEYS_A_ROUND 64
#define MORE_N       2000
#define DEATHS_N     50

struct session {
        int fd;
        unsigned index;
        uint64_t next_id;
        char out[OUT_MAX]; /* add, then free */
        size_t add_n, free_n;
        size_t add_id, add_key, free_id, free_key; /* where they stand */
        char in[IN_MAX];
        size_t in_n;
        uint64_t add_wanted, free_wanted; /* ids that are not answered; 0: none */
        uint64_t asked_ns;
        uint64_t cycles_n;
        uint64_t longest_ns;
        unsigned held_n;
};

static struct {
        const char *socket;
        const char *mode;
        unsigned sessions_n;
        double seconds;
        unsigned locks_n;
        struct session *sessions;
        int epoll;
        bool new;               /* each cycle has a key of its own */
        struct session *holder; /* one: of the key */
        uint64_t fence;         /* one: the last */
        uint64_t cycles_n, counted_n;
        uint64_t count_from_ns;
        struct samples samples;
        bool over;
} load = { .mode = "distinct", .sessions_n = 64, .seconds = 2, .locks_n = 1000 };

static int load_connect(void)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (strlen(load.socket) >= sizeof(address.sun_path))
                bench_die("the socket's path is too long");
        memcpy(address.sun_path, load.socket, strlen(load.socket));
        if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
                bench_die("cannot connect to %s: %s", load.socket, strerror(errno));
        return fd;
}

static void load_send(int fd, const char *bytes, size_t n)
{
        if (write(fd, bytes, n) != (ssize_t)n)
                bench_die("cannot write a request at once: %s", strerror(errno));
}

/* The rate at which it is answered bounds what is asked: a request always fits into the socket. */
static void session_prepare(struct session *s, bool one)
{
        char key[64];
        size_t n;

        if (one)
                snprintf(key, sizeof(key), "bench:one");
        else if (load.new)
                snprintf(key, sizeof(key), "bench:%04u:%010u:%x:%llx", s->index, 0, (unsigned)getpid(),
                         (unsigned long long)bench_now_ns());
        else
                snprintf(key, sizeof(key), "bench:%04u:%010u", s->index, 0);
        n = (size_t)sprintf(s->out,
                            "{\"jsonrpc\":\"2.0\",\"id\":1000000000,\"method\":\"add\",\"params\":{\"keys\":"
                            "[\"%s\"],\"ttl\":10000%s}}\n",
                            key, one ? ",\"retryCount\":-1" : "");
        s->add_n = n;
        s->free_n = (size_t)sprintf(s->out + n,
                                    "{\"jsonrpc\":\"2.0\",\"id\":1000000000,\"method\":\"free\","
                                    "\"params\":{\"keys\":[\"%s\"]}}\n",
                                    key);
        s->add_id = (size_t)(strstr(s->out, "1000000000") - s->out);
        s->free_id = (size_t)(strstr(s->out + n, "1000000000") - s->out);
        s->add_key = (size_t)(strstr(s->out, "bench:") - s->out);
        s->free_key = (size_t)(strstr(s->out + n, "bench:") - s->out);
        s->next_id = ID_FIRST;
}

static void put_digits(char *to, uint64_t number)
{
        int i;

        for (i = 9; i >= 0; --i, number /= 10)
                to[i] = (char)('0' + number % 10);
}

static size_t session_key_n(const struct session *s)
{
        return strcspn(s->out + s->add_key, "\"");
}

static void session_stamp_add(struct session *s)
{
        s->add_wanted = ++s->next_id;
        put_digits(s->out + s->add_id, s->add_wanted);
}

static void session_stamp_free(struct session *s)
{
        s->free_wanted = ++s->next_id;
        put_digits(s->out + s->free_id, s->free_wanted);
}

/* The next key of its own. */
static void session_next_key(struct session *s)
{
        put_digits(s->out + s->add_key + strlen("bench:0000:"), s->cycles_n);
        put_digits(s->out + s->free_key + strlen("bench:0000:"), s->cycles_n);
}

static void session_ask(struct session *s)
{
        session_stamp_add(s);
        s->asked_ns = bench_now_ns();
        load_send(s->fd, s->out, s->add_n);
}

static void session_wrong(const struct session *s, const char *what, const char *line, size_t n)
{
        bench_die("session %u: %s: %.*s", s->index, what, (int)n, line);
}

static bool has_at(const char **at, const char *end, const char *bytes, size_t n)
{
        if ((size_t)(end - *at) < n || memcmp(*at, bytes, n) != 0)
                return false;
        *at += n;
        return true;
}

static bool has(const char *line, size_t n, const char *before, const char *key, size_t key_n, const char *after)
{
        const char *end = line + n, *at = memmem(line, n, before, strlen(before));

        return at && has_at(&at, end, before, strlen(before)) && has_at(&at, end, key, key_n) &&
               has_at(&at, end, after, strlen(after));
}

static uint64_t line_id(const struct session *s, const char *line, size_t n)
{
        static const char before[] = "{\"jsonrpc\":\"2.0\",\"id\":", after[] = ",\"result\":{";
        const char *at = line, *end = line + n;
        uint64_t id = 0;

        if (!has_at(&at, end, before, strlen(before)))
                session_wrong(s, "no answer", line, n);
        while (at < end && *at >= '0' && *at <= '9')
                id = id * 10 + (uint64_t)(*at++ - '0');
        if (!has_at(&at, end, after, strlen(after)))
                session_wrong(s, "refused", line, n);
        return id;
}

/* Fences of one key rise. A broker that grants none is not held to it. */
static void check_fence(const struct session *s, const char *line, size_t n)
{
        static const char name[] = "\"fence\":";
        const char *at = memmem(line, n, name, strlen(name));
        uint64_t fence;

        if (!at)
                return;
        fence = strtoull(at + strlen(name), NULL, 10);
        if (fence <= load.fence)
                session_wrong(s, "a fence that is not above the last", line, n);
        load.fence = fence;
}

static void check_granted(struct session *s, const char *line, size_t n, bool one)
{
        if (!has(line, n, "\"key\":\"", s->out + s->add_key, session_key_n(s), "\"") ||
            !has(line, n, "\"state\":\"acquired\"", "", 0, ""))
                session_wrong(s, "not a grant of its key", line, n);
        if (!one)
                return;
        if (load.holder)
                session_wrong(s, "granted what another session holds", line, n);
        load.holder = s;
        check_fence(s, line, n);
}

static void session_count(struct session *s, uint64_t now_ns)
{
        uint64_t took_ns = now_ns - s->asked_ns;

        ++load.cycles_n;
        ++s->cycles_n;
        if (now_ns < load.count_from_ns)
                return;
        ++load.counted_n;
        if (took_ns > s->longest_ns)
                s->longest_ns = took_ns;
        samples_add(&load.samples, took_ns);
}

static void distinct_line(struct session *s, const char *line, size_t n)
{
        uint64_t id = line_id(s, line, n);

        if (id == s->add_wanted) {
                s->add_wanted = 0;
                check_granted(s, line, n, false);
                session_stamp_free(s);
                load_send(s->fd, s->out + s->add_n, s->free_n);
        } else if (id == s->free_wanted) {
                s->free_wanted = 0;
                if (!has(line, n, "\"freed\":[\"", s->out + s->add_key, session_key_n(s), "\"]"))
                        session_wrong(s, "its key is not freed", line, n);
                session_count(s, bench_now_ns());
                if (load.new)
                        session_next_key(s);
                if (!load.over)
                        session_ask(s);
        } else {
                session_wrong(s, "the answer to something else", line, n);
        }
}

/* The request for the next turn stands behind the release of this one. */
static void one_release(struct session *s)
{
        char both[OUT_MAX];

        load.holder = NULL;
        session_stamp_free(s);
        session_stamp_add(s);
        memcpy(both, s->out + s->add_n, s->free_n);
        memcpy(both + s->free_n, s->out, s->add_n);
        s->asked_ns = bench_now_ns();
        load_send(s->fd, both, s->free_n + s->add_n);
}

static void one_line(struct session *s, const char *line, size_t n)
{
        uint64_t id = line_id(s, line, n);

        if (id == s->free_wanted) {
                s->free_wanted = 0;
                if (!has(line, n, "\"freed\":[\"", "bench:one", strlen("bench:one"), "\"]"))
                        session_wrong(s, "its key is not freed", line, n);
        } else if (id == s->add_wanted) {
                check_granted(s, line, n, true);
                session_count(s, bench_now_ns());
                if (s->free_wanted)
                        session_wrong(s, "granted before it was released", line, n);
                one_release(s);
        } else {
                session_wrong(s, "the answer to something else", line, n);
        }
}

static void session_read(struct session *s, void (*on_line)(struct session *s, const char *line, size_t n))
{
        ssize_t n = read(s->fd, s->in + s->in_n, sizeof(s->in) - s->in_n);
        char *line = s->in, *end;

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        if (n <= 0)
                bench_die("session %u: the connection has ended", s->index);
        s->in_n += (size_t)n;
        while ((end = memchr(line, '\n', s->in_n - (size_t)(line - s->in)))) {
                on_line(s, line, (size_t)(end - line));
                line = end + 1;
        }
        s->in_n -= (size_t)(line - s->in);
        memmove(s->in, line, s->in_n);
}

static void load_open(bool one)
{
        unsigned i;

        load.epoll = epoll_create1(EPOLL_CLOEXEC);
        load.sessions = calloc(load.sessions_n, sizeof(*load.sessions));
        if (load.epoll < 0 || !load.sessions)
                bench_die("cannot start: %s", strerror(errno));
        for (i = 0; i < load.sessions_n; ++i) {
                struct session *s = &load.sessions[i];
                struct epoll_event event = { .events = EPOLLIN, .data.ptr = s };

                s->index = i;
                s->fd = load_connect();
                session_prepare(s, one);
                if (epoll_ctl(load.epoll, EPOLL_CTL_ADD, s->fd, &event) < 0)
                        bench_die("cannot watch a connection: %s", strerror(errno));
        }
}

/* Runs until `end_ns`; then what is asked for is waited for, where it will come by itself. */
static void load_loop(uint64_t end_ns, bool settle, void (*on_line)(struct session *s, const char *line, size_t n))
{
        struct epoll_event events[256];
        unsigned i;
        int n, k;

        while (!load.over) {
                n = epoll_wait(load.epoll, events, 256, 5000);
                if (n == 0)
                        bench_die("nothing was answered for 5 s");
                for (k = 0; k < n; ++k)
                        session_read(events[k].data.ptr, on_line);
                load.over = bench_now_ns() >= end_ns;
        }
        for (i = 0; settle && i < load.sessions_n; ++i)
                while (load.sessions[i].add_wanted || load.sessions[i].free_wanted)
                        session_read(&load.sessions[i], on_line);
}

static double load_jain(void)
{
        double sum = 0, squares = 0;
        unsigned i;

        for (i = 0; i < load.sessions_n; ++i) {
                sum += (double)load.sessions[i].cycles_n;
                squares += (double)load.sessions[i].cycles_n * (double)load.sessions[i].cycles_n;
        }
        return squares > 0 ? sum * sum / (load.sessions_n * squares) : 0;
}

static uint64_t load_longest_ns(uint64_t now_ns)
{
        uint64_t longest = 0;
        unsigned i;

        for (i = 0; i < load.sessions_n; ++i) {
                const struct session *s = &load.sessions[i];

                if (s->longest_ns > longest)
                        longest = s->longest_ns;
                if (s->add_wanted && now_ns - s->asked_ns > longest)
                        longest = now_ns - s->asked_ns; /* it still waits */
        }
        return longest;
}

static void load_cycles(bool one)
{
        uint64_t began_ns, now_ns;
        unsigned i;

        load_open(one);
        began_ns = bench_now_ns();
        load.count_from_ns = began_ns + 200 * NS_PER_MS;
        for (i = 0; i < load.sessions_n; ++i)
                session_ask(&load.sessions[i]);
        load_loop(began_ns + (uint64_t)(load.seconds * 1e9), !one, one ? one_line : distinct_line);
        now_ns = bench_now_ns();
        printf("{\"cycles\":%llu,\"rate\":%.1f,\"cpu_us\":%.2f,\"jain\":%.4f,\"longest_ms\":%.3f,",
               (unsigned long long)load.cycles_n, (double)load.counted_n * 1e9 / (double)(now_ns - load.count_from_ns),
               bench_cpu_us() / (double)load.cycles_n, load_jain(), (double)load_longest_ns(now_ns) / 1e6);
        samples_print(&load.samples);
        printf("}\n");
}

/* One request and its answer, nothing else meanwhile. */
static void session_call(struct session *s, const char *request, size_t n, const char *expected)
{
        char answer[65536];
        size_t got_n = 0;
        ssize_t k;

        load_send(s->fd, request, n);
        while (got_n == 0 || answer[got_n - 1] != '\n') {
                k = read(s->fd, answer + got_n, sizeof(answer) - got_n);
                if (k <= 0)
                        bench_die("session %u: the connection has ended", s->index);
                got_n += (size_t)k;
        }
        if (!memmem(answer, got_n, expected, strlen(expected)))
                session_wrong(s, "refused", answer, got_n);
}

static void session_hold(struct session *s, unsigned locks_n)
{
        char request[OUT_MAX];
        unsigned i;
        int n;

        while (s->held_n < locks_n) {
                n = sprintf(request, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"add\",\"params\":{\"keys\":[");
                for (i = 0; i < KEYS_A_ROUND && s->held_n < locks_n; ++i, ++s->held_n)
                        n += sprintf(request + n, "%s\"bench:%04u:%010u\"", i ? "," : "", s->index, s->held_n);
                n += sprintf(request + n, "],\"ttl\":3600000}}\n");
                session_call(s, request, (size_t)n, "\"state\":\"acquired\"");
        }
}

static void load_hold(void)
{
        struct session *s;
        uint64_t began_ns;
        unsigned i;
        int c;

        load_open(false);
        printf("open\n");
        fflush(stdout);
        (void)getchar(); /* whoever looks at the daemon's memory has done so */
        for (i = 0; i < load.sessions_n; ++i)
                session_hold(&load.sessions[i], load.locks_n / load.sessions_n + (i < load.locks_n % load.sessions_n));
        s = &load.sessions[0];
        s->cycles_n = 4000000000;
        for (i = 0; i < MORE_N; ++i, ++s->cycles_n) {
                session_next_key(s);
                began_ns = bench_now_ns();
                session_call(s, s->out, s->add_n, "\"state\":\"acquired\"");
                session_call(s, s->out + s->add_n, s->free_n, "\"freed\":[\"");
                samples_add(&load.samples, bench_now_ns() - began_ns);
        }
        printf("{");
        samples_print(&load.samples);
        printf("}\n");
        fflush(stdout);
        while ((c = getchar()) != EOF)
                ;
}

/* Returns the child that holds the key. */
static pid_t death_holder(void)
{
        int ready[2];
        char byte;
        pid_t pid;

        if (pipe2(ready, O_CLOEXEC) < 0 || (pid = fork()) < 0)
                bench_die("cannot fork: %s", strerror(errno));
        if (pid == 0) {
                struct session s = { .fd = load_connect() };

                session_prepare(&s, true);
                session_call(&s, s.out, s.add_n, "\"state\":\"acquired\"");
                load_send(ready[1], "", 1);
                for (;;)
                        pause();
        }
        close(ready[1]);
        if (read(ready[0], &byte, 1) != 1)
                bench_die("the holder has failed");
        close(ready[0]);
        return pid;
}

static void load_death(void)
{
        struct session s = { 0 };
        uint64_t began_ns;
        unsigned i;
        pid_t pid;

        for (i = 0; i < DEATHS_N; ++i) {
                pid = death_holder();
                s.fd = load_connect();
                session_prepare(&s, true);
                load_send(s.fd, s.out, s.add_n);
                /* answered when the request before it has been read: it waits in the queue */
                session_call(&s, "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"ping\"}\n", 41, "\"id\":2");
                began_ns = bench_now_ns();
                kill(pid, SIGKILL);
                session_call(&s, "", 0, "\"state\":\"acquired\"");
                samples_add(&load.samples, bench_now_ns() - began_ns);
                session_call(&s, s.out + s.add_n, s.free_n, "\"freed\":[\"");
                close(s.fd);
                waitpid(pid, NULL, 0);
        }
        printf("{");
        samples_print(&load.samples);
        printf("}\n");
}

int main(int argc, char **argv)
{
        struct rlimit files;
        int option;

        load.socket = getenv("REDLOCKD_SOCKET");
        while ((option = getopt(argc, argv, "s:m:n:t:l:")) != -1) {
                switch (option) {
                case 's':
                        load.socket = optarg;
                        break;
                case 'm':
                        load.mode = optarg;
                        break;
                case 'n':
                        load.sessions_n = (unsigned)atoi(optarg);
                        break;
                case 't':
                        load.seconds = atof(optarg);
                        break;
                case 'l':
                        load.locks_n = (unsigned)atoi(optarg);
                        break;
                default:
                        return 2;
                }
        }
        if (!load.socket || load.sessions_n == 0 || optind < argc)
                bench_die(
                        "usage: load -s SOCKET [-m distinct|new|one|hold|death] [-n SESSIONS] [-t SECONDS] [-l LOCKS]");
        getrlimit(RLIMIT_NOFILE, &files);
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
        load.new = strcmp(load.mode, "new") == 0;
        if (load.new || strcmp(load.mode, "distinct") == 0)
                load_cycles(false);
        else if (strcmp(load.mode, "one") == 0)
                load_cycles(true);
        else if (strcmp(load.mode, "hold") == 0)
                load_hold();
        else if (strcmp(load.mode, "death") == 0)
                load_death();
        else
                bench_die("there is no mode %s", load.mode);
        return 0;
}
