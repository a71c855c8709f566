/*
 * The answers that can be long: item by item, and the same however they are cut.
 */
#include "redlockd/wire/listing.h"

#include "redlockd/wire/codec.h"
#include "unit/reply_fixture.h"

/* The whole line, without its LF, in pieces of every size. */
static void check_listing(const struct reply *reply, const char *expected)
{
        for (unsigned steps = 1; steps < 5; ++steps) {
                struct buffer out = BUFFER_INIT(100000);

                ck_assert(listing_is_for(reply));
                ck_assert_int_eq(print_listing(&out, reply, steps), 0);
                check_line(&out, expected);
                buffer_deinit(&out);
        }
}

static void some_locks(void)
{
        locks_n = 2;
        locks_now[0] = (struct inspect_lock){
                .key = { "k1", 2 },
                .value = "v1",
                .fence = 4711,
                .session = 3,
                .pid = 100,
                .ttl_ms = 15000,
                .valid_until_ns = 12000 * MS,
                .since_ns = 9500 * MS + 1,
                .waiters_n = 2,
                .nodes = 1 << 0 | 1 << 2,
        };
        locks_now[1] = (struct inspect_lock){ .key = { "k2", 2 }, .value = "v2", .session = 4 };
}

START_TEST(a_session_sees_its_own_locks_with_their_values)
{
        struct reply reply = { .method = METHOD_LIST, .session = 3 };
        const char *expected =
                "{\"jsonrpc\":\"2.0\",\"id\":17,\"result\":{\"locks\":[{\"key\":\"k1\",\"value\":\"v1\",\"fence\":4711,"
                "\"state\":\"held\",\"validity\":2000,\"expiration\":1795350002000}]}}";

        some_locks();
        check_listing(&reply, expected);
        reply.method = METHOD_SUBSCRIBE;
        check_listing(&reply, expected);
}
END_TEST

START_TEST(the_locks_of_all_are_shown_without_values)
{
        struct reply reply = { .method = METHOD_LOCKS, .session = 9 };

        some_locks();
        check_listing(&reply,
                      "{\"jsonrpc\":\"2.0\",\"id\":17,\"result\":{\"locks\":["
                      "{\"key\":\"k1\",\"session\":3,\"pid\":100,\"fence\":4711,\"ttl\":15000,\"validity\":2000,"
                      "\"heldFor\":499,"
                      "\"waiters\":2,\"state\":\"held\",\"nodes\":[\"a\",\"c\"]},"
                      "{\"key\":\"k2\",\"session\":4,\"pid\":0,\"fence\":0,\"ttl\":0,\"validity\":0,\"heldFor\":10000,"
                      "\"waiters\":0,\"state\":\"held\",\"nodes\":[]}]}}");
}
END_TEST

START_TEST(locks_can_be_asked_for_by_key)
{
        struct reply_item asked = { .key = { "k2", 2 } };
        struct reply reply = { .method = METHOD_LOCKS, .session = 9, .items = &asked, .items_n = 1 };

        some_locks();
        check_listing(
                &reply,
                "{\"jsonrpc\":\"2.0\",\"id\":17,\"result\":{\"locks\":[{\"key\":\"k2\",\"session\":4,\"pid\":0,"
                "\"fence\":0,\"ttl\":0,\"validity\":0,\"heldFor\":10000,\"waiters\":0,\"state\":\"held\",\"nodes\":"
                "[]}]}}");
}
END_TEST

START_TEST(waiters_are_shown_with_their_place_and_time)
{
        struct reply_item asked = { .key = { "k2", 2 } };
        struct reply reply = { .method = METHOD_WAITERS, .session = 9 };

        waiters_n = 2;
        waiters_now[0] = (struct inspect_waiter){ { "k1", 2 }, 5, 500, 1, 9000 * MS };
        waiters_now[1] = (struct inspect_waiter){ { "k2", 2 }, 6, 600, 2, 9999 * MS };
        check_listing(&reply, "{\"jsonrpc\":\"2.0\",\"id\":17,\"result\":{\"waiters\":["
                              "{\"key\":\"k1\",\"session\":5,\"pid\":500,\"position\":1,\"waited\":1000},"
                              "{\"key\":\"k2\",\"session\":6,\"pid\":600,\"position\":2,\"waited\":1}]}}");
        reply.items = &asked;
        reply.items_n = 1;
        check_listing(&reply, "{\"jsonrpc\":\"2.0\",\"id\":17,\"result\":{\"waiters\":["
                              "{\"key\":\"k2\",\"session\":6,\"pid\":600,\"position\":2,\"waited\":1}]}}");
}
END_TEST

