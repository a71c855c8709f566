#!/bin/sh
# Runs each fuzzer: first the inputs that are committed, every one of them once; then for the given time, from them and from
# what earlier runs found new. What makes one fail is kept in BUILD/found, and so is a table of what was done, in
# BUILD/fuzz.md.
#
#       tests/fuzz/run.sh BUILD SECONDS [TARGET]        BUILD holds the fuzzers (build/fuzz)
set -eu
cd "$(dirname "$0")/../.."
build=$1
seconds=$2
failed=0
mkdir -p "$build/found"
printf '| target | inputs replayed | seconds | executions | a second | edges seen | inputs now | peak memory, MiB |\n|---|---|---|---|---|---|---|---|\n' >"$build/fuzz.md"

figure() { # figure NAME LOG: from the statistics at the end
        sed -n "s/^stat::$1: *//p" "$2"
}

fuzz() {
        name=$1
        program=$build/tests/fuzz/$name
        kept=tests/fuzz/corpus/$name
        new=$build/corpus/$name
        log=$build/$name.log
        dict=tests/fuzz/$name.dict
        mkdir -p "$new"
        common="-timeout=20 -rss_limit_mb=1024 -artifact_prefix=$build/found/$name-"
        # shellcheck disable=SC2086
        if ! "$program" $common "$kept"/* >"$log" 2>&1; then
                tail -40 "$log"
                echo "fuzz: $name fails on a committed input" >&2
                failed=1
                return
        fi
        replayed=$(find "$kept" -type f | wc -l)
        case $name in
        line) max=300 ;;
        request) max=1500 ;;
        *) max=4096 ;;
        esac
        # shellcheck disable=SC2086
        if ! "$program" $common -max_total_time="$seconds" -max_len=$max -print_final_stats=1 -use_value_profile=1 \
                $([ ! -f "$dict" ] || echo "-dict=$dict") "$new" "$kept" >"$log" 2>&1; then
                tail -40 "$log"
                echo "fuzz: $name found something: $build/found" >&2
                failed=1
        fi
        edges=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -1)
        echo "| $name | $replayed | $seconds | $(figure number_of_executed_units "$log") | $(figure average_exec_per_sec "$log") |" \
                "${edges:-?} | $(find "$new" "$kept" -type f | wc -l) | $(figure peak_rss_mb "$log") |" | tee -a "$build/fuzz.md"
}

if [ $# -gt 2 ]; then
        fuzz "$3"
else
        for source in tests/fuzz/fuzz_*.c; do
                name=${source##*/fuzz_}
                fuzz "${name%.c}"
        done
fi
exit "$failed"
