/*
 * One node's keys: values with an expiry and a fence, in a hash table. A key whose time has passed, or that was
 * deleted, does not exist; but its fence does, until the clock has passed it by so far that a key without one begins
 * above it. Then it is dropped, by a sweep once the table has doubled since the last one.
 */
#include "redlockd/store/memory.h"

#include "redlockd/base/hex.h"
#include "redlockd/base/map.h"
#include "redlockd/base/mem.h"
#include "redlockd/base/slab.h"

#include <assert.h>
#include <errno.h>

#define MEMORY_SWEEP_MIN 64

#define VALUE_LEN (TOKEN_TEXT_LEN / 2)

/* There is one for each lock: two of its numbers share a word, which with the digits packed saves 32 of 112 bytes. */
struct entry {
        struct map_link link;
        uint64_t expires_ms : 44; /* until the year 2527; 0: deleted */
        uint64_t key_len : 20;
        uint64_t fence;
        unsigned char value[VALUE_LEN]; /* of its text's digits */
        char key[];
};

struct memory {
        struct map entries;
        struct hash_seed seed; /* all zero: the keys have passed the engine, whose own table is seeded */
        size_t sweep_at;
        uint64_t swept_fence;                /* no key that was dropped had a higher one */
        uint64_t fences[KEYS_PER_ROUND_MAX]; /* of the last answer */
        char value[TOKEN_TEXT_LEN + 1];      /* that was looked at last */
};

static size_t entry_size(size_t key_len)
{
        return offsetof(struct entry, key) + key_len;
}

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
        slab_free(entry, entry_size(entry->key_len));
}

