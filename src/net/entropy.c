/*
 * Random bytes from getrandom(2) in blocks. What was handed out is wiped, so that a later look into this memory does
 * not show the values of locks.
 */
#include "redlockd/net/entropy.h"

#include "redlockd/net/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static void entropy_refill(struct entropy *e)
{
        size_t filled = 0;
        ssize_t n;

        while (filled < sizeof(e->block)) {
                n = getrandom(e->block + filled, sizeof(e->block) - filled, 0);
                if (n > 0) {
                        filled += n;
                } else if (errno != EINTR) {
                        /* Going on with values that can be guessed would be worse than not going on. */
                        log_error("getrandom: %s", strerror(errno));
                        abort();
                }
        }
        e->left = sizeof(e->block);
}

void entropy_fill(void *userdata, void *ret_bytes, size_t n)
{
        struct entropy *e = userdata;
        unsigned char *out = ret_bytes, *from;
        size_t some;

        while (n > 0) {
                if (e->left == 0)
                        entropy_refill(e);
                some = n < e->left ? n : e->left;
                from = e->block + sizeof(e->block) - e->left;
                memcpy(out, from, some);
                explicit_bzero(from, some);
                e->left -= some;
                out += some;
                n -= some;
        }
}
