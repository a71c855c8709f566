#!/bin/sh
# The walls of the house: who may include whom, what the core may call, and what clang-tidy finds.
#
#       tests/tidy.sh BUILD         BUILD holds the archives of the layers (build)
set -eu
cd "$(dirname "$0")/.."
build=${1:-build}
failed=0

complain() {
        echo "tidy: $*" >&2
        failed=1
}

# may LAYER ALLOWED-HEADERS: every #include in the layer's files must match the extended regular expression.
may() {
        layer=$1
        allowed=$2
        libc='<(assert|errno|ctype|dirent|fcntl|getopt|grp|inttypes|limits|locale|malloc|math|netdb|poll|pwd|signal|stdarg|stdbool|stddef|stdint|stdio|stdlib|string|strings|time|unistd|sys/[a-z_]+|netinet/[a-z]+|arpa/inet)\.h>'
        for file in $(find src/"$layer" include/redlockd/"$layer" -name '*.[ch]'); do
                bad=$(sed -n 's/^#include //p' "$file" | grep -vE "^($libc|\"redlockd/$layer/.*\"|$allowed)\$" || true)
                [ -z "$bad" ] || complain "$file may not include $(echo "$bad" | tr '\n' ' ')"
        done
}

base='"redlockd/base/[a-z_]+\.h"'
types='"redlockd/core/types\.h"'
inspect='"redlockd/core/(engine|inspect)\.h"'
may base '<none>'
may core "$base"
may store "$base|$types"
may wire "$base|$types|$inspect|<jansson\.h>"
may net "$base|$types|<uv\.h>|<hiredis/[a-z]+\.h>"
may daemon "$base|$types|$inspect|\"redlockd/(store|wire|net)/[a-z_]+\.h\"|<uv\.h>"
may ctl "$base|\"redlockd/wire/line\.h\"|<jansson\.h>|<curses\.h>"

# No jansson type leaves the wire, no hiredis or libuv type gets into the core.
for file in $(find include -name '*.h' ! -path '*/wire/*' ! -path '*/ctl/*'); do
        ! grep -qE '\bjson_t\b|jansson' "$file" || complain "$file speaks of jansson"
done

# The core calls memory, strings and base, and nothing that has a clock or a descriptor.
calls=$(nm -u "$build/libcore.a" | awk '$1 == "U" { print $2 }' | sort -u)
own=$(nm --defined-only "$build/libcore.a" "$build/libbase.a" | awk 'NF == 3 { print $3 }' | sort -u)
pure='mem(cpy|cmp|set|move)(_chk)?|__mem(cpy|set|move)_chk|str(len|cmp|ncmp|ncpy)(_chk)?|__str(ncpy)_chk|__assert_fail|__stack_chk_fail|__popcountdi2|_GLOBAL_OFFSET_TABLE_|__(asan|ubsan|lsan|sanitizer)_.*'
for symbol in $calls; do
        echo "$own" | grep -qx "$symbol" || echo "$symbol" | grep -qxE "$pure" || complain "the core calls $symbol"
done

# What outsiders of the core may not know.
if grep -rnE 'redlockd/core/(state|call|lock|round|resource|release|session)\.h' src include --include='*.[ch]' |
        grep -vE '^(src|include/redlockd)/core/' >&2; then
        complain "a header of the core's inside is included outside"
fi

# The top level is what it is; what a fuzzer or a core dump leaves there is not committed.
for entry in $(git ls-files 2>/dev/null | cut -d/ -f1 | sort -u | grep -v '^\.'); do
        case $entry in
        src | include | conf | systemd | tests | Makefile | README.md | LICENSE) ;;
        *) complain "$entry does not belong at the top level" ;;
        esac
done

if [ -z "${TIDY_QUICK:-}" ]; then
        flags="-std=gnu11 -D_GNU_SOURCE -DREDLOCKD_VERSION=\"\" -Iinclude $(pkg-config --cflags libuv hiredis jansson)"
        checks='-*,clang-analyzer-*,bugprone-*,-bugprone-easily-swappable-parameters,-bugprone-assignment-in-if-condition,-bugprone-branch-clone,-clang-analyzer-security.insecureAPI.*,-bugprone-reserved-identifier,-bugprone-sizeof-expression,-bugprone-multi-level-implicit-pointer-conversion,-bugprone-inc-dec-in-conditions'
        export flags checks
        # shellcheck disable=SC2016
        find src -name '*.c' | sort | xargs -P "$(nproc)" -n 1 sh -c \
                'clang-tidy --quiet --warnings-as-errors="*" --checks="$checks" "$@" -- $flags' tidy >"$build/tidy.log" 2>&1 ||
                { cat "$build/tidy.log" >&2; complain "clang-tidy found something"; }
fi

[ "$failed" -eq 0 ] && echo "tidy: ok"
exit "$failed"
