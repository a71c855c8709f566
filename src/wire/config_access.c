/*
 * The rules of access: who may use which keys. Names of users and groups become numbers here, once, so that no request
 * ever waits for a directory of users; one that is not known is an error, since a rule that nobody is meant by would
 * restrict, or allow, more than was thought.
 */
#include "redlockd/wire/config_read.h"

#include "redlockd/base/mem.h"
#include "redlockd/wire/codec.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>

#define RULES_MAX 1000
#define IDS_MAX   1000 /* users, or groups, of one rule */

/* The members of a rule, by which those that were given are known. */
enum rule_member {
        RULE_KEYS,
        RULE_USERS,
        RULE_GROUPS,
        RULE_ALLOW,
        RULE_MEMBERS_N,
};

static const char *const rule_members[] = { "keys", "users", "groups", "allow" };

static void rules_free(struct config_rule *rules, unsigned n)
{
        unsigned i;

        for (i = 0; i < n; ++i) {
                mem_free(rules[i].keys);
                mem_free(rules[i].users);
                mem_free(rules[i].groups);
        }
        mem_free(rules);
}

void config_set_rules(struct config *c, struct config_rule *rules, unsigned n)
{
        rules_free(c->access.rules, c->access.rules_n);
        c->access.rules = rules;
        c->access.rules_n = n;
}

/* 0; ENOENT where there is none of that name; or why it cannot be told. */
static int user_find(const char *name, uint32_t *ret_id)
{
        const struct passwd *user;

        errno = 0;
        user = getpwnam(name);
        if (!user)
                return errno == 0 || errno == ESRCH ? ENOENT : errno;
        *ret_id = user->pw_uid;
        return 0;
}

int config_find_group(const char *name, uint32_t *ret_id)
{
        const struct group *group;

        errno = 0;
        group = getgrnam(name);
        if (!group)
                return errno == 0 || errno == ESRCH ? ENOENT : errno;
        *ret_id = group->gr_gid;
        return 0;
}

/* One user or group: 0, also after it was complained about, or -ENOMEM. */
static int read_id(struct config_reading *rd, size_t at, const char *path, bool user, const json_t *value,
                   uint32_t *ret_id)
{
        const char *what = user ? "user" : "group";
        char *name = NULL;
        int r;

        if (json_is_integer(value) && json_integer_value(value) >= 0 && json_integer_value(value) < UINT32_MAX) {
                *ret_id = (uint32_t)json_integer_value(value);
                return 0;
        }
        r = config_string(value, &name);
        if (r < 0)
                return r;
        if (r == 0 || !name[0]) {
                config_complain(rd, at, path, "must be the name or the number of a %s", what);
                mem_free(name);
                return 0;
        }
        r = user ? user_find(name, ret_id) : config_find_group(name, ret_id);
        if (r == ENOENT)
                config_complain(rd, at, path, "there is no %s \"%.64s\"", what, name);
        else if (r != 0)
                config_complain(rd, at, path, "the %s \"%.64s\" cannot be looked up: %s", what, name, strerror(r));
        mem_free(name);
        return 0;
}

static int read_ids(struct config_reading *rd, const struct config_member *member, const char *path, bool user,
                    uint32_t **ret_ids, unsigned *ret_n)
{
        char element_path[CONFIG_PATH_MAX];
        struct config_member element;
        struct config_cursor c;
        json_t *value = NULL;
        unsigned n = 0;
        uint32_t *ids;
        int r;

        config_cursor_init(&c, &rd->text, member->json);
        while (member->json.data[0] == '[' && config_cursor_next(&c, &element) > 0)
                ++n;
        if (n == 0 || n > IDS_MAX) {
                config_complain(rd, member->at, path, "must be an array of 1 to %d %s", IDS_MAX,
                                user ? "users" : "groups");
                return 0;
        }
        ids = mem_zalloc_n(n, sizeof(*ids));
        if (!ids)
                return -ENOMEM;
        mem_free(*ret_ids);
        *ret_ids = ids;
        *ret_n = n;
        config_cursor_init(&c, &rd->text, member->json);
        while ((r = config_cursor_next(&c, &element)) > 0) {
                snprintf(element_path, sizeof(element_path), "%.100s[%u]", path, element.index);
                r = config_value(&element, &value);
                if (r == 0)
                        r = read_id(rd, element.at, element_path, user, value, &ids[element.index]);
                json_decref(value);
                value = NULL;
                if (r < 0)
                        return r;
        }
        return r;
}

