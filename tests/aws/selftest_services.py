# SPDX-License-Identifier: Apache-2.0
"""The rest of selftest.py: EC2, Auto Scaling, policies, credentials, faults."""
import http.client
import os
import re
import shutil
import socket
import threading
import time

import images
import selftest
from client import KEY, Server, quote

LEAST = ("AKIALEASTPRIVILEGE00", KEY[1] + "/least")


class Ec2(selftest.Case):
    def ids(self):
        return [i["id"] for i in self.w["instances"]]

    def test_instances(self):
        r = self.s.ec2("DescribeInstances", {"InstanceId.1": self.ids()[1]})
        self.assertEqual(r.all("instanceId"), [self.ids()[1]])
        self.assertEqual(r.all("deviceName"), ["/dev/xvda", "/dev/sdf"])
        self.assertEqual(r.all("deleteOnTermination")[:2], ["true", "false"])
        self.assertIn("02:00:0a:00:00:0c", r.all("macAddress"))
        self.refused(self.s.ec2("DescribeInstances",
                                {"InstanceId.1": "i-0123456789abcdef0"}), 400,
                     "InvalidInstanceID.NotFound")
        self.refused(self.s.ec2("DescribeInstances", {"InstanceId.1": "x"}),
                     400, "InvalidInstanceID.Malformed")
        r = self.s.ec2("DescribeInstances", {
            "Filter.1.Name": "tag:aws:autoscaling:groupName",
            "Filter.1.Value.1": "web", "Filter.2.Name": "instance-state-name",
            "Filter.2.Value.1": "running", "Filter.2.Value.2": "stopped"})
        self.assertEqual(len(r.all("reservationId")), 3)
        self.refused(self.s.ec2("DescribeInstances", {
            "Filter.1.Name": "no-such", "Filter.1.Value.1": "x"}), 400,
            "InvalidParameterValue")
        self.refused(self.s.ec2("DescribeInstances", {"Nonsense": "1"}), 400,
                     "UnknownParameter")
        self.refused(self.s.ec2("DescribeNonsense"), 400, "InvalidAction")

    def test_pages(self):
        self.s.control(pages={"ec2": 2})
        got, token = [], {}
        for _ in range(5):
            r = self.s.ec2("DescribeInstances", token)
            got += r.all("reservationId")
            if not r.find("nextToken"):
                break
            token = {"NextToken": r.find("nextToken")}
        self.assertEqual(got, ["r-" + i[2:] for i in self.ids()])
        for bad in ({"MaxResults": "4"}, {"MaxResults": "1001"},
                    {"NextToken": "bm8="}):
            self.assertEqual(self.s.ec2("DescribeInstances", bad).code,
                             "InvalidParameterValue")
        self.refused(self.s.ec2("DescribeInstances", {
            "MaxResults": "5", "InstanceId.1": self.ids()[0]}), 400,
            "InvalidParameterCombination")

    def test_group(self):
        r = self.s.call("autoscaling", "DescribeAutoScalingGroups",
                        {"AutoScalingGroupNames.member.1": "web"})
        self.assertEqual(r.all("InstanceId"), self.ids())
        self.assertEqual(r.all("LifecycleState"), ["InService"] * 3)
        r = self.s.call("autoscaling", "DescribeAutoScalingGroups",
                        {"AutoScalingGroupNames.member.1": "none"})
        self.assertEqual((r.status, r.all("InstanceId")), (200, []))
        self.assertEqual(self.s.call("autoscaling", "DescribeAutoScalingGroups",
                                     {"MaxRecords": "101"}).status, 400)

    def test_baseline(self):
        r = self.s.ec2("DescribeLaunchTemplateVersions", {
            "LaunchTemplateId": self.w["launch_templates"][0]["id"],
            "LaunchTemplateVersion.1": "$Latest"})
        ami = r.find("imageId")
        self.assertEqual(ami, self.w["images"][0]["id"])
        r = self.s.ec2("DescribeImages", {"ImageId.1": ami})
        self.assertEqual(r.find("snapshotId"), self.snapshot())
        self.refused(self.s.ec2("DeleteSnapshot",
                                {"SnapshotId": self.snapshot()}), 400,
                     "InvalidSnapshot.InUse")

    def test_create(self):
        i = self.w["instances"][1]
        asked = {"InstanceSpecification.InstanceId": i["id"],
                 "Description": "case <7>",
                 "TagSpecification.1.ResourceType": "snapshot",
                 "TagSpecification.1.Tag.1.Key": "case",
                 "TagSpecification.1.Tag.1.Value": "7 & more",
                 "CopyTagsFromSource": "volume"}
        self.refused(self.s.ec2("CreateSnapshots", {**asked, "DryRun": "true"}),
                     412, "DryRunOperation")
        before = self.s.ec2("DescribeSnapshots").all("snapshotId")
        r = self.s.ec2("CreateSnapshots", asked)
        self.assertEqual(r.all("state"), ["pending"] * 2)
        self.assertEqual(r.all("volumeId"), [v["id"] for v in i["volumes"]])
        self.assertEqual(len(set(r.all("startTime"))), 1)
        ids = r.all("snapshotId")
        self.refused(self.s.send("GET", f"/snapshots/{ids[0]}/blocks"), 400,
                     "ValidationException")
        seen = []
        while "completed" not in seen:
            r = self.s.ec2("DescribeSnapshots", {"SnapshotId.1": ids[0]})
            seen.append(r.find("status"))
            if seen[-1] == "pending":
                self.assertRegex(r.find("progress"), r"^\d\d?%$")
        self.assertEqual(seen, ["pending"] * 2 + ["completed"])
        self.assertEqual(r.find("progress"), "100%")
        self.assertEqual(dict(zip(r.all("key"), r.all("value"))),
                         {"Name": "web-2", "case": "7 & more"})
        r = self.s.ec2("DescribeSnapshots", {
            "Filter.1.Name": "tag:case", "Filter.1.Value.1": "7*",
            "Owner.1": "self"})
        self.assertEqual(r.all("snapshotId"), ids)
        for s in ids:
            self.assertEqual(self.s.ec2("DeleteSnapshot",
                                        {"SnapshotId": s}).status, 200)
        self.assertEqual(self.s.ec2("DescribeSnapshots").all("snapshotId"),
                         before)
        self.refused(self.s.ec2("DeleteSnapshot", {"SnapshotId": ids[0]}),
                     400, "InvalidSnapshot.NotFound")

    def test_create_without(self):
        i = self.w["instances"][2]
        root, data = [v["id"] for v in i["volumes"]]
        base = {"InstanceSpecification.InstanceId": i["id"]}
        r = self.s.ec2("CreateSnapshots", {
            **base, "InstanceSpecification.ExcludeBootVolume": "true"})
        self.assertEqual(r.all("volumeId"), [data])
        r = self.s.ec2("CreateSnapshots", {
            **base, "InstanceSpecification.ExcludeDataVolumeId.1": data})
        self.assertEqual(r.all("volumeId"), [root])
        r = self.s.ec2("CreateSnapshots", {
            **base, "InstanceSpecification.ExcludeDataVolumeId.1": root})
        self.refused(r, 400, "InvalidParameterValue")

    def test_one_moment(self):
        """Volumes are written in turn while snapshots are taken: in one set,
        the first is never behind the second, nor ahead by more than one."""
        i = self.w["instances"][0]
        volumes = [v["id"] for v in i["volumes"]]
        at = 700 * images.BLOCK
        stop = threading.Event()
        written = [0]

        def writer():
            while not stop.is_set():
                written[0] += 1
                for v in volumes:
                    self.s.control(write={"volume": v, "offset": at, "hex":
                                          written[0].to_bytes(8, "big").hex()})
        thread = threading.Thread(target=writer)
        thread.start()
        try:
            sets = []
            for n in range(6):
                # a copy takes long enough for a write in between to show
                self.s.control(snapshot_copy="link" if n % 2 else "copy")
                sets.append(self.made())
                time.sleep(0.05)
        finally:
            stop.set()
            thread.join()
        counts = []
        for ids in sets:
            n = []
            for s in ids:
                token = self.s.blocks(s).get(700)
                n.append(int.from_bytes(self.s.block(s, 700, token).body[:8],
                                        "big") if token else 0)
            self.assertIn(n[0] - n[1], (0, 1), n)
            counts.append(n[0])
        self.assertEqual(counts, sorted(counts))
        self.assertGreater(counts[-1], counts[0])
        # and a snapshot stays as it was
        token = self.s.blocks(sets[0][0])[700]
        self.assertEqual(int.from_bytes(
            self.s.block(sets[0][0], 700, token).body[:8], "big"), counts[0])

    def test_restart(self):
        """What was made is still there, and its tokens hold."""
        sid = self.made()[0]
        tokens = self.s.blocks(sid)
        i = next(iter(tokens))
        cls = type(self)
        self.s.stop()
        cls.s = Server.start(self.path, "--state", self.dir)
        self.assertEqual(self.s.block(sid, i, tokens[i]).status, 200)

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        # written to: not what other classes expect
        for v in load_volumes(cls.w):
            image = os.path.join(selftest.WORLD["dir"], v["image"])
            for name in (image, image + ".digests"):
                if os.path.exists(name.replace(image, image + ".kept")):
                    shutil.move(name.replace(image, image + ".kept"), name)

    @classmethod
    def setUpClass(cls):
        for v in load_volumes(selftest.load_world()):
            image = os.path.join(selftest.WORLD["dir"], v["image"])
            images.copy(image, image + ".kept")
        super().setUpClass()


