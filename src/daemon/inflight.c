/*
 * Requests in flight. The numbers are the daemon's own and never used twice; an id belongs to its session, and names
 * one request at a time, from the line that brought it until its answer is printed.
 */
#include "redlockd/daemon/inflight.h"

#include "redlockd/base/mem.h"

#include <errno.h>
#include <string.h>

int inflight_init(struct inflight *f, struct hash_seed seed)
{
        int r;

        f->seed = seed;
        r = map_init(&f->numbers);
        if (r < 0)
                return r;
        r = map_init(&f->ids);
        if (r < 0)
                map_deinit(&f->numbers);
        return r;
}

void inflight_deinit(struct inflight *f)
{
        map_deinit(&f->numbers);
        map_deinit(&f->ids);
}

static uint64_t inflight_hash_number(const struct inflight *f, uint64_t number)
{
        return hash_u64(&f->seed, number, 0);
}

static uint64_t inflight_hash_id(const struct inflight *f, uint64_t session, const char *id)
{
        return hash_u64(&f->seed, session, hash_text(&f->seed, text_of(id)));
}

int inflight_new(struct inflight *f, uint64_t number, uint64_t session, const char *id, bool notification,
                 struct inflight_request **ret_request)
{
        struct inflight_request *r = mem_zalloc(sizeof(*r) + strlen(id) + 1);

        if (!r)
                return -ENOMEM;
        r->number = number;
        r->session = session;
        r->notification = notification;
        r->named = !notification && strcmp(id, "null") != 0;
        strcpy(r->id, id);
        map_link(&f->numbers, &r->number_link, inflight_hash_number(f, number));
        if (r->named)
                map_link(&f->ids, &r->id_link, inflight_hash_id(f, session, id));
        *ret_request = r;
        return 0;
}

struct inflight_request *inflight_free(struct inflight *f, struct inflight_request *r)
{
        if (!r)
                return NULL;
        map_unlink(&f->numbers, &r->number_link);
        if (r->named)
                map_unlink(&f->ids, &r->id_link);
        return mem_free(r);
}

struct inflight_request *inflight_find(const struct inflight *f, uint64_t number)
{
        struct inflight_request *r;
        struct map_link *link;

        for (link = map_first(&f->numbers, inflight_hash_number(f, number)); link; link = map_next(link)) {
                r = container_of(link, struct inflight_request, number_link);
                if (r->number == number)
                        return r;
        }
        return NULL;
}

struct inflight_request *inflight_find_id(const struct inflight *f, uint64_t session, const char *id)
{
        struct inflight_request *r;
        struct map_link *link;

        for (link = map_first(&f->ids, inflight_hash_id(f, session, id)); link; link = map_next(link)) {
                r = container_of(link, struct inflight_request, id_link);
                if (r->session == session && strcmp(r->id, id) == 0)
                        return r;
        }
        return NULL;
}
