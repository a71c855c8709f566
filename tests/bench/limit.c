/*
 * The limit: what one process gets out of the nodes with hiredis and nothing else, by the scripts and the certificate
 * of the daemon, all nodes at once, each command decided by a majority.
 *
 *      limit [-m distinct|new] [-n LANES] [-t SECONDS] PORT...      (-n: how many cycles are under way at a time;
 *                                                                   -m: which keys, as of the load)
 *
 * It speaks for the library at its best: one connection to each node, all that a turn brings goes out in one write, no
 * timeouts, no failures, nothing is kept. It prints what the load prints.
 */
#include "bench.h"

#include "redlockd/net/redis_script.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <hiredis/hiredis.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

#define USAGE "usage: limit [-m distinct|new] [-n LANES] [-t SECONDS] PORT..."

#define PORTS_MAX    31
#define QUEUE_MAX    65536 /* commands that a node owes an answer; a power of two */
#define OUTPUT_MAX   (64ul * 1024 * 1024)
#define VALUE_LENGTH TOKEN_TEXT_LEN

struct lane {
        char key[64];
        char value[VALUE_LENGTH + 1];
        uint64_t serial; /* of its present command */
        uint64_t cycles_n;
        uint64_t asked_ns;
        bool taking;
        unsigned granted_n;
        unsigned answered_n;
};

struct owed {
        struct lane *lane;
        uint64_t serial;
};

static struct node {
        redisContext *redis;
        struct buffer output;
        struct redis_script take, release;
        struct owed owed[QUEUE_MAX];
        unsigned first, last;
        char certificate[512];
} nodes[PORTS_MAX];

static struct {
        unsigned nodes_n, lanes_n;
        bool new;
        double seconds;
        struct lane *lanes;
        uint64_t cycles_n, counted_n, count_from_ns;
        struct samples samples;
} limit = { .lanes_n = 64, .seconds = 2 };

static void node_open(struct node *n, int port)
{
        redisReply *reply;

        n->redis = redisConnect("127.0.0.1", port);
        if (!n->redis || n->redis->err)
                bench_die("cannot connect to port %d", port);
        n->output = (struct buffer)BUFFER_INIT(OUTPUT_MAX);
        reply = redisCommand(n->redis, "SCRIPT LOAD %s", redis_script_text(COMMAND_TAKE));
        snprintf(n->take.sha, sizeof(n->take.sha), "%s", reply->str);
        freeReplyObject(reply);
        reply = redisCommand(n->redis, "SCRIPT LOAD %s", redis_script_text(COMMAND_RELEASE));
        snprintf(n->release.sha, sizeof(n->release.sha), "%s", reply->str);
        freeReplyObject(reply);
        reply = redisCommand(n->redis, "GET redlockd:cert");
        snprintf(n->certificate, sizeof(n->certificate), "%s", reply->type == REDIS_REPLY_STRING ? reply->str : "");
        freeReplyObject(reply);
        fcntl(n->redis->fd, F_SETFL, O_NONBLOCK);
}

static uint64_t unix_ms(void)
{
        struct timespec ts;

        clock_gettime(CLOCK_REALTIME, &ts);
        return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / NS_PER_MS;
}

static void lane_send(struct lane *l, bool taking)
{
        struct command_item item = { .key = text_of(l->key), .value = l->value, .fence = unix_ms() * FENCE_STEP };
        struct command command = { .kind = taking ? COMMAND_TAKE : COMMAND_RELEASE,
                                   .ttl_ms = 10000,
                                   .fence_slack_ms = 10000, /* as of a daemon with the usual longest ttl */
                                   .items = &item,
                                   .items_n = 1,
                                   .acquire_n = taking };
        bool by_text;
        unsigned i;

        l->taking = taking;
        l->granted_n = l->answered_n = 0;
        ++l->serial;
        for (i = 0; i < limit.nodes_n; ++i) {
                struct node *n = &nodes[i];

                if (redis_script_encode(&n->output, taking ? &n->take : &n->release, "", n->certificate, &command,
                                        &by_text) < 0)
                        bench_die("out of memory");
                n->owed[n->last++ % QUEUE_MAX] = (struct owed){ l, l->serial };
        }
}

static void lane_begin(struct lane *l)
{
        snprintf(l->key, sizeof(l->key), "%x:%04u:%010llu", (unsigned)getpid(), (unsigned)(l - limit.lanes),
                 limit.new ? (unsigned long long)bench_now_ns() : 0);
        snprintf(l->value, sizeof(l->value), "%016llx%016llx", (unsigned long long)bench_now_ns(),
                 (unsigned long long)l->cycles_n);
        l->asked_ns = bench_now_ns();
        lane_send(l, true);
}

