#pragma once

/*
 * The least of HTTP/1.1 that a scraper of metrics needs: GET and HEAD of /metrics, one request a connection.
 */
#include "redlockd/base/buffer.h"

#include <uv.h>

struct scrape;

struct scrape_options {
        uv_loop_t *loop;
        int fd;              /* a socket that listens already, taken over also on failure; -1: one is made */
        const char *address; /* "127.0.0.1:9725", "[::1]:9725", or the absolute path of a Unix socket */
        void *userdata;
        /* Appends the metrics. Returns 0 or negative errno. */
        int (*on_scrape)(void *userdata, struct buffer *out);
};

#define SCRAPE_CONNECTIONS_MAX 16   /* at a time; more are closed */
#define SCRAPE_REQUEST_MAX     8192 /* bytes of a request with its headers */
#define SCRAPE_REQUEST_MS      5000 /* how long a request may take to come */
#define SCRAPE_ERROR_MAX       256

/* Returns 0, or negative errno with what went wrong in `ret_error`. */
int scrape_new(struct scrape **ret_scrape, const struct scrape_options *options,
               char ret_error[static SCRAPE_ERROR_MAX]);

/* Takes NULL. Nothing is called back any more; freed by the loop. Returns NULL. */
struct scrape *scrape_close(struct scrape *s);
