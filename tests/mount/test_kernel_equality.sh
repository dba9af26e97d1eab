#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Every path below all/disk is as the kernel's own mount of the same image has
# it: a herd of six ext4 disks of a real Debian tree, with an EFI partition,
# and disks of odd cases.

# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
need_root
need_fuse
need_loop
need python3 sgdisk mkfs.ext4 debugfs setfattr mcopy

ROOT=$((41 << 20))

# ---- the herd ----

"$LAB/make_herd.sh" 6 "$dir" || { fail "no herd"; finish; }
images=("$dir"/i-?.raw)

# What only the kernel writes: nanoseconds, ACLs, an orphan, special files
live() {	# IMAGE: as an instance works on it
	mkdir -p "$dir/rw"
	mount -t ext4 -o "loop,offset=$ROOT" "$1" "$dir/rw" || return 1
	(
		cd "$dir/rw" || exit
		date >var/log/last
		mkfifo run.fifo
		mknod dev.null c 1 3
		mknod dev.sda b 8 0
		mknod dev.big c 300 70000
		python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("a.socket")'
		ln usr/bin/perl usr/bin/perl-again
		ln run.fifo run.fifo2
		setfattr -n user.note -v "of $1" etc/fstab
		setfattr -h -n trusted.link -v yes bin
		setfacl -m u:1000:rw,g:33:r etc/fstab
		setfacl -d -m u:1000:rx var/log
		setcap cap_net_bind_service+ep usr/bin/python3.11
		chattr +i etc/hosts 2>/dev/null
		touch -d '1901-12-14 00:00:00.123456789Z' old
		touch -d '2106-02-08 00:00:00.987654321Z' new
		touch -d '2400-01-01Z' newer
		chown 4000000000:3000000000 old
		ln -s "$(printf 'x%.0s' {1..59})" fast-link
		ln -s "$(printf 'y%.0s' {1..60})" slow-link
		ln -s "$(printf 'z%.0s' {1..4000})" long-link
		rm -rf usr/share/doc/perl
	)
	umount "$dir/rw"
}
live "${images[1]}" || fail "cannot write to ${images[1]}"

# ---- odd cases ----

odd() {	# NAME SIZE MKFS-OPTIONS…: an image with GPT, its file system mounted at rw
	local name=$1 size=$2
	shift 2
	truncate -s $((size + (2 << 20))) "$dir/$name.raw"
	sgdisk -n "1:2048:+$((size >> 20))M" -t 1:8300 "$dir/$name.raw" >/dev/null
	mkfs.ext4 -q -F -E "offset=$((1 << 20)),lazy_itable_init=0" "$@" \
		"$dir/$name.raw" $((size >> 20))M 2>"$dir/err" ||
		{ cat "$dir/err"; fail "mkfs.ext4 $*"; return 1; }
	mkdir -p "$dir/rw"
	mount -t ext4 -o "loop,offset=$((1 << 20))" "$dir/$name.raw" "$dir/rw" ||
		{ fail "the kernel does not mount $name"; return 1; }
	odds+=("$name")
}
odds=()

if odd odd $((800 << 20)) -O ea_inode,large_dir -I 256 -N 90000; then
	PYTHONPATH=$LAB python3 "$LAB/odd_cases.py" "$dir/rw" || fail "odd cases"
	umount "$dir/rw"
fi
if odd inline $((64 << 20)) -O inline_data -I 512; then
	PYTHONPATH=$LAB python3 "$LAB/odd_cases.py" --small "$dir/rw" ||
		fail "odd cases with inline data"
	umount "$dir/rw"
fi
if odd small-blocks $((64 << 20)) -b 1024 -O ^64bit,^metadata_csum -I 128; then
	PYTHONPATH=$LAB python3 "$LAB/odd_cases.py" --small "$dir/rw" ||
		fail "odd cases with blocks of 1 KiB"
	umount "$dir/rw"
fi
if odd block-maps $((300 << 20)) -O ^extent,^has_journal,^64bit; then
	PYTHONPATH=$LAB python3 "$LAB/odd_cases.py" --small "$dir/rw" ||
		fail "odd cases with block maps"
	umount "$dir/rw"
fi
if odd bigalloc $((300 << 20)) -O bigalloc -C 65536; then
	PYTHONPATH=$LAB python3 "$LAB/odd_cases.py" --small "$dir/rw" ||
		fail "odd cases with clusters"
	umount "$dir/rw"
fi
if odd features $((64 << 20)) -O ^dir_index,stable_inodes; then
	PYTHONPATH=$LAB python3 "$LAB/odd_cases.py" --small "$dir/rw" ||
		fail "odd cases without hashed folders"
	umount "$dir/rw"
fi
if odd ext2 $((64 << 20)) -t ext2; then
	PYTHONPATH=$LAB python3 "$LAB/odd_cases.py" --small "$dir/rw" ||
		fail "odd cases on ext2"
	umount "$dir/rw"
fi

# ---- compare ----

attach --asg web "${images[@]}"
for name in "${odds[@]}"; do
	attach --asg "odd-$name" "$dir/$name.raw"
done
mount_herd

total=0
equal() {	# NAME IMAGE OFFSET SHOWN OPTIONS…
	local name=$1 image=$2 offset=$3 shown=$4 n
	shift 4
	kernel_mount "$image" "$offset" "$dir/k" noload || return
	python3 "$LAB/compare.py" "$dir/k" "$shown" "$@" >"$dir/out" ||
		fail "$name is not as the kernel has it"
	if [ -d "$shown/.volumes/0/p2" ]; then
		# the folder that the EFI partition is mounted on
		python3 "$LAB/compare.py" "$dir/k/boot/efi" \
			"$shown/.volumes/0/p2/boot/efi" >>"$dir/out" ||
			fail "$name: what lies below boot/efi is not shown"
	fi
	echo "$name:"
	sed 's/^/    /' "$dir/out"
	n=$(sed -n 's/ paths, .*//p' "$dir/out" | head -n 1)
	total=$((total + n))
	umount "$dir/k"
}
for image in "${images[@]}"; do
	name=$(basename "$image" .raw)
	equal "$name" "$image" $ROOT "$mnt/asg/web/$name/all/disk" --skip boot/efi \
		--skip .volumes
done
for name in "${odds[@]}"; do
	equal "$name" "$dir/$name.raw" $((1 << 20)) \
		"$mnt/asg/odd-$name/$name/all/disk"
done
echo "compared: $total paths"
[ $total -gt 110000 ] || fail "fewer paths than there should be"

# The EFI partition, with mtools as the other reader.
mkdir "$dir/efi"
mcopy -s -m -i "${images[0]}@@1M" "::EFI" "$dir/efi/"
python3 "$LAB/compare.py" --only type,size,sha256 "$dir/efi" \
	"$mnt/asg/web/i-1/all/disk/boot/efi" ||
	fail "the EFI partition is not as mtools has it"

finish