def load_volumes(world):
    return world["instances"][0]["volumes"]


class Baselines(selftest.Case):
    """An AMI of somebody else: its snapshot is public, then not even shared."""

    @classmethod
    def world(cls, world):
        for what in (world["images"][0], world["snapshots"][0]):
            what.update(owner="137112412989", public=True)

    def test_public(self):
        sid = self.snapshot()
        for action, params, name in (
                ("DescribeImages", {"Owner.1": "137112412989"}, "snapshotId"),
                ("DescribeSnapshots", {"SnapshotId.1": sid}, "snapshotId")):
            r = self.s.ec2(action, params)
            self.assertEqual(r.find(name), sid, r.body)
        self.refused(self.s.send("GET", f"/snapshots/{sid}/blocks"), 400,
                     "ValidationException", "INVALID_SNAPSHOT_ID")
        r = self.s.ec2("DescribeSnapshots", {"Owner.1": "self"})
        self.assertNotIn(sid, r.all("snapshotId"))
        self.refused(self.s.ec2("DeleteSnapshot", {"SnapshotId": sid}), 400,
                     "InvalidSnapshot.NotFound")
        self.s.control(snapshot={"id": sid, "public": False})
        self.refused(self.s.ec2("DescribeSnapshots", {"SnapshotId.1": sid}),
                     400, "InvalidSnapshot.NotFound")
        self.refused(self.s.send("GET", f"/snapshots/{sid}/blocks"), 404,
                     "ResourceNotFoundException", "SNAPSHOT_NOT_FOUND")
        self.s.control(snapshot={"id": sid, "public": True})


