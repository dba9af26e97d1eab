#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""selftest.py WORLDDIR [TEST…]: is the local AWS what it says it is? WORLDDIR
is what make_world.py --instances 3 --earlier --data made. A part that cannot
be run here (no models, no vectors, no AWS CLI) says that it is skipped."""
import base64
import email.utils
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
import unittest
from urllib.parse import quote

import images
import models
import sigv4
from client import KEY, Server, quote as enc

WORLD = {}


def load_world():
    with open(os.path.join(WORLD["dir"], "world.json"), encoding="utf-8") as f:
        return json.load(f)


def file_of(path):
    return images.Image(os.path.join(WORLD["dir"], path))


class Case(unittest.TestCase):
    """Each class has a server of its own, on a copy of the world's file."""
    options = ()

    @classmethod
    def world(cls, world):
        """What the class wants otherwise."""

    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.mkdtemp(prefix="state.", dir=WORLD["dir"])
        world = load_world()
        cls.world(world)
        # a world's paths are relative to its file
        path = os.path.join(WORLD["dir"], os.path.basename(cls.dir) + ".json")
        with open(path, "w", encoding="utf-8") as f:
            json.dump(world, f)
        cls.w = world
        cls.path = path
        cls.s = Server.start(path, "--state", cls.dir, *cls.options)

    @classmethod
    def tearDownClass(cls):
        cls.s.stop()
        shutil.rmtree(cls.dir)
        os.unlink(cls.path)

    def setUp(self):
        self.s.control(reset_stats=True, faults=[], rates={}, clock_offset=0,
                       auth_errors="service", pages={
                           "empty_every": 5, "short_every": 3, "limit": 0,
                           "ec2": 0},
                       block_token_seconds=7 * 86400, page_token_seconds=3600,
                       pending={"polls": 2, "seconds": 0}, describe_lag=0,
                       ebs_lag=0, lineage="chain", expire_keys=[])

    def snapshot(self, n=0):
        return self.w["snapshots"][n]["id"]

    def all_of(self, snapshot):
        return self.s.pages(f"/snapshots/{snapshot}/blocks")

    def refused(self, reply, status, code, reason=None):
        self.assertEqual((reply.status, reply.code), (status, code),
                         reply.body[:300])
        if reason:
            self.assertEqual(reply.reason, reason)

    def made(self, **params):
        """Snapshots of the first instance, completed."""
        i = self.w["instances"][0]["id"]
        r = self.s.ec2("CreateSnapshots", {
            "InstanceSpecification.InstanceId": i, **params})
        self.assertEqual(r.status, 200, r.body)
        ids = r.all("snapshotId")
        for _ in range(20):
            d = self.s.ec2("DescribeSnapshots",
                           {f"SnapshotId.{n}": s for n, s in
                            enumerate(ids, 1)})
            if set(d.all("status")) == {"completed"}:
                return ids
        self.fail(d.body)


# ---- signatures ---------------------------------------------------------------

def vectors():
    for name in (os.environ.get("HERD_AWS_VECTORS"),
                 os.path.join(os.path.dirname(os.path.abspath(__file__)),
                              "../../../shared/aws/sigv4-vectors")):
        if name and os.path.isdir(name):
            return name
    return None


def parse_vector(path):
    """(method, raw path, query pairs, headers, body) of a request's text."""
    with open(path, "rb") as f:
        head, _, body = f.read().partition(b"\n\n")
    lines = head.split(b"\n")
    method, _, target = lines[0].partition(b" ")
    target = target.rpartition(b" ")[0]
    headers = []
    for line in lines[1:]:
        if line[:1] in b" \t":
            n, v = headers[-1]
            headers[-1] = (n, v + " " + line.strip().decode())
        else:
            n, _, v = line.partition(b":")
            headers.append((n.decode(), v.strip().decode()))
    raw_path, _, query = target.partition(b"?")
    return method.decode(), raw_path, sigv4.parse_query(query), headers, body


class Secret:
    secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"


