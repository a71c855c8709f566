#pragma once

/*
 * What INFO says of a server: who it is, what makes it unfit to vote, its clock, and whether it forgets anything.
 * Private to net/redis.
 */
#include "redlockd/base/text.h"
#include "redlockd/net/redis_look.h"

/* Takes it into the look. Returns 0, or -EPROTO where this is another server than the connection began with. */
int redis_info_take(struct redis_look *look, struct text info);
