#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""memory_cache.py DUMP.json MEMORY.raw DISK.raw [OFFSET]

Every page that the page cache has of a file on the guest's disk, against that
file on the disk: DUMP.json is what machine_dump says, OFFSET where the disk's
ext4 begins (1 MiB). Files are taken by inode number with debugfs, out of a
copy whose journal was replayed. Clean pages must be equal; what is dirty is
told. Files made so lately that the disk has not got them are told, too.

Of files in memory alone (memfds, shared huge pages) those are looked at whose
first page begins with HERDPAGE and a number: each page then has its own number
or nothing.
"""

import json
import os
import struct
import subprocess
import sys
import tempfile

PAGE = 4096


def volume(disk, offset, folder):
    """The ext4 of the disk, its journal replayed."""
    path = os.path.join(folder, "volume")
    with open(path, "wb") as out:
        subprocess.run(["dd", f"if={disk}", "bs=1M", f"skip={offset >> 20}", "conv=sparse",
                        "status=none", f"of={path}"], check=True, stdout=out)
    subprocess.run(["e2fsck", "-y", "-E", "journal_only", path], check=False,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return path


def content(path, ino, folder):
    """The bytes of an inode on the disk; None: it has none of that number."""
    out = os.path.join(folder, "content")
    if os.path.exists(out):
        os.unlink(out)
    stat = subprocess.run(["debugfs", "-R", f"stat <{ino}>", path], check=False,
                          capture_output=True, text=True).stdout
    if "Type: regular" not in stat:
        return None, "no such file"
    subprocess.run(["debugfs", "-R", f"dump <{ino}> {out}", path], check=False,
                   capture_output=True)
    with open(out, "rb") as f:
        return f.read(), "deleted" if "dtime:" in stat else ""


def stamped(f, ram):
    """Pages that say which they are: (right, wrong)."""
    right = wrong = 0
    for index, phys, pages, _ in f["cached"]:
        for i in range(pages):
            ram.seek(phys + i * PAGE)
            have = ram.read(16)
            if not (right or wrong) and have[:8] != b"HERDPAGE":
                return 0, 0
            if have == b"HERDPAGE" + struct.pack("<Q", index + i) or not any(have):
                right += 1
            else:
                wrong += 1
    return right, wrong


def main():
    dump, memory, disk = sys.argv[1:4]
    offset = int(sys.argv[4]) if len(sys.argv) > 4 else 1 << 20
    with open(dump, encoding="utf-8", errors="surrogateescape") as f:
        files = json.load(f)["files"]
    count = dict.fromkeys(("files", "clean pages equal", "clean pages MISMATCH",
                           "dirty pages equal", "dirty pages different",
                           "pages of files not on the disk",
                           "stamped pages right", "stamped pages WRONG"), 0)
    with tempfile.TemporaryDirectory() as folder, open(memory, "rb") as ram:
        path = volume(disk, offset, folder)
        for f in files:
            if f["fs"] in ("tmpfs", "hugetlbfs") and f["cached"]:
                right, wrong = stamped(f, ram)
                count["stamped pages right"] += right
                count["stamped pages WRONG"] += wrong
                continue
            if f["fs"] != "ext4" or not f["cached"] or f["kind"] != "plain" \
                    or f["mode"] >> 12 != 8:
                continue
            count["files"] += 1
            want, why = content(path, f["ino"], folder)
            for index, phys, pages, dirty in f["cached"]:
                for i in range(pages):
                    if want is None:
                        count["pages of files not on the disk"] += 1
                        continue
                    ram.seek(phys + i * PAGE)
                    have = ram.read(PAGE)
                    at = (index + i) * PAGE
                    same = have == want[at:at + PAGE].ljust(PAGE, b"\0")
                    if not same and at + PAGE > f["size"]:
                        # beyond the end a page may hold anything
                        n = max(0, f["size"] - at)
                        same = have[:n] == want[at:at + n]
                    kind = ("dirty pages " if dirty else "clean pages ") + \
                        ("equal" if same else "different" if dirty else "MISMATCH")
                    count[kind] += 1
                    if kind.endswith("MISMATCH"):
                        print(f"{f['path']} (inode {f['ino']}) page {index + i} {why}")
    print(", ".join(f"{n} {what}" for what, n in count.items()))
    return 1 if count["clean pages MISMATCH"] or count["stamped pages WRONG"] or not count["clean pages equal"] else 0


sys.exit(main())
