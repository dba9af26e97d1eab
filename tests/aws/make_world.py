#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""make_world.py DIR: the disks of an Auto Scaling Group and the world file that
the local AWS serves them by.

One base disk (GPT, ext4, a populated tree) is the AMI. Each instance's disk is
a copy of it, sparse, with what healthy siblings differ in, further files
rewritten until the share of 512 KiB blocks asked for has changed, and in one
or two of them what an intruder leaves. Needs no root; nothing is mounted.

  --instances N     [10]
  --size-mib M      what the disk holds, [256]; the volume is rounded up to GiB
  --fill F          share of that which files take, [0.35]
  --change P        per cent of the written blocks changed, [2]
  --intrusions K    broken into: the last K instances, [1]
  --tree small|debian   made up (the default), or tests/lab/make_base.sh's
  --baseline in|out|public|unreadable|none
                    the AMI's snapshot: in the lineage of the volumes or not;
                    of somebody else and not to be read
  --earlier         a snapshot of each volume as it was launched
  --lifecycle N=STATE   instance N is in that state of the group (Standby,
                    Terminating:Wait, Warmed:Stopped …); may be repeated
  --data            a second volume each, without a partition table
  --policy FILE     an IAM policy for the key AKIALEASTPRIVILEGE
  --seed S
"""
import argparse
import concurrent.futures
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "../lab")]

import images                       # noqa: E402
import intrusion                    # noqa: E402
import lab                          # noqa: E402

MIB = 1 << 20
PART = 1 * MIB                      # where the root partition starts
UUID = "5e7f1d3c-8a4b-4c26-9f0e-2b6d7a91c0de"
REGION, ACCOUNT, OTHER = "eu-central-1", "123456789012", "137112412989"
KEY, SECRET = "AKIAHERDFSTEST000000", "local/only+secret/for/the/tests0123456789"
LEAST = "AKIALEASTPRIVILEGE00"
APP = "/var/lib/app"
PIECE = 512 * 1024


def run(*words, **more):
    subprocess.run(words, check=True, stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL, **more)


# ---- the base ----------------------------------------------------------------

def elf(seed, size):
    return b"\x7fELF\x02\x01\x01" + bytes(9) + lab.noise(seed, size - 16)


def small_tree(root, seed, size, pieces):
    """What lab.natural and intrusion.plant expect to find, and enough more to
    come to size bytes."""
    def put(path, data, mode=0o644):
        full = root + path
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "wb") as f:
            f.write(data if isinstance(data, bytes) else data.encode())
        os.chmod(full, mode)
        return len(data)

    for path in ("/etc/ssh", "/etc/cron.d", "/root/.ssh", "/var/www/html",
                 "/var/log/nginx", "/var/log/journal", "/var/cache/nginx",
                 "/var/lib/cloud/data", "/var/lib/systemd", "/tmp", "/run",
                 "/usr/lib/x86_64-linux-gnu", "/home", "/boot", "/srv", APP):
        os.makedirs(root + path, exist_ok=True)
    total = 0
    put("/etc/passwd", "root:x:0:0:root:/root:/bin/bash\n"
        "www-data:x:33:33::/var/www:/usr/sbin/nologin\n")
    put("/etc/shadow", "root:*:19700:0:99999:7:::\n", 0o640)
    put("/etc/group", "root:x:0:\nwww-data:x:33:\n")
    put("/etc/hostname", "localhost\n")
    put("/etc/machine-id", "uninitialized\n")
    put("/etc/hosts", "127.0.0.1 localhost\n")
    put("/etc/fstab", f"UUID={UUID} / ext4 errors=remount-ro 0 1\n")
    put("/etc/os-release", 'ID=debian\nVERSION_ID="12"\n')
    put("/etc/sudoers", "root ALL=(ALL:ALL) ALL\n", 0o440)
    put("/etc/ssh/sshd_config", "PermitRootLogin no\n")
    put("/var/www/html/index.html", "<!doctype html><h1>It works</h1>\n")
    put("/usr/lib/systemd/system/rsyslog.service",
        "[Service]\nExecStart=/usr/sbin/rsyslogd -n\n")
    for path, n in (("/usr/sbin/sshd", 1_265_432), ("/usr/bin/dash", 125_640),
                    ("/usr/bin/perl", 3_808_560), ("/usr/bin/bash", 1_265_648)):
        total += put(path, elf(f"{seed}{path}", n), 0o755)
    for n in range(pieces):
        total += put(f"{APP}/part-{n:04d}.db", lab.noise(f"{seed} app {n}",
                                                         PIECE))
    n = 0
    while total < size:
        # sizes as they come: many small, few large
        draw = int.from_bytes(lab.noise(f"{seed} size {n}", 4), "big")
        length = 200 + (1 << (6 + min(draw % 17, draw // 17 % 17))) \
            + draw % 4000
        folder = (f"/usr/lib/x86_64-linux-gnu/pkg{n % 40}",
                  f"/usr/share/pkg{n % 97}", f"/usr/bin/set{n % 7}")[n % 3]
        data = elf(f"{seed} file {n}", length) if n % 3 != 1 else \
            lab.noise(f"{seed} file {n}", (length + 1) // 2).hex().encode()
        total += put(f"{folder}/f{n:05d}", data, 0o755 if n % 3 != 1 else 0o644)
        n += 1
    stamp = lab.NOW - 64_000_000
    for at, folders, files in os.walk(root, topdown=False):
        for name in files + folders:
            os.utime(os.path.join(at, name), (stamp, stamp))
    os.utime(root, (stamp, stamp))


def as_root(words):
    """Under fakeroot where one is not root, so that files are root's."""
    if os.getuid() == 0:
        run(*words)
    else:
        run("fakeroot", "sh", "-c", 'chown -R 0:0 "$0" && exec "$@"',
            words[-3], *words)


