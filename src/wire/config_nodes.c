/*
 * The nodes of the configuration: URLs, alone or with a name and a file for the password, no two the same. What is
 * complained about is never shown: a URL may hold a password.
 */
#include "redlockd/wire/config_read.h"

#include "redlockd/base/mem.h"
#include "redlockd/core/types.h"

#include <errno.h>
#include <stdio.h>
#include <strings.h>

#define NODE_NAME_MAX     64   /* bytes */
#define PASSWORD_FILE_MAX 4096 /* bytes of the file */
#define PORT_TEXT_MAX     8    /* colon, digits, NUL */
#define MEMORY_NAME       "memory"

/* One element as it stands. */
struct source {
        char *url;
        char *name;
        char *password_file;
        size_t url_at, name_at, password_file_at;
        const char *url_path; /* "" or ".url" */
};

static void source_deinit(struct source *s)
{
        mem_free(s->url);
        mem_free(s->name);
        mem_free(s->password_file);
}

/* "nodes[1]" and what follows. */
static void node_path(char *ret_path, unsigned index, const char *rest)
{
        snprintf(ret_path, CONFIG_PATH_MAX, "nodes[%u]%s", index, rest);
}

static void complain(struct config_reading *rd, size_t at, unsigned index, const char *rest, const char *what)
{
        char path[CONFIG_PATH_MAX];

        node_path(path, index, rest);
        config_complain(rd, at, path, "%s", what);
}

/* Reads one member of a node's object, by its name, into the source. */
static int read_member(struct config_reading *rd, unsigned index, const struct config_member *member, struct source *s)
{
        static const char *const known[] = { "name", "url", "passwordFile" };
        struct {
                char **string;
                size_t *at;
        } slots[] = { { &s->name, &s->name_at }, { &s->url, &s->url_at }, { &s->password_file, &s->password_file_at } };
        char rest[CONFIG_NAME_MAX + 2], path[CONFIG_PATH_MAX];
        json_t *value;
        size_t i;
        int r;

        snprintf(rest, sizeof(rest), ".%s", member->name);
        node_path(path, index, rest);
        for (i = 0; i < 3 && strcmp(known[i], member->name) != 0; ++i)
                ;
        if (i == 3) {
                config_complain_unknown(rd, member, path, known, 3);
                return 0;
        }
        if (*slots[i].at != 0)
                config_complain_twice(rd, member, path);
        *slots[i].at = member->at;
        *slots[i].string = mem_free(*slots[i].string);
        r = config_value(member, &value);
        if (r < 0)
                return r;
        r = config_string(value, slots[i].string);
        json_decref(value);
        if (r == 0)
                config_complain(rd, member->at, path, "must be a string without NUL");
        return r < 0 ? r : 0;
}

/* Takes an element apart; source->url is NULL where it has none that can be read, which was complained about. */
static int read_source(struct config_reading *rd, const struct config_member *element, struct source *s)
{
        struct config_member member;
        struct config_cursor c;
        json_t *value;
        int r;

        if (element->json.data[0] == '"') {
                s->url_at = element->at;
                s->url_path = "";
                r = config_value(element, &value);
                if (r < 0)
                        return r;
                r = config_string(value, &s->url);
                json_decref(value);
                if (r == 0)
                        complain(rd, element->at, element->index, "", "must be a URL without NUL");
                return r < 0 ? r : 0;
        }
        if (element->json.data[0] != '{') {
                complain(rd, element->at, element->index, "", "must be a URL, or an object with one");
                return 0;
        }
        s->url_path = ".url";
        config_cursor_init(&c, &rd->text, element->json);
        while ((r = config_cursor_next(&c, &member)) > 0) {
                r = read_member(rd, element->index, &member, s);
                if (r < 0)
                        return r;
        }
        if (r == 0 && s->url_at == 0)
                complain(rd, element->at, element->index, "", "has no url");
        return r;
}

/* The path of a password's file: as it is, in the credentials' folder, or beside the configuration. For mem_free(). */
static char *password_path(const struct config_reading *rd, const char *file)
{
        const char *slash = strrchr(rd->name, '/');
        struct text folder = { rd->name, slash ? (size_t)(slash - rd->name) + 1 : 0 };
        size_t size;
        char *path;

        if (file[0] == '/')
                folder.len = 0;
        else if (rd->credentials)
                folder = text_of(rd->credentials);
        size = folder.len + strlen(file) + 2;
        path = mem_zalloc(size);
        if (path)
                snprintf(path, size, "%.*s%s%s", (int)folder.len, folder.data,
                         folder.len > 0 && folder.data[folder.len - 1] != '/' ? "/" : "", file);
        return path;
}

