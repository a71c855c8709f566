#!/bin/sh
# Looks at the program without running it, with one tool after another; any report of any of them is a failure. What a tool
# has wrong is suppressed where it stands, with the reason beside it.
#
#       tests/analyze.sh BUILD [gcc] [tidy] [cppcheck] [scan]
set -eu
cd "$(dirname "$0")/.."
build=$1
shift
out=$build/analyze
rm -rf "$out"
mkdir -p "$out"
defines='-D_GNU_SOURCE -DREDLOCKD_VERSION="" -Iinclude'
flags="-std=gnu11 $defines $(pkg-config --cflags libuv hiredis jansson)"
failed=0

verdict() { # verdict TOOL REPORT: what it said is nothing, or it failed
        if [ -s "$2" ]; then
                cat "$2" >&2
                echo "analyze: $1 has something to say" >&2
                failed=1
        else
                echo "analyze: $1 ok"
        fi
}

# Without optimization more of the source is there to be looked at, with it more is seen across functions.
with_gcc() {
        export flags
        # shellcheck disable=SC2016
        for level in -O0 -O1; do
                export level
                find src -name '*.c' | sort | xargs -P "$(nproc)" -n 1 sh -c 'gcc -fanalyzer $level $flags -c "$1" -o /dev/null 2>&1' gcc
        done >"$out/gcc" || true
        verdict "gcc -fanalyzer" "$out/gcc"
}

with_tidy() {
        tests/tidy.sh "$build" >"$out/said" 2>"$out/tidy" || true
        verdict clang-tidy "$out/tidy"
}

# Its own macros for lists and JSON it has to be told; all other headers of the system it does without.
with_cppcheck() {
        # shellcheck disable=SC2086
        cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr --suppress=missingIncludeSystem \
                --include="$(echo '#include <sys/queue.h>' | gcc -E - | sed -n 's/^# 1 "\(.*queue\.h\)".*/\1/p' | head -1)" \
                --include="$(pkg-config --variable=includedir jansson)/jansson.h" $defines -j "$(nproc)" src 2>"$out/cppcheck" || true
        verdict cppcheck "$out/cppcheck"
}

with_scan() {
        scan-build -o "$out/scan" --use-cc=gcc -enable-checker optin.portability,nullability \
                make -s BUILD="$out/build" CFLAGS=-O0 all >"$out/said" 2>&1 || cp "$out/said" "$out/scan-failed"
        find "$out/scan" -name '*.html' 2>/dev/null >"$out/scan-reports" || true
        [ ! -f "$out/scan-failed" ] || cat "$out/scan-failed" >>"$out/scan-reports"
        verdict scan-build "$out/scan-reports"
}

for tool in "$@"; do
        "with_$tool"
done
exit "$failed"
