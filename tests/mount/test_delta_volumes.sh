#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Several volumes on one disk, one of them in no fstab, one mounted where the
# root has no such folder: a sibling that is read by its changes shows the same
# tree as when it is read in full. A name that stands twice in a directory is
# reported either way, and another disk under the same device name is refused.

set -u
cd "$(dirname "$0")/../.." || exit 1
HERDFS=$(realpath "${HERDFS:-build/plain/herdfs}")
PATH=$PATH:/usr/sbin:/sbin
for tool in mkfs.ext4 debugfs sfdisk python3; do
	command -v $tool >/dev/null || { echo "skip: no $tool"; exit 77; }
done
[ -c /dev/fuse ] && [ -w /dev/fuse ] || { echo "skip: no /dev/fuse"; exit 77; }
dir=$(mktemp -d "${TMPDIR:-/tmp}/herd-volumes.XXXXXX") || exit 1
loop=
# shellcheck disable=SC2317
finish() {
	mountpoint -q "$dir/m" && { umount "$dir/m" 2>/dev/null || fusermount3 -u "$dir/m"; }
	[ -n "$loop" ] && losetup -d "$loop" 2>/dev/null
	rm -rf "$dir"
}
trap finish EXIT
failed=0
fail() { echo "FAIL: $*"; failed=1; }
mkdir "$dir/m"

mkdir -p "$dir/r/etc" "$dir/r/bin" "$dir/p2" "$dir/p3"
echo 'LABEL=data3 /srv/data ext4 defaults 0 0' >"$dir/r/etc/fstab"
echo orig >"$dir/r/bin/sshd"; echo evil >"$dir/r/etc/e"
echo hidden >"$dir/p2/hidden"; echo d3 >"$dir/p3/d3"
make_fs() {	# folder, file, options…
	local from=$1 to=$2
	shift 2
	truncate -s 16M "$to"
	mkfs.ext4 -q -F -O ^has_journal,^metadata_csum,^dir_index "$@" -d "$from" "$to"
}
make_fs "$dir/r" "$dir/v1"
make_fs "$dir/p2" "$dir/v2"
make_fs "$dir/p3" "$dir/v3" -L data3
assemble() {	# v1 → disk
	truncate -s 64M "$2"
	printf '1M,16M,L\n17M,16M,L\n33M,16M,L\n' | sfdisk -q "$2" >/dev/null
	dd if="$1" of="$2" bs=1M seek=1 conv=notrunc status=none
	dd if="$dir/v2" of="$2" bs=1M seek=17 conv=notrunc status=none
	dd if="$dir/v3" of="$2" bs=1M seek=33 conv=notrunc status=none
}
for i in 1 2 3; do assemble "$dir/v1" "$dir/i-$i.raw"; done
cp "$dir/v1" "$dir/changed"
debugfs -w -R "write $dir/r/etc/e rf" "$dir/changed" 2>/dev/null
debugfs -w -R "ln etc/e bin/sshX" "$dir/changed" 2>/dev/null
python3 - "$dir/changed" <<'PY'
import sys
with open(sys.argv[1], 'r+b') as f:
    image = f.read()
    at = image.index(b'sshX')
    f.seek(at)
    f.write(b'sshd')
PY
assemble "$dir/changed" "$dir/i-4.raw"

show() {	# store: everything that the tree says of i-4
	HERDFS_STORE=$1 "$HERDFS" mount "$dir/m" || return 1
	(cd "$dir/m/asg/w/i-4/all/disk" && find . -printf '%P %y %m %s %n\n' | sort &&
		find . -type f -exec sha256sum {} + | sort -k2)
	umount "$dir/m" 2>/dev/null || fusermount3 -u "$dir/m"
	HERDFS_STORE=$1 "$HERDFS" status --problems | grep -o 'the name stands twice.*'
}
export SOURCE_DATE_EPOCH=1700000000
HERDFS_STORE=$dir/delta "$HERDFS" attach --quiet --asg w "$dir"/i-[1-4].raw >/dev/null || fail "attach"
HERDFS_STORE=$dir/full "$HERDFS" attach --quiet --asg w "$dir/i-4.raw" >/dev/null || fail "attach"
show "$dir/delta" >"$dir/by-change"
show "$dir/full" >"$dir/in-full"
cmp "$dir/by-change" "$dir/in-full" || { fail "read by change and in full differ"; diff "$dir/by-change" "$dir/in-full"; }
grep -q '^\.volumes/0/p2/hidden f' "$dir/by-change" || fail "a volume outside fstab is not shown"
grep -q '^srv/data/d3 f' "$dir/by-change" || fail "a mounted volume is not shown"
grep -q 'stands twice' "$dir/by-change" || fail "a name twice is not reported"
HERDFS_STORE=$dir/delta "$HERDFS" list --asg w | grep absent && fail "something is called absent"

if [ "$(id -u)" -eq 0 ] && loop=$(losetup -f --show -r "$dir/i-1.raw" 2>/dev/null); then
	export HERDFS_STORE=$dir/device
	"$HERDFS" attach --quiet --asg d --instance A --disk "$loop" >/dev/null || fail "device"
	losetup -d "$loop"
	losetup -r "$loop" "$dir/i-4.raw" || fail "losetup"
	"$HERDFS" attach --quiet --asg d --instance A --disk "$loop" >/dev/null 2>&1 &&
		fail "another disk under the same name passes for the one attached"
	"$HERDFS" mount "$dir/m"
	cat "$dir/m/asg/d/A/all/disk/etc/e" >/dev/null 2>&1 &&
		fail "bytes of another disk under the same name are given"
	umount "$dir/m"
fi
exit $failed