START_TEST(sessions_are_shown_with_the_time_they_came)
{
        struct reply reply = { .method = METHOD_SESSIONS };

        sessions_n = 2;
        sessions_now[0] = (struct inspect_session){ 1, 11, 12, 13, "me", 9000 * MS, 2, 1 };
        sessions_now[1] = (struct inspect_session){ 7, 71, 0, 4294967295, "", 10000 * MS, 0, 0 };
        check_listing(
                &reply,
                "{\"jsonrpc\":\"2.0\",\"id\":17,\"result\":{\"sessions\":["
                "{\"session\":1,\"pid\":11,\"uid\":12,\"gid\":13,\"name\":\"me\",\"connected\":1795349999000,"
                "\"locks\":2,"
                "\"waiting\":1},"
                "{\"session\":7,\"pid\":71,\"uid\":0,\"gid\":4294967295,\"name\":\"\",\"connected\":1795350000000,"
                "\"locks\":0,\"waiting\":0}]}}");
}
END_TEST

START_TEST(a_node_that_was_removed_is_left_out)
{
        static const struct reply_node nodes[] = {
                { .name = NULL }, { .name = "b" }, { .name = NULL }, { .name = "d" }
        };
        const char *expected = "\"nodes\":[\"b\",\"d\"]}]}}\n";
        struct reply_context c = context;
        struct buffer out = BUFFER_INIT(100000);
        struct listing l;

        some_locks();
        locks_n = 1;
        locks_now[0].nodes = 0xf;
        c.nodes = nodes;
        ck_assert_int_eq(listing_init(&l, &(struct reply){ .method = METHOD_LOCKS, .session = 9 }), 0);
        ck_assert_int_eq(listing_begin(&l, &out, "17"), 0);
        ck_assert_int_eq(listing_print(&l, &out, &c, 9), 0);
        ck_assert_ptr_nonnull(memmem(buffer_data(&out), buffer_len(&out), expected, strlen(expected)));
        listing_deinit(&l);
        buffer_deinit(&out);
}
END_TEST

START_TEST(what_is_empty_is_shown_so)
{
        static const struct {
                enum method method;
                const char *expected;
        } all[] = {
                { METHOD_LIST, "{\"jsonrpc\":\"2.0\",\"id\":17,\"result\":{\"locks\":[]}}" },
                { METHOD_SUBSCRIBE, "{\"jsonrpc\":\"2.0\",\"id\":17,\"result\":{\"locks\":[]}}" },
                { METHOD_LOCKS, "{\"jsonrpc\":\"2.0\",\"id\":17,\"result\":{\"locks\":[]}}" },
                { METHOD_WAITERS, "{\"jsonrpc\":\"2.0\",\"id\":17,\"result\":{\"waiters\":[]}}" },
                { METHOD_SESSIONS, "{\"jsonrpc\":\"2.0\",\"id\":17,\"result\":{\"sessions\":[]}}" },
        };

        for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); ++i)
                check_listing(&(struct reply){ .method = all[i].method, .session = 3 }, all[i].expected);
}
END_TEST

static bool is_enough(void *userdata)
{
        ++*(unsigned *)userdata;
        return true;
}

START_TEST(a_piece_ends_where_it_was_enough)
{
        static const enum method methods[] = { METHOD_LOCKS, METHOD_WAITERS, METHOD_SESSIONS };

        some_locks();
        waiters_n = sessions_n = 2;
        for (unsigned i = 0; i < 2; ++i) {
                waiters_now[i] = (struct inspect_waiter){ .key = { "k", 1 } };
                sessions_now[i] = (struct inspect_session){ .session = i + 1, .name = "" };
        }
        for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); ++i) {
                struct buffer out = BUFFER_INIT(100000);
                struct listing l;
                unsigned asked = 0;

                ck_assert_int_eq(listing_init(&l, &(struct reply){ .method = methods[i], .session = 3 }), 0);
                l.enough = is_enough;
                l.userdata = &asked;
                ck_assert_int_eq(listing_begin(&l, &out, "17"), 0);
                ck_assert_int_eq(listing_print(&l, &out, &context, 100), 1);
                ck_assert_uint_eq(asked, 1);
                while (listing_print(&l, &out, &context, 100) > 0)
                        ;
                ck_assert_uint_eq(asked, 2);
                listing_deinit(&l);
                buffer_deinit(&out);
        }
}
END_TEST

