#pragma once

/*
 * Stories: scenes of a few lines and the trace that each must print. Each is told as it is, and then once for every k
 * with the k-th allocation failing: then its trace may be another one, but nothing may be left of it all the same.
 */
#include "sim/world.h"

#include <check.h>

/* What a request asks for, beside its keys. */
struct ask {
        uint32_t ttl_ms;   /* 0: 10000 */
        int tries;         /* 0: 201; -1: for ever */
        uint64_t delay_ms; /* 0: 100; no jitter */
        uint64_t wait_ms;  /* 0: no cap */
        bool strict;
        bool renewed; /* autoExtend */
        uint64_t hold_ms, delay_ms_at_end;
};

/* A world of its own for each story; NULL where it could not be made. */
struct world *story_world(const struct world_options *options);
/* The end: everybody leaves, and nothing may be left. */
void story_end(struct world *w);

/* Keys are separated by commas; NULL: all. Returns the request's id. */
uint64_t story_add(struct world *w, unsigned session, const char *keys, struct ask ask);
uint64_t story_extend(struct world *w, unsigned session, const char *keys, struct ask ask);
uint64_t story_give(struct world *w, unsigned session, const char *keys);
uint64_t story_reset(struct world *w, unsigned session);
void story_cancel(struct world *w, unsigned session, uint64_t request);
void story_subscribe(struct world *w, unsigned session, unsigned events);
void story_run(struct world *w, uint64_t ms);

/* The trace since the last call, which must be this; story_skip() forgets it. */
void story_expect(struct world *w, const char *trace);
void story_skip(struct world *w);

/* What must hold while allocations succeed; a story with failing ones may have come to another end. */
bool story_is_whole(const struct world *w);
#define story_check(w, what)                                                                                           \
        do {                                                                                                           \
                if (story_is_whole(w))                                                                                 \
                        ck_assert(what);                                                                               \
        } while (0)

/* What a node holds now under a key. */
const char *story_stored(struct world *w, unsigned node, const char *key);

struct story {
        const char *name;
        void (*tell)(void);
};

int story_main(const char *suite, const struct story *stories, size_t n);

#define STORY(name)                                                                                                    \
        {                                                                                                              \
#name, name                                                                                            \
        }
#define STORY_MAIN(suite, ...)                                                                                         \
        int main(void)                                                                                                 \
        {                                                                                                              \
                const struct story stories[] = { __VA_ARGS__ };                                                        \
                                                                                                                       \
                return story_main(suite, stories, sizeof(stories) / sizeof(stories[0]));                               \
        }
