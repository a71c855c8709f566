/*
 * One page: three lines of the broker as a whole, then the tables NODES, KEYS, WAITERS and HOLDERS, each cut to its
 * share of the rows. Every table gets its title and a row before any gets more, and the rest goes round, row by row;
 * where rows are too few for that, the last tables are left out. What a table cannot show its title counts.
 */
#include "redlockd/ctl/clock.h"
#include "redlockd/ctl/show.h"
#include "redlockd/ctl/top.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOP_CELLS_MAX  8
#define TOP_TABLES_N   4
#define TOP_HEAD_LINES 3
#define TOP_CELL_MAX   40 /* code points */

struct top_cells {
        enum top_look look;
        char *text[TOP_CELLS_MAX]; /* owned */
        json_int_t first, second;  /* what it is ordered by, the greatest first */
};

struct top_table {
        const char *title;
        const char *const *columns;
        struct top_cells *rows; /* owned */
        size_t rows_n;
        unsigned shown; /* rows that it may show */
};

static const char *const top_columns_nodes[] = { "name", "state", "rtt", "errors", "reason", NULL };
static const char *const top_columns_keys[] = { "key", "waiters", "held", "valid", "pid", "name", NULL };
static const char *const top_columns_waiters[] = { "key", "waited", "place", "pid", "name", NULL };
static const char *const top_columns_holders[] = { "pid", "name", "locks", "waiting", "session", NULL };

void top_sample_deinit(struct top_sample *s)
{
        json_decref(s->status);
        json_decref(s->nodes);
        json_decref(s->sessions);
        json_decref(s->locks);
        json_decref(s->waiters);
        *s = (struct top_sample){ 0 };
}

static json_int_t top_number(const json_t *object, const char *name)
{
        return json_integer_value(json_object_get(object, name));
}

static const char *top_text(const json_t *object, const char *name)
{
        const char *text = json_string_value(json_object_get(object, name));

        return text ? text : "";
}

/* --- text of a certain width; a code point is taken for one column --- */

static unsigned top_width(const char *text)
{
        unsigned n = 0;

        for (; *text; ++text)
                n += (*text & 0xc0) != 0x80;
        return n;
}

/* Ends it after so many code points. */
static void top_cut(char *text, unsigned columns)
{
        for (; *text; ++text)
                if ((*text & 0xc0) != 0x80 && columns-- == 0)
                        break;
        *text = '\0';
}

static void top_append(char *line, const char *text, unsigned width)
{
        size_t n = strlen(line);
        unsigned own = top_width(text);

        snprintf(line + n, TOP_LINE_MAX - n, "%s%*s", text, width > own ? (int)(width - own) : 0, "");
}

/* A copy of what is fit for a terminal, cut. */
static char *top_cell(const char *text)
{
        char *cell = NULL;
        size_t size;
        FILE *out = open_memstream(&cell, &size);

        if (!out)
                return NULL;
        show_plain(out, *text ? text : "-");
        if (fclose(out) != 0) {
                free(cell);
                return NULL;
        }
        top_cut(cell, TOP_CELL_MAX);
        return cell;
}

static char *top_cell_number(json_int_t number)
{
        char text[24];

        snprintf(text, sizeof(text), "%lld", (long long)number);
        return top_cell(text);
}

static char *top_cell_span(const json_t *ms)
{
        char text[SHOW_DURATION_MAX] = "";

        if (json_is_integer(ms))
                show_duration(json_integer_value(ms), text);
        return top_cell(text);
}

/* --- the tables --- */

static struct top_cells *top_add(struct top_table *t)
{
        return &t->rows[t->rows_n++];
}

static struct top_table top_table(const char *title, const char *const *columns, size_t rows_max)
{
        struct top_table t = { .title = title, .columns = columns };

        t.rows = calloc(rows_max + 1, sizeof(*t.rows));
        if (!t.rows)
                abort();
        return t;
}

static void top_table_deinit(struct top_table *t)
{
        size_t i, k;

        for (i = 0; i < t->rows_n; ++i)
                for (k = 0; k < TOP_CELLS_MAX; ++k)
                        free(t->rows[i].text[k]);
        free(t->rows);
}

static int top_compare(const void *a, const void *b)
{
        const struct top_cells *x = a, *y = b;

        if (x->first != y->first)
                return x->first < y->first ? 1 : -1;
        return x->second == y->second ? 0 : x->second < y->second ? 1 : -1;
}

static const char *top_session_name(const struct top_sample *s, const json_t *of)
{
        const json_t *session;
        size_t i;

        json_array_foreach(s->sessions, i, session)
        {
                if (top_number(session, "session") == top_number(of, "session"))
                        return top_text(session, "name");
        }
        return "";
}

