/*
 * The journal's own protocol. A value with an LF is sent with its length before it, so that no value can be taken for
 * another field. Nothing waits: a journal that does not read gets the line by stderr, as without the protocol.
 */
#include "redlockd/net/journal.h"

#include "redlockd/base/buffer.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define JOURNAL_SOCKET    "/run/systemd/journal/socket"
#define JOURNAL_ENTRY_MAX 16384 /* bytes */

/* $JOURNAL_STREAM is inherited by children whose stderr is elsewhere: it counts only where it names this stderr. */
bool journal_is_stderr(void)
{
        static int known = -1;
        const char *stream;
        unsigned long device, inode;
        struct stat st;

        if (known < 0) {
                stream = getenv("JOURNAL_STREAM");
                known = stream && sscanf(stream, "%lu:%lu", &device, &inode) == 2 && fstat(STDERR_FILENO, &st) == 0 &&
                        st.st_dev == device && st.st_ino == inode;
        }
        return known;
}

static int journal_append(struct buffer *entry, const struct journal_field *field)
{
        unsigned char len[8];
        bool plain = !memchr(field->value.data, '\n', field->value.len);
        unsigned i;
        int r;

        r = buffer_append(entry, field->name, strlen(field->name));
        if (r == 0)
                r = buffer_append(entry, plain ? "=" : "\n", 1);
        for (i = 0; i < sizeof(len); ++i)
                len[i] = (unsigned char)((uint64_t)field->value.len >> 8 * i);
        if (r == 0 && !plain)
                r = buffer_append(entry, len, sizeof(len));
        if (r == 0)
                r = buffer_append(entry, field->value.data, field->value.len);
        return r == 0 ? buffer_append(entry, "\n", 1) : r;
}

bool journal_send(const struct journal_field *fields, size_t n)
{
        static const struct sockaddr_un journal = { .sun_family = AF_UNIX, .sun_path = JOURNAL_SOCKET };
        static int fd = -1;
        struct buffer entry = BUFFER_INIT(JOURNAL_ENTRY_MAX);
        bool sent = true;
        size_t i;

        if (fd < 0)
                fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return false;
        for (i = 0; i < n && sent; ++i)
                sent = journal_append(&entry, &fields[i]) == 0;
        if (sent)
                sent = sendto(fd, buffer_data(&entry), buffer_len(&entry), MSG_NOSIGNAL,
                              (const struct sockaddr *)&journal, sizeof(journal)) == (ssize_t)buffer_len(&entry);
        buffer_deinit(&entry);
        return sent;
}
