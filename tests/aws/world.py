# SPDX-License-Identifier: Apache-2.0
"""The account that the local AWS pretends to be: a JSON file, what was made
since, and the switches. The keys of the file are in docs/AWS.md."""
import hashlib
import json
import os
import shutil
import threading
import time

import iam
import images

DEFAULTS = {
    # how pages come out: some empty, some short, whatever was asked for
    "pages": {"empty_every": 5, "short_every": 3, "limit": 0, "ec2": 0},
    "block_token_seconds": 7 * 86400,
    "page_token_seconds": 3600,
    "skew_seconds": {"ebs": 300, "default": 900},
    "clock_offset": 0,
    # "volume": one volume, or two copies of one snapshot; "chain": also
    # volumes that were made from one snapshot, and that snapshot
    "lineage": "volume",
    # "service": each service's own codes; "common": one set for all
    "auth_errors": "service",
    # a snapshot is completed when both have passed
    "pending": {"polls": 2, "seconds": 0},
    "describe_lag": 0,      # DescribeSnapshots that do not know it yet
    "ebs_lag": 0,           # EBS calls that get 404 once it is completed
    "snapshot_copy": "copy",    # "link": share the file until it is written
    "snapshot_fate": {},    # volume id: "error"
    "session_seconds": {},  # role, imds, container, sso: instead of the usual
    "rates": {},            # {"account"|"snapshot": {action or "*": a second}}
    "faults": [],
    "imds": {}, "container": {}, "sso": {},
}


class Snapshot:
    """What DescribeSnapshots says of one, and its image."""

    def __init__(self, entry, world):
        self.id = entry["id"]
        self.image_path = entry.get("image")
        self.volume = entry.get("volume", "vol-ffffffff")
        self.parent = entry.get("parent")
        self.copied_from = entry.get("copied_from")
        self.owner = entry.get("owner", world.account)
        self.public = entry.get("public", False)
        self.shared = entry.get("shared_with", [])
        self.tier = entry.get("tier", "standard")
        self.outpost = entry.get("outpost")
        self.tags = dict(entry.get("tags", {}))
        self.description = entry.get("description", "")
        self.started = world.when(entry.get("started")) or world.now()
        self.state = entry.get("state", "completed")
        self.touched = entry.get("touched", [])
        self.size = entry.get("size")
        self.made = entry.get("made", False)
        self.polls = self.unknown = 0
        self.refusals = entry.get("refusals", 0)
        self._image = None
        self._lock = threading.Lock()

    @property
    def image(self):
        with self._lock:
            if self._image is None:
                self._image = images.Image(self.image_path)
            return self._image

    @property
    def gib(self):
        return self.size or (self.image.gib if self.image_path else 8)

    def entry(self):
        return {"id": self.id, "image": self.image_path, "volume": self.volume,
                "parent": self.parent, "tags": self.tags, "size": self.size,
                "description": self.description, "started": self.started,
                "state": self.state, "made": True}


