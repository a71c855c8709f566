/*
 * The door before drain, kill, break, certify and reload; others carry them out.
 */
#include "redlockd/daemon/admin.h"

#include "redlockd/daemon/access.h"
#include "redlockd/daemon/peer.h"
#include "redlockd/net/log.h"

#include <stdio.h>

#define ADMIN_SHOWN_MAX 160 /* bytes of a key in the log */

/* What is asked for, in words. Keys are anybody's choice: no byte of them steers who reads the log. */
static void admin_describe(const struct request *request, char ret_text[ADMIN_SHOWN_MAX])
{
        size_t i, n;

        if (request->method == METHOD_DRAIN) {
                snprintf(ret_text, ADMIN_SHOWN_MAX, "drain%s", request->off ? " off" : "");
        } else if (request->method == METHOD_RELOAD) {
                snprintf(ret_text, ADMIN_SHOWN_MAX, "reload");
        } else if (request->method == METHOD_CERTIFY) {
                snprintf(ret_text, ADMIN_SHOWN_MAX, "certify a node");
        } else if (request->method == METHOD_KILL) {
                snprintf(ret_text, ADMIN_SHOWN_MAX, "kill session %llu", (unsigned long long)request->target);
        } else {
                n = (size_t)snprintf(ret_text, ADMIN_SHOWN_MAX, "break \"");
                for (i = 0; i < request->keys[0].len && n + 2 < ADMIN_SHOWN_MAX; ++i, ++n) {
                        ret_text[n] = request->keys[0].data[i];
                        if (ret_text[n] < ' ' || ret_text[n] > '~')
                                ret_text[n] = '?';
                }
                ret_text[n++] = '"';
                ret_text[n] = '\0';
        }
}

static bool admin_is_method(enum method method)
{
        return method == METHOD_DRAIN || method == METHOD_KILL || method == METHOD_BREAK || method == METHOD_CERTIFY ||
               method == METHOD_RELOAD;
}

/* A session that can be killed is another one, and there. */
static bool admin_finds(const struct daemon *d, uint64_t number, uint64_t target, struct wire_error *ret_error)
{
        if (target != number && peer_find(d, target))
                return true;
        *ret_error = (struct wire_error){ .name = ERROR_INVALID_PARAMS, .path = "session" };
        if (target == number)
                snprintf(ret_error->message, sizeof(ret_error->message), "session: a session ends itself by closing.");
        else
                snprintf(ret_error->message, sizeof(ret_error->message), "session: there is no session %llu.",
                         (unsigned long long)target);
        return false;
}

bool admin_admits(struct daemon *d, struct client *client, uint64_t number, const struct request *request,
                  struct wire_error *ret_error)
{
        struct client_peer peer = client_peer(client);
        char what[ADMIN_SHOWN_MAX];

        if (!admin_is_method(request->method))
                return true;
        admin_describe(request, what);
        if (!access_is_admin(d->config, client)) {
                if (log_rate_admits(&d->refused_rate, "requests were refused to who is no administrator"))
                        log_warn("refused to process %d of user %u (session %llu): %s", (int)peer.pid,
                                 (unsigned)peer.uid, (unsigned long long)number, what);
                *ret_error = (struct wire_error){ .name = ERROR_DENIED };
                snprintf(ret_error->message, sizeof(ret_error->message), "Only an administrator may do this.");
                return false;
        }
        if (request->method == METHOD_KILL && !admin_finds(d, number, request->target, ret_error))
                return false;
        log_warn("process %d of user %u (session %llu): %s", (int)peer.pid, (unsigned)peer.uid,
                 (unsigned long long)number, what);
        return true;
}
