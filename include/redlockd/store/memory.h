#pragma once

/*
 * What one node does with a command, in plain C: the `memory:` node of a broker without Redis, and every node of the
 * simulator. It answers as the Lua scripts in net/redis do (https://redis.io/docs/latest/commands/set/ with NX and PX).
 */
#include "redlockd/core/types.h"

struct memory;

/* Returns 0 or -ENOMEM. */
int memory_new(struct memory **ret_memory);
struct memory *memory_free(struct memory *m);

/*
 * Carries out one command at `now_ms` of the node's own clock, in Unix ms. Without memory for a new key the answer is
 * an error. What the answer borrows is good until the next command.
 */
void memory_execute(struct memory *m, const struct command *command, uint64_t now_ms, struct answer *ret_answer);

/* Forgets everything, as a restart without persistence does. */
void memory_flush(struct memory *m);

/* Keys whose ttl has not passed. */
size_t memory_keys(const struct memory *m, uint64_t now_ms);

/* The value of a key, or NULL; borrowed until the next call. */
const char *memory_get(struct memory *m, struct text key, uint64_t now_ms);
