#pragma once

/*
 * What the tests of requests share: small limits, and lines that must be right or wrong.
 */
#include "redlockd/wire/request.h"

#include "unit/unit.h"

#include <stdio.h>

static const struct request_rules rules = {
        .ttl_ms = 15000,
        .ttl_min_ms = 10,
        .ttl_max_ms = 60000,
        .retry_count = 200,
        .retry_delay_ms = 101,
        .retry_jitter_ms = 102,
        .keys_max = 4,
        .key_bytes_max = 8,
};

static inline struct wire_request parse_n(const char *line, size_t n)
{
        struct wire_request r;

        ck_assert_int_eq(wire_request_parse((struct text){ line, n }, &rules, &r), 0);
        ck_assert_str_ne(r.id, "");
        return r;
}

static inline struct wire_request parse(const char *line)
{
        return parse_n(line, strlen(line));
}

/* A request that is right. */
static inline struct wire_request good(const char *line)
{
        struct wire_request r = parse(line);

        ck_assert_msg(r.error.name == ERROR_NONE, "%s: %s", line, r.error.message);
        return r;
}

static inline void accept(const char *line)
{
        struct wire_request r = good(line);

        wire_request_deinit(&r);
}

static inline struct wire_error check_error(const char *line, enum error_name name, const char *id, const char *path)
{
        struct wire_request r = parse(line);
        struct wire_error error = r.error;

        ck_assert_msg(error.name == name, "%s: %s", line, error_name(error.name));
        ck_assert_str_eq(r.id, id);
        ck_assert_msg(strcmp(error.path, path) == 0, "%s: %s", line, error.path);
        ck_assert_str_ne(error.message, "");
        wire_request_deinit(&r);
        return error;
}

/* Wrong params of a method; `inner` is the text of `params`. */
static inline void check_params(const char *method, const char *inner, const char *path)
{
        char line[1024];

        snprintf(line, sizeof(line), "{\"id\":1,\"method\":\"%s\",\"params\":%s}", method, inner);
        check_error(line, ERROR_INVALID_PARAMS, "1", path);
}

static inline void accept_params(const char *method, const char *inner)
{
        char line[1024];

        snprintf(line, sizeof(line), "{\"id\":1,\"method\":\"%s\",\"params\":%s}", method, inner);
        accept(line);
}
