# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What the tests of whole mounts share; each begins with
#	. "$(dirname "$0")/lib.sh"
# It goes to the repository's root, makes $dir, which goes away at the end
# with every mount and loop device made through here, and sets HERDFS_STORE.

set -u
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
HERDFS=$(realpath "${HERDFS:-build/plain/herdfs}")
BUILD=$(realpath "${BUILD:-build/plain}")
LAB=$PWD/tests/lab
PATH=$PATH:/usr/sbin:/sbin
export LC_ALL=C.UTF-8 PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$LAB
export HERDFS_CACHE=${HERDFS_CACHE:-$PWD/build/cache}

skip() { echo "skip: $*"; exit 77; }
failed=0
fail() { echo "FAIL: $*"; failed=1; }
need() {
	local t
	for t in "$@"; do
		command -v "$t" >/dev/null || skip "no $t"
	done
}
need_root() { [ "$(id -u)" -eq 0 ] || skip "needs root for the kernel's own mounts"; }
need_fuse() {
	[ -c /dev/fuse ] && [ -r /dev/fuse ] && [ -w /dev/fuse ] ||
		skip "no usable /dev/fuse"
}
need_loop() {
	[ -e /dev/loop-control ] || skip "no loop devices"
}

[ -x "$HERDFS" ] || skip "$HERDFS is not built"
dir=$(mktemp -d "${TMPDIR:-/tmp}/herd-mount.XXXXXX") || exit 1
export HERDFS_STORE=$dir/store SOURCE_DATE_EPOCH=1700000000
mnt=$dir/mnt
mkdir "$mnt"

unmount() {
	local m
	for m in "$@"; do
		mountpoint -q "$m" || continue
		fusermount3 -u "$m" 2>/dev/null || umount "$m" 2>/dev/null ||
			{ sleep 1; umount -l "$m"; }
	done
}
cleanup() {
	local m
	cd / || return
	# what lies deepest first
	for m in $(awk -v d="$dir/" 'index($5, d) == 1 { print $5 }' \
		/proc/self/mountinfo | sort -r); do
		umount "$m" 2>/dev/null || fusermount3 -u "$m" 2>/dev/null ||
			umount -l "$m" 2>/dev/null || fusermount3 -uz "$m"
	done
	rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 1' INT TERM HUP

# The kernel's own view of the file system at OFFSET of IMAGE.
kernel_mount() {	# IMAGE OFFSET DIR [OPTIONS]
	mkdir -p "$3"
	mount -t ext4 -o "loop,offset=$2,ro${4:+,$4}" "$1" "$3" ||
		{ fail "the kernel does not mount $1"; return 1; }
}
attach() {
	"$HERDFS" attach --quiet "$@" || fail "herdfs attach $* failed"
}
mount_herd() {	# [DIR]
	"$HERDFS" mount "${1:-$mnt}" || { fail "herdfs mount failed"; exit 1; }
	mountpoint -q "${1:-$mnt}" || { fail "nothing is mounted"; exit 1; }
}
finish() { exit $failed; }
