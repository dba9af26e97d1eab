# SPDX-License-Identifier: Apache-2.0
"""What others say of the local AWS: the public service models, and AWS's own
clients where they are installed."""
import json
import os
import shutil
import subprocess
import unittest

import models
import selftest
from client import KEY, quote


@unittest.skipUnless(models.folder(), "the service models are not here")
class Models(selftest.Case):
    """Answers and refusals, held against the public service models."""

    def test_ebs(self):
        m = models.Model("ebs")
        made = self.made()[0]
        sid = self.snapshot()
        path = f"/snapshots/{sid}/blocks"
        for operation, where, query in (
                ("ListSnapshotBlocks", path, "maxResults=100"),
                ("ListChangedBlocks", f"/snapshots/{made}/changedblocks",
                 f"firstSnapshotId={sid}")):
            while query is not None:
                r = self.s.send("GET", where, query)
                m.rest(operation, r.headers, r.body)
                token = r.json.get("NextToken")
                first = [q for q in query.split("&") if q.startswith("first")]
                query = token and "&".join(first + ["pageToken="
                                                    + quote(token)])
        tokens = self.s.blocks(sid)
        i = next(iter(tokens))
        r = self.s.block(sid, i, tokens[i])
        m.rest("GetSnapshotBlock", r.headers, r.body)
        for operation, where, query in (
                ("ListSnapshotBlocks", path, "maxResults=99"),
                ("ListSnapshotBlocks", path, "pageToken=AAAA"),
                ("ListSnapshotBlocks", "/snapshots/snap-1/blocks", ""),
                ("ListSnapshotBlocks", "/snapshots/snap-X/blocks", ""),
                ("ListChangedBlocks", f"/snapshots/{made}/changedblocks", ""),
                ("GetSnapshotBlock", f"{path}/{i}", "blockToken=AAAA")):
            r = self.s.send("GET", where, query)
            m.error(operation, r.status, r.headers, r.body)
        for kind in ("throttle", "e500", "quota", "concurrent", "conflict",
                     "notfound", "token"):
            self.s.control(faults=[{"kind": kind}])
            r = self.s.send("GET", path)
            m.error("ListSnapshotBlocks", r.status, r.headers, r.body)

    def test_limits(self):
        """What the model forbids a request to say is refused."""
        m = models.Model("ebs")
        sid = self.snapshot()
        tokens = self.s.blocks(sid)
        i = next(iter(tokens))
        good = {"snapshotId": sid, "secondSnapshotId": sid, "blockIndex": str(i),
                "blockToken": tokens[i], "firstSnapshotId": sid,
                "maxResults": "100", "startingBlockIndex": "0"}
        checked = 0
        for operation in ("ListSnapshotBlocks", "ListChangedBlocks",
                          "GetSnapshotBlock"):
            op = m.model["operations"][operation]
            members = m.shapes[op["input"]["shape"]]["members"]
            for member in members.values():
                shape = m.shapes[member["shape"]]
                bad = []
                if shape["type"] == "integer":
                    bad += [str(shape[k] + d) for k, d in
                            (("min", -1), ("max", 1)) if k in shape] + ["x"]
                else:
                    bad += ["A" * (shape["max"] + 1), "!"]
                for value in bad:
                    p = {**good, member["locationName"]: value}
                    where = op["http"]["requestUri"].format(**p)
                    names = [x["locationName"] for x in members.values()
                             if x["location"] == "querystring"
                             and x["locationName"] in p]
                    query = "&".join(f"{n}={quote(p[n])}"
                                     for n in sorted(names))
                    r = self.s.send("GET", where, query)
                    self.refused(r, 400, "ValidationException")
                    checked += 1
        self.assertGreater(checked, 20)

    def test_xml(self):
        m = models.Model("ec2")
        i = self.w["instances"][0]["id"]
        for action, params in (
                ("DescribeInstances", {}), ("DescribeVolumes", {}),
                ("DescribeSnapshots", {}), ("DescribeImages", {}),
                ("CreateSnapshots", {
                    "InstanceSpecification.InstanceId": i,
                    "TagSpecification.1.ResourceType": "snapshot",
                    "TagSpecification.1.Tag.1.Key": "k",
                    "TagSpecification.1.Tag.1.Value": "v"}),
                ("CreateSnapshot", {"VolumeId": self.w["instances"][0]
                                    ["volumes"][0]["id"]})):
            r = self.s.ec2(action, params)
            self.assertEqual(r.status, 200, r.body)
            m.xml(action, r.body)
        m = models.Model("autoscaling")
        r = self.s.call("autoscaling", "DescribeAutoScalingGroups")
        m.xml("DescribeAutoScalingGroups", r.body)
        m = models.Model("sts")
        r = self.s.call("sts", "AssumeRole", {
            "RoleArn": self.w["roles"][0]["arn"], "RoleSessionName": "xx"})
        m.xml("AssumeRole", r.body)
        m.xml("GetCallerIdentity",
              self.s.call("sts", "GetCallerIdentity").body)

    def test_can_fail(self):
        m = models.Model("autoscaling")
        r = self.s.call("autoscaling", "DescribeAutoScalingGroups")
        for old, new in ((b"InService", b"Working"),
                         (b"MinSize", b"MinimalSize"),
                         (b"<HealthStatus>Healthy</HealthStatus>", b"")):
            self.assertIn(old, r.body)
            with self.assertRaises(models.Wrong):
                m.xml("DescribeAutoScalingGroups", r.body.replace(old, new))


