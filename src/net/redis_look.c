/*
 * A look, at the introduction and at every heartbeat:
 *
 *      PING                                says whether the server works at all
 *      CONFIG GET                          only of a server with an AOF: whether it loses anything at a restart
 *      TIME                                only of a server whose INFO does not tell it: its clock
 *      INFO                                who it is, its clock, and what makes it unfit to vote
 *      SET redlockd:cert mark NX           where nothing stands, a mark of random bits: no two looks leave the same
 *      GET redlockd:cert                   its certificate, a mark, or the certificate of something else
 *
 * The certificate is `identity|members|maxTtl`:
 *
 * identity     The run_id: it changes at every restart. A master that has been a replica goes on under its run_id with
 *              data that came from elsewhere, its own certificate of earlier perhaps among them; so the id of the
 *              history that it took over (master_replid2) belongs to it then.
 * members      A hash over the names that the configuration gives to its nodes, sorted. Not over their addresses, since
 *              hosts may have to reach one server by different ones; names are for the operator to choose, and are
 *              host:port by default. Not over their run_ids, since one restart would then void all certificates.
 * maxTtl       Who asks for longer locks needs longer quarantines.
 *
 * So a host with another list or another limit finds the node certified for something else: it does not count it, says
 * why, and writes its own certificate after a quarantine like any other, whereupon the others find out.
 *
 * A list that changes while the daemon runs (by one node, so that old and new majorities still meet) need not silence
 * all nodes: a certificate says of a node that it has forgotten nothing, and that is as true for the new list. The
 * former one counts as well for a time in which every host can be given the new list; then it is replaced where it
 * stands, and who still has the old list finds out.
 *
 * A node that keeps its certificate over a restart must have forgotten nothing else: with an AOF that is synced before
 * each reply (`appendfsync always`, also during a rewrite) and loaded to its last byte or not at all
 * (`aof-load-truncated no`). All of that is verified, before the restart and after it, by the same daemon; what it has
 * not seen itself, or may not ask for, does not count.
 *
 * A server that may evict keys may drop a lock and keep the certificate: whoever sees that puts a mark in its place.
 */
#include "redlockd/net/redis_look.h"

#include "redlockd/base/map.h"
#include "redlockd/net/redis_info.h"
#include "redlockd/net/redis_script.h"
#include "redlockd/net/redis_words.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <uv.h>

#define MARK_PREFIX "mark|"
#define MARK_BYTES  16
#define MARK_MAX    (sizeof(MARK_PREFIX) + (size_t)2 * MARK_BYTES)

/* What has to be seen for a restart to forget nothing. */
enum look_config {
        CONFIG_ALWAYS = 1 << 0,        /* appendfsync always */
        CONFIG_REWRITE = 1 << 1,       /* no-appendfsync-on-rewrite no */
        CONFIG_NOT_TRUNCATED = 1 << 2, /* aof-load-truncated no */
        CONFIG_ALL = CONFIG_ALWAYS | CONFIG_REWRITE | CONFIG_NOT_TRUNCATED,
};

void redis_members(const char *const *names, unsigned names_n, char ret_members[REDIS_MEMBERS_MAX])
{
        uint64_t hash = UINT64_C(0xcbf29ce484222325);
        const char *sorted[NODES_MAX] = { NULL }, *c;
        unsigned i, k;

        assert(names_n <= NODES_MAX);
        for (i = 0; i < names_n; ++i) {
                for (k = i; k > 0 && strcmp(sorted[k - 1], names[i]) > 0; --k)
                        sorted[k] = sorted[k - 1];
                sorted[k] = names[i];
        }
        for (i = 0; i < names_n; ++i) {
                for (c = sorted[i]; *c; ++c)
                        hash = (hash ^ (unsigned char)*c) * UINT64_C(0x100000001b3);
                hash *= UINT64_C(0x100000001b3); /* the NUL, so that "ab", "c" is not "a", "bc" */
        }
        snprintf(ret_members, REDIS_MEMBERS_MAX, "%016llx", (unsigned long long)hash);
}

void redis_look_reset(struct redis_look *look)
{
        struct redis_look fresh = { .ttl_max_ms = look->ttl_max_ms };

        memcpy(fresh.members, look->members, sizeof(fresh.members));
        memcpy(fresh.former, look->former, sizeof(fresh.former));
        memcpy(fresh.kept, look->kept, sizeof(fresh.kept));
        *look = fresh;
}

/* The certificate of this identity for these members. */
static void look_print(const struct redis_look *look, const char *identity, const char *members,
                       char ret_certificate[REDIS_CERTIFICATE_MAX])
{
        snprintf(ret_certificate, REDIS_CERTIFICATE_MAX, "%s|%s|%u", identity, members, (unsigned)look->ttl_max_ms);
}

