#pragma once

/*
 * All arithmetic of time that safety rests on, rounded pessimistically: a lock is never thought to live longer than it
 * does. https://redis.io/docs/latest/develop/use/patterns/distributed-locks/ ("MIN_VALIDITY")
 */
#include <stdint.h>

#define NS_PER_MS UINT64_C(1000000)

/* How long to wait for a node's answer to a command: 5 % of the ttl, within 20..200 ms. */
#define NODE_TIMEOUT_PERCENT 5
#define NODE_TIMEOUT_MIN_MS  20
#define NODE_TIMEOUT_MAX_MS  200

uint64_t validity_node_timeout_ms(uint32_t ttl_ms);

/* What clocks of different rates and the granularity of Redis' expiry may cost: round(ttl * drift_factor) + 2 ms. */
uint64_t validity_drift_ms(uint32_t ttl_ms, double drift_factor);

/* The end of validity of a lock whose first byte was sent at (or after) `sent_ns`. Not before `sent_ns`. */
uint64_t validity_end_ns(uint64_t sent_ns, uint32_t ttl_ms, double drift_factor);

/* When a node that carried out its command no later than `done_ns` has forgotten a key with this ttl for certain. */
uint64_t validity_gone_ns(uint64_t done_ns, uint32_t ttl_ms, double drift_factor);

/*
 * How long a node keeps silent that may have forgotten a lock: the longest ttl with its drift, and the longest age of a
 * request that is still counted.
 */
uint64_t validity_quarantine_ns(uint32_t ttl_max_ms, double drift_factor);

/* Whole milliseconds left until `end_ns`, rounded down; 0 when it has passed. */
uint64_t validity_left_ms(uint64_t end_ns, uint64_t now_ns);
