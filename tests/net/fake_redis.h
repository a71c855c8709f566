#pragma once

/*
 * A scripted Redis on the test's own loop: it takes connections, keeps a log of the commands, and answers what it was
 * told to, down to the byte. By default it introduces itself as a Redis does, and leaves EVAL and EVALSHA unanswered.
 */
#include "redlockd/core/types.h"
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

#include <uv.h>

#define FAKE_COMMANDS_MAX 512
#define FAKE_RULES_MAX    8
#define FAKE_SHA_TAKE     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define FAKE_SHA_RELEASE  "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define FAKE_SHA_RENEW    "cccccccccccccccccccccccccccccccccccccccc"
#define FAKE_SHA_PLANT    "dddddddddddddddddddddddddddddddddddddddd"
#define FAKE_SHA_PEEK     "eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee"
#define FAKE_SHA_BATCH    "ffffffffffffffffffffffffffffffffffffffff"
#define FAKE_SCRIPTS_N    (COMMAND_KINDS_N + 1)

/* What every connection asks for first, where the address has no password and no db. */
#define FAKE_INTRODUCTION_N (4 + FAKE_SCRIPTS_N)

/* What INFO says, as far as it matters; the certificate that its server needs for the members and the longest ttl of
 * scenes. */
#define FAKE_RUN_ID "0123456789012345678901234567890123456789"
#define FAKE_INFO(aof)                                                                                                 \
        "# Server\r\nredis_version:7.0.15\r\nredis_git_sha1:00000000\r\nredis_mode:standalone\r\nrun_id:" FAKE_RUN_ID  \
        "\r\ntcp_port:6379\r\nserver_time_usec:1795867558123456\r\n# Memory\r\nmaxmemory_policy:noeviction\r\n# "      \
        "Persistence\r\naof_enabled:" aof                                                                              \
        "\r\naof_last_write_status:ok\r\n# Stats\r\nevicted_keys:0\r\n# Replication\r\nrole:master\r\n"                \
        "master_replid2:0000000000000000000000000000000000000000\r\n# Cluster\r\ncluster_enabled:0\r\n"
#define FAKE_CERTIFICATE FAKE_RUN_ID "|00000000000000aa|60000"
/* A certificate of this length, as GET answers it. */
#define FAKE_STANDS(text) "$63\r\n" text "\r\n"

struct fake_conn;

struct fake_redis {
        uv_loop_t *loop;
        union {
                uv_handle_t handle;
                uv_stream_t stream;
                uv_tcp_t tcp;
                uv_pipe_t pipe;
        } listener;
        bool bound;
        int port;                /* TCP */
        struct fake_conn *conn;  /* the newest connection, or NULL */
        struct fake_conn *conns; /* all that are open */
        unsigned connections_n;  /* that were ever taken */
        unsigned reads_n;        /* chunks that the present connection brought */
        int ended;               /* how the last connection that ended did: UV_EOF, UV_ECONNRESET ... */
        unsigned ended_n;
        const char *rules[FAKE_RULES_MAX][2]; /* command, reply ("": none) */
        char *commands[FAKE_COMMANDS_MAX];    /* the first of them, arguments joined by a space; scripts as <script> */
        unsigned commands_n;                  /* all of them */
        bool mute;                            /* answers nothing at all */
        const char *farewell;                 /* what a new connection gets before it is closed; NULL: it is not */
};

/* Takes an address, but no connections yet: who connects is refused. */
void fake_redis_bind_tcp(struct fake_redis *f, uv_loop_t *loop, const char *ip);
void fake_redis_bind_unix(struct fake_redis *f, uv_loop_t *loop, const char *path);
void fake_redis_listen(struct fake_redis *f);

/* What a command (its first word; of CLIENT ID and CLIENT KILL both) is answered with from now on; NULL: as by default.
 */
void fake_redis_rule(struct fake_redis *f, const char *command, const char *reply);

/* Writes bytes to the newest connection. */
void fake_redis_write(struct fake_redis *f, const char *bytes, size_t n);
void fake_redis_reply(struct fake_redis *f, const char *reply);

/* The newest connection is not read any more, and is read again. */
void fake_redis_deafen(struct fake_redis *f);
void fake_redis_hear(struct fake_redis *f);

/* Closes the newest connection. */
void fake_redis_hang_up(struct fake_redis *f);

/* How many of the commands begin with these words; of the commands that were kept. */
unsigned fake_redis_count(const struct fake_redis *f, const char *words);

/* Closes everything; the loop has to run on until that is done. */
void fake_redis_close(struct fake_redis *f);
