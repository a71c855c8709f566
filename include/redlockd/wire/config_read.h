#pragma once

/*
 * One reading of a configuration file, shared by the parts of config.c: config_settings.c reads the sections,
 * config_nodes.c the nodes. Both return 0, also after they complained, or -ENOMEM.
 */
#include "redlockd/wire/config.h"
#include "redlockd/wire/config_text.h"

#include <jansson.h>

#define CONFIG_NOWHERE      SIZE_MAX
#define CONFIG_PATH_MAX     160 /* of a setting's path: two names and some punctuation */
#define CONFIG_SETTINGS_MAX 40

struct config_reading {
        struct config_text text;
        const char *name;        /* of the file */
        const char *credentials; /* NULL: none */
        config_error_fn report;
        void *userdata;
        struct config *config;                /* filled with the defaults first */
        const struct config_running *running; /* NULL: nothing runs */
        size_t nodes_at;                      /* where `nodes` is given; CONFIG_NOWHERE: it is not */
        unsigned errors_n;
        /* By the number of the setting: where it is given (0: it is not), and that it was refused. */
        struct {
                size_t at;
                bool refused;
        } given[CONFIG_SETTINGS_MAX];
};

/*
 * Reports one error. `path` is the setting's, "" for the file as a whole; `at` is an offset in the text or
 * CONFIG_NOWHERE.
 */
__attribute__((format(printf, 4, 5))) void config_complain(struct config_reading *rd, size_t at, const char *path,
                                                           const char *format, ...);

/* Reports a name that nobody knows, with the one of `known` (n names) that it resembles, if any. */
void config_complain_unknown(struct config_reading *rd, const struct config_member *member, const char *path,
                             const char *const *known, size_t n);

/* A name that the same object has already. */
void config_complain_twice(struct config_reading *rd, const struct config_member *member, const char *path);

/* The value of a member, for json_decref(); NULL where it is a number that nothing can hold. Returns 0 or -ENOMEM. */
int config_value(const struct config_member *member, json_t **ret_value);

/* A copy of a string value, for mem_free(): 1; 0 where it is no string, or holds NUL; or -ENOMEM. */
int config_string(const json_t *value, char **ret_string);

/* One section, `lock` to `stop`; `member` is the whole file's. */
int config_read_section(struct config_reading *rd, const struct config_member *member);

/* Rules between several settings; to be called once everything was read. */
void config_check_settings(struct config_reading *rd);

/* Rules between what is given and what runs. */
void config_check_fixed(struct config_reading *rd);
void config_check_members(struct config_reading *rd);

/* The `nodes`. */
int config_read_nodes(struct config_reading *rd, const struct config_member *member);

/* Gives the configuration other nodes (owned from now on), and frees those it had. */
void config_set_nodes(struct config *c, struct config_node *nodes, unsigned n);

/* Likewise its admin groups. */
void config_set_admin_groups(struct config *c, char **names, unsigned n);

/* Likewise its rules of access, which `json` has at the offset `at`. */
void config_set_rules(struct config *c, struct config_rule *rules, unsigned n);
int config_read_rules(struct config_reading *rd, size_t at, struct text json);

/* 0; ENOENT where there is no group of that name; or why it cannot be told. */
int config_find_group(const char *name, uint32_t *ret_id);

/* Gives it the `memory:` node. Returns 0 or -ENOMEM. */
int config_default_nodes(struct config *c);

/*
 * Reads a whole file of at most `max` bytes; *ret_data is for mem_free() and ends with a NUL more. Returns 0 or
 * negative errno, -EFBIG for a larger one.
 */
int config_read_file(const char *path, size_t max, char **ret_data, size_t *ret_len);
