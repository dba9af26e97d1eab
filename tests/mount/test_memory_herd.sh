#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A herd of three small guests with disks and memories, one of them attacked:
# what is found is what was planted, and nothing in the others; the mounted tree
# serves gdb, strings, yara, clamscan; what cannot be read is told in one line.
# The images are those of test_memory_oracle.sh and are kept.
. "$(dirname "$0")/lib.sh"
[ "$(id -u)" -eq 0 ] || skip "needs root to make a guest's disk"
need qemu-system-x86_64 sgdisk mkfs.ext4 cpio jq python3 gcc dpkg-deb gdb yara strings
need_fuse
good=(mini-6.1 mini-6.1-pti)
bad=mini-6.1-bad
out=$PWD/build/cache/memory
LAB_CACHE=$PWD/build/cache/debs "$LAB/memory_guest.sh" "$out" "${good[@]}" $bad ||
	{ fail "a guest could not be made"; finish; }

for g in "${good[@]}" $bad; do
	attach --asg mini --instance "$g" --disk "$out/$g/disk.raw"
	# one of them from the ELF core
	f=$out/$g/memory.raw
	[ "$g" != mini-6.1 ] || f=$out/$g/memory.elf
	attach --asg mini --instance "$g" --memory "$f"
done

# ---- what is found -----------------------------------------------------------------

"$HERDFS" list --asg mini --all --json >"$dir/list.json" || fail "list"
"$LAB/memory_found.py" "$dir/list.json" "$out/$bad/key.json" $bad || fail "not what was planted"
# the most dangerous first, be it on the disk or in memory
"$HERDFS" list --asg mini --instance $bad >"$dir/list" || fail "list"
awk '$4 == "'$bad'" { print $1 }' "$dir/list" >"$dir/scores"
sort -rnc "$dir/scores" || fail "list is not in order of score"
# of this herd, paths stand between what is of memory
awk '$4 == "'$bad'" { print ($7 == "memory") }' "$dir/list" | uniq | wc -l >"$dir/turns"
[ "$(cat "$dir/turns")" -gt 3 ] || { fail "memory is no part of the order"; cat "$dir/list"; }
# the other way round: who runs a file
"$HERDFS" why --asg mini --instance $bad /usr/lib/.kw >"$dir/why" || fail "why"
grep -q 'Processes that run it' "$dir/why" || fail "why does not tell who runs it"
# status judges nothing, and does not say that nothing deviates
"$HERDFS" status --json >"$dir/status.json" || fail "status"
jq -e '[.groups[].instances[].memory] | length == 3 and
	all(has("processes") and (has("members") or has("deviant") or has("volatile") | not))' \
	"$dir/status.json" >/dev/null || { fail "status: what it says of memory"; cat "$dir/status.json"; }
# a rule hides a file on the disk, and who runs it no less
cat >"$dir/policy" <<'END'
suppress /usr/lib/.kw
  allow = executable
  reason = a test
  owner = test@example.org
  expires = 2030-03-31
END
"$HERDFS" list --asg mini --all --policy "$dir/policy" >"$dir/list" || fail "list --policy"
grep -q ' suppressed .* /usr/lib/\.kw ' "$dir/list" || fail "the rule does not count"
grep ' process [0-9]* .*/usr/lib/\.kw ' "$dir/list" >"$dir/out"
grep -q ' deviant .*named like a kernel thread' "$dir/out" || { fail "a rule hid a process"; cat "$dir/list"; }
grep -q 'deviates on the disk' "$dir/out" && { fail "what a rule hides is said against a process"; cat "$dir/out"; }

# a file that the disk has unchanged, patched in one process
planted() { jq -r ".techniques[] | select(.plant == \"$1\").$2" "$out/$bad/key.json"; }
page=$(($(planted patched-text offset) / 4096))
"$HERDFS" why --asg mini --instance $bad /lib/x86_64-linux-gnu/libc.so.6 >"$dir/why" || fail "why"
grep -q "$bad: page $page is changed in process $(planted patched-text pid) .*: written over" "$dir/why" ||
	{ fail "why does not tell of the patched page $page"; tail -20 "$dir/why"; }
