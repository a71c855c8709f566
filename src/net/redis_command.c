/*
 * The commands of the engine on a connection that is up: how they go out, and what their answers say.
 */
#include "redlockd/net/clock.h"
#include "redlockd/net/redis_script.h"
#include "redlockd/net/redis_state.h"
#include "redlockd/net/redis_words.h"

#include <errno.h>

void redis_answer(struct redis *r, uint64_t round, const struct answer *answer)
{
        r->options.on_answer(r->options.userdata, r->options.node, round, answer);
}

/*
 * An error. Is the script missing, then nothing was carried out, and the next call brings its text along. May one key
 * of a batch not be used, then Redis refused all of it before it began: until the next look each has a call of its own,
 * so that what is asked for a second time is not refused for another's sake again, and whoever asks for such a key does
 * not slow all others down for long.
 */
static void redis_read_error(struct redis *r, const struct redis_owed *owed, const struct redis_value *value,
                             char ret_words[NODE_REASON_MAX], struct answer *ret_answer)
{
        const unsigned script = owed->batch_n > 1 ? REDIS_SCRIPT_BATCH : owed->command;

        *ret_answer = (struct answer){ .verdict = ANSWER_AGAIN };
        redis_words_of_script(ret_words, value->text);
        if (!owed->by_text && strncmp(ret_words, "NOSCRIPT", strlen("NOSCRIPT")) == 0) {
                r->facts.scripts[script].by_text = true;
        } else if (owed->batch_n > 1 && strncmp(ret_words, "NOPERM", strlen("NOPERM")) == 0) {
                r->facts.unbatched = true;
        } else {
                redis_hello_hide(ret_words, r->options.address);
                *ret_answer = (struct answer){ .verdict = ANSWER_ERROR, .error = ret_words };
        }
}

/* Answers what is owed first. Returns false where the connection was given up by that. */
static bool redis_settle_first(struct redis *r, const struct answer *answer)
{
        const struct redis_link *link = r->link;
        const uint64_t round = redis_owed_first(&r->owed)->round;

        redis_owed_pop(&r->owed);
        redis_answer(r, round, answer);
        if (r->link != link)
                return false;
        if (answer->verdict == ANSWER_UNCERTIFIED && r->state == REDIS_UP && r->looks_n == 0)
                redis_look(r);
        return r->link == link;
}

static void redis_on_batch(struct redis *r, const struct redis_value *value)
{
        const struct redis_owed *owed = redis_owed_first(&r->owed);
        struct redis_batch_answers answers;
        unsigned n = owed->batch_n;
        char words[NODE_REASON_MAX];
        struct answer answer;

        if (value->kind == REDIS_VALUE_ERROR) {
                redis_read_error(r, owed, value, words, &answer);
                while (n-- > 0 && redis_settle_first(r, &answer))
                        continue;
                return;
        }
        if (redis_batch_decode(value, n, &answers) < 0) {
                redis_give_up(r, "an answer of the wrong shape to a batch");
                return;
        }
        if (owed->by_text)
                r->facts.scripts[REDIS_SCRIPT_BATCH].by_text = false;
        do {
                owed = redis_owed_first(&r->owed);
                if (redis_batch_next(&answers, owed->command, r->fences, words, &answer) < 0) {
                        redis_give_up(r, "an answer of the wrong shape in a batch");
                        return;
                }
                if (answer.error)
                        redis_hello_hide(words, r->options.address);
        } while (redis_settle_first(r, &answer) && --n > 0);
}

void redis_on_command(struct redis *r, const struct redis_value *value)
{
        static const char *const shapes[COMMAND_KINDS_N] = { "an answer of the wrong shape to TAKE",
                                                             "an answer of the wrong shape to RELEASE",
                                                             "an answer of the wrong shape to RENEW",
                                                             "an answer of the wrong shape to PLANT",
                                                             "an answer of the wrong shape to PEEK" };
        const struct redis_owed *owed = redis_owed_first(&r->owed);
        const enum command_kind kind = owed->command;
        char words[NODE_REASON_MAX];
        struct answer answer;

        if (owed->batch_n > 1) {
                redis_on_batch(r, value);
                return;
        }
        if (value->kind == REDIS_VALUE_ERROR) {
                redis_read_error(r, owed, value, words, &answer);
        } else if (redis_script_decode(value, kind, owed->items_n, owed->acquire_n, r->fences, &answer) < 0) {
                redis_give_up(r, shapes[kind]);
                return;
        } else if (owed->by_text) {
                r->facts.scripts[kind].by_text = false;
        }
        redis_settle_first(r, &answer);
}

int redis_close_batch(struct redis *r)
{
        const struct redis_batch_target target = { .output = redis_link_output(r->link),
                                                   .owed = &r->owed,
                                                   .scripts = r->facts.scripts,
                                                   .key_prefix = r->options.key_prefix,
                                                   .certificate = r->look.certificate };

        return redis_batch_close(&r->batch, &target);
}

static int redis_send_batched(struct redis *r, const struct command *command)
{
        const struct buffer *output = redis_link_output(r->link);
        int k;

        if (!redis_batch_has_room(&r->batch, command)) {
                k = redis_close_batch(r);
                if (k < 0)
                        return k;
        }
        if (redis_batch_bytes_max(&r->batch, r->options.key_prefix, command) > output->max - buffer_len(output))
                return -ENOBUFS;
        return redis_batch_add(&r->batch, command);
}

static int redis_send_alone(struct redis *r, const struct command *command, bool *ret_by_text)
{
        int k = redis_close_batch(r);

        if (k < 0)
                return k;
        return redis_script_encode(redis_link_output(r->link), &r->facts.scripts[command->kind], r->options.key_prefix,
                                   r->look.certificate, command, ret_by_text);
}

int redis_send(struct redis *r, const struct command *command)
{
        struct redis_owed owed = {
                .kind = REDIS_OWED_COMMAND,
                .command = command->kind,
                .items_n = command->items_n,
                .acquire_n = command->acquire_n,
                .round = command->round,
                .sent_ns = clock_now_ns(),
        };
        int k;

        if (r->state != REDIS_UP)
                return -ENOTCONN;
        if (r->owed.n >= REDIS_QUEUE_MAX)
                return -ENOBUFS;
        k = redis_owed_reserve(&r->owed);
        if (k < 0)
                return k;
        if (r->batch.max > 1 && redis_batch_takes(command) && !r->facts.unbatched)
                k = redis_send_batched(r, command);
        else
                k = redis_send_alone(r, command, &owed.by_text);
        if (k < 0)
                return k;
        redis_owed_push(&r->owed, &owed);
        return 0;
}
