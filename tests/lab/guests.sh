#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# guests.sh HERD…|all|boot NAME: builds the lab of real guests, below
# ${LAB_DIR:-build/lab}:
#
#   images/base.raw      the disk that all started from (guest_base.sh)
#   images/i-….qcow2     the guests' disks, overlays of it
#   memory/i-….FORMAT    the memory of those of END=memory, which was taken
#                        when their disk was: raw, elf, kdump-zlib
#   guests/NAME/         what a guest said; key.json when it is done, recipe:
#                        of which scripts; another one makes it anew.
#                        Of END=memory: oracle.json (memory_said.py)
#   HERD/key.json        the answer key: who is attacked, with what, where
#   HERD/herd.list       the images of the herd, a line each; memory.list too
#
# herds.conf says who there is. A guest boots under qemu, makes itself an
# instance, works (guest_duty.sh), is attacked or not (techniques.sh), and is
# shut down, or its disk is taken while it runs, which is what a snapshot of a
# volume holds. What is finished stays, so that the command can be given again.
#
# Needs root. LAB_JOBS: guests at a time, by default one more than there are
# processors, for some wait. LAB_ACCEL=tcg|kvm: by default kvm
# where a guest boots with it, else emulation.
#
# Thread contract: one at a time, by a lock; another waits.

set -eu
lab=$(realpath -m "${LAB_DIR:-build/lab}")
cd "$(dirname "$0")"
PATH=$PATH:/usr/sbin:/sbin
here=$PWD
mkdir -p "$lab"
exec 9>"$lab/lock"
flock 9

# ---- herds.conf ----

declare -A GUEST HERD SET
while read -r what name rest; do
	case $what in
	guest) GUEST[$name]=$rest ;;
	herd) HERD[$name]=$rest ;;
	set) SET[$name]="${SET[$name]:-} $rest" ;;
	esac
done <herds.conf

# ---- identities, all out of the name ----

