#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tree.py DIR…: all that a reader can learn of what is below each DIR, a line
an entry: type, mode, owner, links, size, times, digest of the content or
target of the link, and every extended attribute. Two mounts that show the same
give the same lines. What cannot be read is in there as the error.

  --without NAME    leaves an attribute out; may be repeated
"""
import argparse
import concurrent.futures
import hashlib
import os
import stat
import sys


def content(path):
    digest = hashlib.sha256()
    try:
        with open(path, "rb", buffering=0) as f:
            while True:
                piece = f.read(1 << 20)
                if not piece:
                    return digest.hexdigest()
                digest.update(piece)
    except OSError as e:
        return f"error {e.errno}"


def attributes(path, without):
    try:
        names = sorted(os.listxattr(path, follow_symlinks=False))
        return " ".join(f"{n}={os.getxattr(path, n, follow_symlinks=False)!r}"
                        for n in names if n not in without)
    except OSError as e:
        return f"error {e.errno}"


def line(root, path, without):
    try:
        st = os.lstat(path)
    except OSError as e:
        return f"{os.path.relpath(path, root)!r} error {e.errno}"
    what = "-"
    if stat.S_ISREG(st.st_mode):
        what = content(path)
    elif stat.S_ISLNK(st.st_mode):
        what = repr(os.readlink(path))
    return " ".join(str(x) for x in (
        repr(os.path.relpath(path, root)), oct(st.st_mode), st.st_uid,
        st.st_gid, st.st_nlink, st.st_size, st.st_atime_ns, st.st_mtime_ns,
        st.st_ctime_ns, what, attributes(path, without)))


def walk(root):
    def failed(e):
        print(f"tree.py: {e}", file=sys.stderr)
        sys.exit(1)
    yield root
    for at, folders, files in os.walk(os.fsencode(root), onerror=failed):
        folders.sort()
        for name in sorted(folders + files):
            yield os.fsdecode(os.path.join(at, name))


def main():
    p = argparse.ArgumentParser()
    p.add_argument("dirs", nargs="+")
    p.add_argument("--without", action="append", default=[])
    args = p.parse_args()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for root in args.dirs:
            for text in pool.map(lambda path, r=root: line(r, path,
                                                           args.without),
                                 walk(root)):
                print(text)


if __name__ == "__main__":
    main()
