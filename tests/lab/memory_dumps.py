#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds memory/ of a mounted instance against what its guest said.

memory_dumps.py INSTANCE_DIR ORACLE.json MEMORY.raw

INSTANCE_DIR: asg/NAME/i-1 of a mount. Compared, where the guest said the same
before and after its memory was taken:
  maps, cmdline, environ   byte for byte with /proc
  vma/*.bin, core          each page that /proc/PID/pagemap says is in memory,
                           with that frame of MEMORY.raw; what is behind the
                           end of a file (or of a segment's bytes) is zeros
  exe                      with the file of all/disk that /proc/PID/exe names
Prints one line: what was compared and how many differ; lists what differs.
"""

import base64
import bisect
import json
import mmap
import os
import struct
import sys
import zlib

PAGE = 4096
bad = []
count = {"maps": 0, "cmdline": 0, "environ": 0, "exe": 0, "pages": 0,
         "core pages": 0, "swapped": 0, "vmas": 0, "cut": 0}


def differs(what):
    bad.append(what)


def read(path):
    with open(path, "rb") as f:
        return f.read()


def processes(folder):
    """pid -> folder of memory/."""
    found = {}
    for name in os.listdir(folder):
        pid = name.split("-")[0]
        if pid.isdigit() and "~" not in name:
            found[int(pid)] = os.path.join(folder, name)
    return found


def said(oracle, kind, key):
    """What was so before and after; None where it was not."""
    before = oracle["before"].get(kind, {}).get(key)
    after = (oracle.get("after") or oracle["before"]).get(kind, {}).get(key)
    return before if before == after else None


def core_segments(path):
    """(va, offset, size in the file, size in memory), by va."""
    with open(path, "rb") as f:
        head = f.read(64)
        phoff, = struct.unpack_from("<Q", head, 32)
        n, = struct.unpack_from("<H", head, 56)
        f.seek(phoff)
        table = f.read(56 * n)
    v = []
    for i in range(n):
        kind, _, off, va, _, filesz, memsz, _ = struct.unpack_from(
            "<IIQQQQQQ", table, 56 * i)
        if kind == 1:
            v.append((va, off, filesz, memsz))
    return sorted(v)


def core_page(core, segments, va):
    """The page there; None: no segment has it."""
    i = bisect.bisect_right(segments, (va, 1 << 64)) - 1
    if i < 0 or va >= segments[i][0] + segments[i][3]:
        return None
    start, off, filesz, _ = segments[i]
    if va - start >= filesz:
        return bytes(PAGE)
    core.seek(off + va - start)
    return core.read(PAGE)


def compare_text(folder, pid, name, want):
    got = read(os.path.join(folder, name))
    count[name] += 1
    if got != want:
        differs(f"{pid}: {name}")


def compare_pages(folder, pid, maps, pages, after, raw):
    segments = core_segments(os.path.join(folder, "core"))
    core = open(os.path.join(folder, "core"), "rb")
    for line in maps.splitlines():
        start, end = (int(x, 16) for x in line.split()[0].split("-"))
        if start >> 63:
            continue
        # what was given page by page
        entry = pages.get(f"{start:x}") or pages.get(str(start))
        if entry is None or entry != (after.get(f"{start:x}") or
                                      after.get(str(start))):
            continue
        count["vmas"] += 1
        ptes = zlib.decompress(base64.b64decode(entry))
        data = read(os.path.join(folder, "vma",
                                 f"{start:016x}-{end:016x}.bin"))
        count["cut"] += len(data) < end - start
        if len(data) > end - start or len(data) % PAGE:
            differs(f"{pid}: size of {start:x}")
        for i in range(min(len(ptes) // 8, (end - start) // PAGE)):
            pte, = struct.unpack_from("<Q", ptes, 8 * i)
            got = data[i * PAGE:(i + 1) * PAGE].ljust(PAGE, b"\0")
            if pte >> 62 & 1:
                count["swapped"] += 1
                if any(got):
                    differs(f"{pid}: swapped page {start + i * PAGE:x}")
                continue
            frame = pte & ((1 << 55) - 1)
            if not pte >> 63 or not frame or \
                    (frame + 1) * PAGE > len(raw):
                continue
            want = raw[frame * PAGE:(frame + 1) * PAGE]
            count["pages"] += 1
            if got != want:
                differs(f"{pid}: page {start + i * PAGE:x}")
            count["core pages"] += 1
            if core_page(core, segments, start + i * PAGE) != want:
                differs(f"{pid}: page {start + i * PAGE:x} of the core")
    core.close()


def compare_exe(folder, pid, target, disk):
    path = os.path.join(disk, target.lstrip("/"))
    exe = os.path.join(folder, "exe")
    if target.endswith(" (deleted)") or not os.path.isfile(path) or \
            not os.path.exists(exe):
        return
    count["exe"] += 1
    if read(path) != read(exe):
        differs(f"{pid}: exe {target}")


def main():
    instance, oracle_path, raw_path = sys.argv[1:]
    with open(oracle_path, encoding="utf-8") as f:
        oracle = json.load(f)
    with open(raw_path, "rb") as f:
        raw = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ)
    disk = os.path.join(instance, "all", "disk")
    witness = {w["pid"] for w in
               (oracle.get("taken") or {}).get("witness", [])}
    for pid, folder in sorted(processes(
            os.path.join(instance, "all", "memory")).items()):
        if pid in witness:
            continue
        maps = said(oracle, "files", f"/proc/{pid}/maps")
        if maps is not None:
            # /proc adds a page that no process has
            own = "".join(line + "\n" for line in maps.splitlines()
                          if "[vsyscall]" not in line)
            compare_text(folder, pid, "maps",
                         own.encode("utf-8", "surrogateescape"))
        for name in "cmdline", "environ":
            value = said(oracle, "binary", f"/proc/{pid}/{name}")
            if value is not None:
                compare_text(folder, pid, name, bytes.fromhex(value))
        target = said(oracle, "links", f"/proc/{pid}/exe")
        if target:
            compare_exe(folder, pid, target, disk)
        pages = oracle["before"].get("pages", {}).get(str(pid))
        after = (oracle.get("after") or {}).get("pages", {}).get(str(pid))
        if maps and pages and after:
            compare_pages(folder, pid, maps, pages, after, raw)
    print(", ".join(f"{n} {k}" for k, n in count.items()) +
          f": {len(bad)} differ")
    for line in bad[:50]:
        print("  " + line)
    return 1 if bad or not count["pages"] or not count["maps"] else 0


if __name__ == "__main__":
    sys.exit(main())