class Policies(selftest.Case):
    @classmethod
    def world(cls, world):
        tagged = {"StringLike": {"aws:ResourceTag/herdfs:case": "*"}}
        world["keys"][1]["policy"] = {"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": [
                "ec2:Describe*", "autoscaling:DescribeAutoScalingGroups"],
             "Resource": "*"},
            {"Effect": "Allow", "Action": "ec2:CreateSnapshots",
             "Resource": ["arn:aws:ec2:*:*:instance/*",
                          "arn:aws:ec2:*:*:volume/*"]},
            {"Effect": "Allow", "Action": "ec2:CreateSnapshots",
             "Resource": "arn:aws:ec2:*::snapshot/*", "Condition": {
                 "StringLike": {"aws:RequestTag/herdfs:case": "*"},
                 "ForAllValues:StringEquals": {"aws:TagKeys":
                                               ["herdfs:case"]}}},
            {"Effect": "Allow", "Action": "ec2:CreateTags",
             "Resource": "arn:aws:ec2:*::snapshot/*", "Condition": {
                 "StringEquals": {"ec2:CreateAction": "CreateSnapshots"}}},
            {"Effect": "Allow", "Action": [
                "ebs:ListSnapshotBlocks", "ebs:GetSnapshotBlock"],
             "Resource": "arn:aws:ec2:*::snapshot/*", "Condition": tagged},
            {"Effect": "Allow", "Action": "ec2:DeleteSnapshot",
             "Resource": "*", "Condition": tagged},
            {"Effect": "Deny", "Action": "ec2:DescribeTags",
             "Resource": "*"}]}

    def test_policy(self):
        i = self.w["instances"][0]["id"]
        base = {"InstanceSpecification.InstanceId": i}

        def tag(key):
            return {"TagSpecification.1.ResourceType": "snapshot",
                    "TagSpecification.1.Tag.1.Key": key,
                    "TagSpecification.1.Tag.1.Value": "7"}
        self.assertEqual(self.s.ec2("DescribeInstances", key=LEAST).status,
                         200)

        def no(action, params):
            self.refused(self.s.ec2(action, params, key=LEAST), 403,
                         "UnauthorizedOperation")
        no("DescribeTags", {})
        no("CreateSnapshots", base)
        no("CreateSnapshots", {**base, **tag("other")})
        no("CreateSnapshots", {**base, "DryRun": "true"})
        no("DeleteSnapshot", {"SnapshotId": self.snapshot()})
        no("CreateTags", {"ResourceId.1": self.snapshot(), "Tag.1.Key": "a",
                          "Tag.1.Value": "b"})
        r = self.s.ec2("CreateSnapshots", {**base, **tag("herdfs:case")},
                       key=LEAST)
        self.assertEqual(r.status, 200, r.body)
        ids = r.all("snapshotId")
        self.s.control(pending={"polls": 0})
        self.s.ec2("DescribeSnapshots", key=LEAST)
        path = f"/snapshots/{ids[0]}/"
        self.assertEqual(self.s.send("GET", path + "blocks",
                                     key=LEAST).status, 200)
        for r in (self.s.send("GET", path + "changedblocks",
                              f"firstSnapshotId={ids[0]}", key=LEAST),
                  self.s.send("GET", f"/snapshots/{self.snapshot()}/blocks",
                              key=LEAST)):
            self.refused(r, 403, "AccessDeniedException")
            self.assertIn("not authorized to perform: ebs:", r.body.decode())
        self.refused(self.s.call("sts", "AssumeRole", {
            "RoleArn": self.w["roles"][0]["arn"], "RoleSessionName": "xx"},
            key=LEAST), 403, "AccessDenied")
        for s in ids:
            self.assertEqual(self.s.ec2("DeleteSnapshot", {"SnapshotId": s},
                                        key=LEAST).status, 200)


