#pragma once

/*
 * Results as people read them. What comes from the daemon may have been chosen by anybody who locks a key: control
 * characters are escaped, so that none of it steers a terminal.
 */
#include <jansson.h>

/* The object's members as aligned lines `name value`; those of a nested object as `name.member value`. */
void show_values(json_t *object);

/* An array of objects as an aligned table. `columns` are the names that come first, NULL at the end. */
void show_table(const json_t *array, const char *const *columns);

/* JSON on one line of stdout, as it came. */
void show_json(const json_t *value);

/* `redlockctl: message (NAME)` on stderr; `error` is the member of a reply. */
void show_error(const json_t *error);
