#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# How a mount begins and ends: ready when the command returns, clear words
# when it cannot be, and nothing left behind, whoever is killed.

# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
need_fuse
need fusermount3 setsid
# shellcheck source=tests/mount/herd.sh
. tests/mount/herd.sh
small_herd

# Lines of a process list: this store's mounts only.
processes() { pgrep -f "$HERDFS mount .*$dir/" | sort; }
supervisor() { pgrep -o -f "$HERDFS mount .*$dir/"; }
server() { pgrep -P "$(supervisor)"; }
wait_for() {	# SECONDS COMMAND…
	local i n=$(($1 * 20))
	shift
	for ((i = 0; i < n; i++)); do
		"$@" && return 0
		sleep 0.05
	done
	return 1
}
none_left() { [ -z "$(processes)" ]; }
not_mounted() { ! grep -q " $mnt " /proc/self/mountinfo; }
gone() {	# AFTER-WHAT
	wait_for 10 none_left || fail "$1: still running: $(processes)"
	wait_for 5 not_mounted || fail "$1: still mounted"
}
refused() {	# WORDS COMMAND…
	local words=$1 status
	shift
	timeout 20 "$@" >"$dir/out" 2>&1
	status=$?
	[ $status -eq 1 ] || [ $status -eq 2 ] || fail "$*: status $status"
	grep -qi -- "$words" "$dir/out" || fail "$*: says $(cat "$dir/out")"
	[ "$(wc -l <"$dir/out")" -le 2 ] || fail "$*: says much: $(cat "$dir/out")"
}
works() { [ "$(ls "$mnt/asg/web/i-3/deviant/disk" 2>&1)" = "$(printf 'bin\netc\nhome')" ]; }

# ---- the ways in and out ----

mount_herd
works || fail "not ready when the command returned"
[ "$(processes | wc -l)" -eq 2 ] || fail "not two processes: $(processes)"
fusermount3 -u "$mnt" || fail "fusermount3 -u"
gone "fusermount3 -u"

# whoever waits for the end of what the command prints is not kept waiting
out=$(timeout 10 "$HERDFS" mount "$mnt" 2>&1) || fail "mount in \$(): $out"
[ -z "$out" ] || fail "it says $out"
kill -TERM "$(supervisor)"
gone "SIGTERM"

setsid -w "$HERDFS" mount --foreground "$mnt" >"$dir/out" 2>&1 &
wait_for 10 works || fail "--foreground: not ready"
kill -INT "$(supervisor)"
wait $! || fail "--foreground ended with $?: $(cat "$dir/out")"
gone "SIGINT in the foreground"

# in use, and ended all the same
mount_herd
exec 9<"$mnt/asg/web/i-1/all/disk/bin/tool"
kill -TERM "$(supervisor)"
gone "SIGTERM while a file is open"
cat <&9 >/dev/null 2>&1 && fail "an open file outlived its mount"
exec 9<&-

# ---- somebody is killed ----

mount_herd
kill -KILL "$(server)"
gone "SIGKILL of the server"

mount_herd
server=$(server)
kill -KILL "$(supervisor)"
wait_for 10 test ! -e "/proc/$server" || fail "the server outlived its supervisor"
ls "$mnt" >/dev/null 2>&1 && fail "a mount that nobody serves answers"
timeout 20 "$HERDFS" mount "$mnt" || fail "a dead mount is not cleared away"
works || fail "mounted over a dead mount, it does not work"
[ "$(grep -c " $mnt " /proc/self/mountinfo)" -eq 1 ] || fail "two mounts on one another"

# ---- what cannot be ----

refused "mounted there already" "$HERDFS" mount "$mnt"
works || fail "a second mount harmed the first"
unmount "$mnt"
gone "unmounted"
refused "no such folder" "$HERDFS" mount "$dir/nosuch"
touch "$dir/file"
refused "not a folder" "$HERDFS" mount "$dir/file"
refused "no group" "$HERDFS" mount --asg nosuch "$mnt"
refused "store" "$HERDFS" mount --store "$dir/nostore" "$mnt"
refused "read-only" "$HERDFS" mount -o rw "$mnt"
refused "suid" "$HERDFS" mount -o suid "$mnt"
refused "frobnicate" "$HERDFS" mount -o ro,frobnicate "$mnt"
refused "mount point" "$HERDFS" mount
refused "threads" "$HERDFS" mount --threads 0 "$mnt"
not_mounted || fail "something is mounted after all"
none_left || fail "something runs after all: $(processes)"
"$HERDFS" mount --help | grep -q foreground || fail "--help"

# ---- as mount(8) calls it ----

ln -s "$HERDFS" "$dir/mount.herdfs"
helper() { env -u HERDFS_STORE timeout 20 "$dir/mount.herdfs" "$@"; }
ends() { unmount "$mnt"; wait_for 10 not_mounted; }
helper "$HERDFS_STORE" "$mnt" -o rw,noauto,user,_netdev,x-systemd.automount || fail "mount.herdfs"
works || fail "mount.herdfs: not there"
grep -q " $mnt .* - fuse.herdfs $HERDFS_STORE " /proc/self/mountinfo ||
	fail "the source is not shown: $(grep " $mnt " /proc/self/mountinfo)"
ends
helper herdfs "$mnt" -s -n -v -o "store=$HERDFS_STORE,asg=web,ro,nosuid" || fail "mount.herdfs -o store="
works || fail "mount.herdfs -o store=: not there"
ends
helper "$HERDFS_STORE" "$mnt" -f -o ro || fail "mount.herdfs -f"
not_mounted || fail "mount.herdfs -f mounted"
refused "no group" "$dir/mount.herdfs" "$HERDFS_STORE" "$mnt" -o asg=nosuch
refused "STORE" "$dir/mount.herdfs" "$mnt"
finish
