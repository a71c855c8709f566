/*
 * Where bytes differ, the last `*` takes one byte more and the rest is compared anew; an earlier one never has to: what
 * it could take further the last one can take as well. So the time is bounded by the product of the two lengths.
 */
#include "redlockd/base/pattern.h"

bool pattern_matches(struct text pattern, struct text key)
{
        size_t p = 0, k = 0, star = pattern.len, taken = 0;

        while (k < key.len) {
                if (p < pattern.len && pattern.data[p] == '*') {
                        star = p++;
                        taken = k;
                } else if (p < pattern.len && pattern.data[p] == key.data[k]) {
                        ++p;
                        ++k;
                } else if (star < pattern.len) {
                        p = star + 1;
                        k = ++taken;
                } else {
                        return false;
                }
        }
        while (p < pattern.len && pattern.data[p] == '*')
                ++p;
        return p == pattern.len;
}