"$HERDFS" why --asg mini --instance mini-6.1 /lib/x86_64-linux-gnu/libc.so.6 >"$dir/why" || fail "why"
grep -q 'is changed' "$dir/why" && fail "a healthy one's page is changed"
# one that no disk has any more
exe=$("$HERDFS" list --asg mini --json | jq -r "[.memory[] | select(.pid == $(planted deleted-exe pid))][0].key")
exe=${exe#* } exe=${exe%% *}
"$HERDFS" why --asg mini "$exe" >"$dir/why" || fail "why of a deleted program"
grep -q "$(planted deleted-exe pid) .*(deleted)" "$dir/why" || { fail "$exe runs: not told"; cat "$dir/why"; }
"$HERDFS" why --asg mini /no/such/path 2>/dev/null && fail "why of what nobody has and runs"
"$HERDFS" report --asg mini --html "$dir/page.html" || fail "report"
grep -q 'id="memory"' "$dir/page.html" || fail "the page has no memory"

# ---- the tree --------------------------------------------------------------------------

mount_herd
at=$mnt/asg/mini/$bad
for g in "${good[@]}"; do
	left=$(find "$mnt/asg/mini/$g/deviant/memory" -mindepth 1 -maxdepth 1 -type d 2>/dev/null)
	[ -z "$left" ] || fail "deviating in a healthy one: $left"
done
cmp -s "$at/memory.raw" "$out/$bad/memory.raw" || fail "memory.raw is not the image"
want=$(python3 -c '
import json, sys
print(len({f["pid"] for f in json.load(open(sys.argv[1]))["memory"]
           if f["class"] == "deviant" and "pid" in f and f["instance"] == sys.argv[2]}))' \
	"$dir/list.json" $bad)
have=$(find "$at/deviant/memory" -mindepth 1 -maxdepth 1 -name '[0-9]*' -type d | wc -l)
[ "$want" -eq "$have" ] || fail "$have folders of $want deviating processes"

for p in "$at"/deviant/memory/[0-9]*; do
	n=$(grep -c '^Thread:' "$p/status")
	gdb -nx -batch -ex 'info threads' -ex 'info proc mappings' -ex bt "$p/exe" "$p/core" \
		>"$dir/gdb" 2>&1
	[ "$(grep -c 'Thread\|LWP' "$dir/gdb")" -ge "$n" ] ||
		{ fail "${p##*/}: gdb does not show its $n threads"; cat "$dir/gdb"; }
	grep -q '^#0 ' "$dir/gdb" || { fail "${p##*/}: no backtrace"; cat "$dir/gdb"; }
	head -c 4 "$p/core" | cmp -s - <(printf '\177ELF') || fail "${p##*/}: no ELF core"
	[ -s "$p/why.json" ] && jq -e .findings "$p/why.json" >/dev/null || fail "${p##*/}: why.json"
done

# why of a path in the mount says what stands there
p=$(echo "$at/deviant/memory/$(planted patched-text pid)"-*)
"$HERDFS" why --json "$p/core" | jq .process >"$dir/why" || fail "why of a process"
jq . "$p/why.json" | cmp -s - "$dir/why" || fail "why of a process is not its why.json"
"$HERDFS" why "$p" | grep -q 'patched text' || fail "why of a process: no patched text"
"$HERDFS" why "$at/deviant/memory/kernel/hooks.txt" | grep -q '^hook sys_call_table' ||
	fail "why of the kernel: no hook"
for f in memory.raw deviant/memory deviant/memory/findings.txt all/memory/problems.txt; do
	"$HERDFS" why "$at/$f" >"$dir/why" || fail "why of $f"
	tail -n +2 "$dir/why" | cmp -s - "$at/deviant/memory/findings.txt" || fail "why of $f: not all findings"
done
"$HERDFS" why "$at/all/memory/99999-none" >"$dir/why" 2>&1 && fail "why of no process"
grep -q 'has no process' "$dir/why" || { fail "no process: not told"; cat "$dir/why"; }

# what vouches for the texts, here and in a copy
(cd "$at" && sha256sum -c --strict --quiet MANIFEST.sha256) || fail "MANIFEST.sha256"
for f in processes.txt kernel/hooks.txt "${p##*/}/environ" "${p##*/}/why.json"; do
	grep -qF "  deviant/memory/$f" "$at/MANIFEST.sha256" || fail "MANIFEST.sha256 lacks $f"
done
mkdir "$dir/copy"
cp "$at"/{MANIFEST.sha256,bodyfile,report.json,report.txt} "$dir/copy"
tar -C "$at" -cf - --exclude=core --exclude=vma deviant | tar -C "$dir/copy" -xf -
echo >>"$dir/copy/deviant/memory/${p##*/}/environ"
(cd "$dir/copy" && sha256sum -c --quiet MANIFEST.sha256) >"$dir/out" 2>&1
[ "$(grep -c FAILED "$dir/out")" -eq 1 ] && grep -q "/environ: FAILED" "$dir/out" ||
	{ fail "a changed text is not noticed"; cat "$dir/out"; }

# what /proc said while the image was taken, of every process there is
python3 - "$at/all/memory" "$out/$bad/oracle.json" <<'END' || fail "the tree and /proc disagree"
import json, os, re, sys
top, oracle = sys.argv[1], json.load(open(sys.argv[2]))
said, binary = oracle["after"]["files"], oracle["after"]["binary"]
before = oracle["before"]
witness = {w["pid"] for w in oracle["taken"]["witness"]}
wrong, compared = [], 0
folders = {int(n.split("-", 1)[0]): n for n in os.listdir(top) if n[0].isdigit()}
for path, hexed in binary.items():
    m = re.fullmatch(r"/proc/(\d+)/(cmdline|environ)", path)
    if not m or int(m[1]) in witness or before["binary"].get(path) != hexed:
        continue
    own = open(os.path.join(top, folders[int(m[1])], m[2]), "rb").read()
    compared += 1
    if own != bytes.fromhex(hexed):
        wrong.append(path)
for path, text in said.items():
    m = re.fullmatch(r"/proc/(\d+)/maps", path)
    if not m or int(m[1]) in witness or before["files"].get(path) != text:
        continue
    # vsyscall is no mapping of the process
    lines = lambda t: [" ".join(l.split()) for l in t.splitlines() if "vsyscall" not in l]
    own = open(os.path.join(top, folders[int(m[1])], "maps"), errors="surrogateescape").read()
    compared += 1
    if lines(own) != lines(text):
        a, b = lines(own), lines(text)
        wrong.append(f"{path}: {next(((x, y) for x, y in zip(a, b) if x != y), (len(a), len(b)))}")
print(f"{compared} files of the tree compared, {len(wrong)} differ")
print("\n".join(wrong[:10]))
sys.exit(bool(wrong) or compared < 100)
END

# a program that was deleted is had back from memory
pid=$(jq -r '.techniques[] | select(.plant == "deleted-exe").pid' "$out/$bad/key.json")
exe=("$at/deviant/memory/$pid"-*/exe)
head -c 4 "${exe[0]}" | cmp -s - <(printf '\177ELF') || fail "a deleted program cannot be had"
strings -a "$at/deviant/memory/$pid"-*/core | grep -q . || fail "strings"
cat >"$dir/rule.yar" <<'END'
rule preload { strings: $a = "LD_PRELOAD=/usr/local/lib/libsystem-helper" condition: $a }
END
pid=$(jq -r '.techniques[] | select(.plant == "ld-preload").pid' "$out/$bad/key.json")
yara -r "$dir/rule.yar" "$at/deviant/memory" >"$dir/yara" 2>&1
grep -q "/$pid-[^/]*/core" "$dir/yara" || { fail "yara does not find it in the core"; cat "$dir/yara"; }
if command -v clamscan >/dev/null; then
	echo 'lab.preload:0:*:4c445f5052454c4f41443d2f7573722f6c6f63616c' >"$dir/lab.ndb"
	clamscan -d "$dir/lab.ndb" -r -i --max-filesize=300M --max-scansize=300M \
		"$at/deviant/memory" >"$dir/clam" 2>&1
	grep -q "/$pid-.*FOUND" "$dir/clam" || { fail "clamscan does not find it"; tail -5 "$dir/clam"; }
fi
# pages that deviate, with the disk's digest beside
pid=$(jq -r '.techniques[] | select(.plant == "patched-text").pid' "$out/$bad/key.json")
pages=("$at/deviant/memory/$pid"-*/pages/*.bin)
[ -s "${pages[0]}" ] && [ "$(stat -c %s "${pages[0]}")" -eq 4096 ] || fail "no patched page"
text=${pages[0]%.bin}.txt
there=$(sed -n 's/^sha256 there\t//p' "$text")
grep -q "^herd"$'\t'"$there, the disk's: 3 of 3" "$text" && [ ${#there} -eq 64 ] &&
	[ "$(sed -n 's/^sha256\t//p' "$text")" = "$(sha256sum <"${pages[0]}" | cut -d' ' -f1)" ] &&
	grep -q "^siblings"$'\t''none of 2' "$text" || { fail "not what the herd has there"; cat "$text"; }
[ -s "$at/deviant/memory/kernel/hooks.txt" ] || fail "no hooks are shown"
find "$at/all/memory" -type l | grep . && fail "a link, which may lead anywhere"
unmount "$mnt"

# ---- taken away, and again ------------------------------------------------------------------

"$HERDFS" attach --asg mini --instance $bad --memory "$out/$bad/memory.raw" >"$dir/out" 2>&1 ||
	fail "attached again"
grep -q 'already' "$dir/out" || fail "not told that it was there"
"$HERDFS" attach --json --asg mini --instance $bad --memory "$out/$bad/memory.raw" >"$dir/out" 2>&1
jq -e '.result == "already" and (has("processes") or has("release") | not)' "$dir/out" >/dev/null ||
	{ fail "already: counts of what was not read"; cat "$dir/out"; }
"$HERDFS" attach --asg mini --instance $bad --memory "$out/mini-6.1/memory.raw" >"$dir/out" 2>&1 &&
	fail "another's memory was taken"
# a symbol file that is not there is told, also where none is needed
"$HERDFS" attach --asg mini --instance $bad --memory "$out/$bad/memory.raw" \
	--symbols "$dir/none" >"$dir/out" 2>&1 && fail "--symbols of nothing"
grep -qF "$dir/none: No such file" "$dir/out" || { fail "--symbols: not told"; cat "$dir/out"; }
# whose it is by the file's name, without what says that it is one
for end in kdump kdump-zlib kdump-raw-lzo lime raw.keep; do
	ln -sf "$out/$bad/memory.raw" "$dir/nobody.$end"
	"$HERDFS" attach --asg mini --memory "$dir/nobody.$end" >"$dir/out" 2>&1
	grep -q '^herdfs: mini/nobody: ' "$dir/out" || { fail "nobody.$end: another name"; cat "$dir/out"; }
done
# who is not there is told, and nothing else
for who in "mini nobody" "nogroup $bad"; do
	"$HERDFS" attach --asg "${who% *}" --instance "${who#* }" --memory "$out/$bad/memory.raw" \
		>"$dir/out" 2>&1 && fail "attached to $who"
	[ "$(wc -l <"$dir/out")" -eq 1 ] && grep -q 'is not attached to' "$dir/out" ||
		{ fail "$who: not one line"; cat "$dir/out"; }
done
"$HERDFS" detach --quiet --asg mini --memory $bad || fail "detach --memory"
"$HERDFS" detach --quiet --asg mini --memory $bad 2>/dev/null && fail "detached twice"
"$HERDFS" status --json | grep -q '"state": "present"' || fail "the others' memory is gone, too"

# ---- what may not be the instance's memory, or not all of it: taken, and told --------------------

doubted() {	# FILE WHAT-IS-SAID [WHAT-IS-A-PROBLEM-TOO]
	"$HERDFS" attach --asg mini --instance $bad --memory "$1" >"$dir/out" 2>"$dir/err" ||
		{ fail "${1##*/} is refused"; cat "$dir/err"; }
	grep -q "$2" "$dir/err" || { fail "${1##*/}: not told: $2"; cat "$dir/err"; }
	"$HERDFS" status --problems >"$dir/out" || fail "status --problems"
	for p in "$2" "${3:-$2}"; do
		grep "memory: .*$p" "$dir/out" >/dev/null || { fail "no problem: $p"; cat "$dir/out"; }
	done
	"$HERDFS" detach --quiet --asg mini --memory $bad || fail "detach"
}
doubted "$out/mini-6.1/memory.raw" 'host name is mini-6.1, which the disks of mini-6.1 have'
cp "$out/mini-6.1/memory.elf" "$dir/copy.elf"
doubted "$dir/copy.elf" 'host name is mini-6.1' 'may be a copy'
rm "$dir/copy.elf"
# The first part of a memory, as much as lets its kernel be read: what lies
# where is another thing with each boot.
cut_short() {	# GROUP INSTANCE, into $dir/cut.elf
	local size percent
	size=$(stat -c %s "$out/$2/memory.elf")
	for percent in 92 90 87 84 80; do	# from 16 MiB on it is told
		head -c $((size / 100 * percent)) "$out/$2/memory.elf" >"$dir/cut.elf"
		"$HERDFS" attach --asg "$1" --instance "$2" --memory "$dir/cut.elf" \
			>"$dir/out" 2>&1 && return
	done
	fail "no cut image can be read"
	cat "$dir/out"
}
cut_short mini $bad
"$HERDFS" detach --quiet --asg mini --memory $bad || fail "detach"
doubted "$dir/cut.elf" 'cut short'
rm "$dir/cut.elf"
cp --reflink=auto "$out/$bad/disk.raw" "$dir/gone.raw"
"$HERDFS" attach --quiet --asg moved --instance $bad --disk "$dir/gone.raw" || fail "a copy"
rm "$dir/gone.raw"
"$HERDFS" attach --asg moved --instance $bad --memory "$out/$bad/memory.raw" >"$dir/out" 2>"$dir/err" ||
	fail "memory without the disk"
grep -q 'the disks: .*not compared' "$dir/err" || { fail "not told"; cat "$dir/err"; }
"$HERDFS" detach --quiet --asg moved $bad || fail "detach the copy"

# ---- what is no memory, or none that can be read ----------------------------------------------

refused() {	# FILE WHAT-IS-SAID [options]
	local f=$1 what=$2
	shift 2
	"$HERDFS" attach --asg mini --instance $bad --memory "$f" "$@" >"$dir/out" 2>&1 &&
		fail "${f##*/} was taken"
	[ "$(wc -l <"$dir/out")" -eq 1 ] || { fail "${f##*/}: not one line"; cat "$dir/out"; }
	grep -qi "$what" "$dir/out" || { fail "${f##*/}: not told: $what"; cat "$dir/out"; }
}
truncate -s 64M "$dir/zeros.mem"
refused "$dir/zeros.mem" 'linux'
refused "$out/$bad/disk.raw" 'disk\|file system\|partition'
head -c 1000003 "$out/$bad/memory.raw" >"$dir/odd.mem"
refused "$dir/odd.mem" 'no container\|size'
refused /bin/ls 'core'
refused "$out/mini-6.1/memory.elf" 'is the memory of mini-6.1 already'
head -c 20M "$out/mini-6.1/memory.elf" >"$dir/cut.elf"
refused "$dir/cut.elf" .
"$HERDFS" list --asg mini >"$dir/out" || fail "the index after that"

# ---- the only memory there is, and a module that wrote into its own name ----------------------

python3 - "$out/$bad/memory.raw" "$dir/odd.raw" <<'END' || fail "no name to be changed"
import sys
image = open(sys.argv[1], "rb").read()
odd = image.replace(b"system_helper\0\0\0\0", b"sys\x1bem_helper\0\0\0\0")
open(sys.argv[2], "wb").write(odd)
sys.exit(odd == image)
END
export HERDFS_STORE=$dir/alone
attach --asg alone --instance $bad --disk "$out/$bad/disk.raw"
attach --asg alone --instance $bad --memory "$dir/odd.raw"
"$HERDFS" list --asg alone --all --json >"$dir/list.json" || fail "list of one memory"
jq -e '[.memory[] | select(.subject == "module" and .class == "deviant").marks[]] |
	index("unlike any module") and index("hidden") and index("new module")' \
	"$dir/list.json" >/dev/null || { fail "the module is not told"; cat "$dir/list.json"; }
jq -e '[.memory[] | select(.subject == "hook").class] | length > 3 and all(. == "deviant")' \
	"$dir/list.json" >/dev/null || { fail "a hook of it is natural"; cat "$dir/list.json"; }
"$HERDFS" list --asg alone --all | grep -q $'\e' && fail "its name is printed as it is"
rm -f "$dir/odd.raw"

# ---- what could not be compared is not what was changed ------------------------------------------

attach --asg cut --instance mini-6.1 --disk "$out/mini-6.1/disk.raw"
cut_short cut mini-6.1	# lacks the array of struct page, which is at the end
grep -q ' 0 changed' "$dir/out" || { fail "pages are changed that were not compared"; cat "$dir/out"; }
"$HERDFS" status --problems | grep -q 'the image: it ends at .*, and the machine' ||
	fail "not told that memory above the end is missing"
"$HERDFS" list --asg cut --all --json >"$dir/list.json" || fail "list of a cut image"
jq -e '[.memory[].marks[]] | length > 0 and all(. != "patched text")' "$dir/list.json" >/dev/null ||
	fail "patched text, where nothing could be compared"
# marks that say of somebody what could not be read
unread() {
	"$HERDFS" list --asg "$1" --all --json >"$dir/list.json" || fail "list of $1"
	jq -e '[.memory[] | select(.subject == "hook" or (.marks[] |
		. == "hidden" or . == "executable anonymous memory"))] | length == 0' \
		"$dir/list.json" >/dev/null ||
		{ fail "$1: what could not be read is told against somebody"; jq -c .memory[] "$dir/list.json"; }
}
unread cut

