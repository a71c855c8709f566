/*
 * Comments and places of a configuration file.
 *
 * A comment is blanked byte for byte, so an offset means the same in the text as written and in what is parsed; lines
 * and columns are counted in the text as written. The walk relies on the JSON being valid: jansson has seen it before.
 */
#include "redlockd/wire/config_text.h"

#include "redlockd/base/mem.h"
#include "redlockd/wire/codec.h"

#include <errno.h>

/* Offset behind the string that begins at `at`; a string that does not end is left to the parser. */
static size_t skip_string(const char *json, size_t len, size_t at)
{
        for (++at; at < len && json[at] != '"'; ++at)
                if (json[at] == '\\')
                        ++at;
        return at < len ? at + 1 : len;
}

static bool starts_with(struct text text, size_t at, const char *word)
{
        size_t n = strlen(word);

        return text.len - at >= n && memcmp(text.data + at, word, n) == 0;
}

/* Offset behind the comment that begins at `at`; 0: it has no end. */
static size_t skip_comment(struct text written, size_t at)
{
        const char *from = written.data + at, *end;

        if (starts_with(written, at, "/*")) {
                end = memmem(from + 2, written.len - at - 2, "*/", 2);
                return end ? (size_t)(end - written.data) + 2 : 0;
        }
        end = memchr(from, '\n', written.len - at);
        return end ? (size_t)(end - written.data) : written.len;
}

static bool is_comment(struct text written, size_t at)
{
        return written.data[at] == '#' || starts_with(written, at, "//") || starts_with(written, at, "/*");
}

int config_text_init(struct config_text *ret_text, struct text written, size_t *ret_at)
{
        char *json = mem_zalloc(written.len + 1);
        size_t at = 0, end;

        if (!json)
                return -ENOMEM;
        if (written.len > 0)
                memcpy(json, written.data, written.len);
        while (at < written.len) {
                if (json[at] == '"') {
                        at = skip_string(json, written.len, at);
                        continue;
                }
                if (!is_comment(written, at)) {
                        ++at;
                        continue;
                }
                end = skip_comment(written, at);
                if (end == 0) {
                        mem_free(json);
                        *ret_at = at;
                        return -EINVAL;
                }
                memset(json + at, ' ', end - at);
                at = end;
        }
        *ret_text = (struct config_text){ .written = written, .json = json };
        return 0;
}

void config_text_deinit(struct config_text *t)
{
        t->json = mem_free(t->json);
}

struct config_place config_text_place(struct config_text *t, size_t at)
{
        /* Most places are asked for in their order, and the text may be long. */
        if (at < t->place_at || t->place_line == 0) {
                t->place_at = 0;
                t->place_line = t->place_column = 1;
        }
        for (; t->place_at < at && t->place_at < t->written.len; ++t->place_at) {
                unsigned char byte = (unsigned char)t->written.data[t->place_at];

                if (byte == '\n') {
                        ++t->place_line;
                        t->place_column = 1;
                } else if ((byte & 0xc0) != 0x80) {
                        ++t->place_column;
                }
        }
        return (struct config_place){ t->place_line, t->place_column };
}

static bool is_blank(char c)
{
        return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static const char *skip_blanks(const char *p)
{
        while (is_blank(*p))
                ++p;
        return p;
}

/* The end of the value that begins at `p`. Containers are counted, not recursed into: they may be deep. */
static const char *skip_value(const char *p)
{
        unsigned depth = 0;

        do {
                if (*p == '"') {
                        p += skip_string(p, SIZE_MAX, 0);
                        continue;
                }
                if (*p == '{' || *p == '[')
                        ++depth;
                else if (*p == '}' || *p == ']')
                        --depth;
                ++p;
        } while (depth > 0 || (*p && !is_blank(*p) && !strchr(",:]}", *p)));
        return p;
}

/* A name as it is meant, fit to be shown. */
static int name_decode(struct text quoted, char *ret_name)
{
        json_error_t unused;
        json_t *value;
        size_t i, n;
        int r;

        r = codec_read(quoted, JSON_DECODE_ANY, &value, &unused);
        if (r < 0)
                return r;
        n = json_string_length(value) < CONFIG_NAME_MAX ? json_string_length(value) : CONFIG_NAME_MAX;
        memcpy(ret_name, json_string_value(value), n);
        ret_name[n] = '\0';
        json_decref(value);
        for (i = 0; i < n; ++i)
                if ((unsigned char)ret_name[i] < ' ' || ret_name[i] == 0x7f)
                        ret_name[i] = '?';
        codec_repair(ret_name, n);
        return 0;
}

void config_cursor_init(struct config_cursor *c, const struct config_text *t, struct text container)
{
        *c = (struct config_cursor){
                .start = t->json,
                .next = container.data + 1,
                .object = container.data[0] == '{',
        };
}

int config_cursor_next(struct config_cursor *c, struct config_member *ret_member)
{
        struct config_member member = { .index = c->index };
        const char *p = skip_blanks(c->next), *end;
        int r;

        if (*p == ',')
                p = skip_blanks(p + 1);
        if (*p == '}' || *p == ']')
                return 0;
        member.at = (size_t)(p - c->start);
        if (c->object) {
                end = skip_value(p);
                r = name_decode((struct text){ p, (size_t)(end - p) }, member.name);
                if (r < 0)
                        return r;
                p = skip_blanks(skip_blanks(end) + 1); /* over the colon */
        }
        end = skip_value(p);
        member.json = (struct text){ p, (size_t)(end - p) };
        c->next = end;
        ++c->index;
        *ret_member = member;
        return 1;
}
