#pragma once

/*
 * JSON text to and from jansson's values (https://jansson.readthedocs.io), for the files of this folder only. All of
 * jansson's memory comes from base/mem.
 *
 * Values are built without looking after each step: setting a member takes its value over, refuses a NULL and says so
 * with -1; what was said is or-ed together and looked at once, in codec_finish():
 *
 *      json_t *value = json_object();
 *      int r = 0;
 *
 *      r |= json_object_set_new(value, "key", codec_key(key));
 *      r |= json_object_set_new(value, "pid", json_integer(pid));
 *      return codec_finish(value, r);
 */
#include "redlockd/base/buffer.h"
#include "redlockd/base/text.h"

#include <jansson.h>
#include <stdint.h>

/* To be called before jansson is used for anything but codec_read(). */
void codec_use(void);

/* Reads one JSON value. Returns 0, -ENOMEM, or -EINVAL with *ret_error set as json_loadb() would. */
int codec_read(struct text json, size_t flags, json_t **ret_value, json_error_t *ret_error);

/*
 * Appends a value as text without spaces. Returns 0, -ENOMEM or -ENOBUFS; on failure a part of it may have been
 * appended.
 */
int codec_write(const json_t *value, struct buffer *out);

/* The same as a C string, to be given to mem_free(). 0 or -ENOMEM. */
int codec_text(const json_t *value, char **ret_text);

/* `value` where nothing went wrong (r == 0); else it is dropped, and NULL. */
json_t *codec_finish(json_t *value, int r);

/* A string value, null for a NULL `string`; NULL without memory. Bytes that are not UTF-8 become '?'. */
json_t *codec_string(const char *string);

/* A string value of bytes that are known to be UTF-8. */
json_t *codec_key(struct text text);

/* A number, or the greatest one that JSON libraries hold exactly as an integer of 64 bits. */
json_t *codec_number(uint64_t number);

/* Replaces every byte that is not part of valid UTF-8 by '?', in place. */
void codec_repair(char *bytes, size_t n);
