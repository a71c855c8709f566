#!/bin/bash
# The same on another Debian, in a tree of its own: made by debootstrap, outside the repository, and kept for next time.
#
#       tests/systemd/debian.sh SUITE TREES scenes      build the package there, boot it, run the scenes
#       tests/systemd/debian.sh SUITE TREES readme      README's two commands on a tree with nothing but git and make
#
# Needs root, systemd-container, debootstrap and a Debian mirror. The tree itself is never changed: what is done in it
# goes to an overlay.
set -euo pipefail
suite=$1 trees=$(realpath -m "$2") what=$3
here=$(realpath "$(dirname "$0")/../..")
[ "$(id -u)" -eq 0 ] || { echo "debian: needs root" >&2; exit 1; }

common=git,make,ca-certificates,netbase
needed=$common,systemd,systemd-sysv,dbus,python3-minimal,procps,redis-server,build-essential,debhelper,dpkg-dev,pkgconf
needed=$needed,libuv1-dev,libhiredis-dev,libjansson-dev,check
[ "$what" = scenes ] && include=$needed || include=$common

tree=$trees/$suite-$what
if [ ! -e "$tree.made" ]; then
        mkdir -p "$trees"
        rm -rf --one-file-system "$tree"
        debootstrap --variant=minbase --include="$include" "$suite" "$tree" >"$tree.log" 2>&1 ||
                { tail "$tree.log" >&2; exit 1; }
        touch "$tree.made"
fi

work=$(mktemp -d "$trees/work.XXXXXX")
cleanup() {
        umount "$work/root" 2>/dev/null || true
        rm -rf --one-file-system "$work"
}
trap cleanup EXIT
mkdir "$work/root" "$work/upper" "$work/layer" "$work/out"
mount -t overlay overlay -o lowerdir="$tree",upperdir="$work/upper",workdir="$work/layer" "$work/root"
make -s -C "$here" dist BUILD="$work/out" >/dev/null
mkdir "$work/root/redlockd"
tar -xzf "$work"/out/redlockd-*.tar.gz -C "$work/root/redlockd" --strip-components=1

inside() { # a command in the tree, with this machine's network
        systemd-nspawn -q -D "$work/root" --register=no --keep-unit --resolv-conf=copy-host --console=pipe \
                --chdir=/redlockd "$@" </dev/null
}

if [ "$what" = readme ]; then
        # As they stand there. `make run` goes on for ever: it is asked, and told to stop.
        inside /bin/bash -euxc '
                sed -n "/^make /s/ *#.*//p" README.md
                make run >/tmp/run 2>&1 &
                until build/redlockctl -s /run/redlockd/redlockd.sock status; do kill -0 $!; sleep 1; done
                build/redlockctl -s /run/redlockd/redlockd.sock run name1 -- echo locked
                kill -TERM "$(pgrep -x redlockd || cat /proc/[0-9]*/stat | sed -n "s/^\([0-9]*\) (redlockd) .*/\1/p")"
                wait || true
                tail -n 3 /tmp/run
                make check'
        exit
fi

inside /usr/bin/env DEB_BUILD_OPTIONS=nocheck make -s deb
cat >"$work/root/etc/systemd/system/scenes.service" <<'END'
[Service]
Type=oneshot
WorkingDirectory=/redlockd
ExecStart=/bin/sh -c '/usr/bin/python3 tests/systemd/scenes.py build/deb/redlockd_[0-9]*.deb >/out/said 2>&1; echo $? >/out/status'
ExecStopPost=systemctl poweroff --no-block
END
mkdir -p "$work/root/etc/systemd/system/multi-user.target.wants"
ln -s ../scenes.service "$work/root/etc/systemd/system/multi-user.target.wants/"
rm -f "$work/root/etc/machine-id" && : >"$work/root/etc/machine-id"
timeout 300 systemd-nspawn -q -D "$work/root" -b --private-network --register=no --keep-unit --console=pipe \
        --bind="$work/out:/out" </dev/null >"$work/console" 2>&1 || { tail "$work/console" >&2; }
cat "$work/out/said"
exit "$(cat "$work/out/status")"