/* Reads the password; on success *ret_password is for mem_free(). Complains and leaves it where there is none. */
static int read_password(struct config_reading *rd, unsigned index, const struct source *s, char **ret_password)
{
        size_t len, at = s->password_file_at;
        char *path, *data, why[128];
        int r;

        path = password_path(rd, s->password_file);
        if (!path)
                return -ENOMEM;
        r = config_read_file(path, PASSWORD_FILE_MAX, &data, &len);
        mem_free(path);
        if (r == -ENOMEM)
                return r;
        if (r < 0) {
                snprintf(why, sizeof(why), "cannot be read: %s", strerror(-r));
                complain(rd, at, index, ".passwordFile", why);
                return 0;
        }
        if (len > 0 && data[len - 1] == '\n')
                data[--len] = '\0';
        if (len > 0 && data[len - 1] == '\r')
                data[--len] = '\0';
        if (len == 0 || strlen(data) != len) {
                complain(rd, at, index, ".passwordFile", len == 0 ? "the file is empty" : "the file holds a NUL");
                mem_free(data);
                return 0;
        }
        *ret_password = data;
        return 0;
}

static int apply_password(struct config_reading *rd, unsigned index, const struct source *s, struct address *address)
{
        if (!s->password_file)
                return 0;
        if (address->kind == ADDRESS_MEMORY) {
                complain(rd, s->password_file_at, index, ".passwordFile", "memory: takes no password");
                return 0;
        }
        if (address->password) {
                complain(rd, s->password_file_at, index, ".passwordFile", "the url has a password already");
                return 0;
        }
        return read_password(rd, index, s, &address->password);
}

static bool name_is_fit(const char *name)
{
        const char *c;

        for (c = name; *c; ++c)
                if ((unsigned char)*c < ' ' || *c == 0x7f)
                        return false;
        return c > name && c - name <= NODE_NAME_MAX;
}

/* host:port, the path, or "memory". For mem_free(). */
static char *default_name(const struct address *a)
{
        const char *base = a->kind == ADDRESS_TCP ? a->host : a->kind == ADDRESS_UNIX ? a->path : MEMORY_NAME;
        size_t size = strlen(base) + PORT_TEXT_MAX + 2;
        char *name = mem_zalloc(size);

        if (!name)
                return NULL;
        if (a->kind == ADDRESS_TCP)
                snprintf(name, size, strchr(base, ':') ? "[%s]:%u" : "%s:%u", base, a->port);
        else
                snprintf(name, size, "%s", base);
        return name;
}

static int apply_name(struct config_reading *rd, unsigned index, struct source *s, struct config_node *node)
{
        if (s->name && !name_is_fit(s->name)) {
                complain(rd, s->name_at, index, ".name", "must have 1 to 64 bytes and no control characters");
                s->name = mem_free(s->name);
        }
        node->name = s->name ? s->name : default_name(&node->address);
        s->name = NULL;
        return node->name ? 0 : -ENOMEM;
}

static bool same_address(const struct address *a, const struct address *b)
{
        if (a->kind != b->kind)
                return false;
        if (a->kind == ADDRESS_TCP)
                return a->port == b->port && strcasecmp(a->host, b->host) == 0;
        return a->kind == ADDRESS_MEMORY || strcmp(a->path, b->path) == 0;
}

bool config_same_node(const struct config_node *a, const struct config_node *b)
{
        return same_address(&a->address, &b->address) && a->address.db == b->address.db;
}

struct config_node config_take_node(struct config *c, unsigned node)
{
        struct config_node taken = c->nodes[node];

        c->nodes[node] = (struct config_node){ .name = NULL };
        return taken;
}

void config_node_deinit(struct config_node *node)
{
        node->name = mem_free(node->name);
        address_deinit(&node->address);
}

/* Compares the node with those before it. */
static void check_node(struct config_reading *rd, unsigned index, const struct source *s)
{
        const struct config_node *nodes = rd->config->nodes, *node = &nodes[index];
        char why[64];
        unsigned i;

        for (i = 0; i < index; ++i) {
                if (!nodes[i].name) /* it was complained about */
                        continue;
                if ((nodes[i].address.kind == ADDRESS_MEMORY) != (node->address.kind == ADDRESS_MEMORY)) {
                        complain(rd, s->url_at, index, s->url_path, "memory: cannot be mixed with other nodes");
                        return;
                }
                if (same_address(&nodes[i].address, &node->address)) {
                        snprintf(why, sizeof(why), "the same address as nodes[%u]", i);
                        complain(rd, s->url_at, index, s->url_path, why);
                        return;
                }
                if (strcmp(nodes[i].name, node->name) == 0) {
                        snprintf(why, sizeof(why), "the same name as nodes[%u]", i);
                        complain(rd, s->name_at ? s->name_at : s->url_at, index, s->name_at ? ".name" : "", why);
                        return;
                }
        }
}

