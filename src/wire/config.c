/*
 * The configuration as a whole: its defaults, reading the file, and how errors are told.
 *
 *      file -> comments blanked -> valid JSON? -> each section and node, with its place -> rules between settings
 *
 * An error in the JSON itself ends the reading, since what follows it has no meaning; every other error is reported and
 * the reading goes on. What a value was is never part of an error: it may be a password.
 */
#include "redlockd/wire/config.h"

#include "redlockd/base/mem.h"
#include "redlockd/wire/codec.h"
#include "redlockd/wire/config_read.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#define FILE_BYTES_MAX 1048576
#define ERROR_LINE_MAX (PATH_MAX + 512)
#define READ_SIZE      4096
#define DISTANCE_MAX   2 /* letters by which a name may differ from the one that was meant */

static const char *const top_names[] = { "nodes",  "releaseOn", "lock", "listen",  "redis",
                                         "limits", "access",    "log",  "metrics", "stop" };

/* Numbers of those that are no sections. */
enum top {
        TOP_NODES,
        TOP_RELEASE_ON,
};

#define TOP_N (sizeof(top_names) / sizeof(top_names[0]))

/* Names are shown as they stand in the file: control characters (C0, DEL, C1) would move cursors and forge lines. */
static void config_tame(char *line)
{
        for (; *line; ++line) {
                if ((unsigned char)*line < ' ' || *line == 0x7f)
                        *line = '?';
                else if ((unsigned char)line[0] == 0xc2 && (unsigned char)line[1] < 0xa0)
                        line[0] = line[1] = '?';
        }
}

void config_complain(struct config_reading *rd, size_t at, const char *path, const char *format, ...)
{
        char line[ERROR_LINE_MAX], place[32] = "", why[256];
        struct config_place found;
        va_list args;

        ++rd->errors_n;
        if (at != CONFIG_NOWHERE) {
                found = config_text_place(&rd->text, at);
                snprintf(place, sizeof(place), "%u:%u:", found.line, found.column);
        }
        va_start(args, format);
        vsnprintf(why, sizeof(why), format, args);
        va_end(args);
        snprintf(line, sizeof(line), "%s:%s %s%s%s", rd->name, place, path, *path ? ": " : "", why);
        codec_repair(line, strlen(line));
        config_tame(line);
        rd->report(rd->userdata, line);
}

void config_complain_twice(struct config_reading *rd, const struct config_member *member, const char *path)
{
        config_complain(rd, member->at, path, "given twice");
}

static unsigned least(unsigned a, unsigned b)
{
        return a < b ? a : b;
}

/* Levenshtein's distance, without regard to case; names longer than CONFIG_NAME_MAX are far from everything. */
static unsigned name_distance(const char *a, const char *b)
{
        unsigned row[CONFIG_NAME_MAX + 1], diagonal, above;
        size_t an = strlen(a), bn = strlen(b), i, j;

        if (bn > CONFIG_NAME_MAX)
                return UINT_MAX;
        for (j = 0; j <= bn; ++j)
                row[j] = (unsigned)j;
        for (i = 1; i <= an; ++i) {
                diagonal = row[0];
                row[0] = (unsigned)i;
                for (j = 1; j <= bn; ++j) {
                        bool differs = tolower((unsigned char)a[i - 1]) != tolower((unsigned char)b[j - 1]);

                        above = row[j];
                        row[j] = least(diagonal + differs, least(above, row[j - 1]) + 1);
                        diagonal = above;
                }
        }
        return row[bn];
}

void config_complain_unknown(struct config_reading *rd, const struct config_member *member, const char *path,
                             const char *const *known, size_t n)
{
        unsigned best = DISTANCE_MAX + 1, distance;
        const char *meant = NULL;
        size_t i;

        for (i = 0; i < n; ++i) {
                distance = name_distance(member->name, known[i]);
                /* Of two short words any letters lie within the distance. */
                if (distance < best && distance <= strlen(known[i]) / 2) {
                        best = distance;
                        meant = known[i];
                }
        }
        if (meant)
                config_complain(rd, member->at, path, "unknown name (did you mean %s?)", meant);
        else
                config_complain(rd, member->at, path, "unknown name");
}

int config_value(const struct config_member *member, json_t **ret_value)
{
        json_error_t unused;
        int r;

        r = codec_read(member->json, JSON_DECODE_ANY | JSON_ALLOW_NUL, ret_value, &unused);
        if (r == -ENOMEM)
                return r;
        if (r < 0)
                *ret_value = NULL;
        return 0;
}

static char *string_copy(const char *string)
{
        size_t size = strlen(string) + 1;
        char *copy = mem_zalloc(size);

        return copy ? memcpy(copy, string, size) : NULL;
}

