/*
 * One node's keys: values with an expiry, in a hash table. A key whose time has passed does not exist; it is dropped
 * when it is met, or by a sweep once the table has doubled since the last one.
 */
#include "redlockd/store/memory.h"

#include "redlockd/base/map.h"
#include "redlockd/base/mem.h"

#include <assert.h>
#include <errno.h>

#define MEMORY_SWEEP_MIN 64

struct entry {
        struct map_link link;
        uint64_t expires_ms;
        char value[TOKEN_TEXT_LEN + 1];
        size_t key_len;
        char key[];
};

struct memory {
        struct map entries;
        struct hash_seed seed; /* all zero: the keys have passed the engine, whose own table is seeded */
        size_t sweep_at;
};

int memory_new(struct memory **ret_memory)
{
        struct memory *m = mem_zalloc(sizeof(*m));

        if (!m)
                return -ENOMEM;
        if (map_init(&m->entries) < 0) {
                mem_free(m);
                return -ENOMEM;
        }
        m->sweep_at = MEMORY_SWEEP_MIN;
        *ret_memory = m;
        return 0;
}

static void memory_drop(struct memory *m, struct entry *entry)
{
        map_unlink(&m->entries, &entry->link);
        mem_free(entry);
}

void memory_flush(struct memory *m)
{
        struct map_link *link;

        while ((link = map_any(&m->entries)))
                memory_drop(m, container_of(link, struct entry, link));
}

struct memory *memory_free(struct memory *m)
{
        if (!m)
                return NULL;
        memory_flush(m);
        map_deinit(&m->entries);
        return mem_free(m);
}

static bool entry_expired(const struct entry *entry, uint64_t now_ms)
{
        return entry->expires_ms <= now_ms;
}

static struct entry *memory_find(const struct memory *m, struct text key, uint64_t now_ms)
{
        struct map_link *link;

        for (link = map_first(&m->entries, hash_text(&m->seed, key)); link; link = map_next(link)) {
                struct entry *entry = container_of(link, struct entry, link);

                if (text_equal(key, (struct text){ entry->key, entry->key_len }))
                        return entry_expired(entry, now_ms) ? NULL : entry;
        }
        return NULL;
}

static void memory_sweep(struct memory *m, uint64_t now_ms)
{
        struct map_link *link = map_any(&m->entries), *next;

        if (m->entries.n < m->sweep_at)
                return;
        for (; link; link = next) {
                struct entry *entry = container_of(link, struct entry, link);

                next = map_after(&m->entries, link);
                if (entry_expired(entry, now_ms))
                        memory_drop(m, entry);
        }
        m->sweep_at = 2 * m->entries.n + MEMORY_SWEEP_MIN;
}

/* Puts a key that is not there. Returns 0 or -ENOMEM. */
static int memory_put(struct memory *m, const struct command_item *item, uint64_t now_ms, uint64_t expires_ms)
{
        uint64_t hash = hash_text(&m->seed, item->key);
        struct map_link *link, *next;
        struct entry *entry;

        memory_sweep(m, now_ms);
        for (link = map_first(&m->entries, hash); link; link = next) {
                entry = container_of(link, struct entry, link);
                next = map_next(link);
                if (text_equal(item->key, (struct text){ entry->key, entry->key_len }))
                        memory_drop(m, entry); /* an expired one of the same key */
        }
        entry = mem_zalloc(sizeof(*entry) + item->key.len);
        if (!entry)
                return -ENOMEM;
        entry->expires_ms = expires_ms;
        memcpy(entry->value, item->value, TOKEN_TEXT_LEN);
        entry->key_len = item->key.len;
        memcpy(entry->key, item->key.data, item->key.len);
        map_link(&m->entries, &entry->link, hash);
        return 0;
}

