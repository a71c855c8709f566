/*
 * JSON text to and from jansson's values.
 *
 * jansson's reader ignores that the buffer of its present token could not be grown: a byte of the token is lost, and
 * with it what was meant, or the end of the string, past which it then reads; or its own assertion fails. So the growth
 * must not fail. Before anything is read one spare block is laid by that is as large as any token can make that buffer.
 * The first allocation that is refused gets the spare; from then on the text seems to end, which makes the reader fail
 * in its regular way before it needs another.
 */
#include "redlockd/wire/codec.h"

#include "redlockd/base/mem.h"

#include <errno.h>
#include <string.h>

#define TOKEN_SIZE_MIN 16 /* the buffer of a token begins with this, and doubles */

static void *codec_spare;
static size_t codec_spare_size; /* 0: there is none, or it has been given out */
static bool codec_refused;

static void *codec_malloc(size_t size)
{
        void *block = mem_zalloc(size);

        if (block)
                return block;
        codec_refused = true;
        if (size > codec_spare_size)
                return NULL;
        codec_spare_size = 0;
        return codec_spare;
}

static void codec_free(void *block)
{
        if (block != codec_spare)
                mem_free(block);
}

void codec_use(void)
{
        json_set_alloc_funcs(codec_malloc, codec_free);
}

/* One byte at a time: what the reader has been given already cannot be taken back when memory runs out. */
static size_t codec_read_cb(void *buffer, size_t size, void *userdata)
{
        struct text *rest = userdata;

        if (codec_refused || rest->len == 0)
                return 0;
        *(char *)buffer = *rest->data;
        ++rest->data;
        --rest->len;
        return 1;
}

int codec_read(struct text json, size_t flags, json_t **ret_value, json_error_t *ret_error)
{
        json_t *value;
        int r = 0;

        codec_use();
        codec_refused = false;
        codec_spare_size = 2 * (json.len + TOKEN_SIZE_MIN);
        codec_spare = mem_zalloc(codec_spare_size);
        if (!codec_spare) {
                codec_spare_size = 0;
                return -ENOMEM;
        }
        value = json_load_callback(codec_read_cb, &json, flags, ret_error);
        if (codec_refused) {
                json_decref(value);
                r = -ENOMEM;
        } else if (!value) {
                r = -EINVAL;
        }
        codec_spare = mem_free(codec_spare);
        codec_spare_size = 0;
        if (r == 0)
                *ret_value = value;
        return r;
}

struct codec_sink {
        struct buffer *out;
        int r; /* jansson does not pass every failure on */
};

static int codec_write_cb(const char *bytes, size_t n, void *userdata)
{
        struct codec_sink *sink = userdata;

        if (sink->r == 0)
                sink->r = buffer_append(sink->out, bytes, n);
        return sink->r;
}

int codec_write(const json_t *value, struct buffer *out)
{
        struct codec_sink sink = { .out = out };
        int r;

        codec_use();
        r = json_dump_callback(value, codec_write_cb, &sink, JSON_COMPACT | JSON_ENCODE_ANY);
        if (sink.r < 0)
                return sink.r;
        return r < 0 ? -ENOMEM : 0;
}

int codec_text(const json_t *value, char **ret_text)
{
        struct buffer text = BUFFER_INIT(SIZE_MAX);
        int r;

        r = codec_write(value, &text);
        if (r == 0)
                r = buffer_append(&text, "", 1);
        if (r < 0) {
                buffer_deinit(&text);
                return r;
        }
        *ret_text = text.data;
        return 0;
}

/* Length of the UTF-8 sequence (RFC 3629) that begins here; 0: there is none. */
static size_t utf8_sequence(const unsigned char *bytes, size_t n)
{
        unsigned char low = 0x80, high = 0xbf; /* bounds of the second byte: no overlong forms, no surrogates */
        size_t len, i;

        if (bytes[0] < 0x80)
                return 1;
        if (bytes[0] < 0xc2 || bytes[0] > 0xf4)
                return 0;
        len = bytes[0] < 0xe0 ? 2 : bytes[0] < 0xf0 ? 3 : 4;
        if (n < len)
                return 0;
        if (bytes[0] == 0xe0)
                low = 0xa0;
        else if (bytes[0] == 0xed)
                high = 0x9f;
        else if (bytes[0] == 0xf0)
                low = 0x90;
        else if (bytes[0] == 0xf4)
                high = 0x8f;
        if (bytes[1] < low || bytes[1] > high)
                return 0;
        for (i = 2; i < len; ++i)
                if (bytes[i] < 0x80 || bytes[i] > 0xbf)
                        return 0;
        return len;
}

/* Bytes before the first that is not part of valid UTF-8. */
static size_t utf8_span(const char *bytes, size_t n)
{
        size_t i = 0, len;

        while (i < n) {
                len = utf8_sequence((const unsigned char *)bytes + i, n - i);
                if (len == 0)
                        break;
                i += len;
        }
        return i;
}

void codec_repair(char *bytes, size_t n)
{
        size_t i = 0;

        while ((i += utf8_span(bytes + i, n - i)) < n)
                bytes[i++] = '?';
}

json_t *codec_finish(json_t *value, int r)
{
        if (r == 0)
                return value;
        json_decref(value);
        return NULL;
}

json_t *codec_string(const char *string)
{
        json_t *value;
        char *copy;
        size_t n;

        codec_use();
        if (!string)
                return json_null();
        n = strlen(string);
        if (utf8_span(string, n) == n)
                return json_stringn(string, n);
        copy = mem_zalloc(n + 1);
        if (!copy)
                return NULL;
        memcpy(copy, string, n);
        codec_repair(copy, n);
        value = json_stringn(copy, n);
        mem_free(copy);
        return value;
}

json_t *codec_key(struct text text)
{
        return json_stringn(text.data, text.len);
}

json_t *codec_number(uint64_t number)
{
        return json_integer(number > INT64_MAX ? INT64_MAX : (json_int_t)number);
}
