# SPDX-License-Identifier: Apache-2.0
"""A client for the local AWS's own test: signed requests over one connection,
and each thing that can be wrong with one."""
import http.client
import json
import os
import subprocess
import sys
import time
import urllib.parse
import xml.etree.ElementTree as ElementTree

import sigv4

HERE = os.path.dirname(os.path.abspath(__file__))
KEY = ("AKIAHERDFSTEST000000", "local/only+secret/for/the/tests0123456789")


def quote(text):
    return urllib.parse.quote(text, safe="")


class Reply:
    def __init__(self, status, headers, body):
        self.status, self.body = status, body
        self.headers = {k.lower(): v for k, v in headers}

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        """The error's code, of whatever protocol; None for a good answer."""
        if self.status == 200:
            return None
        if "x-amzn-errortype" in self.headers:
            return self.headers["x-amzn-errortype"]
        return self.find("Code")

    @property
    def reason(self):
        return self.json.get("Reason")

    def all(self, name):
        return [e.text or "" for e in ElementTree.fromstring(self.body).iter()
                if e.tag.split("}")[-1] == name]

    def find(self, name):
        found = self.all(name)
        return found[0] if found else None


class Server:
    """One that runs, started by start()."""

    def __init__(self, process, tell):
        self.process, self.tell = process, tell
        self.host = tell["endpoint"].removeprefix("http://")
        self.region = tell["region"]

    @classmethod
    def start(cls, world, *options):
        read, write = os.pipe()
        p = subprocess.Popen(
            [sys.executable, "-B", os.path.join(HERE, "localaws.py"),
             "--world", world, "--ready", str(write), *options],
            pass_fds=[write], stdin=subprocess.DEVNULL)
        os.close(write)
        with os.fdopen(read) as f:
            text = f.read()
        if not text:
            raise RuntimeError("the server did not start")
        return cls(p, json.loads(text))

    def stop(self):
        self.process.terminate()
        self.process.wait()

    # ---- without signature ----

    def plain(self, base, method, path, headers=None, body=None, timeout=20):
        c = http.client.HTTPConnection(base.removeprefix("http://"),
                                       timeout=timeout)
        try:
            c.request(method, path, body, headers or {})
            r = c.getresponse()
            return Reply(r.status, r.getheaders(), r.read())
        finally:
            c.close()

    def control(self, **switches):
        r = self.plain(self.tell["control"], "POST", "/_control",
                       body=json.dumps(switches))
        if r.status != 200:
            raise RuntimeError(r.body)

    def stats(self):
        return self.plain(self.tell["control"], "GET", "/_stats").json

    # ---- signed ----

    def send(self, method, path, query="", headers=(), body=b"", service="ebs",
             key=KEY, token=None, now=None, region=None, sign_path=None,
             sign_query=None, leave_out=(), change=None, timeout=20):
        """sign_path, sign_query: what to sign instead of what is sent;
        change: a function of the headers before they go."""
        base = [("Host", self.host), *headers]
        signed = sigv4.sign(
            method, (sign_path or path).encode(),
            (query if sign_query is None else sign_query).encode(), base, body,
            *key, region or self.region, service,
            time.time() if now is None else now, token, leave_out)
        every = base + signed
        if change:
            every = change(every)
        c = http.client.HTTPConnection(self.host, timeout=timeout)
        try:
            c.putrequest(method, path + ("?" + query if query else ""),
                         skip_host=True, skip_accept_encoding=True)
            for n, v in every:
                c.putheader(n, v)
            if body:
                c.putheader("Content-Length", str(len(body)))
            c.endheaders(body or None)
            r = c.getresponse()
            return Reply(r.status, r.getheaders(), r.read())
        finally:
            c.close()

    def call(self, service, action, params=None, **more):
        version = {"ec2": "2016-11-15", "autoscaling": "2011-01-01",
                   "sts": "2011-06-15"}[service]
        body = urllib.parse.urlencode({"Action": action, "Version": version,
                                       **(params or {})}).encode()
        return self.send("POST", "/", body=body, service=service, headers=[
            ("Content-Type", "application/x-www-form-urlencoded; "
             "charset=utf-8")], **more)

    def ec2(self, action, params=None, **more):
        return self.call("ec2", action, params, **more)

    def pages(self, path, first="", **more):
        """All answers of a list, as they come."""
        out = []
        query = first
        while True:
            r = self.send("GET", path, query, **more)
            if r.status != 200:
                return r
            out.append(r.json)
            token = r.json.get("NextToken")
            if not token:
                return out
            query = "&".join(filter(None, [
                first, "pageToken=" + quote(token)]))

    def blocks(self, sid):
        return {b["BlockIndex"]: b["BlockToken"]
                for page in self.pages(f"/snapshots/{sid}/blocks")
                for b in page["Blocks"]}

    def block(self, sid, index, token, **more):
        return self.send("GET", f"/snapshots/{sid}/blocks/{index}",
                         "blockToken=" + quote(token), **more)