int config_string(const json_t *value, char **ret_string)
{
        const char *string = json_string_value(value);
        char *copy;

        if (!string || strlen(string) != json_string_length(value))
                return 0;
        copy = string_copy(string);
        if (!copy)
                return -ENOMEM;
        *ret_string = copy;
        return 1;
}

int config_init(struct config *ret_config)
{
        struct config c = {
                .release_on = RELEASE_ON_DISCONNECT,
                .lock = {
                        .ttl_ms = 15000,
                        .ttl_min_ms = 10,
                        .ttl_max_ms = 60000,
                        .drift_factor = 0.01,
                        .retry_count = 200,
                        .retry_delay_ms = 100,
                        .retry_jitter_ms = 100,
                        .tenure_ms = 500,
                },
                .listen.mode = 0660,
                .redis = {
                        .connect_timeout_ms = 1000,
                        .reconnect_min_ms = 50,
                        .reconnect_max_ms = 2000,
                        .restart_quarantine = true,
                },
                .limits = {
                        .sessions_max = 10000,
                        .request_bytes_max = 65536,
                        .output_bytes_max = 1048576,
                        .in_flight_max = 128,
                        .keys_per_request_max = 64,
                        .key_bytes_max = 512,
                        .locks_per_session_max = 1024,
                        .sessions_per_uid_max = 10000,
                        .waiters_per_key_max = 10000,
                        .locks_max = 1000000,
                },
                .stop.grace_ms = 5000,
        };
        int r;

        c.lock.key_prefix = string_copy("");
        c.listen.socket = string_copy("/run/redlockd/redlockd.sock");
        c.log.level = string_copy("info");
        r = c.lock.key_prefix && c.listen.socket && c.log.level ? config_default_nodes(&c) : -ENOMEM;
        if (r < 0) {
                config_deinit(&c);
                return r;
        }
        *ret_config = c;
        return 0;
}

void config_set_admin_groups(struct config *c, char **names, unsigned n)
{
        unsigned i;

        for (i = 0; i < c->access.admin_groups_n; ++i)
                mem_free(c->access.admin_groups[i]);
        mem_free(c->access.admin_groups);
        c->access.admin_groups = names;
        c->access.admin_groups_n = n;
}

void config_deinit(struct config *c)
{
        config_set_nodes(c, NULL, 0);
        c->lock.key_prefix = mem_free(c->lock.key_prefix);
        c->listen.socket = mem_free(c->listen.socket);
        c->listen.group = mem_free(c->listen.group);
        config_set_admin_groups(c, NULL, 0);
        config_set_rules(c, NULL, 0);
        c->log.level = mem_free(c->log.level);
        c->metrics.listen = mem_free(c->metrics.listen);
}

/* 1: the text is JSON; 0: it is not, which was complained about; or -ENOMEM. */
static int check_syntax(struct config_reading *rd)
{
        /* Numbers too great for an integer are left to the settings, which know their paths. */
        const size_t flags = JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL;
        json_error_t error;
        json_t *value;
        size_t at;
        char *near;
        int r;

        r = codec_read((struct text){ rd->text.json, rd->text.written.len }, flags, &value, &error);
        if (r == -ENOMEM)
                return r;
        if (r == 0) {
                json_decref(value);
                return 1;
        }
        /* What it stands near may be a part of a password. */
        near = strstr(error.text, " near '");
        if (near)
                *near = '\0';
        at = error.position > 0 ? (size_t)error.position : 0;
        if (at > 0 && json_error_code(&error) != json_error_invalid_utf8)
                --at; /* it counts what was read */
        config_complain(rd, at, "", "%s", error.text);
        return 0;
}

static int read_release_on(struct config_reading *rd, const struct config_member *member)
{
        struct text text;
        json_t *value;
        int r;

        r = config_value(member, &value);
        if (r < 0)
                return r;
        text = (struct text){ json_string_value(value), json_string_length(value) };
        if (!release_on_parse(text, &rd->config->release_on))
                config_complain(rd, member->at, member->name, RELEASE_ON_MUST);
        json_decref(value);
        return 0;
}

static int read_member(struct config_reading *rd, size_t top, const struct config_member *member)
{
        switch (top) {
        case TOP_NODES:
                return config_read_nodes(rd, member);
        case TOP_RELEASE_ON:
                return read_release_on(rd, member);
        default:
                return config_read_section(rd, member);
        }
}

