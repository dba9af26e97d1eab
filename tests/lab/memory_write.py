#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes a raw image of memory (offset = physical address) as a container.

    memory_write.py FORMAT RAW OUT [--range START-END]… [options]

FORMAT  lime, avml1, avml2, elf, kdump, kdump-zlib, kdump-lzo, kdump-snappy,
        kdump-zstd; with "-flat" behind elf and kdump… flattened
--range       what is memory, END exclusive [all of it]; in the order given
--exclude     kdump: memory that is left out
--split A-B   kdump: only frames A to B, as a part of a split dump
--vmcoreinfo  a file with the text of that note
--cpu FILE    a register file: lines of pid and 27 words; one a processor
--qemu CR3    with notes as QEMU's
--xnum        elf: count the program headers as if there were 65,535
--paging      elf: have each range twice, as QEMU's paging does
--version N   kdump: of the header [6]
--status N    kdump: added to the header's; elf: e_flags
--single      kdump: only one bitmap, and the old signature
--rewrite     flattened: the first 16 KiB are zeros at first, and written again
--slow        pack Snappy by the writer of this file, not by libsnappy

lime has a record for each range as it is; avml1 and avml2 cut them in blocks of
16 MiB and leave out those of zeros, as AVML does.
"""
import argparse
import ctypes
import functools
import re
import struct
import sys
import zlib

PAGE = 4096
BLOCK = 16 << 20


# ---- Snappy -------------------------------------------------------------------

def crc_tables():
    tables = [[0] * 256 for _ in range(8)]
    for i in range(256):
        v = i
        for _ in range(8):
            v = v >> 1 ^ (0x82f63b78 if v & 1 else 0)
        tables[0][i] = v
    for i in range(256):
        for t in range(1, 8):
            v = tables[t - 1][i]
            tables[t][i] = v >> 8 ^ tables[0][v & 0xff]
    return tables


TABLES = crc_tables()


@functools.lru_cache(maxsize=64)
def crc32c(data):
    t0, t1, t2, t3, t4, t5, t6, t7 = TABLES
    crc = 0xffffffff
    whole = len(data) & ~7
    for (v,) in struct.iter_unpack("<Q", data[:whole]):
        v ^= crc
        crc = (t7[v & 255] ^ t6[v >> 8 & 255] ^ t5[v >> 16 & 255] ^
               t4[v >> 24 & 255] ^ t3[v >> 32 & 255] ^ t2[v >> 40 & 255] ^
               t1[v >> 48 & 255] ^ t0[v >> 56])
    for b in data[whole:]:
        crc = crc >> 8 ^ t0[(crc ^ b) & 255]
    return crc ^ 0xffffffff


def masked(crc):
    return ((crc >> 15 | crc << 17 & 0xffffffff) + 0xa282ead8) & 0xffffffff


def varint(n):
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out)


def literal(data):
    out = bytearray()
    for at in range(0, len(data), 65536):
        part = data[at:at + 65536]
        n = len(part) - 1
        if n < 60:
            out.append(n << 2)
        elif n < 256:
            out += bytes((60 << 2, n))
        else:
            out += bytes((61 << 2, n & 255, n >> 8))
        out += part
    return out


def copy(offset, n):
    """Copies of both short kinds: 4 to 11 bytes near by, else up to 64."""
    out = bytearray()
    while n:
        if offset < 2048 and 4 <= n <= 11:
            out += bytes(((n - 4) << 2 | (offset >> 8) << 5 | 1, offset & 255))
            return out
        part = min(n, 64)
        if 0 < n - part < 4:
            part -= 4
        out += struct.pack("<BH", (part - 1) << 2 | 2, offset)
        n -= part
    return out


def snappy_slow(data):
    """Snappy's format by matches of four bytes, the last place of each."""
    out = bytearray(varint(len(data)))
    seen, at, start = {}, 0, 0
    while at + 4 <= len(data):
        key = data[at:at + 4]
        was = seen.get(key)
        seen[key] = at
        if was is None or at - was > 65535:
            at += 1
            continue
        n = 4
        while at + n < len(data) and data[was + n] == data[at + n]:
            n += 1
        out += literal(data[start:at]) + copy(at - was, n)
        at += n
        start = at
    return bytes(out + literal(data[start:]))