@unittest.skipUnless(vectors(), "the official vectors are not here")
class Vectors(unittest.TestCase):
    NOW = 1440938160

    def check(self, request, token_later=False):
        return sigv4.verify(*request, lambda key, token: Secret, "us-east-1",
                            "service", self.NOW, token_later=token_later)

    def test_official(self):
        n = 0
        for at, _, files in os.walk(vectors()):
            for name in files:
                if not name.endswith(".sreq"):
                    continue
                stem = os.path.join(at, name[:-5])
                later = "header-after" in name
                with self.subTest(name):
                    request = parse_vector(stem + ".sreq")
                    # one vector's .sreq has another signature than its
                    # .authz, which is the one that holds
                    with open(stem + ".authz", encoding="utf-8") as f:
                        authz = f.read().strip()
                    request[3][:] = [
                        (n, authz if n == "Authorization" else v)
                        for n, v in request[3]]
                    self.assertIs(self.check(request, later), Secret)
                    method, path, query, headers, body = request
                    names = sigv4.parse_authorization(
                        dict((k.lower(), v) for k, v in headers)
                        ["authorization"])[2]
                    canonical = sigv4.canonical_request(
                        method, path, query, headers, names,
                        hashlib.sha256(body).hexdigest())
                    with open(stem + ".creq", encoding="utf-8") as f:
                        self.assertEqual(canonical, f.read())
                    with open(stem + ".sts", encoding="utf-8") as f:
                        self.assertEqual(sigv4.string_to_sign(
                            "20150830T123600Z", "20150830/us-east-1/service/"
                            "aws4_request", canonical), f.read())
                    for wrong in (
                            (method + "X", path, query, headers, body),
                            (method, path + b"x", query, headers, body),
                            (method, path, query + [(b"a", b"b")], headers,
                             body),
                            (method, path, query, headers, body + b"x")):
                        with self.assertRaises(sigv4.Refused):
                            self.check(wrong, later)
                    n += 1
        self.assertGreaterEqual(n, 25)

    def test_token_left_out(self):
        """A token that is sent but not signed: only that vector may."""
        stem = os.path.join(vectors(), "post-sts-token/post-sts-header-after/"
                            "post-sts-header-after.sreq")
        with self.assertRaises(sigv4.Refused):
            self.check(parse_vector(stem))


