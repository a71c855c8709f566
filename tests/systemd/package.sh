#!/bin/sh
# What is installed, and what is made to be installed: nothing is overwritten, nothing is left, the same bytes each time.
#
#       tests/systemd/package.sh WORK           WORK is a folder for what is made, emptied first
set -eu
cd "$(dirname "$0")/../.."
work=$(realpath -m "${1:-build/package}")
rm -rf "$work"
mkdir -p "$work"

fail() {
        echo "package: $*" >&2
        exit 1
}

quietly() { # quietly COMMAND...: its output only where it fails
        "$@" >"$work/log" 2>&1 || { tail -n 40 "$work/log" >&2; fail "$* failed"; }
}

make -s dist
version=$(sed -n 's/^VERSION := //p' Makefile)
tarball=redlockd-$version.tar.gz

# Installed, installed again, and taken away.
root=$work/root
quietly make install DESTDIR="$root" PREFIX=/opt/redlockd
config=$root/etc/redlockd/redlockd.json
cmp "$config" conf/redlockd.json || fail "the configuration is not the one that is shipped"
echo '{}' >"$config"
quietly make install DESTDIR="$root" PREFIX=/opt/redlockd
[ "$(cat "$config")" = '{}' ] || fail "install has overwritten a configuration"
grep -qx 'ExecStart=/opt/redlockd/sbin/redlockd' "$root/opt/redlockd/lib/systemd/system/redlockd.service" ||
        fail "the unit does not start what was installed"
! grep -rq '@[a-z]*dir@' "$root/opt/redlockd/lib" || fail "a path was left open in a unit"
"$root/opt/redlockd/sbin/redlockd" -t -c "$config" >/dev/null || fail "what was installed does not run"
for page in src/*/*.[1-9]; do
        [ -f "$root/opt/redlockd/share/man/man${page##*.}/${page##*/}" ] || fail "$page is not installed"
done
quietly make uninstall DESTDIR="$root" PREFIX=/opt/redlockd
[ "$(find "$root" ! -type d)" = "$config" ] || fail "uninstall has left more than the configuration: $(find "$root" ! -type d)"

# Twice, in other folders, under other umasks, in other languages and zones, with other times of the files.
sources() { # sources NAME: the tarball, unpacked as another folder
        mkdir -p "$work/$1"
        tar -xzf "build/$tarball" -C "$work/$1" --strip-components=1
        find "$work/$1" -type f -exec touch -d "$2" {} +
}
sources one 2001-01-01
sources a/much/longer/name/than/one 2011-11-11
export SOURCE_DATE_EPOCH=1700000000 DEB_BUILD_OPTIONS=nocheck
(umask 022 && cd "$work/one" && TZ=UTC LC_ALL=C quietly make deb)
(umask 077 && cd "$work/a/much/longer/name/than/one" && TZ=Asia/Tokyo LC_ALL=C.UTF-8 quietly make deb)
for file in "$tarball" "deb/redlockd_${version}_$(dpkg --print-architecture).deb"; do
        cmp "$work/one/build/$file" "$work/a/much/longer/name/than/one/build/$file" || fail "$file is not reproducible"
done

# The tarball is the tree: nothing of it is missing, and it makes itself again.
tar -tzf "build/$tarball" | sed "s|^redlockd-$version/||" | sort >"$work/packed"
[ ! -d .git ] && [ ! -f .git ] || git ls-files | sort | diff - "$work/packed" || fail "the tarball is not the tree"

lintian --allow-root --fail-on error,warning "$work"/one/build/deb/*.changes || fail "lintian has found something"
deb=$work/one/build/deb/redlockd_${version}_$(dpkg --print-architecture).deb
[ "$(dpkg-deb --info "$deb" conffiles)" = /etc/redlockd/redlockd.json ] || fail "the configuration is no conffile"
echo "package: ok, $(sha256sum <"$deb" | cut -c 1-16)"
