#pragma once

/*
 * The methods for administrators: drain, kill, break.
 */
#include "redlockd/daemon/daemon.h"
#include "redlockd/net/client.h"

/*
 * Whether this request of session `number` may go to the engine: every one that is not for administrators may. Who asks
 * for what of these is in the log, refused or not. False with the error that answers it.
 */
bool admin_admits(struct daemon *d, struct client *client, uint64_t number, const struct request *request,
                  struct wire_error *ret_error);
