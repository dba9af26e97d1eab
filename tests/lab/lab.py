# SPDX-License-Identifier: Apache-2.0
"""Changes an ext4 file system inside a disk image without mounting it.

Disk collects changes and applies them in one run of debugfs, so that an
ordinary user can do it. Contents come from a seed: the same calls make the
same files.
"""
import hashlib
import os
import re
import shutil
import struct
import subprocess
import tempfile

ROOT_OFFSET = 41 << 20          # where make_base.sh puts the root partition
NOW = 1_764_000_000             # when the instances ran

os.environ["PATH"] += ":/usr/sbin:/sbin"


def noise(seed, size):
    """Bytes that look random and are the same every time."""
    return hashlib.shake_128(str(seed).encode()).digest(size)


def word(seed, size=16):
    return hashlib.sha256(str(seed).encode()).hexdigest()[:size]


def quote(path):
    if '"' in path or "\n" in path:
        raise ValueError(f"debugfs cannot name {path!r}")
    return f'"{path}"'


class Disk:
    def __init__(self, path, offset=ROOT_OFFSET, now=NOW):
        self.path, self.offset = path, offset
        self.fs = f"{path}?offset={offset}"
        self.tmp = tempfile.mkdtemp(prefix="herd-lab.")
        self.lines = [f"set_current_time @{now}"]
        self.n = 0

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                self.apply()
        finally:
            shutil.rmtree(self.tmp)

    # ---- reading, at once ----

    def ask(self, request):
        self.apply()
        p = subprocess.run(["debugfs", "-R", request, self.fs], check=True,
                           stdin=subprocess.DEVNULL, capture_output=True)
        return p.stdout

    def read(self, path):
        self.apply()
        out = os.path.join(self.tmp, "dump")
        self.ask(f"dump {quote(path)} {out}")
        with open(out, "rb") as f:
            return f.read()

    def stat(self, path):
        text = self.ask(f"stat {quote(path)}").decode("utf-8", "replace")
        if "Inode:" not in text:
            raise FileNotFoundError(path)
        return {
            "ino": int(re.search(r"Inode: (\d+)", text)[1]),
            "mode": int(re.search(r"Mode:\s+0?(\d+)", text)[1], 8),
            "uid": int(re.search(r"User:\s+(\d+)", text)[1]),
            "gid": int(re.search(r"Group:\s+(\d+)", text)[1]),
            "size": int(re.search(r"Size: (\d+)", text)[1]),
            "links": int(re.search(r"Links: (\d+)", text)[1]),
            "mtime": int(re.search(r"mtime: 0x([0-9a-f]+)", text)[1], 16),
        }

    # ---- changing ----

    def apply(self):
        if len(self.lines) == 1:
            return
        script = os.path.join(self.tmp, "script")
        with open(script, "w", encoding="utf-8",
                  errors="surrogateescape") as f:
            f.write("\n".join(self.lines) + "\n")
        p = subprocess.run(["debugfs", "-w", "-f", script, self.fs],
                           stdin=subprocess.DEVNULL, capture_output=True)
        err = [e for e in p.stderr.decode("utf-8", "replace").splitlines()
               if e.strip() and not e.startswith("debugfs 1.")]
        if p.returncode or err:
            raise RuntimeError(f"{self.path}: debugfs: {err[:3]}")
        del self.lines[1:]

    def run(self, *lines):
        self.lines += lines

    def source(self, data):
        self.n += 1
        name = os.path.join(self.tmp, f"c{self.n}")
        with open(name, "wb") as f:
            f.write(data)
        return name

    def attributes(self, path, kind, mode, uid, gid, mtime):
        p = quote(path)
        self.run(f"sif {p} mode 0{kind | mode:o}", f"sif {p} uid {uid}",
                 f"sif {p} gid {gid}")
        if mtime is not None:
            self.run(f"sif {p} mtime @{mtime}", f"sif {p} ctime @{mtime}",
                     f"sif {p} atime @{mtime}")

    def into(self, path):
        folder, name = os.path.split(path)
        self.run(f"cd {quote(folder or '/')}")
        return quote(name)

    def write(self, path, data, mode=0o644, uid=0, gid=0, mtime=NOW):
        """A new file."""
        if isinstance(data, str):
            data = data.encode()
        self.run(f"write {self.source(data)} {self.into(path)}", "cd /")
        self.attributes(path, 0o100000, mode, uid, gid, mtime)

    def replace(self, path, data, **kw):
        """Another inode under a name that is there, its attributes kept."""
        s = self.stat(path)
        kw = {"mode": s["mode"], "uid": s["uid"], "gid": s["gid"], **kw}
        self.run(f"rm {quote(path)}")
        self.write(path, data, **kw)

    def append(self, path, data, **kw):
        self.replace(path, self.read(path) + data, **kw)

    def mkdir(self, path, mode=0o755, uid=0, gid=0, mtime=NOW):
        self.run(f"mkdir {quote(path)}")
        self.attributes(path, 0o040000, mode, uid, gid, mtime)

    def symlink(self, path, target, mtime=NOW):
        self.run(f"symlink {self.into(path)} {quote(target)}", "cd /")
        if mtime is not None:
            self.run(f"sif {quote(path)} mtime @{mtime}")

    def mknod(self, path, kind, major=0, minor=0, mode=0o644):
        name = self.into(path)
        self.run(f"mknod {name} {kind}" +
                 (f" {major} {minor}" if kind in "bc" else ""), "cd /")
        bits = {"p": 0o010000, "c": 0o020000, "b": 0o060000}[kind]
        self.attributes(path, bits, mode, 0, 0, NOW)

    def rm(self, path):
        self.run(f"rm {quote(path)}")

    def rmdir(self, path):
        """A folder and what is in it."""
        for name, is_dir in self.names(path):
            (self.rmdir if is_dir else self.rm)(f"{path}/{name}")
        self.run(f"rmdir {quote(path)}")

    def names(self, path):
        for line in self.ask(f"ls -p {quote(path)}").decode().splitlines():
            part = line.split("/")
            if len(part) > 5 and part[5] not in (".", "..", ""):
                yield part[5], part[2].startswith("04")

    def rename(self, old, new):
        self.run(f"ln {quote(old)} {quote(new)}", f"unlink {quote(old)}")

    def link(self, old, new):
        n = self.stat(old)["links"]
        self.run(f"ln {quote(old)} {quote(new)}",
                 f"sif {quote(old)} links_count {n + 1}")

    def sif(self, path, field, value):
        self.run(f"sif {quote(path)} {field} {value}")

    def ea_set(self, path, name, value):
        self.run(f"ea_set -f {self.source(value)} {quote(path)} {name}")

    def patch(self, path, at, data):
        """Other bytes in place: inode, size and times stay as they are."""
        size = self.stat(path)["size"]
        if at + len(data) > size:
            raise ValueError("beyond the end")
        with open(self.path, "r+b") as f:
            while data:
                block, skip = divmod(at, 4096)
                part = data[:4096 - skip]
                phys = int(self.ask(f"bmap {quote(path)} {block}").split()[0])
                if not phys:
                    raise ValueError("a hole")
                f.seek(self.offset + phys * 4096 + skip)
                f.write(part)
                at += len(part)
                data = data[len(part):]