/* One element into config->nodes at its index. A node that was complained about may stay without a name. */
static int read_node(struct config_reading *rd, const struct config_member *element)
{
        struct config_node *node = &rd->config->nodes[element->index];
        struct source source = { .url = NULL };
        const char *error;
        int r;

        r = read_source(rd, element, &source);
        if (r < 0 || !source.url)
                goto out;
        r = address_parse(source.url, &node->address, &error);
        if (r == -EINVAL) {
                complain(rd, source.url_at, element->index, source.url_path, error);
                r = 0;
                goto out;
        }
        if (r == 0)
                r = apply_password(rd, element->index, &source, &node->address);
        if (r == 0)
                r = apply_name(rd, element->index, &source, node);
        if (r == 0)
                check_node(rd, element->index, &source);
out:
        source_deinit(&source);
        return r;
}

static void nodes_free(struct config *c)
{
        unsigned i;

        for (i = 0; i < c->nodes_n; ++i)
                config_node_deinit(&c->nodes[i]);
        c->nodes = mem_free(c->nodes);
        c->nodes_n = 0;
}

void config_set_nodes(struct config *c, struct config_node *nodes, unsigned n)
{
        nodes_free(c);
        c->nodes = nodes;
        c->nodes_n = n;
}

int config_default_nodes(struct config *c)
{
        struct config_node *node = mem_zalloc(sizeof(*node));
        const char *unused;
        int r = -ENOMEM;

        if (!node)
                return r;
        r = address_parse("memory:", &node->address, &unused);
        if (r == 0)
                node->name = default_name(&node->address);
        if (!node->name) {
                address_deinit(&node->address);
                mem_free(node);
                return -ENOMEM;
        }
        config_set_nodes(c, node, 1);
        return 0;
}

int config_read_nodes(struct config_reading *rd, const struct config_member *member)
{
        struct config_member element;
        struct config_node *nodes;
        struct config_cursor c;
        unsigned n = 0;
        int r;

        rd->nodes_at = member->at;
        if (member->json.data[0] != '[') {
                config_complain(rd, member->at, member->name, "must be an array");
                return 0;
        }
        config_cursor_init(&c, &rd->text, member->json);
        while ((r = config_cursor_next(&c, &element)) > 0)
                ++n;
        if (r < 0 || n == 0)
                return r;
        if (n > NODES_MAX) {
                config_complain(rd, member->at, member->name, "must have at most %d nodes", NODES_MAX);
                return 0;
        }
        nodes = mem_zalloc_n(n, sizeof(*nodes));
        if (!nodes)
                return -ENOMEM;
        config_set_nodes(rd->config, nodes, n);
        config_cursor_init(&c, &rd->text, member->json);
        while ((r = config_cursor_next(&c, &element)) > 0) {
                r = read_node(rd, &element);
                if (r < 0)
                        return r;
        }
        return r;
}

static bool is_one_of(const struct config_node *node, const struct config_node *const *nodes, unsigned n)
{
        unsigned i;

        for (i = 0; i < n && !config_same_node(node, nodes[i]); ++i)
                ;
        return i < n;
}

void config_check_members(struct config_reading *rd)
{
        const struct config_running *running = rd->running;
        const struct config_node *given[NODES_MAX] = { NULL };
        unsigned come = 0, gone = 0, i;

        for (i = 0; i < rd->config->nodes_n; ++i) {
                given[i] = &rd->config->nodes[i];
                come += !is_one_of(given[i], running->nodes, running->nodes_n);
        }
        for (i = 0; i < running->nodes_n; ++i)
                gone += !is_one_of(running->nodes[i], given, rd->config->nodes_n);
        if (come + gone == 0)
                return;
        if ((running->nodes[0]->address.kind == ADDRESS_MEMORY) !=
            (rd->config->nodes[0].address.kind == ADDRESS_MEMORY))
                config_complain(rd, rd->nodes_at, "nodes", "memory: cannot take turns with other nodes");
        else if (come + gone > 1)
                config_complain(rd, rd->nodes_at, "nodes",
                                "%u would come and %u go, and only one may at a time (majorities before and after must "
                                "have a node in common)",
                                come, gone);
        else if (running->nodes_wait_ms > 0)
                config_complain(rd, rd->nodes_at, "nodes",
                                "a node came or went a moment ago: the next one may in %llu ms, when what was locked "
                                "before has lapsed (lock.maxTtl)",
                                (unsigned long long)running->nodes_wait_ms);
}
