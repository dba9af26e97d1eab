# SPDX-License-Identifier: Apache-2.0
"""Auto Scaling: which instances a group has."""
from protocol import AwsError, iso, page_start, page_token, xml_answer


def template(t):
    return {"LaunchTemplateId": t["id"], "LaunchTemplateName": t["name"],
            "Version": str(t["version"])} if t else None


class AutoScaling:
    def __init__(self, world):
        self.world = world

    def call(self, ctx, action, form):
        if action != "DescribeAutoScalingGroups":
            raise AwsError(400, "InvalidAction", f"Could not find operation "
                           f"{action} for version 2011-01-01")
        ctx.allow("autoscaling:" + action, "*")
        names = form.list("AutoScalingGroupNames.member")
        with_instances = form.boolean("IncludeInstances", True)
        limit = form.integer("MaxRecords", 1, 100, 50)
        token = form.get("NextToken")
        rows = [g for g in self.world.groups.values()
                if not names or g["name"] in names]
        for prefix in form.structures("Filters.member"):
            name = form.need(prefix + ".Name")
            values = form.list(prefix + ".Values.member")
            rows = [g for g in rows if self.passes(g, name, values)]
        if form.rest():
            raise AwsError(400, "ValidationError", f"{form.rest()[0]} is not "
                           "expected.")
        start = 0
        if token is not None:
            start = page_start(self.world, action, token)
            if start is None:
                raise AwsError(400, "InvalidNextToken",
                               "The NextToken value is not valid.")
        end = start + limit
        return xml_answer("autoscaling", action, {
            "AutoScalingGroups": [self.group(g, with_instances)
                                  for g in rows[start:end]],
            "NextToken": page_token(self.world, action, end)
            if end < len(rows) else None})

    def passes(self, g, name, values):
        tags = g.get("tags", {})
        if name == "tag-key":
            return any(v in tags for v in values)
        if name == "tag-value":
            return any(v in tags.values() for v in values)
        if name.startswith("tag:"):
            return tags.get(name[4:]) in values
        raise AwsError(400, "ValidationError", f"Filter type {name} is not "
                       "correct.")

    def group(self, g, with_instances):
        w = self.world
        name = g["name"]
        members = [w.instances.get(i, {"id": i}) for i in g["instances"]]
        return {
            "AutoScalingGroupName": name,
            "AutoScalingGroupARN":
                f"arn:aws:autoscaling:{w.region}:{w.account}:"
                "autoScalingGroup:6f0f5c1e-0000-4000-8000-000000000000:"
                f"autoScalingGroupName/{name}",
            "LaunchTemplate": None if g.get("mixed") else
            template(g.get("launch_template")),
            "MixedInstancesPolicy": {"LaunchTemplate": {
                "LaunchTemplateSpecification":
                    template(g["launch_template"]), "Overrides": []}}
            if g.get("mixed") else None,
            "MinSize": 0, "MaxSize": 100, "DesiredCapacity": len(members),
            "DefaultCooldown": 300,
            "AvailabilityZones": [w.region + "a"], "LoadBalancerNames": [],
            "HealthCheckType": "EC2", "HealthCheckGracePeriod": 0,
            "Instances": [{
                "InstanceId": i["id"], "InstanceType": i.get("type",
                                                             "t3.micro"),
                "AvailabilityZone": i.get("az", w.region + "a"),
                "LifecycleState": i.get("lifecycle", "InService"),
                "HealthStatus": i.get("health", "Healthy"),
                "LaunchTemplate": template(i.get("launch_template")
                                           or g.get("launch_template")),
                "ProtectedFromScaleIn": i.get("protected", False)}
                for i in members] if with_instances else [],
            "CreatedTime": iso(w.when(g.get("created", 1_760_000_000))),
            "SuspendedProcesses": [],
            "VPCZoneIdentifier": g.get("subnets", "subnet-0a1b2c3d"),
            "EnabledMetrics": [],
            "Tags": [{"ResourceId": name, "ResourceType": "auto-scaling-group",
                      "Key": k, "Value": v, "PropagateAtLaunch": True}
                     for k, v in g.get("tags", {}).items()],
            "TerminationPolicies": ["Default"],
            "NewInstancesProtectedFromScaleIn": False,
            "ServiceLinkedRoleARN":
                f"arn:aws:iam::{w.account}:role/aws-service-role/"
                "autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling",
            "TrafficSources": []}
