#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# kill -9 of acquire and of fetch at random moments, all their processes at
# once or only the one that was started: the same command goes on; no block is
# fetched twice but those under way at the moment; no snapshot is made twice; no
# block that is in the cache is another than its name says; and what comes out
# is, record for record, what an undisturbed run makes, and byte for byte what
# the disks have.
# FULL=1: 50 moments, else 8. SEED chooses the moments.

# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
need python3 curl openssl sgdisk mkfs.ext4 debugfs setsid pgrep
[ "$(id -u)" -eq 0 ] || need fakeroot
need_fuse
DUMP=$BUILD/tests/lab/storedump
[ -x "$DUMP" ] || skip "$DUMP is not built"
# shellcheck source=tests/aws/aws.sh
. tests/aws/aws.sh
trap 'aws_stop; cleanup' EXIT
moments=8
[ "${FULL:-0}" = 0 ] || moments=50
RANDOM=${SEED:-20262}
n=2

aws_world "$dir/aws" --instances $n --size-mib 64 --fill 0.4 || { fail "no world"; finish; }
world=$dir/aws/world.json
aws_start "$world" || { fail "no server"; finish; }
# each block takes a while, so that there is something to kill
aws_control '{"pending": {"polls": 0}, "faults": [{"action": "GetSnapshotBlock",
	"every": 1, "kind": "slow", "rate": 8000000}]}'
export HERDFS_STORE=$dir/undisturbed HERDFS_CACHE=$dir/undisturbed-cache
start=${EPOCHREALTIME/./}
"$HERDFS" acquire --quiet --asg web --case one || { fail "acquire"; finish; }
whole=$(((${EPOCHREALTIME/./} - start) / 1000))
# the second time the snapshots are there
start=${EPOCHREALTIME/./}
HERDFS_STORE=$dir/again HERDFS_CACHE=$dir/again-cache \
	"$HERDFS" acquire --quiet --asg web --case one || fail "acquire again"
short=$(((${EPOCHREALTIME/./} - start) / 1000))
"$DUMP" "$HERDFS_STORE" >"$dir/want" || fail "cannot dump the store"
"$HERDFS" list --asg web --all --json >"$dir/want.list"
[ "$(wc -l <"$dir/want")" -gt 500 ] || fail "the store holds too little"
echo "undisturbed: $whole ms, $short ms with snapshots, $(wc -l <"$dir/want") records"

