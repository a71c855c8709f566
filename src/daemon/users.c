/*
 * The users that have sessions. A user is there as long as one of its sessions is.
 */
#include "redlockd/daemon/users.h"

#include "redlockd/base/mem.h"

#include <assert.h>
#include <errno.h>

static struct user *users_find(const struct daemon *d, uid_t uid, uint64_t hash)
{
        struct map_link *link;
        struct user *u;

        for (link = map_first(&d->users, hash); link; link = map_next(link)) {
                u = container_of(link, struct user, link);
                if (u->uid == uid)
                        return u;
        }
        return NULL;
}

int users_enter(struct daemon *d, uid_t uid, struct user **ret_user)
{
        uint64_t hash = hash_u64(&d->inflight.seed, uid, 2);
        struct user *u = users_find(d, uid, hash);

        if (u && u->sessions_n >= d->config->limits.sessions_per_uid_max)
                return -EUSERS;
        if (!u) {
                u = mem_zalloc(sizeof(*u));
                if (!u)
                        return -ENOMEM;
                u->uid = uid;
                map_link(&d->users, &u->link, hash);
        }
        ++u->sessions_n;
        *ret_user = u;
        return 0;
}

struct user *users_leave(struct daemon *d, struct user *u)
{
        if (!u)
                return NULL;
        assert(u->sessions_n > 0);
        if (--u->sessions_n > 0)
                return NULL;
        map_unlink(&d->users, &u->link);
        return mem_free(u);
}
