#pragma once

/*
 * Where a Redis node is, read from its URL:
 *
 *      redis://[user[:password]@]host[:port][/db]      IPv6 hosts in brackets; port 6379, db 0
 *      unix://path[?db=n]
 *      memory:
 *
 * User and password are percent-decoded (RFC 3986).
 */
#include <stdint.h>

enum address_kind {
        ADDRESS_TCP,
        ADDRESS_UNIX,
        ADDRESS_MEMORY,
};

struct address {
        enum address_kind kind;
        char *host; /* TCP, without brackets */
        uint16_t port;
        char *path;     /* UNIX */
        char *user;     /* NULL: none */
        char *password; /* NULL: none. Never to be printed */
        unsigned db;
        char *shown; /* the URL as it may be printed: without a password, port and db written out */
};

#define ADDRESS_PORT_DEFAULT 6379
#define ADDRESS_DB_MAX       65535

/*
 * Returns 0, -ENOMEM, or -EINVAL with what is wrong in *ret_error (a static string without anything of the URL in it).
 * `ret_address` is to be given to address_deinit() after success.
 */
int address_parse(const char *url, struct address *ret_address, const char **ret_error);

void address_deinit(struct address *a);
