#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""compare.py EXPECTED SHOWN [--skip PATH]… [--only FIELDS]
	[--files-only FIELDS]

Compares a tree as another reader mounts it (EXPECTED) with the same tree in a
mount of herdfs (SHOWN: …/all/disk), every path of both: type, mode, owner,
size, mtime, target, xattr, sha256. Content is read through both; the digest
that herdfs tells is compared as well. Prints each difference and, last, how
many paths and differences there were. Exit status 1 when there was one.
"""
import argparse
import concurrent.futures
import hashlib
import os
import stat
import struct
import sys

FIELDS = ("type", "mode", "owner", "size", "mtime", "target", "xattr", "sha256")
OWN = b"user.herdfs.xattr."
OWN_OF_LINK = b"system.herdfs.xattr."
HUGE = 8 << 30          # a file with more holes than this is read by extents
BLOCK = 4096
ZEROS = bytes(BLOCK)

TYPES = {stat.S_IFREG: "file", stat.S_IFDIR: "directory",
         stat.S_IFLNK: "link", stat.S_IFIFO: "fifo", stat.S_IFSOCK: "socket",
         stat.S_IFCHR: "char", stat.S_IFBLK: "block"}


def type_of(mode):
    return TYPES.get(stat.S_IFMT(mode), "?")


def attributes(path):
    """The extended attributes as the kernel's own file system tells them."""
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError:
        return {}
    return {os.fsencode(n): os.getxattr(path, n, follow_symlinks=False)
            for n in names if n != "system.data"}


ASKED = {b"sha256", b"digest", b"type", b"target"}


def shown_attributes(path):
    """What herdfs says about a file, and the file's own attributes."""
    about, own = {}, {}
    for n in os.listxattr(path, follow_symlinks=False):
        name = os.fsencode(n)
        kind = name.split(b"herdfs.", 1)[-1]
        for prefix in (OWN, OWN_OF_LINK):
            if name.startswith(prefix):
                own[name[len(prefix):]] = os.getxattr(
                    path, n, follow_symlinks=False)
        if kind in ASKED:
            about[kind.decode()] = os.getxattr(
                path, n, follow_symlinks=False).decode(
                    "utf-8", "surrogateescape")
    return about, own


def extents(fd, size):
    at = 0
    while at < size:
        try:
            at = os.lseek(fd, at, os.SEEK_DATA)
        except OSError:
            return
        end = os.lseek(fd, at, os.SEEK_HOLE)
        yield at, end
        at = end


