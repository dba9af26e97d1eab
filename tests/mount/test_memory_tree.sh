#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# memory/ of real guests in a mount: dumps against what the guests' kernels
# said, cores in gdb, scanners, archives, holes, and how much memory it takes.
# The images are those of test_memory_oracle.sh. MEMORY_IMAGES: a folder that
# has them already.

# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
need_fuse
need python3 jq getfattr cmp
out=${MEMORY_IMAGES:-}
if [ -z "$out" ]; then
	[ "$(id -u)" -eq 0 ] || skip "needs root to make a guest's disk"
	need qemu-system-x86_64 sgdisk mkfs.ext4 cpio gcc dpkg-deb
	out=$PWD/build/cache/memory
	LAB_CACHE=$PWD/build/cache/debs "$LAB/memory_guest.sh" "$out" mini-6.1 \
		mini-6.12-la57 mini-6.1-bad || { fail "a guest could not be made"; finish; }
fi

# ---- a herd of three that are alike and one that was broken into ----

# shellcheck disable=SC2154 # dir, mnt: lib.sh
mkdir "$dir/disks" "$dir/memory" "$dir/other"
guest() { case $1 in i-4) echo mini-6.1-bad ;; *) echo mini-6.1 ;; esac; }
for i in i-1 i-2 i-3 i-4; do
	ln -s "$out/$(guest $i)/disk.raw" "$dir/disks/$i.raw"
	ln -s "$out/$(guest $i)/memory.raw" "$dir/memory/$i.raw"
done
for i in i-2 i-3; do	# the very same file for two is refused
	rm "$dir/memory/$i.raw"
	cp --sparse=always "$out/mini-6.1/memory.raw" "$dir/memory/$i.raw"
done
# five levels, and a container with gaps
ln -s "$out/mini-6.12-la57/disk.raw" "$dir/other/la57.raw"
ln -s "$out/mini-6.12-la57/memory.elf" "$dir/other/la57.elf"
attach --asg web "$dir"/disks/*.raw
attach --asg web --memory "$dir"/memory/*.raw
attach --asg other "$dir/other/la57.raw"
attach --asg other --memory "$dir/other/la57.elf"
mount_herd
web=$mnt/asg/web
bad=$web/i-4
deviant=$bad/deviant/memory
la57=$mnt/asg/other/la57

same() {	# WHAT WANT GOT
	[ "$2" = "$3" ] || fail "$1: wanted $(printf %q "$2"), got $(printf %q "$3")"
}
attr() { getfattr -h --only-values --absolute-names -n "user.herdfs.$1" "$2" 2>/dev/null; }

# ---- every byte that the guests' kernels vouch for ----

for i in "$web/i-1:mini-6.1" "$bad:mini-6.1-bad" "$la57:mini-6.12-la57"; do
	"$LAB/memory_dumps.py" "${i%:*}" "$out/${i##*:}/oracle.json" \
		"$out/${i##*:}/memory.raw" >"$dir/out" || fail "dumps of ${i##*:}"
	cat "$dir/out"
done
cmp "$bad/memory.raw" "$out/mini-6.1-bad/memory.raw" || fail "memory.raw of a raw image"
size=$(stat -Lc %s "$out/mini-6.12-la57/memory.raw")
cmp -n "$size" "$la57/memory.raw" "$out/mini-6.12-la57/memory.raw" ||
	fail "memory.raw of an ELF image"
[[ $(attr gaps "$la57/memory.raw") == *"not in the image" ]] || fail "gaps are not told"
[ "$(du -k "$la57/memory.raw" | cut -f1)" -lt $((size / 1024 + 20000)) ] ||
	fail "gaps take room"

# the comparison can fail
python3 - "$out/mini-6.1/oracle.json" "$dir/wrong.json" <<'END'
import json, sys
o = json.load(open(sys.argv[1]))
for when in "before", "after":
    o[when]["binary"]["/proc/1/cmdline"] = b"wrong\0".hex()
json.dump(o, open(sys.argv[2], "w"))
END
"$LAB/memory_dumps.py" "$web/i-1" "$dir/wrong.json" "$out/mini-6.1/memory.raw" >/dev/null &&
	fail "a difference is not noticed"

# ---- what is shown ----

same "processes that deviate in clean ones" "" "$(ls -d "$web"/i-[123]/deviant/memory/[0-9]* 2>/dev/null)"
jq -r '.. | .pid? // empty' "$out/mini-6.1-bad/key.json" | sort -un | while read -r pid; do
	[ "$pid" -gt 0 ] || continue
	compgen -G "$deviant/$pid-*" >/dev/null || echo "$pid"
done >"$dir/out"
[ -s "$dir/out" ] && fail "planted, and not in deviant/memory: $(tr '\n' ' ' <"$dir/out")"
for f in "$deviant"/*/why.json "$bad/all/memory/kernel/modules.json"; do
	python3 -m json.tool "$f" >/dev/null || fail "$f"
