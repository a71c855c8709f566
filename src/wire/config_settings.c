/*
 * The sections of the configuration: one row for each setting, with the range that it is held to, and one function for
 * each kind of value.
 */
#include "redlockd/wire/config_read.h"

#include "redlockd/base/mem.h"
#include "redlockd/core/types.h"
#include "redlockd/wire/request.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>

#define TTL_MIN_MS            1
#define TTL_MAX_MS            86400000 /* a day */
#define DRIFT_FACTOR_MAX      0.1
#define TENURE_MAX_MS         60000
#define KEY_PREFIX_MAX        128 /* bytes */
#define SOCKET_MAX            ((int)sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1)
#define GROUP_MAX             64
#define CONNECT_TIMEOUT_MIN   10
#define CONNECT_TIMEOUT_MAX   60000
#define RECONNECT_MIN_MS      1
#define RECONNECT_MAX_MS      3600000
#define SESSIONS_MAX          1000000
#define REQUEST_BYTES_MIN     256
#define REQUEST_BYTES_MAX     16777216
#define OUTPUT_BYTES_MIN      4096
#define OUTPUT_BYTES_MAX      1073741824
#define IN_FLIGHT_MAX         65536
#define KEY_BYTES_MAX         65536
#define LOCKS_PER_SESSION_MAX 1000000
#define WAITERS_PER_KEY_MAX   1000000
#define LOCKS_MAX             100000000
#define GRACE_MAX_MS          3600000
#define WHY_MAX               200 /* bytes of what is said about a setting */

/* One value on its way into its field. */
struct slot {
        struct config_reading *rd;
        const struct setting *setting;
        const char *path;
        size_t at;
        struct text json;
        void *field;
};

struct setting {
        const char *section;
        const char *name;
        /* Stores the value and returns 1; 0: refused and complained about; or -ENOMEM. */
        int (*read)(const struct slot *slot, const json_t *value);
        size_t offset; /* of the field in struct config */
        int64_t min;
        int64_t max;
};

__attribute__((format(printf, 2, 3))) static int slot_refuse(const struct slot *slot, const char *format, ...)
{
        char why[WHY_MAX];
        va_list args;

        va_start(args, format);
        vsnprintf(why, sizeof(why), format, args);
        va_end(args);
        config_complain(slot->rd, slot->at, slot->path, "%s", why);
        return 0;
}

static bool in_range(const struct setting *setting, const json_t *value)
{
        return json_is_integer(value) && json_integer_value(value) >= setting->min &&
               json_integer_value(value) <= setting->max;
}

static int refuse_range(const struct slot *slot)
{
        return slot_refuse(slot, "must be an integer from %lld to %lld", (long long)slot->setting->min,
                           (long long)slot->setting->max);
}

static int read_u32(const struct slot *slot, const json_t *value)
{
        if (!in_range(slot->setting, value))
                return refuse_range(slot);
        *(uint32_t *)slot->field = (uint32_t)json_integer_value(value);
        return 1;
}

static int read_u64(const struct slot *slot, const json_t *value)
{
        if (!in_range(slot->setting, value))
                return refuse_range(slot);
        *(uint64_t *)slot->field = (uint64_t)json_integer_value(value);
        return 1;
}

static int read_i64(const struct slot *slot, const json_t *value)
{
        if (!in_range(slot->setting, value))
                return refuse_range(slot);
        *(int64_t *)slot->field = json_integer_value(value);
        return 1;
}

static int read_drift(const struct slot *slot, const json_t *value)
{
        double number = json_number_value(value);

        if (!json_is_number(value) || !(number >= 0 && number <= DRIFT_FACTOR_MAX))
                return slot_refuse(slot, "must be a number from 0 to %g", DRIFT_FACTOR_MAX);
        *(double *)slot->field = number;
        return 1;
}

