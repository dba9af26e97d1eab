#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""foreign.py KIND DIR: files for a file system of KIND (ntfs, fat, exfat), at
DIR: mounted, or a folder that mcopy takes them from."""
import os
import sys

import lab


def main():
    kind, top = sys.argv[1:]

    def put(name, data):
        path = os.path.join(top, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(data)
        return path

    # about as many names as a system's own folder has
    for d in range(30):
        for n in range(40):
            put(f"Windows/System32/part{d:02}/File {d}-{n}.dll",
                lab.noise((d, n), (d * 977 + n * n * 31) % 40_000))
    for n in (0, 1, 100, 600, 700, 1023, 1024, 4095, 4096, 4097, 1 << 20,
              5_000_001):
        put(f"sizes/{n}", lab.noise(n, n))
    for name in ("UPPER.TXT", "lower.txt", "Mixed Case.Name", "no-extension",
                 "many.dots.in.it.txt", "Ünïcödé ß.txt", "日本語のファイル名.txt",
                 "emoji-\U0001f600.txt", "l" * 200 + ".txt",
                 "short.t", "VERYLONG.EXT", "a" * 8 + "." + "b" * 3):
        put(f"names/{name}", name.encode())
    for n in range(3000 if kind != "fat" else 600):
        put(f"many/entry number {n:05}.dat", b"%d" % n)
    path = top + "/deep"
    for n in range(12):
        path += f"/folder {n}"
    put(os.path.relpath(path, top) + "/bottom", b"here")
    # parts of other files between the parts
    files = [open(put(f"pieces/{n}", b""), "wb") for n in range(8)]
    for block in range(60):
        for n, f in enumerate(files):
            f.write(lab.noise((block, n), 8192))
            f.flush()
            if kind != "fat" and block % 6 == 0:
                os.fsync(f.fileno())
    for f in files:
        f.close()
    for n in range(0, 40):
        put(f"removed/{n}", lab.noise(n, 5000))
    for n in range(0, 40, 2):
        os.unlink(f"{top}/removed/{n}")
    if kind != "ntfs":
        return
    os.link(f"{top}/sizes/4096", f"{top}/sizes/linked")
    with open(f"{top}/sparse", "wb") as f:
        f.write(b"start")
        f.seek(30_000_000)
        f.write(b"middle")
        f.truncate(50_000_000)
    os.setxattr(f"{top}/sizes/100", "user.stream", b"an alternate stream")
    os.makedirs(f"{top}/compressed")
    # folders with this attribute give it to what is made in them
    os.setxattr(f"{top}/compressed", "system.ntfs_attrib_be",
                (0x810).to_bytes(4, "big"))
    put("compressed/zeros", bytes(300_000))
    put("compressed/text", b"the same words again and again, " * 20_000)
    put("compressed/noise", lab.noise("c", 200_000))
    put("compressed/mixed", lab.noise("m", 70_000) + bytes(100_000) +
        b"ab" * 40_000)


if __name__ == "__main__":
    main()