def make_base(args, path, work):
    """Returns where the root file system starts."""
    if args.tree == "debian":
        made = subprocess.run([os.path.join(HERE, "../lab/make_base.sh"),
                               "small"], check=True, stdout=subprocess.PIPE,
                              text=True).stdout.strip()
        lab.copy(made, path)
        size = -(-max(os.path.getsize(path), args.size_mib * MIB)
                 // images.GIB) * images.GIB
        os.truncate(path, size)
        # the second GPT goes to where the volume ends
        run("sgdisk", "--move-second-header", path)
        return lab.ROOT_OFFSET
    size = args.size_mib * MIB
    disk = -(-size // images.GIB) * images.GIB
    with open(path, "wb") as f:
        f.truncate(disk)
    last = size // MIB - 1
    run("sgdisk", "--clear", "--disk-guid=6C8B1E3A-0D5F-4E8B-9B7A-1F2E3D4C5B6A",
        f"--new=1:2048:{last * 2048 - 1}", "--typecode=1:8300",
        "--partition-guid=1:6C8B1E3A-0D5F-4E8B-9B7A-1F2E3D4C5B02", path)
    root = os.path.join(work, "root")
    os.makedirs(root)
    fill = int(size * args.fill)
    pieces = int(fill // PIECE * args.change / 100) + 4
    small_tree(root, args.seed, fill, pieces)
    as_root(["mkfs.ext4", "-q", "-F", "-U", UUID, "-L", "cloudimg-root",
             "-m", "0", "-b", "4096", "-E", f"offset={PART},hash_seed={UUID},"
             "lazy_itable_init=1,lazy_journal_init=1,nodiscard",
             "-d", root, path, f"{(last - 1) * 1024}k"])
    shutil.rmtree(root)
    return PART


# ---- the siblings ---------------------------------------------------------------

def pieces_of(base, offset):
    """[(path, where its first block is in the disk)] of what may be
    rewritten."""
    fs = f"{base}?offset={offset}"
    names = subprocess.run(["debugfs", "-R", f"ls -p {APP}", fs], check=True,
                           capture_output=True, text=True).stdout
    paths = sorted(f"{APP}/{line.split('/')[5]}" for line in names.split("\n")
                   if "/part-" in line)
    if not paths:
        return []
    ask = "".join(f"bmap {p} 0\n" for p in paths)
    out = subprocess.run(["debugfs", "-f", "/dev/stdin", fs], input=ask,
                         check=True, capture_output=True, text=True).stdout
    blocks = [int(x) for x in out.split("\n") if x.strip().isdigit()]
    if len(blocks) != len(paths):
        raise RuntimeError(f"debugfs: {out}")
    return [(p, offset + b * 4096) for p, b in zip(paths, blocks)]


def changed(base, other):
    """Numbers of the blocks that differ, of those written, of all."""
    a, b = base.digests(), other.digests()
    differ = sum(a.get(i) != b.get(i) for i in a.keys() | b.keys())
    return differ, len(b), other.size // images.BLOCK


def sibling(job):
    base_path, offset, path, n, share, broken, pieces = job
    lab.copy(base_path, path)
    os.chmod(path, 0o600)
    with lab.Disk(path, offset=offset) as disk:
        lab.natural(disk, n)
        if broken:
            intrusion.plant(disk)
    base = images.Image(base_path)
    now = changed(base, images.Image(path))
    missing = int(now[1] * share / 100) - now[0]
    took = pieces[:max(0, missing)]
    if took:
        stamp = lab.NOW + 600 + n
        with open(path, "r+b") as f:
            for at, where in took:
                f.seek(where)
                f.write(lab.noise(f"{n} {at}", 4096))
        with lab.Disk(path, offset=offset) as disk:
            for at, _ in took:
                disk.sif(at, "mtime", f"@{stamp}")
                disk.sif(at, "ctime", f"@{stamp}")
        now = changed(base, images.Image(path))
    return path, now


def data_disk(path, n, work):
    root = os.path.join(work, f"data{n}")
    os.makedirs(root + "/db")
    with open(root + "/db/table", "wb") as f:
        f.write(lab.noise(f"table {n % 3}", 3_000_000))
    with open(path, "wb") as f:
        f.truncate(images.GIB)
    as_root(["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=1,nodiscard,"
             f"hash_seed={UUID}", "-d", root, path, "64m"])
    shutil.rmtree(root)


# ---- the world --------------------------------------------------------------------

def name(kind, seed, what):
    return f"{kind}-0" + hashlib.sha256(f"{seed}/{kind}/{what}".encode()) \
        .hexdigest()[:16]


def role(short, **more):
    return {"arn": f"arn:aws:iam::{ACCOUNT}:role/{short}", **more}


def make_json(args, offset):
    seed = args.seed
    ids = [name("i", seed, n) for n in range(1, args.instances + 1)]
    ami, snap = name("ami", seed, "base"), name("snap", seed, "base")
    template = {"id": name("lt", seed, "web"), "name": "web", "version": 3}
    readable = args.baseline in ("in", "out")
    owner = ACCOUNT if readable else OTHER
    public = args.baseline == "public"
    snapshots = [{"id": snap, "image": "base.raw", "owner": owner,
                  "public": public, "started": 1_763_000_000,
                  "description": "root of the AMI"}]
    instances = []
    for n, i in enumerate(ids, 1):
        vol = name("vol", seed, n)
        ip = f"10.0.0.{10 + n}"
        host = "ip-" + ip.replace(".", "-")
        volumes = [{"id": vol, "device": "/dev/xvda", "image": f"{i}.raw",
                    "snapshot": snap, "created": lab.NOW - 600,
                    "tags": {"Name": f"web-{n}"}}]
        if args.data:
            volumes.append({"id": name("vol", seed, f"data {n}"),
                            "device": "/dev/sdf", "image": f"{i}-data.raw",
                            "delete_on_termination": False})
        if args.earlier:
            snapshots.append({"id": name("snap", seed, f"earlier {n}"),
                              "image": "base.raw", "volume": vol,
                              "parent": snap, "started": lab.NOW - 500,
                              "description": "as launched"})
        instances.append({
            "id": i, "private_ip": ip, "public_ip": f"198.51.100.{10 + n}",
            "private_dns": f"{host}.{REGION}.compute.internal",
            "public_dns": f"ec2-198-51-100-{10 + n}.{REGION}.compute."
                          "example.invalid",
            "image_id": ami, "launch_template": template,
            "launched": lab.NOW - 600, "az": REGION + "ab"[n % 2],
            "vpc": "vpc-0a1b2c3d4e5f60718", "subnet": "subnet-0a1b2c3d4e5f6071",
            "security_groups": ["sg-0a1b2c3d4e5f60718"], "key_name": "ops",
            "enis": [{"id": name("eni", seed, n), "ip": ip,
                      "mac": f"02:00:0a:00:00:{10 + n:02x}",
                      "dns": f"{host}.{REGION}.compute.internal"}],
            "tags": {"aws:autoscaling:groupName": "web", "Name": "web"},
            "volumes": volumes})
    for one in args.lifecycle:
        n, state = one.split("=")
        instances[int(n) - 1]["lifecycle"] = state
    policy = {}
    if args.policy:
        with open(args.policy, encoding="utf-8") as f:
            policy = {"policy": json.load(f)}
    return {
        "region": REGION, "account": ACCOUNT, "seed": seed,
        "lineage": "chain" if args.baseline == "in" else "volume",
        "snapshot_copy": "link",
        "keys": [{"id": KEY, "secret": SECRET},
                 {"id": LEAST, "secret": SECRET + "/least", **policy}],
        "roles": [role("reader", trust=["arn:aws:iam::*"]),
                  role("strict", trust=["arn:aws:iam::*"],
                       external_id="case-7"),
                  role("pod", web_identity={"tokens": ["web.identity.token"],
                                            "expired": ["old.token.value"]})],
        "imds": {"role": "reader", "instance": ids[0]},
        "container": {"role": "reader", "path": "/v2/credentials/herd",
                      "token": "container-token"},
        "sso": {"tokens": ["sso-access-token"],
                "refresh": {"sso-refresh-token": "sso-access-token"}},
        "groups": [{"name": "web", "launch_template": template,
                    "instances": ids, "tags": {"Environment": "test"}}],
        "launch_templates": [{**{k: template[k] for k in ("id", "name")},
                              "versions": [{"version": 2, "image_id":
                                            "ami-00000000000000002"},
                                           {"version": 3, "image_id": ami}]}],
        "images": [] if args.baseline == "none" else [
            {"id": ami, "name": "web-base", "owner": owner, "public": public,
             "shared_with": [ACCOUNT], "alias": None if readable else "amazon",
             "devices": [{"device": "/dev/xvda", "snapshot": snap}]}],
        "snapshots": snapshots, "instances": instances,
        "herdfs": {"root_offset": offset, "broken_into":
                   ids[len(ids) - args.intrusions:]},
    }


def main():
    p = argparse.ArgumentParser()
    p.add_argument("dir")
    p.add_argument("--instances", type=int, default=10)
    p.add_argument("--size-mib", type=int, default=256)
    p.add_argument("--fill", type=float, default=0.35)
    p.add_argument("--change", type=float, default=2)
    p.add_argument("--intrusions", type=int, default=1)
    p.add_argument("--tree", choices=["small", "debian"], default="small")
    p.add_argument("--baseline", default="in",
                   choices=["in", "out", "public", "unreadable", "none"])
    p.add_argument("--earlier", action="store_true")
    p.add_argument("--data", action="store_true")
    p.add_argument("--lifecycle", action="append", default=[])
    p.add_argument("--policy")
    p.add_argument("--seed", default="herd")
    p.add_argument("--jobs", type=int, default=os.cpu_count())
    args = p.parse_args()
    if not 1 <= args.instances <= 200:
        p.error("1 to 200 instances")
    os.makedirs(args.dir, mode=0o700, exist_ok=True)
    work = os.path.join(args.dir, f"work.{os.getpid()}")
    os.makedirs(work)
    began = time.monotonic()
    try:
        base = os.path.join(args.dir, "base.raw")
        offset = make_base(args, base, work)
        images.Image(base).digests()
        world = make_json(args, offset)
        pieces = pieces_of(base, offset)
        jobs = []
        for n, i in enumerate(world["instances"], 1):
            jobs.append((base, offset, os.path.join(args.dir, i["id"] + ".raw"),
                         n, args.change, i["id"] in
                         world["herdfs"]["broken_into"], pieces))
            if args.data:
                data_disk(os.path.join(args.dir, i["id"] + "-data.raw"), n,
                          work)
        with concurrent.futures.ProcessPoolExecutor(args.jobs) as pool:
            for path, (differ, written, every) in pool.map(sibling, jobs):
                print(f"{os.path.basename(path)}: {differ} of {written} "
                      f"written blocks changed "
                      f"({100 * differ / written:.1f} %), {every} in all",
                      file=sys.stderr)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    path = os.path.join(args.dir, "world.json")
    with open(path, "w", encoding="utf-8") as f:
        json.dump(world, f, indent=1)
    print(f"made in {time.monotonic() - began:.0f} s", file=sys.stderr)
    print(path)


if __name__ == "__main__":
    main()