@unittest.skipUnless(shutil.which("aws"), "the AWS CLI is not installed")
class AwsCli(selftest.Case):
    """AWS's own client as the judge."""

    def aws(self, *words, good=True, **more):
        home = os.path.join(self.dir, "home")
        os.makedirs(home, exist_ok=True)
        env = {"PATH": os.environ["PATH"], "HOME": home,
               "AWS_ACCESS_KEY_ID": KEY[0], "AWS_SECRET_ACCESS_KEY": KEY[1],
               "AWS_DEFAULT_REGION": self.s.region, "AWS_PAGER": "",
               "AWS_MAX_ATTEMPTS": "4", "LC_ALL": "C.UTF-8",
               "AWS_EC2_METADATA_DISABLED": "true", **more}
        p = subprocess.run(["aws", "--endpoint-url", self.s.tell["endpoint"],
                            "--output", "json", *words], env=env,
                           stdin=subprocess.DEVNULL, capture_output=True,
                           text=True, check=False)
        if not good:
            self.assertNotEqual(p.returncode, 0)
            return p.stderr
        self.assertEqual(p.returncode, 0, p.stderr)
        return json.loads(p.stdout) if p.stdout.strip() else None

    def test_ebs(self):
        sid = self.snapshot()
        self.s.control(pages={"limit": 60})
        got, token = [], []
        while True:
            a = self.aws("ebs", "list-snapshot-blocks", "--snapshot-id", sid,
                         *token)
            got += a["Blocks"]
            if not a.get("NextToken"):
                break
            token = ["--next-token", a["NextToken"]]
        base = selftest.file_of("base.raw")
        self.assertEqual([b["BlockIndex"] for b in got], list(base.indexes))
        out = os.path.join(self.dir, "block")
        b = got[2]
        self.aws("ebs", "get-snapshot-block", "--snapshot-id", sid,
                 "--block-index", str(b["BlockIndex"]), "--block-token",
                 b["BlockToken"], out)
        with open(out, "rb") as f:
            self.assertEqual(f.read(), base.read(b["BlockIndex"]))
        made = self.made()[0]
        self.s.control(pages={"limit": 0, "empty_every": 0, "short_every": 0})
        a = self.aws("ebs", "list-changed-blocks", "--first-snapshot-id", sid,
                     "--second-snapshot-id", made)
        self.assertTrue(a["ChangedBlocks"])
        self.s.control(lineage="volume")
        self.assertIn("ValidationException", self.aws(
            "ebs", "list-changed-blocks", "--first-snapshot-id", sid,
            "--second-snapshot-id", made, good=False))

    def test_ec2(self):
        a = self.aws("ec2", "describe-instances")
        found = [i for r in a["Reservations"] for i in r["Instances"]]
        self.assertEqual([i["InstanceId"] for i in found],
                         [i["id"] for i in self.w["instances"]])
        self.assertEqual(found[0]["NetworkInterfaces"][0]["MacAddress"],
                         "02:00:0a:00:00:0b")
        a = self.aws("autoscaling", "describe-auto-scaling-groups",
                     "--auto-scaling-group-names", "web")
        self.assertEqual(len(a["AutoScalingGroups"][0]["Instances"]), 3)
        a = self.aws("ec2", "describe-launch-template-versions",
                     "--launch-template-id", self.w["launch_templates"][0]
                     ["id"], "--versions", "$Latest")
        ami = a["LaunchTemplateVersions"][0]["LaunchTemplateData"]["ImageId"]
        a = self.aws("ec2", "describe-images", "--image-ids", ami)
        self.assertEqual(a["Images"][0]["BlockDeviceMappings"][0]["Ebs"]
                         ["SnapshotId"], self.snapshot())
        spec = ["--instance-specification",
                "InstanceId=" + self.w["instances"][0]["id"],
                "--tag-specifications", "ResourceType=snapshot,Tags="
                "[{Key=herdfs:case,Value=7}]"]
        self.assertIn("DryRunOperation", self.aws(
            "ec2", "create-snapshots", "--dry-run", *spec, good=False))
        a = self.aws("ec2", "create-snapshots", *spec)
        ids = [s["SnapshotId"] for s in a["Snapshots"]]
        for _ in range(4):
            a = self.aws("ec2", "describe-snapshots", "--filters",
                         "Name=tag:herdfs:case,Values=7")
        self.assertEqual([s["SnapshotId"] for s in a["Snapshots"]], ids)
        self.assertEqual({s["State"] for s in a["Snapshots"]}, {"completed"})
        for s in ids:
            self.aws("ec2", "delete-snapshot", "--snapshot-id", s)
        a = self.aws("ec2", "describe-volumes", "--filters",
                     "Name=attachment.instance-id,Values="
                     + self.w["instances"][0]["id"])
        self.assertEqual(len(a["Volumes"]), 2)

    def test_credentials(self):
        """The chain of AWS's own client gets what it needs from here."""
        a = self.aws("sts", "assume-role", "--role-arn",
                     self.w["roles"][0]["arn"], "--role-session-name", "cli")
        c = a["Credentials"]
        session = {"AWS_ACCESS_KEY_ID": c["AccessKeyId"],
                   "AWS_SECRET_ACCESS_KEY": c["SecretAccessKey"],
                   "AWS_SESSION_TOKEN": c["SessionToken"]}
        a = self.aws("sts", "get-caller-identity", **session)
        self.assertIn("assumed-role/reader/cli", a["Arn"])
        none = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
        meta = self.s.tell["metadata"]
        a = self.aws("sts", "get-caller-identity", **none,
                     AWS_CONTAINER_CREDENTIALS_FULL_URI=meta
                     + "/v2/credentials/herd",
                     AWS_CONTAINER_AUTHORIZATION_TOKEN="container-token")
        self.assertIn("assumed-role/reader/task", a["Arn"])
        a = self.aws("sts", "get-caller-identity", **none,
                     AWS_EC2_METADATA_DISABLED="false",
                     AWS_EC2_METADATA_SERVICE_ENDPOINT=meta)
        self.assertIn("assumed-role/reader/i-", a["Arn"])

    def test_retries(self):
        """It gets over what a client is to get over."""
        self.s.control(faults=[{"kinds": ["throttle", "e500", "reset"],
                                "every": 2, "skip": 1}])
        for _ in range(3):
            a = self.aws("ec2", "describe-instances")
            self.assertEqual(len(a["Reservations"]), 3)