class World:
    def __init__(self, path, state_dir=None):
        self.base = os.path.dirname(os.path.abspath(path))
        with open(path, encoding="utf-8") as f:
            self.data = json.load(f)
        self.state = state_dir or os.path.join(self.base, "state")
        os.makedirs(self.state, mode=0o700, exist_ok=True)
        self.settings = {}
        for key, value in DEFAULTS.items():
            given = self.data.get(key)
            self.settings[key] = ({**value, **(given or {})}
                                  if isinstance(value, dict) else
                                  value if given is None else given)
        self.region = self.data.get("region", "eu-central-1")
        self.account = self.data.get("account", "123456789012")
        self.secret = hashlib.sha256(
            str(self.data.get("seed", 1)).encode()).digest()
        self.lock = threading.RLock()
        self.writing = threading.Lock()     # of volumes, and their snapshots
        self.instances = {i["id"]: i for i in self.data.get("instances", [])}
        self.groups = {g["name"]: g for g in self.data.get("groups", [])}
        self.images = {a["id"]: a for a in self.data.get("images", [])}
        self.volumes = {}
        for i in self.instances.values():
            for v in i.get("volumes", []):
                self.volumes[v["id"]] = {**v, "instance": i["id"],
                                         "az": i.get("az",
                                                     self.region + "a")}
        for v in self.data.get("volumes", []):
            self.volumes[v["id"]] = v
        for v in self.volumes.values():
            v["image"] = self.path(v["image"])
        self.snapshots = {}
        self.n_made = 0
        for s in self.data.get("snapshots", []):
            self._add({**s, "image": self.path(s["image"])
                       if s.get("image") else None})
        self._load_made()
        self.roles = {r["arn"]: r for r in self.data.get("roles", [])}
        self.keys = iam.Keys(self)

    # ---- small things ----

    def path(self, name):
        return os.path.join(self.base, name)

    def now(self):
        return time.time() + self.settings["clock_offset"]

    def when(self, value):
        """Unix seconds, or "+60": from now."""
        if isinstance(value, str):
            return time.time() + float(value)
        return value

    def role(self, arn):
        return self.roles.get(arn)

    def role_named(self, name):
        for r in self.roles.values():
            if name in (r["arn"], r["arn"].rsplit("/", 1)[-1]):
                return r
        return None

    # ---- snapshots ----

    def _add(self, entry):
        s = self.snapshots[entry["id"]] = Snapshot(entry, self)
        return s

    def _load_made(self):
        try:
            with open(os.path.join(self.state, "made.json"),
                      encoding="utf-8") as f:
                made = json.load(f)
        except FileNotFoundError:
            return
        self.n_made = made["n"]
        for e in made["snapshots"]:
            self._add(e)

    def save_made(self):
        path = os.path.join(self.state, "made.json")
        with open(path + ".part", "w", encoding="utf-8") as f:
            json.dump({"n": self.n_made,
                       "snapshots": [s.entry() for s in
                                     self.snapshots.values() if s.made]}, f)
        os.replace(path + ".part", path)

    def make_snapshots(self, volume_ids, description, tags_of):
        """All of them as they are at one moment."""
        out = []
        with self.writing:
            started = self.now()
            for vid in volume_ids:
                v = self.volumes[vid]
                with self.lock:
                    self.n_made += 1
                    n = self.n_made
                name = hashlib.sha256(self.secret + b"%d" % n).hexdigest()[:17]
                sid = "snap-" + name
                target = os.path.join(self.state, sid + ".raw")
                if self.settings["snapshot_copy"] == "link":
                    if os.path.exists(target):
                        os.unlink(target)
                    os.link(v["image"], target)
                    if os.path.exists(v["image"] + ".digests"):
                        shutil.copyfile(v["image"] + ".digests",
                                    target + ".digests")
                else:
                    images.copy(v["image"], target)
                with self.lock:
                    before = [s for s in self.snapshots.values()
                              if s.volume == vid and s.state == "completed"]
                    s = self._add({
                        "id": sid, "image": target, "volume": vid,
                        "parent": before[-1].id if before else
                        v.get("snapshot"),
                        "state": "pending", "tags": tags_of(v),
                        "description": description, "started": started,
                        "size": v.get("size"), "made": True,
                        "refusals": self.settings["ebs_lag"]})
                    s.unknown = self.settings["describe_lag"]
                    out.append(s)
            self.save_made()
        return out

    def delete_snapshot(self, sid):
        with self.lock:
            s = self.snapshots.pop(sid)
            self.save_made()
        if s.made:
            for name in (s.image_path, s.image_path + ".digests"):
                if os.path.exists(name):
                    os.unlink(name)

    def poll(self, s, looks=1):
        """One look at a snapshot by the client: it gets on."""
        if s.state != "pending":
            return
        with self.lock:
            s.polls += looks
            want = self.settings["pending"]
            if (s.polls + (not looks) > want["polls"]
                    and self.now() >= s.started + want["seconds"]):
                s.state = self.settings["snapshot_fate"].get(s.volume,
                                                             "completed")
                if s.made:
                    self.save_made()

    def progress(self, s):
        if s.state == "completed":
            return "100%"
        want = self.settings["pending"]
        share = []
        if want["polls"]:
            share.append(s.polls / (want["polls"] + 1))
        if want["seconds"]:
            share.append((self.now() - s.started) / want["seconds"])
        return f"{min(99, max(0, int(100 * min(share or [0]))))}%"

    def write_volume(self, vid, offset, data):
        """As the running instance would: never between two volumes of one
        CreateSnapshots, and never into a snapshot that shares the file."""
        with self.writing:
            path = self.volumes[vid]["image"]
            if os.stat(path).st_nlink > 1:
                images.copy(path, path + ".own")
                os.rename(path + ".own", path)
                if os.path.exists(path + ".own.digests"):
                    os.unlink(path + ".own.digests")
            with open(path, "r+b") as f:
                f.seek(offset)
                f.write(data)

    # ---- lineage ----

    def _origins(self, s):
        """What a snapshot goes back to: volumes and snapshots."""
        seen = set()
        todo = [s.id]
        while todo:
            name = todo.pop()
            if name in seen or not name:
                continue
            seen.add(name)
            snapshot = self.snapshots.get(name)
            if snapshot:
                todo += [snapshot.parent, snapshot.copied_from]
                if snapshot.volume != "vol-ffffffff":
                    todo.append(snapshot.volume)
            elif name in self.volumes:
                todo.append(self.volumes[name].get("snapshot"))
        return seen

    def related(self, a, b):
        if a.id == b.id:
            return True
        if a.volume == b.volume and a.volume != "vol-ffffffff":
            return True
        if a.copied_from and a.copied_from == b.copied_from:
            return True
        return (self.settings["lineage"] == "chain"
                and bool(self._origins(a) & self._origins(b)))