void memory_flush(struct memory *m)
{
        struct map_link *link;

        while ((link = map_any(&m->entries)))
                memory_drop(m, container_of(link, struct entry, link));
        m->swept_fence = 0;
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

/* The entry of a key, whether the key exists or not; NULL: it has none. */
static struct entry *memory_entry(const struct memory *m, struct text key, uint64_t hash)
{
        struct map_link *link;

        for (link = map_first(&m->entries, hash); link; link = map_next(link)) {
                struct entry *entry = container_of(link, struct entry, link);

                if (text_equal(key, (struct text){ entry->key, entry->key_len }))
                        return entry;
        }
        return NULL;
}

static struct entry *memory_find(const struct memory *m, struct text key, uint64_t now_ms)
{
        struct entry *entry = memory_entry(m, key, hash_text(&m->seed, key));

        return entry && !entry_expired(entry, now_ms) ? entry : NULL;
}

/* What a key without a fence begins at. */
static uint64_t memory_floor(const struct memory *m, uint64_t now_ms, uint32_t slack_ms)
{
        uint64_t floor = now_ms > slack_ms ? (now_ms - slack_ms) * FENCE_STEP : 0;

        return floor > m->swept_fence ? floor : m->swept_fence;
}

static void memory_sweep(struct memory *m, uint64_t now_ms, uint64_t floor)
{
        struct map_link *link, *next;

        if (m->entries.n < m->sweep_at)
                return;
        for (link = map_any(&m->entries); link; link = next) {
                struct entry *entry = container_of(link, struct entry, link);

                next = map_after(&m->entries, link);
                if (entry_expired(entry, now_ms) && entry->fence <= floor)
                        memory_drop(m, entry);
        }
        m->swept_fence = floor;
        m->sweep_at = 2 * m->entries.n + MEMORY_SWEEP_MIN;
}

/* Puts a key that does not exist; its value is a token. NULL: no memory. */
static struct entry *memory_put(struct memory *m, const struct command_item *item, uint64_t expires_ms)
{
        uint64_t hash = hash_text(&m->seed, item->key);
        struct entry *entry = memory_entry(m, item->key, hash);
        unsigned char value[VALUE_LEN];
        bool token = hex_read(item->value, value, sizeof(value));

        assert(token);
        if (!entry) {
                entry = slab_zalloc(entry_size(item->key.len));
                if (!entry)
                        return NULL;
                assert(item->key.len < 1 << 20);
                entry->key_len = item->key.len;
                memcpy(entry->key, item->key.data, item->key.len);
                map_link(&m->entries, &entry->link, hash);
        }
        entry->expires_ms = expires_ms;
        memcpy(entry->value, value, sizeof(value));
        return entry;
}

static bool entry_is(const struct entry *entry, const struct command_item *item)
{
        unsigned char value[VALUE_LEN];

        return entry && hex_read(item->value, value, sizeof(value)) && memcmp(entry->value, value, sizeof(value)) == 0;
}

static void entry_raise(struct entry *entry, const struct command_item *item, uint64_t expires_ms)
{
        if (entry->expires_ms < expires_ms)
                entry->expires_ms = expires_ms;
        if (entry->fence < item->fence || entry->fence >= FENCE_STORED_MAX)
                entry->fence = item->fence;
}

static void memory_release(struct memory *m, const struct command *command, uint64_t now_ms, struct answer *answer)
{
        unsigned i;

        for (i = 0; i < command->items_n; ++i) {
                struct entry *entry = memory_find(m, command->items[i].key, now_ms);

                if (entry_is(entry, &command->items[i])) {
                        entry->expires_ms = 0;
                        ++answer->number;
                }
        }
        answer->verdict = ANSWER_GRANTED;
}

static void memory_renew(struct memory *m, const struct command *command, uint64_t now_ms, struct answer *answer)
{
        unsigned i;

        for (i = 0; i < command->items_n; ++i) {
                const struct command_item *item = &command->items[i];
                struct entry *entry = memory_find(m, item->key, now_ms);

                if (entry_is(entry, item))
                        entry_raise(entry, item, now_ms + item->ttl_ms);
                else
                        answer->taken |= UINT64_C(1) << i;
        }
        answer->verdict = answer->taken ? ANSWER_HELD : ANSWER_GRANTED;
}

static void memory_plant(struct memory *m, const struct command *command, uint64_t now_ms, struct answer *answer)
{
        unsigned i;

        for (i = 0; i < command->items_n; ++i) {
                const struct command_item *item = &command->items[i];
                struct entry *entry = memory_find(m, item->key, now_ms);

                if (!entry)
                        entry = memory_put(m, item, now_ms + item->ttl_ms);
                if (entry_is(entry, item))
                        entry_raise(entry, item, now_ms + item->ttl_ms);
                else
                        answer->taken |= UINT64_C(1) << i;
        }
        answer->verdict = answer->taken ? ANSWER_HELD : ANSWER_GRANTED;
}

/* What its fence is to be now: see core/fence.h. */
static uint64_t memory_fence(const struct memory *m, const struct entry *entry, uint64_t proposal, uint64_t now_ms,
                             uint32_t slack_ms)
{
        uint64_t ahead = (now_ms + slack_ms) * FENCE_STEP, stored = memory_floor(m, now_ms, slack_ms);

        if (entry->fence > stored && entry->fence < FENCE_STORED_MAX)
                stored = entry->fence;
        if (proposal > ahead)
                proposal = ahead;
        return stored + FENCE_STEP > proposal ? stored + FENCE_STEP : proposal;
}

static void memory_take(struct memory *m, const struct command *command, uint64_t now_ms, struct answer *answer)
{
        uint64_t expires_ms = now_ms + command->ttl_ms;
        struct entry *entry;
        unsigned i;

        for (i = 0; i < command->items_n; ++i) {
                entry = memory_find(m, command->items[i].key, now_ms);
                if (i < command->acquire_n ? !entry : entry_is(entry, &command->items[i]))
                        continue;
                answer->taken |= UINT64_C(1) << i;
                if (entry && entry->expires_ms - now_ms > answer->number)
                        answer->number = entry->expires_ms - now_ms;
        }
        answer->verdict = answer->taken ? ANSWER_HELD : ANSWER_GRANTED;
        if (answer->taken)
                return;
        memory_sweep(m, now_ms, memory_floor(m, now_ms, command->fence_slack_ms));
        for (i = 0; i < command->items_n; ++i) {
                if (i >= command->acquire_n) {
                        entry = memory_find(m, command->items[i].key, now_ms);
                        assert(entry); /* it was ours above */
                        entry_raise(entry, &command->items[i], expires_ms);
                        continue;
                }
                entry = memory_put(m, &command->items[i], expires_ms);
                if (!entry) {
                        answer->verdict = ANSWER_ERROR;
                        answer->error = "OOM no memory for the key";
                        return;
                }
                m->fences[i] = entry->fence =
                        memory_fence(m, entry, command->items[i].fence, now_ms, command->fence_slack_ms);
        }
        answer->fences = m->fences;
}

static void memory_peek(struct memory *m, const struct command *command, uint64_t now_ms, struct answer *answer)
{
        const struct entry *entry = memory_find(m, command->items[0].key, now_ms);

        answer->verdict = ANSWER_GRANTED;
        if (!entry)
                return;
        answer->peek = entry_is(entry, &command->items[0]) ? PEEK_OURS : PEEK_OTHER;
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
        case COMMAND_PLANT:
                memory_plant(m, command, now_ms, &answer);
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

const char *memory_get(struct memory *m, struct text key, uint64_t now_ms)
{
        struct entry *entry = memory_find(m, key, now_ms);

        if (!entry)
                return NULL;
        hex_print(entry->value, sizeof(entry->value), m->value);
        return m->value;
}
