#pragma once

/*
 * Who may do what: with the broker itself, and with which keys.
 */
#include "redlockd/net/client.h"
#include "redlockd/wire/config.h"

/* Administrators: uid 0, the daemon's own uid, the members of access.adminGroups. */
bool access_is_admin(const struct config *config, struct client *client);

/*
 * Whether access.rules let this client have locks on the key. Who may not is not shown whether it is held either, but
 * for administrators.
 */
bool access_allows(const struct config *config, struct client *client, struct text key);
bool access_shows(const struct config *config, struct client *client, struct text key);

/* Whether this request may go to the engine as far as its keys go; false with the error that answers it. */
bool access_admits(const struct config *config, struct client *client, const struct request *request,
                   struct wire_error *ret_error);

/* Logs what of the configuration has no effect: groups that do not exist. */
void access_check(const struct config *config);