settle() {	# SESSION: those that were not killed end by themselves
	local i
	for ((i = 0; i < 200; i++)); do
		pgrep -s "$1" >/dev/null || return 0
		sleep 0.05
	done
	fail "processes are left:"
	ps -s "$1"
}
# One request is under way on each connection at the most, and the first eight
# are begun at once.
under_way() {
	awk -v port="$(printf ':%04X' "${AWS_ENDPOINT_URL##*:}")" '
		$3 ~ port "$" && $4 == "01" { n++ } END { print n < 8 ? 8 : n }' /proc/net/tcp
}
# A killed run: MILLISECONDS WHOM COMMAND…
disturb() {
	local ms=$1 whom=$2 pid
	shift 2
	setsid "$HERDFS" "$@" >"$dir/out" 2>&1 &
	pid=$!
	sleep "$((ms / 1000)).$(printf %03d $((ms % 1000)))"
	kill -STOP -- -$pid 2>/dev/null	# or more requests begin while they are counted
	allowed=$((allowed + $(under_way)))
	if [ "$whom" = all ]; then
		kill -KILL -- -$pid 2>/dev/null && killed=$((killed + 1))
	else
		kill -KILL $pid 2>/dev/null && killed=$((killed + 1))
		kill -CONT -- -$pid 2>/dev/null
	fi
	wait $pid 2>/dev/null
	settle $pid
	[ ! -e "$HERDFS_STORE/data.mdb" ] ||
		timeout 20 "$HERDFS" status >"$dir/out" 2>&1 ||
		{ fail "after $ms ms: the store does not open"; cat "$dir/out"; }
	whole_blocks "after $ms ms"
}
whole_blocks() {	# contents are named after their digests
	[ -d "$HERDFS_CACHE/contents" ] || return 0
	find "$HERDFS_CACHE/contents" -type f -exec sha256sum {} + |
		awk '{ n = $2; sub(/.*\//, "", n); if (n != $1) print n }' >"$dir/torn"
	[ ! -s "$dir/torn" ] || fail "$1: $(wc -l <"$dir/torn") torn blocks in the cache"
}
check_again() {	# WHAT
	local again
	again=$(aws_stat blocks.again)
	twice=$((twice + again))
	[ "$again" -le "$allowed" ] ||
		fail "$1: $again blocks were read twice; $allowed were under way"
	allowed=0
}

killed=0 twice=0 round=0 made=0 allowed=0
while [ $killed -lt $moments ] && [ $round -lt $((moments * 3)) ]; do
	round=$((round + 1))
	export HERDFS_STORE=$dir/disturbed HERDFS_CACHE=$dir/disturbed-cache
	rm -rf "$HERDFS_STORE" "$HERDFS_CACHE"
	aws_control '{"reset_stats": true}'
	whom=all
	[ $((round % 3)) -ne 0 ] || whom=first
	if [ $((round % 4)) -eq 0 ]; then	# while snapshots are made
		case=new-$round
		disturb $((RANDOM * whole / 32768)) $whom acquire --quiet --asg web --case $case
	else
		case=one
		disturb $((RANDOM * short / 32768)) $whom acquire --quiet --asg web --case $case
		[ $((round % 2)) -eq 0 ] ||
			disturb $((RANDOM * short / 32768)) all acquire --quiet --asg web --case $case
	fi
	timeout 120 "$HERDFS" acquire --quiet --asg web --case $case >"$dir/out" 2>&1 ||
		{ fail "acquire does not go on"; cat "$dir/out"; }
	check_again acquire
	if [ $case = one ]; then
		"$DUMP" "$HERDFS_STORE" >"$dir/got" 2>&1
		cmp -s "$dir/want" "$dir/got" || { fail "the store is another"
			diff "$dir/want" "$dir/got" | cut -c 1-200 | head -6; }
	else
		"$HERDFS" list --asg web --all --json | cmp -s - "$dir/want.list" ||
			fail "the verdicts are others"
		made=$(curl -sS --noproxy '*' "$aws_control_url/_snapshots" |
			grep -o "\"herdfs:case\": \"$case\"" | wc -l)
		[ "$made" -eq $n ] || fail "$made snapshots of $n instances"
	fi
	# the rest of the blocks
	aws_control '{"reset_stats": true}'
	disturb $((RANDOM * short / 32768)) all fetch --quiet --all
	timeout 120 "$HERDFS" fetch --quiet --all >"$dir/out" 2>&1 ||
		{ fail "fetch does not go on"; cat "$dir/out"; }
	check_again fetch
	whole_blocks "at the end"
done
echo "$round rounds, $killed killed, $twice blocks were read twice"
[ $killed -ge $moments ] || fail "hardly any was killed in time"

# ---- what the last one has is what the disks have, without AWS ----------------------

aws_stop
mkdir "$dir/mf"
HERDFS_OFFLINE=1 mount_herd
HERDFS_STORE=$dir/files
"$HERDFS" attach --quiet --asg web --no-identity --baseline --instance baseline \
	--disk "$dir/aws/base.raw" || fail "attach"
"$HERDFS" attach --quiet --asg web --no-identity "$dir"/aws/i-*.raw || fail "attach"
mount_herd "$dir/mf"
for i in "$dir"/mf/asg/web/i-* "$dir/mf/asg/web/baseline"; do
	i=${i##*/}
	diff <(python3 "$AWS_TOOLS/tree.py" "$dir/mf/asg/web/$i/all" | sed 's/ user\..*//') \
		<(python3 "$AWS_TOOLS/tree.py" "$mnt/asg/web/$i/all" | sed 's/ user\..*//') \
		>"$dir/diff" || { fail "$i is not what the disk has"; head -5 "$dir/diff" | cut -c 1-200; }
	grep -q . <(ls "$mnt/asg/web/$i/all/disk") || fail "$i is empty"
done
unmount "$dir/mf" "$mnt"
finish
