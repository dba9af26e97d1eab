#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# More than twenty kinds of change, planted in one of eight instances: each is
# shown as deviant, with the reason that it has, at its own path; and nothing
# else is, on this instance or on its healthy siblings, but what is volatile.

# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
need python3 debugfs sgdisk mkfs.ext4 mcopy

"$LAB/make_herd.sh" 0 "$dir" || { fail "no herd"; finish; }
python3 "$LAB/changes.py" prepare "$dir/base.raw" || { fail "cannot prepare"; finish; }
python3 - "$dir" <<'PY' || { fail "no instances"; finish; }
import sys
import changes
import lab

folder = sys.argv[1]
for i in range(1, 9):
    image = f"{folder}/i-{i}.raw"
    lab.copy(f"{folder}/base.raw", image)
    with lab.Disk(image) as disk:
        lab.natural(disk, i)
        if i == 5:
            for change, _ in changes.KINDS:
                change(disk)
PY
python3 "$LAB/changes.py" expect >"$dir/expected" 2>"$dir/kinds"
echo "$(cat "$dir/kinds") kinds of change, $(wc -l <"$dir/expected") paths"

attach --asg web "$dir"/i-?.raw
"$HERDFS" list --asg web --all --expand --json >"$dir/list.json" ||
	fail "herdfs list failed"

# What list says, against what was planted.
python3 - "$dir" <<'PY' || failed=1
import json
import sys

folder = sys.argv[1]
bad = 0
want = {}
for line in open(f"{folder}/expected"):
    path, reasons = line.rstrip("\n").split("\t")
    want[path] = set(reasons.split(","))
findings = json.load(open(f"{folder}/list.json"))["findings"]
volatile = 0
for f in findings:
    path = "/" + f["path"].lstrip("/")
    reasons = f["reasons"]
    if isinstance(reasons, str):
        reasons = [r.strip() for r in reasons.split(",")]
    if f["class"] == "volatile":
        volatile += 1
        if path in want and f["instance"] == "i-5":
            print(f"FAIL: {path} is volatile, not deviant")
            bad += 1
            del want[path]
        continue
    if f["instance"] == "i-5" and path in want:
        if set(reasons) != want.pop(path):
            print(f"FAIL: {path}: {reasons} is not the reason")
            bad += 1
        if f["class"] != "deviant" or f["rank"] < 50:
            print(f"FAIL: {path}: {f['class']}, rank {f['rank']}")
            bad += 1
        continue
    # the folder that all of it lies in may well be new to nobody
    print(f"FAIL: {f['instance']}: {path}: {f['class']}, {reasons}, though "
          "nothing was done to it")
    bad += 1
for path, reasons in want.items():
    print(f"FAIL: {path}: {reasons} is not shown")
    bad += 1
print(f"{len(findings)} findings, {volatile} of them volatile, {bad} wrong")
sys.exit(bad > 0)
PY

# The same in the mount.
if [ -c /dev/fuse ]; then
	mount_herd
	web=$mnt/asg/web
	python3 - "$dir" "$web" <<'PY' || failed=1
import os
import sys

folder, web = sys.argv[1:]
bad = 0


def say(text):
    global bad
    print("FAIL: " + text)
    bad += 1


def told(path, name):
    prefix = "system" if os.path.islink(path) else "user"
    try:
        return os.getxattr(path, f"{prefix}.herdfs.{name}",
                           follow_symlinks=False).decode()
    except OSError:
        return None


want = {}
for line in open(f"{folder}/expected"):
    path, reasons = line.rstrip("\n").split("\t")
    want[path] = set(reasons.split(","))
for path, reasons in want.items():
    own, herd = (f"{web}/i-5/{v}/disk{path}" for v in ("deviant", "herd"))
    if reasons == {"absent"}:
        # nothing to show here; the herd's version stands beside
        if not os.path.lexists(herd):
            say(f"{path} is missing below herd/")
        continue
    if not os.path.lexists(own):
        say(f"{path} is missing below deviant/")
        continue
    got = told(own, "reason")
    if got is None or set(got.replace(" ", "").split(",")) != reasons:
        say(f"{path}: reason {got}")
    if told(own, "prevalence") != "1/8":
        say(f"{path}: prevalence {told(own, 'prevalence')}")
    if "added" in reasons:
        if os.path.lexists(herd):
            say(f"{path} is below herd/, though the herd has no such path")
    elif not os.path.lexists(herd):
        say(f"{path} is missing below herd/")

# nothing but folders on the way to a deviant path
for top, folders, files in os.walk(f"{web}/i-5/deviant/disk"):
    for name in folders + files:
        path = os.path.join(top, name)
        short = path[len(f"{web}/i-5/deviant/disk"):]
        if short in want or any(p.startswith(short + "/") for p in want):
            continue
        say(f"{short} is below deviant/, though nothing was done to it")
for i in (1, 2, 3, 4, 6, 7, 8):
    for top, folders, files in os.walk(f"{web}/i-{i}/deviant/disk"):
        for name in folders + files:
            say(f"i-{i}: {os.path.join(top, name)} is shown as deviant")
    if not os.path.exists(f"{web}/i-{i}/volatile/disk/etc/hostname"):
        say(f"i-{i}: etc/hostname is not below volatile/")
print(f"in the mount: {bad} wrong")
sys.exit(bad > 0)
PY
	# the bytes of both sides
	before=$web/i-5/herd/disk/srv/twenty after=$web/i-5/deviant/disk/srv/twenty
	cmp -s "$before/in-place" "$web/i-1/all/disk/srv/twenty/in-place" ||
		fail "herd/ does not show what a sibling has"
	cmp -s "$after/in-place" "$web/i-5/all/disk/srv/twenty/in-place" ||
		fail "deviant/ does not show what the instance has"
	[ "$(cmp -l "$before/in-place" "$after/in-place" | wc -l)" -gt 0 ] ||
		fail "the change in place does not show"
	[ "$(stat -c '%s %Y' "$before/in-place")" = "$(stat -c '%s %Y' "$after/in-place")" ] ||
		fail "size and time of the change in place are not kept"
	diff -r --no-dereference "$web/i-5/herd/disk" "$web/i-5/deviant/disk" >"$dir/diff"
	for n in in-place truncated appended several; do
		grep -q "twenty/$n" "$dir/diff" || fail "diff does not tell of $n"
	done
	grep -q 'Only in .*twenty: added' "$dir/diff" || fail "diff does not tell of added"
	grep -q 'Only in .*twenty: removed' "$dir/diff" || fail "diff does not tell of removed"
fi
finish
