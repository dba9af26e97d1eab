#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Stores that cannot be used as asked: written by a newer herdfs, in a folder
# that may not be written, on a read-only file system, not a store at all. Each
# time one line that names it, and nothing is changed; what only reads goes on.

# shellcheck source=tests/mount/lib.sh disable=SC2154
. "$(dirname "$0")/lib.sh"
need python3 mkfs.ext4 setpriv
need_root
need_fuse
DUMP=$BUILD/tests/lab/storedump
[ -x "$DUMP" ] || skip "$DUMP is not built"

mkdir -p "$dir/tree/etc" "$dir/img"
echo root:x:0:0::/root:/bin/sh >"$dir/tree/etc/passwd"
mkfs.ext4 -q -d "$dir/tree" "$dir/img/i-1.raw" 4M >/dev/null 2>&1 || skip "mkfs.ext4 -d fails"
for i in 2 3; do cp "$dir/img/i-1.raw" "$dir/img/i-$i.raw"; done
attach --asg web "$dir/img/i-1.raw" "$dir/img/i-2.raw"
good=$dir/store
"$DUMP" "$good" >"$dir/want" || fail "no dump"

# lock.mdb holds the readers, which come and go
digest() { (cd "$1" && find . -type f ! -name '*lock*' -exec sha256sum {} + | sort); }

# COMMAND… must fail with status 1 and one line that has PATTERN
refused() {
	local pattern=$1
	shift
	timeout 30 "$@" >"$dir/out" 2>"$dir/err" </dev/null
	local status=$?
	if [ $status -ne 1 ] || [ "$(wc -l <"$dir/err")" -ne 1 ] ||
		! grep -qE "$pattern" "$dir/err"; then
		fail "$* (status $status, wanted: $pattern)"
		cat "$dir/err"
	else
		sed 's/^/    /' "$dir/err"
	fi
}

echo "written by a newer one:"
cp -r "$good" "$dir/newer"
python3 - "$dir/newer/data.mdb" <<'END' || fail "no schema in the store"
import sys
with open(sys.argv[1], "r+b") as f:
    data = f.read()
    old = b"schema\0\0\0\5"
    assert old in data
    f.seek(0)
    f.write(data.replace(old, b"schema\0\0\0\6"))
END
digest "$dir/newer" >"$dir/before"
export HERDFS_STORE=$dir/newer
what='newer.*schema 6'
refused "$what" "$HERDFS" attach --quiet --asg web "$dir/img/i-3.raw"
refused "$what" "$HERDFS" detach --asg web i-1
refused "$what" "$HERDFS" status
refused "$what" "$HERDFS" list --asg web
refused "$what" "$HERDFS" why --asg web /etc/passwd
refused "$what" "$HERDFS" mount "$mnt"
mountpoint -q "$mnt" && fail "it is mounted"
digest "$dir/newer" | cmp -s - "$dir/before" || fail "a newer store was changed"

echo "not a store:"
mkdir "$dir/other"
head -c 100000 /dev/urandom >"$dir/other/data.mdb"
digest "$dir/other" >"$dir/before"
export HERDFS_STORE=$dir/other
refused 'other' "$HERDFS" attach --quiet --asg web "$dir/img/i-3.raw"
refused 'other' "$HERDFS" status
digest "$dir/other" | cmp -s - "$dir/before" || fail "somebody's data.mdb was changed"
export HERDFS_STORE=$dir/img/i-1.raw
refused 'i-1.raw' "$HERDFS" status
refused 'i-1.raw' "$HERDFS" attach --quiet --asg web "$dir/img/i-3.raw"
export HERDFS_STORE=$dir/nowhere/at/all
refused 'nowhere' "$HERDFS" status
[ -e "$dir/nowhere" ] && fail "status made a folder"

echo "may not be written:"
cp "$HERDFS" "$dir/herdfs"
chmod 755 "$dir" "$dir/herdfs"
chmod -R a+rX "$good" "$dir/img"
as=(setpriv --reuid=65534 --regid=65534 --clear-groups "$dir/herdfs")
if "${as[@]}" --version >/dev/null 2>&1; then
	digest "$good" >"$dir/before"
	export HERDFS_STORE=$good
	refused 'store.*(denied|permi)' "${as[@]}" attach --quiet --asg web "$dir/img/i-3.raw"
	refused 'store.*(denied|permi)' "${as[@]}" detach --asg web i-1
	"${as[@]}" status >"$dir/out" 2>"$dir/err" && grep -q i-2 "$dir/out" ||
		{ fail "status of a store of somebody else's"; cat "$dir/err"; }
	digest "$good" | cmp -s - "$dir/before" || fail "it was changed"
	mkdir "$dir/closed"
	chmod 755 "$dir/closed"
	export HERDFS_STORE=$dir/closed/store
	refused 'closed.*denied' "${as[@]}" attach --quiet --asg web "$dir/img/i-3.raw"
fi

echo "on a read-only file system:"
mkdir "$dir/ro"
mount --bind "$good" "$dir/ro" && mount -o remount,bind,ro "$dir/ro" ||
	{ fail "no bind mount"; finish; }
export HERDFS_STORE=$dir/ro
refused 'ro.*[Rr]ead-only' "$HERDFS" attach --quiet --asg web "$dir/img/i-3.raw"
refused 'ro.*[Rr]ead-only' "$HERDFS" detach --asg web i-1
"$HERDFS" status >"$dir/out" 2>"$dir/err" && grep -q i-2 "$dir/out" ||
	{ fail "status"; cat "$dir/err"; }
"$HERDFS" list --asg web >/dev/null 2>"$dir/err" || { fail "list"; cat "$dir/err"; }
mount_herd
cmp "$mnt/asg/web/i-2/all/disk/etc/passwd" "$dir/tree/etc/passwd" || fail "content"
unmount "$mnt"
"$DUMP" "$good" | cmp -s - "$dir/want" || fail "the store has changed"
finish
