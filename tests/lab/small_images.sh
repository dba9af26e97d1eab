#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# small_images.sh DIR: a small image of every kind that is read, DIR/<kind>/,
# to be changed at random by mutate.py. What a file holds is full of the word
# FILLER, so that sectors without it are the metadata. A kind whose tools are
# missing is left out and said to be so.

set -eu
dir=$1
PATH=$PATH:/usr/sbin:/sbin
export MTOOLS_SKIP_CHECK=1 SOURCE_DATE_EPOCH=1700000000 LC_ALL=C.UTF-8
work=$(mktemp -d "$dir/.work.XXXXXX")
finish() {
	mountpoint -q "$work/m" 2>/dev/null && umount -l "$work/m"
	rm -rf "$work"
}
trap finish EXIT

filler() { # BYTES
	yes "FILLER $1" | head -c "$1" || true
}

# ---- what lies in them ----

tree=$work/tree
mkdir -p "$tree/etc" "$tree/usr/bin" "$tree/many" "$tree/a/b/c/d/e" "$work/m"
echo root:x:0:0::/root:/bin/sh >"$tree/etc/passwd"
echo 'LABEL=root / ext4 defaults 0 1' >"$tree/etc/fstab"
for i in $(seq 150); do
	filler $((i * 40)) >"$tree/many/a file with a somewhat long name, number $i"
done
filler 900000 >"$tree/usr/bin/large"
filler 70000 >"$tree/a/b/c/d/e/deep"
ln "$tree/a/b/c/d/e/deep" "$tree/a/hard"
cp -r "$tree" "$work/plain"

ln -s ../usr/bin/large "$tree/etc/link"
ln -s "/$(printf 'x%.0s' $(seq 200))" "$tree/etc/long-link"
mkfifo "$tree/etc/fifo"
truncate -s 3M "$tree/sparse"
for i in $(seq 0 150); do
	filler 4096 | dd of="$tree/pieces" bs=4096 seek=$((2 * i)) \
		conv=notrunc status=none
done

ext() { # KIND MKFS-OPTION…
	local kind=$1 fs=$dir/$1/image.raw
	shift
	mkdir "$dir/$kind"
	mkfs.ext4 -q -F -L root -E hash_seed=5e7f1d3c-8a4b-4c26-9f0e-2b6d7a91c0de \
		-U 5e7f1d3c-8a4b-4c26-9f0e-2b6d7a91c0de "$@" -d "$tree" "$fs" 12M >/dev/null 2>&1
	{
		for i in 1 2 3 4 5 6; do
			echo "ea_set /many user.name$i value$i"
			echo "ea_set /etc/passwd user.attribute$i some-longer-value-$i"
		done
		echo "ea_set -f $tree/etc/passwd /etc/fstab user.big"
		echo "ea_set -f $work/value /usr/bin/large user.large"
		echo "mknod etc/null c 1 3"
	} >"$work/script"
	head -c 1500 "$tree/a/hard" >"$work/value"
	debugfs -w -f "$work/script" "$fs" >/dev/null 2>&1
	e2fsck -fyD "$fs" >/dev/null 2>&1 || true
}
ext ext2 -t ext2 -b 1024
ext ext3 -t ext3 -b 2048 -J size=4
ext ext4 -t ext4 -b 4096
ext ext4-1k -t ext4 -b 1024 -O '^metadata_csum,^64bit'
ext ext4-nocsum -t ext4 -O '^metadata_csum,^has_journal,^resize_inode'
ext ext4-maps -t ext4 -b 1024 -O '^extent,^metadata_csum,^64bit'
ext ext4-inline -t ext4 -b 1024 -I 256 -O inline_data,^metadata_csum
ext ext4-inline-csum -t ext4 -I 512 -O inline_data
ext ext4-ea-inode -t ext4 -b 1024 -O ea_inode,^metadata_csum
ext ext4-bigalloc -t ext4 -b 1024 -C 8192 -O bigalloc,^metadata_csum

