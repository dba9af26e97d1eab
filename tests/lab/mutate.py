#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Changes small images at random and lets herdfs attach and mount them.

mutate.py --herdfs PROGRAM --work DIR [--count N] [--seed S] [--jobs J]
          [--kinds A,B] [--only N,N…] [--keep DIR] BASES

BASES is what small_images.sh made. Change number n of a seed is always the
same, so that --only makes a finding again. An image is to be read or to be
refused by one line that names it, soon; what was read is mounted and read
through. Anything else is a failure, and its image is kept.
"""
import argparse
import collections
import errno
import hashlib
import json
import os
import random
import re
import shutil
import signal
import stat
import struct
import subprocess
import sys
import threading
import time
import zlib

LIMIT = 10                      # seconds, for each image
BATCH = 48                      # images in one store
SECTOR = 512
ODD = [0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff,
       0x80000000, 0xfffffff8, 0xffffffff, 0xf30a, 1 << 40, (1 << 63) - 1,
       1 << 63, (1 << 64) - 1]
BAD = re.compile(rb"Sanitizer|runtime error:|crashed|stood still|the reader "
                 rb"ended|stack smashing|corrupted|double free|Assertion|"
                 rb"terminate called|the server (has )?(ended|died)")


# ---- changing -------------------------------------------------------------

class Base:
    """An image of one kind, and where its metadata is."""

    def __init__(self, folder):
        self.kind = os.path.basename(folder)
        self.folder = folder
        names = sorted(os.listdir(folder))
        self.image = next(n for n in names if n.startswith("image."))
        self.others = [n for n in names if n != self.image]
        with open(os.path.join(folder, self.image), "rb") as f:
            self.data = f.read()
        zero = bytes(SECTOR)
        used = [i for i in range(0, len(self.data), SECTOR)
                if self.data[i:i + SECTOR] != zero[:len(self.data) - i]]
        self.used = used
        self.meta = [i for i in used
                     if b"FILLER" not in self.data[i:i + SECTOR]] or used


def put(d, at, value):
    at = max(0, min(at, len(d) - len(value)))
    d[at:at + len(value)] = value


def change(d, base, rnd):
    """One small change where it hurts."""
    where = rnd.random()
    if where < 0.25:
        sector = rnd.choice(base.meta[:8])
    elif where < 0.9:
        sector = rnd.choice(base.meta)
    else:
        sector = rnd.choice(base.used)
    at = sector + rnd.randrange(SECTOR)
    if at >= len(d):
        return
    how = rnd.randrange(9)
    if how == 0:
        d[at] ^= 1 << rnd.randrange(8)
    elif how == 1:
        d[at] = rnd.randrange(256)
    elif how in (2, 3):
        width = rnd.choice((2, 4, 4, 8))
        value = rnd.choice(ODD) & ((1 << 8 * width) - 1)
        put(d, at & -width, value.to_bytes(width, rnd.choice(("little",
                                                              "big"))))
    elif how == 4:
        d[at] = (d[at] + rnd.choice((-1, 1))) & 255
    elif how == 5:
        source = rnd.choice(base.meta) + rnd.randrange(SECTOR)
        put(d, at, base.data[source:source + rnd.choice((4, 8, 16, 64))])
    elif how == 6:
        source = rnd.choice(base.meta)
        put(d, sector, base.data[source:source + SECTOR])
    elif how == 7:
        put(d, at, bytes(rnd.choice((4, 32, SECTOR))))
    else:                       # a number that is there, a little off
        width = rnd.choice((2, 4))
        at &= -width
        value = int.from_bytes(d[at:at + width], "little")
        value += rnd.choice((-1, 1, 8, 0x100, -0x100))
        put(d, at, (value & ((1 << 8 * width) - 1)).to_bytes(width, "little"))


def mend_gpt(d):
    """Checksums of a changed GPT made right, so that it is believed."""
    if d[512:520] != b"EFI PART" or len(d) < 34 * 512:
        return
    first, n, each = struct.unpack_from("<QII", d, 512 + 72)
    if first < 64 and n * each <= 16384 and first * 512 + n * each <= len(d):
        table = bytes(d[first * 512:first * 512 + n * each])
        struct.pack_into("<I", d, 512 + 88, zlib.crc32(table))
    size = struct.unpack_from("<I", d, 512 + 12)[0]
    if 92 <= size <= 512:
        struct.pack_into("<I", d, 512 + 16, 0)
        struct.pack_into("<I", d, 512 + 16,
                         zlib.crc32(bytes(d[512:512 + size])))


def mutate(base, bases, seed, n):
    rnd = random.Random(f"{seed} {n}")
    d = bytearray(base.data)
    many = rnd.random()
    for _ in range(rnd.randint(1, 8) if many < 0.8 else rnd.randint(20, 200)):
        change(d, base, rnd)
    if rnd.random() < 0.5:
        mend_gpt(d)
    end = rnd.random()
    if end < 0.08:              # cut off, anywhere
        del d[rnd.randrange(len(d)):]
    elif end < 0.12:            # cut off within the metadata
        del d[rnd.choice(base.meta) + rnd.randrange(SECTOR):]
    elif end < 0.17:            # another one's from here on
        at = rnd.randrange(len(d)) & -SECTOR
        d[at:] = rnd.choice(bases).data[at:]
    elif end < 0.20:            # a piece taken out: all behind it moves
        at = rnd.choice(base.meta)
        del d[at:at + rnd.choice((1, 512, 4096, 65536))]
    return d


def write_sparse(path, d):
    with open(path, "wb") as f:
        for at in range(0, len(d), 65536):
            part = d[at:at + 65536]
            if part.count(0) != len(part):
                f.seek(at)
                f.write(part)
        f.truncate(len(d))


# ---- reading a mounted one through ---------------------------------------

def read_through(top):
    """Everything below top once, as find -ls, cat and getfattr would."""
    count = collections.Counter()
    wrong = []
    disk = os.path.join(top, b"all", b"disk")

    def allowed(e, what, path):
        if e.errno not in (errno.EIO, errno.ENAMETOOLONG):
            wrong.append(f"{what} {path!r}: {e.strerror}")
        count["unreadable"] += 1

    def attributes(path):
        for name in os.listxattr(path, follow_symlinks=False):
            os.getxattr(path, name, follow_symlinks=False)
            count["attributes"] += 1

    def content(path, size):
        with open(path, "rb", buffering=0) as f:
            left = 4 << 20
            while left > 0 and (part := f.read(1 << 17)):
                left -= len(part)
                count["bytes"] += len(part)
            if left <= 0:
                f.seek(max(0, size - 65536))
                f.read(1 << 17)
                f.seek(size // 2)
                f.read(1 << 17)

    def entry(path, s):
        count["entries"] += 1
        try:
            attributes(path)
            if stat.S_ISLNK(s.st_mode):
                os.readlink(path)
                real = os.path.realpath(path)
                if path.startswith(disk) and not real.startswith(disk):
                    wrong.append(f"link {path!r} leads to {real!r}")
            elif stat.S_ISREG(s.st_mode):
                content(path, s.st_size)
            elif not stat.S_ISDIR(s.st_mode):
                wrong.append(f"{path!r} has mode {s.st_mode:o}")
        except OSError as e:
            allowed(e, "reading", path)

    stack = [top]
    while stack:
        folder = stack.pop()
        try:
            names = os.listdir(folder)
        except OSError as e:
            allowed(e, "listing", folder)
            continue
        for name in names:
            path = os.path.join(folder, name)
            try:
                s = os.lstat(path)
            except OSError as e:
                allowed(e, "stat of", path)
                continue
            entry(path, s)
            if stat.S_ISDIR(s.st_mode):
                stack.append(path)
    print(json.dumps({"count": count, "wrong": wrong[:5]}))


# ---- attaching and mounting -------------------------------------------------

class Shard(threading.Thread):
    """Works off batches, each in a store of its own."""

    def __init__(self, args, bases, plan, tally):
        super().__init__()
        self.args, self.bases, self.plan = args, bases, plan
        self.tally = tally

    def run(self):
        while True:
            with self.tally.lock:
                if not self.plan:
                    return
                batch = self.plan.pop(0)
            try:
                self.batch(batch)
            except Exception as e:      # pylint: disable=broad-except
                self.tally.failed(f"batch of {batch[0]}: {e!r}")

    def batch(self, numbers):
        self.dir = os.path.join(self.args.work, f"b{numbers[0]}")
        self.store = os.path.join(self.dir, "store")
        os.mkdir(self.dir)
        there, groups = [], set()
        for n in numbers:
            base = self.bases[n % len(self.bases)]
            group = base.kind if (n // len(self.bases)) % 2 == 0 else "mixed"
            if group != "mixed" and group not in groups:
                self.attach(group, "clean", os.path.join(base.folder,
                                                         base.image), base)
            groups.add(group)
            folder = os.path.join(self.dir, f"n{n}")
            os.mkdir(folder)
            for other in base.others:
                os.link(os.path.join(base.folder, other),
                        os.path.join(folder, other))
            path = os.path.join(folder, base.image)
            write_sparse(path, mutate(base, self.bases, self.args.seed, n))
            if self.attach(group, f"n{n}", path, base):
                there.append((group, n))
        self.look(sorted(groups), there, numbers)
        shutil.rmtree(self.dir)

    def keep(self, n):
        if not self.args.keep:
            return
        to = os.path.join(self.args.keep, f"{self.args.seed}-{n}")
        shutil.rmtree(to, ignore_errors=True)
        os.makedirs(self.args.keep, exist_ok=True)
        subprocess.run(["cp", "-r", "--sparse=always",
                        os.path.join(self.dir, f"n{n}"), to], check=False)

    def command(self, *words):
        """Status (None: took too long), output, errors, seconds."""
        begin = time.monotonic()
        p = subprocess.Popen([self.args.herdfs, *words],
                             env={**os.environ, "HERDFS_STORE": self.store},
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, start_new_session=True)
        try:
            out, err = p.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            os.killpg(p.pid, signal.SIGKILL)
            out, err = p.communicate()
            return None, out, err, time.monotonic() - begin
        return p.returncode, out, err, time.monotonic() - begin

    def attach(self, group, name, image, base):
        words = ("attach", "--asg", group, "--instance", name, image)
        status, out, err, took = self.command(*words)
        if status is None:      # the machine may have been busy
            status, out, err, took = self.command(*words)
        lines = err.splitlines()
        problem = None
        if status is None:
            problem = f"no end within {LIMIT} s"
        elif BAD.search(err) or status not in (0, 1):
            problem = f"status {status}: " + err.decode(errors="replace")[:3000]
        elif status == 1 and (len(lines) != 1 or not (
                image.encode() in lines[0] or
                f"{group}/{name}".encode() in lines[0])):
            problem = f"refused with {len(lines)} lines: {err[:600]!r}"
        elif status == 0 and any(not l.startswith(b"herdfs: ") for l in lines):
            problem = f"unexpected: {err[:600]!r}"
        elif status and name == "clean":
            problem = f"the unchanged image is refused: {err[:600]!r}"
        result = "failed" if problem else "refused" if status else "read"
        if status == 0 and not re.search(rb"[;,] 0 problems", out):
            result = "in part"
        if name != "clean":
            self.tally.add(base.kind, name, result, took,
                           lines[0] if status == 1 and lines else None)
        if problem:
            self.tally.failed(f"{base.kind} {name}: {problem}")
            if name != "clean":
                self.keep(int(name[1:]))
        return status == 0 and not problem

    def look(self, groups, there, numbers):
        """The commands that report, and the mount, over a whole batch."""
        if not there:
            return
        for words in [("status", "--problems", "--json")] + \
                [("list", "--asg", g, "--json")
                 for g in groups if any(g == t[0] for t in there)]:
            status, _, err, _ = self.command(*words)
            if status or err:
                self.tally.failed(f"{' '.join(words)} in the batch of "
                                  f"{numbers[0]}: status {status} {err[:2000]!r}")
        mnt = os.path.join(self.dir, "mnt")
        errors = os.path.join(self.dir, "errors")
        os.mkdir(mnt)
        with open(errors, "wb") as f:
            server = subprocess.Popen(
                [self.args.herdfs, "mount", "-f", "--store", self.store, mnt],
                stdin=subprocess.DEVNULL, stdout=f, stderr=f)
        begin = time.monotonic()
        while not os.path.ismount(mnt) and server.poll() is None and \
                time.monotonic() < begin + LIMIT:
            time.sleep(0.02)
        if not os.path.ismount(mnt):
            self.tally.failed(f"no mount of the batch of {numbers[0]}: " +
                              open(errors, errors="replace").read()[:3000])
            server.kill()
            return
        for group, n in there:
            self.walk(os.path.join(mnt, "asg", group, f"n{n}"), n)
        for _ in range(50):
            if subprocess.run(["fusermount3", "-u", mnt], check=False,
                              stderr=subprocess.DEVNULL).returncode == 0:
                break
            time.sleep(0.1)
        try:
            status = server.wait(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            server.kill()
            subprocess.run(["fusermount3", "-uz", mnt], check=False)
            status = "none"
        with open(errors, "rb") as f:
            text = f.read()
        if status != 0 or BAD.search(text):
            self.tally.failed(f"the mount of the batch of {numbers[0]} ended "
                              f"with {status}: {text[:4000].decode()}")

    def walk(self, folder, n):
        begin = time.monotonic()
        for attempt in (1, 2):
            try:
                p = subprocess.run([sys.executable, __file__, "--walk", folder],
                                   timeout=LIMIT, capture_output=True,
                                   check=False)
                break
            except subprocess.TimeoutExpired:
                if attempt == 2:
                    self.tally.failed(f"n{n}: reading it through the mount "
                                      f"takes over {LIMIT} s")
                    self.keep(n)
                    return
        if p.returncode:
            self.tally.failed(f"n{n}: {p.stderr[-1500:].decode()}")
            return
        answer = json.loads(p.stdout)
        if answer["wrong"]:
            self.tally.failed(f"n{n}: {answer['wrong']}")
            self.keep(n)
        self.tally.walked(answer["count"], time.monotonic() - begin)


class Tally:
    def __init__(self):
        self.lock = threading.Lock()
        self.kinds = collections.defaultdict(collections.Counter)
        self.failures = []
        self.reasons = collections.Counter()
        self.slowest = 0, ""
        self.slowest_walk = 0
        self.offsets = 0
        self.read = collections.Counter()

    def add(self, kind, name, result, took, line):
        with self.lock:
            self.kinds[kind][result] += 1
            self.slowest = max(self.slowest, (took, f"{kind} {name}"))
            if line is not None:
                text = re.sub(r"^herdfs: \S+ \S*/image\.\w+:? ?", "",
                              line.decode(errors="replace"))
                self.offsets += bool(re.search(r"offset \d", text))
                self.reasons[re.sub(r"\d+", "N", text)] += 1

    def failed(self, text):
        with self.lock:
            self.failures.append(text)
            print("FAIL:", text, flush=True)

    def walked(self, count, took):
        with self.lock:
            self.read.update(count)
            self.read["instances"] += 1
            self.slowest_walk = max(self.slowest_walk, took)

    def show(self, verbose):
        head = ("read", "in part", "refused", "failed")
        print(f"{'kind':18}" + "".join(f"{h:>9}" for h in head))
        total = collections.Counter()
        for kind in sorted(self.kinds):
            c = self.kinds[kind]
            total.update(c)
            print(f"{kind:18}" + "".join(f"{c[h]:9}" for h in head))
        print(f"{'all ' + str(sum(total.values())):18}" +
              "".join(f"{total[h]:9}" for h in head))
        print(f"refusals that name a byte: {self.offsets}; slowest attach "
              f"{self.slowest[0]:.1f} s ({self.slowest[1]}), slowest walk "
              f"{self.slowest_walk:.1f} s")
        print("through the mount:", ", ".join(
            f"{v:,} {k}" for k, v in sorted(self.read.items())))
        if verbose:
            for text, k in self.reasons.most_common(60):
                print(f"{k:6} {text[:200]}")


def main():
    p = argparse.ArgumentParser()
    p.add_argument("bases")
    p.add_argument("--herdfs", default="build/plain/herdfs")
    p.add_argument("--work", required=True)
    p.add_argument("--count", type=int, default=120)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--jobs", type=int, default=os.cpu_count())
    p.add_argument("--kinds")
    p.add_argument("--only")
    p.add_argument("--keep")
    p.add_argument("--verbose", action="store_true")
    args = p.parse_args()
    names = sorted(n for n in os.listdir(args.bases) if n[0] != ".")
    bases = [Base(os.path.join(args.bases, n)) for n in names]
    mine = [n for n in range(args.count) if not args.kinds or
            bases[n % len(bases)].kind in args.kinds.split(",")]
    if args.only:
        mine = [int(n) for n in args.only.split(",")]
    # of one kind together, so that an unchanged one serves many
    mine.sort(key=lambda n: (n % len(bases), n))
    print(f"{len(mine)} changes of {len(bases)} kinds, seed {args.seed}, "
          f"bases {fingerprint(bases)}", flush=True)
    tally = Tally()
    plan = [mine[i:i + BATCH] for i in range(0, len(mine), BATCH)]
    shards = [Shard(args, bases, plan, tally) for _ in range(args.jobs)]
    for s in shards:
        s.start()
    for s in shards:
        s.join()
    tally.show(args.verbose)
    print(f"{len(tally.failures)} failures")
    return 1 if tally.failures else 0


def fingerprint(bases):
    h = hashlib.sha256()
    for b in bases:
        h.update(b.data)
    return h.hexdigest()[:12]


if __name__ == "__main__":
    if sys.argv[1:2] == ["--walk"]:
        read_through(os.fsencode(sys.argv[2]))
    else:
        sys.exit(main())
