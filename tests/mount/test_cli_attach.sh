#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# herdfs attach and detach from the command line: names of instances, kinds of
# images, what is said, exit statuses, a worker that crashes, stands still or
# is interrupted, and that an attach which changes nothing harms nothing.

set -u
cd "$(dirname "$0")/../.." || exit 1
HERDFS=$(realpath "${HERDFS:-build/plain/herdfs}")
for tool in mkfs.ext4 debugfs qemu-img; do
	command -v $tool >/dev/null || PATH=$PATH:/usr/sbin:/sbin
	command -v $tool >/dev/null || { echo "skip: no $tool"; exit 77; }
done
[ -x "$HERDFS" ] || { echo "skip: $HERDFS is not built"; exit 77; }

dir=$(mktemp -d "${TMPDIR:-/tmp}/herd-cli.XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
export HERDFS_STORE=$dir/store SOURCE_DATE_EPOCH=1700000000
unset HERDFS_STALL_SECONDS
failed=0

# run STATUS WORDS… : runs "$@" after --, checks its status, keeps its output
run() {
	local want=$1 got
	shift
	"$HERDFS" "$@" >"$dir/out" 2>"$dir/err"
	got=$?
	if [ $got -ne "$want" ]; then
		echo "FAIL: herdfs $*: status $got, not $want"
		cat "$dir/out" "$dir/err"
		failed=1
	fi
}

# says FILE PATTERN…: the output has it
says() {
	grep -qE -- "$2" "$dir/$1" && return
	echo "FAIL: no /$2/ in std$1:"
	cat "$dir/out" "$dir/err"
	failed=1
}

# silent FILE
silent() {
	[ -s "$dir/$1" ] || return
	echo "FAIL: unexpected std$1:"
	cat "$dir/$1"
	failed=1
}

lines() {
	[ "$(wc -l <"$dir/$1")" -eq "$2" ] && return
	echo "FAIL: not $2 line(s) in std$1:"
	cat "$dir/$1"
	failed=1
}

# ---- images ----

tree=$dir/tree
mkdir -p "$tree/etc" "$tree/usr/bin" "$tree/sbin"
echo root:x:0:0::/root:/bin/sh >"$tree/etc/passwd"
echo 'LABEL=root / ext4 defaults 0 1' >"$tree/etc/fstab"
ln -s ../usr/bin/prog "$tree/sbin/init"
for i in $(seq 200); do
	head -c 20000 /dev/urandom >"$tree/usr/bin/prog$i"
done
img=$dir/img
mkdir "$img"
mkfs.ext4 -q -L root -d "$tree" "$img/base.raw" 16M >/dev/null 2>&1 || {
	echo "skip: mkfs.ext4 -d does not work"; exit 77; }
for i in 1 2 3; do cp "$img/base.raw" "$img/i-$i.raw"; done
echo changed >"$dir/changed"
debugfs -w -R "write $dir/changed etc/added" "$img/i-2.raw" >/dev/null 2>&1
split -b 5M -d -a 3 --numeric-suffixes=1 "$img/i-3.raw" "$img/i-4.raw."
# with subclusters, which only qemu reads
qemu-img create -q -f qcow2 -o extended_l2=on -b base.raw -F raw "$img/i-5.qcow2"
qemu-img convert -q -O vmdk "$img/i-3.raw" "$img/i-6.vmdk"
qemu-img create -q -f qcow2 "$img/second.qcow2" 1M

# ---- wrong use ----

run 2 attach; says err 'asg'
run 2 attach --asg web; says err 'no image'
run 2 attach --asg a/b "$img/i-1.raw"; says err 'name of a group'
run 2 attach --asg web --threads 0 "$img/i-1.raw"
run 2 attach --asg web --threads x "$img/i-1.raw"
run 2 attach --asg web --nonsense "$img/i-1.raw"; says err 'help'
run 2 attach --asg web "$img/i-1.raw" "$img/../img/i-1.raw"; says err 'two images'
run 2 attach --asg web --instance a "$img/i-1.raw" "$img/i-2.raw"
run 2 attach --asg web --instance a --disk "$img/i-1.raw" "$img/i-2.raw"
for name in herd.json README.txt clusters; do
	run 2 attach --asg web --instance $name "$img/i-1.raw"
	says err "\"$name\" cannot be the name of an instance: .*folder"
	cp "$img/i-1.raw" "$img/$name.raw"
	run 2 attach --asg web "$img/i-2.raw" "$img/$name.raw"
	says err "give another by --instance"
	rm "$img/$name.raw"
done
for name in $'a\nb' $'a\e[31mb' $'a\xffb' $'a\xe2\x80\xaeb' 'a\b' \
	"$(printf 'x%.0s' $(seq 201))" .. ''; do
	run 2 attach --asg web --instance "$name" "$img/i-1.raw"
	says err "cannot be the name of an instance: it "; lines err 2
	run 2 attach --asg "$name" "$img/i-1.raw"
	says err "cannot be the name of a group: it "; lines err 2
done
run 2 detach --asg web
run 2 detach --asg web --all i-1
run 0 attach --help; says out '^Usage: herdfs attach'; silent err
run 0 detach --help; says out '^Usage: herdfs detach'; silent err
[ -e "$dir/store" ] && { echo "FAIL: wrong use made a store"; failed=1; }

run 1 attach --asg web /nonexistent.raw
says err '^herdfs: .*nonexistent.raw'; lines err 1
run 1 attach --asg web "$dir"; lines err 1
run 1 attach --asg web --format nonsense "$img/i-1.raw"; lines err 1
mkfifo "$dir/fifo"
timeout 20 "$HERDFS" attach --asg web "$dir/fifo" >/dev/null 2>"$dir/err" </dev/null
[ $? -eq 1 ] || { echo "FAIL: a FIFO as image"; failed=1; }
: >"$dir/empty.raw"
run 1 attach --asg web "$dir/empty.raw"; lines err 1
run 1 detach --asg web i-1; lines err 1

# ---- honest use ----

run 0 attach --asg web "$img/i-1.raw" "$img/i-2.raw" "$img/i-3.raw"
says out '^web/i-1: attached: .*20[0-9] files hashed [^,]*; 0 problems$'
says out '^web/i-2: attached: .*, [0-9] files? hashed \(.*\), the rest unchanged from i-1; 0 problems$'
says out '^web/i-3: attached: .* 0 files hashed .*unchanged from i-1'
lines out 3; silent err
run 0 attach --asg web "$img/i-4.raw.001" "$img/i-5.qcow2" "$img/i-6.vmdk"
says out '^web/i-4: attached'; says out '^web/i-5: attached'
says out '^web/i-6: attached'; silent err
run 0 attach --asg web "$img/i-1.raw" "$img/i-5.qcow2"
says out '^web/i-1: already attached'; says out '^web/i-5: already attached'
run 0 attach --asg web --baseline "$img/base.raw"
says out '^web/baseline: attached as baseline'
run 1 attach --asg web --baseline --instance other "$img/i-1.raw"; lines err 1
run 0 attach --asg db --instance one --disk "$img/i-1.raw" --disk "$img/second.qcow2"
says out '^db/one: attached'
run 0 attach --asg db --json --instance two "$img/i-2.raw"
lines out 1; says out '"result": ?"attached"'; says out '"group": ?"db"'
python3 -c 'import json,sys; json.load(open(sys.argv[1]))' "$dir/out" 2>/dev/null ||
	command -v python3 >/dev/null && python3 -c \
	'import json,sys; json.load(open(sys.argv[1]))' "$dir/out" || failed=1
run 0 attach --asg db --quiet --instance three "$img/i-3.raw"; silent out; silent err

# One that fails does not stop the next; what is there is refused if changed.
cp "$img/i-1.raw" "$img/i-8.raw"
run 1 attach --asg web /nonexistent.raw "$img/i-8.raw"
lines err 1; says out '^web/i-8: attached'
echo changed >>"$img/i-8.raw"
run 1 attach --asg web "$img/i-8.raw"; lines err 1; says err 'i-8'

# An image must not lead to files elsewhere.
mkdir "$dir/elsewhere"
cp "$img/base.raw" "$dir/elsewhere/"
qemu-img create -q -f qcow2 -b ../elsewhere/base.raw -F raw "$img/i-9.qcow2"
run 1 attach --asg web "$img/i-9.qcow2"; lines err 1
run 0 attach --asg web --backing "$dir/elsewhere" "$img/i-9.qcow2"

# The reference's images gone: everything is hashed, and one line says so.
cp "$img/i-2.raw" "$img/i-10.raw"
mv "$img/i-1.raw" "$img/gone"
run 0 attach --asg web "$img/i-10.raw"
says out ' 20[0-9] files hashed [^,]*; 1 problem$'; says err 'everything is hashed'; lines err 1
says out '^  /.volumes: compared not block by block but in full, because the images of the reference i-1 are not to be had .*i-1.raw'
mv "$img/gone" "$img/i-1.raw"

# ---- a worker that does not come back ----

# after STAGE-WORD COMMAND…: runs attach on a large image and does COMMAND to
# its worker once it is there
big=$img/big.raw
mkdir -p "$tree/big"
head -c 400M /dev/zero | tr '\0' x >"$tree/big/file"
mkfs.ext4 -q -d "$tree" "$big" 700M >/dev/null 2>&1
worker_of() {
	local pid=$1 child=
	for _ in $(seq 200); do
		child=$(cat "/proc/$pid/task/$pid/children" 2>/dev/null)
		child=${child%% *}
		[ -n "$child" ] && break
		sleep 0.01
	done
	echo "$child"
}
HERDFS_STALL_SECONDS=1 "$HERDFS" attach --asg web "$big" "$img/i-3.raw" \
	>"$dir/out" 2>"$dir/err" &
pid=$!
child=$(worker_of $pid)
kill -STOP "$child"
wait $pid
[ $? -eq 1 ] || { echo "FAIL: a worker that stands still"; failed=1; }
says err 'web/big: the reader stood still'; lines err 1
says out 'web/i-3: already'
kill -0 "$child" 2>/dev/null && { echo "FAIL: the worker is still there"; failed=1; }

ASAN_OPTIONS=handle_segv=0 TSAN_OPTIONS=handle_segv=0 \
	"$HERDFS" attach --asg web "$big" "$img/i-3.raw" \
	>"$dir/out" 2>"$dir/err" &
pid=$!
kill -SEGV "$(worker_of $pid)"
wait $pid
[ $? -eq 1 ] || { echo "FAIL: a worker that crashes"; failed=1; }
says err 'web/big: the reader crashed .signal 11'; lines err 1; says out 'web/i-3: already'

"$HERDFS" attach --asg web "$big" "$img/i-3.raw" >"$dir/out" 2>"$dir/err" &
pid=$!
child=$(worker_of $pid)
kill -TERM $pid
wait $pid
[ $? -eq 143 ] || { echo "FAIL: SIGTERM is not passed on"; failed=1; }
says err 'interrupted'; silent out
kill -0 "$child" 2>/dev/null && { echo "FAIL: the worker outlives SIGTERM"; failed=1; }

"$HERDFS" attach --asg web "$big" >"$dir/out" 2>"$dir/err" &
pid=$!
child=$(worker_of $pid)
disown $pid
kill -KILL $pid
for _ in $(seq 100); do
	kill -0 "$child" 2>/dev/null || break
	sleep 0.05
done
kill -0 "$child" 2>/dev/null && { echo "FAIL: the worker outlives SIGKILL"; failed=1; }
run 0 attach --asg web "$big"; says out 'web/big: attached'

# One that takes more memory than it may: named, and the next goes on. Not with a
# sanitizer, which takes more by itself.
for i in $(seq 100); do	# mke2fs is slow on large folders
	mkdir -p "$dir/many/$i"
	(cd "$dir/many/$i" && seq -f "$(printf 'x%.0s' $(seq 100))%g" 300 | xargs touch)
done
mkfs.ext4 -q -N 32000 -d "$dir/many" "$img/many.raw" 64M >/dev/null 2>&1
rm -rf "$dir/many"
case $HERDFS in
*/asan/* | */tsan/*) ;;
*)
	HERDFS_MEMORY_MB=1 run 1 attach --asg many --threads 1 "$img/many.raw" "$img/i-1.raw"
	says err '^herdfs: many/many: out of memory while .* 1 MiB'; lines err 1
	says out '^many/i-1: attached: '; lines out 1
	;;
esac
run 0 attach --asg many "$img/many.raw"; says out '^many/many: attached: 30,10'
rm "$img/many.raw"

# Two at a time: the second is told so.
rm -f "$img/big2.raw"; cp --sparse=always "$big" "$img/big2.raw"
printf x | dd of="$img/big2.raw" bs=1 seek=500M conv=notrunc status=none
"$HERDFS" attach --asg other "$img/big2.raw" >/dev/null 2>&1 &
pid=$!
child=$(worker_of $pid)
lock=$(stat -c %i "$dir/store/writer.lock")
for _ in $(seq 500); do	# until it has the store
	grep -qE "FLOCK +ADVISORY +WRITE $child [0-9a-f:]+:$lock " /proc/locks && break
	sleep 0.01
done
if kill -STOP "$child" 2>/dev/null; then
	run 1 attach --asg web "$img/i-1.raw" "$img/i-2.raw"; lines err 1
	kill -CONT "$child"
else
	echo "FAIL: the first was too fast"; failed=1
fi
wait $pid

# Killed at any moment, it leaves no qemu-nbd behind. In a space of processes of
# its own, for nothing else tells whose qemu-nbd it is.
cp "$img/i-5.qcow2" "$img/i-7.qcow2"
cat >"$dir/killer" <<'KILLER'
for i in 01 02 03 04 05 06 07 08 09 10 12 14 16 18 20 22 24 26 28 30 33 36 40; do
	"$HERDFS" attach --asg nbd --quiet "$1/i-5.qcow2" "$1/i-7.qcow2" &
	pid=$!
	disown $pid
	sleep 0.0$i
	kill -KILL $pid
	sleep 0.05
	"$HERDFS" detach --asg nbd --all --quiet
done 2>/dev/null
sleep 1
! pgrep -x qemu-nbd
KILLER
export HERDFS
for ns in 'unshare --pid --fork --mount-proc' \
	'unshare --user --map-root-user --pid --fork --mount-proc'; do
	$ns true 2>/dev/null || continue
	$ns bash "$dir/killer" "$img" || {
		echo "FAIL: these qemu-nbd are still running"; failed=1; }
	break
done

# ---- detach ----

run 1 detach --asg web i-2 nobody; says err 'nobody'; lines err 1
run 0 detach --asg web i-2; says out '^web/i-2: taken out'; lines out 1
run 1 detach --asg web i-2
run 0 attach --asg web "$img/i-2.raw"; says out 'web/i-2: attached'
run 0 detach --asg web i-1; says out 'web/i-1'	# the reference
run 0 attach --asg web "$img/i-1.raw"; says out 'web/i-1: attached'
run 0 detach --asg web --all
run 1 detach --asg web --all; says err 'no group'
run 0 attach --asg web "$img/i-2.raw"; says out ' 20[0-9] files hashed [^,]*;'
cmp -s "$img/base.raw" "$dir/elsewhere/base.raw" || {
	echo "FAIL: an image was changed"; failed=1; }

# Nothing is left running.
sleep 0.2
if pgrep -f "$dir" >/dev/null; then
	echo "FAIL: still running:"; pgrep -af "$dir"; failed=1
fi
[ $failed -eq 0 ] && echo ok
exit $failed