# an image that lacks a module's page, a task's, and all that have to do with files of ext4
python3 - "$out/mini-6.1" "$dir/lacks.lime" <<'END' || fail "no pages to leave out"
import re, struct, sys
image = open(sys.argv[1] + "/memory.raw", "rb").read()
ext4 = re.search(r"^([0-9a-f]+) . ext4_file_operations\b", open(sys.argv[1] + "/kallsyms").read(), re.M)
places = [m.start() for m in re.finditer(re.escape(struct.pack("<Q", int(ext4[1], 16))), image)]
# the name of a module stands behind its list_head: two pointers to where modules are
modules = [m.start() for m in re.finditer(rb"overlay\0{49}", image)
           if image[m.start() - 12:m.start() - 8] == image[m.start() - 4:m.start()] == b"\xff" * 4]
tasks = [m.start() for m in re.finditer(rb"memory_actors\0\0\0", image)]
assert len(places) > 10 and modules and tasks, (len(places), modules, tasks)
lacks = sorted({at >> 12 for at in places + modules + tasks})
with open(sys.argv[2], "wb") as f:
    start = 0
    for page in lacks + [len(image) >> 12]:
        if page > start:
            f.write(struct.pack("<IIQQQ", 0x4C694D45, 1, start << 12, (page << 12) - 1, 0))
            f.write(image[start << 12:page << 12])
        start = page + 1
