#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# memory_guest.sh OUT NAME…|all: memory images of small guests, each with what
# the guest's own kernel said at that moment. Below OUT, for each NAME:
#
#   memory.FORMAT  the image: raw, elf, kdump-…
#   disk.raw       the guest's disk as it was then
#   oracle.json    what its kernel said (memory_said.py), kallsyms, btf beside
#   guest.json     what it is: kernel, options, formats, times
#   key.json       what was planted
#   console, said  what was said while it ran
#
# memory_guests.conf says which there are. A guest is a Debian kernel, a few
# programs of Debian and of memory_actors.c, memory_plants.c; it needs under a
# minute each. What is finished stays, unless what it is made of changed.
#
# Needs root (to own files of a disk). LAB_CACHE: where packages are kept, by
# default build/cache/debs. LAB_ACCEL as for guests.sh, by default tcg.
#
# Thread contract: one at a time for one OUT, by a lock.

set -eu
PATH=$PATH:/usr/sbin:/sbin
out=$(realpath -m "${1:?usage: memory_guest.sh OUT NAME…|all}")
shift
LAB_CACHE=${LAB_CACHE:+$(realpath -m "$LAB_CACHE")}
cd "$(dirname "$0")"
cache=${LAB_CACHE:-$(realpath -m ../../build/cache/debs)}
mkdir -p "$out"
exec 9>"$out/lock"
flock 9
work=$(mktemp -d "$out/.work.XXXXXX")
qemu=
trap '[ -z "$qemu" ] || kill "$qemu" 2>/dev/null || :
      rm -rf --one-file-system "$work"' EXIT
trap 'exit 1' INT TERM

declare -A GUEST SET
while read -r what name rest; do
	case $what in
	guest) GUEST[$name]=$rest ;;
	set) SET[$name]=$rest ;;
	esac
done <memory_guests.conf
[ "$*" != all ] || set -- "${!GUEST[@]}"

records_each=$((64 << 20))

# ---- what it boots ----

programs() {	# compiled once for all
	[ ! -d "$work/bin" ] || return 0
	mkdir -p "$work/bin"
	local cc=("${CC:-cc}" -std=gnu17 -D_GNU_SOURCE -O2 -g -Wall -Wextra)
	"${cc[@]}" -static -o "$work/bin/memory_witness" memory_witness.c
	"${cc[@]}" -o "$work/bin/memory_actors" memory_actors.c -pthread
	"${cc[@]}" -o "$work/bin/memory_plants" memory_plants.c
	"${cc[@]}" -shared -fPIC -o "$work/bin/memory_preload.so" memory_preload.c
}

