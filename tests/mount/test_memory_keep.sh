#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# herdfs keep: what siblings share is stored once, and each image comes back bit
# for bit; a folder that was damaged is told and never gives another image.
. "$(dirname "$0")/lib.sh"
need python3

# three siblings of 16 MB: zeros, shared pages at other places, some of their own;
# a LiME file, whose pages are nowhere aligned; and one with an odd end
python3 - "$dir" <<'END'
import random, struct, sys
out, r = sys.argv[1], random.Random(7)
page = lambda: r.randbytes(4096)
shared = [page() for _ in range(600)]
images = []
for n in range(3):
    pages = [bytes(4096)] * 3000 + r.sample(shared, 550) + [page() for _ in range(60)]
    r.shuffle(pages)
    images.append(b"".join(pages))
    with open(f"{out}/i-{n}.raw", "wb") as f:
        f.write(images[-1])
with open(f"{out}/i-3.lime", "wb") as f:
    for first, part in ((0x1000, images[0][:4 << 20]), (0x800000, images[1])):
        f.write(b"EMiL" + struct.pack("<IQQQ", 1, first, first + len(part) - 1, 0) + part)
END
keep=$dir/kept
"$HERDFS" keep --to "$keep" "$dir"/i-*.raw "$dir/i-3.lime" >"$dir/out" || fail "keep"
[ "$(grep -c ' new$' "$dir/out")" -eq 4 ] || { fail "not told"; cat "$dir/out"; }
for i in "$dir"/i-*.raw "$dir/i-3.lime"; do
	"$HERDFS" keep --export "$dir/back" "$keep/${i##*/}.keep" || fail "${i##*/}: export"
	cmp -s "$i" "$dir/back" || fail "${i##*/} came back as another"
	rm -f "$dir/back"
done
# 600 shared and 3 x 60 own pages, random: nothing to pack, and nothing twice
size=$(du -sb "$keep" | cut -f1)
[ "$size" -le $((785 * 4200)) ] || fail "$size bytes for 780 pages"
tail -1 "$dir/out" | grep -q ' 0 new$' || { fail "the LiME file has nothing new"; cat "$dir/out"; }
[ -z "$(find "$keep" -name '.*' -type f)" ] || fail "something unfinished is left"
[ "$(stat -c %a "$keep")" = 700 ] || fail "others may look into the folder"

# refused
"$HERDFS" keep --to "$keep" "$dir/i-0.raw" >"$dir/out" 2>&1 && fail "the same name twice"
grep -q 'is there already' "$dir/out" || { fail "not told"; cat "$dir/out"; }
"$HERDFS" keep --to "$keep" /bin/ls >"$dir/out" 2>&1 && fail "a program was kept"
"$HERDFS" keep >/dev/null 2>&1
[ $? -eq 2 ] || fail "no arguments are no wrong usage"
"$HERDFS" keep --export "$dir/i-0.raw" "$keep/i-0.raw.keep" 2>/dev/null && fail "a file was written over"
"$HERDFS" keep --export "$dir/x" "$dir/i-0.raw" >"$dir/out" 2>&1 && fail "no kept image"
[ ! -e "$dir/x" ] || fail "half an image was left"

# one line, which names what is not to be had
nameless() {	# NAME OPTION…
	local name=$1
	shift
	"$HERDFS" keep "$@" >"$dir/out" 2>&1 && fail "keep $*: succeeded"
	[ "$(wc -l <"$dir/out")" -eq 1 ] && grep -qF "${name##*/}: " "$dir/out" ||
		{ fail "keep $*: does not name $name"; cat "$dir/out"; }
}
nameless "$dir/no.keep" --export "$dir/x" "$dir/no.keep"
nameless "$dir/no.lime" --to "$keep" "$dir/no.lime"
nameless /proc/no --to /proc/no "$dir/i-0.raw"
nameless /proc/no --export /proc/no "$keep/i-0.raw.keep"

# a list that names what lies elsewhere
sed 's|i-0.raw.pack|../secret.pa|' "$keep/i-0.raw.keep" >"$keep/evil.keep"
"$HERDFS" keep --export "$dir/x" "$keep/evil.keep" >"$dir/out" 2>&1 && fail "out of its folder"

# damage, anywhere: the image, or an error of one line, and nothing else
cp -r "$keep" "$dir/good"
python3 - "$dir" "$HERDFS" "${FULL:-0}" <<'END' || fail "damage"
import os, random, shutil, subprocess, sys
out, herdfs, full = sys.argv[1], sys.argv[2], sys.argv[3] != "0"
want = open(f"{out}/i-1.raw", "rb").read()
r, bad, told = random.Random(3), [], 0
files = ["i-1.raw.keep", "i-1.raw.pack", "i-0.raw.pack"]
for n in range(2000 if full else 150):
    name = r.choice(files)
    data = bytearray(open(f"{out}/good/{name}", "rb").read())
    kind = r.choice(("flip", "cut", "splice", "tail"))
    if kind == "flip":
        for _ in range(r.randrange(1, 4)):
            data[r.randrange(len(data))] ^= 1 << r.randrange(8)
    elif kind == "cut":
        del data[r.randrange(len(data)):]
    elif kind == "splice":
        a, b = r.randrange(len(data)), r.randrange(len(data))
        data[a:a + 64] = data[b:b + 64]
    else:
        at = len(data) - r.randrange(1, min(len(data), 400))
        data[at] = r.randrange(256)
    open(f"{out}/kept/{name}", "wb").write(data)
    p = subprocess.run([herdfs, "keep", "--export", "-", f"{out}/kept/i-1.raw.keep"],
                       capture_output=True, timeout=60)
    err = p.stderr.decode(errors="replace")
    if p.returncode == 0:
        if p.stdout != want:
            bad.append(f"{n} {name} {kind}: another image")
    elif p.returncode != 1 or err.count("\n") != 1 or "ERROR: " in err:
        bad.append(f"{n} {name} {kind}: {p.returncode} {err[-300:]}")
    else:
        told += 1
    shutil.copy(f"{out}/good/{name}", f"{out}/kept/{name}")
print(f"{told} told")
print("\n".join(bad[:10]))
sys.exit(bool(bad) or told < 50)
END
finish
