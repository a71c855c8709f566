#pragma once

/* What a server says of an error, made fit to be told. */
#include "redlockd/base/text.h"
#include "redlockd/core/types.h"

/* Copies words of a server for people: one line, printable, cut to the size. */
void redis_words(char *ret_words, size_t size, struct text words);

/* The words of an error in a script, without those that say where in it it happened, which help nobody. */
void redis_words_of_script(char ret_words[NODE_REASON_MAX], struct text error);