static int read_pattern(struct config_reading *rd, const struct config_member *member, const char *path,
                        struct config_rule *rule)
{
        json_t *value;
        size_t n;
        int r;

        r = config_value(member, &value);
        if (r < 0)
                return r;
        n = json_string_length(value);
        if (n == 0) {
                config_complain(rd, member->at, path, "must be a key; * in it stands for any bytes");
        } else {
                mem_free(rule->keys);
                rule->keys = mem_zalloc(n);
                if (rule->keys)
                        memcpy(rule->keys, json_string_value(value), n);
                else
                        r = -ENOMEM;
                rule->keys_len = n;
        }
        json_decref(value);
        return r;
}

static int read_allow(struct config_reading *rd, const struct config_member *member, const char *path,
                      struct config_rule *rule)
{
        json_t *value;
        int r;

        r = config_value(member, &value);
        if (r < 0)
                return r;
        if (!json_is_boolean(value))
                config_complain(rd, member->at, path, "must be true or false");
        rule->allow = json_is_true(value);
        json_decref(value);
        return 0;
}

static int read_member(struct config_reading *rd, const struct config_member *member, const char *path,
                       enum rule_member which, struct config_rule *rule)
{
        switch (which) {
        case RULE_KEYS:
                return read_pattern(rd, member, path, rule);
        case RULE_USERS:
                return read_ids(rd, member, path, true, &rule->users, &rule->users_n);
        case RULE_GROUPS:
                return read_ids(rd, member, path, false, &rule->groups, &rule->groups_n);
        default:
                return read_allow(rd, member, path, rule);
        }
}

static int read_rule(struct config_reading *rd, const struct config_member *element, struct config_rule *rule)
{
        char path[CONFIG_PATH_MAX];
        struct config_member member;
        struct config_cursor c;
        unsigned seen = 0, i;
        int r;

        snprintf(path, sizeof(path), "access.rules[%u]", element->index);
        if (element->json.data[0] != '{') {
                config_complain(rd, element->at, path, "must be an object");
                return 0;
        }
        config_cursor_init(&c, &rd->text, element->json);
        while ((r = config_cursor_next(&c, &member)) > 0) {
                snprintf(path, sizeof(path), "access.rules[%u].%s", element->index, member.name);
                for (i = 0; i < RULE_MEMBERS_N && strcmp(rule_members[i], member.name) != 0; ++i)
                        ;
                if (i == RULE_MEMBERS_N) {
                        config_complain_unknown(rd, &member, path, rule_members, RULE_MEMBERS_N);
                        continue;
                }
                if (seen & 1u << i)
                        config_complain_twice(rd, &member, path);
                seen |= 1u << i;
                r = read_member(rd, &member, path, i, rule);
                if (r < 0)
                        return r;
        }
        for (i = 0; i < RULE_MEMBERS_N && r == 0; ++i) {
                if (seen & 1u << i || i == RULE_USERS || i == RULE_GROUPS)
                        continue;
                snprintf(path, sizeof(path), "access.rules[%u].%s", element->index, rule_members[i]);
                config_complain(rd, element->at, path, "is missing");
        }
        return r;
}

int config_read_rules(struct config_reading *rd, size_t at, struct text json)
{
        struct config_member element;
        struct config_rule *rules;
        struct config_cursor c;
        unsigned n = 0;
        int r;

        config_cursor_init(&c, &rd->text, json);
        while (json.data[0] == '[' && config_cursor_next(&c, &element) > 0)
                ++n;
        if (json.data[0] != '[' || n > RULES_MAX) {
                config_complain(rd, at, "access.rules", "must be an array of at most %d rules", RULES_MAX);
                return 0;
        }
        rules = mem_zalloc_n(n + 1, sizeof(*rules));
        if (!rules)
                return -ENOMEM;
        config_set_rules(rd->config, rules, n);
        config_cursor_init(&c, &rd->text, json);
        while ((r = config_cursor_next(&c, &element)) > 0) {
                r = read_rule(rd, &element, &rules[element.index]);
                if (r < 0)
                        return r;
        }
        return r;
}
