/*
 * One connection as a pipe of bytes: how much may wait to be read, for how long, and what one turn may take. The loop's
 * clock is the test's: it stands still but where a test moves it.
 */
#include "redlockd/net/client.h"

#include "redlockd/base/mem.h"
#include "unit/unit.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define OUTPUT_MAX 8192
#define TURNS      50 /* more than anything here takes that needs no time */

static uint64_t clock_ms;

/* In the place of libc's, for libuv too. */
int clock_gettime(clockid_t clock, struct timespec *ret_time)
{
        *ret_time =
                (struct timespec){ .tv_sec = (time_t)(clock_ms / 1000), .tv_nsec = (long)(clock_ms % 1000) * 1000000 };
        return 0;
}

struct stage {
        uv_loop_t loop;
        struct client *client;
        int peer;
        uint64_t live;
        size_t shown_n;  /* bytes that on_bytes() took */
        size_t takes_n;  /* it leaves the others; 0: takes all */
        unsigned shows;  /* how often it was called */
        unsigned rooms;  /* how often on_room() was */
        size_t room_n;   /* it prints so many bytes then, */
        unsigned room_k; /* so many times */
        unsigned ends;
        const char *reason;
};

static void stage_on_bytes(void *userdata, struct text *bytes)
{
        struct stage *s = userdata;
        size_t n = s->takes_n > 0 && s->takes_n < bytes->len ? s->takes_n : bytes->len;

        ++s->shows;
        s->shown_n += n;
        bytes->data += n;
        bytes->len -= n;
}

static void stage_print(struct stage *s, size_t n)
{
        char *to = buffer_room(client_output(s->client), n);

        ck_assert_ptr_nonnull(to);
        memset(to, 'o', n);
        buffer_commit(client_output(s->client), n);
}

static bool stage_on_room(void *userdata)
{
        struct stage *s = userdata;

        ck_assert_uint_gt(s->room_k, 0);
        ck_assert(!client_full(s->client));
        ++s->rooms;
        stage_print(s, s->room_n);
        return --s->room_k > 0;
}

static void stage_on_end(void *userdata, const char *reason)
{
        struct stage *s = userdata;

        ++s->ends;
        s->reason = reason;
}

static void stage_init(struct stage *s)
{
        struct client_options options = { .loop = &s->loop,
                                          .output_max = OUTPUT_MAX,
                                          .userdata = s,
                                          .on_bytes = stage_on_bytes,
                                          .on_room = stage_on_room,
                                          .on_end = stage_on_end };
        int fds[2];

        signal(SIGPIPE, SIG_IGN); /* as main() does */
        *s = (struct stage){ .live = mem_live() };
        ck_assert_int_eq(uv_loop_init(&s->loop), 0);
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
        s->peer = fds[1];
        ck_assert_int_eq(client_new(&s->client, fds[0], &options), 0);
        client_start(s->client);
}

static void stage_turn(struct stage *s)
{
        uv_run(&s->loop, UV_RUN_NOWAIT);
}

/* Until nothing more happens by itself. */
static void stage_turns(struct stage *s)
{
        for (unsigned i = 0; i < TURNS; ++i)
                stage_turn(s);
}

static void stage_pass(struct stage *s, uint64_t ms)
{
        clock_ms += ms;
        stage_turns(s);
}

static void stage_deinit(struct stage *s)
{
        close(s->peer);
        client_finish(s->client);
        stage_turns(s);
        ck_assert_int_eq(uv_loop_close(&s->loop), 0);
        ck_assert_uint_eq(mem_live(), s->live);
}

/* What is printed from now on waits: the kernel takes no more. */
static size_t stage_fill(struct stage *s)
{
        static const char bytes[4096];
        ssize_t n;
        size_t sum = 0;

        while ((n = send(client_fd(s->client), bytes, sizeof(bytes), MSG_DONTWAIT | MSG_NOSIGNAL)) > 0)
                sum += (size_t)n;
        ck_assert_int_eq(errno, EAGAIN);
        return sum;
}

static void stage_say(struct stage *s, size_t n)
{
        static const char bytes[OUTPUT_MAX];

        ck_assert_int_eq(send(s->peer, bytes, n, MSG_DONTWAIT), (ssize_t)n);
}

/* The peer reads all that there is, in turns. */
static size_t stage_read(struct stage *s)
{
        char bytes[65536];
        unsigned idle = 0;
        size_t sum = 0;
        ssize_t n;

        while (idle < TURNS) {
                n = recv(s->peer, bytes, sizeof(bytes), MSG_DONTWAIT);
                sum += n > 0 ? (size_t)n : 0;
                idle = n > 0 ? 0 : idle + 1;
                stage_turn(s);
        }
        return sum;
}

/* --- what waits to be read ------------------------------------------------------------------------------------------
 */

