#pragma once

/*
 * Bounded byte queue: bytes are appended at the end and consumed at the front; it never holds more than its maximum.
 */
#include <stddef.h>

struct buffer {
        char *data; /* owned; NULL while nothing was ever appended */
        size_t start;
        size_t end;
        size_t size;
        size_t max;  /* most bytes that it will hold */
        size_t keep; /* an empty one gives a larger block back; 0: the least that is worth keeping */
};

#define BUFFER_INIT(max_bytes)                                                                                         \
        {                                                                                                              \
                .max = (max_bytes)                                                                                     \
        }

void buffer_deinit(struct buffer *b);

/* Bytes held, and where they begin (valid until the next append or consume). */
size_t buffer_len(const struct buffer *b);
const char *buffer_data(const struct buffer *b);

/* Appends n bytes. Returns 0, -ENOBUFS past the maximum or -ENOMEM; on failure nothing was appended. */
int buffer_append(struct buffer *b, const void *bytes, size_t n);

/*
 * For who writes in place: at least n bytes behind what is held (n > 0), of which buffer_commit() appends as many as
 * were written. NULL past the maximum, or without memory.
 */
char *buffer_room(struct buffer *b, size_t n);
void buffer_commit(struct buffer *b, size_t n);

/* Takes back what was appended last: `len` bytes stay (at most buffer_len). */
void buffer_cut(struct buffer *b, size_t len);

/* Drops n bytes (at most buffer_len) from the front; an emptied buffer that grew large gives its memory back. */
void buffer_consume(struct buffer *b, size_t n);
