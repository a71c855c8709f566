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
#include <stdio.h>
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

/* Another door for scrapers, where the address is another. */
static int reload_scrape(struct daemon *d, const struct config *next, struct scrape **ret_scrape,
                         char ret_error[static SCRAPE_ERROR_MAX])
{
        const char *old = d->config->metrics.listen, *new = next->metrics.listen;

        if (d->scrape_was_handed_over || (old && new ? strcmp(old, new) == 0 : old == new))
                return 0;
        return daemon_listen_for_scrapes(d, next, ret_scrape, ret_error);
}

/* Makes what `next` has and the broker has not. */
static int reload_prepare(struct daemon *d, struct config *next, struct scrape **ret_scrape, unsigned *ret_number,
                          struct buffer *errors)
{
        struct scrape *scrape = d->scrape;
        char error[SCRAPE_ERROR_MAX];
        int r;

        r = reload_scrape(d, next, &scrape, error);
        if (r < 0) {
                reload_complain(errors, error);
                return r;
        }
        r = nodes_prepare(d, next, ret_number);
        if (r < 0) {
                reload_complain(errors,
                                r == -EBUSY ? "nodes: too many until those that have left are closed" : strerror(-r));
                if (scrape != d->scrape)
                        scrape_close(scrape);
                return r;
        }
        *ret_scrape = scrape;
        return 0;
}

static int reload_carry_out(struct daemon *d, struct buffer *errors)
{
        const struct config_node *nodes[NODES_MAX];
        struct config_running running = nodes_running(d, nodes);
        struct scrape *scrape;
        struct config next;
        unsigned number;
        int r;

        r = settings_reload(d->options.file, &running, &next, reload_complain, errors);
        if (r < 0)
                return r;
        r = reload_prepare(d, &next, &scrape, &number, errors);
        if (r >= 0) {
                if (scrape != d->scrape)
                        scrape_close(d->scrape);
                d->scrape = scrape;
                reload_swap(d, &next);
                daemon_apply_settings(d);
                nodes_configure(d, &d->settings, number);
        }
        config_deinit(&next);
        return r;
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
        ++d->metrics.reloads[r >= 0];
        service_ready(d);
        return r;
}

int reload_for(struct daemon *d, struct client *client, struct buffer *errors, struct wire_error *ret_error)
{
        struct client_peer peer = client_peer(client);
        char who[64];
        int r;

        snprintf(who, sizeof(who), "process %d of user %u", (int)peer.pid, (unsigned)peer.uid);
        r = reload_run(d, who, errors);
        if (r >= 0)
                return r;
        *ret_error =
                (struct wire_error){ .path = "configuration", .lines = { buffer_data(errors), buffer_len(errors) } };
        ret_error->name = r == -ESHUTDOWN ? ERROR_STOPPING : r == -ENOMEM ? ERROR_INTERNAL : ERROR_INVALID_PARAMS;
        snprintf(ret_error->message, sizeof(ret_error->message), "The configuration was not taken: %.*s",
                 (int)strcspn(ret_error->lines.len ? ret_error->lines.data : "\n", "\n"), ret_error->lines.data);
        return r;
}
