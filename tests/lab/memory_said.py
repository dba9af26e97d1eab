#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""memory_said.py RECORDS PLACE BYTES TAKEN OUT: makes OUT/oracle.json out of
what memory_witness wrote to the disk RECORDS, twice, and out of what
memory_take.py printed (TAKEN). OUT/kallsyms and OUT/btf get the large ones.

oracle.json: {"taken": …, "before": ROUND, "after": ROUND}; a ROUND is
{"files": {path: text}, "binary": {path: hex}, "links": {path: text},
 "pages": {"PID": {"START": "hex of PTEs as in pagemap, zlib, base64"}}}.
Text is UTF-8 where it is, else its bytes as U+DC80…U+DCFF (Python's
surrogateescape). `processes` etc. are made of it by memory_oracle.py.
"""
import base64
import json
import sys
import zlib

BINARY = {"cmdline", "environ", "auxv", "notes"}


def records(f):
    while True:
        line = f.readline()
        kind, length, path = line.rstrip(b"\n").split(b" ", 2)
        if kind == b"E":
            return
        yield kind.decode(), path.decode(), f.read(int(length))


def one_round(f, out):
    text, binary, links, pages = {}, {}, {}, {}
    joined = {}
    for kind, path, what in records(f):
        if kind == "L":
            links[path] = what.decode(errors="surrogateescape")
        elif kind == "P":
            _, _, pid, _, start = path.split("/")
            pages.setdefault(pid, {})[start] = base64.b64encode(
                zlib.compress(what)).decode()
        else:
            joined.setdefault(path, []).append(what)
    for path, pieces in joined.items():
        what = b"".join(pieces)
        if path in ("/proc/kallsyms", "/sys/kernel/btf/vmlinux"):
            name = "kallsyms" if "kallsyms" in path else "btf"
            with open(f"{out}/{name}", "wb") as to:
                to.write(what)
        elif path.rsplit("/", 1)[-1] in BINARY and path != "/proc/cmdline":
            binary[path] = what.hex()
        else:
            text[path] = what.decode(errors="surrogateescape")
    return {"files": text, "binary": binary, "links": links, "pages": pages}


def main():
    disk, place, size, taken, out = sys.argv[1:]
    with open(taken, encoding="utf-8") as f:
        result = {"taken": json.load(f)}
    with open(disk, "rb") as f:
        for i, name in enumerate(("before", "after")):
            f.seek(int(place) + i * int(size))
            result[name] = one_round(f, out)
    with open(f"{out}/oracle.json", "w", encoding="ascii") as f:
        json.dump(result, f, indent=0)


main()
