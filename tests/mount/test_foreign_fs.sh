#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# NTFS, FAT and exFAT, made with their mkfs, are shown as ntfs-3g, mtools and
# exfat-fuse have them: every path, its type, size, time of change and content.

# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
need_fuse
need python3 sgdisk
export TZ=UTC MTOOLS_SKIP_CHECK=1

compare() {	# NAME EXPECTED SHOWN OPTIONS…
	local name=$1
	shift
	python3 "$LAB/compare.py" "$@" --skip .volumes >"$dir/out" ||
		fail "$name differs"
	echo "$name:"
	sed 's/^/    /' "$dir/out"
}
# Where the N-th partition of a disk is shown.
volume() {
	local all=$mnt/asg/$1/$1/all/disk
	# the first one stands at the top
	if [ -d "$all/.volumes/0/p$2" ]; then echo "$all/.volumes/0/p$2"
	else echo "$all"; fi
}
done_any=0
trap '[ -z "${loop:-}" ] || { umount "$dir/x"; losetup -d "$loop"; } 2>/dev/null; cleanup' EXIT

# ---- NTFS ----

if [ "$(id -u)" -eq 0 ] && command -v mkntfs ntfs-3g >/dev/null; then
	truncate -s 300M "$dir/ntfs.part"
	mkntfs -q -F -L system "$dir/ntfs.part" >/dev/null 2>&1 || fail mkntfs
	mkdir -p "$dir/n"
	ntfs-3g -o compression,streams_interface=xattr "$dir/ntfs.part" "$dir/n" ||
		fail "ntfs-3g does not mount"
	python3 "$LAB/foreign.py" ntfs "$dir/n" || fail "cannot fill NTFS"
	umount "$dir/n"
	truncate -s 310M "$dir/ntfs.raw"
	sgdisk -n 1:2048:+300M -t 1:0700 "$dir/ntfs.raw" >/dev/null
	dd if="$dir/ntfs.part" of="$dir/ntfs.raw" bs=1M seek=1 \
		conv=notrunc,sparse status=none
	attach --asg ntfs "$dir/ntfs.raw"
	done_any=1
else
	echo "not here: mkntfs, ntfs-3g or root"
fi

# ---- FAT: three widths ----

make_fat() {	# NAME MiB OPTIONS…
	local name=$1 size=$2
	shift 2
	truncate -s "${size}M" "$dir/$name.part"
	mkfs.fat "$@" "$dir/$name.part" >/dev/null || fail "mkfs.fat $*"
	mcopy -s -m -i "$dir/$name.part" "$dir/files"/* :: 2>"$dir/err" ||
		{ fail "mcopy to $name"; head -3 "$dir/err"; }
	for n in $(seq 0 2 39); do
		mdel -i "$dir/$name.part" "::sizes/$n" 2>/dev/null
	done
	mkdir -p "$dir/$name.want"
	mcopy -s -m -n -i "$dir/$name.part" '::*' "$dir/$name.want" ||
		fail "mcopy from $name"
}
if command -v mkfs.fat mcopy >/dev/null; then
	mkdir "$dir/files"
	python3 "$LAB/foreign.py" fat "$dir/files" || fail "cannot make files"
	make_fat fat32 120 -F 32 -s 1
	make_fat fat16 90 -F 16 -s 4
	make_fat fat12 80 -F 12 -s 64
	# one disk with an MBR for all three
	truncate -s 310M "$dir/fat.raw"
	printf 'label: dos\n2048,120M,c\n,90M,6\n,80M,1\n' |
		sfdisk -q "$dir/fat.raw" || fail sfdisk
	at=1
	for n in 32:120 16:90 12:80; do
		dd if="$dir/fat${n%:*}.part" of="$dir/fat.raw" bs=1M seek=$at \
			conv=notrunc,sparse status=none
		at=$((at + ${n#*:}))
	done
	attach --asg fat "$dir/fat.raw"
	# and one without any table
	cp "$dir/fat32.part" "$dir/bare.raw"
	attach --asg bare "$dir/bare.raw"
	done_any=1
else
	echo "not here: mkfs.fat or mtools"
fi

# ---- exFAT ----

# exfat-fuse takes block devices only
loop=
exfat() {	# rw|ro
	loop=$(losetup -f --show "$dir/exfat.part") &&
		mount.exfat-fuse -o "$1" "$loop" "$dir/x" >/dev/null 2>&1
}
if [ "$(id -u)" -eq 0 ] && command -v mkfs.exfat mount.exfat-fuse >/dev/null; then
	truncate -s 200M "$dir/exfat.raw"
	sgdisk -n 1:2048:+190M -t 1:0700 "$dir/exfat.raw" >/dev/null
	truncate -s 190M "$dir/exfat.part"
	mkfs.exfat "$dir/exfat.part" >/dev/null || fail mkfs.exfat
	mkdir -p "$dir/x"
	exfat rw || fail "exfat-fuse does not mount"
	python3 "$LAB/foreign.py" exfat "$dir/x" || fail "cannot fill exFAT"
	umount "$dir/x" && losetup -d "$loop"
	dd if="$dir/exfat.part" of="$dir/exfat.raw" bs=1M seek=1 \
		conv=notrunc,sparse status=none
	attach --asg exfat "$dir/exfat.raw"
	done_any=1
else
	echo "not here: mkfs.exfat, exfat-fuse or root"
fi
[ $done_any -eq 1 ] || skip "none of the file systems can be made here"

# ---- compare ----

mount_herd
fields=type,size,mtime,sha256
if [ -e "$dir/ntfs.raw" ]; then
	ntfs-3g -o ro,show_sys_files,streams_interface=xattr "$dir/ntfs.part" "$dir/n"
	# ntfs-3g itself has no content for these
	compare NTFS "$dir/n" "$(volume ntfs 1)" --only $fields \
		--skip '$MFT' --skip '$Secure' --skip '$Extend/$ObjId' \
		--skip '$Extend/$Reparse' --skip '$Extend/$Quota'
	umount "$dir/n"
	shown=$(volume ntfs 1)
	getfattr --absolute-names -d -m - "$shown/sizes/100" | grep -q stream ||
		fail "nothing tells of the alternate stream"
fi
if [ -e "$dir/fat.raw" ]; then
	n=0
	for kind in fat32 fat16 fat12; do
		n=$((n + 1))
		compare $kind "$dir/$kind.want" "$(volume fat $n)" --only $fields \
			--files-only mtime
	done
	bare=$(volume bare 0)
	compare "FAT32 without a table" "$dir/fat32.want" "$bare" \
		--only $fields --files-only mtime
fi
if [ -e "$dir/exfat.raw" ]; then
	exfat ro || fail "exfat-fuse does not mount"
	compare exFAT "$dir/x" "$(volume exfat 1)" --only $fields
	umount "$dir/x" && losetup -d "$loop"
fi
"$HERDFS" status | sed 's/^/    /'
finish
