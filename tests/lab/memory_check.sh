#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# memory_check.sh [-w] DIR…|lab: compares what machine_dump reads in images of
# memory with what the guests' kernels said. DIR is a guest's of memory_guest.sh;
# "lab": all of guests.sh whose memory was taken, below ${LAB_DIR:-build/lab}.
# -w: also in the containers that no qemu writes (memory_write.py): LiME, AVML,
# kdump of each compression, flattened and not. A line an image, "N facts, …",
# and one for the page cache where the guest's disk is there; fails on any
# mismatch.
#
# MACHINE_DUMP: the program, by default build/plain/tests/lab/machine_dump.

set -u
write=
if [ "${1:-}" = -w ]; then
	write=1
	shift
fi
[ $# -gt 0 ] || { echo "usage: memory_check.sh [-w] DIR…|lab" >&2; exit 2; }
here=$(dirname "$(realpath "$0")")
dump=$(realpath "${MACHINE_DUMP:-$here/../../build/plain/tests/lab/machine_dump}")
lab=$(realpath -m "${LAB_DIR:-$here/../../build/lab}")
work=$(mktemp -d "${TMPDIR:-/tmp}/memory-check.XXXXXX")
trap 'rm -rf "$work"' EXIT
failed=0
written=(lime avml1 avml2 elf kdump-zlib kdump-lzo kdump-snappy kdump-zstd
	elf-flat kdump-zlib-flat)

check() {	# NAME IMAGE ORACLE HIDDEN
	local format=()
	[[ $2 != *.raw ]] || format=(--format raw-memory)
	if ! "$dump" "${format[@]}" "$2" >"$work/dump.json" 2>"$work/err"; then
		echo "$1: $(cat "$work/err")"
		failed=1
		return
	fi
	if "$here/memory_oracle.py" --hidden "$4" "$3" "$work/dump.json" >"$work/said"; then
		echo "$1: $(tail -1 "$work/said")"
	else
		sed "s/^/$1: /" "$work/said"
		failed=1
	fi
}
cached() {	# NAME IMAGE DISK: after check of the raw IMAGE
	if "$here/memory_cache.py" "$work/dump.json" "$2" "$3" >"$work/said"; then
		echo "$1: $(tail -1 "$work/said")"
	else
		sed "s/^/$1: /" "$work/said"
		failed=1
	fi
}
guest() {	# NAME ORACLE KEY IMAGE…
	local name=$1 oracle=$2 hidden i raw="" ranges f
	hidden=$(jq -r '[(.techniques // .memory)[]?.hidden // empty | select(. > 0)] |
		join(",")' "$3" 2>/dev/null)
	shift 3
	for i in "$@"; do
		[ -e "$i" ] || continue
		check "$name ${i##*.}" "$i" "$oracle" "$hidden"
		[[ $i != *.raw ]] || raw=$i
		[[ $i != */memory.raw ]] || [ ! -s "${i%/*}/disk.raw" ] ||
			cached "$name page cache" "$i" "${i%/*}/disk.raw"
	done
	[ -n "$write" ] && [ -n "$raw" ] || return 0
	# the first megabyte has a hole, as machines' have
	mapfile -t ranges < <(jq -r '.taken.ranges[] | if .[0] == 0 then
		"0-0x9f000", "0x100000-\(.[1])" else "\(.[0])-\(.[0] + .[1])" end |
		"--range", .' "$oracle")
	for f in "${written[@]}"; do
		if python3 "$here/memory_write.py" "$f" "$raw" "$work/image" "${ranges[@]}"; then
			check "$name $f (written)" "$work/image" "$oracle" "$hidden"
		else
			failed=1
		fi
		rm -f "$work/image"
	done
}

for d in "$@"; do
	if [ "$d" = lab ]; then
		for key in "$lab"/guests/*/key.json; do
			d=$(dirname "$key")
			[ -s "$d/oracle.json" ] || continue
			guest "$(basename "$d")" "$d/oracle.json" "$key" \
				"$lab/memory/$(jq -r .name "$key")".{raw,elf,kdump-zlib}
		done
	elif [ -s "$d/oracle.json" ]; then
		guest "$(basename "$d")" "$d/oracle.json" "$d/key.json" \
			"$d"/memory.{raw,elf,kdump-zlib}
	else
		echo "memory_check.sh: $d has no oracle.json" >&2
		failed=1
	fi
done
exit $failed