/* The members of the whole. */
static int read_top(struct config_reading *rd, struct text whole)
{
        struct config_member member;
        struct config_cursor c;
        unsigned seen = 0;
        size_t i;
        int r;

        config_cursor_init(&c, &rd->text, whole);
        while ((r = config_cursor_next(&c, &member)) > 0) {
                for (i = 0; i < TOP_N && strcmp(top_names[i], member.name) != 0; ++i)
                        ;
                if (i == TOP_N) {
                        config_complain_unknown(rd, &member, member.name, top_names, TOP_N);
                        continue;
                }
                if (seen & (1u << i))
                        config_complain_twice(rd, &member, member.name);
                seen |= 1u << i;
                r = read_member(rd, i, &member);
                if (r < 0)
                        return r;
        }
        return r;
}

static int read_text(struct config_reading *rd)
{
        const char *start;
        int r;

        r = check_syntax(rd);
        if (r <= 0)
                return r;
        start = rd->text.json + strspn(rd->text.json, " \t\r\n");
        if (*start != '{') {
                config_complain(rd, (size_t)(start - rd->text.json), "", "the configuration must be an object");
                return 0;
        }
        r = read_top(rd, (struct text){ start, rd->text.written.len - (size_t)(start - rd->text.json) });
        if (r < 0)
                return r;
        config_check_settings(rd);
        if (rd->running) {
                config_check_fixed(rd);
                if (rd->errors_n == 0)
                        config_check_members(rd);
        }
        return 0;
}

static int parse(struct config_reading *rd, struct text json, struct config *ret_config)
{
        struct config config;
        size_t at;
        int r;

        rd->nodes_at = CONFIG_NOWHERE;
        /* cppcheck-suppress autoVariables ; the reading ends with this function, and nobody looks into it after */
        rd->config = &config;
        if (json.len > FILE_BYTES_MAX) {
                config_complain(rd, CONFIG_NOWHERE, "", "larger than %d bytes", FILE_BYTES_MAX);
                return -EINVAL;
        }
        r = config_text_init(&rd->text, json, &at);
        if (r == -EINVAL) {
                rd->text.written = json;
                config_complain(rd, at, "", "a comment without its end");
        }
        if (r < 0)
                return r;
        r = config_init(&config);
        if (r == 0) {
                r = read_text(rd);
                if (r == 0 && rd->errors_n > 0)
                        r = -EINVAL;
                if (r == 0)
                        *ret_config = config;
                else
                        config_deinit(&config);
        }
        config_text_deinit(&rd->text);
        return r;
}

int config_parse(struct text json, const char *name, const char *credentials, struct config *ret_config,
                 config_error_fn report, void *userdata)
{
        struct config_reading rd = { .name = name, .credentials = credentials, .report = report, .userdata = userdata };

        return parse(&rd, json, ret_config);
}

int config_read_file(const char *path, size_t max, char **ret_data, size_t *ret_len)
{
        struct buffer data = BUFFER_INIT(max + 1);
        char chunk[READ_SIZE];
        ssize_t n;
        int fd, r;

        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        do {
                n = read(fd, chunk, sizeof(chunk));
                r = n < 0 ? -errno : buffer_append(&data, chunk, (size_t)n);
        } while (n > 0 && r == 0);
        close(fd);
        if (r == 0)
                r = buffer_append(&data, "", 1);
        if (r < 0) {
                buffer_deinit(&data);
                return r == -ENOBUFS ? -EFBIG : r;
        }
        *ret_data = data.data;
        *ret_len = buffer_len(&data) - 1;
        return 0;
}

static int load(struct config_reading *rd, struct config *ret_config)
{
        char *data = NULL;
        size_t len = 0;
        int r;

        r = config_read_file(rd->name, FILE_BYTES_MAX, &data, &len);
        if (r == -ENOMEM)
                return r;
        if (r == -EFBIG) {
                config_complain(rd, CONFIG_NOWHERE, "", "larger than %d bytes", FILE_BYTES_MAX);
                return -EINVAL;
        }
        if (r < 0) {
                config_complain(rd, CONFIG_NOWHERE, "", "cannot be read: %s", strerror(-r));
                return -EINVAL;
        }
        r = parse(rd, (struct text){ data, len }, ret_config);
        mem_free(data);
        return r;
}

int config_load(const char *path, const char *credentials, struct config *ret_config, config_error_fn report,
                void *userdata)
{
        struct config_reading rd = { .name = path, .credentials = credentials, .report = report, .userdata = userdata };

        return load(&rd, ret_config);
}

int config_reload(const char *path, const char *credentials, const struct config_running *running,
                  struct config *ret_config, config_error_fn report, void *userdata)
{
        struct config_reading rd = {
                .name = path, .credentials = credentials, .report = report, .userdata = userdata, .running = running
        };

        return load(&rd, ret_config);
}
