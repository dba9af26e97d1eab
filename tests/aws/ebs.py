# SPDX-License-Identifier: Apache-2.0
"""EBS direct: ListSnapshotBlocks, ListChangedBlocks, GetSnapshotBlock."""
import base64
import binascii
import hmac
import re
import struct

from http1 import Answer, Block
from images import BLOCK
from protocol import AwsError, json_answer

SNAPSHOT = re.compile(r"snap-[0-9a-f]+\Z")
TOKEN = re.compile(r"[A-Za-z0-9+/=]{1,256}\Z")
NUMBER = re.compile(r"[0-9]{1,10}\Z")
ROUTE = re.compile(r"/snapshots/([^/]*)/(blocks|changedblocks)(?:/([^/]*))?\Z")
VERSION = b"\xfb\xff\xfb"      # in base64 "+//7"


def invalid(reason, message):
    return AwsError(400, "ValidationException", message, reason)


def route(method, path):
    """(action, snapshot, block index as text)"""
    m = ROUTE.match(path.decode("latin-1"))
    if method != "GET" or not m or (m[2] == "changedblocks" and m[3]):
        raise AwsError(404, "UnknownOperationException",
                       "The requested operation is not recognized.")
    if m[3] is not None:
        return "GetSnapshotBlock", m[1], m[3]
    return ("ListChangedBlocks" if m[2] == "changedblocks" else
            "ListSnapshotBlocks"), m[1], None