class Credentials(selftest.Case):
    def works(self, key, secret, token, arn):
        r = self.s.call("sts", "GetCallerIdentity", key=(key, secret),
                        token=token)
        self.assertEqual(r.status, 200, r.body)
        self.assertIn(arn, r.find("Arn"))
        r = self.s.call("sts", "GetCallerIdentity", key=(key, secret))
        self.refused(r, 403, "InvalidClientTokenId")
        self.assertIsNone(re.search(r"[^A-Za-z0-9+/=]", token))

    def assume(self, **more):
        return self.s.call("sts", "AssumeRole", {
            "RoleArn": self.w["roles"][0]["arn"],
            "RoleSessionName": "analyst", **more})

    def keys(self, r):
        self.assertEqual(r.status, 200, r.body)
        return (r.find("AccessKeyId"), r.find("SecretAccessKey"),
                r.find("SessionToken"))

    def test_roles(self):
        keys = self.keys(self.assume())
        self.works(*keys, "assumed-role/reader/analyst")
        sid = self.snapshot()
        r = self.s.send("GET", f"/snapshots/{sid}/blocks", key=keys[:2],
                        token=keys[2])
        self.assertEqual(r.status, 200, r.body)
        # a token that is sent, but not signed
        r = self.s.send("GET", f"/snapshots/{sid}/blocks", key=keys[:2],
                        token=keys[2], leave_out=["x-amz-security-token"])
        self.refused(r, 403, "InvalidSignatureException")
        for bad in ({"DurationSeconds": "899"}, {"DurationSeconds": "43201"},
                    {"RoleSessionName": "x"}, {"RoleSessionName": "a b"}):
            self.assertEqual(self.assume(**bad).code, "ValidationError")
        strict = self.w["roles"][1]["arn"]
        self.refused(self.assume(RoleArn=strict), 403, "AccessDenied")
        self.assertEqual(self.assume(RoleArn=strict,
                                     ExternalId="case-7").status, 200)

    def test_expiry(self):
        self.s.control(session_seconds={"role": 1})
        keys = self.keys(self.assume())
        again = {"key": keys[:2], "token": keys[2]}
        self.assertEqual(self.s.ec2("DescribeInstances", **again).status, 200)
        time.sleep(1.1)
        self.refused(self.s.ec2("DescribeInstances", **again), 400,
                     "RequestExpired")
        self.refused(self.s.call("sts", "GetCallerIdentity", **again), 403,
                     "ExpiredToken")
        self.refused(self.s.send("GET", f"/snapshots/{self.snapshot()}/blocks",
                                 **again), 403, "ExpiredTokenException")
        self.s.control(session_seconds={})
        keys = self.keys(self.assume())
        self.s.control(expire_sessions=True)
        self.refused(self.s.call("sts", "GetCallerIdentity", key=keys[:2],
                                 token=keys[2]), 403, "ExpiredToken")

    def test_web_identity(self):
        def ask(token):
            body = ("Action=AssumeRoleWithWebIdentity&Version=2011-06-15"
                    f"&RoleArn={quote(self.w['roles'][2]['arn'])}"
                    f"&RoleSessionName=pod-1&WebIdentityToken={token}")
            return self.s.plain(self.s.tell["endpoint"], "POST", "/", {
                "Content-Type": "application/x-www-form-urlencoded"}, body)
        self.works(*self.keys(ask("web.identity.token")), "assumed-role/pod/")
        self.refused(ask("wrong.token"), 400, "InvalidIdentityToken")
        self.refused(ask("old.token.value"), 400, "ExpiredTokenException")

    def meta(self, method, path, **headers):
        return self.s.plain(self.s.tell["metadata"], method, path,
                            {k.replace("_", "-"): v
                             for k, v in headers.items()})

    def portal(self, path, token=None):
        return self.s.plain(self.s.tell["metadata"], "GET", path, {
            "x-amz-sso_bearer_token": token} if token else {})

    def test_imds(self):
        put = {"X_aws_ec2_metadata_token_ttl_seconds": "2"}
        base = "/latest/meta-data/iam/security-credentials/"
        self.assertEqual(self.meta("GET", base).status, 401)    # version 1
        self.assertEqual(self.meta("GET", "/latest/api/token", **put).status,
                         405)
        self.assertEqual(self.meta("PUT", "/latest/api/token").status, 400)
        self.assertEqual(self.meta("PUT", "/latest/api/token",
                                   X_Forwarded_For="1.2.3.4", **put).status,
                         403)
        r = self.meta("PUT", "/latest/api/token", **put)
        self.assertEqual(r.headers["x-aws-ec2-metadata-token-ttl-seconds"],
                         "2")
        token = {"X_aws_ec2_metadata_token": r.body.decode()}
        role = self.meta("GET", base, **token).body.decode()
        self.assertEqual(role, "reader")
        c = self.meta("GET", base + role, **token).json
        self.works(c["AccessKeyId"], c["SecretAccessKey"], c["Token"],
                   "assumed-role/reader/i-")
        self.assertEqual(self.meta("GET", "/latest/meta-data/placement/region",
                                   **token).body.decode(), self.s.region)
        time.sleep(2.1)
        self.assertEqual(self.meta("GET", base, **token).status, 401)
        self.s.control(imds={"hop_limit": True, "role": "reader"})
        with self.assertRaises(OSError):
            self.s.plain(self.s.tell["metadata"], "PUT", "/latest/api/token", {
                "X-aws-ec2-metadata-token-ttl-seconds": "2"}, timeout=1)
        self.s.control(imds=self.w["imds"])

    def test_container(self):
        path = "/v2/credentials/herd"
        self.assertEqual(self.meta("GET", path).status, 401)
        self.assertEqual(self.meta("GET", path, Authorization="x").status, 403)
        c = self.meta("GET", path, Authorization="container-token").json
        self.works(c["AccessKeyId"], c["SecretAccessKey"], c["Token"],
                   "assumed-role/reader/task")
        self.assertEqual(self.meta("GET", "/other").status, 404)

    def test_sso(self):
        path = ("/federation/credentials?role_name=reader&account_id="
                + self.s.tell["account"])
        self.assertEqual(self.portal(path).status, 401)
        c = self.portal(path, "sso-access-token").json["roleCredentials"]
        self.works(c["accessKeyId"], c["secretAccessKey"], c["sessionToken"],
                   "assumed-role/reader/sso-user")
        self.assertEqual(self.portal(path.replace("reader", "nobody"),
                                     "sso-access-token").status, 403)


