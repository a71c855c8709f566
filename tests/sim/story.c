/*
 * Tells stories: short calls for requests, the comparison of traces, and the loop over failing allocations.
 */
#include "sim/story.h"

#include "redlockd/base/mem.h"

#include <stdlib.h>

#define STORY_TTL_MS 200000 /* longer than any ttl of a story: nothing may be left after it */

static bool story_failing;
static char *story_trace;
static size_t story_trace_len;
static FILE *story_out;

struct world *story_world(const struct world_options *options)
{
        struct world_options with_trace = *options;

        story_out = open_memstream(&story_trace, &story_trace_len);
        with_trace.trace = story_out;
        return world_new(&with_trace);
}

void story_end(struct world *w)
{
        const char *wrong = world_calm(w, STORY_TTL_MS);

        ck_assert_msg(!wrong, "%s", wrong);
        world_free(w);
        fclose(story_out);
        free(story_trace);
}

static uint64_t story_request(struct world *w, unsigned session, struct request request, const char *keys)
{
        struct text texts[KEYS_PER_ROUND_MAX];
        char *copy = strdup(keys ? keys : ""), *key, *rest = copy;
        uint64_t id;

        while (keys && (key = strsep(&rest, ",")))
                texts[request.keys_n++] = text_of(key);
        request.keys = texts;
        id = world_request(w, session, request);
        free(copy);
        return id;
}

static struct request request_of(enum method method, struct ask ask)
{
        return (struct request){ .method = method,
                                 .ttl_ms = ask.ttl_ms ? ask.ttl_ms : 10000,
                                 .retry_count = ask.tries < 0 ? RETRY_FOR_EVER
                                                : ask.tries   ? ask.tries - 1
                                                              : 200,
                                 .retry_delay_ms = ask.delay_ms ? ask.delay_ms : 100,
                                 .wait_ms = ask.wait_ms ? ask.wait_ms : WAIT_NONE,
                                 .strict = ask.strict,
                                 .auto_extend = ask.renewed,
                                 .max_hold_ms = ask.hold_ms,
                                 .lock_delay_ms = ask.delay_ms_at_end };
}

uint64_t story_add(struct world *w, unsigned session, const char *keys, struct ask ask)
{
        return story_request(w, session, request_of(METHOD_ADD, ask), keys);
}

uint64_t story_extend(struct world *w, unsigned session, const char *keys, struct ask ask)
{
        return story_request(w, session, request_of(METHOD_EXTEND, ask), keys);
}

uint64_t story_give(struct world *w, unsigned session, const char *keys)
{
        return story_request(w, session, (struct request){ .method = METHOD_FREE }, keys);
}

uint64_t story_reset(struct world *w, unsigned session)
{
        return story_request(w, session, (struct request){ .method = METHOD_RESET }, NULL);
}

void story_cancel(struct world *w, unsigned session, uint64_t request)
{
        story_request(w, session, (struct request){ .method = METHOD_CANCEL, .cancel_id = request }, NULL);
}

void story_subscribe(struct world *w, unsigned session, unsigned events)
{
        story_request(w, session, (struct request){ .method = METHOD_SUBSCRIBE, .events = events }, NULL);
}

void story_run(struct world *w, uint64_t ms)
{
        world_run_ns(w, ms * NS_PER_MS);
}

const char *story_stored(struct world *w, unsigned node, const char *key)
{
        return world_stored(w, node, key, w->now_ns);
}

bool story_is_whole(const struct world *w)
{
        return w && !story_failing;
}

/* A memory stream that is rewound keeps its tail: where to compare from is remembered instead. */
static size_t story_seen;

void story_skip(struct world *w)
{
        if (!w)
                return;
        trace_flush(w->trace);
        fflush(story_out);
        story_seen = story_trace_len;
}

void story_expect(struct world *w, const char *trace)
{
        if (!w)
                return;
        trace_flush(w->trace);
        fflush(story_out);
        if (story_is_whole(w) && strcmp(story_trace + story_seen, trace) != 0)
                ck_abort_msg("the trace is\n%s\nand should be\n%s", story_trace + story_seen, trace);
        story_skip(w);
}

static void story_tell(const struct story *story)
{
        uint64_t live = mem_live(), k;

        story_failing = false;
        story_seen = 0;
        story->tell();
        ck_assert_uint_eq(mem_live(), live);
        story_failing = true;
        for (k = 1;; ++k) {
                story_seen = 0;
                mem_fail_at(k);
                story->tell();
                ck_assert_msg(mem_live() == live, "%llu blocks are left when allocation %llu fails",
                              (unsigned long long)(mem_live() - live), (unsigned long long)k);
                if (!mem_failed())
                        break;
        }
        mem_fail_at(0);
}

static const struct story *story_list;

START_TEST(story)
{
        story_tell(&story_list[_i]);
}
END_TEST

int story_main(const char *name, const struct story *stories, size_t n)
{
        Suite *suite = suite_create(name);
        TCase *tcase = tcase_create(name);
        SRunner *runner;
        int failed;

        story_list = stories;
        tcase_add_loop_test(tcase, story, 0, (int)n);
        tcase_set_timeout(tcase, 60);
        suite_add_tcase(suite, tcase);
        runner = srunner_create(suite);
        srunner_run_all(runner, CK_NORMAL);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