done
grep -q system_helper "$deviant/kernel/modules.txt" || fail "the module is not shown"
grep -q 'sys_call_table' "$deviant/kernel/hooks.txt" || fail "the hook is not shown"
same "class" deviant "$(attr class "$(echo "$deviant"/*-.cache-update)")"
# a program that was deleted is whole again
cmp "$(echo "$deviant"/*-.cache-update)/exe" "$bad/all/disk/usr/bin/memory_plants" ||
	fail "a deleted program was not recovered"
timeout 60 find "$mnt" -path '*memory*' -ls >"$dir/ls" 2>"$dir/errors" || fail "find -ls"
[ -s "$dir/errors" ] && fail "find: $(head -3 "$dir/errors")"
timeout 60 getfattr --absolute-names -R -d -m - "$deviant" >/dev/null 2>"$dir/errors"
[ -s "$dir/errors" ] && fail "getfattr: $(head -3 "$dir/errors")"

# a process has what README.md says
p=$(echo "$bad"/all/memory/1-*)
sed -n '/<pid>-<comm>/,/deviant\/memory\/kernel/p' README.md | sed '1d;$d' |
	sed -n 's/^ \{12\}\([a-z]\)/\1/p' | sed 's/   .*//' | tr -s ' /' '\n' |
	grep . >"$dir/items"
[ "$(wc -l <"$dir/items")" -ge 10 ] || fail "README.md's tree is not understood"
while read -r item; do
	# of changed pages this one has none
	[ "$item" = pages ] || [ -e "$p/$item" ] || fail "README.md has $item, the tree has not"
done <"$dir/items"

# ---- gdb ----

if command -v gdb >/dev/null; then
	for p in "$deviant"/[0-9]*; do
		[ -f "$p/core" ] || continue
		timeout 120 gdb -nx -q -batch -iex 'set auto-load no' \
			-iex "set sysroot $bad/all/disk" -iex 'set debuginfod enabled off' \
			-ex 'info threads' -ex 'echo BT\n' -ex 'bt -30' -ex 'echo MAPS\n' \
			-ex 'info proc mappings' -ex 'echo AUXV\n' -ex 'info auxv' \
			"$p/exe" "$p/core" >"$dir/gdb" 2>&1 </dev/null ||
			fail "gdb on $p"
		same "threads of $p" "$(grep -c '^Thread:' "$p/status")" \
			"$(grep -c '^[* ] *[0-9]* *\(Thread\|LWP\|process\)' "$dir/gdb")"
		grep -q '^#0 ' "$dir/gdb" || fail "no backtrace of $p"
		same "files of $p" "$(awk '$6 ~ "^/"' "$p/maps" | wc -l)" \
			"$(sed -n '/^MAPS/,/^AUXV/p' "$dir/gdb" | grep -c '^ *0x.*0x.*/')"
		grep -q AT_PHDR "$dir/gdb" || fail "no auxv of $p"
		grep -q 'corrupt\|truncated' "$dir/gdb" && fail "gdb complains of $p:
$(grep 'corrupt\|truncated' "$dir/gdb")"
		echo "$(basename "$p"): $(grep -c '^#' "$dir/gdb") frames, $(grep '^#' "$dir/gdb" |
			grep -vc '??') with names"
	done
else
	echo "not here: gdb"
fi

# ---- other tools ----

strings -a "$deviant"/*-memfd:/core 2>/dev/null | grep -q . || fail "strings"
if command -v yara >/dev/null; then
	# shellcheck disable=SC2016
	echo 'rule elf { strings: $a = "memory_plants" condition: $a }' >"$dir/rules.yar"
	timeout 300 yara -r "$dir/rules.yar" "$deviant" >"$dir/out" 2>"$dir/errors" ||
		fail "yara: $(head -3 "$dir/errors")"
	grep -q 'elf .*/core$' "$dir/out" || fail "yara finds nothing in cores"
	grep -q 'elf .*/vma/.*\.bin$' "$dir/out" || fail "yara finds nothing in VMAs"
fi
if command -v clamscan >/dev/null; then
	exe=$(echo "$deviant"/*-.cache-update/exe)
	echo "$(md5sum <"$exe" | cut -d' ' -f1):$(stat -c %s "$exe"):Plant" >"$dir/own.hdb"
	timeout 300 clamscan -r --no-summary -d "$dir/own.hdb" "$deviant" >"$dir/out" 2>&1
	same "clamscan's status" 1 $?
	grep -q 'cache-update/exe: Plant.*FOUND' "$dir/out" || fail "clamscan finds nothing"
fi

# ---- copies, holes, archives ----

core=$(echo "$deviant"/*-bash/core | cut -d' ' -f1)
cp --sparse=auto "$core" "$dir/core"
cmp "$core" "$dir/core" || fail "a copy of a core"
[ "$(du -k "$dir/core" | cut -f1)" -lt $(($(stat -c %s "$core") / 1024)) ] || fail "its holes are gone"
tar --sparse -cf "$dir/a.tar" -C "$bad" deviant/memory || fail "tar"
mkdir "$dir/tar"
tar -xf "$dir/a.tar" -C "$dir/tar"
diff -r "$deviant" "$dir/tar/deviant/memory" || fail "the archive differs"

# ---- a second mount shows the same; how much memory that took ----

find "$deviant" "$bad/all/memory" -printf '%P %s %m %b %i %T@\n' | sort >"$dir/first"
for pid in $(pgrep -P "$(pgrep -fn "herdfs mount $mnt")" 2>/dev/null) $(pgrep -f "herdfs mount $mnt"); do
	[ "$(tr '\0' '\n' <"/proc/$pid/cmdline" | tail -1)" = "$mnt" ] || continue
	kb=$(awk '/VmHWM/ { print $2 }' "/proc/$pid/status")
	echo "memory of process $pid of the mount: $kb kB"
	[ "${kb:-0}" -le $((200 * 1024)) ] || fail "$kb kB"
done
unmount "$mnt"
"$HERDFS" mount --threads 1 --cache 1 "$mnt" || fail "mount again"
find "$deviant" "$bad/all/memory" -printf '%P %s %m %b %i %T@\n' | sort | diff "$dir/first" - >"$dir/diff" ||
	fail "another look differs: $(head -5 "$dir/diff")"
finish
