#pragma once

/*
 * How many sessions each user has, so that one cannot take the places of all.
 */
#include "redlockd/daemon/daemon.h"

struct user {
        struct map_link link;
        uid_t uid;
        uint32_t sessions_n;
};

/* One session more. Returns 0 with its user, for users_leave(); -EUSERS where it has limits.maxSessionsPerUid; or
 * -ENOMEM. */
int users_enter(struct daemon *d, uid_t uid, struct user **ret_user);

/* Takes NULL. Returns NULL. */
struct user *users_leave(struct daemon *d, struct user *user);
