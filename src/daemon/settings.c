/*
 * Where the configuration comes from, and whether what it names is there.
 */
#include "redlockd/daemon/settings.h"

#include "redlockd/net/redis.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *settings_credentials(void)
{
        return getenv("CREDENTIALS_DIRECTORY");
}

/* -EINVAL was reported where it was found. */
static int settings_report(const char *file, int r, config_error_fn report, void *userdata)
{
        char line[128];

        if (r < 0 && r != -EINVAL) {
                snprintf(line, sizeof(line), "%.64s: %s", file, strerror(-r));
                report(userdata, line);
        }
        return r;
}

int settings_load(const char *file, struct config *ret_config, config_error_fn report, void *userdata)
{
        int r;

        if (!file && access(SETTINGS_FILE, F_OK) < 0 && errno == ENOENT)
                r = config_init(ret_config);
        else
                r = config_load(file ? file : SETTINGS_FILE, settings_credentials(), ret_config, report, userdata);
        return settings_report(file ? file : SETTINGS_FILE, r, report, userdata);
}

int settings_reload(const char *file, const struct config_running *running, struct config *ret_config,
                    config_error_fn report, void *userdata)
{
        int r;

        file = file ? file : SETTINGS_FILE;
        r = config_reload(file, settings_credentials(), running, ret_config, report, userdata);
        return settings_report(file, r, report, userdata);
}

/* One node while it is looked at. */
struct probe {
        struct redis *redis;
        const struct config_node *node;
        bool told;
        bool fit;
};

static void probe_on_state(void *userdata, unsigned node, enum node_state state, const char *reason)
{
        struct probe *p = (struct probe *)userdata + node;
        const char *version;

        if (state == NODE_CONNECTING || p->told)
                return;
        p->told = true;
        p->fit = state == NODE_UP;
        version = redis_version(p->redis);
        printf("%s: %s%s%s%s%s\n", p->node->name, p->node->address.shown,
               p->fit ? ": up" : ": not usable: ", p->fit ? "" : reason, p->fit && version ? ", Redis " : "",
               p->fit && version ? version : "");
}

static void probe_on_answer(void *userdata, unsigned node, uint64_t round, const struct answer *answer)
{
}

static void probe_on_closed(void *userdata, unsigned node)
{
}

static int probe_open(struct probe *probes, uv_loop_t *loop, const struct config *config, unsigned i)
{
        struct redis_options options = {
                .loop = loop,
                .node = i,
                .address = &config->nodes[i].address,
                .key_prefix = config->lock.key_prefix,
                .connect_timeout_ms = config->redis.connect_timeout_ms,
                .reconnect_min_ms = config->redis.reconnect_min_ms,
                .reconnect_max_ms = config->redis.reconnect_max_ms,
                .userdata = probes,
                .on_state = probe_on_state,
                .on_answer = probe_on_answer,
        };

        probes[i].node = &config->nodes[i];
        return redis_new(&probes[i].redis, &options);
}

static bool probe_all_told(const struct probe *probes, unsigned n)
{
        unsigned i;

        for (i = 0; i < n && probes[i].told; ++i)
                ;
        return i == n;
}

int settings_probe(const struct config *config)
{
        struct probe probes[NODES_MAX] = { 0 };
        int r = 0, closed;
        uv_loop_t loop;
        unsigned i;

        if (config->nodes[0].address.kind == ADDRESS_MEMORY) {
                printf("memory: between the processes of this host, no Redis\n");
                return 0;
        }
        r = uv_loop_init(&loop);
        for (i = 0; i < config->nodes_n && r >= 0; ++i)
                r = probe_open(probes, &loop, config, i);
        for (i = 0; i < config->nodes_n && r >= 0; ++i)
                redis_start(probes[i].redis);
        while (r >= 0 && !probe_all_told(probes, config->nodes_n))
                uv_run(&loop, UV_RUN_ONCE);
        for (i = 0; i < config->nodes_n; ++i) {
                if (probes[i].redis)
                        redis_close(probes[i].redis, probe_on_closed);
                if (r >= 0 && !probes[i].fit)
                        r = -ENETUNREACH;
        }
        uv_run(&loop, UV_RUN_DEFAULT);
        closed = uv_loop_close(&loop);
        return closed < 0 ? closed : r;
}
