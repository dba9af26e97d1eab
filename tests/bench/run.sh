#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Figures, each as a ratio to a peer or a limit that is measured in the same
# run on the same data, all of it in the page cache. Nothing here passes or
# fails. Needs root for the kernel's own mount of the image.
#
#   tests/bench/run.sh [index] [sibling] [mount] [scale] [join] [ebs] [memory]
#   default: all
#
# BENCH_DIR   where data is made and kept    build/bench
# BENCH_FILES files to take from /usr        60000
# BENCH_RUNS  runs of each command; the median counts   3
set -euo pipefail
cd "$(dirname "$0")/../.."

HERDFS=${HERDFS:-$PWD/build/plain/herdfs}
BIGSTORE=${BIGSTORE:-$PWD/build/plain/tests/bench/bigstore}
REJUDGE=${REJUDGE:-$PWD/build/plain/tests/bench/rejudge}
BLOCKSERVER=${BLOCKSERVER:-$PWD/build/plain/tests/bench/blockserver}
HTTPBLOCKS=${HTTPBLOCKS:-$PWD/build/plain/tests/bench/httpblocks}
MEMORYCAT=${MEMORYCAT:-$PWD/build/plain/tests/bench/memorycat}
MACHINE_DUMP=${MACHINE_DUMP:-$PWD/build/plain/tests/lab/machine_dump}
STOREDUMP=${STOREDUMP:-$PWD/build/plain/tests/lab/storedump}
DIR=${BENCH_DIR:-$PWD/build/bench}
FILES=${BENCH_FILES:-60000}
RUNS=${BENCH_RUNS:-3}
CORES=$(nproc)
mkdir -p "$DIR"
DIR=$(cd "$DIR" && pwd)
export HERDFS_STORE=$DIR/store
M=$DIR/m K=$DIR/k F=$DIR/f

cleanup() {
	for m in "$M" "$K" "$F"; do
		mountpoint -q "$m" && umount "$m" 2>/dev/null
	done
	rm -rf "$HERDFS_STORE" "$DIR/big"
	true
}
trap cleanup EXIT

