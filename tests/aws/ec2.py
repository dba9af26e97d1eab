# SPDX-License-Identifier: Apache-2.0
"""EC2: what a group's instances are, and snapshots of them."""
import os
import re

from iam import like
from protocol import (AwsError, iso, page_start, page_token, xml_answer)

IDS = {"i": ("InvalidInstanceID", "instance ID"),
       "vol": ("InvalidVolume", "volume"),
       "snap": ("InvalidSnapshot", "snapshot"),
       "ami": ("InvalidAMIID", "image id"),
       "lt": ("InvalidLaunchTemplateId", "launch template")}
STATES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48,
          "stopping": 64, "stopped": 80}


def not_found(kind, name):
    code, text = IDS[kind]
    if not re.fullmatch(kind + r"-[0-9a-f]{8,17}", name):
        return AwsError(400, code + ".Malformed",
                        f"Invalid id: \"{name}\" (expecting \"{kind}-...\")")
    return AwsError(400, code + ".NotFound",
                    f"The {text} '{name}' does not exist")


def tag_set(tags):
    return [{"key": k, "value": v} for k, v in sorted(tags.items())]


class Ec2:
    def __init__(self, world):
        self.world = world
        self.actions = {n: getattr(self, m) for n, m in {
            "DescribeInstances": "instances", "DescribeVolumes": "volumes",
            "DescribeSnapshots": "snapshots", "DescribeImages": "images",
            "DescribeLaunchTemplateVersions": "template_versions",
            "DescribeTags": "tags", "CreateSnapshots": "create_snapshots",
            "CreateSnapshot": "create_snapshot",
            "DeleteSnapshot": "delete_snapshot",
            "CreateTags": "create_tags"}.items()}

    def call(self, ctx, action, form):
        if action not in self.actions:
            raise AwsError(400, "InvalidAction", f"The action {action} is not "
                           "valid for this web service.")
        content = self.actions[action](ctx, form)
        if form.rest():
            raise AwsError(400, "UnknownParameter", "The parameter "
                           f"{form.rest()[0]} is not recognized")
        return xml_answer("ec2", action, content)

    def arn(self, kind, name):
        w = self.world
        # snapshots and images belong to no account in an ARN
        owner = "" if kind in ("snapshot", "image") else w.account
        return f"arn:aws:ec2:{w.region}:{owner}:{kind}/{name}"

    def dry(self, form):
        if form.boolean("DryRun"):
            raise AwsError(412, "DryRunOperation", "Request would have "
                           "succeeded, but DryRun flag is set.")

    # ---- describing ----

    def describe(self, ctx, form, action, ids_name, kind, every, fields):
        """The rows of one page and the next one's token. A row has an id, tags
        and what it is of; fields: {filter's name: function of that, which
        gives the texts to compare with}."""
        ctx.allow("ec2:" + action, "*")
        ids = form.list(ids_name)
        filters = []
        for prefix in form.structures("Filter"):
            filters.append((form.need(prefix + ".Name"),
                            form.list(prefix + ".Value")))
        low, high = (1, 200) if action == "DescribeLaunchTemplateVersions" \
            else (5, 1000)
        limit = form.integer("MaxResults", low, high)
        token = form.get("NextToken")
        self.dry(form)
        if ids and limit:
            raise AwsError(400, "InvalidParameterCombination", f"The parameter "
                           f"{ids_name}s cannot be used with the parameter "
                           "maxResults")
        rows = list(every)
        if ids:
            known = {r["id"]: r for r in rows}
            for name in ids:
                if name not in known:
                    raise not_found(kind, name)
            rows = [known[n] for n in dict.fromkeys(ids)]
        for name, wanted in filters:
            values = self.filter_values(name, fields)
            rows = [r for r in rows if any(like(h, x) for h in values(r)
                                           for x in wanted)]
        return self.page(action, rows, limit, token)

    def filter_values(self, name, fields):
        if name.startswith("tag:"):
            return lambda r: [v for k, v in r["tags"].items() if k == name[4:]]
        if name == "tag-key":
            return lambda r: list(r["tags"])
        if name not in fields:
            raise AwsError(400, "InvalidParameterValue",
                           f"The filter '{name}' is invalid")
        return lambda r: fields[name](r["of"])

    def page(self, action, rows, limit, token):
        start = 0
        if token is not None:
            start = page_start(self.world, action, token)
            if start is None:
                raise AwsError(400, "InvalidParameterValue", "Invalid value "
                               "for 'NextToken'")
        cap = self.world.settings["pages"]["ec2"]
        size = min(limit or len(rows), cap or limit or len(rows)) or 1
        # an empty page with more to come is allowed, and comes here too
        end = start + size
        more = end < len(rows)
        return rows[start:end], (page_token(self.world, action, end) if more
                                 else None)

    def instances(self, ctx, form):
        rows = [{"id": n, "tags": i.get("tags", {}), "of": i}
                for n, i in self.world.instances.items()]

        fields = {
            "instance-id": lambda i: [i["id"]],
            "instance-state-name": lambda i: [i.get("state", "running")],
            "image-id": lambda i: [i.get("image_id", "")],
            "private-ip-address": lambda i: [i.get("private_ip", "")],
            "availability-zone": lambda i: [self.az(i)],
            "instance-type": lambda i: [i.get("type", "t3.micro")],
            "vpc-id": lambda i: [i.get("vpc", "")],
            "block-device-mapping.volume-id":
                lambda i: [v["id"] for v in i.get("volumes", [])]}
        rows, token = self.describe(ctx, form, "DescribeInstances",
                                    "InstanceId", "i", rows, fields)
        return {"reservationSet": [
            {"reservationId": "r-" + r["id"][2:], "ownerId": self.world.account,
             "groupSet": [], "instancesSet": [self.instance(r["of"])]}
            for r in rows], "nextToken": token}

    def az(self, i):
        return i.get("az", self.world.region + "a")

    def instance(self, i):
        state = i.get("state", "running")
        there = state != "terminated"
        launched = self.world.when(i.get("launched", 1_764_000_000))
        enis = [{"networkInterfaceId": e["id"], "subnetId": i.get("subnet"),
                 "vpcId": i.get("vpc"), "description": e.get("description"),
                 "ownerId": self.world.account, "status": "in-use",
                 "macAddress": e.get("mac"), "privateIpAddress": e.get("ip"),
                 "privateDnsName": e.get("dns"), "sourceDestCheck": True,
                 "attachment": {"attachmentId": "eni-attach-" + e["id"][4:],
                                "deviceIndex": n, "status": "attached",
                                "attachTime": iso(launched),
                                "deleteOnTermination": True},
                 "association": {"publicIp": i["public_ip"],
                                 "publicDnsName": i.get("public_dns"),
                                 "ipOwnerId": "amazon"}
                 if n == 0 and i.get("public_ip") else None,
                 "ipv6AddressesSet": [{"ipv6Address": a}
                                      for a in e.get("ipv6", [])],
                 "privateIpAddressesSet": [
                     {"privateIpAddress": a, "primary": k == 0}
                     for k, a in enumerate([e.get("ip")] +
                                           e.get("more_ips", [])) if a],
                 "interfaceType": "interface"}
                for n, e in enumerate(i.get("enis", []))]
        return {
            "instanceId": i["id"], "imageId": i.get("image_id"),
            "instanceState": {"code": STATES[state], "name": state},
            "privateDnsName": i.get("private_dns", "") if there else "",
            "dnsName": i.get("public_dns", "") if there else "",
            "reason": i.get("reason", ""), "keyName": i.get("key_name"),
            "amiLaunchIndex": 0, "productCodes": [],
            "instanceType": i.get("type", "t3.micro"),
            "launchTime": iso(launched),
            "placement": {"availabilityZone": self.az(i), "groupName": "",
                          "tenancy": "default"},
            "monitoring": {"state": "disabled"},
            "subnetId": i.get("subnet"), "vpcId": i.get("vpc"),
            "privateIpAddress": i.get("private_ip") if there else None,
            "ipAddress": i.get("public_ip") if there else None,
            "ipv6Address": i.get("ipv6"), "sourceDestCheck": True,
            "groupSet": [{"groupId": g, "groupName": g}
                         for g in i.get("security_groups", [])],
            "architecture": i.get("architecture", "x86_64"),
            "rootDeviceType": "ebs",
            "rootDeviceName": self.root_device(i),
            "blockDeviceMapping": [
                {"deviceName": v["device"],
                 "ebs": {"volumeId": v["id"], "status": "attached",
                         "attachTime": iso(launched),
                         "deleteOnTermination":
                             v.get("delete_on_termination", True)}}
                for v in i.get("volumes", [])] if there else [],
            "virtualizationType": "hvm", "clientToken": "",
            "tagSet": tag_set(i.get("tags", {})), "hypervisor": "xen",
            "networkInterfaceSet": enis, "ebsOptimized": False,
            "enaSupport": True,
            "iamInstanceProfile": {"arn": i["profile"], "id": "AIPAEXAMPLE"}
            if i.get("profile") else None,
            "hibernationOptions": {"configured": i.get("hibernation", False)},
            "metadataOptions": {"state": "applied", "httpTokens": "required",
                                "httpPutResponseHopLimit": 1,
                                "httpEndpoint": "enabled"}}

    def root_device(self, i):
        volumes = i.get("volumes", [])
        return i.get("root_device",
                     volumes[0]["device"] if volumes else "/dev/xvda")

    def volumes(self, ctx, form):
        rows = [{"id": n, "tags": v.get("tags", {}), "of": v}
                for n, v in self.world.volumes.items()]

        fields = {
            "volume-id": lambda v: [v["id"]],
            "snapshot-id": lambda v: [v.get("snapshot") or ""],
            "status": lambda v: ["in-use" if v.get("instance") else
                                 "available"],
            "attachment.instance-id": lambda v: [v.get("instance", "")],
            "attachment.device": lambda v: [v.get("device", "")],
            "encrypted": lambda v: [str(v.get("encrypted", False)).lower()]}
        rows, token = self.describe(ctx, form, "DescribeVolumes", "VolumeId",
                                    "vol", rows, fields)
        return {"volumeSet": [self.volume(r["of"]) for r in rows],
                "nextToken": token}

    def volume_gib(self, v):
        return v.get("size") or max(1, -(-os.stat(v["image"]).st_size
                                         // (1 << 30)))

    def volume(self, v):
        on = v.get("instance")
        made = iso(self.world.when(v.get("created", 1_764_000_000)))
        return {"volumeId": v["id"], "size": self.volume_gib(v),
                "snapshotId": v.get("snapshot") or "",
                "availabilityZone": v.get("az", self.world.region + "a"),
                "status": "in-use" if on else "available", "createTime": made,
                "attachmentSet": [{
                    "volumeId": v["id"], "instanceId": on,
                    "device": v["device"], "status": "attached",
                    "attachTime": made, "deleteOnTermination":
                        v.get("delete_on_termination", True)}] if on else [],
                "tagSet": tag_set(v.get("tags", {})), "volumeType": "gp3",
                "iops": 3000, "throughput": 125,
                "encrypted": v.get("encrypted", False),
                "multiAttachEnabled": False}

    def snapshots(self, ctx, form):
        w = self.world
        owners = form.list("Owner")
        restorable = form.list("RestorableBy")
        rows = []
        for s in list(w.snapshots.values()):
            mine = s.owner == w.account
            if not (mine or s.public or w.account in s.shared):
                continue
            if s.unknown > 0:
                with w.lock:
                    s.unknown -= 1
                continue
            if owners and not (s.owner in owners or mine and "self" in owners):
                continue
            if restorable and not ("self" in restorable or "all" in restorable
                                   and s.public or w.account in restorable):
                continue
            rows.append({"id": s.id, "tags": s.tags if mine else {}, "of": s})

        fields = {
            "snapshot-id": lambda s: [s.id], "volume-id": lambda s: [s.volume],
            "status": lambda s: [s.state], "owner-id": lambda s: [s.owner],
            "description": lambda s: [s.description],
            "storage-tier": lambda s: [s.tier],
            "volume-size": lambda s: [str(s.gib)],
            "progress": lambda s: [w.progress(s)]}
        rows, token = self.describe(ctx, form, "DescribeSnapshots",
                                    "SnapshotId", "snap", rows, fields)
        out = []
        for r in rows:
            w.poll(r["of"])
            out.append({**self.snapshot(r["of"]), "tagSet": tag_set(r["tags"])})
        return {"snapshotSet": out, "nextToken": token}

    def snapshot(self, s):
        return {"snapshotId": s.id, "volumeId": s.volume, "status": s.state,
                "statusMessage": "Client.InternalError" if s.state == "error"
                else None, "startTime": iso(s.started),
                "progress": self.world.progress(s), "ownerId": s.owner,
                "volumeSize": s.gib, "description": s.description,
                "encrypted": False, "storageTier": s.tier,
                "outpostArn": s.outpost}

    def images(self, ctx, form):
        w = self.world
        owners = form.list("Owner")
        rows = []
        for a in w.images.values():
            owner = a.get("owner", w.account)
            mine = owner == w.account
            if not (mine or a.get("public")
                    or w.account in a.get("shared_with", [])):
                continue
            if owners and not (owner in owners or mine and "self" in owners
                               or a.get("alias") in owners):
                continue
            rows.append({"id": a["id"], "tags": a.get("tags", {}), "of": a})

        fields = {
            "image-id": lambda a: [a["id"]],
            "name": lambda a: [a.get("name", a["id"])],
            "owner-id": lambda a: [a.get("owner", w.account)],
            "state": lambda a: ["available"],
            "is-public": lambda a: [str(a.get("public", False)).lower()],
            "block-device-mapping.snapshot-id":
                lambda a: [m["snapshot"] for m in a["devices"]]}
        rows, token = self.describe(ctx, form, "DescribeImages", "ImageId",
                                    "ami", rows, fields)
        return {"imagesSet": [self.image(r["of"]) for r in rows],
                "nextToken": token}

    def image(self, a):
        w = self.world
        name = a.get("name", a["id"])
        owner = a.get("owner", w.account)

        def gib(m):
            s = w.snapshots.get(m["snapshot"])
            return m.get("size") or (s.gib if s and s.image_path else 8)
        return {"imageId": a["id"], "imageLocation": f"{owner}/{name}",
                "imageState": "available", "imageOwnerId": owner,
                "isPublic": a.get("public", False), "productCodes": [],
                "architecture": "x86_64", "imageType": "machine",
                "imageOwnerAlias": a.get("alias"), "name": name,
                "description": a.get("description", ""),
                "rootDeviceType": "ebs",
                "rootDeviceName": a["devices"][0]["device"],
                "blockDeviceMapping": [
                    {"deviceName": m["device"],
                     "ebs": {"snapshotId": m["snapshot"],
                             "volumeSize": gib(m), "volumeType": "gp3",
                             "deleteOnTermination": True,
                             "encrypted": False}} for m in a["devices"]],
                "virtualizationType": "hvm", "hypervisor": "xen",
                "enaSupport": True, "creationDate": "2025-11-24T16:00:00.000Z",
                "tagSet": tag_set(a.get("tags", {}))}

    def template_versions(self, ctx, form):
        name = form.get("LaunchTemplateId") or form.get("LaunchTemplateName")
        wanted = form.list("LaunchTemplateVersion")
        resolve = form.boolean("ResolveAlias")
        template = next((t for t in self.world.data.get("launch_templates", [])
                         if name in (t["id"], t["name"])), None)
        if template is None:
            raise AwsError(400, "InvalidLaunchTemplateId.NotFound", "The "
                           f"specified launch template, with ID {name}, "
                           "does not exist.")
        versions = template["versions"]
        last = max(v["version"] for v in versions)
        default = template.get("default", last)
        alias = {"$Latest": last, "$Default": default}
        numbers = [str(alias.get(x, x)) for x in wanted]
        rows = [{"id": template["id"], "tags": {}, "of": v} for v in versions
                if not numbers or str(v["version"]) in numbers]
        if numbers and not rows:
            raise AwsError(400, "InvalidLaunchTemplateId.VersionNotFound",
                           "Could not find the specified version "
                           f"{wanted[0]}.")
        rows, token = self.describe(
            ctx, form, "DescribeLaunchTemplateVersions", "NoId", "lt", rows,
            {"image-id": lambda v: [v["image_id"]]})
        return {"launchTemplateVersionSet": [
            {"launchTemplateId": template["id"],
             "launchTemplateName": template["name"],
             "versionNumber": r["of"]["version"],
             "createTime": "2025-11-24T16:00:00.000Z",
             "createdBy": f"arn:aws:iam::{self.world.account}:user/ops",
             "defaultVersion": r["of"]["version"] == default,
             "launchTemplateData": {
                 "imageId": r["of"]["image_id"] if not resolve or
                 not r["of"]["image_id"].startswith("resolve:ssm:")
                 else r["of"].get("resolved"),
                 "instanceType": "t3.micro"}} for r in rows],
            "nextToken": token}

    def tags(self, ctx, form):
        w = self.world
        rows = []
        for kind, things in (("instance", w.instances), ("volume", w.volumes)):
            for n, t in things.items():
                rows += [{"id": n, "tags": {}, "of": (kind, k, v, n)}
                         for k, v in t.get("tags", {}).items()]
        for s in w.snapshots.values():
            if s.owner == w.account:
                rows += [{"id": s.id, "tags": {}, "of": ("snapshot", k, v, s.id)}
                         for k, v in s.tags.items()]
        rows, token = self.describe(
            ctx, form, "DescribeTags", "NoId", "i", rows,
            {"resource-id": lambda t: [t[3]], "resource-type": lambda t: [t[0]],
             "key": lambda t: [t[1]], "value": lambda t: [t[2]]})
        return {"tagSet": [{"resourceId": r["id"], "resourceType": r["of"][0],
                            "key": r["of"][1], "value": r["of"][2]}
                           for r in rows], "nextToken": token}

    # ---- changing ----

    def given_tags(self, form):
        tags = {}
        for prefix in form.structures("TagSpecification"):
            if form.need(prefix + ".ResourceType") != "snapshot":
                raise AwsError(400, "InvalidParameterValue", "Tag "
                               "specification resource type must be snapshot")
            tags.update(self.tag_list(form, prefix + ".Tag"))
        return tags

    def tag_list(self, form, prefix):
        tags = {}
        for p in form.structures(prefix):
            key = form.need(p + ".Key")
            if len(key) > 128 or key.lower().startswith("aws:"):
                raise AwsError(400, "InvalidParameterValue", f"Tag key {key} "
                               "is not allowed")
            if key in tags:
                raise AwsError(400, "InvalidParameterValue",
                               f"Duplicate tag key '{key}' specified.")
            tags[key] = form.get(p + ".Value", "")
            if len(tags[key]) > 256:
                raise AwsError(400, "InvalidParameterValue",
                               "Tag value exceeds the maximum length of 256")
        if len(tags) > 50:
            raise AwsError(400, "TagLimitExceeded", "More than 50 tags.")
        return tags

    def allow_snapshots(self, ctx, action, form, volumes, tags, instance=None):
        if instance:
            ctx.allow("ec2:" + action, self.arn("instance", instance["id"]),
                      instance.get("tags", {}))
        for v in volumes:
            ctx.allow("ec2:" + action, self.arn("volume", v["id"]),
                      v.get("tags", {}))
        ctx.allow("ec2:" + action, self.arn("snapshot", "*"), {}, tags)
        if tags:
            ctx.allow("ec2:CreateTags", self.arn("snapshot", "*"), {}, tags,
                      {"ec2:createaction": action})
        self.dry(form)

    def create_snapshots(self, ctx, form):
        w = self.world
        name = form.need("InstanceSpecification.InstanceId")
        boot = not form.boolean("InstanceSpecification.ExcludeBootVolume")
        leave = form.list("InstanceSpecification.ExcludeDataVolumeId")
        description = form.get("Description", "")
        from_volume = form.get("CopyTagsFromSource")
        if from_volume not in (None, "volume"):
            raise AwsError(400, "InvalidParameterValue", "CopyTagsFromSource")
        tags = self.given_tags(form)
        i = w.instances.get(name)
        if i is None or i.get("state") == "terminated":
            raise not_found("i", name)
        root = self.root_device(i)
        volumes = [w.volumes[v["id"]] for v in i.get("volumes", [])]
        data = [v["id"] for v in volumes if v["device"] != root]
        for v in leave:
            if v not in data:
                raise AwsError(400, "InvalidParameterValue", f"{v} is not a "
                               f"data volume of {name}")
        volumes = [v for v in volumes if v["id"] not in leave
                   and (boot or v["device"] != root)]
        if not volumes:
            raise AwsError(400, "InvalidParameterValue", "There is no volume "
                           "to make a snapshot of")
        self.allow_snapshots(ctx, "CreateSnapshots", form, volumes, tags, i)
        made = w.make_snapshots(
            [v["id"] for v in volumes], description,
            lambda v: {**(v.get("tags", {}) if from_volume else {}), **tags})
        return {"snapshotSet": [self.made(s) for s in made]}

    def made(self, s):
        return {"description": s.description, "tagSet": tag_set(s.tags),
                "encrypted": False, "volumeId": s.volume, "state": s.state,
                "volumeSize": s.gib, "startTime": iso(s.started),
                "progress": "", "ownerId": s.owner, "snapshotId": s.id}

    def create_snapshot(self, ctx, form):
        w = self.world
        vid = form.need("VolumeId")
        description = form.get("Description", "")
        tags = self.given_tags(form)
        v = w.volumes.get(vid)
        if v is None:
            raise not_found("vol", vid)
        self.allow_snapshots(ctx, "CreateSnapshot", form, [v], tags)
        s, = w.make_snapshots([vid], description, lambda _: tags)
        content = self.made(s)
        content["status"] = content.pop("state")
        return content

    def delete_snapshot(self, ctx, form):
        w = self.world
        sid = form.need("SnapshotId")
        s = w.snapshots.get(sid)
        if s is None or s.owner != w.account:
            raise not_found("snap", sid)
        ctx.allow("ec2:DeleteSnapshot", self.arn("snapshot", sid), s.tags)
        self.dry(form)
        for a in w.images.values():
            if any(m["snapshot"] == sid for m in a["devices"]):
                raise AwsError(400, "InvalidSnapshot.InUse", f"The snapshot "
                               f"{sid} is currently in use by {a['id']}")
        w.delete_snapshot(sid)
        return {"return": True}

    def create_tags(self, ctx, form):
        w = self.world
        names = form.list("ResourceId")
        tags = self.tag_list(form, "Tag")
        if not names or not tags:
            raise AwsError(400, "MissingParameter", "The request must contain "
                           "the parameters ResourceId and Tag")
        for name in names:
            s = w.snapshots.get(name)
            if s is None or s.owner != w.account:
                raise not_found("snap", name)
            ctx.allow("ec2:CreateTags", self.arn("snapshot", name), s.tags,
                      tags)
        self.dry(form)
        for name in names:
            w.snapshots[name].tags.update(tags)
        w.save_made()
        return {"return": True}
