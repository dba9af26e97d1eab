#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Images under a mount that go away, are cut or replaced: an error on their own
# files and a line in the log, and the others go on. And images that a qemu-nbd
# serves, which is started when it is needed, and again when it has died.

# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
need_fuse
need fusermount3 qemu-img qemu-nbd setsid
# shellcheck source=tests/mount/herd.sh
. tests/mount/herd.sh
small_herd
# two more, as overlays on i-1 and as a qcow2 of its own
# with subclusters, which only qemu reads
(cd "$dir" && qemu-img create -q -f qcow2 -o extended_l2=on -b i-1.raw -F raw \
		i-5.qcow2 &&
	qemu-img convert -f raw -O qcow2 -o extended_l2=on i-2.raw i-6.qcow2) ||
	skip "no qcow2 with subclusters"
attach --asg web "$dir/i-5.qcow2" "$dir/i-6.qcow2"

tool() { echo "$mnt/asg/web/i-$1/all/disk/bin/tool"; }
good() {	# N WHAT
	cmp -s "$(tool 1)" "$(tool "$1")" || fail "$2: i-$1 cannot be read"
}
# Nothing of it is in the page cache when this is first asked of an instance
bad() {	# N WHAT
	local said
	said=$(timeout 20 cat "$(tool "$1")" 2>&1 >/dev/null)
	[[ $said == *"Input/output error"* ]] || fail "$2: i-$1 gives \"$said\""
}
wait_for() {	# SECONDS COMMAND…
	local i n=$(($1 * 20))
	shift
	for ((i = 0; i < n; i++)); do
		"$@" && return 0
		sleep 0.05
	done
	return 1
}
start() {
	setsid -w "$HERDFS" mount --foreground "$mnt" >"$dir/log" 2>&1 &
	wait_for 10 mountpoint -q "$mnt" || { fail "no mount: $(cat "$dir/log")"; finish; }
}
stop() {
	unmount "$mnt"
	wait
}
supervisor() { pgrep -o -f "$HERDFS mount --foreground $mnt"; }
helpers() { pgrep -P "$(supervisor)" qemu-nbd; }
logged() { grep -q "$1" "$dir/log"; }

# ---- none is opened before it is needed ----

start
find "$mnt" >/dev/null
cat "$mnt"/asg/web/i-?/report.txt >/dev/null
[ -z "$(helpers)" ] || fail "a helper before anything was read"

# ---- helpers ----

good 5 "an overlay"
good 6 "a qcow2"
[ "$(helpers | wc -l)" -eq 2 ] || fail "not two helpers but $(helpers | wc -l)"
kill -KILL $(helpers)
sleep 0.2
for n in 5 6; do	# another file: what was read is in the page cache
	[ "$(cat "$mnt/asg/web/i-$n/all/disk/etc/shadow")" = nobody ] ||
		fail "i-$n: the helper was not started again"
done
[ "$(helpers | wc -l)" -eq 2 ] || fail "not two helpers again but $(helpers | wc -l)"
before=$(helpers)
stop
sleep 0.5
for pid in $before; do
	[ "$(cat "/proc/$pid/comm" 2>/dev/null)" != qemu-nbd ] ||
		fail "a helper outlived the mount"
done

# ---- gone, cut, replaced, changed ----

start
good 4 "before"
mv "$dir/i-4.raw" "$dir/away"
sleep 2.2
timeout 20 cat "$mnt/asg/web/i-4/all/disk/etc/shadow" >/dev/null 2>&1 &&
	fail "an image that is away is still read"
logged "web/i-4, disk 0: .*no such image" || fail "the log says $(cat "$dir/log")"
mv "$dir/i-2.raw" "$dir/i-2.away"
cp "$dir/i-1.raw" "$dir/i-2.raw"
bad 2 "replaced before it was opened"
logged "web/i-2, disk 0: .*replaced after it was mounted" || fail "the log says $(cat "$dir/log")"
cp -p "$dir/i-3.raw" "$dir/i-3.was"
cat "$mnt/asg/web/i-3/all/disk/etc/shadow" >/dev/null || fail "i-3 before it is cut"
truncate -s 4096 "$dir/i-3.raw"
bad 3 "cut while it is mapped"
logged "web/i-3, disk 0" || fail "the log says $(cat "$dir/log")"
cat "$mnt/asg/web/i-3/report.txt" >/dev/null || fail "a report needs no image"
[ "$(grep -c 'web/i-4, disk 0' "$dir/log")" -eq 1 ] || fail "it is said again and again"
# libfuse may add a line of its own where a write met the end of the file
[ "$(grep -vc '^fuse: ' "$dir/log")" -eq 3 ] || fail "the log: $(cat "$dir/log")"
getfattr -n user.herdfs.failures --only-values --absolute-names "$mnt" 2>/dev/null |
	grep -q "web/i-2" || fail "no user.herdfs.failures"
for n in 1 5 6; do
	good $n "after others failed"
done
stop

# ---- all is well again when they are back ----

mv "$dir/away" "$dir/i-4.raw"
mv "$dir/i-2.away" "$dir/i-2.raw"
cp -p "$dir/i-3.was" "$dir/i-3.raw"
start
for n in 2 4 5 6; do
	good $n "when it is back"
done
[ -s "$dir/log" ] && fail "the log: $(cat "$dir/log")"

# ---- locked in ----

server=$(pgrep -P "$(supervisor)" -f "$HERDFS")
for t in /proc/"$server"/task/*; do
	grep -q '^Seccomp:.*2' "$t/status" || fail "a thread without seccomp"
	grep -q '^NoNewPrivs:.*1' "$t/status" || fail "a thread that may gain privileges"
done
pgrep -P "$server" >/dev/null && fail "the server has children"
stop
finish
