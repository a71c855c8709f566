/*
 * Who may do what. A group is looked up when it matters, so that one that is made later counts from then on; its
 * members are those that the kernel knows of the connected process, not those of the group's database. The names in
 * access.rules became numbers when the configuration was read.
 *
 * DENIED comes before anything is looked up, and is the same whether the key is held or not. What a session holds it
 * may always free, whatever rules came since.
 */
#include "redlockd/daemon/access.h"

#include "redlockd/base/pattern.h"
#include "redlockd/net/log.h"

#include <grp.h>
#include <stdio.h>
#include <unistd.h>

bool access_is_admin(const struct config *config, struct client *client)
{
        uid_t uid = client_peer(client).uid;
        const struct group *group;
        unsigned i;

        if (uid == 0 || uid == geteuid())
                return true;
        for (i = 0; i < config->access.admin_groups_n; ++i) {
                group = getgrnam(config->access.admin_groups[i]);
                if (group && client_in_group(client, group->gr_gid) > 0)
                        return true;
        }
        return false;
}

/* 1 where the rule names this client or nobody, 0 where it names others; or negative errno. */
static int access_names(const struct config_rule *rule, struct client *client)
{
        unsigned i;
        int r = rule->users_n + rule->groups_n == 0;

        for (i = 0; i < rule->users_n && r == 0; ++i)
                r = rule->users[i] == client_peer(client).uid;
        for (i = 0; i < rule->groups_n && r == 0; ++i)
                r = client_in_group(client, rule->groups[i]);
        return r;
}

bool access_allows(const struct config *config, struct client *client, struct text key)
{
        const struct config_rule *rule;
        unsigned i;
        int r;

        for (i = 0; i < config->access.rules_n; ++i) {
                rule = &config->access.rules[i];
                if (!pattern_matches((struct text){ rule->keys, rule->keys_len }, key))
                        continue;
                r = access_names(rule, client);
                return r >= 0 && (r > 0) == rule->allow; /* who cannot be told from others may not */
        }
        return true;
}

bool access_shows(const struct config *config, struct client *client, struct text key)
{
        return config->access.rules_n == 0 || access_allows(config, client, key) || access_is_admin(config, client);
}

bool access_admits(const struct config *config, struct client *client, const struct request *request,
                   struct wire_error *ret_error)
{
        enum method method = request->method;
        bool takes = method == METHOD_ADD || method == METHOD_EXTEND;
        bool shows = method == METHOD_LOCKS || method == METHOD_WAITERS || method == METHOD_WHY;
        unsigned i;

        if (config->access.rules_n == 0 || (!takes && !shows))
                return true;
        for (i = 0; i < request->keys_n; ++i) {
                if (takes ? access_allows(config, client, request->keys[i])
                          : access_shows(config, client, request->keys[i]))
                        continue;
                *ret_error = (struct wire_error){ .name = ERROR_DENIED };
                if (shows)
                        snprintf(ret_error->path, sizeof(ret_error->path), "key");
                else
                        snprintf(ret_error->path, sizeof(ret_error->path), request->keys_n > 1 ? "keys[%u]" : "keys",
                                 i);
                snprintf(ret_error->message, sizeof(ret_error->message), "%s: not allowed to this user.",
                         ret_error->path);
                return false;
        }
        return true;
}

void access_check(const struct config *config)
{
        unsigned i;

        for (i = 0; i < config->access.admin_groups_n; ++i)
                if (!getgrnam(config->access.admin_groups[i]))
                        log_warn("access.adminGroups: there is no group %s", config->access.admin_groups[i]);
}
