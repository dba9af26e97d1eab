#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Images of every kind, made small, changed at random (flipped, overwritten,
# spliced, cut off; mostly where metadata lies): each is read or refused by one
# line, soon, and what is read can be mounted and read through.
# FULL=1: 2,000 of them, else 120; COUNT and SEED choose others. The images of
# failures are kept in $BUILD/log/mutations.

# shellcheck source=tests/mount/lib.sh disable=SC2154
. "$(dirname "$0")/lib.sh"
need python3 mkfs.ext4 debugfs e2fsck mkfs.fat mcopy sgdisk sfdisk qemu-img \
	qemu-io
need_fuse
count=120
# libewf asks for 4 GiB where a table is damaged, which costs nothing until a
# sanitizer paints it
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=0:allocator_may_return_null=1}
ASAN_OPTIONS+=:max_allocation_size_mb=2048
[ "${FULL:-0}" = 0 ] || count=2000

mkdir "$dir/bases" "$dir/work"
if ! "$LAB/small_images.sh" "$dir/bases" 2>"$dir/err"; then
	fail "the images are not made:"
	cat "$dir/err"
	finish
fi
python3 "$LAB/mutate.py" --herdfs "$HERDFS" --work "$dir/work" \
	--count "${COUNT:-$count}" --seed "${SEED:-1}" \
	--keep "$BUILD/log/mutations" --verbose "$dir/bases" ||
	fail "not all changed images were read or refused"
finish
