/*
 * Scenes are driven by their log alone: whoever waits turns the loop until a line or a condition is there, and the time
 * limit of the test runner is the only limit.
 */
#include "net/scene.h"

#include "redlockd/base/mem.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <time.h>
#include <unistd.h>

unsigned scene_timeout_ms = SCENE_TIMEOUT_MS;
unsigned scene_heartbeat_ms = SCENE_TIMEOUT_MS;
unsigned scene_batch_max = 1;
const char *scene_members;

__attribute__((format(printf, 2, 3))) static void scene_log(struct scene *s, const char *format, ...)
{
        va_list args;
        char *line;

        va_start(args, format);
        ck_assert_int_ge(vasprintf(&line, format, args), 0);
        va_end(args);
        if ((s->lines_n & (s->lines_n - 1)) == 0) /* doubled when full */
                s->lines = realloc(s->lines, (s->lines_n ? 2 * s->lines_n : 1) * sizeof(*s->lines));
        s->lines[s->lines_n++] = line;
        if (s->react)
                s->react(s, line);
}

static void scene_on_state(void *userdata, unsigned node, enum node_state state, const char *reason)
{
        struct scene *s = userdata;

        ck_assert_uint_eq(node, 3);
        ck_assert(state == NODE_CONNECTING || state == NODE_DOWN);
        s->looked[0] = '\0';
        scene_log(s, "%s %s", state == NODE_DOWN ? "down" : "connecting", reason);
}

static void scene_on_look(void *userdata, unsigned node, const struct node_look *look)
{
        static const char *const names[] = { "up", "uncertified", "kept", "unfit" };
        struct scene *s = userdata;
        char line[sizeof(s->looked)];

        ck_assert_uint_eq(node, 3);
        ++s->looks_n;
        s->mark = look->mark;
        s->node_ms = look->node_ms;
        snprintf(line, sizeof(line), "%s%s%s", names[look->verdict], *look->reason ? " " : "", look->reason);
        if (strcmp(line, s->looked) == 0)
                return;
        memcpy(s->looked, line, sizeof(line));
        scene_log(s, "%s", line);
}

static void scene_on_answer(void *userdata, unsigned node, uint64_t round, const struct answer *answer)
{
        struct scene *s = userdata;
        unsigned long long n = round, taken = answer->taken, number = answer->number, ms = answer->node_ms;

        ck_assert_uint_eq(node, 3);
        ck_assert_int_eq(s->closed_n, 0);
        s->last = *answer;
        s->last.error = s->last_error;
        snprintf(s->last_facts, sizeof(s->last_facts), "%s", answer->facts ? answer->facts : "");
        snprintf(s->last_error, sizeof(s->last_error), "%s", answer->error ? answer->error : "");
        switch (answer->verdict) {
        case ANSWER_GRANTED:
                scene_log(s, "granted %llu %llu %llu", n, number, ms);
                break;
        case ANSWER_HELD:
                scene_log(s, "held %llu %llx %llu %llu", n, taken, number, ms);
                break;
        case ANSWER_ERROR:
                scene_log(s, "error %llu %s", n, answer->error);
                break;
        case ANSWER_AGAIN:
                scene_log(s, "again %llu", n);
                break;
        case ANSWER_UNSENT:
                scene_log(s, "unsent %llu", n); /* that is said by whoever could not send it, never here */
                break;
        case ANSWER_UNCERTIFIED:
                scene_log(s, "uncertified %llu", n);
                break;
        case ANSWER_LOST:
                scene_log(s, "lost %llu", n);
                break;
        }
}

/* After the timers of a turn, and before it sleeps: what a timer has said may be the last thing to come for long. */
static void scene_prepare_cb(uv_prepare_t *prepare)
{
        struct scene *s = prepare->data;

        if (s->redis && s->flushing)
                redis_flush(s->redis);
        if (s->read_n < s->lines_n)
                uv_stop(&s->loop);
}

void scene_init(struct scene *s)
{
        *s = (struct scene){ .flushing = true, .live = mem_live() };
        s->options = (struct redis_options){
                .loop = &s->loop,
                .node = 3,
                .address = &s->address,
                .key_prefix = "",
                .connect_timeout_ms = scene_timeout_ms,
                .heartbeat_ms = scene_heartbeat_ms,
                .reconnect_min_ms = 1,
                .batch_max = scene_batch_max,
                .reconnect_max_ms = 10,
                .userdata = s,
                .members = scene_members,
                .ttl_max_ms = 60000,
                .on_state = scene_on_state,
                .on_look = scene_on_look,
                .on_answer = scene_on_answer,
        };
        scene_timeout_ms = SCENE_TIMEOUT_MS;
        scene_heartbeat_ms = SCENE_TIMEOUT_MS;
        scene_batch_max = 1;
        scene_members = NULL;
        signal(SIGPIPE, SIG_IGN);
        ck_assert_int_eq(uv_loop_init(&s->loop), 0);
        uv_prepare_init(&s->loop, &s->prepare);
        s->prepare.data = s;
        uv_prepare_start(&s->prepare, scene_prepare_cb);
}

void scene_node_tcp(struct scene *s, const char *host, int port)
{
        s->address.kind = ADDRESS_TCP;
        s->address.host = (char *)(uintptr_t)(host ? host : "127.0.0.1");
        s->address.port = (uint16_t)port;
        ck_assert_int_eq(redis_new(&s->redis, &s->options), 0);
}