static struct top_table top_nodes(const struct top_sample *s)
{
        struct top_table t = top_table("NODES", top_columns_nodes, json_array_size(s->nodes));
        struct top_cells *row;
        const json_t *node;
        const char *state;
        size_t i;

        json_array_foreach(s->nodes, i, node)
        {
                row = top_add(&t);
                state = top_text(node, "state");
                row->look = strcmp(state, "up") == 0 ? TOP_PLAIN : strcmp(state, "down") == 0 ? TOP_BAD : TOP_WARNING;
                row->text[0] = top_cell(top_text(node, "name"));
                row->text[1] = top_cell(state);
                row->text[2] = top_cell_span(json_object_get(node, "rtt"));
                row->text[3] = top_cell_number(top_number(node, "errors"));
                row->text[4] = top_cell(top_text(node, "reason"));
        }
        return t;
}

/* The busiest first: whom most wait for, then what is held longest. */
static struct top_table top_keys(const struct top_sample *s)
{
        struct top_table t = top_table("KEYS", top_columns_keys, json_array_size(s->locks));
        struct top_cells *row;
        const json_t *lock;
        size_t i;

        json_array_foreach(s->locks, i, lock)
        {
                row = top_add(&t);
                row->first = top_number(lock, "waiters");
                row->second = top_number(lock, "heldFor");
                row->text[0] = top_cell(top_text(lock, "key"));
                row->text[1] = top_cell_number(row->first);
                row->text[2] = top_cell_span(json_object_get(lock, "heldFor"));
                row->text[3] = top_cell_span(json_object_get(lock, "validity"));
                row->text[4] = top_cell_number(top_number(lock, "pid"));
                row->text[5] = top_cell(top_session_name(s, lock));
        }
        qsort(t.rows, t.rows_n, sizeof(*t.rows), top_compare);
        return t;
}

/* Who waits longest first. */
static struct top_table top_waiters(const struct top_sample *s)
{
        struct top_table t = top_table("WAITERS", top_columns_waiters, json_array_size(s->waiters));
        struct top_cells *row;
        const json_t *waiter;
        size_t i;

        json_array_foreach(s->waiters, i, waiter)
        {
                row = top_add(&t);
                row->first = top_number(waiter, "waited");
                row->text[0] = top_cell(top_text(waiter, "key"));
                row->text[1] = top_cell_span(json_object_get(waiter, "waited"));
                row->text[2] = top_cell_number(top_number(waiter, "position"));
                row->text[3] = top_cell_number(top_number(waiter, "pid"));
                row->text[4] = top_cell(top_session_name(s, waiter));
        }
        qsort(t.rows, t.rows_n, sizeof(*t.rows), top_compare);
        return t;
}

static struct top_table top_holders(const struct top_sample *s)
{
        struct top_table t = top_table("HOLDERS", top_columns_holders, json_array_size(s->sessions));
        struct top_cells *row;
        const json_t *session;
        size_t i;

        json_array_foreach(s->sessions, i, session)
        {
                if (top_number(session, "locks") == 0)
                        continue;
                row = top_add(&t);
                row->first = top_number(session, "locks");
                row->second = -top_number(session, "session");
                row->text[0] = top_cell_number(top_number(session, "pid"));
                row->text[1] = top_cell(top_text(session, "name"));
                row->text[2] = top_cell_number(row->first);
                row->text[3] = top_cell_number(top_number(session, "waiting"));
                row->text[4] = top_cell_number(top_number(session, "session"));
        }
        qsort(t.rows, t.rows_n, sizeof(*t.rows), top_compare);
        return t;
}

/* --- the page --- */

/* Shares out the rows below the head. A table that has none shows its title alone. Returns how many tables there are.
 */
static unsigned top_share(struct top_table *tables, unsigned rows)
{
        unsigned used = 0, i, cost;
        bool more = true;

        for (i = 0; i < TOP_TABLES_N; ++i) {
                cost = 1 + (tables[i].rows_n > 0);
                if (used + cost > rows)
                        break;
                used += cost;
                tables[i].shown = cost - 1;
        }
        while (more) {
                more = false;
                for (cost = 0; cost < i; ++cost) {
                        if (used == rows || tables[cost].shown == tables[cost].rows_n)
                                continue;
                        ++tables[cost].shown;
                        ++used;
                        more = true;
                }
        }
        return i;
}