class Signing(Case):
    """Each refusal, over the wire."""

    def test_accepted(self):
        r = self.s.send("GET", f"/snapshots/{self.snapshot()}/blocks",
                        "maxResults=100&startingBlockIndex=3")
        self.assertEqual(r.status, 200, r.body)

    def list(self, **how):
        how.setdefault("query", "maxResults=100")
        return self.s.send("GET", f"/snapshots/{self.snapshot()}/blocks",
                           **how)

    def mismatch(self, reply):
        self.refused(reply, 403, "InvalidSignatureException")

    def test_wrong(self):
        flip = {"0": "1"}

        def damage(headers):
            return [(n, v[:-1] + flip.get(v[-1], "0")
                     if n == "Authorization" else v) for n, v in headers]
        self.mismatch(self.list(change=damage))
        self.mismatch(self.list(key=(KEY[0], KEY[1] + "x")))
        self.mismatch(self.list(sign_query="maxResults=101"))
        self.mismatch(self.list(sign_path="/snapshots/snap-1/blocks"))
        self.mismatch(self.list(change=lambda h: h + [("X-Amz-New", "1")]))
        self.mismatch(self.list(headers=[("X-Amz-Meta", "1")],
                                leave_out=["x-amz-meta"]))
        self.mismatch(self.list(leave_out=["host"]))
        self.mismatch(self.list(change=lambda h: [
            (n, v.replace("host;", "x-gone;host;")) for n, v in h]))
        self.mismatch(self.list(change=lambda h: [
            (n, v.replace("host;x-amz-date", "x-amz-date;host"))
            for n, v in h]))
        self.mismatch(self.list(region="us-east-1"))
        self.mismatch(self.list(service="ec2"))
        self.mismatch(self.list(change=lambda h: h + [h[-1]]))

    def test_canonical_form(self):
        """What was signed has to be sorted, and escaped in the one way."""
        index, token = next(iter(self.s.blocks(self.snapshot()).items()))
        self.assertTrue(set(token) & set("+/=")
                        and token.endswith("="), token)
        path = f"/snapshots/{self.snapshot()}/blocks/{index}"
        for n, canonical in enumerate((
                "blockToken=" + token,                      # raw
                "blockToken=" + quote(token, safe="/"),     # as a path
                "blockToken=" + enc(token).replace("%3D", "%3d")
                .replace("%2B", "%2b").replace("%2F", "%2f"),
                "blockToken=" + enc(enc(token)))):          # twice
            with self.subTest(n):
                self.mismatch(self.by_hand(path, "blockToken=" + enc(token),
                                           path, canonical))
        query = "startingBlockIndex=3&maxResults=100"
        base = f"/snapshots/{self.snapshot()}/blocks"
        self.mismatch(self.by_hand(base, query, base, query))       # unsorted
        good = self.by_hand(base, query, base,
                            "maxResults=100&startingBlockIndex=3")
        self.assertEqual(good.status, 200)
        # a path with an escape is encoded once more, not taken as it is
        odd = base.replace("snap-", "snap%2D")
        self.mismatch(self.by_hand(odd, "", odd, ""))
        self.assertEqual(self.by_hand(odd, "", odd.replace("%", "%25"),
                                      "").status, 200)

    def by_hand(self, path, query, canonical_path, canonical_query):
        def change(headers):
            date = dict(headers)["X-Amz-Date"]
            scope = f"{date[:8]}/{self.s.region}/ebs/aws4_request"
            text = (f"GET\n{canonical_path}\n{canonical_query}\n"
                    f"host:{self.s.host}\nx-amz-date:{date}\n\n"
                    f"host;x-amz-date\n{sigv4.EMPTY}")
            made = sigv4.signature(KEY[1], scope, sigv4.string_to_sign(
                date, scope, text))
            return [(n, v if n != "Authorization" else
                     f"AWS4-HMAC-SHA256 Credential={KEY[0]}/{scope}, "
                     f"SignedHeaders=host;x-amz-date, Signature={made}")
                    for n, v in headers]
        return self.s.send("GET", path, query, change=change)

    def test_clock(self):
        now = time.time()
        for off, good in ((-290, True), (290, True), (-310, False),
                          (310, False)):
            r = self.list(now=now + off)
            if good:
                self.assertEqual(r.status, 200, r.body)
            else:
                self.mismatch(r)
                self.assertIn("Signature " + ("expired" if off < 0 else
                                              "not yet current"),
                              r.json["message"])
        r = self.s.ec2("DescribeInstances", now=now - 800)
        self.assertEqual(r.status, 200)
        self.refused(self.s.ec2("DescribeInstances", now=now - 1000), 400,
                     "RequestExpired")
        r = self.s.call("sts", "GetCallerIdentity", now=now - 1000)
        self.refused(r, 403, "SignatureDoesNotMatch")
        self.assertIn("Signature expired", r.find("Message"))
        self.s.control(clock_offset=-7200)
        r = self.list()
        self.mismatch(r)
        there = email.utils.parsedate_to_datetime(r.headers["date"])
        self.assertLess(abs(there.timestamp() - now + 7200), 30)
        self.assertEqual(self.list(now=there.timestamp()).status, 200)

    def test_common_style(self):
        self.s.control(auth_errors="common")
        self.refused(self.list(key=(KEY[0], "x")), 403,
                     "SignatureDoesNotMatch")
        self.refused(self.list(now=1), 403, "RequestTimeTooSkewed")
        self.refused(self.list(key=("AKIAUNKNOWN000000000", "x")), 403,
                     "UnrecognizedClientException")

    def test_keys(self):
        self.refused(self.list(key=("AKIAUNKNOWN000000000", "x")), 403,
                     "UnrecognizedClientException")
        self.refused(self.list(token="bm90IGEgdG9rZW4="), 403,
                     "UnrecognizedClientException")
        self.refused(self.s.ec2("DescribeInstances", key=("AKIAX000000", "x")),
                     401, "AuthFailure")
        self.refused(self.s.call("sts", "GetCallerIdentity",
                                 key=("AKIAX000000", "x")), 403,
                     "InvalidClientTokenId")
        self.s.control(expire_keys=[KEY[0]])
        self.refused(self.list(), 403, "ExpiredTokenException")
        self.refused(self.s.ec2("DescribeInstances"), 400, "RequestExpired")
        self.refused(self.s.call("sts", "GetCallerIdentity"), 403,
                     "ExpiredToken")

    def test_form(self):
        self.refused(self.list(change=lambda h: h[:-1]), 403,
                     "MissingAuthenticationTokenException")
        for bad in ("AWS4-HMAC-SHA256 nonsense", "Basic eDp5",
                    "AWS4-HMAC-SHA256 Credential=AKIA/x, SignedHeaders=host, "
                    "Signature=" + "0" * 64):
            self.refused(self.list(change=lambda h, b=bad: h[:-1] + [
                ("Authorization", b)]), 403, "IncompleteSignatureException")
        r = self.s.send("POST", "/snapshots/snap-1/blocks", body=b"x")
        self.refused(r, 404, "UnknownOperationException")


