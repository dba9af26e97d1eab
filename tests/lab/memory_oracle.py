#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""memory_oracle.py ORACLE DUMP [--show N] [--only KIND,…] [--except KIND,…]

Compares what was read out of an image of memory (DUMP, as machine_dump prints
it; "-": standard input) with what the guest's kernel said (ORACLE, see
memory_said.py). Both are turned into facts, a key and a value each; a fact's
first word is its kind.

The kernel spoke twice, just before and just after the image was taken. What
it said the same way both times has to be in the image as well. Else the image
may have either, or something of its own: such facts are counted as "moving".
memory_witness, which did the asking, is at something else while it asks: of it
only what does not change is compared. A command's outcome is 1 on any mismatch.
"""
import argparse
import json
import re
import socket
import struct
import sys

RESTLESS = {"state", "fd", "vma", "regs", "ticks"}  # of the witness


# ---- what the kernel said ----------------------------------------------------

def status(text):
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)


def stat(text):
    """Fields of /proc/PID/stat, numbered as in proc(5), from 3 on."""
    rest = text[text.rindex(")") + 2:].split()
    return {i + 3: v for i, v in enumerate(rest)}


def plain_comm(text):
    """What a worker is at is added to its name for /proc alone."""
    text = text.removesuffix("\n")
    if text.startswith("kworker/R-"):  # a rescuer: of which queue is its name
        text = text.split("+", 1)[0]
    elif text.startswith("kworker/"):
        text = re.split(r"[-+]", text, maxsplit=1)[0]
    return text[:15]


def tty(number):
    number = int(number)
    major = number >> 8 & 0xFFF
    minor = number & 0xFF | number >> 12 & 0xFFF00
    if not number:
        return ""
    if major == 4:
        return f"ttyS{minor - 64}" if minor >= 64 else f"tty{minor}"
    if 136 <= major < 144:
        return f"pts/{minor + (major - 136) * 256}"
    return {(5, 1): "console", (229, 0): "hvc0"}.get((major, minor), f"{major}:{minor}")


# As in /proc/modules and /sys/module/NAME/taint.
TAINTS = {"P": 0, "F": 1, "C": 10, "O": 12, "E": 13, "K": 15, "X": 16, "T": 17, "N": 19}
NAMELESS = ("family", "state", "local", "local_port", "remote", "remote_port", "uid", "netns")


def maps(text):
    for line in text.split("\n"):
        m = re.match(r"([0-9a-f]+)-([0-9a-f]+) (....) ([0-9a-f]+) (\S+) (\d+) *(.*)$", line)
        if not m or m[7] == "[vsyscall]":
            continue
        yield (int(m[1], 16), int(m[2], 16), m[3], int(m[4], 16), m[5], int(m[6]),
               m[7].replace("\\012", "\n"))


def inet(text):
    address, port = text.split(":")
    words = [address[i:i + 8] for i in range(0, len(address), 8)]
    return b"".join(struct.pack("<I", int(w, 16)) for w in words).ljust(16, b"\0").hex(), \
        int(port, 16)


def sockets(files, net, ns):
    """(ino, fact) of one network namespace."""
    def lines(name):
        return [line.split() for line in files.get(f"{net}/{name}", "").split("\n")[1:]
                if line.strip()]

    for name, family, type_, protocol in (
            ("tcp", socket.AF_INET, socket.SOCK_STREAM, 6),
            ("tcp6", socket.AF_INET6, socket.SOCK_STREAM, 6),
            ("udp", socket.AF_INET, socket.SOCK_DGRAM, 17),
            ("udp6", socket.AF_INET6, socket.SOCK_DGRAM, 17),
            ("udplite", socket.AF_INET, socket.SOCK_DGRAM, 136),
            ("raw", socket.AF_INET, socket.SOCK_RAW, None),
            ("raw6", socket.AF_INET6, socket.SOCK_RAW, None),
            ("icmp", socket.AF_INET, socket.SOCK_DGRAM, 1),
            ("icmp6", socket.AF_INET6, socket.SOCK_DGRAM, 58)):
        for w in lines(name):
            local, port = inet(w[1])
            remote, rport = inet(w[2])
            fact = {"family": family, "type": type_,
                    "protocol": port if protocol is None else protocol,
                    "state": int(w[3], 16), "local": local, "remote": remote,
                    "remote_port": rport, "uid": int(w[7]), "netns": ns}
            if protocol is not None:
                fact["local_port"] = port
            yield int(w[9]), fact
    for w in files.get(f"{net}/unix", "").split("\n")[1:]:
        w = w.split(" ", 7)
        if len(w) < 7:
            continue
        state = 1 if w[5] == "03" else 10 if int(w[3], 16) & 0x10000 else 7
        yield int(w[6].split()[0] if len(w) < 8 else w[6] or w[7].split()[0]), {
            "family": socket.AF_UNIX, "type": int(w[4], 16), "state": state,
            "path": w[7] if len(w) > 7 else "", "netns": ns}
    for w in lines("netlink"):
        yield int(w[9]), {"family": socket.AF_NETLINK, "protocol": int(w[1]), "netns": ns,
                          "portid": int(w[2]) & 0xffffffff, "groups": int(w[3], 16)}
    for w in lines("packet"):
        yield int(w[8]), {"family": socket.AF_PACKET, "type": int(w[2]),
                          "protocol": int(w[3], 16), "ifindex": int(w[4]), "uid": int(w[7]),
                          "netns": ns}


def unix_lines(text):
    """/proc/net/unix is aligned: the inode's column is padded."""
    return re.sub(r"(?m)^(\S+: \S+ \S+ \S+ \S+ \S+) +(\d+)", r"\1 \2", text)


