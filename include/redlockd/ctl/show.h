#pragma once

/*
 * Results as people read them. What comes from the daemon may have been chosen by anybody who locks a key: control
 * characters are escaped, so that none of it steers a terminal.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/* UTF-8 text, with what would steer a terminal escaped. */
void show_plain(FILE *out, const char *text);

/* The object's members as aligned lines `name value`; those of a nested object as `name.member value`. */
void show_values(json_t *object);

/*
 * An array of objects as an aligned table, with a header or without. `columns` are the names that come first, NULL at
 * the end.
 */
void show_table(const json_t *array, const char *const *columns, bool legend);

/* Whether colour is wanted: on a terminal, and not where $NO_COLOR is set (https://no-color.org). */
bool show_colour(void);

/* Milliseconds as people say them: 250ms, 12.3s, 4m05s, 2h03m, 3d04h. */
#define SHOW_DURATION_MAX 32
void show_duration(json_int_t ms, char ret_text[SHOW_DURATION_MAX]);

/* JSON on one line of stdout, as it came; on a terminal in ASCII. */
void show_json(const json_t *value);

/* JSON on one line, in ASCII without control characters. */
void show_json_ascii(FILE *out, const json_t *value);

/* `redlockctl: message (NAME)` on stderr, and the holder where it is told; `error` is the member of a reply. */
void show_error(const json_t *error);
