#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""odd_cases.py [--small] DIR: what file systems are seldom asked for, put
into the mounted (ext4) file system at DIR. --small: without what is large."""
import errno
import fcntl
import os
import socket
import sys

import lab

FALLOC_KEEP_SIZE, FALLOC_PUNCH_HOLE = 1, 2


def put(path, data=b""):
    with open(path, "wb") as f:
        f.write(data)


def names(top):
    os.mkdir(top + b"/names")
    for name in (b"n" * 255, "ü".encode() * 127, b"new\nline", b"\xff\xfe\x80",
                 b"tab\tand\x1b[31mred", b" space ", b"-rf", b"pipe|name",
                 b"back\\slash", b'quo"te', b"*", b"%s%n", b"...", b"\x01",
                 "\u202egnp.exe".encode(), b"a" * 200 + b"\xff" * 55):
        put(top + b"/names/" + name, name)
    os.mkdir(top + b"/names/" + b"d" * 255)
    os.symlink(b"\xfe\xff\n", top + b"/names/odd-target")


def deep(top):
    path = top + b"/deep"
    for _ in range(60):
        os.mkdir(path)
        path += b"/" + b"d" * 20
    os.mkdir(path)
    put(path + b"/bottom", b"here")


def sizes(top):
    os.mkdir(top + b"/sizes")
    for n in (0, 1, 59, 60, 61, 100, 150, 159, 160, 161, 400, 511, 512, 1023,
              1024, 1025, 4095, 4096, 4097, 65535, 65536, 65537, 1 << 20):
        put(top + b"/sizes/%d" % n, lab.noise(n, n))


def holes(top):
    os.mkdir(top + b"/holes")
    with open(top + b"/holes/every-other", "wb") as f:
        for n in range(200):
            f.seek(n * 8192)
            f.write(lab.noise(n, 4096))
    with open(top + b"/holes/only", "wb") as f:
        f.truncate(10_000_000)
    with open(top + b"/holes/end", "wb") as f:
        f.write(b"start")
        f.truncate(1_000_001)
    with open(top + b"/holes/written-past-and-cut", "wb") as f:
        f.write(lab.noise("cut", 50_000))
        f.truncate(12_345)
    # unwritten extents read as zeros; some lie beyond the end
    with open(top + b"/holes/preallocated", "wb") as f:
        try:
            os.posix_fallocate(f.fileno(), 0, 300_000)
        except OSError:
            pass
        f.seek(100_000)
        f.write(b"in the middle")


def attributes(top, large):
    os.mkdir(top + b"/xattr")
    path = top + b"/xattr/many"
    put(path, b"x")
    for n in range(20 if large else 8):
        os.setxattr(path, b"user.n%02d" % n, lab.noise(n, 20 + n))
    path = top + b"/xattr/empty-value"
    put(path)
    os.setxattr(path, b"user.empty", b"")
    path = top + b"/xattr/long-name"
    put(path)
    os.setxattr(path, b"user." + b"l" * 200, b"v")
    path = top + b"/xattr/kinds"
    put(path)
    os.setxattr(path, b"trusted.t", b"\0\1\2")
    os.setxattr(path, b"security.selinux",
                b"system_u:object_r:etc_t:s0\0")
    os.setxattr(path, b"security.capability", lab.capability(1 << 13))
    os.mkdir(top + b"/xattr/folder")
    os.setxattr(top + b"/xattr/folder", b"user.f", b"of a folder")
    os.symlink("kinds", top + b"/xattr/link")
    os.setxattr(top + b"/xattr/link", b"trusted.l", b"of a link",
                follow_symlinks=False)
    for n in (900, 1900, 3000, 20_000, 65_536) if large else (200,):
        path = top + b"/xattr/value-%d" % n
        put(path, b"holds a large attribute")
        try:
            os.setxattr(path, b"user.large", lab.noise(n, n))
        except OSError as e:
            if large or e.errno not in (errno.ENOSPC, errno.E2BIG):
                raise


def special(top):
    os.mkdir(top + b"/special")
    os.mkfifo(top + b"/special/fifo", 0o640)
    for name, kind, dev in ((b"null", 0o020000, (1, 3)),
                            (b"sda", 0o060000, (8, 0)),
                            (b"large", 0o020000, (511, 300_000))):
        os.mknod(top + b"/special/" + name, kind | 0o666, os.makedev(*dev))
    s = socket.socket(socket.AF_UNIX)
    here = os.getcwd()
    os.chdir(top + b"/special")
    s.bind(b"socket")
    os.chdir(here)
    put(top + b"/special/setuid", b"s")
    os.chown(top + b"/special/setuid", 70_000, 4_000_000_000)
    os.chmod(top + b"/special/setuid", 0o6755)
    os.mkdir(top + b"/special/sticky")
    os.chmod(top + b"/special/sticky", 0o3777)
    put(top + b"/special/none", b"nobody may read")
    os.chmod(top + b"/special/none", 0)
    put(top + b"/special/linked", b"three names")
    os.link(top + b"/special/linked", top + b"/special/linked2")
    os.link(top + b"/special/linked", top + b"/linked3")
    for n in (1, 59, 60, 61, 1000, 1022):
        os.symlink(b"t" * n, top + b"/special/link-%d" % n)
    # some attributes of inodes
    put(top + b"/special/immutable", b"i")
    with open(top + b"/special/immutable", "rb") as f:
        try:
            fcntl.ioctl(f, 0x40086602, (0x30).to_bytes(8, "little"))
        except OSError:
            pass


def times(top):
    os.mkdir(top + b"/times")
    for n, ns in enumerate((0, 1, 999_999_999, -1, -(1 << 31) * 10**9,
                            ((1 << 31) - 1) * 10**9 + 5,
                            (1 << 31) * 10**9, (1 << 32) * 10**9 + 7,
                            1_700_000_000_123_456_789)):
        path = top + b"/times/%d" % n
        put(path)
        os.utime(path, ns=(ns, ns))


def large_files(top):
    with open(top + b"/sparse-1TiB", "wb") as f:
        f.truncate(1 << 40)
        for at in (0, 5_000_000_000, (1 << 39) + 12_345, (1 << 40) - 7):
            f.seek(at)
            f.write(b"island")
    # two files written in turn, each block a piece of its own
    with open(top + b"/extents-4000", "wb") as f:
        for n in range(4000):
            f.seek(n * 3 * 4096)
            f.write(lab.noise(n, 4096))
    os.mkdir(top + b"/many")
    for n in range(50_000):
        os.close(os.open(top + b"/many/entry-%06d" % n,
                         os.O_CREAT | os.O_WRONLY))
    put(top + b"/many/last", b"with content")
    os.mkdir(top + b"/gone")
    for n in range(3000):
        put(top + b"/gone/%d" % n)
    for n in range(0, 3000, 2):
        os.unlink(top + b"/gone/%d" % n)


def main():
    small = sys.argv[1] == "--small"
    top = os.fsencode(sys.argv[-1])
    for fill in (names, deep, sizes, holes, special, times):
        fill(top)
    attributes(top, not small)
    if not small:
        large_files(top)


if __name__ == "__main__":
    main()
