/*
 * INFO is lines of NAME:VALUE. What is not there reads as "".
 */
#include "redlockd/net/redis_info.h"

#include "redlockd/net/redis_words.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIELD_MAX  64
#define REPLID_LEN 8 /* of 40 digits: enough to tell two of them apart */

#define VERSION_LEAST 6 /* SET ... KEEPTTL */

/* "" also where it is too long. */
static void info_field(struct text info, const char *name, char *ret_field, size_t size)
{
        const char *end = info.data + info.len, *at = info.data, *eol;
        size_t name_len = strlen(name), len;

        ret_field[0] = '\0';
        for (; at < end; at = eol + 1) {
                eol = memchr(at, '\n', (size_t)(end - at));
                if (!eol)
                        eol = end;
                if ((size_t)(eol - at) <= name_len || memcmp(at, name, name_len) != 0 || at[name_len] != ':')
                        continue;
                at += name_len + 1;
                len = (size_t)(eol - at);
                if (len > 0 && at[len - 1] == '\r')
                        --len;
                if (len < size)
                        redis_words(ret_field, size, (struct text){ at, len });
                return;
        }
}

static bool info_field_is(struct text info, const char *name, const char *value)
{
        char field[FIELD_MAX];

        info_field(info, name, field, sizeof(field));
        return strcmp(field, value) == 0;
}

/* Why a server can never vote as it is, and what to do about it; "" where it can. */
static void info_find_fault(struct redis_look *look, struct text info)
{
        char mode[FIELD_MAX], role[FIELD_MAX], policy[FIELD_MAX];
        const int major = atoi(look->version);
        char *why = look->unfit;

        info_field(info, "redis_mode", mode, sizeof(mode));
        info_field(info, "role", role, sizeof(role));
        info_field(info, "maxmemory_policy", policy, sizeof(policy));
        why[0] = '\0';
        if (strcmp(mode, "cluster") == 0 || info_field_is(info, "cluster_enabled", "1"))
                snprintf(why, NODE_REASON_MAX,
                         "a part of a Redis Cluster: name independent masters (cluster-enabled no)");
        else if (strcmp(mode, "sentinel") == 0)
                snprintf(why, NODE_REASON_MAX, "a Sentinel: name a Redis server itself");
        else if (!look->run_id[0] || !role[0] || !policy[0])
                snprintf(why, NODE_REASON_MAX,
                         "INFO says no run_id, role or maxmemory_policy: name the Redis server itself, not a proxy");
        else if (major > 0 && major < VERSION_LEAST)
                snprintf(why, NODE_REASON_MAX,
                         "Redis %s does not know all that is asked of it: %d.0 or later, or Valkey", look->version,
                         VERSION_LEAST);
        else if (strcmp(role, "master") != 0)
                snprintf(why, NODE_REASON_MAX,
                         "a replica: name an independent master, or make it one (REPLICAOF NO ONE)");
        else if (strcmp(policy, "noeviction") != 0)
                snprintf(why, NODE_REASON_MAX, "maxmemory-policy is %s: it may drop locks; set it to noeviction",
                         policy);
}

static void info_note_evictions(struct redis_look *look, struct text info)
{
        char field[FIELD_MAX];
        uint64_t evicted_n;
        bool known = look->identity[0] != '\0';

        info_field(info, "evicted_keys", field, sizeof(field));
        evicted_n = strtoull(field, NULL, 10);
        look->evicts = !info_field_is(info, "maxmemory_policy", "noeviction") || (known && evicted_n > look->evicted_n);
        look->evicted_n = evicted_n;
}

/* True where it is the server that the connection began with. */
static bool info_identify(struct redis_look *look, struct text info)
{
        char run_id[NODE_RUN_ID_MAX], history[FIELD_MAX];

        info_field(info, "redis_version", look->version, sizeof(look->version));
        info_field(info, "run_id", run_id, sizeof(run_id));
        info_field(info, "master_replid2", history, sizeof(history));
        if (look->identity[0] && strcmp(look->run_id, run_id) != 0)
                return false;
        memcpy(look->run_id, run_id, sizeof(run_id));
        if (strspn(history, "0") == strlen(history))
                snprintf(look->identity, sizeof(look->identity), "%s", run_id);
        else
                snprintf(look->identity, sizeof(look->identity), "%s+%.*s", run_id, REPLID_LEN, history);
        return true;
}

int redis_info_take(struct redis_look *look, struct text info)
{
        char clock[FIELD_MAX];

        info_note_evictions(look, info);
        if (!info_identify(look, info))
                return -EPROTO;
        info_find_fault(look, info);
        info_field(info, "server_time_usec", clock, sizeof(clock));
        if (clock[0] || !look->clockless) /* else TIME has just told it */
                look->node_ms = strtoull(clock, NULL, 10) / 1000;
        look->clockless = !clock[0];
        look->aof = info_field_is(info, "aof_enabled", "1") && info_field_is(info, "aof_last_write_status", "ok");
        return 0;
}