static int read_bool(const struct slot *slot, const json_t *value)
{
        if (!json_is_boolean(value))
                return slot_refuse(slot, "must be true or false");
        *(bool *)slot->field = json_is_true(value);
        return 1;
}

/* A string of min to max bytes; *field is replaced. */
static int read_string(const struct slot *slot, const json_t *value)
{
        char **kept = slot->field, *string = NULL;
        int r;

        r = config_string(value, &string);
        if (r < 0)
                return r;
        if (r == 0 || (int64_t)strlen(string) < slot->setting->min || (int64_t)strlen(string) > slot->setting->max) {
                mem_free(string);
                return slot_refuse(slot, "must be a string of %lld to %lld bytes without NUL",
                                   (long long)slot->setting->min, (long long)slot->setting->max);
        }
        mem_free(*kept);
        *kept = string;
        return 1;
}

/* Keys of clients may not stand among the broker's own. */
static int read_prefix(const struct slot *slot, const json_t *value)
{
        const char *prefix = json_string_value(value);

        if (prefix && strncmp(prefix, REQUEST_OWN_PREFIX, strlen(REQUEST_OWN_PREFIX)) == 0)
                return slot_refuse(slot, "must not begin with " REQUEST_OWN_PREFIX ", which is the broker's own");
        return read_string(slot, value);
}

static int read_string_or_null(const struct slot *slot, const json_t *value)
{
        char **kept = slot->field;

        if (!json_is_null(value))
                return read_string(slot, value);
        *kept = mem_free(*kept);
        return 1;
}

/* The socket could not be made with one that does not exist. */
static int read_group(const struct slot *slot, const json_t *value)
{
        int r = read_string_or_null(slot, value);
        char **kept = slot->field;
        uint32_t id;

        if (r > 0 && *kept && config_find_group(*kept, &id) == ENOENT)
                return slot_refuse(slot, "there is no group \"%.64s\"", *kept);
        return r;
}

/* No names: a scraper's door must not wait for a resolver, nor open where a name happens to point. */
static int read_metrics_listen(const struct slot *slot, const json_t *value)
{
        const char *address = json_string_value(value), *colon = address ? strrchr(address, ':') : NULL;
        unsigned char binary[sizeof(struct in6_addr)];
        char host[SOCKET_MAX + 1];
        size_t n;

        if (json_is_null(value) || (address && address[0] == '/'))
                return read_string_or_null(slot, value);
        n = colon ? (size_t)(colon - address) : 0;
        if (n == 0 || n > SOCKET_MAX || strspn(colon + 1, "0123456789") != strlen(colon + 1) || colon[1] == 0 ||
            strlen(colon + 1) > 5 || atol(colon + 1) > UINT16_MAX)
                n = 0;
        if (n > 0)
                memcpy(host, address, n);
        host[n] = '\0';
        if (n > 2 && host[0] == '[' && host[n - 1] == ']') {
                host[n - 1] = '\0';
                n = inet_pton(AF_INET6, host + 1, binary) == 1;
        } else if (n > 0) {
                n = inet_pton(AF_INET, host, binary) == 1;
        }
        if (n == 0)
                return slot_refuse(slot, "must be ADDRESS:PORT (an IPv6 address in brackets), the path of a socket, or "
                                         "null");
        return read_string(slot, value);
}

static int read_mode(const struct slot *slot, const json_t *value)
{
        const char *digits = json_string_value(value);
        size_t n = json_string_length(value), i;
        mode_t mode = 0;

        if (n == 4 && digits[0] == '0') {
                ++digits;
                --n;
        }
        for (i = 0; i < n && n == 3 && digits[i] >= '0' && digits[i] <= '7'; ++i)
                mode = mode * 8 + (mode_t)(digits[i] - '0');
        if (i < 3)
                return slot_refuse(slot, "must be a string of octal digits from \"0000\" to \"0777\"");
        *(mode_t *)slot->field = mode;
        return 1;
}

