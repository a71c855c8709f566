#!/bin/sh
# Formats every C file, or with --check fails on the first that is not formatted. Versions of clang-format differ, so that
# only the one of Debian 12 is the judge.
set -eu
cd "$(dirname "$0")/.."

version=$(clang-format --version | sed 's/.*version \([0-9]*\).*/\1/')
if [ "$version" != 14 ]; then
        echo "format: clang-format 14 decides, this is $version: skipped"
        exit 0
fi
files=$(find src include tests -name '*.[ch]')
if [ "${1:-}" = --check ]; then
        # shellcheck disable=SC2086
        clang-format --dry-run -Werror $files
        echo "format: ok"
else
        # shellcheck disable=SC2086
        clang-format -i $files
fi
