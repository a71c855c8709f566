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
        char run_id[NODE_RUN_ID_MAX];
        bool told;
        bool fit;
};

/* What it is: fit, or not for this reason. The first word counts. */
static void probe_tell(struct probe *p, bool fit, const char *reason)
{
        const char *version;

        if (p->told)
                return;
        p->told = true;
        p->fit = fit;
        version = redis_version(p->redis);
        printf("%s: %s%s%s%s%s\n", p->node->name, p->node->address.shown,
               p->fit ? ": up" : ": not usable: ", p->fit ? "" : reason, p->fit && version ? ", Redis " : "",
               p->fit && version ? version : "");
}

static void probe_on_state(void *userdata, unsigned node, enum node_state state, const char *reason)
{
        if (state == NODE_DOWN)
                probe_tell((struct probe *)userdata + node, false, reason);
}

/* One that is quarantined is fit: it only has to wait. */
static void probe_on_look(void *userdata, unsigned node, const struct node_look *look)
{
        struct probe *probes = userdata, *p = &probes[node];
        char reason[NODE_REASON_MAX];
        unsigned i;

        snprintf(p->run_id, sizeof(p->run_id), "%s", look->run_id);
        for (i = 0; i < NODES_MAX && look->verdict != LOOK_UNFIT; ++i) {
                if (i == node || !p->run_id[0] || strcmp(probes[i].run_id, p->run_id) != 0)
                        continue;
                snprintf(reason, sizeof(reason), "the same server as %.80s", probes[i].node->name);
                probe_tell(p, false, reason);
                return;
        }
        probe_tell(p, look->verdict != LOOK_UNFIT, look->reason);
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
                .heartbeat_ms = REDIS_HEARTBEAT_MS,
                .reconnect_min_ms = config->redis.reconnect_min_ms,
                .reconnect_max_ms = config->redis.reconnect_max_ms,
                .userdata = probes,
                .on_state = probe_on_state,
                .on_look = probe_on_look,
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
