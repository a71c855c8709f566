/*
 * What a Redis node says. The first byte says in which pieces it comes, the second what was asked, the third what is
 * known of the node so far; the rest are its bytes. The same values come out however they were cut; none has more bytes
 * or values than one reply may have; and what is made of them (of an answer to a command or a batch, to a part of the
 * introduction or of a look) is either refused, or within what the engine may be told.
 */
#include "fuzz/fuzz.h"

#include "redlockd/net/redis_batch.h"
#include "redlockd/net/redis_hello.h"
#include "redlockd/net/redis_look.h"
#include "redlockd/net/redis_script.h"
#include "redlockd/net/redis_words.h"

#include <errno.h>

#define VALUES_COMPARED_MAX 4096

/* Of one reading: a number for each value, and how it ended. */
struct reading {
        uint64_t values[VALUES_COMPARED_MAX];
        size_t values_n;
        int end;
};

typedef void (*value_fn)(const struct redis_value *value, unsigned asked);

static char user[] = "u", password[] = "secret";
static const struct address address = { .kind = ADDRESS_TCP, .user = user, .password = password };
static struct redis_look look;
static struct redis_facts facts;

static void check_text(struct text text)
{
        must(text.data && text.len < REDIS_REPLY_BYTES_MAX && text.data[text.len] == '\0');
}

static uint64_t check_value(const struct redis_value *value)
{
        uint64_t hash = 0;
        size_t i;

        must(value->elements_n < REDIS_REPLY_NODES_MAX);
        must(value->kind == REDIS_VALUE_ARRAY || value->elements_n == 0);
        for (i = 0; i <= value->elements_n; ++i) {
                hash = hash * 31 + value[i].kind + (uint64_t)value[i].integer;
                must(i == 0 || value[i].kind != REDIS_VALUE_ARRAY);
                if (value[i].kind == REDIS_VALUE_STATUS || value[i].kind == REDIS_VALUE_ERROR ||
                    value[i].kind == REDIS_VALUE_STRING) {
                        check_text(value[i].text);
                        hash = hash * 31 + fuzz_hash(value[i].text);
                }
        }
        return hash;
}

/* Words for people: one line, without the password. */
static void check_words(const char *words, size_t size)
{
        const char *c;

        must(memchr(words, '\0', size));
        for (c = words; *c; ++c)
                must(*c >= ' ' && *c <= '~');
}

static void use_as_answer(const struct redis_value *value, unsigned asked)
{
        enum command_kind kind = asked % COMMAND_KINDS_N;
        unsigned items_n = 1 + asked / COMMAND_KINDS_N % KEYS_PER_ROUND_MAX;
        uint64_t all = items_n == 64 ? UINT64_MAX : (UINT64_C(1) << items_n) - 1;
        char words[NODE_REASON_MAX];
        unsigned acquire_n = asked % (items_n + 1);
        uint64_t fences[KEYS_PER_ROUND_MAX];
        struct answer answer;

        if (value->kind == REDIS_VALUE_ERROR) {
                redis_words_of_script(words, value->text);
                check_words(words, sizeof(words));
                return;
        }
        if (redis_script_decode(value, kind, items_n, acquire_n, fences, &answer) < 0)
                return;
        must(value->kind == REDIS_VALUE_STRING);
        must((answer.taken & ~all) == 0);
        must(answer.verdict != ANSWER_HELD || answer.taken);
        for (unsigned i = 0; i < acquire_n && answer.fences; ++i)
                must(answer.fences[i] < FENCE_MAX);
        must(kind != COMMAND_PEEK || answer.peek <= PEEK_OTHER_TYPE);
        if (answer.facts)
                must(strlen(answer.facts) < REDIS_REPLY_BYTES_MAX);
}

/* The answers to a batch, each as it would be told. */
static void use_as_batch(const struct redis_value *value, unsigned asked)
{
        unsigned n = 2 + asked % (REDIS_BATCH_MAX - 1), i;
        struct redis_batch_answers answers;
        char words[NODE_REASON_MAX];
        struct answer answer;
        uint64_t fence;

        if (redis_batch_decode(value, n, &answers) < 0)
                return;
        must(value->kind == REDIS_VALUE_STRING);
        for (i = 0; i < n; ++i) {
                enum command_kind kind = (asked / 8 + i) % 3 ? COMMAND_TAKE : COMMAND_RELEASE;

                if (redis_batch_next(&answers, kind, &fence, words, &answer) < 0)
                        return;
                must((answer.taken & ~UINT64_C(1)) == 0);
                must(answer.verdict != ANSWER_HELD || (answer.taken && kind == COMMAND_TAKE));
                must(!answer.fences || (answer.fences == &fence && fence < FENCE_MAX));
                must((answer.verdict == ANSWER_ERROR) == (answer.error != NULL));
                if (answer.error)
                        check_words(answer.error, sizeof(words));
        }
        must(answers.rest.len == 0);
}

