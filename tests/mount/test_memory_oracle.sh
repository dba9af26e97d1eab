#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Memory of small guests against what their own kernels say: the image as qemu
# writes it and in every other container. Takes half a minute a guest, once:
# images are kept. FULL=1: all guests of memory_guests.conf.
. "$(dirname "$0")/lib.sh"
[ "$(id -u)" -eq 0 ] || skip "needs root to make a guest's disk"
need qemu-system-x86_64 sgdisk mkfs.ext4 cpio jq python3 gcc dpkg-deb
export MACHINE_DUMP=$BUILD/tests/lab/machine_dump
[ -x "$MACHINE_DUMP" ] || skip "$MACHINE_DUMP is not built"
guests=(mini-6.1 mini-6.12-la57 mini-6.1-bad)
[ "${FULL:-0}" = 0 ] || guests=(all)
out=$PWD/build/cache/memory
LAB_CACHE=$PWD/build/cache/debs "$LAB/memory_guest.sh" "$out" "${guests[@]}" ||
	fail "a guest could not be made"
[ "${FULL:-0}" = 0 ] || mapfile -t guests < <(cd "$out" && ls -d mini-*)

dirs=("${guests[@]/#/$out/}")
write=()
[ ! -e "$LAB/memory_write.py" ] || write=(-w)
"$LAB/memory_check.sh" "${write[@]}" "${dirs[@]}" || fail "the images and /proc disagree"

# the comparison can fail: one change of each kind is found
"$MACHINE_DUMP" "$out/${guests[0]}/memory.elf" >"$dir/dump.json" || fail "dump"
python3 - "$dir/dump.json" "$out/${guests[0]}/oracle.json" "$LAB/memory_oracle.py" <<'END' ||
import copy, json, subprocess, sys
dump = json.load(open(sys.argv[1], encoding="utf-8", errors="surrogateescape"))
witness = {w["pid"] for w in json.load(open(sys.argv[2]))["taken"]["witness"]}


def other(v):
    if isinstance(v, bool):
        return not v
    if isinstance(v, int):
        return v + 1
    if isinstance(v, str):
        return "0x1" if v.startswith("0x") else v + "x"
    if isinstance(v, list):
        return [*v, 1] if not v or not isinstance(v[0], int) else [v[0] + 1, *v[1:]]
    return v


def changes():
    """(what, a function that makes one change) of a process with all kinds."""
    p = max((q for q in dump["processes"] if q["pid"] not in witness and q["mm"] != "0x0"
             and q["environ"] and q["auxv"]), key=lambda q: len(q["fds"]))
    at = dump["processes"].index(p)
    def process(d):
        return d["processes"][at]
    for k in ("comm", "ppid", "uid", "gid", "groups", "ns_pid", "pgrp", "session", "tty",
              "no_new_privs", "seccomp", "cgroup", "argv", "environ", "auxv",
              "exe_target", "cwd", "root", "arg_start", "start_brk"):
        yield k, lambda d, k=k: process(d).update({k: other(process(d)[k])})
    for part, keys in (("cap", ("effective", "bounding")), ("ns", ("net", "mnt"))):
        for k in keys:
            yield k, lambda d, part=part, k=k: process(d)[part].update(
                {k: other(process(d)[part][k])})
    for part, keys in (("vmas", ("end", "perms", "offset", "ino", "path")),
                       ("fds", ("target", "pos", "flags")), ("threads", ("comm", "state"))):
        for k in keys:
            yield f"{part} {k}", lambda d, part=part, k=k: process(d)[part][0].update(
                {k: other(process(d)[part][0][k])})
        yield f"{part} one less", lambda d, part=part: process(d)[part].pop()
    yield "one process less", lambda d: d["processes"].remove(process(d))
    yield "one process more", lambda d: d["processes"].append(
        {**process(d), "pid": 99999})
    held = {f["socket"] for q in dump["processes"] for f in q["fds"]}
    for family in (1, 2, 10, 16, 17):
        s = next(i for i, t in enumerate(dump["sockets"])
                 if t["family"] == family and i in held)
        yield f"socket {family}", lambda d, s=s: d["sockets"][s].update(
            {"netns": 1})
    for k in ("refs", "base", "used_by", "state"):
        yield f"module {k}", lambda d, k=k: d["modules"][0].update(
            {k: other(d["modules"][0][k])})
    yield "module less", lambda d: d["modules"].pop()
    yield "hostname", lambda d: d.update(hostname="x")


missed = []
for what, change in changes():
    d = copy.deepcopy(dump)
    change(d)
    text = json.dumps(d)
    r = subprocess.run([sys.argv[3], sys.argv[2], "-"], input=text, text=True,
                       capture_output=True)
    if r.returncode != 1 or " mismatches" not in r.stdout:
        missed.append(f"{what}: {r.returncode} {r.stdout[-200:]} {r.stderr[-300:]}")
if missed:
    print("\n".join(missed))
sys.exit(bool(missed))
END
	fail "a change of what was read is not noticed"
exit $failed
