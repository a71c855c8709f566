#!/bin/sh
# Checks the models: each rule as it is must hold, and with one guard taken away a violation must be found.
#
#       tests/model/run.sh [quick]
#
# Needs spin and gcc, and 4 GB of memory; quick leaves out the largest. A row a configuration; ends with what passed and
# failed. For a trail to read: spin -a -DTRACE ..., pan -i, pan -r -n.
# shellcheck disable=SC2086,SC2013 # rows and names are split on purpose
set -eu
cd "$(dirname "$0")"
mode=${1:-full}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
models=$PWD
passed=0
failed=0

# A name that is misspelt would take nothing away, and hold.
all_used() {
        model=$1
        shift
        for definition; do
                name=${definition#-D}
                grep -qw "${name%%=*}" "$models/$model.pml" "$models"/*.inc || return 1
        done
}

# check EXPECTED MODEL DEFINITIONS...: EXPECTED is `holds` or `found` (a violation, or a situation that must be reachable).
check() {
        expected=$1
        model=$2
        shift 2
        optimize=-O2
        [ "$expected" = holds ] || optimize=-O0 # compiled sooner than run
        (cd "$work" && rm -f pan* && spin -a "$@" "$models/$model.pml" >spin.log &&
                gcc $optimize -w -DSAFETY -DNOREDUCE -DMEMLIM=4000 -o pan pan.c && nice ./pan -E -m2000000 -w22 >pan.log) || true
        seen=broken
        if ! all_used "$model" "$@"; then
                echo "a definition that $model.pml does not know"
        elif grep -q 'errors: 0' "$work/pan.log" && ! grep -qE 'out of memory|too small' "$work/pan.log"; then
                seen=holds
        elif grep -q 'assertion violated' "$work/pan.log"; then
                seen=found
        fi
        states=$(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' "$work/pan.log")
        printf '%-10s expected %-6s seen %-6s %10s states  %s\n' "$model" "$expected" "$seen" "$states" "$*"
        if [ "$seen" = "$expected" ]; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
}

# What takes a quarter of a minute to a minute and a half.
full() {
        [ "$mode" = quick ] || check "$@"
}

lock='-DEXCLUSION'
check holds exclusion $lock -DRESTARTS=1
check holds exclusion $lock -DRESTARTS=1 -DEXTENDS=1
check holds exclusion $lock -DTRIES_0=2
check found exclusion $lock -DMINORITY
check found exclusion $lock -DOTHER_LIST
check found exclusion $lock -DRESTARTS=1 -DNO_QUARANTINE
check found exclusion $lock -DRESTARTS=1 -DQUARANTINE=1
check found exclusion $lock -DFROM_GRANT
check found exclusion $lock -DFAST=1 -DNO_DRIFT
check found exclusion $lock -DNO_SECOND_LOOK
check found exclusion $lock -DEXTENDS=1 -DEXTEND_FROM_ANSWER
check found exclusion $lock -DTRIES_0=2 -DUNDO_BLIND
check found exclusion $lock -DTRIES_0=2 -DSAME_VALUE
check found exclusion $lock -DTRIES_0=2 -DANY_ANSWER
check holds exclusion $lock -DOTHER_LIST -DCERTIFIED_LIST
check found exclusion -DREACH_ALL
check found exclusion -DREACH_FORGOTTEN -DRESTARTS=1

check holds exclusion -DNO_LEFTOVERS -DTRIES_0=2
check found exclusion -DNO_LEFTOVERS -DUNDO_ANSWERED_ONLY
check found exclusion -DNO_LEFTOVERS -DUNDO_OVERTAKES

extend='-DCONTINUITY -DRESTARTS=2 -DEXTENDS=2 -DTRIES_1=0'
check found exclusion -DREACH_PLANTED -DRESTARTS=2 -DEXTENDS=2 -DTRIES_1=0
check holds exclusion $extend
check found exclusion $extend -DPLANT_IN_EXTEND
check found exclusion $extend -DPLANT_COUNTS_NEXT
check found exclusion $extend -DPLANTED_STAYS_COUNTED
check found exclusion $extend -DFRESH_RISES
check found exclusion $extend -DLATE_YES_COUNTS
check found exclusion $extend -DPLANT_COUNTS_AT_ONCE
full holds exclusion -DCONTINUITY -DEXTENDS=1 -DSTEPS=1
check found exclusion -DCONTINUITY -DEXTENDS=1 -DSTEPS=1 -DEXTEND_BLIND

both='-DRISING -DUNIQUE -DHOSTS=2'
check found fence -DREACH_RAISED -DHOSTS=2
check holds fence $both
check holds fence $both -DHIGH_PROPOSALS
check holds fence -DRISING
full holds fence -DRISING -DHIGH_PROPOSALS
check found fence -DRISING -DHIGHEST_ANSWER
check found fence -DUNIQUE -DHIGHEST_ANSWER
check found fence -DRISING -DRAISE_UNAWAITED
check found fence $both -DRAISE_ANYBODY
check found fence -DRISING -DPROPOSAL_WINS
check found fence -DRISING -DNOT_ACCEPTED
check found fence -DRISING -DNO_STEP
check found fence -DRISING -DFENCE_GOES_WITH_KEY

check holds fence $both -DRENEWS=1
check found fence $both -DRENEWS=1 -DOFFER_AT_ONE
check found fence $both -DRENEWS=1 -DRENEWAL_COUNTS_ALL

clocks='-DRISING -DCLOCKS -DHOSTS=2 -DRESTARTS=1'
check found fence -DREACH_FORGOTTEN -DCLOCKS -DHOSTS=2 -DRESTARTS=1
check holds fence $clocks
full holds fence $clocks -DANY_TICK
full holds fence -DRISING -DCLOCKS -DHOSTS=2 -DRESTARTS=2
check found fence $clocks -DNO_CLAMP
check found fence $clocks -DNO_FLOOR
check found fence $clocks -DQUARANTINE=2

check found certificate -DREACH_LATER_RUN -DRESTARTS=1
check holds certificate -DSERVED -DRESTARTS=2
check found certificate -DSERVED -DRESTARTS=1 -DUNREAD_RUN
check found certificate -DSERVED -DRESTARTS=1 -DCOUNTS_ON
check found certificate -DSERVED -DRESTARTS=1 -DRUNLESS
check found certificate -DSERVED -DRESTARTS=1 -DQUARANTINE=1
check found certificate -DSERVED -DFLUSHES=1
check holds certificate -DSERVED -DTICKET -DRESTARTS=2 -DFLUSHES=2
check found certificate -DSERVED -DTICKET -DFLUSHES=1 -DCOUNTS_ON

all='-DEXCLUSION -DUNIQUE -DORDER -DRISING'
check holds handover $all -DEXTENDS=0
full holds handover $all -DHANDOVERS=1
check found handover -DEXCLUSION -DRENEWED_FROM_ANSWER
check found handover -DEXCLUSION -DHAND_LATE
check found handover -DEXCLUSION -DHAND_FULL
check found handover -DEXCLUSION -DHAND_EARLY
check found handover -DEXCLUSION -DGIVE_BACK_HELD
check found handover -DUNIQUE -DSAME_FENCE
check found handover -DUNIQUE -DLOW_OVERFLOWS
check found handover -DORDER -DOFFER_UNAWAITED
check found handover -DORDER -DOFFER_AT_ONE
check found handover -DREACH_ALL
check found handover -DREACH_OFFERED

# Nor does a name that nobody defines.
for name in $(grep -hoE '(ifn?def |defined\()[A-Z_0-9]+' ./*.pml ./*.inc | grep -oE '[A-Z_0-9]+$' | sort -u); do
        if ! grep -qE -- "-D$name\>" run.sh && ! grep -qE "define $name\>" ./*.pml ./*.inc; then
                echo "$name: in no row"
                failed=$((failed + 1))
        fi
done

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