def said(side):
    """A round of the oracle as {key: value}; kinds see below."""
    files, binary, links = side["files"], side["binary"], side["links"]
    for path in [p for p in files if p.endswith("/net/unix")]:
        files[path] = unix_lines(files[path])
    facts, owned = {}, set()
    pids = sorted({int(p.split("/")[2]) for p in files
                   if re.match(r"/proc/\d+/status$", p)})
    for pid in pids:
        of = f"/proc/{pid}"
        if f"{of}/stat" not in files:
            continue
        process(facts, owned, pid, of, files, binary, links)
    seen = {}
    for path in files:
        m = re.match(r"(/proc/(\d+)/net)/unix$", path)
        if m:
            ns = links.get(f"/proc/{m[2]}/ns/net", "[0]")
            seen[int(re.search(r"\[(\d+)\]", ns)[1])] = m[1]
    for ns, net in seen.items():
        for ino, fact in sockets(files, net, ns):
            for k, v in fact.items():
                # kernel's own, orphans: not reached through any process
                kind = "socket" if ino in owned else "unowned"
                if ino:
                    facts[(kind, ino, k)] = v
    for line in files.get("/proc/modules", "").splitlines():
        w = line.split()
        facts[("module", w[0], "refs")] = int(w[2]) if w[2] != "-" else 0
        facts[("module", w[0], "used_by")] = \
            "" if w[3] == "-" else ",".join(sorted(w[3].strip(",").split(",")))
        facts[("module", w[0], "state")] = w[4][0]
        facts[("module", w[0], "base")] = int(w[5], 16)
        facts[("module", w[0], "total size")] = int(w[1])
        flags = w[6].strip("()") if len(w) > 6 else ""
        facts[("module", w[0], "taints")] = sum(1 << TAINTS[c] for c in flags if c in TAINTS)
        source = f"/sys/module/{w[0]}/srcversion"
        facts[("module", w[0], "srcversion")] = files.get(source, "").strip()
    # what has no inode (on its way in or out) has no owner to look it up by
    nameless = {}
    for ns, net in seen.items():
        for ino, fact in sockets(files, net, ns):
            if ino:
                facts[("table", ino)] = ns
            elif fact["family"] in (socket.AF_INET, socket.AF_INET6):
                key = tuple(fact[k] for k in NAMELESS)
                nameless[key] = nameless.get(key, 0) + 1
    for key, n in nameless.items():
        facts[("nameless",) + key] = n
    facts[("machine", "hostname")] = files["/proc/sys/kernel/hostname"].strip()
    facts[("machine", "release")] = files["/proc/sys/kernel/osrelease"].strip()
    return facts


