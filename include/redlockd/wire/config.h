#pragma once

/*
 * The configuration file: one JSON object, comments allowed (`//`, `#`, slash-star). Every name, type and range is
 * checked; all errors are reported, not the first only.
 */
#include "redlockd/base/address.h"
#include "redlockd/base/text.h"
#include "redlockd/wire/request.h"

#include <stdint.h>
#include <sys/types.h>

struct config_node {
        char *name; /* unique; by default host:port or the path */
        struct address address;
};

/*
 * Who may use the keys that match the pattern (base/pattern.h). Those who are named by their user or by one of their
 * groups: as `allow` says, all others the other way round. Where nobody is named all are meant.
 */
struct config_rule {
        char *keys; /* no NUL at its end */
        size_t keys_len;
        uint32_t *users;
        unsigned users_n;
        uint32_t *groups;
        unsigned groups_n;
        bool allow;
};

struct config {
        struct config_node *nodes; /* never empty: `memory:` where none is named */
        unsigned nodes_n;
        enum release_on release_on; /* what sessions start with */
        struct {
                uint32_t ttl_ms, ttl_min_ms, ttl_max_ms;
                double drift_factor;
                int64_t retry_count;
                uint64_t retry_delay_ms, retry_jitter_ms;
                uint64_t tenure_ms;
                char *key_prefix;
        } lock;
        struct {
                char *socket;
                mode_t mode;
                char *group; /* NULL: left as it is */
        } listen;
        struct {
                uint64_t connect_timeout_ms, reconnect_min_ms, reconnect_max_ms;
                bool restart_quarantine;
        } redis;
        struct {
                uint32_t sessions_max, request_bytes_max, output_bytes_max, in_flight_max, keys_per_request_max,
                        key_bytes_max, locks_per_session_max, sessions_per_uid_max, waiters_per_key_max, locks_max;
        } limits;
        struct {
                char **admin_groups; /* NULL where there are none */
                unsigned admin_groups_n;
                struct config_rule *rules; /* the first that matches a key decides; NULL where there are none */
                unsigned rules_n;
        } access;
        struct {
                char *level; /* "error", "warn", "info", "debug" */
        } log;
        struct {
                char *listen; /* NULL: nowhere; else host:port or the path of a socket */
        } metrics;
        struct {
                uint64_t grace_ms;
        } stop;
};

/* What runs now, and what it asks of a configuration that is to take its place. */
struct config_running {
        const struct config *config;
        const struct config_node *const *nodes;
        unsigned nodes_n;
        uint64_t nodes_wait_ms; /* until a node may come or go again; 0: now */
};

/* Called for each error with one line: `FILE:LINE:COLUMN: lock.retryCout: unknown name (did you mean retryCount?)`. */
typedef void (*config_error_fn)(void *userdata, const char *line);

/* Every setting at its default, the `memory:` node. Returns 0 or -ENOMEM. */
int config_init(struct config *ret_config);

/*
 * Reads a file over the defaults. `credentials` is $CREDENTIALS_DIRECTORY or NULL: where a relative passwordFile is
 * looked up (else beside the file). Returns 0, -EINVAL after errors were reported, -ENOMEM. `ret_config` is set on
 * success only.
 */
int config_load(const char *path, const char *credentials, struct config *ret_config, config_error_fn report,
                void *userdata);

/*
 * As config_load(), for a broker that runs: what cannot be changed while it does is an error, too. At most one node may
 * come or go (majorities before and after must have a node in common), and none within nodes_wait_ms.
 */
int config_reload(const char *path, const char *credentials, const struct config_running *running,
                  struct config *ret_config, config_error_fn report, void *userdata);

/* Whether two are the same node: the same server by its address, and the same database. */
bool config_same_node(const struct config_node *a, const struct config_node *b);

/* Moves one node out; its place in the configuration is empty then. It is to be given to config_node_deinit(). */
struct config_node config_take_node(struct config *c, unsigned node);
void config_node_deinit(struct config_node *node);

/* As config_load() from memory; `name` stands for the file in errors, and passwordFile is looked up beside it. */
int config_parse(struct text json, const char *name, const char *credentials, struct config *ret_config,
                 config_error_fn report, void *userdata);

void config_deinit(struct config *c);