static void memory_release(struct memory *m, const struct command *command, uint64_t now_ms, struct answer *answer)
{
        unsigned i;

        for (i = 0; i < command->items_n; ++i) {
                struct entry *entry = memory_find(m, command->items[i].key, now_ms);

                if (entry && strcmp(entry->value, command->items[i].value) == 0) {
                        memory_drop(m, entry);
                        ++answer->number;
                }
        }
        answer->verdict = ANSWER_GRANTED;
}

static void memory_renew(struct memory *m, const struct command *command, uint64_t now_ms, struct answer *answer)
{
        unsigned i;

        for (i = 0; i < command->items_n; ++i) {
                struct entry *entry = memory_find(m, command->items[i].key, now_ms);
                uint64_t expires_ms = now_ms + command->items[i].ttl_ms;

                if (!entry || strcmp(entry->value, command->items[i].value) != 0)
                        answer->taken |= UINT64_C(1) << i;
                else if (entry->expires_ms < expires_ms)
                        entry->expires_ms = expires_ms;
        }
        answer->verdict = answer->taken ? ANSWER_HELD : ANSWER_GRANTED;
}

static void memory_take(struct memory *m, const struct command *command, uint64_t now_ms, struct answer *answer)
{
        uint64_t expires_ms = now_ms + command->ttl_ms;
        unsigned i;

        for (i = 0; i < command->items_n; ++i) {
                struct entry *entry = memory_find(m, command->items[i].key, now_ms);
                bool ours = entry && strcmp(entry->value, command->items[i].value) == 0;

                if (i < command->acquire_n ? !entry : ours)
                        continue;
                answer->taken |= UINT64_C(1) << i;
                if (entry && entry->expires_ms - now_ms > answer->number)
                        answer->number = entry->expires_ms - now_ms;
        }
        answer->verdict = answer->taken ? ANSWER_HELD : ANSWER_GRANTED;
        if (answer->taken)
                return;
        for (i = 0; i < command->items_n; ++i) {
                if (i >= command->acquire_n) {
                        struct entry *entry = memory_find(m, command->items[i].key, now_ms);

                        assert(entry); /* it was ours above */
                        if (entry->expires_ms < expires_ms)
                                entry->expires_ms = expires_ms;
                } else if (memory_put(m, &command->items[i], now_ms, expires_ms) < 0) {
                        answer->verdict = ANSWER_ERROR;
                        answer->error = "OOM no memory for the key";
                        return;
                }
        }
}

static void memory_peek(struct memory *m, const struct command *command, uint64_t now_ms, struct answer *answer)
{
        const struct entry *entry = memory_find(m, command->items[0].key, now_ms);

        answer->verdict = ANSWER_GRANTED;
        if (!entry)
                return;
        answer->peek = strcmp(entry->value, command->items[0].value) == 0 ? PEEK_OURS : PEEK_OTHER;
        answer->number = entry->expires_ms - now_ms;
}

void memory_execute(struct memory *m, const struct command *command, uint64_t now_ms, struct answer *ret_answer)
{
        struct answer answer = { .node_ms = now_ms };

        assert(command->items_n > 0 && command->items_n <= KEYS_PER_ROUND_MAX);
        switch (command->kind) {
        case COMMAND_TAKE:
                memory_take(m, command, now_ms, &answer);
                break;
        case COMMAND_RELEASE:
                memory_release(m, command, now_ms, &answer);
                break;
        case COMMAND_RENEW:
                memory_renew(m, command, now_ms, &answer);
                break;
        case COMMAND_PEEK:
                memory_peek(m, command, now_ms, &answer);
                break;
        case COMMAND_KINDS_N:
                assert(false);
        }
        *ret_answer = answer;
}

size_t memory_keys(const struct memory *m, uint64_t now_ms)
{
        struct map_link *link;
        size_t n = 0;

        for (link = map_any(&m->entries); link; link = map_after(&m->entries, link))
                n += !entry_expired(container_of(link, struct entry, link), now_ms);
        return n;
}

const char *memory_get(const struct memory *m, struct text key, uint64_t now_ms)
{
        struct entry *entry = memory_find(m, key, now_ms);

        return entry ? entry->value : NULL;
}