END
attach --asg lacks --instance mini-6.1 --disk "$out/mini-6.1/disk.raw"
"$HERDFS" attach --asg lacks --instance mini-6.1 --memory "$dir/lacks.lime" >"$dir/out" 2>&1 ||
	{ fail "an image that lacks pages"; cat "$dir/out"; }
unread lacks
# that it could not be read stands first, behind what speaks against the image alone
"$HERDFS" status --problems >"$dir/out" || fail "status --problems"
sed -n "/^Group lacks/,\$p" "$dir/out" | grep "memory: .*: " | head -3 >"$dir/first"
grep -q 'list of modules: it could not be read to its end' "$dir/first" ||
	{ fail "not told first that a list could not be read"; cat "$dir/out"; }
grep -q 'list of tasks: it could not be read to its end' "$dir/out" || fail "the list of tasks: not told"
mount_herd
at=$mnt/asg/lacks/mini-6.1/all/memory
for f in processes.txt kernel/modules.txt; do
	grep -q '^# the list of .* could not be read to its end' "$at/$f" || fail "$f does not say what it lacks"
done
grep -lq 'not known which' "$at"/*/missing.txt || fail "missing.txt lacks files that could not be read"
# none of a mapping whose file is not known is an empty file
python3 - "$at" <<'END' || fail "mappings of files that could not be read"
import os, sys
top, n = sys.argv[1], 0
for name in os.listdir(top):
    try:
        maps = open(os.path.join(top, name, "maps"), errors="surrogateescape").read().splitlines()
    except (NotADirectoryError, FileNotFoundError):
        continue
    vmas = {tuple(int(x, 16) for x in f[:-4].split("-")): f for f in os.listdir(os.path.join(top, name, "vma"))} if maps else {}
    for line in maps:
        if line.endswith("[a file that could not be read]"):
            f = os.path.join(top, name, "vma", vmas[tuple(int(x, 16) for x in line.split()[0].split("-"))])
            n += 1
            if not os.path.getsize(f):
                sys.exit(f + " is empty")
print(n, "mappings of files that could not be read")
sys.exit(n == 0)
END
unmount "$mnt"
rm -f "$dir/lacks.lime"
finish