START_TEST(an_error_is_no_listing)
{
        ck_assert(!listing_is_for(&(struct reply){ .method = METHOD_LOCKS, .error = ERROR_INTERNAL }));
        ck_assert(!listing_is_for(&(struct reply){ .method = METHOD_STATUS }));
}
END_TEST

static bool shows_k2(void *viewer, struct text key)
{
        return text_equal(key, *(const struct text *)viewer);
}

START_TEST(keys_that_the_viewer_may_not_see_are_left_out)
{
        struct reply reply = { .method = METHOD_LOCKS, .session = 9 };
        struct text visible = { "k2", 2 };
        struct reply_context c = context;
        struct buffer out = BUFFER_INIT(100000);
        struct listing l;

        some_locks();
        waiters_n = 2;
        waiters_now[0] = (struct inspect_waiter){ { "k2", 2 }, 5, 500, 1, 9000 * MS };
        waiters_now[1] = (struct inspect_waiter){ { "k1", 2 }, 6, 600, 1, 9999 * MS };
        c.shows = shows_k2;
        c.viewer = &visible;
        for (unsigned i = 0; i < 2; ++i) {
                ck_assert_int_eq(listing_init(&l, &reply), 0);
                ck_assert_int_eq(listing_begin(&l, &out, "1"), 0);
                ck_assert_int_eq(listing_print(&l, &out, &c, 100), 0);
                listing_deinit(&l);
                ck_assert_ptr_nonnull(memmem(buffer_data(&out), buffer_len(&out), "\"k2\"", 4));
                ck_assert_ptr_null(memmem(buffer_data(&out), buffer_len(&out), "\"k1\"", 4));
                buffer_consume(&out, buffer_len(&out));
                reply.method = METHOD_WAITERS;
        }
        buffer_deinit(&out);
}
END_TEST

/* jansson's way with the same string. */
static void check_escapes(struct text key)
{
        struct buffer out = BUFFER_INIT(100000), expected = BUFFER_INIT(100000);
        struct reply reply = { .method = METHOD_LIST, .session = 3 };
        json_t *value = codec_key(key);

        locks_n = 1;
        locks_now[0] = (struct inspect_lock){ .key = key, .value = "v", .session = 3 };
        ck_assert_int_eq(print_listing(&out, &reply, 1), 0);
        ck_assert_int_eq(codec_write(value, &expected), 0);
        ck_assert_ptr_nonnull(
                memmem(buffer_data(&out), buffer_len(&out), buffer_data(&expected), buffer_len(&expected)));
        json_decref(value);
        buffer_deinit(&out);
        buffer_deinit(&expected);
}

START_TEST(keys_are_escaped_as_in_every_other_answer)
{
        char key[3] = "a?b";

        codec_use();
        for (int byte = 0; byte < 0x80; ++byte) {
                key[1] = (char)byte;
                check_escapes((struct text){ key, 3 });
                check_escapes((struct text){ key + 1, 1 });
                check_escapes((struct text){ key + 1, 2 });
        }
        check_escapes(text_of("\xc3\xa9\xf0\x9f\x94\x92\xe2\x80\xa8"));
}
END_TEST

#define LONG_KEY_LEN 65536

