#pragma once

/*
 * The requests that the engine has not answered yet: its number for each <-> the id that the client chose.
 */
#include "redlockd/base/map.h"

struct inflight {
        struct map numbers;
        struct map ids; /* of those that can be named in `cancel` */
        struct hash_seed seed;
};

struct inflight_request {
        struct map_link number_link;
        struct map_link id_link;
        uint64_t number;
        uint64_t session;
        uint64_t posted_ns;
        bool notification; /* not to be answered */
        bool named;        /* is in `ids` */
        char id[];         /* JSON text */
};

/* 0 or -ENOMEM. */
int inflight_init(struct inflight *f, struct hash_seed seed);

/* Asserts that every request was answered. */
void inflight_deinit(struct inflight *f);

/* Returns 0 or -ENOMEM. The id is copied. A notification and a request without an id (`null`) cannot be named. */
int inflight_new(struct inflight *f, uint64_t number, uint64_t session, const char *id, bool notification,
                 struct inflight_request **ret_request);

struct inflight_request *inflight_free(struct inflight *f, struct inflight_request *r);

struct inflight_request *inflight_find(const struct inflight *f, uint64_t number);
struct inflight_request *inflight_find_id(const struct inflight *f, uint64_t session, const char *id);
