#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The first process of the small guest of memory_guest.sh.
export PATH=/bin:/sbin:/usr/bin:/usr/sbin LANG=C.UTF-8
. /etc/plan
say() { echo "$*" >/dev/ttyS1; }
mount -t tmpfs -o mode=755,nosuid tmpfs /run
echo 2 >/proc/sys/vm/nr_hugepages
mkdir -p /run/ready /run/pod /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /tmp
mount -t cgroup2 cgroup /sys/fs/cgroup
mount -t tracefs tracefs /sys/kernel/tracing
mount -t debugfs debugfs /sys/kernel/debug
busybox hostname -F /etc/hostname
busybox ip link set lo up
busybox stty -F /dev/ttyS1 raw -echo
while read -r m; do
	insmod "/lib/mods/$m" || say "{\"note\": \"$m not loaded\"}"
done </lib/mods/order

if [ "$SWAP" != 0 ]; then
	busybox dd if=/dev/zero of=/swap bs=1M count="$SWAP" 2>/dev/null
	busybox chmod 600 /swap
	busybox mkswap /swap >/dev/null
	busybox swapon /swap || say '{"failed": "swap"}'
fi

wait_for() {
	i=0
	while [ ! -e "/run/ready/$1" ]; do
		i=$((i + 1))
		[ $i -lt 300 ] || { say "{\"failed\": \"$1\"}"; break; }
		sleep 0.1
	done
}
cp_exe() {
	busybox cp /usr/bin/memory_actors "$1"
	busybox chmod 755 "$1"
}
cp_exe /run/exe-on-tmpfs
cp_exe /opt/deleted-exe
for role in $ACTORS; do
	case $role in
	jailed) cp_exe /srv/tree/actors ;;
	esac
	exe=/usr/bin/memory_actors
	[ "$role" != orphan ] || exe=/opt/deleted-exe
	[ "$role" != sockets ] || exe=/run/exe-on-tmpfs
	MALLOC_ARENA_MAX=2 ROLE=$role $exe "$role" >/dev/null 2>/dev/ttyS0 </dev/null &
done
mkfifo /run/bash.fifo 2>/dev/null || busybox mkfifo /run/bash.fifo
script.sh &
/usr/bin/python3.11 /usr/bin/service.py &
busybox httpd -p 127.0.0.1:80 -h /srv
for role in $ACTORS script python; do
	wait_for "$role"
done
busybox rm -f /opt/deleted-exe
for plant in $PLANTS; do
	memory_plants "$plant" </dev/null >/dev/null 2>/dev/ttyS0 &
	wait_for "plant-$plant"
	say "$(cat "/run/ready/plant-$plant")"
done
if [ -s /lib/late/order ]; then
	while read -r m; do
		insmod "/lib/late/$m" && say "{\"plant\": \"module\", \"name\": \"${m%.ko}\"}"
	done </lib/late/order
fi
if [ -n "$ROOTKIT" ]; then
	hidden=$(sed -n 's/.*"pid": \([0-9]*\).*/\1/p' /run/ready/plant-to-be-hidden 2>/dev/null)
	what=$(echo "$ROOTKIT" | sed "s/HIDDEN/$hidden/g")
	# shellcheck disable=SC2086
	if insmod /usr/local/lib/system_helper.ko $what; then
		say "{\"plant\": \"rootkit\", \"name\": \"system_helper\", \"did\": \"$what\", \"hidden\": ${hidden:-0}}"
	else
		say '{"failed": "rootkit"}'
	fi
fi
busybox sync
sleep 3
memory_witness /dev/vdb /dev/ttyS1 0 "$RECORDS_EACH" 2>/dev/ttyS0 </dev/null &
wait
while :; do
	sleep 1000
done