/* (Under AddressSanitizer a byte too many would be seen.) */
START_TEST(items_at_their_longest_have_room)
{
        static const enum method methods[] = { METHOD_LIST, METHOD_LOCKS, METHOD_WAITERS, METHOD_SESSIONS };
        static struct reply_node long_nodes[NODES_MAX];
        static char key[LONG_KEY_LEN], name[SESSION_NAME_MAX + 1], value[TOKEN_TEXT_LEN + 1];
        struct reply_context c = context;

        memset(name, '\x1f', SESSION_NAME_MAX);
        memset(value, 'f', TOKEN_TEXT_LEN);
        for (unsigned i = 0; i < NODES_MAX; ++i)
                long_nodes[i].name = name;
        c.nodes = long_nodes;
        c.now_ns = c.unix_ms = UINT64_MAX;
        locks_n = waiters_n = sessions_n = 1;
        locks_now[0] = (struct inspect_lock){ .key = { key, LONG_KEY_LEN },
                                              .value = value,
                                              .fence = UINT64_MAX,
                                              .session = UINT64_MAX,
                                              .pid = INT32_MAX,
                                              .ttl_ms = UINT32_MAX,
                                              .waiters_n = UINT64_MAX,
                                              .nodes = INT32_MAX };
        waiters_now[0] = (struct inspect_waiter){ { key, LONG_KEY_LEN }, UINT64_MAX, INT32_MAX, UINT32_MAX, 0 };
        sessions_now[0] = (struct inspect_session){ UINT64_MAX, INT32_MAX, UINT32_MAX, UINT32_MAX,
                                                    name,       0,         UINT64_MAX, UINT64_MAX };
        for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); ++i) {
                struct reply reply = { .method = methods[i], .session = UINT64_MAX };
                struct buffer out = BUFFER_INIT(10 * LONG_KEY_LEN);
                struct listing l;

                ck_assert_int_eq(listing_init(&l, &reply), 0);
                ck_assert_int_eq(listing_begin(&l, &out, "1"), 0);
                ck_assert_int_ge(listing_print(&l, &out, &c, 1), 0);
                ck_assert_uint_gt(buffer_len(&out), methods[i] == METHOD_SESSIONS ? 6 * 64 : 6 * LONG_KEY_LEN);
                listing_deinit(&l);
                buffer_deinit(&out);
        }
}
END_TEST

START_TEST(what_does_not_fit_is_said_so)
{
        struct reply reply = { .method = METHOD_LIST, .session = 3 };
        struct buffer whole = BUFFER_INIT(100000);

        some_locks();
        ck_assert_int_eq(print_listing(&whole, &reply, 9), 0);
        for (size_t max = 0; max < buffer_len(&whole); ++max) {
                struct buffer out = BUFFER_INIT(max);

                ck_assert_int_eq(print_listing(&out, &reply, 9), -ENOBUFS);
                buffer_deinit(&out);
        }
        buffer_deinit(&whole);
}
END_TEST

START_TEST(without_memory_a_listing_ends_and_leaves_nothing)
{
        static const enum method methods[] = { METHOD_LIST, METHOD_SESSIONS, METHOD_LOCKS, METHOD_WAITERS };
        struct reply_item asked = { .key = { "k1", 2 } };

        some_locks();
        waiters_n = sessions_n = 1;
        waiters_now[0] = (struct inspect_waiter){ { "k1", 2 }, 5, 500, 1, 0 };
        sessions_now[0] = (struct inspect_session){ .session = 3, .name = "me" };
        for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); ++i) {
                struct reply reply = { .method = methods[i], .session = 3 };
                uint64_t live = mem_live(), k = 1;
                int r;

                if (methods[i] == METHOD_LOCKS || methods[i] == METHOD_WAITERS) {
                        reply.items = &asked;
                        reply.items_n = 1;
                }
                do {
                        struct buffer out = BUFFER_INIT(100000);

                        mem_fail_at(k++);
                        r = print_listing(&out, &reply, 1);
                        ck_assert_int_eq(r, mem_failed() ? -ENOMEM : 0);
                        mem_fail_at(0);
                        buffer_deinit(&out);
                        ck_assert_uint_eq(mem_live(), live);
                } while (r < 0);
                ck_assert_uint_gt(k, 2);
        }
}
END_TEST

UNIT_MAIN("listing", a_session_sees_its_own_locks_with_their_values, the_locks_of_all_are_shown_without_values,
          locks_can_be_asked_for_by_key, waiters_are_shown_with_their_place_and_time,
          sessions_are_shown_with_the_time_they_came, a_node_that_was_removed_is_left_out, what_is_empty_is_shown_so,
          a_piece_ends_where_it_was_enough, an_error_is_no_listing, keys_that_the_viewer_may_not_see_are_left_out,
          keys_are_escaped_as_in_every_other_answer, items_at_their_longest_have_room, what_does_not_fit_is_said_so,
          without_memory_a_listing_ends_and_leaves_nothing)
