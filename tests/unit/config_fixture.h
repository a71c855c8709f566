#pragma once

/*
 * What the tests of the configuration share: a text, and the errors that it must give, all of them and in order.
 */
#include "redlockd/wire/config.h"

#include "redlockd/base/mem.h"
#include "unit/unit.h"

#include <errno.h>
#include <string.h>

struct errors {
        char text[65536]; /* each line with its LF */
        size_t len;
};

static inline void errors_put(void *userdata, const char *line)
{
        struct errors *errors = userdata;
        size_t n = strlen(line);

        ck_assert_uint_lt(errors->len + n + 2, sizeof(errors->text));
        memcpy(errors->text + errors->len, line, n);
        errors->len += n;
        errors->text[errors->len++] = '\n';
        errors->text[errors->len] = '\0';
}

static inline struct config good(const char *json)
{
        static struct errors errors;
        struct config c;

        errors.len = 0;
        errors.text[0] = '\0';
        ck_assert_msg(config_parse(text_of(json), "f", NULL, &c, errors_put, &errors) == 0, "%s", errors.text);
        ck_assert_str_eq(errors.text, "");
        return c;
}

static inline void accept(const char *json)
{
        struct config c = good(json);

        config_deinit(&c);
}

/* `expected`: the lines, each with its LF. */
static inline void check_errors(const char *json, const char *expected)
{
        static struct errors errors;
        struct config c = { .nodes_n = 12345 };
        uint64_t live = mem_live();

        errors.len = 0;
        errors.text[0] = '\0';
        ck_assert_int_eq(config_parse(text_of(json), "f", NULL, &c, errors_put, &errors), -EINVAL);
        ck_assert_str_eq(errors.text, expected);
        ck_assert_uint_eq(c.nodes_n, 12345);
        ck_assert_uint_eq(mem_live(), live);
}
