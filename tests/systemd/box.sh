#!/bin/bash
# A machine of its own in half a second: the systemd of this one as PID 1, in namespaces of its own, on a copy of this
# machine's root that is thrown away.
#
#       tests/systemd/box.sh COMMAND [ARG...]           runs it in there, as root, and exits with its status
#
# Needs root, and nothing of what runs here: no systemd, no network, no image. What the box writes goes to a tmpfs over
# the root, which is the lower layer of an overlay. Inside it /work is the folder that this was called in, read-only.
#
#       unshare -m     mounts: the overlay, a cgroup2 hierarchy of which the box gets a branch
#         unshare -C -p -f -u -i -n -m      systemd, whose root is the overlay
set -euo pipefail
[ "$(id -u)" -eq 0 ] || { echo "box: needs root" >&2; exit 1; }

BOX=$(mktemp -d /tmp/box.XXXXXX)
HERE=$PWD
export BOX HERE
BOOT_TRIES=400 # of 50 ms

cat >"$BOX/outside" <<'END'
set -e
mount -t tmpfs tmpfs "$BOX"/layers
mkdir "$BOX"/layers/upper "$BOX"/layers/work
mount -t overlay overlay -o lowerdir=/,upperdir="$BOX"/layers/upper,workdir="$BOX"/layers/work "$BOX"/root
: >"$BOX"/root/etc/machine-id
mkdir -p "$BOX"/root/work
mount --bind "$HERE" "$BOX"/root/work
mount -o remount,bind,ro "$BOX"/root/work
cat >"$BOX"/root/etc/systemd/system/box.target <<UNIT
[Unit]
Requires=basic.target dbus.service
After=basic.target dbus.service
AllowIsolate=yes
UNIT
umount -R /sys/fs/cgroup 2>/dev/null || true
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir "/sys/fs/cgroup/${BOX##*/}"
echo $$ >"/sys/fs/cgroup/${BOX##*/}/cgroup.procs"
exec unshare -C -p -f -u -i -n -m --mount-proc bash "$BOX/inside"
END
cat >"$BOX/inside" <<'END'
set -e
cd "$BOX"/root
mount --rbind /dev dev && mount --make-rslave dev
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
ip link set lo up
hostname box
pivot_root . mnt && umount -l /mnt
mount --make-rshared / # as a container's manager leaves it: else the credentials that systemd mounts are seen by nobody
exec env -i container=box PATH=/usr/sbin:/usr/bin:/sbin:/bin \
        /lib/systemd/systemd --system --unit=box.target --log-target=journal
END
mkdir "$BOX/layers" "$BOX/root"

timeout -s KILL "${BOX_TIMEOUT:-600}" unshare -m bash "$BOX/outside" </dev/null >"$BOX/log" 2>&1 &
outer=$!

cleanup() {
        local branch
        [ -z "${pid1:-}" ] || nsenter -a -t "$pid1" systemctl poweroff -f >/dev/null 2>&1 || true
        wait "$outer" 2>/dev/null || true
        # The hierarchy is seen where it happens to be mounted here.
        for branch in /sys/fs/cgroup/unified/"${BOX##*/}" /sys/fs/cgroup/"${BOX##*/}"; do
                [ ! -d "$branch" ] || find "$branch" -depth -type d -exec rmdir {} + 2>/dev/null || true
        done
        rm -rf --one-file-system "$BOX"
}
trap cleanup EXIT

pid1=
for ((i = 0; i < BOOT_TRIES; ++i)); do
        kill -0 "$outer" 2>/dev/null || { cat "$BOX/log" >&2; echo "box: did not start" >&2; exit 1; }
        # timeout -> unshare -> systemd
        middle=$(pgrep -P "$outer" | head -n 1) && pid1=$(pgrep -P "$middle" | head -n 1) &&
                nsenter -a -t "$pid1" systemctl is-active -q box.target 2>/dev/null && break
        sleep 0.05
done
((i < BOOT_TRIES)) || { cat "$BOX/log" >&2; echo "box: did not boot" >&2; exit 1; }

status=0
nsenter -a -t "$pid1" env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin TERM=dumb PYTHONDONTWRITEBYTECODE=1 \
        "$@" || status=$?
exit "$status"
