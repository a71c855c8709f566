/*
 * The daemon is asked once a second, over one connection as long as that lives; what it said is painted, and painted
 * anew when the screen changes its size. -b paints once, for logs, without a screen.
 */
#include "redlockd/ctl/top.h"

#include "redlockd/ctl/clock.h"
#include "redlockd/ctl/connection.h"
#include "redlockd/ctl/show.h"

#include <curses.h>
#include <errno.h>
#include <getopt.h>
#include <locale.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TOP_EVERY_MS      1000
#define TOP_BATCH_ROWS    1000
#define TOP_BATCH_COLUMNS 200

struct top {
        const struct ctl *ctl;
        struct connection connection;
        bool connected;
        struct top_sample now, before;
        char error[200]; /* why there is no sample; "": there is one */
};

/* Returns 0 or negative errno; *ret_result is a member of the answer, or all of it where that is NULL. */
static int top_call(struct top *t, const char *method, const char *member, json_t **ret_result)
{
        json_t *message, *result;
        int r;

        r = connection_call(&t->connection, method, NULL, CONNECTION_ANSWER_MS, &message);
        if (r < 0)
                return r;
        result = json_object_get(message, "result");
        *ret_result = json_incref(member ? json_object_get(result, member) : result);
        json_decref(message);
        return *ret_result ? 0 : -EBADMSG;
}

static int top_ask(struct top *t, struct top_sample *ret_sample)
{
        int r = 0;

        if (!t->connected)
                r = connection_open(&t->connection, t->ctl->socket);
        if (r < 0)
                return r;
        t->connected = true;
        r = top_call(t, "status", NULL, &ret_sample->status);
        ret_sample->at_ns = clock_now_ns();
        if (r == 0)
                r = top_call(t, "nodes", "nodes", &ret_sample->nodes);
        if (r == 0)
                r = top_call(t, "sessions", "sessions", &ret_sample->sessions);
        if (r == 0)
                r = top_call(t, "locks", "locks", &ret_sample->locks);
        if (r == 0)
                r = top_call(t, "waiters", "waiters", &ret_sample->waiters);
        if (r < 0) {
                connection_close(&t->connection);
                t->connected = false;
        }
        return r;
}

/* Takes a new sample in the place of the last; where there is none, `error` says why. */
static void top_sample(struct top *t)
{
        struct top_sample sample = { 0 };
        int r;

        r = top_ask(t, &sample);
        *t->error = 0;
        if (r < 0) {
                top_sample_deinit(&sample);
                snprintf(t->error, sizeof(t->error), "%.100s: %s", t->ctl->socket, connection_strerror(r));
                return;
        }
        top_sample_deinit(&t->before);
        t->before = t->now;
        t->now = sample;
}

static void top_deinit(struct top *t)
{
        top_sample_deinit(&t->now);
        top_sample_deinit(&t->before);
        if (t->connected)
                connection_close(&t->connection);
}

static unsigned top_make_page(const struct top *t, unsigned rows, unsigned columns, struct top_line **ret_lines)
{
        const struct top_sample *before = t->before.status ? &t->before : &t->now;

        *ret_lines = calloc(rows + 1, sizeof(**ret_lines));
        if (!*ret_lines)
                abort();
        return t->now.status ? top_page(&t->now, before, rows, columns, *ret_lines) : 0;
}

static attr_t top_attributes(enum top_look look, bool colours)
{
        static const attr_t plain[] = {
                [TOP_TITLE] = A_REVERSE, [TOP_GOOD] = A_BOLD, [TOP_WARNING] = A_BOLD, [TOP_BAD] = A_BOLD | A_REVERSE
        };

        if (look == TOP_PLAIN || look == TOP_TITLE || !colours)
                return look == TOP_PLAIN ? A_NORMAL : plain[look];
        return A_BOLD | COLOR_PAIR(look);
}