kernel() {	# SUITE PACKAGE: sets version
	local deb parts=()
	deb=$(./memory_packages.sh "$cache" "$1" "$2")
	# since 7.2 it is in two others
	mapfile -t parts < <(dpkg-deb -f "$deb" Depends |
		grep -oE 'linux-(binary|modules)-[^ ]+')
	if [ ${#parts[@]} -gt 0 ]; then
		mapfile -t parts < <(./memory_packages.sh "$cache" "$1" "${parts[@]}")
	fi
	rm -rf "$work/kernel"
	for deb in "$deb" "${parts[@]}"; do
		dpkg-deb -x "$deb" "$work/kernel"
	done
	if [ ! -d "$work/kernel/lib/modules" ]; then
		mkdir -p "$work/kernel/lib"
		mv "$work/kernel/usr/lib/modules" "$work/kernel/lib/"
	fi
	version=$(basename "$work"/kernel/lib/modules/*)
	deb=$work/kernel/boot/vmlinuz-$version
	[ -e "$deb" ] || deb=$work/kernel/lib/modules/$version/vmlinuz
	cp "$deb" "$work/vmlinuz"
}

initrd() {
	local ird=$work/initrd.d a
	rm -rf "$ird"
	mkdir -p "$ird"/{bin,modules,proc,sys,dev,root}
	cp "$tree/bin/busybox" "$ird/bin/"
	for a in sh mount insmod switch_root sleep; do
		ln -s busybox "$ird/bin/$a"
	done
	./module_order.py "$work/kernel/lib/modules" "$ird/modules" \
		crc32c_intel crc32c_generic virtio_pci virtio_blk ext4 >"$work/order"
	cp "$work/order" "$ird/modules/order"
	cat >"$ird/init" <<-'END'
		#!/bin/sh
		mount -t devtmpfs dev /dev
		mount -t proc proc /proc
		mount -t sysfs sys /sys
		while read -r m; do
			insmod "/modules/$m" 2>/dev/null
		done </modules/order
		i=0
		while [ ! -e /dev/vda1 ] && [ $i -lt 100 ]; do
			sleep 0.1
			i=$((i + 1))
		done
		mount -t ext4 -o rw /dev/vda1 /root
		mount -o move /dev /root/dev
		mount -o move /proc /root/proc
		mount -o move /sys /root/sys
		exec switch_root /root /sbin/init
	END
	chmod 755 "$ird/init"
	(cd "$ird" && find . | cpio -o -H newc --quiet) >"$work/initrd"
}

tree() {	# the guest's disk as a tree
	local deb a
	tree=$work/tree
	rm -rf "$tree"
	mkdir -p "$tree"/{bin,sbin,dev,proc,sys,run,tmp,etc,root,mnt,opt,srv/tree/deep/er,var/log,usr/bin,usr/local/lib,lib/mods}
	for deb in $(./memory_packages.sh "$cache" bookworm busybox-static bash \
		libtinfo6 libc6 python3.11-minimal libpython3.11-minimal zlib1g libexpat1); do
		dpkg-deb -x "$deb" "$work/deb"
	done
	rm -rf "$work"/deb/usr/share
	mkdir -p "$tree/lib64"
	cp -a "$work"/deb/. "$tree/"
	rm -rf "$work/deb" "$tree"/usr/lib/x86_64-linux-gnu/gconv \
		"$tree"/usr/lib/python3.11/{lib2to3,distutils,test,config-*}
	for a in sh mount mkdir insmod sleep cat ls ln ip httpd hostname nc; do
		ln -sf busybox "$tree/bin/$a"
	done
	cp "$work"/bin/memory_{witness,actors} "$tree/usr/bin/"
	if [ -n "$PLANTS$ROOTKIT" ]; then
		cp "$work/bin/memory_plants" "$tree/usr/bin/"
		cp "$work/bin/memory_preload.so" "$tree/usr/local/lib/libsystem-helper.so.1"
	fi
	if [ -n "$ROOTKIT" ]; then
		./memory_module.sh "$cache" "$SUITE" "$version" "$tree/usr/local/lib/system_helper.ko"
	fi
	cp "$tree/usr/bin/memory_actors" "$tree/srv/tree/actors"
	cp memory_rc.sh "$tree/sbin/init"
	chmod 755 "$tree/sbin/init"
	./module_order.py "$work/kernel/lib/modules" "$tree/lib/mods" \
		$MODULES >"$tree/lib/mods/order"
	mkdir "$tree/lib/late"
	[ -z "$LATE_MODULES" ] || ./module_order.py "$work/kernel/lib/modules" \
		"$tree/lib/late" $LATE_MODULES >"$tree/lib/late/order"
	printf 'root:x:0:0:root:/root:/bin/bash\nwww-data:x:33:33::/var/www:/bin/sh\nuser:x:1000:1000::/tmp:/bin/sh\n' \
		>"$tree/etc/passwd"
	echo "$name" >"$tree/etc/hostname"
	head -c 4000000 /usr/bin/python3.11 >"$tree/srv/data" 2>/dev/null ||
		head -c 4000000 "$work/vmlinuz" >"$tree/srv/data"
	echo deep >"$tree/srv/tree/deep/er/file"
	printf '#!/bin/bash\nexec 3<>/run/bash.fifo\n: >/run/ready/script\nread -r _ <&3\n' >"$tree/usr/bin/script.sh"
	printf 'import signal,threading,time\nt=threading.Thread(target=time.sleep,args=(1e6,),daemon=True)\nt.start()\nopen("/run/ready/python","w")\nsignal.pause()\n' \
		>"$tree/usr/bin/service.py"
	chmod 755 "$tree"/usr/bin/{script.sh,service.py}
	{
		echo "ACTORS='$ACTORS'"
		echo "PLANTS='$PLANTS' SWAP=$SWAP ROOTKIT='$ROOTKIT' LATE_MODULES='$LATE_MODULES'"
		echo "RECORDS_EACH=$records_each"
	} >"$tree/etc/plan"
}

disk() {
	local megs=160
	truncate -s $((megs + 2))M "$work/disk.raw"
	sgdisk --clear --disk-guid=6C8B1E3A-0D5F-4E8B-9B7A-1F2E3D4C5B7A \
		--new=1:2048:+${megs}M --typecode=1:8300 "$work/disk.raw" >/dev/null
	mkfs.ext4 -q -F -U 5e7f1d3c-8a4b-4c26-9f0e-2b6d7a91c0df -L mini \
		-E offset=1048576,lazy_itable_init=0,root_owner=0:0 -O ^metadata_csum \
		-d "$tree" "$work/disk.raw" ${megs}M
	rm -f "$work/records"
	truncate -s $((2 * records_each)) "$work/records"
}

# ---- one guest ----

recipe() {
	cat memory_guest.sh memory_rc.sh memory_*.c memory_take.py memory_said.py \
		module_order.py <(echo "${GUEST[$name]}") | cksum
}

guest() {	# NAME
	local name=$1 done=$out/$1 dir=$out/$1.part began=$SECONDS status=0
	local SUITE=bookworm KERNEL=linux-image-cloud-amd64 MEMORY=256 CPU=max CPUS=1
	local LA57=off
	local CMDLINE='' DEVICES='' FORMATS='raw elf' PLANTS='' SWAP=0
	# parameters of the module, with HIDDEN for the pid of to-be-hidden
	local ROOTKIT='' LATE_MODULES=''
	local MODULES='overlay nls_ascii'
	local ACTORS='threads server client sockets files maps contained userns bound jailed caps args states orphan'
	[ -n "${GUEST[$name]:-}" ] || { echo "memory_guest.sh: no guest $name" >&2; return 1; }
	eval "${GUEST[$name]}"
	[[ $PLANTS != @* ]] || PLANTS=${SET[${PLANTS#@}]}
	if [ -s "$done/oracle.json" ] && [ "$(cat "$done/recipe" 2>/dev/null)" = "$(recipe)" ]; then
		return 0
	fi
	rm -rf "$dir"
	mkdir -p "$dir"
	programs
	kernel "$SUITE" "$KERNEL"
	tree
	initrd
	disk
	rm -f "$work"/{line,qmp}
	# cx16: emulation's cmpxchg16b in qemu 7.2 breaks kernels that use it much
	# shellcheck disable=SC2086
	qemu-system-x86_64 -accel "${LAB_ACCEL:-tcg}" -cpu "$CPU,la57=$LA57,cx16=off" -smp "$CPUS" -m "$MEMORY" \
		-nodefaults -display none -kernel "$work/vmlinuz" -initrd "$work/initrd" \
		-append "console=ttyS0 quiet no_timer_check panic=-1 $CMDLINE" \
		-drive "file=$work/disk.raw,if=virtio,format=raw,cache=unsafe" \
		-drive "file=$work/records,if=virtio,format=raw,cache=unsafe" \
		-device virtio-rng-pci $DEVICES -no-reboot -serial "file:$dir/console" \
		-chardev "socket,id=line,path=$work/line,server=on,wait=off" \
		-serial chardev:line -qmp "unix:$work/qmp,server=on,wait=off" \
		>"$dir/qemu" 2>&1 9>&- &
	qemu=$!
	# shellcheck disable=SC2086
	timeout 300 ./memory_take.py "$work" "$dir" "$work/disk.raw" $FORMATS >"$work/taken" 9>&- ||
		status=$?
	kill $qemu 2>/dev/null || :
	wait $qemu || :
	qemu=
	[ ! -e "$work/said" ] || mv "$work/said" "$dir/said"
	if [ $status -ne 0 ]; then
		echo "memory_guest.sh: $name failed, see $dir" >&2
		return 1
	fi
	chmod 644 "$dir"/memory.*
	[ ! -e "$dir/memory.elf" ] || fallocate -d "$dir/memory.elf"
	./memory_said.py "$work/records" 0 $records_each "$work/taken" "$dir"
	jq -n --arg name "$name" --arg kernel "$version" --arg what "${GUEST[$name]}" \
		--slurpfile taken "$work/taken" \
		'{name: $name, kernel: $kernel, what: $what, taken: $taken[0]}' >"$dir/guest.json"
	grep -hE '"(plant|failed|note)"' "$dir/said" | jq -s '{techniques: .}' >"$dir/key.json" || :
	recipe >"$dir/recipe"
	rm -rf "$done"
	mv "$dir" "$done"
	echo "$name: $version, $((SECONDS - began)) s"
}

failed=0
for g in "$@"; do
	guest "$g" || failed=1
done
exit $failed