identity() {	# NAME: sets id, host, address, mac, seed, age
	local hex
	hex=$(printf 'guest %s' "$1" | sha256sum)
	id=i-0${hex:0:16}
	address=10.0.$((0x${hex:16:2} % 16)).$((0x${hex:18:2} % 250 + 4))
	host=ip-${address//./-}
	mac=06:${hex:20:2}:${hex:22:2}:${hex:24:2}:${hex:26:2}:${hex:28:2}
	seed=$((0x${hex:30:4}))
	# instances start at different times: up to ten days after the bake
	age=$((0x${hex:34:6} % 864000 + 3600))
}

# ---- boot ----

accel() {	# prints kvm or tcg; tried once
	local from=$lab/boot/accel
	if [ -n "${LAB_ACCEL:-}" ]; then
		echo "$LAB_ACCEL"
		return
	fi
	if [ ! -s "$from" ]; then
		echo tcg >"$from"
		# Hardware virtualisation may be there and still boot nothing: the
		# kernel has to come as far as missing its root.
		if [ -w /dev/kvm ]; then
			timeout 10 qemu-system-x86_64 -accel kvm -cpu max -m 256 \
				-nodefaults -display none -no-reboot \
				-kernel "$lab/boot/vmlinuz" -serial stdio \
				-append "console=ttyS0 panic=-1" </dev/null 2>&1 |
				grep -q 'VFS: Cannot open root' && echo kvm >"$from"
		fi
	fi
	cat "$from"
}

# One word of what herds.conf says of a guest.
option() {	# NAME OPTION DEFAULT
	local v
	v=$(grep -o "\b$2=[^ ]*" <<<"${GUEST[$1]}") || { echo "$3"; return; }
	v=${v#*=}
	case $v in @*) v=${SET[${v#@}]# } ;; esac
	echo "$v"
}

# A kernel that is not the base's: boot/SUITE/vmlinuz, and an initrd with the
# modules that the base would have loaded for it.
other_kernel() {	# SUITE
	local dir=$lab/boot/$1 recipe deb work
	recipe=$(cat "$lab/boot/recipe" module_order.py)
	[ "$(cat "$dir/recipe" 2>/dev/null)" != "$recipe" ] || return 0
	rm -rf "$dir"
	mkdir -p "$dir"
	work=$(mktemp -d "$lab/.kernel.XXXXXX")
	deb=$(./memory_packages.sh "$lab/boot/debs" "$1" linux-image-cloud-amd64)
	dpkg-deb -x "$deb" "$work/deb"
	mkdir "$work/ird"
	(cd "$work/ird" && cpio -i --quiet <"$lab/boot/initrd")
	rm -r "$work/ird/modules"
	./module_order.py "$work/deb/lib/modules" "$work/ird/modules" crc32c_intel \
		virtio_pci virtio_blk ext4 virtio_net virtio_rng >"$work/order"
	mv "$work/order" "$work/ird/modules/order"
	(cd "$work/ird" && find . | cpio -o -H newc --quiet) >"$dir/initrd"
	cp "$work"/deb/boot/vmlinuz-* "$dir/vmlinuz"
	basename "$work"/deb/lib/modules/* >"$dir/version"
	rm -rf "$work"
	echo "$recipe" >"$dir/recipe"
}

# The one place that says how a guest is run. DIR/initrd is what it boots,
# DISK its disk; DIR/qmp is where it can be told things, DIR/said what it says.
# Becomes qemu: to be called in the background.
run_guest() {	# DIR DISK SECOND-DISK MAC START-OF-ITS-CLOCK
	local accel boot=$lab/boot cpu=max suite more=()
	accel=$(accel)
	[ "$accel" != tcg ] || accel=tcg,thread=multi
	suite=$(option "$name" SUITE '')
	[ -z "$suite" ] || boot=$lab/boot/$suite
	if [[ ${GUEST[$name]} == *END=memory* ]]; then
		# cx16: emulation's cmpxchg16b in qemu 7.2 breaks newer kernels
		cpu=max,cx16=off,la57=$(option "$name" LA57 off)
		more=(-drive "file=$1/records,if=virtio,format=raw,cache=unsafe"
			-chardev "socket,id=said,path=$1/line,server=on,wait=off")
	else
		more=(-chardev "file,id=said,path=$1/said,append=on")
	fi
	exec qemu-system-x86_64 -accel "$accel" -cpu "$cpu" -smp "${LAB_CPUS:-1}" -m "${LAB_MEMORY:-512}" \
		-nodefaults -display none \
		-kernel "$boot/vmlinuz" -initrd "$1/initrd" \
		-append "root=/dev/vda1 ro console=ttyS0 quiet no_timer_check $(option "$name" APPEND '')" \
		-drive "file=$2,if=virtio,format=qcow2,cache=unsafe,discard=unmap" \
		-drive "file=$3,if=virtio,format=raw,readonly=on" \
		-netdev user,id=net,restrict=on \
		-device "virtio-net-pci,netdev=net,mac=$4" \
		-device virtio-rng-pci "${more[@]}" \
		-rtc "base=$5" -no-reboot -serial "file:$1/console" -serial chardev:said \
		-qmp "unix:$1/qmp,server=on,wait=off"
}

# What a guest whose memory is taken has beside: who tells of it, who attacks.
records_each=$((64 << 20))
memory_tools() {	# NAME DIR
	local suite version cc=("${CC:-cc}" -std=gnu17 -D_GNU_SOURCE -O2)
	"${cc[@]}" -static -o "$2/witness" memory_witness.c
	[ -n "$(option "$1" IN_MEMORY '')" ] || return 0
	"${cc[@]}" -o "$2/plants" memory_plants.c
	"${cc[@]}" -shared -fPIC -o "$2/preload.so" memory_preload.c
	[ -n "$(option "$1" ROOTKIT '')" ] || return 0
	suite=$(option "$1" SUITE bookworm)
	if [ "$suite" = bookworm ]; then
		version=$(basename "$(find "$lab/boot/debs" -name 'linux-image-6*.deb' |
			head -1)" | sed 's/^linux-image-//; s/_.*//')
	else
		version=$(cat "$lab/boot/$suite/version")
	fi
	./memory_module.sh "$lab/boot/debs" "$suite" "$version" "$2/system_helper.ko"
}

# What a guest finds in /run: who it is and what it is to do.
orders() {	# DIR NAME
	local dir=$1 o=$1/orders k v
	mkdir -p "$o"/run/{lab,seed} "$o/run/systemd/system/multi-user.target.wants"
	{
		echo "SEED=$seed PAGES=50 LOGINS=0 ROTATE=0 DAYS=0 REBOOT=0"
		echo "UPGRADE=0 END=down PLANTS='' LATE=''"
		echo "IN_MEMORY='' ROOTKIT='' LATE_MODULES='' RECORDS_EACH=$records_each"
		for k in ${GUEST[$2]}; do
			v=${k#*=}
			case $v in @*) v=${SET[${v#@}]} ;; esac
			echo "${k%%=*}='$v'"
		done
	} >"$o/run/lab/plan"
	cp guest_duty.sh techniques.sh "$o/run/lab/"
	[[ ${GUEST[$2]} != *END=memory* ]] || memory_tools "$2" "$o/run/lab"
	install -m 600 "$lab/boot/admin" "$o/run/lab/admin"
	printf 'INSTANCE_ID=%s\nADDRESS=%s\nMAC=%s\nHOST=%s\nPUBLIC_KEY="%s"\n' \
		"$id" "$address" "$mac" "$host" "$(cat "$lab/boot/admin.pub")" \
		>"$o/run/seed/meta-data"
	cat >"$o/run/systemd/system/duty.service" <<-END
		[Unit]
		Description=What this instance is for
		After=instance-init.service ssh.service nginx.service app.service
		[Service]
		ExecStart=/bin/bash /run/lab/guest_duty.sh
		StandardOutput=null
		StandardError=null
	END
	ln -s ../duty.service "$o/run/systemd/system/multi-user.target.wants/"
	{
		cat "$lab/boot/$(option "$2" SUITE .)/initrd"
		(cd "$o" && find run | cpio -o -H newc --quiet)
	} >"$dir/initrd"
	rm -r "$o"
}

# A guest does not depend on what is done to others: of techniques.sh, the
# tools and its own techniques count.
recipe() {	# NAME
	local set t
	{
		cat "$lab/boot/recipe" guest_duty.sh
		echo "${GUEST[$1]}"
		for set in $(grep -o '@[a-z]*' <<<"${GUEST[$1]}"); do
			sed '/^# ---- scheduled/,$d' techniques.sh
			for t in ${SET[${set#@}]}; do
				sed -n "/^plant_${t//-/_}() {/,/^}/p" techniques.sh
			done
		done
		[[ ${GUEST[$1]} != *UPGRADE=1* ]] || cat guest_packages.sh
		[[ ${GUEST[$1]} != *END=memory* ]] || cat memory_{witness,plants,preload,rootkit}.c \
			memory_{take,said}.py
	} | cksum
}

boot() {	# of guest(): once, until it is down or its disk was taken
	local pid status=0 start
	start=$(($(cat "$lab/boot/made") + age + SECONDS - began))
	run_guest "$dir" "$disk.part" "$lab/boot/packages.img" "$mac" \
		"$(date -u -d "@$start" +%Y-%m-%dT%H:%M:%S)" >"$dir/qemu" 2>&1 9>&- &
	pid=$!
	trap 'kill $pid 2>/dev/null || :' EXIT
	trap 'exit 1' INT TERM
	if [[ ${GUEST[$name]} == *END=memory* ]]; then
		# shellcheck disable=SC2046
		timeout 900 ./memory_take.py "$dir" "$dir" "$disk.part" \
			$(option "$name" FORMATS 'raw elf') >"$dir/taken" || status=$?
		[ $status -eq 0 ] || kill $pid
	fi
	while kill -0 $pid 2>/dev/null; do
		sleep 0.5
		if [[ ${GUEST[$name]} == *END=live* ]] && grep -q '"end"' "$dir/said"; then
			# stopping writes out all that qemu holds, and nothing of
			# what the guest holds
			./guest_qmp.py "$dir/qmp" stop quit
			break
		fi
		if [ $((SECONDS - began)) -gt 900 ]; then
			kill $pid
			echo "guests.sh: $name does not come to an end" >&2
			break
		fi
	done
	wait $pid || status=$?
	trap - EXIT
	return $status
}

keep_memory() {	# of guest(): what memory_take.py left goes where it belongs
	local f
	./memory_said.py "$dir/records" 0 $records_each "$dir/taken" "$dir"
	rm "$dir/records"
	mkdir -p "$lab/memory"
	for f in "$dir"/memory.*; do
		chmod 644 "$f"
		fallocate -d "$f"
		mv "$f" "$lab/memory/$id.${f##*.}"
	done
	mv "$dir/disk.qcow2" "$disk.part"	# of when it was stopped
}

guest() {	# NAME: makes it, unless it is there
	local name=$1 dir=$lab/guests/$1 disk began=$SECONDS status=0 recipe
	identity "$name"
	disk=$lab/images/$id.qcow2
	recipe=$(recipe "$name")
	if [ -s "$dir/key.json" ] && [ -s "$disk" ] &&
	   [ "$(cat "$dir/recipe")" = "$recipe" ] &&
	   { [[ ${GUEST[$name]} != *END=memory* ]] || [ -s "$lab/memory/$id.raw" ]; }; then
		return 0
	fi
	rm -rf "$dir" "$disk" "$lab/memory/$id".*
	mkdir -p "$dir"
	orders "$dir" "$name"
	qemu-img create -q -f qcow2 -b base.raw -F raw "$disk.part"
	: >"$dir/said"
	if [[ ${GUEST[$name]} == *END=memory* ]]; then
		truncate -s $((2 * records_each)) "$dir/records"
	fi
	boot || status=$?
	if [ $status -eq 0 ] && [[ ${GUEST[$name]} == *REBOOT=1* ]]; then
		boot || status=$?
	fi
	rm -f "$dir/initrd" "$dir/qmp" "$dir/line"
	if [ $status -eq 0 ] && [ -e "$dir/records" ]; then
		keep_memory || status=$?
	fi
	if [ $status -ne 0 ] || ! ./guest_key.py guest "$name" "$id" \
		"images/$id.qcow2" "$dir/said" >"$dir/key.part"; then
		echo "guests.sh: $name failed, see $dir" >&2
		return 1
	fi
	echo "$recipe" >"$dir/recipe"
	mv "$disk.part" "$disk"
	mv "$dir/key.part" "$dir/key.json"
	echo "$name: $id, $((SECONDS - began)) s"
}

# ---- herds ----

herd() {	# NAME: its key and its list, out of its guests
	local g keys=()
	mkdir -p "$lab/$1"
	for g in ${HERD[$1]}; do
		identity "$g"
		echo "$lab/images/$id.qcow2" >&3
		keys+=("$lab/guests/$g/key.json")
	done 3>"$lab/$1/herd.list"
	sed "s#/images/\(.*\)\.qcow2#/memory/\1.raw#" "$lab/$1/herd.list" |
		while read -r g; do
			[ ! -e "$g" ] || echo "$g"
		done >"$lab/$1/memory.list"
	[ -s "$lab/$1/memory.list" ] || rm "$lab/$1/memory.list"
	./guest_key.py herd "$1" "${keys[@]}" >"$lab/$1/key.json.part"
	mv "$lab/$1/key.json.part" "$lab/$1/key.json"
}

guests=()
herds=()
case "${1:-}" in
'') echo "usage: guests.sh HERD…|all|boot NAME" >&2; exit 2 ;;
boot) guests=("${@:2}") ;;
all) herds=(small main rolling mostly) ;;
*) herds=("$@") ;;
esac
for h in "${herds[@]}"; do
	# shellcheck disable=SC2206
	guests+=(${HERD[$h]})
done

[ "$(id -u)" -eq 0 ] || { echo "guests.sh: needs root" >&2; exit 1; }
"$here/guest_base.sh" "$lab"
if [[ " ${guests[*]} " == *" new"* || " ${guests[*]} " == *" web6 "* ]]; then
	"$here/guest_packages.sh" "$lab" >/dev/null
elif [ ! -e "$lab/boot/packages.img" ]; then
	truncate -s 1M "$lab/boot/packages.img"
fi
accel >/dev/null
for g in "${guests[@]}"; do
	suite=$(option "$g" SUITE '')
	[ -z "$suite" ] || other_kernel "$suite"
done

trap 'kill $(jobs -p) 2>/dev/null || :' EXIT
trap 'exit 1' INT TERM
failed=0
running=0
for g in $(printf '%s\n' "${guests[@]}" | awk '!seen[$0]++'); do
	if [ $running -ge "${LAB_JOBS:-$(($(nproc) + 1))}" ]; then
		wait -n || failed=1
		running=$((running - 1))
	fi
	guest "$g" &
	running=$((running + 1))
done
while [ $running -gt 0 ]; do
	wait -n || failed=1
	running=$((running - 1))
done
[ $failed -eq 0 ] || exit 1
for h in "${herds[@]}"; do
	herd "$h"
done
