/*
 * The configuration: a file, and after a NUL the file that is read again while the broker runs with the first.
 * Whatever they hold: either every setting is within its range, or there are errors, each on a line that can be
 * printed; and no memory is left, also where one allocation was refused.
 */
#include "fuzz/fuzz.h"

#include "redlockd/wire/config.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#define PATH_MAX_HERE 64

static void report_cb(void *userdata, const char *line)
{
        unsigned *errors_n = userdata;

        ++*errors_n;
        must(line[0]);
        for (; *line; ++line) /* nothing that moves a cursor or begins another line */
                must((unsigned char)*line >= ' ' && *line != 0x7f);
}

/* A long password that is not also the user or the host is nowhere in what may be printed. */
static void check_hidden(const struct address *a)
{
        if (!a->password || strlen(a->password) < 12 || (a->user && strstr(a->user, a->password)) ||
            (a->host && strstr(a->host, a->password)))
                return;
        must(!strstr(a->shown, a->password));
}

static void check_nodes(const struct config *c)
{
        unsigned i, k;

        must(c->nodes_n >= 1 && c->nodes_n <= NODES_MAX);
        for (i = 0; i < c->nodes_n; ++i) {
                must(c->nodes[i].name && c->nodes[i].name[0]);
                must(c->nodes[i].address.kind != ADDRESS_MEMORY || c->nodes_n == 1);
                must(c->nodes[i].address.db <= ADDRESS_DB_MAX);
                check_hidden(&c->nodes[i].address);
                for (k = 0; k < i; ++k)
                        must(strcmp(c->nodes[i].name, c->nodes[k].name) != 0);
        }
}

static void check_settings(const struct config *c)
{
        unsigned i;

        must(c->lock.ttl_min_ms > 0 && c->lock.ttl_min_ms <= c->lock.ttl_ms && c->lock.ttl_ms <= c->lock.ttl_max_ms);
        must(c->lock.drift_factor >= 0 && c->lock.drift_factor < 1);
        must(c->lock.retry_count >= RETRY_FOR_EVER && c->lock.retry_count <= REQUEST_RETRY_COUNT_MAX);
        must(c->lock.retry_delay_ms <= REQUEST_DELAY_MAX_MS && c->lock.retry_jitter_ms <= REQUEST_DELAY_MAX_MS);
        must(c->lock.key_prefix && c->listen.socket && c->log.level);
        must(c->listen.mode <= 0777);
        must(c->redis.reconnect_min_ms <= c->redis.reconnect_max_ms);
        must(c->limits.sessions_max > 0 && c->limits.request_bytes_max > 0 && c->limits.output_bytes_max > 0);
        must(c->limits.keys_per_request_max >= 1 && c->limits.keys_per_request_max <= KEYS_PER_ROUND_MAX);
        for (i = 0; i < c->access.admin_groups_n; ++i)
                must(c->access.admin_groups[i]);
}

static int take(struct text json, uint64_t fail_at, struct config *ret_config)
{
        unsigned errors_n = 0;
        int r;

        mem_fail_at(fail_at);
        r = config_parse(json, "f", NULL, ret_config, report_cb, &errors_n);
        mem_fail_at(0);
        must(r == 0 || r == -EINVAL || (r == -ENOMEM && fail_at));
        must(r == -ENOMEM || (r == 0) == (errors_n == 0));
        if (r < 0)
                return r;
        check_nodes(ret_config);
        check_settings(ret_config);
        return 0;
}

static void take_again(struct text json, const struct config *old)
{
        const struct config_node *nodes[NODES_MAX];
        struct config_running running = { old, nodes, old->nodes_n, json.len % 2 };
        char path[PATH_MAX_HERE];
        unsigned errors_n = 0, i;
        struct config next;
        int fd, r;

        for (i = 0; i < old->nodes_n; ++i)
                nodes[i] = &old->nodes[i];
        fd = memfd_create("config", MFD_CLOEXEC);
        must(fd >= 0 && write(fd, json.data, json.len) == (ssize_t)json.len);
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        r = config_reload(path, NULL, &running, &next, report_cb, &errors_n);
        close(fd);
        must(r == -EINVAL ? errors_n > 0 : r == 0 && errors_n == 0);
        if (r < 0)
                return;
        check_nodes(&next);
        check_settings(&next);
        must(next.nodes_n <= old->nodes_n + 1 && old->nodes_n <= next.nodes_n + 1);
        must(strcmp(next.lock.key_prefix, old->lock.key_prefix) == 0 && next.lock.ttl_max_ms == old->lock.ttl_max_ms);
        config_deinit(&next);
}

/* The first of them that was right, and then the second. */
static void check(struct text json, const struct text *next)
{
        struct config config;

        if (take(json, 0, &config) == 0) {
                if (next)
                        take_again(*next, &config);
                config_deinit(&config);
        }
        must(mem_live() == 0);
        if (take(json, 1 + fuzz_hash(json) % 200, &config) == 0)
                config_deinit(&config);
        must(mem_live() == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        const uint8_t *nul = size > 0 ? memchr(data, 0, size) : NULL;
        size_t n = nul ? (size_t)(nul - data) : size;
        struct text next = { nul ? (const char *)nul + 1 : NULL, nul ? size - n - 1 : 0 };
        char *copy = fuzz_copy((struct text){ (const char *)data, n });

        check((struct text){ copy, n }, nul ? &next : NULL);
        free(copy);
        return 0;
}
