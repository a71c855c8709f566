/*
 * A batch is kept as commands, not as bytes, until it is closed: it is only known then whether it is more than one, and
 * a call names all of its keys before anything else.
 */
#include "redlockd/net/redis_batch.h"
#include "redlockd/net/redis_words.h"

#include "redlockd/base/mem.h"

#include <assert.h>
#include <errno.h>

/* Which script, how many keys; certificate, slack, kinds; a key, a value, a ttl and a fence for each. */
#define BATCH_ARGS_MAX (6 + 4 * REDIS_BATCH_MAX)
_Static_assert(BATCH_ARGS_MAX <= REDIS_ARGS_MAX, "a batch of the most commands can be encoded");

/* At most, of a call, and of each command in it beside its key: arguments with their frames. The script may be among
 * them. */
#define BATCH_BYTES_MAX      8192
#define BATCH_ITEM_BYTES_MAX 256

void redis_batch_init(struct redis_batch *b, unsigned max)
{
        assert(max <= REDIS_BATCH_MAX);
        *b = (struct redis_batch){ .max = max, .keys = BUFFER_INIT(REDIS_OUTPUT_MAX) };
}

void redis_batch_clear(struct redis_batch *b)
{
        b->n = 0;
        buffer_consume(&b->keys, buffer_len(&b->keys));
}

void redis_batch_deinit(struct redis_batch *b)
{
        b->n = 0;
        buffer_deinit(&b->keys);
}

bool redis_batch_takes(const struct command *command)
{
        return command->items_n == 1 &&
               (command->kind == COMMAND_RELEASE || (command->kind == COMMAND_TAKE && command->acquire_n == 1));
}

bool redis_batch_has_room(const struct redis_batch *b, const struct command *command)
{
        if (b->n == 0)
                return true;
        return b->n < b->max && b->fence_slack_ms == command->fence_slack_ms &&
               buffer_len(&b->keys) + command->items[0].key.len <= REDIS_BATCH_KEYS_MAX;
}

int redis_batch_add(struct redis_batch *b, const struct command *command)
{
        const struct command_item *item = &command->items[0];
        const size_t value_len = strlen(item->value);
        int r;

        assert(redis_batch_takes(command) && redis_batch_has_room(b, command));
        assert(value_len < sizeof(b->values[0]));
        r = buffer_append(&b->keys, item->key.data, item->key.len);
        if (r < 0)
                return r;
        memcpy(b->values[b->n], item->value, value_len + 1);
        b->items[b->n] = *item;
        b->items[b->n].value = b->values[b->n];
        b->items[b->n].ttl_ms = command->ttl_ms;
        b->kinds[b->n++] = command->kind;
        b->fence_slack_ms = command->fence_slack_ms;
        return 0;
}

size_t redis_batch_bytes_max(const struct redis_batch *b, const char *key_prefix, const struct command *command)
{
        return BATCH_BYTES_MAX + buffer_len(&b->keys) + command->items[0].key.len +
               (b->n + 1) * (strlen(key_prefix) + BATCH_ITEM_BYTES_MAX);
}

/* What the script knows it by: see redis_script.h. */
static char batch_letter(const struct redis_batch *b, unsigned i)
{
        if (b->kinds[i] == COMMAND_TAKE)
                return 't';
        return b->items[i].heard ? '1' : '0';
}

