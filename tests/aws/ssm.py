# SPDX-License-Identifier: Apache-2.0
"""Systems Manager: a command runs here as it would on the instance, by sh, in a
folder of its own, with INSTANCE_ID in its environment. An instance of the world
whose "ssm" is "away" has no agent."""
import json
import subprocess
import tempfile
import threading
import time
import uuid

from http1 import Answer
from protocol import AwsError

TARGET = "AmazonSSM."


def answer(content):
    return Answer(200, [("Content-Type", "application/x-amz-json-1.1")],
                  json.dumps(content).encode())


def error_answer(e):
    body = json.dumps({"__type": e.code, "message": str(e)}).encode()
    return Answer(e.status, [("Content-Type", "application/x-amz-json-1.1")],
                  body)


class Invocation:
    def __init__(self, ready):
        self.ready = ready      # from then on GetCommandInvocation knows it
        self.status, self.code, self.out, self.err = "InProgress", -1, "", ""
        self.process = None


class Ssm:
    def __init__(self, world):
        self.world = world
        self.commands = {}      # (command, instance): Invocation

    def call(self, ctx, action, body):
        try:
            asked = json.loads(body)
        except ValueError:
            raise AwsError(400, "SerializationException", "") from None
        method = {"SendCommand": self.send,
                  "GetCommandInvocation": self.get,
                  "CancelCommand": self.cancel}.get(action)
        if method is None:
            raise AwsError(400, "UnknownOperationException", "")
        return answer(method(ctx, asked))

    def send(self, ctx, asked):
        known = {"DocumentName", "InstanceIds", "TimeoutSeconds", "Comment",
                 "Parameters"}
        if set(asked) - known or len(asked.get("Comment", "")) > 100:
            raise AwsError(400, "ValidationException", "1 validation error")
        if asked.get("DocumentName") != "AWS-RunShellScript":
            raise AwsError(400, "InvalidDocument", "The document is not there.")
        parameters = asked["Parameters"]
        if set(parameters) - {"commands", "executionTimeout"} or \
                len(json.dumps(parameters)) > 65536:
            raise AwsError(400, "InvalidParameters", "")
        w = self.world
        ctx.allow("ssm:SendCommand", f"arn:aws:ssm:{w.region}:*:document/"
                  "AWS-RunShellScript")
        for i in asked["InstanceIds"]:
            ctx.allow("ssm:SendCommand",
                      f"arn:aws:ec2:{w.region}:{w.account}:instance/{i}")
            if w.instances.get(i, {}).get("ssm") == "away" or \
                    i not in w.instances:
                raise AwsError(400, "InvalidInstanceId", "Instances not in a "
                               "valid state for account")
        command = str(uuid.uuid4())
        for i in asked["InstanceIds"]:
            # known everywhere only a little later
            inv = self.commands[command, i] = Invocation(time.monotonic() + 0.4)
            threading.Thread(target=self.run, daemon=True, args=(
                inv, i, parameters["commands"],
                int(parameters["executionTimeout"][0]))).start()
        return {"Command": {"CommandId": command, "Status": "Pending",
                            "InstanceIds": asked["InstanceIds"]}}

    def run(self, inv, instance, lines, seconds):
        with tempfile.TemporaryDirectory() as place:
            env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root",
                   "INSTANCE_ID": instance, "TMPDIR": place,
                   "HERDFS_TEST_MEMORY": self.world.instances[instance]
                   .get("memory", "")}
            inv.process = subprocess.Popen(
                ["sh", "-c", "\n".join(lines)], cwd=place, env=env, text=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, errors="replace")
            try:
                out, err = inv.process.communicate(timeout=seconds)
                status = "Success" if inv.process.returncode == 0 else "Failed"
            except subprocess.TimeoutExpired:
                inv.process.kill()
                out, err = inv.process.communicate()
                status = "TimedOut"
        inv.out, inv.err = out[:24000], err[:8000]
        inv.code, inv.status = inv.process.returncode, status

    def get(self, ctx, asked):
        ctx.allow("ssm:GetCommandInvocation", "*")
        inv = self.commands.get((asked["CommandId"], asked["InstanceId"]))
        if inv is None or time.monotonic() < inv.ready:
            raise AwsError(400, "InvocationDoesNotExist", "")
        return {"CommandId": asked["CommandId"],
                "InstanceId": asked["InstanceId"], "Status": inv.status,
                "StatusDetails": inv.status, "ResponseCode": inv.code,
                "StandardOutputContent": inv.out,
                "StandardErrorContent": inv.err}

    def cancel(self, ctx, asked):
        ctx.allow("ssm:CancelCommand", "*")
        for (command, _), inv in self.commands.items():
            if command == asked["CommandId"] and inv.process:
                inv.process.kill()
        return {}