class Ebs:
    def __init__(self, world):
        self.world = world

    # ---- tokens ----

    def _mac(self, *parts):
        return hmac.digest(self.world.secret, b"\0".join(parts), "sha256")

    def block_token(self, sid, index, digest, expires):
        """60 characters with '+', '/' and '=' in them."""
        stamp = struct.pack(">Q", int(expires * 1000))
        mac = hmac.digest(self.world.secret,
                          b"%s\0%d\0%s\0%s" % (sid, index, digest, stamp),
                          "sha256")
        return base64.b64encode(VERSION + stamp + mac).decode()

    def check_block_token(self, token, sid, index, digest):
        bad = invalid("INVALID_BLOCK_TOKEN", "The block token is not valid.")
        try:
            raw = base64.b64decode(token, validate=True)
        except (binascii.Error, ValueError):
            raise bad from None
        if len(raw) != 43 or raw[:3] != VERSION:
            raise bad
        expires = struct.unpack(">Q", raw[3:11])[0] / 1000
        if not hmac.compare_digest(
                self.block_token(sid, index, digest, expires), token):
            raise bad
        if self.world.now() >= expires:
            raise invalid("INVALID_BLOCK_TOKEN", "The block token has "
                          "expired.")

    def page_token(self, what, at, page, expires):
        head = struct.pack(">IIQ", at, page, int(expires * 1000))
        return base64.b64encode(b"\xfb\xff" + head + self._mac(
            b"page", what.encode(), head)).decode()

    def page_start(self, what, token):
        bad = invalid("INVALID_PAGE_TOKEN", "The page token is not valid.")
        try:
            raw = base64.b64decode(token, validate=True)
        except (binascii.Error, ValueError):
            raise bad from None
        if len(raw) != 50:
            raise bad
        head = raw[2:18]
        if not hmac.compare_digest(raw[18:], self._mac(
                b"page", what.encode(), head)):
            raise bad
        at, page, expires = struct.unpack(">IIQ", head)
        if self.world.now() >= expires / 1000:
            raise invalid("INVALID_PAGE_TOKEN", "The page token has expired.")
        return at, page

    # ---- what a snapshot allows ----

    def snapshot(self, sid, reason="INVALID_SNAPSHOT_ID"):
        if len(sid) > 64 or not SNAPSHOT.match(sid):
            raise invalid(reason, f"The snapshot ID '{sid[:64]}' is invalid.")
        missing = AwsError(404, "ResourceNotFoundException", "The snapshot "
                           f"'{sid}' does not exist.", "SNAPSHOT_NOT_FOUND")
        s = self.world.snapshots.get(sid)
        if s is None:
            raise missing
        self.world.poll(s, 0)
        mine = (s.owner == self.world.account
                or self.world.account in s.shared)
        if s.public and not mine:
            raise invalid("INVALID_SNAPSHOT_ID", f"The snapshot '{sid}' is "
                          "public. Public snapshots are not supported.")
        if not mine:
            raise missing
        if s.outpost:
            raise invalid("INVALID_SNAPSHOT_ID", "Local snapshots on Outposts "
                          "are not supported.")
        if s.tier == "archive":
            raise invalid("INVALID_SNAPSHOT_ID", f"The snapshot '{sid}' is "
                          "archived.")
        if s.state != "completed":
            raise invalid("INVALID_SNAPSHOT_ID", f"The snapshot '{sid}' is in "
                          f"the state {s.state}, not completed.")
        if s.refusals > 0:
            with self.world.lock:
                s.refusals -= 1
            raise missing
        return s

    def allow(self, ctx, action, s_id):
        s = self.world.snapshots.get(s_id)
        ctx.allow("ebs:" + action,
                  f"arn:aws:ec2:{self.world.region}::snapshot/{s_id}",
                  s.tags if s else {})

    # ---- the calls ----

    def call(self, ctx, action, sid, index, query):
        known = {"GetSnapshotBlock": {"blockToken"},
                 "ListSnapshotBlocks": {"maxResults", "pageToken",
                                        "startingBlockIndex"},
                 "ListChangedBlocks": {"maxResults", "pageToken",
                                       "startingBlockIndex",
                                       "firstSnapshotId"}}[action]
        p = {}
        for name, value in query:
            name = name.decode("latin-1")
            if name not in known or name in p:
                raise invalid("INVALID_PARAMETER_VALUE",
                              f"The parameter {name[:64]} is not expected.")
            p[name] = value.decode("latin-1")
        # a path's escapes are decoded once
        sid = re.sub(r"%([0-9A-Fa-f]{2})", lambda m: chr(int(m[1], 16)), sid)
        self.allow(ctx, action, sid)
        if action == "GetSnapshotBlock":
            return self.get(sid, index, p)
        if action == "ListChangedBlocks" and "firstSnapshotId" in p:
            self.allow(ctx, action, p["firstSnapshotId"])
        return self.list(action, sid, p)

    def number(self, p, name, low, high, default):
        value = p.get(name)
        if value is None:
            return default
        if not NUMBER.match(value) or not low <= int(value) <= high:
            raise invalid("INVALID_PARAMETER_VALUE", f"{name} must be a "
                          f"number from {low} to {high}.")
        return int(value)

    def get(self, sid, index, p):
        if not NUMBER.match(index) or int(index) > 0x7fffffff:
            raise invalid("INVALID_PARAMETER_VALUE",
                          "The block index is not a number.")
        index = int(index)
        token = p.get("blockToken")
        if token is None:
            raise invalid("INVALID_PARAMETER_VALUE", "blockToken is missing.")
        if not TOKEN.match(token):
            raise invalid("INVALID_BLOCK_TOKEN",
                          "The block token is not valid.")
        s = self.snapshot(sid)
        image = s.image
        digest = image.digests().get(index)
        if digest is None:
            raise invalid("INVALID_BLOCK_TOKEN", f"Block {index} of '{sid}' "
                          "is not known by that token.")
        self.check_block_token(token, sid.encode(), index, digest)
        if image.whole(index):
            body = Block(image.fd, index * BLOCK, BLOCK)
        else:
            body = image.read(index)
        return Answer(200, [
            ("x-amz-Data-Length", str(BLOCK)),
            ("x-amz-Checksum", base64.b64encode(digest).decode()),
            ("x-amz-Checksum-Algorithm", "SHA256"),
            ("Content-Type", "application/octet-stream")], body)

    def entries(self, first, second):
        """Ascending [(index, digest in the first, in the second)]."""
        b = second.image.digests()
        if first is None:
            return [(i, None, d) for i, d in b.items()]
        a = first.image.digests()
        touched = set(second.touched)
        out = []
        for i in sorted(a.keys() | b.keys()):
            x, y = a.get(i), b.get(i)
            if x != y or i in touched:
                out.append((i, x, y))
        return out

    def list(self, action, sid, p):
        w = self.world
        limit = self.number(p, "maxResults", 100, 10000, 10000)
        at = self.number(p, "startingBlockIndex", 0, 0x7fffffff, 0)
        token = p.get("pageToken")
        if token is not None and not TOKEN.match(token):
            raise invalid("INVALID_PAGE_TOKEN", "The page token is not valid.")
        first = None
        if action == "ListChangedBlocks":
            if "firstSnapshotId" not in p:
                raise invalid("INVALID_PARAMETER_VALUE", "firstSnapshotId "
                              "must be specified with secondSnapshotId.")
            first = self.snapshot(p["firstSnapshotId"])
        s = self.snapshot(sid)
        what = f"{action}/{first.id if first else ''}/{sid}"
        if first and not w.related(first, s):
            raise invalid("UNRELATED_SNAPSHOTS", f"The snapshots '{first.id}' "
                          f"and '{sid}' are not related.")
        page = 0
        if token is not None:
            at, page = self.page_start(what, token)
        entries = [e for e in self.entries(first, s) if e[0] >= at]
        size = self.page_size(what, page, limit)
        left = len(entries) > size
        now = w.now()
        expires = now + w.settings["block_token_seconds"]
        name = sid.encode()
        if first:
            one = first.id.encode()
            blocks = [{"BlockIndex": i,
                       "FirstBlockToken": self.block_token(one, i, x, expires)
                       if x else None,
                       "SecondBlockToken": self.block_token(name, i, y,
                                                            expires)
                       if y else None} for i, x, y in entries[:size]]
        else:
            blocks = [{"BlockIndex": i,
                       "BlockToken": self.block_token(name, i, y, expires)}
                      for i, _, y in entries[:size]]
        return json_answer({
            "ChangedBlocks" if first else "Blocks": blocks,
            "ExpiryTime": expires, "VolumeSize": s.gib, "BlockSize": BLOCK,
            "NextToken": self.page_token(
                what, entries[size][0], page + 1,
                now + w.settings["page_token_seconds"]) if left else None})

    def page_size(self, what, page, limit):
        """Some pages are empty, some are short, always the same ones."""
        pages = self.world.settings["pages"]
        if pages["limit"]:
            limit = min(limit, pages["limit"])
        draw = self._mac(b"size", what.encode(), b"%d" % page)
        if pages["empty_every"] and draw[0] % pages["empty_every"] == 0:
            return 0
        if pages["short_every"] and draw[1] % pages["short_every"] == 0:
            return 1 + draw[2] * (limit - 1) // 256
        return limit
