#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A full disk: attach says so in one line, what was in the store stays as it
# was, and with room again the same command makes what it would have made.

# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
need_root
need python3 debugfs sgdisk mkfs.ext4 mcopy
DUMP=$BUILD/tests/lab/storedump
[ -x "$DUMP" ] || skip "$DUMP is not built"

"$LAB/make_herd.sh" 2 "$dir" || { fail "no herd"; finish; }
HERDFS_STORE=$dir/undisturbed
attach --asg web "$dir/i-1.raw"
"$DUMP" "$HERDFS_STORE" >"$dir/want1"
attach --asg web "$dir/i-2.raw"
"$DUMP" "$HERDFS_STORE" >"$dir/want2"

mkdir "$dir/small"
mount -t tmpfs -o size=1m tmpfs "$dir/small" || skip "no tmpfs"
HERDFS_STORE=$dir/small/store

refused() {	# IMAGE: attach must fail, and say why in one line
	timeout 120 "$HERDFS" attach --quiet --asg web "$1" >"$dir/out" 2>"$dir/err"
	local status=$?
	[ $status -eq 1 ] || fail "on a full disk: status $status"
	[ "$(wc -l <"$dir/err")" -eq 1 ] || fail "not one line"
	grep -qiE 'no space|disk (is )?full' "$dir/err" || fail "the line does not say it"
	sed 's/^/    /' "$dir/err"
}

for size in 1 2 3; do
	mount -o remount,size=${size}m "$dir/small"
	[ $size -lt 3 ] || dd if=/dev/zero of="$dir/small/fill" bs=64k 2>/dev/null
	echo "first instance, $size MiB:"
	refused "$dir/i-1.raw"
	if [ -e "$HERDFS_STORE/data.mdb" ]; then
		"$HERDFS" status >"$dir/out" 2>&1 || { fail "the store does not open"
			cat "$dir/out"; }
		! grep -q 'i-1' "$dir/out" || fail "half an instance is shown"
	fi
done
rm -f "$dir/small/fill"
mount -o remount,size=64m "$dir/small"
attach --asg web "$dir/i-1.raw"
"$DUMP" "$HERDFS_STORE" >"$dir/got"
cmp -s "$dir/want1" "$dir/got" || fail "the store is another, after room was made"

echo "a sibling, no room left:"
dd if=/dev/zero of="$dir/small/fill" bs=64k 2>/dev/null
dd if=/dev/zero of="$dir/small/fill2" bs=1 2>/dev/null
refused "$dir/i-2.raw"
"$DUMP" "$HERDFS_STORE" >"$dir/got" || fail "the store does not open"
grep -v '^partial' "$dir/got" | cmp -s "$dir/want1" - ||
	fail "what was in the store has changed"
"$HERDFS" list --asg web >/dev/null || fail "list fails on a full disk"
rm "$dir/small"/fill*
attach --asg web "$dir/i-2.raw"
"$DUMP" "$HERDFS_STORE" >"$dir/got"
cmp -s "$dir/want2" "$dir/got" || fail "the store is another, after room was made"
finish