START_TEST(with_output_max_bytes_waiting_it_reads_and_with_one_more_it_does_not)
{
        struct stage s;
        size_t filled;

        stage_init(&s);
        filled = stage_fill(&s);
        stage_print(&s, OUTPUT_MAX);
        client_flush(s.client);
        ck_assert(!client_full(s.client));
        stage_say(&s, 1);
        stage_turns(&s);
        ck_assert_uint_eq(s.shown_n, 1);

        stage_print(&s, 1);
        client_flush(s.client);
        ck_assert(client_full(s.client));
        stage_say(&s, 1);
        stage_turns(&s);
        ck_assert_uint_eq(s.shown_n, 1);

        ck_assert_uint_eq(stage_read(&s), filled + OUTPUT_MAX + 1);
        ck_assert_uint_eq(s.shown_n, 2); /* it reads again */
        stage_say(&s, 1);
        stage_turns(&s);
        ck_assert_uint_eq(s.shown_n, 3);
        ck_assert_uint_eq(s.ends, 0);
        stage_deinit(&s);
}
END_TEST

START_TEST(who_leaves_one_byte_more_unread_is_given_up_after_5_s)
{
        struct stage s;

        stage_init(&s);
        stage_fill(&s);
        stage_print(&s, OUTPUT_MAX + 1);
        client_flush(s.client);
        stage_pass(&s, CLIENT_STALL_MS - 1);
        ck_assert_uint_eq(s.ends, 0);
        stage_pass(&s, 1);
        ck_assert_uint_eq(s.ends, 1);
        ck_assert_str_eq(s.reason, "does not read its replies");
        stage_pass(&s, 2 * CLIENT_STALL_MS);
        ck_assert_uint_eq(s.ends, 1);
        stage_deinit(&s);
}
END_TEST

START_TEST(who_leaves_output_max_bytes_unread_may_stay)
{
        struct stage s;

        stage_init(&s);
        stage_fill(&s);
        stage_print(&s, OUTPUT_MAX);
        client_flush(s.client);
        stage_pass(&s, 100 * CLIENT_STALL_MS);
        ck_assert_uint_eq(s.ends, 0);
        stage_deinit(&s);
}
END_TEST

START_TEST(who_reads_in_time_has_all_of_it_again)
{
        struct stage s;

        stage_init(&s);
        for (unsigned i = 0; i < 3; ++i) {
                stage_fill(&s);
                stage_print(&s, OUTPUT_MAX + 1);
                client_flush(s.client);
                stage_pass(&s, CLIENT_STALL_MS - 1);
                stage_read(&s);
        }
        stage_pass(&s, 2 * CLIENT_STALL_MS);
        ck_assert_uint_eq(s.ends, 0);
        stage_deinit(&s);
}
END_TEST

/* --- what is owed ---------------------------------------------------------------------------------------------------
 */

START_TEST(what_is_owed_is_asked_for_once_in_a_turn_and_nothing_is_read_before)
{
        struct stage s;

        stage_init(&s);
        s.room_n = 10;
        s.room_k = 5;
        client_owe(s.client);
        client_flush(s.client);
        stage_say(&s, 3);
        for (unsigned i = 1; i <= 5; ++i) {
                stage_turn(&s);
                ck_assert_uint_eq(s.rooms, i);
                ck_assert_uint_eq(s.shown_n, 0);
        }
        stage_turns(&s);
        ck_assert_uint_eq(s.rooms, 5);
        ck_assert_uint_eq(s.shown_n, 3);
        ck_assert_uint_eq(stage_read(&s), 50);
        stage_deinit(&s);
}
END_TEST

START_TEST(what_is_owed_comes_as_fast_as_the_peer_reads)
{
        const unsigned pieces = 1000;
        struct stage s;
        size_t filled;

        stage_init(&s);
        filled = stage_fill(&s);
        s.room_n = OUTPUT_MAX / 4;
        s.room_k = pieces;
        client_owe(s.client);
        client_flush(s.client);
        stage_turns(&s);
        ck_assert_uint_eq(s.rooms, 5); /* then more than output_max waits */
        ck_assert(client_full(s.client));
        ck_assert_uint_eq(stage_read(&s), filled + pieces * s.room_n);
        ck_assert_uint_eq(s.rooms, pieces);
        ck_assert_uint_eq(s.ends, 0);
        stage_deinit(&s);
}
END_TEST

START_TEST(who_does_not_read_what_it_is_owed_is_given_up_after_5_s)
{
        struct stage s;

        stage_init(&s);
        stage_fill(&s);
        s.room_n = OUTPUT_MAX / 4;
        s.room_k = 1000;
        client_owe(s.client);
        client_flush(s.client);
        stage_turns(&s);
        stage_pass(&s, CLIENT_STALL_MS - 1);
        ck_assert_uint_eq(s.ends, 0);
        stage_pass(&s, 1);
        ck_assert_uint_eq(s.ends, 1);
        ck_assert_str_eq(s.reason, "does not read its replies");
        client_finish(s.client);
        ck_assert_uint_eq(s.ends, 2); /* it will not be asked for the rest */
        stage_turns(&s);
        ck_assert_int_eq(uv_loop_close(&s.loop), 0);
        ck_assert_uint_eq(mem_live(), s.live);
        close(s.peer);
}
END_TEST