/* Is that what stands there? */
static bool look_stands(const struct redis_look *look, const char *identity, const char *members)
{
        char certificate[REDIS_CERTIFICATE_MAX];

        if (!look->standing[0] || !identity[0] || !members[0])
                return false;
        look_print(look, identity, members, certificate);
        return strcmp(look->standing, certificate) == 0;
}

static void look_draw_mark(char ret_mark[MARK_MAX])
{
        unsigned char bytes[MARK_BYTES];
        size_t n, i;
        int r;

        r = uv_random(NULL, NULL, bytes, sizeof(bytes), 0, NULL);
        assert(r == 0);
        n = (size_t)snprintf(ret_mark, MARK_MAX, MARK_PREFIX);
        for (i = 0; i < sizeof(bytes); ++i)
                n += (size_t)snprintf(ret_mark + n, MARK_MAX - n, "%02x", bytes[i]);
}

static int look_add(struct buffer *output, struct redis_owed_queue *owed, uint64_t now_ns, enum redis_owed_kind kind,
                    const struct text *args, size_t args_n)
{
        int r;

        r = redis_owed_reserve(owed);
        if (r < 0)
                return r;
        r = redis_encode(output, args, args_n);
        if (r < 0)
                return r;
        redis_owed_push(owed, &(struct redis_owed){ .kind = kind, .sent_ns = now_ns });
        return 0;
}

static int look_add_config(struct buffer *output, struct redis_owed_queue *owed, uint64_t now_ns, const char *pattern)
{
        const struct text args[] = { text_of("CONFIG"), text_of("GET"), text_of(pattern) };

        return look_add(output, owed, now_ns, REDIS_OWED_CONFIG, args, 3);
}

int redis_look_encode(struct buffer *output, struct redis_owed_queue *owed, const struct redis_look *look,
                      uint64_t now_ns)
{
        const struct text ping = text_of("PING"), time = text_of("TIME"), info = text_of("INFO");
        const struct text key = text_of(REDIS_CERTIFICATE_KEY);
        char mark[MARK_MAX];
        int r;

        r = look_add(output, owed, now_ns, REDIS_OWED_PING, &ping, 1);
        if (r == 0 && look->members[0] && look->aof && !look->config_refused) {
                r = look_add_config(output, owed, now_ns, "*append*");
                if (r == 0)
                        r = look_add_config(output, owed, now_ns, "aof-load-truncated");
        }
        if (r == 0 && look->clockless)
                r = look_add(output, owed, now_ns, REDIS_OWED_TIME, &time, 1);
        if (r == 0)
                r = look_add(output, owed, now_ns, REDIS_OWED_INFO, &info, 1);
        if (r < 0 || !look->members[0])
                return r;
        look_draw_mark(mark);
        r = look_add(output, owed, now_ns, REDIS_OWED_MARK,
                     (const struct text[]){ text_of("SET"), key, text_of(mark), text_of("NX") }, 4);
        if (r == 0)
                r = look_add(output, owed, now_ns, REDIS_OWED_STANDING, (const struct text[]){ text_of("GET"), key },
                             2);
        return r;
}

int redis_look_encode_revoke(struct buffer *output, struct redis_owed_queue *owed, uint64_t now_ns)
{
        char mark[MARK_MAX];

        look_draw_mark(mark);
        return look_add(output, owed, now_ns, REDIS_OWED_MARK,
                        (const struct text[]){ text_of("SET"), text_of(REDIS_CERTIFICATE_KEY), text_of(mark) }, 3);
}

/* Stands for what is there: two things that differ have the same number once in 2^64 times. */
static uint64_t look_mark(const struct redis_look *look)
{
        return hash_text(&(struct hash_seed){ 0 }, text_of(look->standing));
}

int redis_look_encode_certify(struct buffer *output, struct redis_owed_queue *owed, const struct redis_look *look,
                              const uint64_t *mark, uint64_t now_ns)
{
        char certificate[REDIS_CERTIFICATE_MAX] = "";
        struct text args[] = {
                text_of("EVAL"),         text_of(redis_script_certify), text_of("1"), text_of(REDIS_CERTIFICATE_KEY),
                text_of(look->standing), text_of(look->run_id),         { NULL, 0 },
        };

        if (!look->members[0] || !look->identity[0] || !look->standing[0])
                return 0;
        if (mark ? look_mark(look) != *mark : !look_stands(look, look->identity, look->former))
                return 0;
        look_print(look, look->identity, look->members, certificate);
        args[6] = text_of(certificate);
        return look_add(output, owed, now_ns, REDIS_OWED_CERTIFY, args, sizeof(args) / sizeof(args[0]));
}

