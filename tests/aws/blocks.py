#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""blocks.py BASE OFFSET IMAGE…: how many blocks of 512 KiB an indexer has to
read of each disk, by other means than its own; an ext4 file system starts at
OFFSET. A line an IMAGE:

  written   that the disk has at all
  changed   that differ from BASE's
  metadata  that hold some of what e2image -r calls metadata, and the
            partition tables at both ends
  data      of files that debugfs stat tells apart from BASE's, and no metadata
  rewritten of those files, only the blocks that differ from BASE's
"""
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import images                       # noqa: E402


def metadata(path, offset, work):
    """Indexes of blocks."""
    out = os.path.join(work, "metadata")
    subprocess.run(["e2image", "-r", "-o", str(offset), path, out], check=True,
                   stdin=subprocess.DEVNULL, capture_output=True)
    found = {0, (os.path.getsize(path) - 1) // images.BLOCK}
    with open(out, "rb") as f:
        for at, end in images.extents(f.fileno(), os.path.getsize(out)):
            # e2image leaves zeros out in units of the file system's blocks,
            # the file it writes may have larger ones
            for b in range(at, end, 4096):
                if any(os.pread(f.fileno(), 4096, b)):
                    found.add((offset + b) // images.BLOCK)
    os.unlink(out)
    return found & set(images.Image(path).indexes)


def stats(path, offset, inodes):
    """{inode: (what debugfs says of it, [(first, last) block])} of regular
    files; when they were read does not count."""
    ask = "".join(f"stat <{n}>\n" for n in range(11, inodes + 1))
    text = subprocess.run(["debugfs", "-f", "/dev/stdin",
                           f"{path}?offset={offset}"], input=ask, text=True,
                          errors="replace", check=True,
                          capture_output=True).stdout
    out = {}
    for part in re.split(r"^debugfs: stat ", text, flags=re.M)[1:]:
        n = int(re.match(r"<(\d+)>", part)[1])
        if "Type: regular" not in part or "Links: 0 " in part:
            continue
        part = re.sub(r"^ *atime: .*$", "", part, flags=re.M)
        found = re.search(r"EXTENTS:\n(.*)", part, flags=re.S)
        spans = []
        for one in re.findall(r"\(\d+(?:-\d+)?\):(\d+)(?:-(\d+))?",
                              found[1] if found else ""):
            spans.append((int(one[0]), int(one[1] or one[0])))
        out[n] = part, spans
    return out


def inode_count(path, offset):
    text = subprocess.run(["dumpe2fs", "-h", f"{path}?offset={offset}"],
                          check=True, capture_output=True, text=True).stdout
    total = int(re.search(r"^Inode count: +(\d+)", text, flags=re.M)[1])
    free = int(re.search(r"^Free inodes: +(\d+)", text, flags=re.M)[1])
    # those used are the lowest, for mke2fs -d and debugfs give them so; some
    # more for what was deleted
    return min(total, (total - free) * 2 + 512)


def main():
    base_path, offset = sys.argv[1], int(sys.argv[2])
    base = images.Image(base_path).digests()
    count = inode_count(base_path, offset)
    was = stats(base_path, offset, count)
    with tempfile.TemporaryDirectory() as work:
        for path in sys.argv[3:]:
            now = images.Image(path).digests()
            changed = {i for i in base.keys() | now.keys()
                       if base.get(i) != now.get(i)}
            meta = metadata(path, offset, work)
            data = set()
            for n, (text, spans) in stats(path, offset, count).items():
                if n in was and was[n][0] == text:
                    continue
                for first, last in spans:
                    data.update(range((offset + first * 4096) // images.BLOCK,
                                      (offset + last * 4096 + 4095) //
                                      images.BLOCK + 1))
            print(len(now), len(changed), len(meta), len(data - meta),
                  len((data - meta) & changed))


if __name__ == "__main__":
    main()