say() { printf '%s\n' "$*"; }
# name, what was measured, what it is compared with, goal
row() { printf '  %-44s %10s   %-34s %s\n' "$1" "$2" "$3" "${4:+goal $4}"; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", b ? a / b : 0 }'; }
secs() { awk -v a="$1" 'BEGIN { printf "%.3f s", a }'; }

# Wall-clock seconds of a command into $T.
once() {
	local from=$EPOCHREALTIME
	"$@" >/dev/null 2>"$DIR/stderr" || { cat "$DIR/stderr" >&2; return 1; }
	T=$(awk -v a="$from" -v b="$EPOCHREALTIME" 'BEGIN { print b - a }')
}
# Median over RUNS; $1 is run before each, unmeasured.
median() {
	local before=$1 all=()
	shift
	for ((i = 0; i < RUNS; i++)); do
		$before
		once "$@"
		all+=("$T")
	done
	T=$(printf '%s\n' "${all[@]}" | sort -g | sed -n "$(((RUNS + 1) / 2))p")
}

# ---- data ----

shuffled() {
	LC_ALL=C sort | shuf --random-source=<(openssl enc -aes-128-ctr -nosalt \
		-pbkdf2 -pass pass:herd </dev/zero 2>/dev/null)
}

prepare() {
	mkdir -p "$M" "$K" "$F"
	if [ ! -e "$DIR/sib.qcow2" ]; then
		say "preparing data in $DIR …"
		# files of all kinds and sizes but giants, the same each time
		find /usr -xdev -type f -size -256M | shuffled >"$DIR/all"
		head -n "$FILES" "$DIR/all" >"$DIR/list"
		local kb
		kb=$(tr '\n' '\0' <"$DIR/list" | du -ck --files0-from=- | tail -1 | cut -f1)
		truncate -s $((kb * 5 / 4 + 512 * 1024))K "$DIR/base.tmp"
		mkfs.ext4 -q -F -E lazy_itable_init=0 "$DIR/base.tmp"
		mount -o loop "$DIR/base.tmp" "$K"
		tar cf - -C / -T <(sed 's,^/,,' "$DIR/list") | tar xf - -C "$K"
		umount "$K"
		mv "$DIR/base.tmp" "$DIR/base.raw"
		change_sibling
	fi
	cat "$DIR/base.raw" "$DIR/sib.raw" >/dev/null
	BYTES=$(awk '{ s += $1 } END { printf "%.0f", s }' "$DIR/sizes")
	COUNT=$(wc -l <"$DIR/sizes")
}

# One per cent of the blocks in use, rewritten file by file as an upgrade does.
change_sibling() {
	cp --sparse=always "$DIR/base.raw" "$DIR/sib.raw"
	mount -o loop,noatime "$DIR/sib.raw" "$K"
	find "$K" -type f -printf '%s\n' >"$DIR/sizes"
	local budget=$(($(awk '{ s += $1 } END { printf "%.0f", s }' "$DIR/sizes") / 100))
	find "$K" -type f -size +0 -size -1024k | shuffled >"$DIR/chosen"
	while read -r f; do
		size=$(stat -c %s "$f")
		head -c "$size" /dev/urandom | dd of="$f" conv=notrunc bs=1M status=none
		budget=$((budget - size))
		[ $budget -gt 0 ] || break
	done <"$DIR/chosen"
	umount "$K"
	qemu-img create -q -f qcow2 -b sib.raw -F raw "$DIR/sib.tmp"
	qemu-img rebase -f qcow2 -b base.raw -F raw "$DIR/sib.tmp"
	mv "$DIR/sib.tmp" "$DIR/sib.qcow2"
}

sha_rate() {	# bytes a second of one core, on 16 KiB blocks
	openssl speed -mr -seconds 2 -bytes 16384 -evp sha256 2>/dev/null |
		awk -F: '/^\+F/ { print $NF }'
}

fresh() { rm -rf "$HERDFS_STORE"; }
with_base() { fresh; "$HERDFS" attach --quiet --asg bench --instance base --disk "$DIR/base.raw" >/dev/null; }

# ---- what is measured ----

bench_index() {
	say; say "First index: $COUNT files, $((BYTES >> 20)) MiB, $CORES cores"
	local rate floor
	rate=$(sha_rate)
	floor=$(awk -v b="$BYTES" -v r="$rate" -v c="$CORES" 'BEGIN { print b / r / c }')
	median fresh "$HERDFS" attach --quiet --asg bench --instance base --disk "$DIR/base.raw"
	FIRST=$T
	row "herdfs attach" "$(secs "$FIRST")" ""
	row "÷ floor (bytes ÷ SHA-256 rate × cores)" "$(ratio "$FIRST" "$floor")" "$(secs "$floor"), $((${rate%.*} >> 20)) MiB/s a core" "≤ 1.5"
	mount -o loop,ro,noload "$DIR/base.raw" "$K"
	median true sh -c "find '$K' -xdev -type f -print0 | xargs -0 -n 64 -P $CORES sha256sum"
	umount "$K"
	row "kernel mount + sha256sum ÷ herdfs" "$(ratio "$T" "$FIRST")" "$(secs "$T")" "≥ 3"
	if command -v fiwalk >/dev/null; then
		once fiwalk -x "$DIR/base.raw"
		row "fiwalk ÷ herdfs" "$(ratio "$T" "$FIRST")" "$(secs "$T"), one run" "≥ 8"
	fi
}

bench_sibling() {
	say; say "A sibling with 1 % of its blocks changed"
	if [ -z "${FIRST:-}" ]; then
		median fresh "$HERDFS" attach --quiet --asg bench --instance base --disk "$DIR/base.raw"
		FIRST=$T
	fi
	median with_base "$HERDFS" attach --quiet --asg bench --instance sib --disk "$DIR/sib.qcow2"
	row "qcow2 overlay ÷ first index" "$(ratio "$T" "$FIRST")" "$(secs "$T")" "≤ 0.05"
	median with_base "$HERDFS" attach --quiet --asg bench --instance sib --disk "$DIR/sib.raw"
	row "raw ÷ first index" "$(ratio "$T" "$FIRST")" "$(secs "$T")" "≤ 0.40"
}

unmount() { mountpoint -q "$1" && umount "$1"; true; }
mount_herdfs() { unmount "$M"; "$HERDFS" mount "$M"; }
mount_kernel() { unmount "$K"; mount -o loop,ro,noload "$DIR/base.raw" "$K"; }
mount_fuse2fs() { unmount "$F"; fuse2fs -o ro,norecovery "$DIR/base.raw" "$F" >/dev/null 2>&1; }

# job, command with ROOT in it: first pass (fresh mount) and second, all three
read_job() {
	local name=$1 cmd=$2 first second k1 k2
	median mount_kernel sh -c "${cmd//ROOT/$K}"; k1=$T
	median true sh -c "${cmd//ROOT/$K}"; k2=$T
	median mount_herdfs sh -c "${cmd//ROOT/$M/asg/bench/base/all/disk}"; first=$T
	median true sh -c "${cmd//ROOT/$M/asg/bench/base/all/disk}"; second=$T
	row "$name, first pass ÷ kernel" "$(ratio "$first" "$k1")" "$(secs "$first") against $(secs "$k1")" "≤ 1.5"
	row "$name, second pass ÷ kernel" "$(ratio "$second" "$k2")" "$(secs "$second") against $(secs "$k2")" "≤ 1.2"
	if command -v fuse2fs >/dev/null && mount_fuse2fs; then
		once sh -c "${cmd//ROOT/$F}"
		row "fuse2fs ÷ $name, first pass" "$(ratio "$T" "$first")" "$(secs "$T"), one run" "≥ 2"
	fi
	unmount "$K"; unmount "$M"; unmount "$F"
}

bench_mount() {
	say; say "Reading through the mount, image in the page cache"
	with_base
	read_job "find -ls" "find ROOT -ls"
	read_job "grep -rc" "grep -rc herd ROOT || test \$? -eq 1"
	read_job "every byte" "find ROOT -type f -print0 | xargs -0 -n 200 cat"
}

bench_scale() {
	say; say "A made-up herd of 1,000 instances × 100,000 paths"
	rm -rf "$DIR/big"
	"$BIGSTORE" "$DIR/big" 1000 100000 | while read -r line; do
		row "joining, ${line%%:*}" "${line##*: }" ""
	done
	row "store" "$(du -sm "$DIR/big" | cut -f1) MiB" "" "≤ 1024 MiB"
	once env HERDFS_STORE="$DIR/big" "$HERDFS" mount "$M"
	row "mount ready" "$(secs "$T")" "" "≤ 1 s"
	once find "$M/asg/big/i-0499/deviant" -ls
	row "find over one instance's deviant" "$(secs "$T")" "" "≤ 0.2 s"
	once find "$M/asg/big/i-0500/all/disk" -ls
	row "find over one instance's all (100,000)" "$(secs "$T")" ""
	for i in 0099 0199 0299 0399; do
		find "$M/asg/big/i-$i" -maxdepth 1 -ls >/dev/null
	done
	local rss=0
	for p in $(pgrep -f "$HERDFS mount"); do
		rss=$((rss + $(awk '/^RssAnon/ { print $2 }' "/proc/$p/status")))
	done
	row "memory of the mount (anonymous)" "$((rss >> 10)) MiB" "" "≤ 256 MiB"
	umount "$M"
}

# Writing the ledger, reading it and judging the newcomer, against judging all
# others from nothing.
bench_join() {
	say; say "One more member of a made-up herd of 100,000 paths"
	for n in 101 1000; do
		rm -rf "$DIR/big"
		local us join one all
		us=$("$BIGSTORE" "$DIR/big" $n 100000; "$REJUDGE" "$DIR/big" big)
		join=$(sed -n 's/^ledger: \(.*\) us/\1/p' <<<"$us")
		one=$(sed -n 's/^rejudge: \(.*\) us/\1/p' <<<"$us")
		all=$(sed -n 's/^from nothing: \(.*\) us/\1/p' <<<"$us")
		row "re-judging for member $n ÷ all from nothing" \
			"$(awk -v a="$join" -v b="$one" -v c="$all" 'BEGIN { printf "%.2f %%", 100 * (a + b) / c }')" \
			"$join + $one µs against $all µs" "≤ 2 %"
	done
}

# In memory: ext4 takes long to make files for half a minute after others went.
fresh_blocks() {
	rm -rf /dev/shm/herd-bench.*
	HERDFS_CACHE=$(mktemp -d /dev/shm/herd-bench.XXXXXX)
}

# As many blocks as memory holds easily, each different, from a server that
# costs next to nothing; no signature is checked by it, and curl makes none.
bench_ebs() {
	local n=2000 port
	say; say "EBS: $n blocks of 512 KiB from a local server ($CORES cores for both)"
	rm -f "$DIR/port"
	"$BLOCKSERVER" -n $n >"$DIR/port" &
	local server=$!
	while ! port=$(awk '/listening/ { print $3 }' "$DIR/port" 2>/dev/null) || [ -z "$port" ]; do
		sleep 0.1
	done
	seq 0 $((n - 1)) | while read -r i; do
		printf 'url = "http://127.0.0.1:%s/snapshots/snap-0/blocks/%s"\noutput = "/dev/null"\n' "$port" "$i"
	done >"$DIR/curl"
	median true curl -s --parallel --parallel-max 64 -K "$DIR/curl"
	local curl=$T
	median true "$HTTPBLOCKS" "http://127.0.0.1:$port" $n 64
	row "curl --parallel ÷ the fetcher's HTTP" "$(ratio "$curl" "$T")" "$(secs "$curl") against $(secs "$T")"
	export AWS_ENDPOINT_URL=http://127.0.0.1:$port AWS_REGION=eu-central-1 \
		AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE AWS_SECRET_ACCESS_KEY=none \
		HERDFS_FETCH_RATE=100000 \
		HERDFS_CACHE=
	median fresh_blocks "$HERDFS" fetch --quiet snap-0
	row "curl --parallel ÷ herdfs fetch, digests and cache" "$(ratio "$curl" "$T")" "$(secs "$curl") against $(secs "$T")" "≥ 0.8"
	row "herdfs fetch ÷ AWS's limit (1,000 blocks a second)" \
		"$(awk -v n=$n -v t="$T" 'BEGIN { printf "%.2f", n / t / 1000 }')" ""
	local cpu
	fresh_blocks
	cpu=$({ TIMEFORMAT='%U %S'; time "$HERDFS" fetch --quiet snap-0; } 2>&1 |
		awk -v n=$n '{ printf "%.2f", ($1 + $2) / (n * 524288 / 1e9) }')
	row "CPU of herdfs fetch, its fetcher included" "$cpu s a GB" ""
	kill $server
	wait $server 2>/dev/null || true
	rm -rf /dev/shm/herd-bench.*
}

# A memory of 512 MiB, three quarters of it zeros, in runs as a kernel has them.
prepare_containers() {
	mkdir -p "$D"
	[ -e "$D/memory.avml2" ] && [ -e "$D/memory.kdump-zstd" ] && return
	say "preparing memory in $D …"
	find /usr -xdev -type f -size +64k -size -4096k | shuffled >"$D/all"
	head -n 2000 "$D/all" | tr '\n' '\0' | xargs -0 cat >"$D/content"
	truncate -s 128M "$D/content"
	truncate -s 512M "$D/memory.tmp"
	for ((i = 0; i < 256; i++)); do
		dd if="$D/content" of="$D/memory.tmp" bs=512K count=1 skip=$i \
			seek=$((i * 4)) conv=notrunc status=none
	done
	cat "$D/memory.tmp" >"$D/memory.raw"	# no holes
	rm "$D/memory.tmp" "$D/content"
	for f in lime avml2 elf kdump-zlib kdump-lzo kdump-snappy kdump-zstd; do
		python3 tests/lab/memory_write.py $f "$D/memory.raw" "$D/memory.$f"
	done
}

bench_containers() {
	local cat limit D=$DIR/containers
	prepare_containers
	say; say "Memory: containers of 512 MiB, read in order by one thread"
	cat "$D"/memory.* >/dev/null
	median true sh -c "cat '$D/memory.raw' | cat"
	cat=$T
	row "cat of the raw file" "$(secs "$cat")" ""
	median true "$MEMORYCAT" -s "$D/memory.avml2"
	limit=$T
	row "Snappy's unpacking alone" "$(secs "$limit")" ""
	for f in raw lime elf avml2 kdump-zlib kdump-lzo kdump-snappy kdump-zstd; do
		median true "$MEMORYCAT" "$D/memory.$f"
		row "$f ÷ cat" "$(ratio "$T" "$cat")" "$(secs "$T")"
		[ $f != avml2 ] || row "$f ÷ Snappy's unpacking" "$(ratio "$T" "$limit")" "" "≤ 1"
	done
	for f in raw avml2 kdump-zlib kdump-zstd; do
		median true "$MEMORYCAT" -r 20000 "$D/memory.$f"
		row "$f, a page at random" "$(awk -v t="$T" 'BEGIN { printf "%.1f", t / 20000 * 1e6 }') µs"  ""
	done
}

# The lab's herd with memory (512 MB each) where it was made, else small guests
# (256 MB); made once. The limit is reading an image from the page cache.
memory_herd() {	# sets disks, memories
	local lab=${LAB_DIR:-$PWD/build/lab} g
	mapfile -t memories < <(find "$lab/memory" -name 'i-*.raw' 2>/dev/null | sort | head -4)
	disks=()
	for g in "${memories[@]}"; do
		g=${g##*/}
		disks+=("$lab/images/${g%.raw}.qcow2")
	done
	[ ${#memories[@]} -lt 4 ] || return 0
	tests/lab/memory_guest.sh "$DIR/memory" mini-6.1 mini-6.1-pti mini-6.1-nokaslr mini-6.1-note
	disks=("$DIR"/memory/mini-6.1{,-pti,-nokaslr,-note}/disk.raw)
	memories=("$DIR"/memory/mini-6.1{,-pti,-nokaslr,-note}/memory.raw)
}
attach_four() {
	local i
	for i in 0 1 2 3; do
		"$HERDFS" attach --quiet --asg bench --instance "i-$i" --memory "${memories[i]}"
	done
}
four_disks() {
	local i
	fresh
	for i in 0 1 2 3; do
		"$HERDFS" attach --quiet --asg bench --instance "i-$i" --disk "${disks[i]}" >/dev/null
	done
}
deviance() {
	attach_four && "$HERDFS" list --asg bench
}
dump_tasks() { "$MACHINE_DUMP" --parts tasks,vmas --format raw-memory --time "$1"; }
bench_memory() {
	mkdir -p "$M" "$K" "$F"
	local bytes read big=$DIR/memory/mini-6.1-big/memory.raw p
	memory_herd
	tests/lab/memory_guest.sh "$DIR/memory" mini-6.1-big
	bytes=$(stat -c %s "${memories[0]}")
	say; say "Memory: four images of $((bytes >> 20)) MiB, raw"
	cat "${memories[@]}" "${disks[@]}" "$big" >/dev/null
	median true cat "${memories[0]}"
	read=$T
	median true dump_tasks "${memories[0]}"
	row "tasks, threads, VMAs, all views ÷ cat" "$(ratio "$T" "$read")" "$(secs "$T") against $(secs "$read")" "0.15 s"
	median true cat "$big"
	read=$T
	median true "$MACHINE_DUMP" --parts tasks --format raw-memory --time "$big"
	row "tasks of 4.6 GB ÷ cat" "$(ratio "$T" "$read")" "$(secs "$T") against $(secs "$read")" "0.3 s"
	median true cat "${memories[@]}"
	read=$T
	median four_disks deviance
	row "deviance of four, attached and judged ÷ cat" "$(ratio "$T" "$read")" "$(secs "$T") against $(secs "$read")" "3 s"
	mount_herdfs
	cat "$M"/asg/bench/i-*/deviant/memory/*/core "$M"/asg/bench/i-0/all/memory/*/core >/dev/null 2>&1 || true
	p=$(pgrep -f "herdfs mount $M" | tail -1)
	row "the mount's memory after reading cores" "$(awk '/VmHWM/ { printf "%d MB", $2 / 1000 }' "/proc/$p/status")" "" "200 MB"
	unmount "$M"
	row "the index for a member's memory" "$("$STOREDUMP" "$HERDFS_STORE" | awk '$1 == "memory" { n++; s += length($3) / 2 } END { printf "%d kB", n ? s / n / 1000 : 0 }')" "of $((bytes / 1000000)) MB"
}

say "herdfs bench, $(date -u +%F), $(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -1), $CORES cores, $(uname -r)"
case ${*:-all} in
ebs | join | memory | containers) ;;	# which read no images of disks
*) prepare ;;
esac
for what in ${*:-index sibling mount scale join ebs memory containers}; do
	"bench_$what"
done