class Faults(selftest.Case):
    def setUp(self):
        super().setUp()
        self.s.control(dead=False)
        self.sid = self.snapshot()
        self.tokens = self.s.blocks(self.sid)
        self.index = list(self.tokens)[3]
        self.good = self.get().body

    def get(self, **how):
        return self.s.block(self.sid, self.index, self.tokens[self.index],
                            **how)

    def fault(self, kind, **more):
        self.s.control(faults=[{"kind": kind, "action": "GetSnapshotBlock",
                                **more}])

    def test_errors(self):
        for kind, status, code in (
                ("throttle", 400, "RequestThrottledException"),
                ("e500", 500, "InternalServerException"),
                ("e503", 503, "ServiceUnavailableException"),
                ("quota", 402, "ServiceQuotaExceededException"),
                ("concurrent", 400, "ConcurrentLimitExceededException"),
                ("conflict", 409, "ConflictException"),
                ("notfound", 404, "ResourceNotFoundException"),
                ("expired", 403, "ExpiredTokenException"),
                ("skew", 403, "InvalidSignatureException"),
                ("token", 400, "ValidationException")):
            self.fault(kind)
            self.refused(self.get(), status, code)
        self.fault("e502")
        r = self.get()
        self.assertEqual((r.status, r.body[:6]), (502, b"<html>"))
        self.fault("throttle")
        self.assertEqual([self.get().reason for _ in range(4)],
                         ["ACCOUNT_THROTTLED", "RESOURCE_LEVEL_THROTTLE",
                          "DEPENDENCY_REQUEST_THROTTLED",
                          "ACCOUNT_THROTTLED"])
        self.s.control(faults=[{"kind": "throttle"}])
        self.refused(self.s.ec2("DescribeInstances"), 503,
                     "RequestLimitExceeded")
        self.refused(self.s.call("autoscaling", "DescribeAutoScalingGroups"),
                     400, "Throttling")

    def test_damage(self):
        self.fault("corrupt")
        r = self.get()
        self.assertEqual(len(r.body), len(self.good))
        self.assertEqual(sum(a != b for a, b in zip(r.body, self.good)), 1)
        self.assertNotEqual(r.headers["x-amz-checksum"], "")
        self.fault("checksum")
        r = self.get()
        self.assertEqual((r.body, r.headers["x-amz-checksum"]),
                         (self.good, "A" * 43 + "="))
        self.fault("nochecksum")
        self.assertNotIn("x-amz-checksum", self.get().headers)
        self.fault("short")
        r = self.get()
        self.assertEqual(r.body, self.good[:-4096])
        self.assertEqual(r.headers["x-amz-data-length"], "524288")
        self.s.control(faults=[{"kind": "corrupt",
                                "service": "autoscaling"}])
        r = self.s.call("autoscaling", "DescribeAutoScalingGroups")
        self.assertEqual((r.status, r.body[:1]), (200, b"\x00"))

    def test_connection(self):
        self.fault("truncate")
        with self.assertRaises(http.client.IncompleteRead):
            self.get()
        for more in ({}, {"after": 100000}):
            self.fault("reset", **more)
            with self.assertRaises(ConnectionError):
                self.get()
        for kind in ("stall", "silent"):
            self.fault(kind)
            with self.assertRaises(TimeoutError):
                self.get(timeout=0.7)
        self.fault("slow", rate=2_000_000)
        began = time.monotonic()
        self.assertEqual(self.get().body, self.good)
        self.assertGreater(time.monotonic() - began, 0.2)
        s = self.s.stats()["faults"]
        self.assertEqual(s, {"truncate": 1, "reset": 2, "stall": 1,
                             "silent": 1, "slow": 1})

    def test_which(self):
        """Every third, kinds in turn; then by chance, the same each time."""
        self.s.control(faults=[{"every": 3, "kinds": ["e500", "throttle"],
                                "action": "GetSnapshotBlock", "count": 3,
                                "skip": 1}])
        got = [self.get().status for _ in range(14)]
        self.assertEqual(got, [200] * 3 + [500] + [200] * 2 + [400]
                         + [200] * 2 + [500] + [200] * 4)
        runs = []
        for _ in range(2):
            self.fault("e500", probability=0.3)
            runs.append([self.get().status for _ in range(60)])
        self.assertEqual(*runs)
        self.assertTrue(5 < runs[0].count(500) < 35)
        with self.assertRaises(RuntimeError):
            self.fault("nonsense")

    def test_rates(self):
        self.s.control(rates={"account": {"GetSnapshotBlock": 5}})
        got = [self.get() for _ in range(12)]
        self.assertGreaterEqual(sum(r.status == 200 for r in got), 5)
        bad = [r for r in got if r.status != 200]
        self.assertTrue(bad)
        self.refused(bad[0], 400, "RequestThrottledException",
                     "ACCOUNT_THROTTLED")
        time.sleep(0.5)
        self.assertEqual(self.get().status, 200)
        self.s.control(rates={"snapshot": {"*": 1}})
        self.assertEqual([self.get().status for _ in range(2)], [200, 400])

    def test_dead(self):
        host, port = self.s.host.split(":")
        kept = socket.create_connection((host, int(port)))
        kept.settimeout(5)
        time.sleep(0.1)
        self.s.control(dead="refuse")
        with self.assertRaises(ConnectionRefusedError):
            self.get()
        try:
            self.assertEqual(kept.recv(1), b"")
        except ConnectionResetError:
            pass
        kept.close()
        self.s.control(dead="hang")
        self.s.control(dead=False)
        self.assertEqual(self.get().body, self.good)
        self.s.control(dead="hang")
        with self.assertRaises(TimeoutError):
            self.get(timeout=0.5)
        self.s.control(dead=False)
        self.assertEqual(self.get().body, self.good)
