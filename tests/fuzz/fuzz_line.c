/*
 * Framing. The first byte is the longest line, the second says in which pieces the rest comes. The same lines come out
 * however they were cut, and they are those that a search for LF in the whole text finds; also where memory is refused
 * now and then and the call is repeated.
 */
#include "fuzz/fuzz.h"

#include "redlockd/base/buffer.h"
#include "redlockd/wire/line.h"

#include <errno.h>

/* What came out: lines with an LF, and a NUL for each report of one that was too large. (Lines hold no LF.) */
struct lines {
        char *bytes;
        size_t len;
};

static void lines_put(struct lines *l, const char *bytes, size_t n, char end)
{
        must(n == 0 || bytes);
        if (n > 0)
                memcpy(l->bytes + l->len, bytes, n);
        l->len += n;
        l->bytes[l->len++] = end;
}

/* By the rule, in one look. */
static void search(struct text text, size_t max, struct lines *ret_lines)
{
        const char *lf;
        size_t n;

        while ((lf = text.len > 0 ? memchr(text.data, '\n', text.len) : NULL)) {
                n = (size_t)(lf - text.data);
                if (n > 0 && text.data[n - 1] == '\r')
                        --n;
                if (n > max)
                        lines_put(ret_lines, NULL, 0, '\0');
                else if (n > 0)
                        lines_put(ret_lines, text.data, n, '\n');
                text.len -= (size_t)(lf - text.data) + 1;
                text.data = lf + 1;
        }
        if (text.len > max + 1) /* known before its LF comes */
                lines_put(ret_lines, NULL, 0, '\0');
}

static void feed(struct line_reader *l, struct text piece, uint64_t fail_at, struct lines *ret_lines)
{
        char *copy = fuzz_copy(piece);
        struct text input = { copy, piece.len }, line;
        int r;

        do {
                mem_fail_at(fail_at);
                r = line_next(l, &input, &line);
                mem_fail_at(0);
                must(r == LINE_NONE || r == LINE_COMPLETE || r == LINE_TOO_LARGE || (r == -ENOMEM && fail_at));
                if (r == LINE_COMPLETE)
                        lines_put(ret_lines, line.data, line.len, '\n');
                else if (r == LINE_TOO_LARGE)
                        lines_put(ret_lines, NULL, 0, '\0');
                else if (r == -ENOMEM)
                        fail_at = 0;
        } while (r != LINE_NONE);
        must(input.len == 0);
        free(copy);
}

static void check(struct text text, size_t max, size_t piece, uint64_t fail_at, const struct lines *expected)
{
        struct lines came = { .bytes = malloc(2 * text.len + 2) };
        struct line_reader l;
        size_t at, n;

        must(came.bytes);
        line_init(&l, max);
        for (at = 0; at < text.len; at += n) {
                n = piece < text.len - at ? piece : text.len - at;
                feed(&l, (struct text){ text.data + at, n }, fail_at, &came);
                must(buffer_len(&l.held) <= max + 1);
        }
        must(came.len == expected->len && memcmp(came.bytes, expected->bytes, came.len) == 0);
        must(line_unfinished(&l) == (text.len > 0 && text.data[text.len - 1] != '\n'));
        line_deinit(&l);
        must(mem_live() == 0);
        free(came.bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct text text = { (const char *)data, size };
        size_t max = fuzz_byte(&text), piece = fuzz_byte(&text) + 1;
        struct lines expected = { .bytes = malloc(2 * text.len + 2) };

        must(expected.bytes);
        search(text, max, &expected);
        check(text, max, SIZE_MAX, 0, &expected);
        check(text, max, 1, 0, &expected);
        check(text, max, piece, 0, &expected);
        check(text, max, piece, 1 + fuzz_hash(text) % 3, &expected);
        free(expected.bytes);
        return 0;
}