static void top_paint(const struct top *t, bool colours)
{
        unsigned rows = (unsigned)LINES, columns = (unsigned)COLS, n, i;
        struct top_line *lines;

        n = top_make_page(t, rows, columns, &lines);
        erase();
        for (i = 0; i < n; ++i) {
                attrset((int)top_attributes(lines[i].look, colours));
                if (lines[i].look == TOP_TITLE)
                        mvhline((int)i, 0, ' ' | top_attributes(TOP_TITLE, colours), COLS);
                mvaddstr((int)i, 0, lines[i].text);
        }
        if (*t->error) {
                attrset((int)top_attributes(TOP_BAD, colours));
                mvprintw(0, 0, "%.*s", (int)columns, t->error);
                clrtoeol();
        }
        attrset(A_NORMAL);
        refresh();
        free(lines);
}

static bool top_begin(void)
{
        const char *no_color = getenv("NO_COLOR");
        bool colours;

        setlocale(LC_ALL, "");
        initscr();
        cbreak();
        noecho();
        keypad(stdscr, TRUE);
        curs_set(0);
        colours = !(no_color && *no_color) && has_colors() && start_color() == OK;
        if (colours) {
                use_default_colors();
                init_pair(TOP_GOOD, COLOR_GREEN, -1);
                init_pair(TOP_WARNING, COLOR_YELLOW, -1);
                init_pair(TOP_BAD, COLOR_RED, -1);
        }
        return colours;
}

static void top_live(struct top *t)
{
        bool colours = top_begin();
        uint64_t next_ns = 0, now_ns;
        int key = 0;

        while (key != 'q' && key != 'Q') {
                now_ns = clock_now_ns();
                if (now_ns >= next_ns) {
                        top_sample(t);
                        next_ns = now_ns + TOP_EVERY_MS * NS_PER_MS;
                }
                top_paint(t, colours);
                now_ns = clock_now_ns();
                timeout(next_ns > now_ns ? (int)((next_ns - now_ns) / NS_PER_MS) + 1 : 0);
                key = getch(); /* KEY_RESIZE is one: LINES and COLS are new then */
        }
        endwin();
}

static int top_batch(struct top *t)
{
        struct top_line *lines;
        unsigned n, i;

        top_sample(t);
        if (*t->error == 0) {
                poll(NULL, 0, TOP_EVERY_MS); /* a rate takes two looks */
                top_sample(t);
        }
        if (*t->error) {
                fprintf(stderr, "redlockctl: %s\n", t->error);
                return 1;
        }
        n = top_make_page(t, TOP_BATCH_ROWS, TOP_BATCH_COLUMNS, &lines);
        for (i = 0; i < n; ++i) {
                size_t len = strlen(lines[i].text);

                while (len > 0 && lines[i].text[len - 1] == ' ')
                        --len;
                printf("%.*s\n", (int)len, lines[i].text);
        }
        free(lines);
        return 0;
}

int top_main(const struct ctl *ctl, int argc, char **argv)
{
        static const struct option options[] = { { "batch", no_argument, NULL, 'b' },
                                                 { "help", no_argument, NULL, 'h' },
                                                 { NULL, 0, NULL, 0 } };
        static struct top t;
        bool batch = false;
        int option, code = 0;

        optind = 0; /* main() has read options before */
        while ((option = getopt_long(argc, argv, "bh", options, NULL)) >= 0) {
                if (option == 'h')
                        command_help(argv[0]);
                if (option != 'b')
                        return option == 'h' ? 0 : command_usage(argv[0]);
                batch = true;
        }
        if (argc != optind)
                return command_usage(argv[0]);
        if (!batch && !(isatty(STDIN_FILENO) && isatty(STDOUT_FILENO))) {
                fputs("redlockctl: top needs a terminal; -b prints a page without one\n", stderr);
                return 1;
        }
        t.ctl = ctl;
        if (batch)
                code = top_batch(&t);
        else
                top_live(&t);
        top_deinit(&t);
        return code;
}