static int read_level(const struct slot *slot, const json_t *value)
{
        static const char *const levels[] = { "error", "warn", "info", "debug" };
        struct text given = { json_string_value(value), json_string_length(value) };
        size_t i;

        for (i = 0; i < sizeof(levels) / sizeof(levels[0]); ++i)
                if (text_equal(given, text_of(levels[i])))
                        return read_string(slot, value);
        return slot_refuse(slot, "must be one of \"error\", \"warn\", \"info\", \"debug\"");
}

static int read_groups(const struct slot *slot, const json_t *value)
{
        struct config *c = slot->rd->config;
        unsigned n = (unsigned)json_array_size(value), i;
        char **names;
        int r = 1;

        for (i = 0; i < n; ++i)
                if (json_string_length(json_array_get(value, i)) == 0)
                        break;
        if (!json_is_array(value) || i < n)
                return slot_refuse(slot, "must be an array of names of groups");
        names = mem_zalloc_n(n + 1, sizeof(*names));
        if (!names)
                return -ENOMEM;
        for (i = 0; i < n && r > 0; ++i)
                r = config_string(json_array_get(value, i), &names[i]);
        config_set_admin_groups(c, names, n);
        return r == 0 ? slot_refuse(slot, "must be an array of names without NUL") : r;
}

static int read_rules(const struct slot *slot, const json_t *value)
{
        int r = config_read_rules(slot->rd, slot->at, slot->json);

        return r < 0 ? r : 1;
}

#define FIELD(member) offsetof(struct config, member)

static const struct setting settings[] = {
        { "lock", "ttl", read_u32, FIELD(lock.ttl_ms), TTL_MIN_MS, TTL_MAX_MS },
        { "lock", "minTtl", read_u32, FIELD(lock.ttl_min_ms), TTL_MIN_MS, TTL_MAX_MS },
        { "lock", "maxTtl", read_u32, FIELD(lock.ttl_max_ms), TTL_MIN_MS, TTL_MAX_MS },
        { "lock", "driftFactor", read_drift, FIELD(lock.drift_factor), 0, 0 },
        { "lock", "retryCount", read_i64, FIELD(lock.retry_count), RETRY_FOR_EVER, REQUEST_RETRY_COUNT_MAX },
        { "lock", "retryDelay", read_u64, FIELD(lock.retry_delay_ms), 0, REQUEST_DELAY_MAX_MS },
        { "lock", "retryJitter", read_u64, FIELD(lock.retry_jitter_ms), 0, REQUEST_DELAY_MAX_MS },
        { "lock", "tenure", read_u64, FIELD(lock.tenure_ms), 0, TENURE_MAX_MS },
        { "lock", "keyPrefix", read_prefix, FIELD(lock.key_prefix), 0, KEY_PREFIX_MAX },
        { "listen", "socket", read_string, FIELD(listen.socket), 1, SOCKET_MAX },
        { "listen", "mode", read_mode, FIELD(listen.mode), 0, 0 },
        { "listen", "group", read_group, FIELD(listen.group), 1, GROUP_MAX },
        { "redis", "connectTimeout", read_u64, FIELD(redis.connect_timeout_ms), CONNECT_TIMEOUT_MIN,
          CONNECT_TIMEOUT_MAX },
        { "redis", "reconnectMin", read_u64, FIELD(redis.reconnect_min_ms), RECONNECT_MIN_MS, RECONNECT_MAX_MS },
        { "redis", "reconnectMax", read_u64, FIELD(redis.reconnect_max_ms), RECONNECT_MIN_MS, RECONNECT_MAX_MS },
        { "redis", "restartQuarantine", read_bool, FIELD(redis.restart_quarantine), 0, 0 },
        { "limits", "maxSessions", read_u32, FIELD(limits.sessions_max), 1, SESSIONS_MAX },
        { "limits", "maxSessionsPerUid", read_u32, FIELD(limits.sessions_per_uid_max), 1, SESSIONS_MAX },
        { "limits", "maxRequestBytes", read_u32, FIELD(limits.request_bytes_max), REQUEST_BYTES_MIN,
          REQUEST_BYTES_MAX },
        { "limits", "maxOutputBytes", read_u32, FIELD(limits.output_bytes_max), OUTPUT_BYTES_MIN, OUTPUT_BYTES_MAX },
        { "limits", "maxInFlight", read_u32, FIELD(limits.in_flight_max), 1, IN_FLIGHT_MAX },
        { "limits", "maxKeysPerRequest", read_u32, FIELD(limits.keys_per_request_max), 1, KEYS_PER_ROUND_MAX },
        { "limits", "maxKeyBytes", read_u32, FIELD(limits.key_bytes_max), 1, KEY_BYTES_MAX },
        { "limits", "maxLocksPerSession", read_u32, FIELD(limits.locks_per_session_max), 1, LOCKS_PER_SESSION_MAX },
        { "limits", "maxWaitersPerKey", read_u32, FIELD(limits.waiters_per_key_max), 1, WAITERS_PER_KEY_MAX },
        { "limits", "maxLocks", read_u32, FIELD(limits.locks_max), 1, LOCKS_MAX },
        { "access", "adminGroups", read_groups, 0, 0, 0 },
        { "access", "rules", read_rules, 0, 0, 0 },
        { "log", "level", read_level, FIELD(log.level), 1, GROUP_MAX },
        { "metrics", "listen", read_metrics_listen, FIELD(metrics.listen), 1, SOCKET_MAX },
        { "stop", "grace", read_u64, FIELD(stop.grace_ms), 0, GRACE_MAX_MS },
};