@functools.lru_cache(maxsize=None)
def library(name):
    try:
        return ctypes.CDLL(name)
    except OSError:
        return None


def snappy_pack(data, slow=False):
    lib = None if slow else library("libsnappy.so.1")
    if not lib:
        return snappy_slow(data)
    room = ctypes.c_size_t(32 + len(data) + len(data) // 6)
    out = ctypes.create_string_buffer(room.value)
    if lib.snappy_compress(data, ctypes.c_size_t(len(data)), out,
                           ctypes.byref(room)):
        sys.exit("snappy_compress failed")
    return out.raw[:room.value]


@functools.lru_cache(maxsize=64)
def snappy_chunk(data, slow):
    packed = snappy_pack(data, slow)
    kind = 0
    if len(packed) >= len(data) - len(data) // 8:
        kind, packed = 1, data
    return (struct.pack("<I", len(packed) + 4 << 8 | kind) +
            struct.pack("<I", masked(crc32c(data))) + packed)


def snappy_stream(data, slow):
    out = [b"\xff\x06\0\0sNaPpY"]
    for at in range(0, len(data), 65536):
        out.append(snappy_chunk(data[at:at + 65536], slow))
    return b"".join(out)


# ---- pages, packed each by itself -----------------------------------------------

def lzo_pack(data):
    lib = library("liblzo2.so.2")
    if not lib:
        sys.exit("liblzo2 is missing")
    room = ctypes.c_ulong(len(data) + len(data) // 16 + 67)
    out = ctypes.create_string_buffer(room.value)
    work = ctypes.create_string_buffer(8 * 16384 * 2)
    if lib.lzo1x_1_compress(data, ctypes.c_ulong(len(data)), out,
                            ctypes.byref(room), work):
        sys.exit("lzo1x_1_compress failed")
    return out.raw[:room.value]


def zstd_pack(data):
    lib = library("libzstd.so.1")
    if not lib:
        sys.exit("libzstd is missing")
    lib.ZSTD_compress.restype = ctypes.c_size_t
    out = ctypes.create_string_buffer(len(data) + 1024)
    n = lib.ZSTD_compress(out, ctypes.c_size_t(len(out)), data,
                          ctypes.c_size_t(len(data)), 1)
    if n > len(out):
        sys.exit("ZSTD_compress failed")
    return out.raw[:n]


PACKERS = {"": (0, None), "zlib": (1, lambda d: zlib.compress(d, 1)),
           "lzo": (2, lzo_pack), "snappy": (4, snappy_pack),
           "zstd": (0x20, zstd_pack)}


# ---- notes ----------------------------------------------------------------------

def note(name, kind, desc):
    name += b"\0"
    return (struct.pack("<III", len(name), len(desc), kind) +
            name + bytes(-len(name) % 4) + desc + bytes(-len(desc) % 4))


def notes(args):
    """All notes, and where in them VMCOREINFO's text lies (or None)."""
    out = b""
    for n, (pid, regs) in enumerate(args.cpus):
        desc = bytearray(336)
        struct.pack_into("<I", desc, 32, n + 1 if args.qemu else pid)
        struct.pack_into("<27Q", desc, 112, *regs)
        out += note(b"CORE", 1, bytes(desc))
    if args.qemu:
        for n in range(max(1, len(args.cpus))):
            desc = bytearray(440)
            struct.pack_into("<II", desc, 0, 1, 440)
            struct.pack_into("<Q", desc, 8 + 18 * 8 + 10 * 24 + 24,
                             args.qemu + n * PAGE)
            out += note(b"QEMU", 0, bytes(desc))
    at = None
    if args.vmcoreinfo is not None:
        text = open(args.vmcoreinfo, "rb").read()
        at = len(out) + 24
        out += note(b"VMCOREINFO", 0, text)
        at = (at, len(text))
    return out, at


# ---- containers -----------------------------------------------------------------

def read_range(raw, start, end):
    raw.seek(start)
    data = raw.read(end - start)
    return data + bytes(end - start - len(data))


def write_lime(args, raw, out):
    for start, end in args.range:
        out.write(struct.pack("<4sIQQQ", b"EMiL", 1, start, end - 1, 0))
        out.write(read_range(raw, start, end))


def write_avml(args, raw, out):
    for start, end in args.range:
        for at in range(start, end, BLOCK):
            last = min(at + BLOCK, end)
            data = read_range(raw, at, last)
            if not data.strip(b"\0"):
                continue
            packed = args.format == "avml2"
            out.write(struct.pack("<4sIQQQ", b"AVML" if packed else b"EMiL",
                                  2 if packed else 1, at, last - 1, 0))
            if packed:
                data = snappy_stream(data, args.slow)
                data += struct.pack("<Q", len(data))
            out.write(data)


def write_elf(args, raw, out):
    text, _ = notes(args)
    ranges = args.range * (2 if args.paging else 1)
    n = len(ranges) + bool(text)
    head = 64 + (64 if args.xnum else 0)
    data = head + 56 * n
    out.write(struct.pack("<4sBBBBQHHIQQQIHHHHHH", b"\x7fELF", 2, 1, 1, 0, 0,
                          4, 62, 1, 0, head, 64 if args.xnum else 0,
                          args.status, 64, 56, 0xffff if args.xnum else n,
                          64 if args.xnum else 0, 1 if args.xnum else 0, 0))
    if args.xnum:
        out.write(struct.pack("<IIQQQQIIQQ", 0, 0, 0, 0, 0, 0, 0, n, 0, 0))
    if text:
        out.write(struct.pack("<IIQQQQQQ", 4, 0, data, 0, 0, len(text),
                              len(text), 0))
    places, at = {}, data + len(text)
    for start, end in ranges:
        if (start, end) not in places:
            places[start, end] = at
            at += end - start
        out.write(struct.pack("<IIQQQQQQ", 1, 7, places[start, end],
                              0xffff888000000000 + start, start, end - start,
                              end - start, PAGE))
    out.write(text)
    for start, end in places:
        out.write(read_range(raw, start, end))


def frames_of(ranges):
    frames = set()
    for start, end in ranges:
        frames.update(range(start // PAGE, -(-end // PAGE)))
    return frames


def bitmap(frames, size):
    out = bytearray(size)
    for f in frames:
        out[f // 8] |= 1 << f % 8
    return bytes(out)


def kdump_head(args, flag, ram, sub_blocks, bitmap_blocks, top, dumped):
    head = bytearray(PAGE)
    head[0:8] = b"DISKDUMP" if args.single else b"KDUMP   "
    struct.pack_into("<I", head, 8, args.version)
    for i, text in enumerate((b"Linux", b"guest-of-aarch64", b"6.1.0", b"#1",
                              b"x86_64", b"")):
        head[12 + 65 * i:12 + 65 * i + len(text)] = text
    struct.pack_into("<IIIIIIIIII", head, 424, args.status | flag, PAGE,
                     sub_blocks, bitmap_blocks, min(top, 0xffffffff), len(ram),
                     0, dumped, 0, max(1, len(args.cpus)))
    return bytes(head)


def kdump_sub(args, text, info, top):
    sub = bytearray(104)
    split = args.split or (0, 0)
    struct.pack_into("<QIIQQ", sub, 0, 0, 31 if args.exclude else 0,
                     1 if args.split else 0, *split)
    if info:
        struct.pack_into("<QQ", sub, 32, PAGE + 104 + info[0], info[1])
    if text:
        struct.pack_into("<QQ", sub, 48, PAGE + 104, len(text))
    if args.version >= 6:
        struct.pack_into("<QQQ", sub, 80, *split, top)
    return bytes(sub) + text


def write_kdump(args, raw, out):
    flag, pack = PACKERS[args.packing]
    text, info = notes(args)
    ram = frames_of(args.range)
    top = max(ram) + 1
    dumped = ram - frames_of(args.exclude)
    sub = kdump_sub(args, text, info, top)
    sub += bytes(-len(sub) % PAGE)
    size = -(-(top + 7) // 8 // PAGE) * PAGE
    maps = b"" if args.single else bitmap(ram, size)
    maps += bitmap(dumped, size)
    mine = sorted(f for f in dumped if not args.split or
                  args.split[0] <= f < args.split[1])
    out.write(kdump_head(args, flag, ram, len(sub) // PAGE, len(maps) // PAGE,
                         top, len(mine)) + sub + maps)
    at = PAGE + len(sub) + len(maps) + 24 * len(mine)
    zeros, descs, pages = at, [], [bytes(PAGE)]
    at += PAGE
    for f in mine:
        page = read_range(raw, f * PAGE, f * PAGE + PAGE)
        if not page.strip(b"\0"):
            descs.append(struct.pack("<QIIQ", zeros, PAGE, 0, 0))
            continue
        packed = pack(page) if pack else page
        used = flag if len(packed) < PAGE else 0
        if not used:
            packed = page
        descs.append(struct.pack("<QIIQ", at, len(packed), used, 0))
        pages.append(packed)
        at += len(packed)
    out.write(b"".join(descs))
    for page in pages:
        out.write(page)


class Flat:
    """Cuts what is written into records, out of order."""

    def __init__(self, out, rewrite):
        self.out, self.at, self.late = out, 0, []
        self.rewrite, self.first = rewrite, None
        out.write(struct.pack(">16sqq", b"makedumpfile", 1, 1).ljust(PAGE, b"\0"))

    def record(self, at, data):
        self.out.write(struct.pack(">qq", at, len(data)) + data)

    def write(self, data):
        for i in range(0, len(data), 16384):
            part = data[i:i + 16384]
            if self.rewrite and self.first is None:
                self.first = part
                self.record(0, part[:64] + bytes(len(part) - 64))
            elif self.at // 16384 % 5 == 3:
                self.late.append((self.at, part))
            else:
                self.record(self.at, part)
            self.at += len(part)

    def close(self):
        for at, part in self.late:
            self.record(at, part)
        if self.rewrite:
            self.record(0, self.first)
        self.out.write(struct.pack(">qq", -1, -1))


# ---- the command ------------------------------------------------------------------

def span(text):
    m = re.fullmatch(r"(\w+)-(\w+)", text)
    if not m:
        raise argparse.ArgumentTypeError("START-END, please")
    return int(m[1], 0), int(m[2], 0)


def number(text):
    return int(text, 0)


def read_cpus(path):
    if not path:
        return []
    rows = [[int(w, 0) for w in line.split()] for line in open(path)]
    return [(r[0], r[1:28]) for r in rows if r]


def main():
    p = argparse.ArgumentParser(usage=__doc__)
    p.add_argument("format")
    p.add_argument("raw")
    p.add_argument("out")
    p.add_argument("--range", type=span, action="append")
    p.add_argument("--exclude", type=span, action="append", default=[])
    p.add_argument("--split", type=span)
    p.add_argument("--vmcoreinfo")
    p.add_argument("--cpu")
    p.add_argument("--qemu", type=number, default=0)
    p.add_argument("--xnum", action="store_true")
    p.add_argument("--paging", action="store_true")
    p.add_argument("--version", type=number, default=6)
    p.add_argument("--status", type=number, default=0)
    p.add_argument("--single", action="store_true")
    p.add_argument("--rewrite", action="store_true")
    p.add_argument("--slow", action="store_true")
    args = p.parse_args()
    args.cpus = read_cpus(args.cpu)
    name, flat = re.subn("-flat$", "", args.format)
    name, _, args.packing = name.partition("-")
    writers = {"lime": write_lime, "avml1": write_avml, "avml2": write_avml,
               "elf": write_elf, "kdump": write_kdump}
    if name not in writers or args.packing not in PACKERS:
        p.error("no such format: " + args.format)
    with open(args.raw, "rb") as raw, open(args.out, "wb") as out:
        if not args.range:
            args.range = [(0, raw.seek(0, 2))]
        to = Flat(out, args.rewrite) if flat else out
        writers[name](args, raw, to)
        if flat:
            to.close()


if __name__ == "__main__":
    main()
