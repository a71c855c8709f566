#pragma once

/*
 * Patterns of keys: `*` stands for any bytes, also none; every other byte for itself.
 */
#include "redlockd/base/text.h"

bool pattern_matches(struct text pattern, struct text key);
