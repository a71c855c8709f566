#pragma once

/*
 * One line of a client, read as a JSON-RPC 2.0 request (https://www.jsonrpc.org/specification) and checked completely:
 * what comes out is a request that the engine can carry out as it stands, or an error to be answered.
 */
#include "redlockd/core/types.h"

/* Defaults and limits, from the configuration; borrowed by the calls. Ranges are inclusive. */
struct request_rules {
        uint32_t ttl_ms;
        uint32_t ttl_min_ms;
        uint32_t ttl_max_ms;
        int64_t retry_count;
        uint64_t retry_delay_ms;
        uint64_t retry_jitter_ms;
        uint32_t keys_max;
        uint32_t key_bytes_max;
        const char *key_prefix; /* what stands before each key on a node; NULL: nothing */
};

#define REQUEST_RETRY_COUNT_MAX 1000000000  /* retryCount; -1 has no end */
#define REQUEST_DELAY_MAX_MS    86400000    /* retryDelay, retryJitter: a day */
#define REQUEST_WAIT_MAX_MS     2592000000  /* wait: 30 days */
#define REQUEST_OWN_PREFIX      "redlockd:" /* keys of the broker's own, on the nodes */
#define REQUEST_ID_BYTES_MAX    256         /* of an id's JSON text */

/* Which ends of its peer end a session, beside reset and the daemon's own reasons. */
enum release_on {
        RELEASE_ON_SAME,       /* hello: not named, left as it is */
        RELEASE_ON_DISCONNECT, /* the end of the connection */
        RELEASE_ON_EXIT,       /* also the end of the process that connected, whoever else has the connection open */
};

#define RELEASE_ON_MUST "must be \"disconnect\" or \"exit\"" /* what is said of any other text */

/* Returns false for a text that is neither of the two names. */
bool release_on_parse(struct text text, enum release_on *ret_on);
const char *release_on_name(enum release_on on);

/* What is wrong with a line; also used for errors that are found before there is a line. */
struct wire_error {
        enum error_name name; /* ERROR_NONE: nothing */
        char message[200];    /* for people; valid UTF-8 */
        /* INVALID_PARAMS, DENIED for a key: the member of params that is meant ("ttl", "keys[1]", "params"); else "" */
        char path[80];
        struct text
                lines;    /* all that is wrong where it is more than one thing: UTF-8, each line with its LF; or none */
        const char *what; /* LIMIT, TOO_LARGE: the limit's name in the configuration; else NULL */
        uint64_t limit;
};

struct wire_request {
        struct request request; /* session and id are left 0 for the caller to set; borrows from the line, `document`
                                   and `keys` */
        bool notification;      /* not to be answered */
        const char *id;         /* JSON text of the id: `17`, `"abc"`; "null" where there is none that can be read */
        const char *cancel_id;  /* cancel: JSON text of the id that is meant, else NULL */
        struct text node_name;  /* certify: request.node is left 0 for the caller to set */
        enum release_on release_on; /* hello */
        struct wire_error error;
        /* private: */
        void *document;
        struct text *keys;
        char *id_text;
        char *cancel_id_text;
};

/*
 * Returns 0 (look at ret_request->error) or -ENOMEM. After 0 give `ret_request` to wire_request_deinit() when it was
 * carried out; the line must stay until then. A notification with an error other than PARSE and INVALID_REQUEST is
 * still a notification.
 */
int wire_request_parse(struct text line, const struct request_rules *rules, struct wire_request *ret_request);

void wire_request_deinit(struct wire_request *r);

/* The method's name in the contract, and the error's; for logs and tests too. */
const char *method_name(enum method method);
const char *error_name(enum error_name error);
const char *lost_reason_name(enum lost_reason reason);
int error_code(enum error_name error);
