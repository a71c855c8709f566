#!/bin/sh
# Installs the Debian packages that building and testing miss; does nothing where all is there.
#
#       tests/deps.sh [package]         package: also what making the Debian package and trying it under systemd needs
set -eu

missing=
need() { # need PACKAGE PROBE...: the package is missed where the probe fails
        package=$1
        shift
        "$@" >/dev/null 2>&1 || missing="$missing $package"
}

need gcc command -v gcc
need libc6-dev test -e /usr/include/stdio.h
need pkg-config command -v pkg-config
need libuv1-dev pkg-config --exists libuv
need libhiredis-dev pkg-config --exists hiredis
need libjansson-dev pkg-config --exists jansson
need libncurses-dev pkg-config --exists ncursesw
need check pkg-config --exists check
need clang command -v clang
need clang-format command -v clang-format
need clang-tidy command -v clang-tidy
need clang-tools command -v scan-build
need cppcheck command -v cppcheck
need gcovr command -v gcovr
need prometheus command -v promtool
need strace command -v strace
need mandoc command -v mandoc
need zsh command -v zsh
need fish command -v fish
need redis-server command -v redis-server
need tmux command -v tmux
need nodejs command -v node
need npm command -v npm
need spin command -v spin
need python3-pytest /usr/bin/python3 -m pytest --version
if [ "${1:-}" = package ]; then
        need debhelper command -v dh
        need dpkg-dev command -v dpkg-buildpackage
        need lintian command -v lintian
        need systemd test -x /lib/systemd/systemd
        need dbus command -v dbus-daemon
        need procps command -v pgrep
        need iproute2 command -v ip
fi
need ca-certificates test -e /etc/ssl/certs/ca-certificates.crt

[ -n "$missing" ] || exit 0

sudo=
[ "$(id -u)" -eq 0 ] || sudo=sudo
echo "deps: installing$missing"
# Servers that a package would start are not wanted: the tests start their own.
export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
$sudo apt-get update -qq
# shellcheck disable=SC2086
$sudo apt-get install -y -qq --no-install-recommends $missing >/dev/null