static int look_take_info(struct redis_look *look, const struct redis_value *value, char ret_reason[NODE_REASON_MAX])
{
        char words[NODE_REASON_MAX / 2];

        if (value->kind == REDIS_VALUE_ERROR) {
                redis_words(words, sizeof(words), value->text);
                snprintf(look->unfit, sizeof(look->unfit),
                         "INFO: %s; allow it (ACL: +info), and name the server itself, not a proxy", words);
                look->node_ms = 0;
                return 0;
        }
        if (redis_info_take(look, value->text) < 0) {
                snprintf(ret_reason, NODE_REASON_MAX,
                         "another server answers on the same connection: name the Redis server itself, not a proxy");
                return -EPROTO;
        }
        return 0;
}

static int look_take_time(struct redis_look *look, const struct redis_value *value)
{
        char line[64]; /* far more than two numbers take */
        struct text rest;
        int n;

        look->node_ms = 0;
        if (value->kind == REDIS_VALUE_ERROR)
                return 0;
        if (value->elements_n != 2 || value[1].kind != REDIS_VALUE_STRING || value[2].kind != REDIS_VALUE_STRING)
                return -EPROTO;
        n = snprintf(line, sizeof(line), "%s %s", value[1].text.data, value[2].text.data);
        rest = (struct text){ line, (size_t)n };
        if (rest.len >= sizeof(line) || redis_script_read_time(&rest, &look->node_ms) < 0)
                return -EPROTO;
        return rest.len == 0 ? 0 : -EPROTO;
}

static void look_take_config(struct redis_look *look, const struct redis_value *value)
{
        static const struct {
                const char *name, *value;
                enum look_config bit;
        } wanted[] = { { "appendfsync", "always", CONFIG_ALWAYS },
                       { "no-appendfsync-on-rewrite", "no", CONFIG_REWRITE },
                       { "aof-load-truncated", "no", CONFIG_NOT_TRUNCATED } };
        size_t i, k;

        look->config_seen = true;
        look->config_refused = value->kind == REDIS_VALUE_ERROR;
        for (i = 1; i + 1 <= value->elements_n; i += 2)
                for (k = 0; k < sizeof(wanted) / sizeof(wanted[0]); ++k)
                        if (text_equal(value[i].text, text_of(wanted[k].name)) &&
                            text_equal(value[i + 1].text, text_of(wanted[k].value)))
                                look->config |= wanted[k].bit;
}

static void look_take_standing(struct redis_look *look, const struct redis_value *value)
{
        char words[NODE_REASON_MAX / 2];

        look->standing[0] = '\0';
        if (value->kind == REDIS_VALUE_ERROR) {
                redis_words(words, sizeof(words), value->text);
                snprintf(look->trouble, sizeof(look->trouble), "cannot read " REDIS_CERTIFICATE_KEY ": %s", words);
        } else if (value->kind == REDIS_VALUE_NIL) {
                return;
        } else if (value->text.len >= sizeof(look->standing) || memchr(value->text.data, '\0', value->text.len)) {
                snprintf(look->trouble, sizeof(look->trouble), REDIS_CERTIFICATE_KEY " is not redlockd's: delete it");
        } else {
                memcpy(look->standing, value->text.data, value->text.len);
                look->standing[value->text.len] = '\0';
        }
}

static void look_take_written(char trouble[NODE_REASON_MAX], const struct redis_value *value)
{
        char words[NODE_REASON_MAX / 2];

        trouble[0] = '\0';
        if (value->kind != REDIS_VALUE_ERROR)
                return;
        redis_words(words, sizeof(words), value->text);
        snprintf(trouble, NODE_REASON_MAX, "cannot write " REDIS_CERTIFICATE_KEY ": %s", words);
}

static bool look_shape_fits(enum redis_owed_kind kind, const struct redis_value *value)
{
        if (value->kind == REDIS_VALUE_ERROR)
                return true;
        switch (kind) {
        case REDIS_OWED_PING:
                return value->kind == REDIS_VALUE_STATUS && text_equal(value->text, text_of("PONG"));
        case REDIS_OWED_CONFIG:
        case REDIS_OWED_TIME:
                return value->kind == REDIS_VALUE_ARRAY;
        case REDIS_OWED_INFO:
                return value->kind == REDIS_VALUE_STRING;
        case REDIS_OWED_MARK:
                return value->kind == REDIS_VALUE_STATUS || value->kind == REDIS_VALUE_NIL;
        case REDIS_OWED_STANDING:
                return value->kind == REDIS_VALUE_STRING || value->kind == REDIS_VALUE_NIL;
        default:
                return value->kind == REDIS_VALUE_INTEGER;
        }
}