START_TEST(who_was_owed_something_and_leaves_output_max_unread_may_stay)
{
        struct stage s;

        stage_init(&s);
        stage_fill(&s);
        s.room_n = OUTPUT_MAX / 4;
        s.room_k = 4;
        client_owe(s.client);
        client_flush(s.client);
        stage_say(&s, 1);
        stage_turns(&s);
        ck_assert_uint_eq(s.shown_n, 1);
        stage_pass(&s, 2 * CLIENT_STALL_MS);
        ck_assert_uint_eq(s.ends, 0);
        stage_deinit(&s);
}
END_TEST

START_TEST(what_is_owed_at_the_end_is_written_before_it_is_closed)
{
        const unsigned pieces = 1000;
        struct stage s;
        char byte;

        stage_init(&s);
        s.room_n = OUTPUT_MAX / 4;
        s.room_k = pieces;
        client_owe(s.client);
        client_finish(s.client);
        ck_assert_uint_eq(stage_read(&s), pieces * s.room_n);
        ck_assert_int_eq(recv(s.peer, &byte, 1, MSG_DONTWAIT), 0);
        ck_assert_uint_eq(s.ends, 0);
        ck_assert_int_eq(uv_loop_close(&s.loop), 0);
        ck_assert_uint_eq(mem_live(), s.live);
        close(s.peer);
}
END_TEST

START_TEST(who_does_not_read_what_it_is_owed_at_the_end_has_5_s_for_all)
{
        struct stage s;

        stage_init(&s);
        stage_fill(&s);
        s.room_n = OUTPUT_MAX / 4;
        s.room_k = 1000;
        client_owe(s.client);
        client_finish(s.client);
        stage_pass(&s, CLIENT_FINISH_MS - 1);
        ck_assert_uint_eq(s.ends, 0);
        stage_pass(&s, 1);
        ck_assert_uint_eq(s.ends, 1);
        stage_turns(&s);
        ck_assert_uint_lt(s.rooms, 10);
        ck_assert_int_eq(uv_loop_close(&s.loop), 0);
        ck_assert_uint_eq(mem_live(), s.live);
        close(s.peer);
}
END_TEST

START_TEST(what_is_owed_to_who_is_gone_is_told_to_be_so_once)
{
        struct stage s;

        stage_init(&s);
        s.room_n = 10;
        s.room_k = 1000;
        client_owe(s.client);
        client_finish(s.client);
        stage_turn(&s);
        close(s.peer);
        stage_turns(&s);
        ck_assert_uint_eq(s.ends, 1);
        ck_assert_uint_lt(s.rooms, 5);
        ck_assert_int_eq(uv_loop_close(&s.loop), 0);
        ck_assert_uint_eq(mem_live(), s.live);
}
END_TEST

/* --- what one turn takes --------------------------------------------------------------------------------------------
 */

START_TEST(one_turn_reads_one_piece_however_much_there_is)
{
        struct stage s;
        size_t said = 0;

        stage_init(&s);
        for (; said < 16ul * OUTPUT_MAX; said += OUTPUT_MAX)
                stage_say(&s, OUTPUT_MAX);
        for (unsigned i = 1; s.shown_n < said; ++i) {
                stage_turn(&s);
                ck_assert_uint_le(s.shown_n, i * 32768ul);
                ck_assert_uint_le(i, TURNS);
        }
        stage_deinit(&s);
}
END_TEST

START_TEST(what_was_left_is_shown_once_in_each_turn)
{
        struct stage s;

        stage_init(&s);
        s.takes_n = 10;
        stage_say(&s, 100);
        for (unsigned i = 1; i <= 10; ++i) {
                stage_turn(&s);
                ck_assert_uint_eq(s.shows, i);
                ck_assert_uint_eq(s.shown_n, 10ul * i);
        }
        stage_deinit(&s);
}
END_TEST

UNIT_MAIN("client", with_output_max_bytes_waiting_it_reads_and_with_one_more_it_does_not,
          who_leaves_one_byte_more_unread_is_given_up_after_5_s, who_leaves_output_max_bytes_unread_may_stay,
          who_reads_in_time_has_all_of_it_again, what_is_owed_is_asked_for_once_in_a_turn_and_nothing_is_read_before,
          what_is_owed_comes_as_fast_as_the_peer_reads, who_does_not_read_what_it_is_owed_is_given_up_after_5_s,
          who_was_owed_something_and_leaves_output_max_unread_may_stay,
          what_is_owed_at_the_end_is_written_before_it_is_closed,
          who_does_not_read_what_it_is_owed_at_the_end_has_5_s_for_all,
          what_is_owed_to_who_is_gone_is_told_to_be_so_once, one_turn_reads_one_piece_however_much_there_is,
          what_was_left_is_shown_once_in_each_turn)