fat() { # KIND MIB OPTION…
	local kind=$1 fs=$dir/$1/image.raw
	mkdir "$dir/$kind"
	truncate -s "$2M" "$fs"
	shift 2
	mkfs.fat -i 48455244 -n ROOT "$@" "$fs" >/dev/null
	mcopy -s -Q -m -i "$fs" "$work/plain"/* ::
}
fat fat12 8 -F 12 -s 8
fat fat16 16 -F 16 -s 2
fat fat32 36 -F 32 -s 1

filled() { # KIND: what was mounted at m gets the tree, and goes
	cp -r "$work/plain"/. "$work/m/"
	[ "$1" != ntfs ] || {
		ln -s ../usr/bin/large "$work/m/etc/link"
		mkdir "$work/m/comp"
		setfattr -h -v 0x00000800 -n system.ntfs_attrib_be "$work/m/comp"
		filler 300000 >"$work/m/comp/text"
		setfattr -n user.stream -v text "$work/m/a"
		for i in $(seq 0 150); do
			filler 4096 | dd of="$work/m/pieces" bs=4096 \
				seek=$((2 * i)) conv=notrunc status=none
		done
	}
	for _ in $(seq 50); do
		umount "$work/m" 2>/dev/null && return
		sleep 0.1
	done
}
mkdir "$dir/ntfs" "$dir/exfat"
truncate -s 10M "$dir/ntfs/image.raw"
if mkntfs -F -q -L root "$dir/ntfs/image.raw" >/dev/null 2>&1 &&
	ntfs-3g -o compression,streams_interface=xattr "$dir/ntfs/image.raw" \
		"$work/m" 2>/dev/null; then
	filled ntfs
else
	echo "left out: NTFS (mkntfs, ntfs-3g and a usable /dev/fuse are needed)"
	rm -r "$dir/ntfs"
fi
truncate -s 10M "$dir/exfat/image.raw"
if mkfs.exfat -c 4096 "$dir/exfat/image.raw" >/dev/null 2>&1 &&
	loop=$(losetup --show -f "$dir/exfat/image.raw" 2>/dev/null); then
	if mount.exfat-fuse "$loop" "$work/m" >/dev/null 2>&1; then
		losetup -d "$loop"
		filled exfat
	else
		losetup -d "$loop"
		echo "left out: exFAT (exfat-fuse does not mount here)"
		rm -r "$dir/exfat"
	fi
else
	echo "left out: exFAT (mkfs.exfat and loop devices are needed)"
	rm -r "$dir/exfat"
fi

# ---- whole disks ----

mib=1048576
disk=$work/disk.raw
truncate -s 20M "$disk"
sgdisk --clear --disk-guid=6C8B1E3A-0D5F-4E8B-9B7A-1F2E3D4C5B6A \
	--new=1:2048:+5M --typecode=1:ef00 --new=2:14336:0 "$disk" >/dev/null
truncate -s 5M "$work/esp"
mkfs.fat -F 12 -i 48455244 "$work/esp" >/dev/null
mcopy -s -Q -m -i "$work/esp" "$work/plain/etc" ::
dd if="$work/esp" of="$disk" bs=$mib seek=1 conv=notrunc status=none
dd if="$dir/ext4-1k/image.raw" of="$disk" bs=$mib seek=7 conv=notrunc status=none
mkdir "$dir/gpt" "$dir/mbr"
cp "$disk" "$dir/gpt/image.raw"
truncate -s 30M "$dir/mbr/image.raw"
printf '%s\n' 'label: dos' 'start=2048, size=26624, type=83' \
	'start=28672, size=32768, type=5' 'start=30720, size=16384, type=6' |
	sfdisk -q "$dir/mbr/image.raw" >/dev/null
dd if="$dir/ext4-1k/image.raw" of="$dir/mbr/image.raw" bs=$mib seek=1 \
	conv=notrunc status=none
dd if="$dir/fat12/image.raw" of="$dir/mbr/image.raw" bs=$mib seek=15 \
	conv=notrunc status=none

# ---- kinds of image files ----

base=$dir/ext4-1k/image.raw
mkdir "$dir/qcow2" "$dir/qcow2-alone"
cp "$disk" "$dir/qcow2/base.raw"
qemu-img create -q -f qcow2 -F raw -b base.raw "$dir/qcow2/image.qcow2"
filler 200000 >"$work/patch"
for at in 3 9 12; do
	qemu-io -c "write -q -s $work/patch ${at}M 196608" \
		"$dir/qcow2/image.qcow2" >/dev/null
done
qemu-img convert -q -O qcow2 "$disk" "$dir/qcow2-alone/image.qcow2"
mkdir "$dir/qcow2-compressed"
qemu-img convert -q -c -O qcow2 "$base" "$dir/qcow2-compressed/image.qcow2"
mkdir "$dir/qcow2-subclusters"	# these qemu reads
qemu-img convert -q -O qcow2 -o extended_l2=on "$base" \
	"$dir/qcow2-subclusters/image.qcow2"
for kind in vmdk vmdk-stream vmdk-flat vhd vhd-fixed vdi vhdx; do
	mkdir "$dir/$kind"
done
qemu-img convert -q -O vmdk "$disk" "$dir/vmdk/image.vmdk"
qemu-img convert -q -O vmdk -o subformat=streamOptimized "$base" \
	"$dir/vmdk-stream/image.vmdk"
qemu-img convert -q -O vmdk -o subformat=monolithicFlat "$base" \
	"$dir/vmdk-flat/image.vmdk"
qemu-img convert -q -O vpc -o force_size=on "$disk" "$dir/vhd/image.vhd"
qemu-img convert -q -O vpc -o force_size=on,subformat=fixed "$disk" \
	"$dir/vhd-fixed/image.vhd"
qemu-img convert -q -O vdi "$base" "$dir/vdi/image.vdi"
qemu-img convert -q -O vhdx "$base" "$dir/vhdx/image.vhdx"
if command -v ewfacquire >/dev/null; then
	for c in none fast; do
		mkdir "$dir/ewf-$c"
		ewfacquire -u -q -c "$c" -t "$dir/ewf-$c/image" "$base" >/dev/null 2>&1
	done
else
	echo "left out: E01 (no ewfacquire)"
fi
