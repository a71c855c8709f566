#pragma once

/*
 * A lock's value: 128 random bits. Nobody else can guess it, and no two are the same. It is text wherever it leaves the
 * engine (TOKEN_TEXT_LEN lower-case hex digits), and half as long within.
 */
#include "redlockd/core/types.h"

struct engine;

struct token {
        unsigned char bytes[TOKEN_TEXT_LEN / 2];
};

void token_draw(const struct engine *e, struct token *ret_token);

void token_print(const struct token *t, char ret_text[TOKEN_TEXT_LEN + 1]);
