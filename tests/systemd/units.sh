#!/bin/sh
# The units as systemd-analyze sees them: nothing to complain of, and an exposure of 1.5 at most.
#
#       tests/systemd/units.sh BUILD
set -eu
cd "$(dirname "$0")/../.."
build=$(realpath "${1:-build}")
root=$build/units
exposure_max=15 # tenths

rm -rf "$root"
make -s install DESTDIR="$root" PREFIX=/usr >/dev/null
# They name programs by the paths that these will have: a root folder in which those are, and what systemd brings along.
cp -r "$(pkg-config --variable=systemdsystemunitdir systemd 2>/dev/null || echo /lib/systemd/system)/." \
        "$root/usr/lib/systemd/system/" 2>/dev/null || true
mkdir -p "$root/usr/share/man" "$root/etc"

for unit in redlockd.service redlockd.socket redlockd-metrics.socket; do
        said=$(systemd-analyze verify --root="$root" --man=no "$unit" 2>&1 | grep -i redlock || true)
        [ -z "$said" ] || { echo "units: $unit: $said" >&2; exit 1; }
done
# --threshold= is in tenths of what it prints, and makes it fail above that.
report=$(systemd-analyze security --offline=true --root="$root" --threshold=$exposure_max --no-pager redlockd.service) ||
        { echo "$report" | tail -n 3 >&2; echo "units: too much exposure" >&2; exit 1; }
echo "units: ok, $(echo "$report" | sed -n 's/.*Overall exposure level for redlockd.service: \([0-9.]*\).*/exposure \1/p')"
