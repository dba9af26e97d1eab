# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What a guest of the lab does once it is up; runs inside it, from /run/lab,
# which is memory. /run/lab/plan sets
#
#   SEED      of all chance here
#   PAGES     how many it serves to itself, and thrice so
#   LOGINS    how many administrators log in
#   ROTATE    1: logs are rotated
#   DAYS      that many days pass, each with its logs
#   REBOOT    1: once
#   UPGRADE   1: apt upgrades what /dev/vdb offers
#   PLANTS    the techniques to plant, in this order; LATE those of the last
#             second before a disk is copied
#   END       down: shuts down. live: says so; the disk is copied as it is.
#             memory: so are disk and memory, see memory_witness.c
#   IN_MEMORY what is planted in memory (memory_plants.c); ROOTKIT: what the
#             module does (memory_rootkit.c), HIDDEN is to-be-hidden's pid;
#             LATE_MODULES: modules of Debian's kernel that siblings lack
#
# The answer key goes out over the second serial line, a JSON object a line.

set -u
. /run/lab/plan
. /run/seed/meta-data
. /run/lab/techniques.sh
export HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive
RANDOM=$SEED
say() { echo "$*" >/dev/ttyS1; }

get() {	# PATH
	exec 3<>"/dev/tcp/$ADDRESS/80" || return 0
	printf 'GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: Mozilla/5.0 (%d)\r\nConnection: close\r\n\r\n' \
		"$1" "$ADDRESS" $((RANDOM % 9)) >&3
	read -r -d '' -u 3 _	# to the end; no process of its own
	exec 3>&-
}
pages() {
	local i
	for ((i = 0; i < PAGES; i++)); do
		case $((RANDOM % 8)) in
		0) get / ;;
		1) get "/missing$RANDOM.html" ;;
		*) get "/app/page$((RANDOM % 60 + 1)).html" ;;
		esac
	done
}
login() {
	local i
	# what a command leaves of what was typed ahead is not certain
	{
		echo uptime
		echo "ls -l /var/log | tail -$((RANDOM % 9 + 1))"
		echo "sudo tail -$((RANDOM % 30 + 1)) /var/log/syslog </dev/null"
		for ((i = 0; i < 60; i++)); do
			sleep 1
			echo exit || break
		done
	} 2>/dev/null | timeout 90 ssh -tt -q -i /run/lab/admin \
		-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
		"admin@$ADDRESS" >/dev/null
}
logins() {
	local i
	for ((i = 0; i < LOGINS; i++)); do
		login
	done
}
upgrade() {
	local apt=(-q -o Dir::Etc::SourceList=/run/lab/sources.list
		-o Dir::Etc::SourceParts=- -o APT::Get::List-Cleanup=0)
	mount -o ro /dev/vdb /mnt
	echo 'deb [trusted=yes] file:/mnt ./' >/run/lab/sources.list
	apt-get "${apt[@]}" update && apt-get "${apt[@]}" -y upgrade
	umount /mnt
}
days() {
	local d
	for ((d = 0; d < DAYS; d++)); do
		date -s '+1 day' >/dev/null
		pages
		logger -t backup "day $d: $RANDOM objects"
		logrotate /etc/logrotate.conf
	done
}
plants() {
	local t
	for t in "$@"; do
		plant "$t" >/run/lab/is.json 2>/run/lab/err &&
			say "$(cat /run/lab/is.json | head -1)" ||
			say "{\"failed\": \"$t: $(tail -1 /run/lab/err | tr -d '"\\')\"}"
	done
}

