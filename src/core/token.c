/*
 * Random bits and their text.
 */
#include "redlockd/core/token.h"

#include "redlockd/core/state.h"

void token_draw(const struct engine *e, struct token *ret_token)
{
        e->options.random(e->options.random_userdata, ret_token->bytes, sizeof(ret_token->bytes));
}

void token_print(const struct token *t, char ret_text[TOKEN_TEXT_LEN + 1])
{
        static const char digits[] = "0123456789abcdef";
        size_t i;

        for (i = 0; i < sizeof(t->bytes); ++i) {
                ret_text[2 * i] = digits[t->bytes[i] >> 4];
                ret_text[2 * i + 1] = digits[t->bytes[i] & 15];
        }
        ret_text[TOKEN_TEXT_LEN] = '\0';
}
