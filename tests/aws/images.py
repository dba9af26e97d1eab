# SPDX-License-Identifier: Apache-2.0
"""Disk images as EBS sees them: blocks of 512 KiB, of which only the written
ones exist. What was written is what the sparse file has allocated."""
import array
import errno
import fcntl
import hashlib
import os
import shutil
import struct
import threading

BLOCK = 524288
GIB = 1 << 30
FICLONE = 0x40049409
MAGIC = b"localaws digests 1"


def extents(fd, size):
    """(from, to) of the file's data, in bytes."""
    at = 0
    while at < size:
        try:
            at = os.lseek(fd, at, os.SEEK_DATA)
        except OSError as e:
            if e.errno == errno.ENXIO:
                return
            raise
        end = os.lseek(fd, at, os.SEEK_HOLE)
        yield at, min(end, size)
        at = end


def copy(source, target):
    """A sparse copy, shared where the file system can. The copy's name is
    there only when it is whole; its time of change is the source's, so that
    the digests that are kept are its too."""
    part = target + ".part"
    with open(source, "rb") as src, open(part, "wb") as dst:
        try:
            fcntl.ioctl(dst.fileno(), FICLONE, src.fileno())
        except OSError:
            size = os.fstat(src.fileno()).st_size
            os.ftruncate(dst.fileno(), size)
            for at, end in extents(src.fileno(), size):
                os.lseek(src.fileno(), at, os.SEEK_SET)
                os.lseek(dst.fileno(), at, os.SEEK_SET)
                while at < end:
                    n = os.copy_file_range(src.fileno(), dst.fileno(),
                                           end - at)
                    if n == 0:
                        break
                    at += n
        times = os.fstat(src.fileno())
    os.utime(part, ns=(times.st_atime_ns, times.st_mtime_ns))
    if os.path.exists(source + ".digests"):
        shutil.copyfile(source + ".digests", target + ".digests")
    os.rename(part, target)


class Image:
    """One file, not written to any more. Digests are kept beside it, in
    FILE.digests, as long as its size and time of change are the same."""

    def __init__(self, path):
        self.path = path
        self.fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        st = os.fstat(self.fd)
        self.size = st.st_size
        self.stamp = (st.st_size, st.st_mtime_ns)
        self.gib = max(1, (self.size + GIB - 1) // GIB)
        self.lock = threading.Lock()
        self.indexes = self._written()
        self._digests = None

    def _written(self):
        out = array.array("I")
        for at, end in extents(self.fd, self.size):
            first, last = at // BLOCK, (end - 1) // BLOCK
            if out and out[-1] >= first:
                first = out[-1] + 1
            out.extend(range(first, last + 1))
        return out

    def whole(self, index):
        """The block lies in the file from end to end (sendfile will do)."""
        return (index + 1) * BLOCK <= self.size

    def read(self, index):
        data = os.pread(self.fd, BLOCK, index * BLOCK)
        return data + bytes(BLOCK - len(data))

    def digests(self):
        """{index: SHA-256} of all written blocks."""
        with self.lock:
            if self._digests is None:
                self._digests = self._load() or self._hash()
            return self._digests

    def _head(self):
        return MAGIC + struct.pack("<QQI", *self.stamp, len(self.indexes))

    def _load(self):
        try:
            with open(self.path + ".digests", "rb") as f:
                data = f.read()
        except OSError:
            return None
        head = self._head()
        n = len(self.indexes)
        if data[:len(head)] != head or len(data) != len(head) + 36 * n:
            return None
        out = {}
        for at in range(len(head), len(data), 36):
            index, = struct.unpack_from("<I", data, at)
            out[index] = data[at + 4:at + 36]
        return out if list(out) == list(self.indexes) else None

    def _hash(self):
        out = {i: hashlib.sha256(self.read(i)).digest() for i in self.indexes}
        part = f"{self.path}.digests.{os.getpid()}.{threading.get_ident()}"
        try:
            with open(part, "wb") as f:
                f.write(self._head() + b"".join(
                    struct.pack("<I", i) + d for i, d in out.items()))
            os.rename(part, self.path + ".digests")
        except OSError:     # kept in memory then
            pass
        return out

    def close(self):
        os.close(self.fd)
