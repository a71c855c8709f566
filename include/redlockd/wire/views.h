#pragma once

/*
 * What the broker shows of itself, as JSON values; a part of reply.c. Each returns a new value, or NULL without memory.
 */
#include "redlockd/wire/reply.h"

#include <jansson.h>

/* Whole milliseconds from now to then, and from then to now; 0 where that is negative. */
uint64_t views_ms_until(uint64_t then_ns, uint64_t now_ns);
uint64_t views_ms_since(uint64_t then_ns, uint64_t now_ns);

/* A moment in Unix time: whole milliseconds, which do not depend on when it is looked at. */
uint64_t views_unix_ms(const struct reply_context *context, uint64_t then_ns);

json_t *views_status(const struct reply_context *context);
json_t *views_nodes(const struct reply_context *context);
json_t *views_certified(const struct reply_context *context, const struct reply *reply);

json_t *views_why(const struct reply_context *context, const struct reply *reply);

const char *views_state_name(enum node_state state);
