/*
 * The commands of the engine on a connection that is up: how they go out, and what their answers say.
 */
#include "redlockd/net/clock.h"
#include "redlockd/net/redis_script.h"
#include "redlockd/net/redis_state.h"

#include <errno.h>

void redis_answer(struct redis *r, uint64_t round, const struct answer *answer)
{
        r->options.on_answer(r->options.userdata, r->options.node, round, answer);
}

/* An error: is the script missing, then the command was not carried out and the next one brings the text along. */
static void redis_read_error(struct redis *r, const struct redis_owed *owed, const struct redis_value *value,
                             char ret_words[NODE_REASON_MAX], struct answer *ret_answer)
{
        redis_script_words(ret_words, value->text);
        if (!owed->by_text && strncmp(ret_words, "NOSCRIPT", strlen("NOSCRIPT")) == 0) {
                r->facts.scripts[owed->command].by_text = true;
                *ret_answer = (struct answer){ .verdict = ANSWER_AGAIN };
        } else {
                redis_hello_hide(ret_words, r->options.address);
                *ret_answer = (struct answer){ .verdict = ANSWER_ERROR, .error = ret_words };
        }
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
        const struct redis_link *link = r->link;
        const uint64_t round = owed->round;
        char words[NODE_REASON_MAX];
        struct answer answer;

        if (value->kind == REDIS_VALUE_ERROR) {
                redis_read_error(r, owed, value, words, &answer);
        } else if (redis_script_decode(value, kind, owed->items_n, owed->acquire_n, r->fences, &answer) < 0) {
                redis_give_up(r, shapes[kind]);
                return;
        } else if (owed->by_text) {
                r->facts.scripts[kind].by_text = false;
        }
        redis_owed_pop(&r->owed);
        redis_answer(r, round, &answer);
        if (answer.verdict == ANSWER_UNCERTIFIED && r->link == link && r->state == REDIS_UP && r->looks_n == 0)
                redis_look(r);
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
        k = redis_script_encode(redis_link_output(r->link), &r->facts.scripts[command->kind], r->options.key_prefix,
                                r->look.certificate, command, &owed.by_text);
        if (k < 0)
                return k;
        redis_owed_push(&r->owed, &owed);
        return 0;
}