int redis_look_take(struct redis_look *look, enum redis_owed_kind kind, const struct redis_value *value,
                    char ret_reason[NODE_REASON_MAX])
{
        static const char *const names[] = {
                [REDIS_OWED_PING] = "PING",    [REDIS_OWED_CONFIG] = "CONFIG GET", [REDIS_OWED_TIME] = "TIME",
                [REDIS_OWED_INFO] = "INFO",    [REDIS_OWED_MARK] = "SET",          [REDIS_OWED_STANDING] = "GET",
                [REDIS_OWED_CERTIFY] = "EVAL",
        };
        char words[NODE_REASON_MAX / 2];
        int r = 0;

        if (!look_shape_fits(kind, value) || (kind == REDIS_OWED_TIME && look_take_time(look, value) < 0)) {
                snprintf(ret_reason, NODE_REASON_MAX, "an answer of the wrong shape to %s", names[kind]);
                return -EPROTO;
        }
        switch (kind) {
        case REDIS_OWED_PING:
                if (value->kind != REDIS_VALUE_ERROR)
                        return 0;
                redis_words(words, sizeof(words), value->text);
                snprintf(ret_reason, NODE_REASON_MAX, "PING: %s", words);
                return -EPROTO;
        case REDIS_OWED_TIME:
                return 0;
        case REDIS_OWED_CONFIG:
                look_take_config(look, value);
                return 0;
        case REDIS_OWED_INFO:
                r = look_take_info(look, value, ret_reason);
                return r < 0 ? r : !look->members[0];
        case REDIS_OWED_STANDING:
                look_take_standing(look, value);
                return 1;
        default:
                look_take_written(kind == REDIS_OWED_MARK ? look->trouble : look->certify_trouble, value);
                return 0;
        }
}

static const char *look_why_uncertified(const struct redis_look *look)
{
        size_t n = strlen(look->identity);

        if (look->certify_trouble[0])
                return look->certify_trouble;
        if (strncmp(look->standing, MARK_PREFIX, strlen(MARK_PREFIX)) == 0)
                return "no certificate: new, restarted or flushed; silent for the longest ttl, or until an operator "
                       "certifies it";
        if (strncmp(look->standing, look->identity, n) == 0 && look->standing[n] == '|')
                return "certified for another list of nodes or another lock.maxTtl: they must be the same on every "
                       "host";
        return "its certificate is another server's or of an earlier run: it was restarted, replaced or rolled back";
}

/* Which certificate counts, and whether it stands. */
static bool look_is_certified(struct redis_look *look)
{
        look->certificate[0] = '\0';
        if (!look->members[0])
                return true;
        look_print(look, look->identity, look->members, look->certificate);
        if (look_stands(look, look->identity, look->former))
                memcpy(look->certificate, look->standing, sizeof(look->certificate));
        return strcmp(look->standing, look->certificate) == 0;
}

struct node_look redis_look_judge(struct redis_look *look)
{
        bool durable = look->aof && look->config == CONFIG_ALL;
        bool kept = look_stands(look, look->kept, look->members) || look_stands(look, look->kept, look->former);
        bool certified = look_is_certified(look);
        struct node_look judged = { .verdict = LOOK_CERTIFIED,
                                    .run_id = look->run_id,
                                    .reason = "",
                                    .node_ms = look->node_ms,
                                    .sent_ns = look->sent_ns };

        look->again = look->members[0] && look->aof && !look->config_seen && !look->config_refused;
        look->config_seen = false;
        look->config = 0;
        if (look->unfit[0]) {
                judged.verdict = LOOK_UNFIT;
                judged.reason = look->unfit;
        } else if (certified) {
                look->certify_trouble[0] = '\0';
        } else if (!look->standing[0]) {
                judged.verdict = LOOK_UNFIT;
                judged.reason = look->trouble[0] ? look->trouble : "cannot write " REDIS_CERTIFICATE_KEY;
        } else {
                judged.verdict = durable && kept ? LOOK_KEPT : LOOK_UNCERTIFIED;
                judged.reason = look_why_uncertified(look);
                judged.mark = look_mark(look);
        }
        if (judged.verdict == LOOK_CERTIFIED)
                snprintf(look->kept, sizeof(look->kept), "%s", durable ? look->identity : "");
        else if (judged.verdict != LOOK_KEPT && !look->again)
                look->kept[0] = '\0';
        return judged;
}

void redis_look_settle(struct redis_look *look)
{
        bool replaced = look_stands(look, look->identity, look->former);

        look->former[0] = '\0';
        if (!replaced)
                return;
        look_print(look, look->identity, look->members, look->certificate);
        memcpy(look->standing, look->certificate, sizeof(look->standing));
}

bool redis_look_revokes(const struct redis_look *look)
{
        return look->members[0] && look->evicts && strcmp(look->standing, look->certificate) == 0;
}

bool redis_look_again(const struct redis_look *look)
{
        return look->again || redis_look_revokes(look);
}