#define SETTINGS_N (sizeof(settings) / sizeof(settings[0]))

static_assert(SETTINGS_N <= CONFIG_SETTINGS_MAX, "the reading has no place for every setting");

static const struct setting *setting_find(const char *section, const char *name)
{
        size_t i;

        for (i = 0; i < SETTINGS_N; ++i)
                if (strcmp(settings[i].section, section) == 0 && strcmp(settings[i].name, name) == 0)
                        return &settings[i];
        return NULL;
}

static void complain_unknown(struct config_reading *rd, const char *section, const struct config_member *member,
                             const char *path)
{
        const char *known[SETTINGS_N];
        size_t i, n = 0;

        for (i = 0; i < SETTINGS_N; ++i)
                if (strcmp(settings[i].section, section) == 0)
                        known[n++] = settings[i].name;
        config_complain_unknown(rd, member, path, known, n);
}

static int read_setting(struct config_reading *rd, const char *section, const struct config_member *member)
{
        const struct setting *setting = setting_find(section, member->name);
        struct slot slot = { .rd = rd, .setting = setting, .at = member->at, .json = member->json };
        char path[CONFIG_PATH_MAX];
        json_t *value;
        size_t i;
        int r;

        snprintf(path, sizeof(path), "%s.%s", section, member->name);
        if (!setting) {
                complain_unknown(rd, section, member, path);
                return 0;
        }
        i = (size_t)(setting - settings);
        if (rd->given[i].at != 0)
                config_complain_twice(rd, member, path);
        rd->given[i].at = member->at;
        r = config_value(member, &value);
        if (r < 0)
                return r;
        slot.path = path;
        slot.field = (char *)rd->config + setting->offset;
        r = setting->read(&slot, value);
        json_decref(value);
        rd->given[i].refused = r == 0;
        return r < 0 ? r : 0;
}

int config_read_section(struct config_reading *rd, const struct config_member *member)
{
        struct config_member inner;
        struct config_cursor c;
        int r;

        if (member->json.data[0] != '{') {
                config_complain(rd, member->at, member->name, "must be an object");
                return 0;
        }
        config_cursor_init(&c, &rd->text, member->json);
        while ((r = config_cursor_next(&c, &inner)) > 0) {
                r = read_setting(rd, member->name, &inner);
                if (r < 0)
                        return r;
        }
        return r;
}

