#pragma once

/*
 * The journal's own protocol: one datagram an entry, https://systemd.io/JOURNAL_NATIVE_PROTOCOL/. Private to net/log.
 */
#include "redlockd/base/text.h"

#include <stdbool.h>

struct journal_field {
        const char *name;
        struct text value; /* any bytes */
};

/* Whether stderr is the journal's, as $JOURNAL_STREAM says: asked once. */
bool journal_is_stderr(void);

/* Sends one entry. False: the journal did not take it, and it is to be written to stderr. */
bool journal_send(const struct journal_field *fields, size_t n);
