#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# kill -9 of attach at random moments, the whole of it or only the process
# that was started: the store opens, the same command goes on, and what comes
# out is, record for record, what an undisturbed run makes.
# FULL=1: 50 moments, else 10. SEED chooses the moments.

# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
need python3 debugfs sgdisk mkfs.ext4 mcopy setsid
DUMP=$BUILD/tests/lab/storedump
[ -x "$DUMP" ] || skip "$DUMP is not built"
rounds=10
[ "${FULL:-0}" = 0 ] || rounds=50
RANDOM=${SEED:-20261}

"$LAB/make_herd.sh" 3 "$dir" || { fail "no herd"; finish; }
qemu-img create -q -f qcow2 -F raw -b i-3.raw "$dir/i-3.qcow2" &&
	(cd "$dir" && qemu-img rebase -f qcow2 -F raw -b base.raw i-3.qcow2) ||
	fail "cannot make an overlay"
images=("$dir/i-1.raw" "$dir/i-2.raw" "$dir/i-3.qcow2")

HERDFS_STORE=$dir/undisturbed
start=${EPOCHREALTIME/./}
attach --asg web "${images[@]}"
whole=$(((${EPOCHREALTIME/./} - start) / 1000))
"$DUMP" "$HERDFS_STORE" >"$dir/want" || fail "cannot dump the store"
[ "$(wc -l <"$dir/want")" -gt 13000 ] || fail "the store holds too little"
echo "undisturbed: $whole ms, $(wc -l <"$dir/want") records"

HERDFS_STORE=$dir/disturbed
killed=0
for ((n = 0; n < rounds; n++)); do
	rm -rf "$HERDFS_STORE"
	# once, twice or three times on the same store
	for ((k = 0; k <= n % 3; k++)); do
		setsid "$HERDFS" attach --quiet --asg web "${images[@]}" \
			>"$dir/out" 2>&1 &
		pid=$!
		ms=$((RANDOM * whole / 32768))
		sleep "$((ms / 1000)).$(printf %03d $((ms % 1000)))"
		if [ $(((n + k) % 2)) -eq 0 ]; then
			kill -KILL -- -$pid 2>/dev/null && killed=$((killed + 1))
		else
			kill -KILL $pid 2>/dev/null && killed=$((killed + 1))
		fi
		wait $pid 2>/dev/null
		if [ -e "$HERDFS_STORE/data.mdb" ]; then
			timeout 20 "$HERDFS" status >"$dir/out" 2>&1 ||
				{ fail "after $ms ms: the store does not open"
				cat "$dir/out"; }
		fi
	done
	timeout 120 "$HERDFS" attach --quiet --asg web "${images[@]}" \
		>"$dir/out" 2>&1 ||
		{ fail "after $ms ms: attach does not go on"; cat "$dir/out"; }
	"$DUMP" "$HERDFS_STORE" >"$dir/got" 2>&1
	if ! cmp -s "$dir/want" "$dir/got"; then
		fail "after $ms ms: the store is another"
		diff "$dir/want" "$dir/got" | cut -c 1-200 | head -6
	fi
done
echo "$rounds rounds, $killed killed"
[ $killed -ge $((rounds / 2)) ] || fail "hardly any was killed in time"
# nothing that was started is left behind
sleep 1
left=$(grep -lsz "$dir" /proc/[0-9]*/cmdline 2>/dev/null |
	xargs -r grep -lszE 'herdfs|qemu-nbd' | wc -l)
[ "$left" -eq 0 ] || fail "$left processes are left"
finish
