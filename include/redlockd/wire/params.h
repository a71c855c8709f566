#pragma once

/*
 * The members of `params`, method by method; a part of request.c.
 */
#include "redlockd/wire/request.h"

#include <jansson.h>

/*
 * Reads `params` (NULL: there are none) for out->request.method, whose other members are at their defaults already.
 * Returns 0 (look at out->error) or -ENOMEM. With `wide` every number of the document was read as a real, since one of
 * them fits no integer.
 */
int params_read(struct wire_request *out, const struct request_rules *rules, bool wide, const json_t *params);

#define PARAMS_HOLD_MAX_MS 86400000 /* of maxHold and lockDelay: a day */

/* What a request is before its params are read. */
void params_defaults(struct request *request, const struct request_rules *rules);

/* What `wait` makes of a retryCount, or of its absence. */
void params_settle_budget(struct request *request, bool retry_count_given);

/* Whether on a node the key would stand among those by which brokers know nodes. */
bool params_key_is_own(const struct request_rules *rules, struct text key);

/* An integer, also one that was read as a real. */
bool params_integer(const json_t *value, bool wide, int64_t *ret_number);

/* Sets an error; `path` may be "". Message and path are cut to what fits. */
__attribute__((format(printf, 4, 5))) void wire_error_set(struct wire_error *e, enum error_name name, const char *path,
                                                          const char *format, ...);
