/*
 * Results as people read them: aligned lines and tables. Each cell is rendered to its escaped text first; its width is
 * the number of code points.
 */
#include "redlockd/ctl/show.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SHOW_COLUMNS_MAX 32

/* Code points that steer a terminal, or the order in which it shows the rest. */
static bool show_steers(unsigned code)
{
        return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x200e || code == 0x200f ||
               (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

/* The first code point of valid UTF-8, which is what jansson gives. */
static unsigned show_decode(const char *text, size_t n, size_t *ret_len)
{
        unsigned char lead = *text;
        size_t len = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
        unsigned code = len == 1 ? lead : lead & (0x7fu >> len);
        size_t i;

        for (i = 1; i < len && i < n; ++i)
                code = code << 6 | (text[i] & 0x3f);
        *ret_len = i;
        return code;
}

static void show_text(FILE *out, const char *text, size_t n)
{
        unsigned code;
        size_t len;

        for (; n > 0; text += len, n -= len) {
                code = show_decode(text, n, &len);
                if (show_steers(code))
                        fprintf(out, "\\u%04x", code);
                else
                        fwrite(text, 1, len, out);
        }
}

void show_plain(FILE *out, const char *text)
{
        show_text(out, text, strlen(text));
}

bool show_colour(void)
{
        const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");

        return isatty(STDOUT_FILENO) && !(no_color && *no_color) && term && strcmp(term, "dumb") != 0;
}

void show_duration(json_int_t ms, char ret_text[SHOW_DURATION_MAX])
{
        json_int_t s = ms / 1000;

        if (ms < 1000)
                snprintf(ret_text, SHOW_DURATION_MAX, "%lldms", (long long)ms);
        else if (s < 60)
                snprintf(ret_text, SHOW_DURATION_MAX, "%lld.%llds", (long long)s, (long long)(ms % 1000 / 100));
        else if (s < 3600)
                snprintf(ret_text, SHOW_DURATION_MAX, "%lldm%02llds", (long long)(s / 60), (long long)(s % 60));
        else if (s < 86400)
                snprintf(ret_text, SHOW_DURATION_MAX, "%lldh%02lldm", (long long)(s / 3600),
                         (long long)(s % 3600 / 60));
        else
                snprintf(ret_text, SHOW_DURATION_MAX, "%lldd%02lldh", (long long)(s / 86400),
                         (long long)(s % 86400 / 3600));
}

static bool show_is(const char *name, const char *const *names)
{
        for (; *names; ++names)
                if (strcmp(name, *names) == 0)
                        return true;
        return false;
}

/* A number whose name says that it is a time. False: it is none. */
static bool show_time(FILE *out, const char *name, const json_t *value)
{
        static const char *const spans[] = { "uptime", "ttl", "validity", "heldFor", "waited", NULL };
        static const char *const moments[] = { "connected", "votesAt", NULL };
        char text[SHOW_DURATION_MAX];
        struct tm moment;
        time_t seconds;

        if (!json_is_integer(value))
                return false;
        if (show_is(name, spans)) {
                show_duration(json_integer_value(value), text);
        } else if (show_is(name, moments)) {
                seconds = (time_t)(json_integer_value(value) / 1000);
                strftime(text, sizeof(text), "%F %T", localtime_r(&seconds, &moment));
        } else {
                return false;
        }
        fputs(text, out);
        return true;
}

/* Escape sequences around a cell; "": none. */
static const char *show_cell_colour(const char *name, const json_t *value)
{
        const char *text = json_string_value(value);

        if (strcmp(name, "quorumOk") == 0)
                return json_is_true(value) ? "\033[32m" : "\033[31m";
        if (strcmp(name, "draining") == 0)
                return json_is_true(value) ? "\033[33m" : "";
        if (strcmp(name, "state") != 0 || !text)
                return "";
        if (strcmp(text, "up") == 0)
                return "\033[32m";
        return strcmp(text, "down") == 0 || strcmp(text, "unfit") == 0 ? "\033[31m" : "\033[33m";
}

static void show_dump(FILE *out, const json_t *value)
{
        char *json = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);

        if (json)
                show_text(out, json, strlen(json));
        free(json);
}

/* To be freed by the caller; NULL without memory. */
static char *show_cell(const char *name, const json_t *value)
{
        char *cell = NULL;
        size_t size;
        FILE *out = open_memstream(&cell, &size);

        if (!out)
                return NULL;
        if (!value || json_is_null(value) || (json_is_string(value) && json_string_length(value) == 0))
                fputc('-', out);
        else if (show_time(out, name, value))
                ;
        else if (json_is_string(value))
                show_text(out, json_string_value(value), json_string_length(value));
        else
                show_dump(out, value);
        if (fclose(out) != 0) {
                free(cell);
                return NULL;
        }
        return cell;
}

static int show_width(const char *text)
{
        int n = 0;

        for (; *text; ++text)
                n += (*text & 0xc0) != 0x80;
        return n;
}

static void show_padded(const char *text, int width)
{
        printf("%s%*s", text, width - show_width(text), "");
}

/* The cell of a value, padded to a width (0: not). */
static void show_value(const char *name, const json_t *value, int width)
{
        char *cell = show_cell(name, value);
        const char *text = cell ? cell : "?", *colour = show_colour() ? show_cell_colour(name, value) : "";

        printf("%s%s%s", colour, text, *colour ? "\033[0m" : "");
        if (width > show_width(text))
                printf("%*s", width - show_width(text), "");
        free(cell);
}

/* Prints the value lines, or only measures: the width of the widest name. */
static int show_lines(json_t *object, const char *prefix, int width, bool print)
{
        json_t *value;
        const char *name;
        char full[160];
        int widest = 0, w;

        json_object_foreach(object, name, value)
        {
                snprintf(full, sizeof(full), "%s%s", prefix, name);
                if (json_is_object(value) && *prefix == 0) {
                        strncat(full, ".", sizeof(full) - strlen(full) - 1);
                        w = show_lines(value, full, width, print);
                } else {
                        w = show_width(full);
                        if (print) {
                                show_padded(full, width);
                                fputs("  ", stdout);
                                show_value(name, value, 0);
                                fputc('\n', stdout);
                        }
                }
                widest = w > widest ? w : widest;
        }
        return widest;
}

void show_values(json_t *object)
{
        show_lines(object, "", show_lines(object, "", 0, false), true);
}

struct show_table {
        const char *columns[SHOW_COLUMNS_MAX];
        int widths[SHOW_COLUMNS_MAX];
        size_t n;
};

static void show_add_column(struct show_table *t, const char *name)
{
        size_t i;

        for (i = 0; i < t->n; ++i)
                if (strcmp(t->columns[i], name) == 0)
                        return;
        if (t->n == SHOW_COLUMNS_MAX)
                return;
        t->columns[t->n] = name;
        t->widths[t->n++] = show_width(name);
}

static void show_measure(struct show_table *t, const json_t *row)
{
        char *cell;
        size_t i;
        int w;

        for (i = 0; i < t->n; ++i) {
                cell = show_cell(t->columns[i], json_object_get(row, t->columns[i]));
                w = cell ? show_width(cell) : 0;
                t->widths[i] = w > t->widths[i] ? w : t->widths[i];
                free(cell);
        }
}

static void show_row(const struct show_table *t, const json_t *row)
{
        size_t i;

        for (i = 0; i < t->n; ++i)
                show_value(t->columns[i], json_object_get(row, t->columns[i]), i + 1 < t->n ? t->widths[i] + 2 : 0);
        fputc('\n', stdout);
}

static void show_legend(const struct show_table *t)
{
        bool colour = show_colour();
        size_t i;

        fputs(colour ? "\033[1m" : "", stdout);
        for (i = 0; i + 1 < t->n; ++i)
                show_padded(t->columns[i], t->widths[i] + 2);
        printf("%s%s\n", t->n > 0 ? t->columns[t->n - 1] : "", colour ? "\033[0m" : "");
}

/* The named columns that some row has, all of them where there is no row; then whatever else rows have. */
static void show_find_columns(struct show_table *t, const json_t *array, const char *const *columns)
{
        const char *name;
        json_t *row, *value;
        size_t i;

        for (; *columns; ++columns) {
                if (json_array_size(array) == 0)
                        show_add_column(t, *columns);
                json_array_foreach(array, i, row) if (json_object_get(row, *columns)) show_add_column(t, *columns);
        }
        json_array_foreach(array, i, row) json_object_foreach(row, name, value) show_add_column(t, name);
}

void show_table(const json_t *array, const char *const *columns, bool legend)
{
        struct show_table t = { .n = 0 };
        json_t *row;
        size_t i;

        show_find_columns(&t, array, columns);
        if (!legend)
                memset(t.widths, 0, sizeof(t.widths));
        json_array_foreach(array, i, row) show_measure(&t, row);
        if (legend)
                show_legend(&t);
        json_array_foreach(array, i, row) show_row(&t, row);
}

/* jansson escapes all that steers a terminal but DEL, which stands in strings only. */
static int show_ascii_cb(const char *bytes, size_t n, void *userdata)
{
        FILE *out = userdata;
        size_t i;

        for (i = 0; i < n; ++i) {
                if (bytes[i] == 0x7f)
                        fputs("\\u007f", out);
                else
                        fputc(bytes[i], out);
        }
        return 0;
}

void show_json_ascii(FILE *out, const json_t *value)
{
        json_dump_callback(value, show_ascii_cb, out, JSON_COMPACT | JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
        fputc('\n', out);
}

void show_json(const json_t *value)
{
        if (isatty(STDOUT_FILENO)) {
                show_json_ascii(stdout, value);
                return;
        }
        json_dumpf(value, stdout, JSON_COMPACT | JSON_ENCODE_ANY);
        fputc('\n', stdout);
}

/* ", held by process 17 (name)", where the holder is on this host. */
static void show_holder(const json_t *holder)
{
        const char *name = json_string_value(json_object_get(holder, "name"));

        if (!json_is_object(holder))
                return;
        fprintf(stderr, ", held by process %lld", (long long)json_integer_value(json_object_get(holder, "pid")));
        if (!name || !*name)
                return;
        fputs(" (", stderr);
        show_plain(stderr, name);
        fputc(')', stderr);
}

void show_error(const json_t *error)
{
        const char *message = json_string_value(json_object_get(error, "message"));
        const char *name = json_string_value(json_object_get(json_object_get(error, "data"), "name"));

        fputs("redlockctl: ", stderr);
        if (message)
                show_text(stderr, message, strlen(message));
        if (name) {
                fputs(" (", stderr);
                show_text(stderr, name, strlen(name));
                fputc(')', stderr);
        }
        show_holder(json_object_get(json_object_get(error, "data"), "holder"));
        fputc('\n', stderr);
}