in_memory() {
	local p pid hidden=0 m
	[ -n "$IN_MEMORY" ] || return 0
	export READY=/run/lab/ready
	mkdir -p $READY
	cp /run/lab/plants /usr/lib/systemd/systemd-worker
	cp /run/lab/preload.so /usr/local/lib/libsystem-helper.so.1
	for p in $IN_MEMORY; do
		pid=
		case $p in
		injected) pid=$(pgrep -n -u www-data nginx) ;;
		patched-text) pid=$(pgrep -o -u root sshd) ;;
		esac
		(	# as if a service had started it
			echo $BASHPID >/sys/fs/cgroup/system.slice/cron.service/cgroup.procs
			exec setsid /usr/lib/systemd/systemd-worker "$p" $pid
		) </dev/null >/dev/null 2>/run/lab/err &
		for ((i = 0; i < 100; i++)); do
			[ ! -s "$READY/plant-$p" ] || break
			sleep 0.2
		done
		if [ -s "$READY/plant-$p" ]; then
			say "{\"memory\": $(cat "$READY/plant-$p")}"
		else
			say "{\"failed\": \"$p: $(tail -1 /run/lab/err | tr -d '"\\')\"}"
		fi
	done
	for m in $LATE_MODULES; do
		modprobe "$m" && say "{\"memory\": {\"plant\": \"module\", \"name\": \"$m\"}}"
	done
	[ -n "$ROOTKIT" ] || return 0
	[ ! -e $READY/plant-to-be-hidden ] ||
		hidden=$(sed -n 's/.*"pid": \([0-9]*\).*/\1/p' $READY/plant-to-be-hidden)
	cp /run/lab/system_helper.ko /usr/local/lib/
	# shellcheck disable=SC2086
	insmod /usr/local/lib/system_helper.ko ${ROOTKIT//HIDDEN/$hidden} 2>/run/lab/err &&
		say "{\"memory\": {\"plant\": \"rootkit\", \"name\": \"system_helper\", \"did\": \"${ROOTKIT//HIDDEN/$hidden}\", \"hidden\": $hidden}}" ||
		say "{\"failed\": \"rootkit: $(tail -1 /run/lab/err | tr -d '"\\')\"}"
}

# set by instance-init on the first boot only
[ -e /run/cloud-init/first-boot ] && first=1 || first=0
for ((i = 0; i < 60; i++)); do
	[ "$(systemctl is-active ssh nginx app rsyslog cron | sort -u)" = active ] &&
		ip addr | grep -q "$ADDRESS/" && break
	sleep 1
done
[ $first = 1 ] || say '{"note": "rebooted"}'
[ "$DAYS" = 0 ] || say '{"note": "old logs"}'
[ "$UPGRADE" = 0 ] || say '{"note": "upgraded"}'
[ "$END" = down ] || say '{"note": "live copy"}'
say "{\"up\": $(cut -d . -f 1 /proc/uptime), \"first\": $first}"
pages
logins
if [ "$REBOOT" = 1 ] && [ $first = 1 ]; then
	systemctl reboot
	exit
fi
[ "$ROTATE" = 0 ] || logrotate -f /etc/logrotate.conf
days
[ "$UPGRADE" = 0 ] || upgrade >/run/lab/upgrade 2>&1 ||
	say '{"failed": "upgrade"}'
pages
# shellcheck disable=SC2086
plants $PLANTS
pages
if [ "$END" = live ]; then
	# all but the last seconds has long been written where it belongs
	sync
	sleep 40
	pages
	# shellcheck disable=SC2086
	WHEN=late plants $LATE
	# what is new is in the journal alone: this commits it, and no more
	logger -t backup "copied"
	sleep 1
	sync /var/log/syslog
	say "{\"end\": $(cut -d . -f 1 /proc/uptime)}"
	exit
fi
if [ "$END" = memory ]; then
	in_memory
	sync
	sleep 25	# what has something to do does it
	# and cron does at the full minute
	while s=$(date +%-S) && { [ "$s" -lt 8 ] || [ "$s" -gt 35 ]; }; do
		sleep 1
	done
	say "{\"end\": $(cut -d . -f 1 /proc/uptime)}"
	stty -F /dev/ttyS1 raw -echo
	exec /run/lab/witness /dev/vdc /dev/ttyS1 0 "$RECORDS_EACH"
fi
say "{\"end\": $(cut -d . -f 1 /proc/uptime)}"
systemctl poweroff