static unsigned top_put_table(const struct top_table *t, unsigned columns, struct top_line *lines)
{
        unsigned widths[TOP_CELLS_MAX] = { 0 }, i, k, n = 0, width;
        char title[48];

        for (k = 0; t->columns[k]; ++k) {
                widths[k] = top_width(t->columns[k]);
                for (i = 0; i < t->shown; ++i) {
                        width = t->rows[i].text[k] ? top_width(t->rows[i].text[k]) : 0;
                        widths[k] = width > widths[k] ? width : widths[k];
                }
        }
        if (t->shown < t->rows_n)
                snprintf(title, sizeof(title), "%s %u of %zu", t->title, t->shown, t->rows_n);
        else
                snprintf(title, sizeof(title), "%s %zu", t->title, t->rows_n);
        lines[n] = (struct top_line){ .look = TOP_TITLE };
        /* The title stands in the place of the first column's name, which says itself what it is. */
        widths[0] = widths[0] > top_width(title) ? widths[0] : top_width(title);
        top_append(lines[n].text, title, widths[0] + 2);
        for (k = 1; t->columns[k]; ++k)
                top_append(lines[n].text, t->columns[k], widths[k] + 2);
        ++n;
        for (i = 0; i < t->shown; ++i, ++n) {
                lines[n] = (struct top_line){ .look = t->rows[i].look };
                for (k = 0; t->columns[k]; ++k)
                        top_append(lines[n].text, t->rows[i].text[k] ? t->rows[i].text[k] : "?", widths[k] + 2);
        }
        for (i = 0; i < n; ++i)
                top_cut(lines[i].text, columns);
        return n;
}

static double top_rate(const struct top_sample *now, const struct top_sample *before, const char *name)
{
        const json_t *counters = json_object_get(now->status, "counters");
        const json_t *earlier = json_object_get(before->status, "counters");
        double seconds = (double)(now->at_ns - before->at_ns) / 1e9;

        return seconds > 0 ? (double)(top_number(counters, name) - top_number(earlier, name)) / seconds : 0;
}

static void top_put_head(const struct top_sample *now, const struct top_sample *before, unsigned columns,
                         struct top_line *lines)
{
        bool quorum = json_is_true(json_object_get(now->status, "quorumOk"));
        bool draining = json_is_true(json_object_get(now->status, "draining"));
        char uptime[SHOW_DURATION_MAX];
        unsigned i;

        show_duration(top_number(now->status, "uptime"), uptime);
        memset(lines, 0, TOP_HEAD_LINES * sizeof(*lines));
        lines[0].look = !quorum ? TOP_BAD : draining ? TOP_WARNING : TOP_GOOD;
        snprintf(lines[0].text, TOP_LINE_MAX, "redlockd %.40s  %s  %lld of %lld nodes up, quorum %lld%s%s  up %s",
                 top_text(now->status, "version"), quorum ? "ok" : "NO QUORUM",
                 (long long)top_number(now->status, "nodesUp"), (long long)top_number(now->status, "nodes"),
                 (long long)top_number(now->status, "quorum"),
                 strcmp(top_text(now->status, "scope"), "host") == 0 ? "  this host only" : "",
                 draining ? "  DRAINING" : "", uptime);
        snprintf(lines[1].text, TOP_LINE_MAX, "locks %lld  waiters %lld  sessions %lld",
                 (long long)top_number(now->status, "locks"), (long long)top_number(now->status, "waiters"),
                 (long long)top_number(now->status, "sessions"));
        snprintf(lines[2].text, TOP_LINE_MAX,
                 "per second: granted %.1f  freed %.1f  locked %.1f  no quorum %.1f  expired %.1f  lost %.1f  requests "
                 "%.1f",
                 top_rate(now, before, "granted"), top_rate(now, before, "freed"), top_rate(now, before, "locked"),
                 top_rate(now, before, "noQuorum"), top_rate(now, before, "expired"), top_rate(now, before, "lost"),
                 top_rate(now, before, "requests"));
        for (i = 0; i < TOP_HEAD_LINES; ++i)
                top_cut(lines[i].text, columns);
}

unsigned top_page(const struct top_sample *now, const struct top_sample *before, unsigned rows, unsigned columns,
                  struct top_line *ret_lines)
{
        struct top_table tables[TOP_TABLES_N] = { top_nodes(now), top_keys(now), top_waiters(now), top_holders(now) };
        struct top_line head[TOP_HEAD_LINES];
        unsigned n = 0, tables_n, i;

        top_put_head(now, before, columns, head);
        for (; n < TOP_HEAD_LINES && n < rows; ++n)
                ret_lines[n] = head[n];
        tables_n = top_share(tables, rows - n);
        for (i = 0; i < tables_n; ++i)
                n += top_put_table(&tables[i], columns, ret_lines + n);
        for (i = 0; i < TOP_TABLES_N; ++i)
                top_table_deinit(&tables[i]);
        return n;
}