static int batch_encode(const struct redis_batch *b, const struct redis_batch_target *target, bool *ret_by_text)
{
        const struct redis_script *script = &target->scripts[REDIS_SCRIPT_BATCH];
        char digits[2 + 2 * REDIS_BATCH_MAX][NUMBER_TEXT_MAX], letters[REDIS_BATCH_MAX], *block;
        struct text args[BATCH_ARGS_MAX];
        size_t n = 0, digits_n = 0;
        unsigned i;
        int r;

        *ret_by_text = redis_script_name(script, REDIS_SCRIPT_BATCH, args);
        n += 2;
        args[n++] = text_of_number(digits[digits_n++], b->n);
        r = redis_script_keys(b->items, b->n, target->key_prefix, &args[n], &block);
        if (r < 0)
                return r;
        n += b->n;
        args[n++] = text_of(target->certificate);
        args[n++] = text_of_number(digits[digits_n++], b->fence_slack_ms);
        args[n++] = (struct text){ letters, b->n };
        for (i = 0; i < b->n; ++i) {
                letters[i] = batch_letter(b, i);
                args[n++] = text_of(b->items[i].value);
                if (b->kinds[i] != COMMAND_TAKE)
                        continue;
                args[n++] = text_of_number(digits[digits_n++], b->items[i].ttl_ms);
                args[n++] = text_of_number(digits[digits_n++], b->items[i].fence);
        }
        r = redis_encode(target->output, args, n);
        mem_free(block);
        return r;
}

static int batch_encode_alone(const struct redis_batch *b, const struct redis_batch_target *target, bool *ret_by_text)
{
        const struct command command = { .kind = b->kinds[0],
                                         .ttl_ms = b->items[0].ttl_ms,
                                         .fence_slack_ms = b->fence_slack_ms,
                                         .items = b->items,
                                         .items_n = 1,
                                         .acquire_n = b->kinds[0] == COMMAND_TAKE };

        return redis_script_encode(target->output, &target->scripts[command.kind], target->key_prefix,
                                   target->certificate, &command, ret_by_text);
}

int redis_batch_close(struct redis_batch *b, const struct redis_batch_target *target)
{
        const char *key = buffer_data(&b->keys);
        struct redis_owed *first;
        bool by_text;
        unsigned i;
        int r;

        if (b->n == 0)
                return 0;
        for (i = 0; i < b->n; ++i) {
                b->items[i].key.data = key;
                key += b->items[i].key.len;
        }
        r = b->n == 1 ? batch_encode_alone(b, target, &by_text) : batch_encode(b, target, &by_text);
        if (r < 0)
                return r;
        first = redis_owed_last(target->owed, b->n);
        first->by_text = by_text;
        first->batch_n = b->n;
        redis_batch_clear(b);
        return 0;
}

/* The next line of an answer, without its end. */
static struct text batch_line(struct text *rest)
{
        const char *end = rest->len > 0 ? memchr(rest->data, '\n', rest->len) : NULL;
        const struct text line = { rest->data, end ? (size_t)(end - rest->data) : rest->len };
        const size_t taken = line.len + (end ? 1 : 0);

        *rest = (struct text){ rest->data + taken, rest->len - taken };
        return line;
}

int redis_batch_decode(const struct redis_value *value, unsigned n, struct redis_batch_answers *ret_answers)
{
        struct redis_batch_answers answers = { .rest = value->text };
        struct text line;
        size_t i;

        if (value->kind != REDIS_VALUE_STRING)
                return -EPROTO;
        for (i = 0; i < value->text.len; ++i)
                n -= value->text.data[i] == '\n';
        line = batch_line(&answers.rest);
        if (n != 0 || redis_script_read_time(&line, &answers.node_ms) < 0 || line.len > 0)
                return -EPROTO;
        *ret_answers = answers;
        return 0;
}

int redis_batch_next(struct redis_batch_answers *answers, enum command_kind kind, uint64_t *ret_fence,
                     char words[NODE_REASON_MAX], struct answer *ret_answer)
{
        struct text line = batch_line(&answers->rest);

        *ret_answer = (struct answer){ .node_ms = answers->node_ms };
        if (line.len == 0 || line.data[0] != '-')
                return redis_script_read_rest(line, kind, 1, kind == COMMAND_TAKE, ret_fence, ret_answer);
        redis_words_of_script(words, (struct text){ line.data + 1, line.len - 1 });
        ret_answer->verdict = ANSWER_ERROR;
        ret_answer->error = words;
        return 0;
}
