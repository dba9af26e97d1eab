#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What becomes of an instance when the fetcher or AWS goes away while it is
# attached, when not all is in the cache offline, and while what is provisional
# is verified: it is not stored with gaps, and the next run has it whole. A file
# that passes for the reference's by its metadata is found by verify.

. "$(dirname "$0")/lib.sh"
need python3 curl mke2fs debugfs sgdisk
# shellcheck source=tests/aws/aws.sh
. tests/aws/aws.sh
trap 'aws_stop; cleanup' EXIT
export HERDFS_CACHE=$dir/cache HERDFS_FETCH_TIMEOUT=5
aws_world "$dir/aws" --instances 3 2>/dev/null || { fail "no world"; exit 1; }
aws_start "$dir/aws/world.json" || { fail "no local AWS"; exit 1; }

anew() { rm -rf "$HERDFS_STORE" "$HERDFS_CACHE"; }
acquire() { "$HERDFS" acquire --asg web --case c1 "$@" >"$dir/out" 2>"$dir/err"; }
# Waits until some blocks of a slow AWS have been read, and many have not.
slowly() { aws_control '{"reset_stats": true, "faults": [{"every": 1, "kinds": ["slow"],
	"rate": 1000000, "action": "GetSnapshotBlock"}]}'; }
until_some() {
	local n
	for ((n = 0; n < 300; n++)); do
		[ "$(aws_stat blocks.read)" -lt 20 ] || return 0
		sleep 0.1
	done
	fail "$1: nothing is read"
}
# All are there, with no problem, and the intruder's file deviates.
whole() {
	acquire || { fail "$1: acquire afterwards"; cat "$dir/err"; }
	[ "$(grep -c '; 0 problems$' "$dir/out")" -eq 4 ] || { fail "$1: problems"; cat "$dir/out"; }
	"$HERDFS" list --asg web | grep -q '/usr/lib/x86_64-linux-gnu/libutil-2.so' || fail "$1: list"
}

acquire --no-attach || { fail "snapshots"; cat "$dir/err"; }

anew
slowly
"$HERDFS" acquire --asg web --case c1 >"$dir/out" 2>"$dir/err" &
run=$!
until_some "killed"
pkill -KILL -P $run -x herdfs-fetcher || fail "there is no fetcher"
aws_control '{"faults": []}'
wait $run
[ $? -eq 1 ] || fail "the fetcher was killed: not 1"
grep -q 'web/baseline: .*the fetcher has gone away' "$dir/err" ||
	{ fail "the fetcher was killed: not said"; cat "$dir/err"; }
grep -q '^web/baseline' "$dir/out" && fail "the fetcher was killed: stored all the same"
whole "the fetcher was killed"

anew
slowly
"$HERDFS" acquire --asg web --case c1 >"$dir/out" 2>"$dir/err" &
run=$!
until_some "dead"
aws_control '{"dead": "refuse"}'
wait $run
[ $? -eq 1 ] || fail "AWS is dead: not 1"
grep -q attached "$dir/out" && { fail "AWS is dead: something is stored"; cat "$dir/out"; }
aws_control '{"dead": false, "faults": []}'
whole "AWS was dead"

# Offline with a block missing: a gap in the cache is none in the evidence.
rm -rf "$HERDFS_STORE"
"$HERDFS" fetch --quiet $("$HERDFS" acquire --asg web --case c1 --no-attach --json 2>/dev/null |
	grep -o 'snap-[0-9a-f]*') || fail "fetch"
snap=$("$HERDFS" acquire --asg web --case c1 --no-attach --json 2>/dev/null |
	grep '"member"' | head -1 | grep -o 'snap-[0-9a-f]*')
find "$HERDFS_CACHE/contents" -type f -size -1024k | sort | sed -n 150p | xargs rm
"$HERDFS" attach --asg web --offline "ebs:$snap" >"$dir/out" 2>"$dir/err"
[ $? -eq 1 ] || { fail "offline with a block missing: not 1"; cat "$dir/out"; }
grep -q offline "$dir/err" || { fail "offline: not said"; cat "$dir/err"; }
"$HERDFS" attach --asg web "ebs:$snap" >"$dir/out" 2>&1 || { fail "online again"; cat "$dir/out"; }
grep -q '; 0 problems$' "$dir/out" || { fail "online again: problems"; cat "$dir/out"; }

# Provisional, and what verify does when AWS is gone, and when it is there.
anew
aws_control '{"lineage": "volume"}'
acquire || { fail "without lineage"; cat "$dir/err"; }
"$HERDFS" status | grep -q provisional || fail "status does not say provisional"
"$HERDFS" list --asg web | grep -q /usr/sbin/sshd && fail "read all the same"
aws_control '{"dead": "refuse"}'
"$HERDFS" verify >"$dir/out" 2>"$dir/err" && fail "verify without AWS"
"$HERDFS" status --json >"$dir/status"
grep -q '"provisional": true' "$dir/status" || fail "verify without AWS: not provisional any more"
grep -qE '"problem_count": [1-9]' "$dir/status" && fail "verify without AWS: problems are stored"
aws_control '{"dead": false}'
"$HERDFS" verify >"$dir/out" 2>"$dir/err" || { fail verify; cat "$dir/err"; }
grep -q "/usr/sbin/sshd: content is not the reference's" "$dir/out" ||
	{ fail "verify does not find sshd"; cat "$dir/out"; }
"$HERDFS" list --asg web | grep -q /usr/sbin/sshd || fail "sshd does not deviate"
"$HERDFS" status | grep -q provisional && fail "provisional after verify"
"$HERDFS" verify | grep -qx 'nothing is provisional' || fail "verify again"

[ $failed -eq 0 ] && echo ok
exit $failed