void scene_node_unix(struct scene *s, const char *path)
{
        s->address.kind = ADDRESS_UNIX;
        s->address.path = (char *)(uintptr_t)path;
        ck_assert_int_eq(redis_new(&s->redis, &s->options), 0);
}

void scene_start(struct scene *s)
{
        redis_start(s->redis);
        scene_expect(s, "connecting connecting");
}

void scene_down(struct scene *s)
{
        scene_init(s);
        fake_redis_bind_tcp(&s->fake, &s->loop, "127.0.0.1");
        scene_node_tcp(s, NULL, s->fake.port);
}

void scene_ready(struct scene *s)
{
        scene_down(s);
        fake_redis_listen(&s->fake);
}

void scene_up(struct scene *s)
{
        scene_ready(s);
        scene_start(s);
        scene_expect(s, "up");
}

void scene_up_unix(struct scene *s)
{
        static char path[64];
        char folder[] = "/tmp/redlockd-net-XXXXXX";

        scene_init(s);
        ck_assert_ptr_nonnull(mkdtemp(folder));
        snprintf(path, sizeof(path), "%s/s", folder);
        fake_redis_bind_unix(&s->fake, &s->loop, path);
        fake_redis_listen(&s->fake);
        scene_node_unix(s, path);
        scene_start(s);
        scene_expect(s, "up");
        /* who is connected stays so; nothing is left behind then */
        unlink(path);
        rmdir(folder);
}

void scene_turn(struct scene *s)
{
        uv_run(&s->loop, UV_RUN_ONCE);
}

void scene_expect(struct scene *s, const char *line)
{
        size_t n = strlen(line);
        const char *came;

        scene_until(s, s->read_n < s->lines_n);
        came = s->lines[s->read_n++];
        if (n > 0 && line[n - 1] == '*')
                ck_assert_msg(strncmp(came, line, n - 1) == 0, "expected \"%s\", came \"%s\"", line, came);
        else
                ck_assert_str_eq(came, line);
}

int scene_send(struct scene *s, const struct command *command)
{
        return redis_send(s->redis, command);
}

static int scene_send_one(struct scene *s, enum command_kind kind, uint64_t round)
{
        const struct command_item item = { .key = text_of("k"), .value = SCENE_VALUE };

        return redis_send(s->redis, &(struct command){ .round = round,
                                                       .node = 3,
                                                       .kind = kind,
                                                       .ttl_ms = 15000,
                                                       .items = &item,
                                                       .items_n = 1,
                                                       .acquire_n = 1 });
}

int scene_take(struct scene *s, uint64_t round)
{
        return scene_send_one(s, COMMAND_TAKE, round);
}

int scene_release(struct scene *s, uint64_t round)
{
        return scene_send_one(s, COMMAND_RELEASE, round);
}

void scene_on_closed(void *userdata, unsigned node)
{
        struct scene *s = userdata;

        ck_assert_uint_eq(node, 3);
        s->redis = NULL;
        ++s->closed_n;
}

void scene_close_node(struct scene *s)
{
        redis_close(s->redis, scene_on_closed);
        scene_until(s, s->closed_n > 0);
}

void scene_end(struct scene *s)
{
        if (s->closed_n == 0)
                scene_close_node(s);
        ck_assert_uint_eq(s->closed_n, 1);
        if (s->read_n < s->lines_n)
                ck_abort_msg("came besides: \"%s\"", s->lines[s->read_n]);
        fake_redis_close(&s->fake);
        uv_close((uv_handle_t *)&s->prepare, NULL);
        ck_assert_int_eq(uv_run(&s->loop, UV_RUN_DEFAULT), 0);
        ck_assert_int_eq(uv_loop_close(&s->loop), 0);
        ck_assert_uint_eq(mem_live(), s->live);
        while (s->lines_n > 0)
                free(s->lines[--s->lines_n]);
        free(s->lines);
}

void scene_hole(const char *ip, int port, int ret_fds[SCENE_HOLE_N])
{
        struct sockaddr_in address;
        int i;

        uv_ip4_addr(ip, port, &address);
        for (i = 0; i < SCENE_HOLE_N; ++i)
                ret_fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        ck_assert_int_eq(bind(ret_fds[0], (struct sockaddr *)&address, sizeof(address)), 0);
        ck_assert_int_eq(listen(ret_fds[0], 0), 0);
        for (i = 1; i < SCENE_HOLE_N; ++i)
                ck_assert(connect(ret_fds[i], (struct sockaddr *)&address, sizeof(address)) == 0 ||
                          errno == EINPROGRESS);
}

uint32_t scene_dice(uint64_t *state, uint32_t sides)
{
        *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        return (uint32_t)(*state >> 33) % sides;
}

uint64_t scene_random_fence(uint64_t *seed)
{
        uint64_t ms = (uint64_t)time(NULL) * 1000;

        switch (scene_dice(seed, 4)) {
        case 0:
                return scene_dice(seed, 1000000);
        case 1:
                return FENCE_MAX - 1 - scene_dice(seed, 1000000);
        default:
                return (ms + scene_dice(seed, 40000) - 20000) * FENCE_STEP + scene_dice(seed, FENCE_STEP);
        }
}
