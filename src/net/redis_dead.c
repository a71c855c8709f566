/*
 * A TCP connection that is given up is reset, but the reset may be lost like anything else, and what was sent before
 * may lie in the network (a router's queue, a tunnel's process that hangs) and arrive later than all that is done on
 * the next connection:
 *
 *      old connection   acquire ..............................................> carried out, and nobody undoes it
 *      new connection             release --> confirmed
 *
 * So the server is told first, on the next connection, to end the old one (CLIENT KILL ID). What arrives for it
 * afterwards finds no connection; what arrived before is undone by the release that follows. The number is good for one
 * incarnation of the server only: in another one it may be somebody else's. A server that does not tell its numbers, or
 * lets nobody end connections, is left as it is: then what comes late stands for its ttl.
 */
#include "redlockd/net/redis_dead.h"

#include "redlockd/net/redis_codec.h"

#include <assert.h>
#include <stdio.h>

#define ID_MAX 24

void redis_dead_add(struct redis_dead *d, uint64_t id, const char *run_id)
{
        if (strcmp(d->run_id, run_id) != 0)
                d->n = 0;
        snprintf(d->run_id, sizeof(d->run_id), "%s", run_id);
        if (d->n == REDIS_DEAD_MAX)
                redis_dead_pop(d);
        d->ids[d->n++] = id;
}

int redis_dead_encode(struct redis_dead *d, struct buffer *output, struct redis_owed_queue *owed, const char *run_id,
                      uint64_t now_ns)
{
        const struct redis_owed kill = { .kind = REDIS_OWED_KILL, .sent_ns = now_ns };
        struct text args[] = { text_of("CLIENT"), text_of("KILL"), text_of("ID"), { NULL, 0 } };
        char id[ID_MAX];
        unsigned i;
        int r;

        if (strcmp(d->run_id, run_id) != 0)
                d->n = 0;
        for (i = 0; i < d->n; ++i) {
                snprintf(id, sizeof(id), "%llu", (unsigned long long)d->ids[i]);
                args[3] = text_of(id);
                r = redis_owed_reserve(owed);
                if (r == 0)
                        r = redis_encode(output, args, 4);
                if (r < 0)
                        return r;
                redis_owed_push(owed, &kill);
        }
        return 0;
}

void redis_dead_pop(struct redis_dead *d)
{
        assert(d->n > 0);
        memmove(d->ids, d->ids + 1, --d->n * sizeof(d->ids[0]));
}