struct bound {
        const char *section;
        const char *name;
        uint64_t value;
};

/* Complains where `low` is greater than `high`, at the one of them that is given. */
static void check_order(struct config_reading *rd, struct bound low, struct bound high)
{
        size_t l = (size_t)(setting_find(low.section, low.name) - settings);
        size_t h = (size_t)(setting_find(high.section, high.name) - settings);
        char path[CONFIG_PATH_MAX];

        if (low.value <= high.value || rd->given[l].refused || rd->given[h].refused)
                return;
        if (rd->given[h].at != 0) {
                snprintf(path, sizeof(path), "%s.%s", high.section, high.name);
                config_complain(rd, rd->given[h].at, path, "must not be less than %s.%s (%llu)", low.section, low.name,
                                (unsigned long long)low.value);
        } else {
                snprintf(path, sizeof(path), "%s.%s", low.section, low.name);
                config_complain(rd, rd->given[l].at, path, "must not be greater than %s.%s (%llu)", high.section,
                                high.name, (unsigned long long)high.value);
        }
}

/* Whether a setting that is fixed has the same value in both. */
static bool setting_same(const struct setting *setting, const struct config *a, const struct config *b)
{
        const void *x = (const char *)a + setting->offset, *y = (const char *)b + setting->offset;
        const char *s, *t;

        if (setting->read == read_u32)
                return *(const uint32_t *)x == *(const uint32_t *)y;
        if (setting->read == read_u64)
                return *(const uint64_t *)x == *(const uint64_t *)y;
        if (setting->read == read_drift)
                return *(const double *)x == *(const double *)y;
        if (setting->read == read_bool)
                return *(const bool *)x == *(const bool *)y;
        if (setting->read == read_mode)
                return *(const mode_t *)x == *(const mode_t *)y;
        assert(setting->read == read_string || setting->read == read_group || setting->read == read_prefix);
        s = *(char *const *)x;
        t = *(char *const *)y;
        return s && t ? strcmp(s, t) == 0 : s == t;
}

/* What locks that are held, or sockets that clients know, were made with. */
static const struct {
        const char *section;
        const char *name;
} fixed[] = {
        { "lock", "maxTtl" },   { "lock", "driftFactor" }, { "lock", "tenure" },  { "lock", "keyPrefix" },
        { "listen", "socket" }, { "listen", "mode" },      { "listen", "group" }, { "redis", "restartQuarantine" },
};

void config_check_fixed(struct config_reading *rd)
{
        const struct setting *setting;
        char path[CONFIG_PATH_MAX];
        size_t i, at;

        for (i = 0; i < sizeof(fixed) / sizeof(fixed[0]); ++i) {
                setting = setting_find(fixed[i].section, fixed[i].name);
                assert(setting);
                at = rd->given[setting - settings].at;
                if (rd->given[setting - settings].refused || setting_same(setting, rd->config, rd->running->config))
                        continue;
                snprintf(path, sizeof(path), "%s.%s", setting->section, setting->name);
                config_complain(rd, at ? at : CONFIG_NOWHERE, path, "cannot be changed while the broker runs%s",
                                at ? "" : " (it is not given, and the default is another)");
        }
}

void config_check_settings(struct config_reading *rd)
{
        const struct config *c = rd->config;
        struct bound ttl = { "lock", "ttl", c->lock.ttl_ms }, ttl_min = { "lock", "minTtl", c->lock.ttl_min_ms },
                     ttl_max = { "lock", "maxTtl", c->lock.ttl_max_ms };
        struct bound again_min = { "redis", "reconnectMin", c->redis.reconnect_min_ms },
                     again_max = { "redis", "reconnectMax", c->redis.reconnect_max_ms };

        check_order(rd, ttl_min, ttl);
        check_order(rd, ttl, ttl_max);
        check_order(rd, ttl_min, ttl_max);
        check_order(rd, again_min, again_max);
}
