/*
 * Time line of a lock, in the broker's time:
 *
 *      sent        granted                    end of validity        gone from the nodes at the latest
 *      |-----------|--------------------------|----------------------|
 *      |<- elapsed>|<- validity ------------->|<- drift ->|<- drift + the way to the node ->
 *      |<- ttl ------------------------------------------>|
 *
 * Validity is counted from before the first byte was sent, since a node may have started its ttl at any moment after
 * that.
 */
#include "redlockd/core/validity.h"

uint64_t validity_node_timeout_ms(uint32_t ttl_ms)
{
        uint64_t ms = (uint64_t)ttl_ms * NODE_TIMEOUT_PERCENT / 100;

        if (ms < NODE_TIMEOUT_MIN_MS)
                return NODE_TIMEOUT_MIN_MS;
        if (ms > NODE_TIMEOUT_MAX_MS)
                return NODE_TIMEOUT_MAX_MS;
        return ms;
}

uint64_t validity_drift_ms(uint32_t ttl_ms, double drift_factor)
{
        return (uint64_t)(ttl_ms * drift_factor + 0.5) + 2;
}

uint64_t validity_end_ns(uint64_t sent_ns, uint32_t ttl_ms, double drift_factor)
{
        uint64_t drift_ms = validity_drift_ms(ttl_ms, drift_factor);

        return ttl_ms > drift_ms ? sent_ns + (ttl_ms - drift_ms) * NS_PER_MS : sent_ns;
}

uint64_t validity_gone_ns(uint64_t done_ns, uint32_t ttl_ms, double drift_factor)
{
        return done_ns + (ttl_ms + validity_drift_ms(ttl_ms, drift_factor)) * NS_PER_MS;
}

uint64_t validity_quarantine_ns(uint32_t ttl_max_ms, double drift_factor)
{
        return (ttl_max_ms + validity_drift_ms(ttl_max_ms, drift_factor) + NODE_TIMEOUT_MAX_MS) * NS_PER_MS;
}

uint64_t validity_left_ms(uint64_t end_ns, uint64_t now_ns)
{
        return end_ns > now_ns ? (end_ns - now_ns) / NS_PER_MS : 0;
}
