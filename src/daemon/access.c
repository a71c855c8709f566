/*
 * Who may do what. A group is looked up when it matters, so that one that is made later counts from then on; its
 * members are those that the kernel knows of the connected process, not those of the group's database.
 */
#include "redlockd/daemon/access.h"

#include "redlockd/net/log.h"

#include <grp.h>
#include <unistd.h>

bool access_is_admin(const struct config *config, const struct client *client)
{
        uid_t uid = client_peer(client).uid;
        const struct group *group;
        unsigned i;

        if (uid == 0 || uid == geteuid())
                return true;
        for (i = 0; i < config->access.admin_groups_n; ++i) {
                group = getgrnam(config->access.admin_groups[i]);
                if (group && client_in_group(client, group->gr_gid))
                        return true;
        }
        return false;
}

void access_check(const struct config *config)
{
        unsigned i;

        for (i = 0; i < config->access.admin_groups_n; ++i)
                if (!getgrnam(config->access.admin_groups[i]))
                        log_warn("access.adminGroups: there is no group %s", config->access.admin_groups[i]);
}