static void lane_end(struct lane *l)
{
        uint64_t now_ns = bench_now_ns();

        ++limit.cycles_n;
        ++l->cycles_n;
        if (now_ns >= limit.count_from_ns) {
                ++limit.counted_n;
                samples_add(&limit.samples, now_ns - l->asked_ns);
        }
        lane_begin(l);
}

static void lane_answer(struct lane *l, uint64_t serial, const redisReply *reply)
{
        if (reply->type != REDIS_REPLY_STRING || strncmp(reply->str, "1 ", 2) != 0)
                bench_die("refused: %s", reply->type == REDIS_REPLY_ERROR ? reply->str : "not granted");
        if (serial != l->serial)
                return; /* decided already */
        ++l->granted_n;
        if (l->granted_n < limit.nodes_n / 2 + 1)
                return;
        if (l->taking)
                lane_send(l, false);
        else
                lane_end(l);
}

static void node_read(struct node *n)
{
        redisReply *reply;
        struct owed owed;
        void *value;

        if (redisBufferRead(n->redis) != REDIS_OK)
                bench_die("a node: %s", n->redis->errstr);
        while (redisReaderGetReply(n->redis->reader, &value) == REDIS_OK && value) {
                reply = value;
                if (n->first == n->last)
                        bench_die("a reply that nobody waits for");
                owed = n->owed[n->first++ % QUEUE_MAX];
                lane_answer(owed.lane, owed.serial, reply);
                freeReplyObject(reply);
        }
}

static void node_write(struct node *n)
{
        ssize_t k;

        if (buffer_len(&n->output) == 0)
                return;
        k = write(n->redis->fd, buffer_data(&n->output), buffer_len(&n->output));
        if (k > 0)
                buffer_consume(&n->output, (size_t)k);
        else if (errno != EAGAIN)
                bench_die("a node: %s", strerror(errno));
}

static void limit_run(uint64_t end_ns)
{
        struct pollfd fds[PORTS_MAX];
        unsigned i;

        for (i = 0; i < limit.lanes_n; ++i)
                lane_begin(&limit.lanes[i]);
        while (bench_now_ns() < end_ns) {
                for (i = 0; i < limit.nodes_n; ++i) {
                        node_write(&nodes[i]);
                        fds[i] = (struct pollfd){ .fd = nodes[i].redis->fd,
                                                  .events = POLLIN | (buffer_len(&nodes[i].output) ? POLLOUT : 0) };
                }
                if (poll(fds, limit.nodes_n, 5000) == 0)
                        bench_die("nothing was answered for 5 s");
                for (i = 0; i < limit.nodes_n; ++i)
                        if (fds[i].revents & (POLLIN | POLLHUP | POLLERR))
                                node_read(&nodes[i]);
        }
}

int main(int argc, char **argv)
{
        uint64_t began_ns, now_ns;
        int option;

        while ((option = getopt(argc, argv, "m:n:t:")) != -1) {
                if (option == 'm' && (strcmp(optarg, "new") == 0 || strcmp(optarg, "distinct") == 0))
                        limit.new = *optarg == 'n';
                else if (option == 'n')
                        limit.lanes_n = (unsigned)atoi(optarg);
                else if (option == 't')
                        limit.seconds = atof(optarg);
                else
                        bench_die(USAGE);
        }
        for (; optind < argc && limit.nodes_n < PORTS_MAX; ++optind)
                node_open(&nodes[limit.nodes_n++], atoi(argv[optind]));
        limit.lanes = calloc(limit.lanes_n, sizeof(*limit.lanes));
        if (limit.nodes_n == 0 || !limit.lanes)
                bench_die(USAGE);
        began_ns = bench_now_ns();
        limit.count_from_ns = began_ns + 200 * NS_PER_MS;
        limit_run(began_ns + (uint64_t)(limit.seconds * 1e9));
        now_ns = bench_now_ns();
        printf("{\"cycles\":%llu,\"rate\":%.1f,\"cpu_us\":%.2f,", (unsigned long long)limit.cycles_n,
               (double)limit.counted_n * 1e9 / (double)(now_ns - limit.count_from_ns),
               bench_cpu_us() / (double)limit.cycles_n);
        samples_print(&limit.samples);
        printf("}\n");
        return 0;
}
