/*
 * Framing by LF. A line that lies whole in the input is handed out from there; only what a read left unfinished is
 * copied, and never more than the longest line with its CR.
 *
 *      input   ...line LF line LF li|ne LF...
 *      held                       li -> line
 */
#include "redlockd/wire/line.h"

#include <errno.h>
#include <stdint.h>

void line_init(struct line_reader *l, size_t max)
{
        *l = (struct line_reader){
                .held = BUFFER_INIT(max < SIZE_MAX ? max + 1 : max),
                .max = max,
        };
}

void line_deinit(struct line_reader *l)
{
        buffer_deinit(&l->held);
}

bool line_unfinished(const struct line_reader *l)
{
        return l->skipping || (!l->lent && buffer_len(&l->held) > 0);
}

static void line_drop_held(struct line_reader *l)
{
        buffer_consume(&l->held, buffer_len(&l->held));
        l->lent = false;
}

static struct text line_held(const struct line_reader *l)
{
        return (struct text){ buffer_data(&l->held), buffer_len(&l->held) };
}

static void text_advance(struct text *text, size_t n)
{
        text->data += n;
        text->len -= n;
}

/* The bytes of a line without the CR that may stand before its LF. */
static struct text text_without_cr(struct text line)
{
        if (line.len > 0 && line.data[line.len - 1] == '\r')
                --line.len;
        return line;
}

/* Takes the input's part of a line up to its LF at `n`. Returns LINE_NONE for an empty line. */
static int line_end(struct line_reader *l, struct text *input, size_t n, struct text *ret_line)
{
        struct text line = { input->data, n };
        int r;

        if (buffer_len(&l->held) > 0) {
                r = buffer_append(&l->held, line.data, line.len);
                if (r == -ENOMEM)
                        return r;
                l->lent = true;
                text_advance(input, n + 1);
                if (r == -ENOBUFS)
                        return LINE_TOO_LARGE;
                line = line_held(l);
        } else {
                text_advance(input, n + 1);
        }
        line = text_without_cr(line);
        if (line.len > l->max)
                return LINE_TOO_LARGE;
        if (line.len == 0)
                return LINE_NONE;
        *ret_line = line;
        return LINE_COMPLETE;
}

/* Keeps the input's last part, which has no LF. One byte too many may be a CR: its LF or the next byte will tell. */
static int line_hold(struct line_reader *l, struct text *input)
{
        int r;

        r = buffer_append(&l->held, input->data, input->len);
        if (r == -ENOMEM)
                return r;
        text_advance(input, input->len);
        if (r == 0)
                return LINE_NONE;
        line_drop_held(l);
        l->skipping = true;
        return LINE_TOO_LARGE;
}

int line_next(struct line_reader *l, struct text *input, struct text *ret_line)
{
        const char *lf;
        int r;

        if (l->lent)
                line_drop_held(l);
        while (input->len > 0) {
                lf = memchr(input->data, '\n', input->len);
                if (!lf && l->skipping) {
                        text_advance(input, input->len);
                        break;
                }
                if (!lf)
                        return line_hold(l, input);
                if (l->skipping) {
                        text_advance(input, (size_t)(lf - input->data) + 1);
                        l->skipping = false;
                        continue;
                }
                r = line_end(l, input, (size_t)(lf - input->data), ret_line);
                if (r != LINE_NONE)
                        return r;
                line_drop_held(l);
        }
        return LINE_NONE;
}
