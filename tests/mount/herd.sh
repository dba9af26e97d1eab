# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# A small herd for the tests of the mount: four ext4 images made from folders,
# without root. i-3 is the one that something happened to. After lib.sh:
#	. "$(dirname "$0")/herd.sh"; small_herd

small_tree() {	# DIR
	local d=$1
	mkdir -p "$d"/{bin,etc,dev,var/log,home/u}
	head -c 200000 /dev/zero | openssl enc -aes-128-ctr -K 00 -iv 00 \
		>"$d/bin/tool" 2>/dev/null
	chmod 755 "$d/bin/tool"
	printf 'root:x:0:0:herd\n' >"$d/etc/passwd"
	printf 'nobody\n' >"$d/etc/shadow"
	chmod 600 "$d/etc/shadow"
	ln "$d/etc/passwd" "$d/etc/passwd-"
	ln -s /etc/passwd "$d/etc/absolute"
	ln -s ../../../../../../../../etc/passwd "$d/etc/climbing"
	ln -s ../bin/../../../../etc/passwd "$d/etc/winding"
	ln -s / "$d/etc/root"
	ln -s loop "$d/etc/loop"
	printf 'odd\n' >"$d/etc/$(printf 'new\nline \377')"
	truncate -s 1G "$d/var/sparse"
	printf 'end' | dd of="$d/var/sparse" bs=1 seek=700000000 conv=notrunc \
		status=none
	mkfifo "$d/dev/fifo"
	# 3,000 names in one folder
	mkdir "$d/var/many"
	(cd "$d/var/many" && seq 1 3000 | xargs touch)
	find "$d" -exec touch -h -d '2024-05-06 07:08:09Z' {} +
}

to_image() {	# DIR IMAGE
	rm -f "$2"
	truncate -s 24M "$2"
	mke2fs -q -t ext4 -N 4000 -b 1024 -E hash_seed=5f0e5c6e-3d1f-4c7b-8f0a-111111111111 \
		-U 5f0e5c6e-3d1f-4c7b-8f0a-222222222222 -d "$1" "$2" ||
		{ fail "no image $2"; exit 1; }
	# what needs root in a folder, but not here; and an attribute
	debugfs -w -f /dev/stdin "$2" >/dev/null 2>&1 <<-END
		cd /dev
		mknod null c 1 3
		mknod sda b 8 0
		cd /
		ea_set /bin/tool user.origin built-here
		ea_set /bin/tool security.selinux some-label
	END
}

small_herd() {
	need mke2fs debugfs openssl
	local i
	# shellcheck disable=SC2154 # dir: of whoever sources this
	small_tree "$dir/tree"
	for i in 1 2 4; do
		printf 'log %d\n' "$i" >"$dir/tree/var/log/log"
		to_image "$dir/tree" "$dir/i-$i.raw"
	done
	printf 'log 3\n' >"$dir/tree/var/log/log"
	# shellcheck disable=SC2016
	printf 'toor:x:0:0:\n' >>"$dir/tree/etc/passwd"
	printf 'X' | dd of="$dir/tree/bin/tool" bs=1 seek=100000 conv=notrunc \
		status=none
	touch -d '2024-05-06 07:08:09Z' "$dir/tree/bin/tool"
	mkdir "$dir/tree/home/u/.x"
	printf '#!/bin/sh\n' >"$dir/tree/home/u/.x/evil"
	ln -s /etc/shadow "$dir/tree/home/u/.x/out"
	ln -sf ../../../../etc/shadow "$dir/tree/etc/climbing"
	rm "$dir/tree/etc/winding"
	to_image "$dir/tree" "$dir/i-3.raw"
	attach --asg web "$dir"/i-?.raw
}
