#pragma once

/*
 * The text of a configuration file: its comments blanked, and walked member by member so that each is known with its
 * place; a part of config.c.
 */
#include "redlockd/base/text.h"

#define CONFIG_NAME_MAX 64 /* bytes of a name that are kept; every known name is much shorter */

struct config_text {
        struct text written; /* borrowed */
        char *json;          /* owned: the same with blanks for comments, byte for byte */
        /* private: the place that was last asked for */
        size_t place_at;
        unsigned place_line, place_column;
};

/* Line and column count from 1, columns in characters. */
struct config_place {
        unsigned line;
        unsigned column;
};

/* Returns 0, -ENOMEM, or -EINVAL with *ret_at where a comment begins that has no end. */
int config_text_init(struct config_text *ret_text, struct text written, size_t *ret_at);
void config_text_deinit(struct config_text *t);

/* Where the byte at this offset stands. */
struct config_place config_text_place(struct config_text *t, size_t at);

/* A member of an object, or an element of an array. */
struct config_member {
        char name[CONFIG_NAME_MAX + 1]; /* "" for an element. Control characters are replaced */
        unsigned index;
        size_t at;        /* offset of the name, or of the element */
        struct text json; /* the value's text, without blanks around it */
};

struct config_cursor {
        const char *start;
        const char *next;
        bool object;
        unsigned index;
};

/* `container` is the text of an object or array within t->json, which is valid JSON throughout. */
void config_cursor_init(struct config_cursor *c, const struct config_text *t, struct text container);

/* Returns 1 with the next member, 0 at the end, or -ENOMEM. */
int config_cursor_next(struct config_cursor *c, struct config_member *ret_member);