def digests(path, size):
    """(plain SHA-256 or None, the digest of files with huge holes)."""
    with open(path, "rb", buffering=0) as f:
        fd = f.fileno()
        if size <= HUGE:
            plain = hashlib.sha256()
            got = 0
            while piece := f.read(1 << 20):
                plain.update(piece)
                got += len(piece)
            if got != size:
                raise OSError(f"{got} bytes of {size}")
            return plain.hexdigest(), None
        sparse = hashlib.sha256(struct.pack("<Q", size))
        done = 0
        for start, end in extents(fd, size):
            for at in range(max(start - start % BLOCK, done), end, BLOCK):
                piece = os.pread(fd, min(BLOCK, size - at), at)
                if piece != ZEROS[:len(piece)]:
                    sparse.update(struct.pack("<Q", at // BLOCK) + piece)
                done = at + BLOCK
        return None, sparse.hexdigest()


class Comparison:
    def __init__(self, expected, shown, skip, only):
        self.expected, self.shown = expected, shown
        self.skip, self.only = skip, only
        self.files_only = ()
        self.paths = self.files = self.bytes = 0
        self.found = []
        self.seen = set()

    def say(self, path, field, want, got):
        self.found.append((path, field, want, got))

    def differ(self, path, field, want, got):
        if field in self.only and want != got:
            self.say(path, field, want, got)

    def one(self, path):
        k, h = os.path.join(self.expected, path), os.path.join(self.shown, path)
        try:
            a, b = os.lstat(k), os.lstat(h)
            about, own = shown_attributes(h)
        except OSError as e:
            self.say(path, "lookup", "", e)
            return None
        kind, shown_as = type_of(a.st_mode), type_of(b.st_mode)
        if kind not in ("file", "directory", "link"):
            # shown as a file that holds nothing, its true type told apart
            device = (f" {os.major(a.st_rdev)}:{os.minor(a.st_rdev)}"
                      if kind in ("char", "block") else "")
            self.differ(path, "type", kind + device, about.get("type"))
            self.differ(path, "type", "file", shown_as)
        else:
            self.differ(path, "type", kind, shown_as)
        if kind != "link":
            self.differ(path, "mode", oct(stat.S_IMODE(a.st_mode)),
                        oct(stat.S_IMODE(b.st_mode)))
        self.differ(path, "owner", (a.st_uid, a.st_gid), (b.st_uid, b.st_gid))
        if kind == "file" or "mtime" not in self.files_only:
            self.differ(path, "mtime", a.st_mtime_ns, b.st_mtime_ns)
        if "xattr" in self.only:
            self.differ(path, "xattr", attributes(k), own)
        if kind == "file":
            self.differ(path, "size", a.st_size, b.st_size)
            return path, a, about
        if kind == "link":
            want = os.readlink(k)
            got = about.get("target")
            got = os.readlink(h) if got is None else got.encode(
                "utf-8", "surrogateescape")
            self.differ(path, "target", want, got)
        return None

    def content(self, item):
        path, st, about = item
        try:
            want = digests(os.path.join(self.expected, path), st.st_size)
            got = digests(os.path.join(self.shown, path), st.st_size)
        except OSError as e:
            self.say(path, "read", "", e)
            return
        self.files += 1
        self.bytes += st.st_size
        if want != got:
            self.say(path, "sha256", want, got)
        told = about.get("sha256")
        if want[0] is None:
            # another kind of digest, which must not look like a plain one
            self.differ(path, "sha256", None, told)
            self.differ(path, "sha256", "sparse-sha256:" + want[1],
                        about.get("digest"))
        else:
            self.differ(path, "sha256", want[0], told)

    def walk(self, folder=b""):
        try:
            a = set(os.listdir(os.path.join(self.expected, folder)))
            b = set(os.listdir(os.path.join(self.shown, folder)))
        except OSError as e:
            self.say(folder, "readdir", "", e)
            return
        for name in sorted(a ^ b):
            path = os.path.join(folder, name)
            if path not in self.skip:
                self.say(path, "name", name in a, name in b)
        for name in sorted(a & b):
            path = os.path.join(folder, name)
            if path in self.skip:
                continue
            self.paths += 1
            yield path
            k, h = (os.path.join(t, path) for t in (self.expected, self.shown))
            if os.path.isdir(k) and not os.path.islink(k) and \
               os.path.isdir(h) and not os.path.islink(h):
                yield from self.walk(path)

    def run(self):
        files = []
        self.paths += 1
        self.one(b"")
        for path in self.walk():
            item = self.one(path)
            if item and "sha256" in self.only:
                files.append(item)
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            for _ in pool.map(self.content, files):
                pass


def main():
    p = argparse.ArgumentParser()
    p.add_argument("expected", type=os.fsencode)
    p.add_argument("shown", type=os.fsencode)
    p.add_argument("--skip", type=os.fsencode, action="append", default=[])
    p.add_argument("--only", default=",".join(FIELDS))
    p.add_argument("--files-only", default="")
    p.add_argument("--show", type=int, default=40)
    o = p.parse_args()
    c = Comparison(o.expected, o.shown, set(o.skip), o.only.split(","))
    c.files_only = o.files_only.split(",")
    c.run()
    for path, field, want, got in c.found[:o.show]:
        print(f"{path!r}: {field}: {str(want)[:200]} expected, "
              f"{str(got)[:200]!r} shown")
    print(f"{c.paths} paths, {c.files} files, {c.bytes} bytes compared; "
          f"differences: {len(c.found)}")
    return 1 if c.found else 0


if __name__ == "__main__":
    sys.exit(main())
