/*
 * The configuration, read again. What can fail is done first; then everything changes in one go, between two events:
 *
 *      read, check against what runs -> make what is new -> swap
 *               |                            |
 *               +----------- nothing has changed
 */
#include "redlockd/daemon/reload.h"

#include "redlockd/daemon/access.h"
#include "redlockd/daemon/daemon.h"
#include "redlockd/daemon/settings.h"
#include "redlockd/net/log.h"

#include <errno.h>
#include <string.h>

static void reload_complain(void *userdata, const char *line)
{
        struct buffer *errors = userdata;

        log_error("reload: %s", line);
        if (errors && buffer_append(errors, line, strlen(line)) == 0)
                buffer_append(errors, "\n", 1);
}

/* Where a part of it is borrowed by what stays, that part stays: it is the same in both. */
static void reload_swap(struct daemon *d, struct config *next)
{
        struct config old = d->settings;

        d->settings = *next;
        *next = old;
        next->lock.key_prefix = d->settings.lock.key_prefix;
        next->listen.socket = d->settings.listen.socket;
        d->settings.lock.key_prefix = old.lock.key_prefix;
        d->settings.listen.socket = old.listen.socket;
}

static int reload_carry_out(struct daemon *d, struct buffer *errors)
{
        const struct config_node *nodes[NODES_MAX];
        struct config_running running = nodes_running(d, nodes);
        struct config next;
        unsigned number;
        int r;

        r = settings_reload(d->options.file, &running, &next, reload_complain, errors);
        if (r < 0)
                return r;
        r = nodes_prepare(d, &next, &number);
        if (r < 0) {
                reload_complain(errors,
                                r == -EBUSY ? "nodes: too many until those that have left are closed" : strerror(-r));
                config_deinit(&next);
                return r;
        }
        reload_swap(d, &next);
        daemon_apply_settings(d);
        nodes_configure(d, &d->settings, number);
        config_deinit(&next);
        return 0;
}

int reload_run(struct daemon *d, const char *who, struct buffer *errors)
{
        int r;

        if (d->state != DAEMON_RUNNING) {
                reload_complain(errors, "the broker is stopping");
                return -ESHUTDOWN;
        }
        service_reloading(d);
        r = reload_carry_out(d, errors);
        log_write(r < 0 ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO, &(struct log_about){ .event = "reload" },
                  "reload by %s: %s", who, r < 0 ? "nothing was changed" : "done");
        service_ready(d);
        return r;
}