def process(facts, owned, pid, of, files, binary, links):
    st, f = status(files[f"{of}/status"]), stat(files[f"{of}/stat"])
    get = facts.__setitem__
    get(("pid", pid), True)
    get(("comm", pid), plain_comm(files.get(f"{of}/comm", "")))
    get(("ppid", pid), int(st["PPid"]))
    get(("uid", pid), [int(v) for v in st["Uid"].split()])
    get(("gid", pid), [int(v) for v in st["Gid"].split()])
    get(("groups", pid), sorted(int(v) for v in st["Groups"].split()))
    for name, field in (("inheritable", "CapInh"), ("permitted", "CapPrm"),
                        ("effective", "CapEff"), ("bounding", "CapBnd"),
                        ("ambient", "CapAmb")):
        get(("cap", pid, name), int(st[field], 16))
    get(("restrict", pid, "no_new_privs"), bool(int(st["NoNewPrivs"])))
    get(("restrict", pid, "seccomp"), int(st["Seccomp"]))
    get(("ns_pid", pid), int(st["NSpid"].split()[-1]))
    get(("group", pid, "pgrp"), int(f[5]))
    get(("group", pid, "session"), int(f[6]))
    get(("group", pid, "tty"), tty(f[7]))
    get(("start", pid), int(f[22]))
    if f"{of}/exe" in links:
        for name, field in (("start_code", 26), ("end_code", 27), ("start_stack", 28),
                            ("start_brk", 47), ("arg_start", 48), ("arg_end", 49),
                            ("env_start", 50), ("env_end", 51)):
            get(("layout", pid, name), int(f[field]))
        get(("argv", pid), binary.get(f"{of}/cmdline", ""))
        get(("environ", pid), binary.get(f"{of}/environ", ""))
        get(("auxv", pid), binary.get(f"{of}/auxv", ""))
    for name in ("exe", "cwd", "root"):
        if f"{of}/{name}" in links:
            get((name, pid), links[f"{of}/{name}"])
    for name in ("mnt", "uts", "ipc", "pid", "net", "user", "cgroup", "time"):
        if f"{of}/ns/{name}" in links:
            get(("ns", pid, name), int(re.search(r"\[(\d+)\]", links[f"{of}/ns/{name}"])[1]))
    cgroup = re.search(r"(?m)^0::(.*)$", files.get(f"{of}/cgroup", ""))
    if cgroup:
        get(("cgroup", pid), cgroup[1].removesuffix(" (deleted)"))
    for path in files:
        m = re.match(rf"{of}/task/(\d+)/(comm|stat|syscall)$", path)
        if not m:
            continue
        tid = int(m[1])
        if m[2] == "comm":
            get(("thread", pid, tid), plain_comm(files[path]))
        elif m[2] == "stat":
            get(("state", pid, tid), stat(files[path])[3])
        elif re.match(r"-?\d+ 0x", files[path]):
            w = files[path].split()
            # sp and pc; the call and what it was given
            get(("regs", pid, tid), [int(v, 0) for v in w])
    for start, *rest in maps(files.get(f"{of}/maps", "")):
        get(("vma", pid, start), rest)
    for path in links:
        m = re.match(rf"{of}/fd/(\d+)$", path)
        if not m:
            continue
        info = status(files.get(f"{of}/fdinfo/{m[1]}", ""))
        get(("fd", pid, int(m[1])), [links[path], int(info.get("pos", 0)),
                                     int(info.get("flags", "0"), 8)])
        s = re.match(r"socket:\[(\d+)\]$", links[path])
        if s:
            owned.add(int(s[1]))


