#pragma once

/*
 * Who may do what to the broker itself.
 */
#include "redlockd/net/client.h"
#include "redlockd/wire/config.h"

/* Administrators: uid 0, the daemon's own uid, the members of access.adminGroups. */
bool access_is_admin(const struct config *config, const struct client *client);

/* Logs what of the configuration has no effect: groups that do not exist. */
void access_check(const struct config *config);
