/*
 * Random bits and their text.
 */
#include "redlockd/core/token.h"

#include "redlockd/base/hex.h"
#include "redlockd/core/state.h"

void token_draw(const struct engine *e, struct token *ret_token)
{
        e->options.random(e->options.random_userdata, ret_token->bytes, sizeof(ret_token->bytes));
}

void token_print(const struct token *t, char ret_text[TOKEN_TEXT_LEN + 1])
{
        hex_print(t->bytes, sizeof(t->bytes), ret_text);
}