static void use_as_introduction(const struct redis_value *value, unsigned asked)
{
        static const enum redis_owed_kind kinds[] = { REDIS_OWED_AUTH, REDIS_OWED_SELECT, REDIS_OWED_SETNAME,
                                                      REDIS_OWED_LOAD, REDIS_OWED_ID,     REDIS_OWED_KILL };
        struct redis_owed owed = { .kind = kinds[asked % 6], .script = asked / 6 % REDIS_SCRIPTS_N };
        char reason[NODE_REASON_MAX] = "";

        if (redis_hello_take(&facts, &owed, value, &address, reason) < 0) {
                check_words(reason, sizeof(reason));
                must(reason[0] && !strstr(reason, address.password));
        }
        must(strlen(facts.scripts[owed.script].sha) == REDIS_SHA_LEN || !facts.scripts[owed.script].sha[0]);
}

static void check_look(void)
{
        struct buffer output = BUFFER_INIT(REDIS_OUTPUT_MAX);
        struct redis_owed_queue owed = { 0 };
        struct node_look judged;

        check_words(look.version, sizeof(look.version));
        check_words(look.run_id, sizeof(look.run_id));
        check_words(look.identity, sizeof(look.identity));
        must(memchr(look.standing, '\0', sizeof(look.standing)));
        judged = redis_look_judge(&look);
        must(judged.verdict <= LOOK_UNFIT);
        must((judged.verdict == LOOK_CERTIFIED) == (judged.reason[0] == '\0'));
        check_words(judged.reason, NODE_REASON_MAX);
        must(redis_look_encode(&output, &owed, &look, 1) == 0);
        must(redis_look_encode_certify(&output, &owed, &look, &judged.mark, 1) == 0);
        if (redis_look_revokes(&look))
                must(redis_look_encode_revoke(&output, &owed, 1) == 0);
        if (redis_look_again(&look))
                must(look.members[0]);
        buffer_deinit(&output);
        redis_owed_deinit(&owed);
}

/* The answers of a look, beginning at any of them. */
static void use_as_look(const struct redis_value *value, unsigned asked)
{
        static unsigned turn;
        static const enum redis_owed_kind kinds[] = { REDIS_OWED_PING, REDIS_OWED_CONFIG,   REDIS_OWED_INFO,
                                                      REDIS_OWED_MARK, REDIS_OWED_STANDING, REDIS_OWED_CERTIFY,
                                                      REDIS_OWED_TIME };
        char reason[NODE_REASON_MAX] = "";
        int r;

        turn = asked < 128 ? asked : turn + 1;
        r = redis_look_take(&look, kinds[turn % (sizeof(kinds) / sizeof(kinds[0]))], value, reason);
        must(r == 0 || r == 1 || r == -EPROTO);
        if (r < 0)
                check_words(reason, sizeof(reason));
        else if (r == 1)
                check_look();
}

static void start_look(unsigned known)
{
        look = (struct redis_look){ .ttl_max_ms = 60000, .aof = known & 1, .clockless = known & 16 };
        if (known & 2)
                snprintf(look.members, sizeof(look.members), "0123456789abcdef");
        if (known & 4)
                snprintf(look.former, sizeof(look.former), "fedcba9876543210");
        if (known & 8)
                snprintf(look.kept, sizeof(look.kept), "r");
        memset(&facts, 0, sizeof(facts));
}

static void take_values(struct redis_reader *reader, struct reading *reading, value_fn use, unsigned asked)
{
        const struct redis_value *value;
        uint64_t hash;

        while ((reading->end = redis_reader_next(reader, &value)) == 1) {
                hash = check_value(value);
                if (reading->values_n < VALUES_COMPARED_MAX)
                        reading->values[reading->values_n++] = hash;
                if (use)
                        use(value, asked);
        }
        must(reading->end == 0 || reading->end == -EPROTO);
        if (reading->end < 0)
                must(redis_reader_reason(reader)[0]);
}

static void read_all(struct redis_reader *reader, struct text bytes, size_t piece, struct reading *reading,
                     value_fn use, unsigned asked)
{
        size_t at, n;
        char *copy;

        must(redis_reader_reset(reader) == 0);
        reading->values_n = 0;
        reading->end = 0;
        for (at = 0; at < bytes.len && reading->end == 0; at += n) {
                n = piece < bytes.len - at ? piece : bytes.len - at;
                copy = fuzz_copy((struct text){ bytes.data + at, n });
                must(redis_reader_feed(reader, copy, n) == 0);
                take_values(reader, reading, use, asked);
                free(copy);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static const value_fn uses[] = { use_as_answer, use_as_introduction, use_as_look, use_as_batch };
        static struct redis_reader *reader;
        static struct reading whole, cut;
        struct text bytes = { (const char *)data, size };
        size_t piece = fuzz_byte(&bytes) + 1;
        unsigned asked = fuzz_byte(&bytes), known = fuzz_byte(&bytes);

        if (!reader)
                must(redis_reader_new(&reader) == 0);
        start_look(known);
        read_all(reader, bytes, SIZE_MAX, &whole, uses[known / 16 % 4], asked);
        read_all(reader, bytes, piece, &cut, NULL, 0);
        must(whole.end == cut.end && whole.values_n == cut.values_n);
        must(memcmp(whole.values, cut.values, whole.values_n * sizeof(whole.values[0])) == 0);
        return 0;
}