# ---- EBS direct -------------------------------------------------------------------

class Blocks(Case):
    def test_list(self):
        """Everything that was written, nothing else, in order, once."""
        image = file_of("base.raw")
        pages = self.s.pages(f"/snapshots/{self.snapshot()}/blocks",
                             "maxResults=100")
        got = [b["BlockIndex"] for p in pages for b in p["Blocks"]]
        self.assertEqual(got, list(image.indexes))
        self.assertGreater(len(pages), 1)
        self.assertEqual({p["VolumeSize"] for p in pages}, {image.gib})
        self.assertEqual({p["BlockSize"] for p in pages}, {524288})
        zero = bytes(images.BLOCK)
        for i in set(range(0, image.size // images.BLOCK, 7)) - set(got):
            self.assertEqual(image.read(i), zero)

    def test_odd_pages(self):
        """Over a few shapes of pages, empty and short ones come."""
        empty = short = last_empty = 0
        for n in range(len(self.w["snapshots"])):
            sid = self.snapshot(n)
            for start in range(0, 60, 6):
                pages = self.s.pages(f"/snapshots/{sid}/blocks", "maxResults="
                                     f"100&startingBlockIndex={start}")
                empty += sum(not p["Blocks"] for p in pages[:-1])
                short += sum(0 < len(p["Blocks"]) < 100 for p in pages[:-1])
                last_empty += not pages[-1]["Blocks"]
                self.assertTrue(all(b["BlockIndex"] >= start for p in pages
                                    for b in p["Blocks"]))
        self.assertTrue(empty and short, (empty, short))

    def test_content(self):
        sid = self.snapshot()
        image = file_of("base.raw")
        tokens = self.s.blocks(sid)
        for i in list(tokens)[::9]:
            r = self.s.block(sid, i, tokens[i])
            self.assertEqual(r.status, 200)
            self.assertEqual(r.body, image.read(i))
            self.assertEqual(r.headers["x-amz-data-length"], "524288")
            self.assertEqual(r.headers["x-amz-checksum-algorithm"], "SHA256")
            self.assertEqual(base64.b64decode(r.headers["x-amz-checksum"]),
                             hashlib.sha256(r.body).digest())

    def test_tokens(self):
        sid, other = self.snapshot(0), self.snapshot(1)
        tokens = self.s.blocks(sid)
        a, b = list(tokens)[:2]

        def bad(*of):
            self.refused(self.s.block(*of), 400, "ValidationException",
                         "INVALID_BLOCK_TOKEN")
        bad(sid, b, tokens[a])
        bad(other, a, tokens[a])
        bad(sid, a, tokens[a][:-4] + "AAA=")
        bad(sid, a, "x y")
        bad(sid, 2047 if 2047 not in tokens else 2046, tokens[a])
        bad(sid, a, "A" * 257)
        self.s.control(block_token_seconds=1)
        tokens = self.s.blocks(sid)
        self.assertEqual(self.s.block(sid, a, tokens[a]).status, 200)
        time.sleep(1.1)
        bad(sid, a, tokens[a])

    def test_page_tokens(self):
        sid = self.snapshot()
        path = f"/snapshots/{sid}/blocks"
        self.s.control(pages={"limit": 20})
        page = self.s.send("GET", path).json
        while not page["Blocks"]:
            page = self.s.send("GET", path, "pageToken="
                               + enc(page["NextToken"])).json
        token = page["NextToken"]
        # startingBlockIndex does not count then
        q = "pageToken=" + enc(token)
        r = self.s.send("GET", path, q + "&startingBlockIndex=5")
        self.assertEqual(r.status, 200, r.body)
        self.assertTrue(all(b["BlockIndex"] > page["Blocks"][-1]["BlockIndex"]
                            for b in r.json["Blocks"]))
        self.refused(self.s.send("GET", f"/snapshots/{self.snapshot(1)}/"
                                 "blocks", q), 400, "ValidationException",
                     "INVALID_PAGE_TOKEN")
        self.refused(self.s.send("GET", path, "pageToken=AAAA"), 400,
                     "ValidationException", "INVALID_PAGE_TOKEN")
        self.s.control(page_token_seconds=0.5)
        token = self.s.send("GET", path).json["NextToken"]
        time.sleep(0.6)
        self.refused(self.s.send("GET", path, "pageToken=" + enc(token)), 400,
                     "ValidationException", "INVALID_PAGE_TOKEN")

    def test_limits(self):
        path = f"/snapshots/{self.snapshot()}/blocks"
        for q in ("maxResults=99", "maxResults=10001", "maxResults=x",
                  "maxResults=", "startingBlockIndex=-1", "nonsense=1",
                  "maxResults=100&maxResults=100"):
            self.refused(self.s.send("GET", path, q), 400,
                         "ValidationException", "INVALID_PARAMETER_VALUE")
        for sid, status in (("snap-XYZ", 400), ("snap-0123", 404),
                            ("vol-1", 400), ("snap-" + "0" * 60, 400)):
            r = self.s.send("GET", f"/snapshots/{sid}/blocks")
            self.assertEqual(r.status, status, sid)
        r = self.s.send("GET", path + "/0")     # no token
        self.refused(r, 400, "ValidationException")
        r = self.s.send("GET", path + "/-1", "blockToken=AAAA")
        self.refused(r, 400, "ValidationException")

    def changed(self, a, b, query=""):
        return self.s.pages(f"/snapshots/{b}/changedblocks", "&".join(filter(
            None, [f"firstSnapshotId={a}", query])))

    def test_changed(self):
        made = self.made()[0]
        mine = self.w["instances"][0]
        earlier = next(s["id"] for s in self.w["snapshots"]
                       if s.get("volume") == mine["volumes"][0]["id"])
        a = file_of("base.raw").digests()
        b = file_of(mine["volumes"][0]["image"]).digests()
        pages = self.changed(earlier, made, "maxResults=100")
        got = {c["BlockIndex"]: c for p in pages for c in p["ChangedBlocks"]}
        self.assertEqual(sorted(got), [i for i in sorted(a.keys() | b.keys())
                                       if a.get(i) != b.get(i)])
        self.assertTrue(got)
        for i, c in got.items():
            self.assertEqual("FirstBlockToken" in c, i in a)
            self.assertEqual("SecondBlockToken" in c, i in b)
        i = next(i for i in got if i in b)
        r = self.s.block(made, i, got[i]["SecondBlockToken"])
        self.assertEqual(hashlib.sha256(r.body).digest(), b[i])
        i = next(i for i in got if i in a)
        r = self.s.block(earlier, i, got[i]["FirstBlockToken"])
        self.assertEqual(hashlib.sha256(r.body).digest(), a[i])

    def test_lineage(self):
        made = self.made()
        root, data = made
        ami, other = self.snapshot(0), self.snapshot(2)
        for lineage, first, good in (
                ("volume", ami, False), ("chain", ami, True),
                ("volume", self.snapshot(1), True), ("volume", other, False),
                ("chain", other, True), ("chain", data, False)):
            self.s.control(lineage=lineage)
            r = self.s.send("GET", f"/snapshots/{root}/changedblocks",
                            f"firstSnapshotId={first}")
            if good:
                self.assertEqual(r.status, 200, (lineage, first, r.body))
            else:
                self.refused(r, 400, "ValidationException",
                             "UNRELATED_SNAPSHOTS")
        self.refused(self.s.send("GET", f"/snapshots/{root}/changedblocks"),
                     400, "ValidationException", "INVALID_PARAMETER_VALUE")

    def test_touched(self):
        """A block that was written again, the same, may be listed too."""
        made = self.made()[0]
        some = list(self.s.blocks(made))[5]
        self.s.control(snapshot={"id": made, "touched": [some]})
        got = [c["BlockIndex"] for p in self.changed(made, made)
               for c in p["ChangedBlocks"]]
        self.assertEqual(got, [some])

    def test_states(self):
        sid = self.snapshot(1)
        token = self.s.blocks(sid)
        i = next(iter(token))
        for change, status, back in (
                ({"state": "pending"}, 400, {"state": "completed"}),
                ({"state": "error"}, 400, {"state": "completed"}),
                ({"tier": "archive"}, 400, {"tier": "standard"}),
                ({"owner": "999999999999"}, 404, {"owner": "123456789012"}),
                ({"owner": "999999999999", "public": True}, 400,
                 {"owner": "123456789012", "public": False})):
            self.s.control(snapshot={"id": sid, **change},
                           pending={"polls": 1000})
            for r in (self.s.send("GET", f"/snapshots/{sid}/blocks"),
                      self.s.block(sid, i, token[i])):
                self.assertEqual(r.status, status, (change, r.body))
            self.s.control(snapshot={"id": sid, **back})
            self.assertEqual(self.s.block(sid, i, token[i]).status, 200)

    def test_just_completed(self):
        self.s.control(ebs_lag=2)
        sid = self.made()[0]
        for n in range(2):
            self.refused(self.s.send("GET", f"/snapshots/{sid}/blocks"), 404,
                         "ResourceNotFoundException", "SNAPSHOT_NOT_FOUND")
        self.assertEqual(self.s.send("GET", f"/snapshots/{sid}/blocks").status,
                         200)

    def test_counters(self):
        sid = self.snapshot()
        tokens = self.s.blocks(sid)
        a, b = list(tokens)[:2]
        self.s.control(reset_stats=True)
        for i in (a, b, a):
            self.s.block(sid, i, tokens[i])
        self.s.block(sid, a, tokens[b])
        s = self.s.stats()
        self.assertEqual(s["blocks"], {"read": 3, "distinct": 2, "again": 1,
                                       "spoilt": 0, "bytes": 3 * 524288})
        self.assertEqual(s["snapshots"], {sid: {"read": 3, "distinct": 2}})
        self.assertEqual(s["actions"], {"GetSnapshotBlock": {
            "ok": 3, "refused": 1, "spoilt": 0, "bytes": 3 * 524288}})
        self.assertEqual(s["errors"], {"ValidationException": 1})
        r = self.s.plain(self.s.tell["control"], "GET",
                         f"/_reads?snapshot={sid}")
        self.assertEqual(r.json, {str(a): 2, str(b): 1})


def main():
    WORLD["dir"] = os.path.abspath(sys.argv[1])
    del sys.argv[1]
    import selftest_oracles
    import selftest_services
    loader = unittest.TestLoader()
    names = sys.argv[1:]
    modules = [sys.modules["__main__"], selftest_services, selftest_oracles]
    if names:
        suite = unittest.TestSuite(
            loader.loadTestsFromName(n, next(
                m for m in modules if hasattr(m, n.split(".")[0])))
            for n in names)
    else:
        suite = unittest.TestSuite(map(loader.loadTestsFromModule, modules))
    result = unittest.TextTestRunner(verbosity=1).run(suite)
    for case, why in result.skipped:
        print(f"skipped: {case}: {why}")
    print(f"models: {models.folder() or 'not here'}")
    return not result.wasSuccessful()


if __name__ == "__main__":
    # so that the other file's `from selftest import` is this module
    sys.modules["selftest"] = sys.modules["__main__"]
    sys.exit(main())