def capability(bits, effective=True):
    """The value of security.capability: permitted bits, version 2."""
    return struct.pack("<IIIII", 0x02000000 | effective, bits & 0xffffffff, 0,
                       bits >> 32, 0)


def acl(*entries):
    """The value of system.posix_acl_access, as getxattr(2) has it."""
    return struct.pack("<I", 2) + b"".join(
        struct.pack("<HHI", tag, perm, who if tag in (2, 8) else 0xffffffff)
        for tag, perm, who in entries)


# ---- what differs between healthy siblings --------------------------------

def logs(i):
    """Lines of the same kind with other times, addresses and numbers."""
    host = f"ip-10-0-0-{10 + i}"
    for n in range(300 + 17 * i):
        t = 1_763_900_000 + n * 61 + i
        yield (f"{t} {host} sshd[{1000 + (n * 7 + i) % 9000}]: Connection "
               f"from 10.0.{(n * i) % 250}.{n % 250} port {20000 + n}\n")


def natural(disk, i):
    """What makes instance i another than its siblings, and harmless."""
    seed = f"instance {i}"
    host = f"ip-10-0-0-{10 + i}"
    mid = word(seed + " machine", 32)
    for path, text in (("/etc/hostname", host + "\n"),
                       ("/etc/machine-id", mid + "\n"),
                       ("/etc/hosts",
                        f"127.0.0.1 localhost\n10.0.0.{10 + i} {host}\n")):
        try:
            disk.replace(path, text)
        except FileNotFoundError:
            disk.write(path, text)
    for kind in ("rsa", "ecdsa", "ed25519"):
        key = noise(f"{seed} {kind}", 300).hex()
        disk.write(f"/etc/ssh/ssh_host_{kind}_key",
                   f"-----BEGIN OPENSSH PRIVATE KEY-----\n{key}\n"
                   "-----END OPENSSH PRIVATE KEY-----\n", mode=0o600)
        disk.write(f"/etc/ssh/ssh_host_{kind}_key.pub",
                   f"ssh-{kind} {key[:120]} root@{host}\n")
    disk.write("/var/lib/cloud/data/instance-id", f"i-{word(seed, 17)}\n")
    disk.write("/var/lib/systemd/random-seed", noise(seed + " seed", 512),
               mode=0o600)
    for n in range(40):
        name = word(f"{seed} cache {n}", 32)
        disk.write(f"/var/cache/nginx/{name}",
                   noise(name, 200 + (n * 397) % 9000),
                   mode=0o600, uid=33, gid=33)
    log = "".join(logs(i))
    disk.write("/var/log/auth.log", log, mode=0o640, gid=4)
    disk.write("/var/log/syslog", log[::-1], mode=0o640, gid=4)
    disk.write("/var/log/nginx/access.log",
               "".join(f'10.1.{i}.{n % 99} - - "GET /{word(n * i, 6)}" 200\n'
                       for n in range(900)), mode=0o640, uid=33, gid=4)
    disk.mkdir(f"/var/log/journal/{mid}", mode=0o2755)
    disk.write(f"/var/log/journal/{mid}/system.journal",
               b"LPKSHHRH" + noise(seed + " journal", 65536), mode=0o640)
    for name, size in (("wtmp", 384 * 5), ("btmp", 384 * 2), ("lastlog", 292)):
        disk.write(f"/var/log/{name}", noise(seed + name, size), mode=0o664)


def copy(source, target):
    subprocess.run(["cp", "--reflink=auto", "--sparse=always", source, target],
                   check=True)
