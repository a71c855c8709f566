#!/bin/sh
# Which lines and branches of src the tests reach. Assertions are left out: their other branch must never be taken.
#
#       tests/coverage.sh [more]        more: end to end as well
#
# build/coverage.md is the table by layer, build/coverage/index.html every line. A process that is killed does not say what
# it has run.
set -eu
cd "$(dirname "$0")/.."
build=build/coverage
run="make --no-print-directory -s -j2 BUILD=$build CFLAGS=-O0\ -g\ --coverage"
find $build -name '*.gcda' -delete 2>/dev/null || true

eval "$run" all check-unit check-sim check-net swarm
[ "${1:-}" != more ] || eval "$run" check-e2e || echo "coverage: not all end to end passed; what they reached is counted" >&2
gcovr --root . --object-directory $build --filter src/ --exclude-lines-by-pattern '.*\bassert\(.*' --gcov-ignore-parse-errors \
        --json $build/all.json --json-summary $build/summary.json --html-details $build/index.html --html-title redlockd >$build/gcovr.log 2>&1 ||
        { cat $build/gcovr.log >&2; exit 1; }
/usr/bin/python3 - $build/summary.json <<'END' | tee build/coverage.md
import collections, json, sys

layers = collections.defaultdict(lambda: [0, 0, 0, 0])
for file in json.load(open(sys.argv[1]))["files"]:
    for name in (file["filename"].split("/")[1], "**all**"):
        for i, what in enumerate(("line_covered", "line_total", "branch_covered", "branch_total")):
            layers[name][i] += file[what]
print("| layer | lines | of | | branches | of | |\n|---|---|---|---|---|---|---|")
for name in (*sorted(n for n in layers if n != "**all**"), "**all**"):
    lines, lines_n, branches, branches_n = layers[name]
    print(f"| {name} | {lines} | {lines_n} | {100 * lines / lines_n:.1f} % | {branches} | {branches_n} | {100 * branches / branches_n:.1f} % |")
END
