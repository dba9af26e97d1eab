#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A local AWS for the tests: EBS direct, EC2, Auto Scaling, STS, and the places
where credentials come from, written from the public service models. What it
does and does not do is in docs/AWS.md. Nothing of it has run against AWS.

localaws.py --world FILE [--state DIR] [--port N] [--metadata-port N]
            [--control-port N] [--tls] [--ready FILE|FD]

Writes {"endpoint": …, "metadata": …, "control": …} to --ready (or stdout) once
all of it listens, on 127.0.0.1 alone. SIGTERM ends it.
"""
import argparse
import json
import os
import signal
import ssl
import subprocess
import sys
import threading
import time
import traceback

import autoscaling
import ec2
import faults
import http1
import iam
import imds
import protocol
import sigv4
import s3
import ssm
import sts
import world as worlds
from ebs import Ebs
from ebs import route as ebs_route
from http1 import Answer
from images import BLOCK
from protocol import AwsError


class Context:
    """One call: who makes it, and whether they may."""

    def __init__(self, service, identity, region):
        self.service, self.identity = service, identity
        self.region = region

    def allow(self, action, resource, tags=None, request_tags=None, more=None):
        have = {"aws:resourcetag/" + k.lower(): v
                for k, v in (tags or {}).items()}
        have.update({"ec2:resourcetag/" + k.lower(): v
                     for k, v in (tags or {}).items()})
        have.update({"aws:requesttag/" + k.lower(): v
                     for k, v in (request_tags or {}).items()})
        if request_tags is not None:
            have["aws:tagkeys"] = list(request_tags)
        have.update(more or {})
        have["aws:principalarn"] = self.identity.arn
        have["aws:requestedregion"] = self.region
        if not iam.allowed(self.identity.policy, action, resource, have):
            raise protocol.forbidden(self.service, self.identity, action,
                                     resource)


class Stats:
    """Counters. What an answer came to is known when it has been sent, a
    moment after its reader has it: settle() waits for that."""

    def __init__(self):
        self.lock = threading.Lock()
        self.in_flight = 0
        self.reset()

    def settle(self):
        end = time.monotonic() + 0.2
        while self.in_flight and time.monotonic() < end:
            time.sleep(0.001)

    def reset(self):
        self.settle()
        with self.lock:
            self.actions = {}
            self.errors = {}
            self.blocks = {}        # snapshot: {index: times read whole}
            self.spoilt = 0         # blocks that were sent, but damaged
            self.most = 0
            self.requests = 0

    def begin(self):
        with self.lock:
            self.requests += 1
            self.in_flight += 1
            self.most = max(self.most, self.in_flight)

    def end(self, action, answer, code, block, whole):
        bad = answer.fault is not None and answer.fault[0] != "slow"
        with self.lock:
            self.in_flight -= 1
            a = self.actions.setdefault(action, {"ok": 0, "refused": 0,
                                                 "spoilt": 0, "bytes": 0})
            if code:
                a["refused"] += 1
                self.errors[code] = self.errors.get(code, 0) + 1
            elif bad or not whole:
                a["spoilt"] += 1
                self.spoilt += block is not None
            else:
                a["ok"] += 1
                a["bytes"] += len(answer.body)
                if block:
                    read = self.blocks.setdefault(block[0], {})
                    read[block[1]] = read.get(block[1], 0) + 1

    def table(self):
        self.settle()
        with self.lock:
            by = {s: {"read": sum(r.values()), "distinct": len(r)}
                  for s, r in self.blocks.items()}
            read = sum(b["read"] for b in by.values())
            distinct = sum(b["distinct"] for b in by.values())
            return {"requests": self.requests, "actions": self.actions.copy(),
                    "errors": self.errors.copy(),
                    "in_flight_most": self.most,
                    "blocks": {"read": read, "distinct": distinct,
                               "again": read - distinct,
                               "spoilt": self.spoilt, "bytes": read * BLOCK},
                    "snapshots": by}

    def reads(self, sid):
        self.settle()
        with self.lock:
            return {str(i): n for i, n in
                    sorted(self.blocks.get(sid, {}).items())}


class LocalAws:
    def __init__(self, world):
        self.world = world
        self.stats = Stats()
        self.faults = faults.Faults(world.data.get("seed", 1))
        self.faults.set(world.settings["faults"])
        self.rates = faults.Rates(world)
        self.ebs = Ebs(world)
        self.services = {"ec2": ec2.Ec2(world), "sts": sts.Sts(world),
                         "autoscaling": autoscaling.AutoScaling(world)}
        self.s3, self.ssm = s3.S3(world), ssm.Ssm(world)
        self.metadata = imds.Metadata(world)
        self.servers = {}

    # ---- signed services ----

    def route(self, r):
        """(service, action, what it is about, how to do it)"""
        if r.path.startswith(b"/snapshots"):
            action, sid, index = ebs_route(r.method, r.path)
            query = sigv4.parse_query(r.query)
            what = {"snapshot": sid}
            if index is not None and index.isdigit():
                what["index"] = int(index)
            return "ebs", action, what, lambda ctx: self.ebs.call(
                ctx, action, sid, index, query)
        if s3.S3.is_for(r.path):
            query = sigv4.parse_query(r.query)
            action = self.s3.action(r.method, query)
            first = (r.header("Range") or "").removeprefix("bytes=")
            what = {"index": int(first.split("-")[0]) // BLOCK} \
                if first[:1].isdigit() else {}
            return "s3", action, what, lambda ctx: self.s3.call(ctx, action, r,
                                                                query)
        target = r.header("X-Amz-Target") or ""
        if r.method == "POST" and r.path == b"/" and \
                target.startswith(ssm.TARGET):
            action = target[len(ssm.TARGET):]
            return "ssm", action, {}, lambda ctx: self.ssm.call(ctx, action,
                                                                r.body)
        if r.method != "POST" or r.path != b"/":
            raise AwsError(404, "UnknownOperationException",
                           "The requested operation is not recognized.")
        kind = (r.header("Content-Type") or "").split(";")[0].strip().lower()
        if kind != "application/x-www-form-urlencoded":
            raise AwsError(400, "InvalidAction", "A form is expected.")
        form = protocol.Form(r.body)
        action = form.get("Action", "")
        service = protocol.VERSIONS.get(form.get("Version"))
        if service is None:
            raise AwsError(400, "InvalidAction", "Could not find operation "
                           f"{action} for version {form.get('Version')}")
        return service, action, {"snapshot": form.get("SnapshotId")}, \
            lambda ctx: self.services[service].call(ctx, action, form)

    def authenticate(self, r, service):
        w = self.world
        skew = w.settings["skew_seconds"]
        skew = skew.get(service, skew["default"])
        query = sigv4.parse_query(r.query)
        try:
            if service == "s3" and sigv4.is_presigned(query):
                return sigv4.verify_presigned(r.method, r.path, query,
                                              r.headers, w.keys.find, w.region,
                                              service, w.now())
            return sigv4.verify(r.method, r.path, sigv4.parse_query(r.query),
                                r.headers, r.body, w.keys.find, w.region,
                                service, w.now(), skew)
        except sigv4.Refused as e:
            raise protocol.auth_error(service, w.settings["auth_errors"],
                                      e) from None

    def answer(self, r, service, action, what, work):
        """The answer, perhaps with a fault to send it with."""
        if action == "AssumeRoleWithWebIdentity":
            identity = iam.Identity("", "", "anonymous", iam.policy_of({}))
        else:
            identity = self.authenticate(r, service)
        over = self.rates.over(action, self.world.account,
                               what.get("snapshot"))
        if over:
            raise protocol.throttled(service, "ACCOUNT_THROTTLED" if
                                     over == "account" else
                                     "RESOURCE_LEVEL_THROTTLE")
        what.update(action=action, service=service, key=identity.key)
        fault = self.faults.draw(what)
        if fault and fault[0] in faults.ERRORS:
            raise protocol.fault_error(service, *fault, self.world, what)
        answer = work(Context(service, identity, self.world.region))
        if fault:
            self.spoil(answer, *fault)
        return answer

    def spoil(self, answer, kind, how):
        """Faults in a header are made here, the others while sending."""
        if kind == "checksum":
            wrong = "A" * 43 + "="
            answer.headers = [(n, wrong if n == "x-amz-Checksum" else
                               "bytes 0-0/1" if n == "Content-Range" else v)
                              for n, v in answer.headers]
        elif kind == "nochecksum":
            answer.headers = [(n, v) for n, v in answer.headers
                              if n not in ("x-amz-Checksum", "Content-Range")]
        answer.fault = (kind, how)

    def handle(self, r):
        if r.path in (b"/federation/credentials", b"/token"):
            return self.metadata.handle(r)
        self.stats.begin()
        service, action, what, code = "ebs", "unknown", {}, None
        try:
            service, action, what, work = self.route(r)
            answer = self.answer(r, service, action, what, work)
        except AwsError as e:
            make = {"s3": s3.error_answer, "ssm": ssm.error_answer}
            answer = make[service](e) if service in make else \
                protocol.error_answer(service, e)
            code = e.code
        except Exception as e:      # a mistake of this server
            print(f"localaws: {action}: {e!r}", file=sys.stderr, flush=True)
            traceback.print_exc()
            code = "localaws"
            answer = Answer(500, [], f"localaws: {e!r}\n".encode())
        block = (what["snapshot"], what["index"]) \
            if action == "GetSnapshotBlock" and "index" in what else None
        answer.clock = self.world.settings["clock_offset"]
        answer.done = lambda whole: self.stats.end(action, answer, code, block,
                                                   whole)
        return answer

    # ---- switches ----

    def control(self, r):
        if r.method == "GET" and r.path == b"/_stats":
            table = self.stats.table()
            table["faults"] = self.faults.counts.copy()
            table["connections"] = {n: s.opened
                                    for n, s in self.servers.items()}
            return imds.as_json(200, table)
        if r.method == "GET" and r.path == b"/_reads":
            sid = dict(sigv4.parse_query(r.query)).get(b"snapshot", b"")
            return imds.as_json(200, self.stats.reads(sid.decode()))
        if r.method == "GET" and r.path == b"/_snapshots":
            return imds.as_json(200, [
                {**s.entry(), "made": s.made, "owner": s.owner,
                 "gib": s.gib, "blocks": len(s.image.indexes)
                 if s.image_path else 0}
                for s in list(self.world.snapshots.values())])
        if r.method != "POST" or r.path != b"/_control":
            return imds.as_json(404, {"error": "POST /_control, GET /_stats, "
                                      "/_reads?snapshot=, /_snapshots"})
        try:
            asked = json.loads(r.body)
            for key, value in asked.items():
                self.switch(key, value)
        except (ValueError, KeyError, TypeError, AttributeError,
                OSError) as e:
            return imds.as_json(400, {"error": repr(e)})
        return imds.as_json(200, {})

    def switch(self, key, value):
        w = self.world
        if key == "reset_stats":
            self.stats.reset()
            self.faults.counts = {}
        elif key == "dead":
            self.die(value)
        elif key == "expire_sessions":
            w.keys.not_before = w.now()
        elif key == "expire_keys":
            w.keys.revoked = set(value)
        elif key == "flip":         # a bit of an object in S3
            self.s3.flip((value["bucket"], value["key"]), value["offset"])
        elif key == "object":       # of S3
            self.s3.control(value)
        elif key == "write":
            w.write_volume(value["volume"], value["offset"],
                           bytes.fromhex(value["hex"]))
        elif key == "instance":     # e.g. it gets terminated meanwhile
            w.instances[value["id"]].update(value)
        elif key == "snapshot":
            s = w.snapshots[value["id"]]
            for name in ("state", "tier", "public", "owner", "refusals",
                         "touched"):
                if name in value:
                    setattr(s, name, value[name])
        elif key in w.settings:
            if isinstance(w.settings[key], dict) and key not in (
                    "rates", "snapshot_fate", "session_seconds", "imds",
                    "container", "sso"):
                unknown = set(value) - set(w.settings[key])
                if unknown and key != "skew_seconds":
                    raise KeyError(*unknown)
                w.settings[key] = {**w.settings[key], **value}
            else:
                w.settings[key] = value
            if key == "faults":
                self.faults.set(value)
            elif key == "rates":
                self.rates.reset()
        else:
            raise KeyError(key)

    def die(self, how):
        """"refuse": connections refused, those there reset; "hang": accepted,
        never answered; false: alive again, on the same ports."""
        for name, server in self.servers.items():
            if name not in ("control", "metadata"):
                server.deaf = how == "hang"
                if how in (True, "refuse"):
                    server.close()
                elif server.listener is None:
                    server.open()


def make_certificates(state):
    """A CA of its own and a certificate for localhost and 127.0.0.1."""
    ca, cert = os.path.join(state, "ca.pem"), os.path.join(state, "cert.pem")
    if os.path.exists(cert):
        return ca, cert

    def openssl(*words):
        subprocess.run(["openssl", *words], check=True, cwd=state,
                       stdin=subprocess.DEVNULL, capture_output=True)
    with open(os.path.join(state, "ext"), "w", encoding="utf-8") as f:
        f.write("subjectAltName=DNS:localhost,DNS:*.localhost,IP:127.0.0.1\n"
                "basicConstraints=CA:FALSE\n")
    ec = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
          "-nodes")
    openssl("req", "-x509", *ec, "-keyout", "ca.key", "-out", "ca.pem",
            "-days", "30", "-subj", "/CN=local AWS CA")
    openssl("req", *ec, "-keyout", "cert.key", "-out", "cert.csr",
            "-subj", "/CN=localhost")
    openssl("x509", "-req", "-in", "cert.csr", "-CA", "ca.pem", "-CAkey",
            "ca.key", "-CAcreateserial", "-days", "30", "-extfile", "ext",
            "-out", "cert.part")
    os.rename(os.path.join(state, "cert.part"), cert)
    return ca, cert


def start(aws, args):
    """Opens the ports; what to tell whoever uses them."""
    host = "127.0.0.1"
    tell = {"pid": os.getpid(), "region": aws.world.region,
            "account": aws.world.account, "state": aws.world.state}
    servers = aws.servers
    servers["aws"] = http1.Server(host, args.port, aws.handle)
    servers["metadata"] = http1.Server(host, args.metadata_port,
                                       aws.metadata.handle)
    servers["control"] = http1.Server(host, args.control_port, aws.control)
    tell["endpoint"] = f"http://{host}:{servers['aws'].port}"
    tell["metadata"] = f"http://{host}:{servers['metadata'].port}"
    tell["control"] = f"http://{host}:{servers['control'].port}"
    if args.tls:
        ca, cert = make_certificates(aws.world.state)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, os.path.join(aws.world.state,
                                                   "cert.key"))
        servers["tls"] = http1.Server(host, args.tls_port, aws.handle, context)
        tell["tls"] = f"https://{host}:{servers['tls'].port}"
        tell["ca"] = ca
    return tell


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--world", required=True)
    p.add_argument("--state")
    p.add_argument("--port", type=int, default=0)
    p.add_argument("--metadata-port", type=int, default=0)
    p.add_argument("--control-port", type=int, default=0)
    p.add_argument("--tls", action="store_true")
    p.add_argument("--tls-port", type=int, default=0)
    p.add_argument("--ready")
    args = p.parse_args()
    aws = LocalAws(worlds.World(args.world, args.state))
    sys.setswitchinterval(0.001)
    done = threading.Event()
    for s in (signal.SIGTERM, signal.SIGINT):
        signal.signal(s, lambda *_: done.set())
    tell = json.dumps(start(aws, args)) + "\n"
    if args.ready and not args.ready.isdigit():
        with open(args.ready + ".part", "w", encoding="utf-8") as f:
            f.write(tell)
        os.rename(args.ready + ".part", args.ready)
    elif args.ready:
        os.write(int(args.ready), tell.encode())
        os.close(int(args.ready))
    else:
        print(tell, end="", flush=True)
    done.wait()
    for server in aws.servers.values():
        server.close()
    time.sleep(0.05)


if __name__ == "__main__":
    main()