# ---- what was read -----------------------------------------------------------

def as_hex(text):
    return text.encode("utf-8", "surrogateescape").hex()


def number(v):
    return int(v, 0) if isinstance(v, str) else v


def read_process(facts, p):
    pid = p["pid"]
    get = facts.__setitem__
    get(("pid", pid), True)
    for k in ("comm", "ppid", "uid", "gid", "ns_pid", "cwd", "root", "cgroup"):
        get((k, pid), p[k])
    get(("exe", pid), p["exe_target"])
    get(("groups", pid), sorted(p["groups"]))
    for k, v in p["cap"].items():
        get(("cap", pid, k), v)
    for k, v in p["ns"].items():
        get(("ns", pid, k), v)
    get(("restrict", pid, "no_new_privs"), p["no_new_privs"])
    get(("restrict", pid, "seccomp"), p["seccomp"])
    for k in ("pgrp", "session", "tty"):
        get(("group", pid, k), p[k])
    get(("start", pid), p["start_ns"] // 10_000_000)
    for k in ("start_code", "end_code", "start_stack", "start_brk", "arg_start",
              "arg_end", "env_start", "env_end"):
        get(("layout", pid, k), p[k])
    get(("argv", pid), None if p["args_unreadable"] else as_hex(p["argv"]))
    get(("environ", pid), None if p["environ_unreadable"] else as_hex(p["environ"]))
    get(("auxv", pid), struct.pack(f"<{len(p['auxv'])}Q", *p["auxv"]).hex())
    for t in p["threads"]:
        get(("thread", pid, t["tid"]), t["comm"])
        get(("state", pid, t["tid"]), t["state"])
        if t.get("has_regs"):
            r = t["regs"]
            signed = r[15] - (1 << 64) if r[15] >> 63 else r[15]
            get(("regs", pid, t["tid"]),
                [signed, r[14], r[13], r[12], r[7], r[9], r[8], r[19], r[16]]
                if signed >= 0 else [signed, r[19], r[16]])
    for v in p["vmas"]:
        get(("vma", pid, v["start"]), [v["end"], v["perms"], v["offset"], v["dev"],
                                       v["ino"], v["path"]])
    for f in p["fds"]:
        get(("fd", pid, f["fd"]), [f["target"], f["pos"], f["flags"]])


def read(dump):
    facts = {}
    for p in dump["processes"]:
        read_process(facts, p)
    opened = {f["socket"] for p in dump["processes"] for f in p["fds"]}
    for i, s in enumerate(dump["sockets"]):
        if i not in opened and s["ino"]:
            facts[("table", s["ino"])] = s["netns"]
        for k in ("family", "type", "protocol", "state", "local", "local_port",
                  "remote", "remote_port", "uid", "netns", "ifindex", "path"):
            facts[("socket", s["ino"], k)] = s[k]
            facts[("unowned", s["ino"], k)] = s[k]
        if s["family"] == socket.AF_NETLINK:
            for kind in ("socket", "unowned"):
                facts[(kind, s["ino"], "portid")] = int(s["local"][:8], 16)
                facts[(kind, s["ino"], "groups")] = int(s["local"][8:16], 16)
        if not s["ino"] and s["family"] in (socket.AF_INET, socket.AF_INET6):
            key = ("nameless",) + tuple(s[k] for k in NAMELESS)
            facts[key] = facts.get(key, 0) + 1
    for m in dump["modules"]:
        of = m["name"]
        if "list" not in m["seen"] or m["state"] == "U":
            continue    # hidden, or not there yet: /proc/modules is silent
        facts[("module", of, "refs")] = m["refs"]
        facts[("module", of, "used_by")] = ",".join(
            sorted(u for u in m["used_by"].strip(",-").split(",") if u))
        facts[("module", of, "state")] = m["state"]
        facts[("module", of, "base")] = number(m["base"])
        facts[("module", of, "total size")] = m["total"]
        facts[("module", of, "taints")] = m["taints"]
        facts[("module", of, "srcversion")] = m["srcversion"]
    facts[("machine", "hostname")] = dump["hostname"]
    facts[("machine", "release")] = dump["facts"]["release"]
    return facts


# ---- the comparison ----------------------------------------------------------

def compare(before, after, ours, witness, hidden, kthreads):
    """Yields (kind, key, verdict, said, read)."""
    gone = object()
    for key in before.keys() | after.keys():
        kind = key[0]
        a, b, c = before.get(key, gone), after.get(key, gone), ours.get(key, gone)
        if len(key) > 1 and key[1] in witness and kind in RESTLESS:
            continue
        elif kind == "table" and c is gone:
            continue    # some process has it open
        elif kind == "state" and key[1] in kthreads and a != c and \
                {a, c} in ({"R", "I"}, {"R", "S"}):
            # the kernel's own threads: asking gives them something to do, and
            # when they do something is for a timer to say
            yield kind, key, "moving", a, c
        elif kind == "regs" and c is gone:
            yield kind, key, "no registers", a, None
        elif a is not gone and a == c or b is not gone and b == c:
            yield kind, key, "equal", a, c
        elif a is gone or b is gone or a != b:
            yield kind, key, "moving", a if a is not gone else b, c
        else:
            yield kind, key, "MISMATCH", a, c if c is not gone else "(not there)"
    for key in ours.keys() - before.keys() - after.keys():
        kind = key[0]
        if len(key) > 1 and key[1] in witness and kind in RESTLESS:
            continue
        if kind == "fd" and before.get(("state", key[1], key[1])) == "Z":
            # the leader is gone: /proc shows its files below task/TID alone
            yield kind, key, "of a thread", None, ours[key]
        elif kind in ("pid", "thread", "vma", "fd", "table", "module", "nameless") and key[1] not in hidden:
            yield kind, key, "MISMATCH", "(nothing)", ours[key]


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("oracle")
    p.add_argument("dump")
    p.add_argument("--show", type=int, default=40)
    p.add_argument("--only", default="")
    p.add_argument("--except", dest="without", default="")
    p.add_argument("--hidden", default="",
                   help="pids that are in the image and not in /proc")
    args = p.parse_args()
    with open(args.oracle, encoding="ascii") as f:
        oracle = json.load(f)
    with (sys.stdin if args.dump == "-" else open(args.dump, encoding="utf-8",
                                                  errors="surrogateescape")) as f:
        dump = json.load(f)
    ours = read(dump)
    before, after = said(oracle["before"]), said(oracle["after"])
    witness = {w["pid"] for w in oracle["taken"]["witness"]}
    hidden = {int(h) for h in args.hidden.split(",") if h}
    # what is on its way out, and in no list, was not said either
    hidden |= {q["pid"] for q in dump["processes"]
               if ("pid", q["pid"]) not in before and q["exiting"]}
    counts, shown, bad = {}, 0, 0
    for kind, key, verdict, theirs, mine in sorted(
            compare(before, after, ours, witness, hidden,
                    {q["pid"] for q in dump["processes"] if q["kthread"]}),
            key=lambda row: (row[0], str(row[1]))):
        if args.only and kind not in args.only.split(","):
            continue
        if kind in args.without.split(","):
            continue
        c = counts.setdefault(kind, {})
        c[verdict] = c.get(verdict, 0) + 1
        if verdict == "MISMATCH":
            bad += 1
            if shown < args.show:
                shown += 1
                print(f"{key}: kernel {str(theirs)[:300]!r}\n    image {str(mine)[:300]!r}")
    total = sum(n for c in counts.values() for n in c.values())
    for kind, c in sorted(counts.items()):
        print(f"{kind:10}", ", ".join(f"{n} {v}" for v, n in sorted(c.items())))
    print(f"{total} facts, {sum(c.get('equal', 0) for c in counts.values())} equal, "
          f"{sum(c.get('moving', 0) for c in counts.values())} moving, {bad} mismatches")
    return 1 if bad or not total else 0


sys.exit(main())
