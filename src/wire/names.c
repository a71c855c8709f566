/*
 * The words of the contract: methods, errors, and the ends of sessions.
 */
#include "redlockd/wire/request.h"

#include <assert.h>

static const char *const method_names[METHODS_N] = {
        [METHOD_ADD] = "add",         [METHOD_EXTEND] = "extend",       [METHOD_FREE] = "free",
        [METHOD_RESET] = "reset",     [METHOD_LIST] = "list",           [METHOD_CANCEL] = "cancel",
        [METHOD_HELLO] = "hello",     [METHOD_SUBSCRIBE] = "subscribe", [METHOD_PING] = "ping",
        [METHOD_NODES] = "nodes",     [METHOD_STATUS] = "status",       [METHOD_SESSIONS] = "sessions",
        [METHOD_LOCKS] = "locks",     [METHOD_WAITERS] = "waiters",     [METHOD_DRAIN] = "drain",
        [METHOD_KILL] = "kill",       [METHOD_BREAK] = "break",         [METHOD_WHY] = "why",
        [METHOD_CERTIFY] = "certify", [METHOD_METRICS] = "metrics",     [METHOD_RELOAD] = "reload",
};

static const struct {
        const char *name;
        int code;
} errors[ERRORS_N] = {
        [ERROR_NONE] = { "NONE", 0 },
        [ERROR_PARSE] = { "PARSE", -32700 },
        [ERROR_INVALID_REQUEST] = { "INVALID_REQUEST", -32600 },
        [ERROR_METHOD_NOT_FOUND] = { "METHOD_NOT_FOUND", -32601 },
        [ERROR_INVALID_PARAMS] = { "INVALID_PARAMS", -32602 },
        [ERROR_INTERNAL] = { "INTERNAL", -32603 },
        [ERROR_TOO_LARGE] = { "TOO_LARGE", -32001 },
        [ERROR_LIMIT] = { "LIMIT", -32002 },
        [ERROR_DENIED] = { "DENIED", -32003 },
        [ERROR_STOPPING] = { "STOPPING", -32004 },
        [ERROR_LOCKED] = { "LOCKED", 1 },
        [ERROR_NO_QUORUM] = { "NO_QUORUM", 2 },
        [ERROR_NOT_HELD] = { "NOT_HELD", 3 },
        [ERROR_LOST] = { "LOST", 4 },
        [ERROR_CANCELLED] = { "CANCELLED", 5 },
        [ERROR_DEADLOCK] = { "DEADLOCK", 6 },
        [ERROR_BROKEN] = { "BROKEN", 7 },
};

static const char *const release_on_names[] = {
        [RELEASE_ON_DISCONNECT] = "disconnect",
        [RELEASE_ON_EXIT] = "exit",
};

const char *method_name(enum method method)
{
        assert(method < METHODS_N);
        return method_names[method];
}

const char *lost_reason_name(enum lost_reason reason)
{
        static const char *const reasons[] = { [LOST_EXPIRED] = "EXPIRED",
                                               [LOST_NO_QUORUM] = "NO_QUORUM",
                                               [LOST_MAX_HOLD] = "MAX_HOLD",
                                               [LOST_BROKEN] = "BROKEN" };

        assert(reason < sizeof(reasons) / sizeof(reasons[0]));
        return reasons[reason];
}

const char *error_name(enum error_name error)
{
        assert(error < ERRORS_N);
        return errors[error].name;
}

int error_code(enum error_name error)
{
        assert(error < ERRORS_N);
        return errors[error].code;
}

const char *release_on_name(enum release_on on)
{
        assert(on == RELEASE_ON_DISCONNECT || on == RELEASE_ON_EXIT);
        return release_on_names[on];
}

bool release_on_parse(struct text text, enum release_on *ret_on)
{
        enum release_on on;

        for (on = RELEASE_ON_DISCONNECT; on <= RELEASE_ON_EXIT; ++on) {
                if (text_equal(text, text_of(release_on_names[on]))) {
                        *ret_on = on;
                        return true;
                }
        }
        return false;
}
