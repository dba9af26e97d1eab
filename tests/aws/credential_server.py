#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# What hands out AWS credentials, for unit tests: STS, the SSO portal, a
# container's and an instance's metadata, on 127.0.0.1 (or --bind). It refuses
# whatever the real ones would refuse, and says so on its stderr.
#
# The first part of the path is the scenario, the next one, where it is a
# number, how long credentials live: /sts/3600, /imds/900, /container/60?…
# Their time begins at NOW and goes on by that much with each answer. The
# server's clock says NOW plus what PUT /clock/SECONDS said last.
# GET /count/NAME: how many requests of that kind there were.

import argparse
import calendar
import hashlib
import hmac
import json
import re
import sys
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

args = argparse.ArgumentParser()
args.add_argument("--now", type=int, default=1800000000)
args.add_argument("--bind", default="127.0.0.1")
args.add_argument("--port", type=int, default=0)
args.add_argument("--web-token", help="file with the token that is right")
args = args.parse_args()

clock = 0
counts = {}
# id: (secret, token); those that were handed out come to it
keys = {"AKIDBASE": ("base/secret+KEY", None),
        "AKIDTEMP": ("temp/secret", "temp-token+/=")}
imds_tokens = set()


class Refused(Exception):
    def __init__(self, status, code, message):
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


def check(condition, message, status=400, code="BadRequest"):
    if not condition:
        raise Refused(status, code, message)


def iso(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def quote(text):
    return urllib.parse.quote(text, safe="-._~")


def check_signature(handler, body):
    """Signature Version 4, over all that was signed; gives the key's id."""
    given = handler.headers.get("Authorization", "")
    m = re.fullmatch(r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/sts"
                     r"/aws4_request, ?SignedHeaders=([^,]+), ?"
                     r"Signature=([0-9a-f]{64})", given)
    check(m, "no signature", 403, "MissingAuthenticationToken")
    key, day, region, names, signature = m.groups()
    check(key in keys, "unknown key " + key, 403, "InvalidClientTokenId")
    secret, token = keys[key]
    names = names.split(";")
    check(names == sorted(names), "order of headers")
    for name in ("host", "x-amz-date"):
        check(name in names, name + " is not signed", 403)
    if token is not None:
        check("x-amz-security-token" in names, "token is not signed", 403)
    check(handler.headers.get("X-Amz-Security-Token") == token,
          "token is not that of the key", 403, "InvalidClientTokenId")
    date = handler.headers["X-Amz-Date"]
    check(date.startswith(day), "days differ", 403)
    when = calendar.timegm(time.strptime(date, "%Y%m%dT%H%M%SZ"))
    check(abs(when - args.now - clock) <= 300, "Signature expired: " + date,
          403, "SignatureDoesNotMatch")
    url = urllib.parse.urlsplit(handler.path)
    canonical = "\n".join(
        ["POST", urllib.parse.quote(url.path, safe="/-._~"), url.query] +
        [n + ":" + " ".join(handler.headers[n].split()) for n in names] +
        ["", ";".join(names), hashlib.sha256(body).hexdigest()])
    scope = "/".join([day, region, "sts", "aws4_request"])
    to_sign = "\n".join(["AWS4-HMAC-SHA256", date, scope,
                         hashlib.sha256(canonical.encode()).hexdigest()])
    k = ("AWS4" + secret).encode()
    for part in (day, region, "sts", "aws4_request", to_sign):
        k = hmac.new(k, part.encode(), hashlib.sha256).digest()
    check(k.hex() == signature, "signature differs", 403,
          "SignatureDoesNotMatch")
    return key


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def date_time_string(self, timestamp=None):
        return super().date_time_string(args.now + clock)

    def answer(self, status, text, kind="text/plain"):
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def count(self, name):
        counts[name] = counts.get(name, 0) + 1
        return counts[name]

    def handle_any(self):
        global clock
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urllib.parse.urlsplit(self.path)
        parts = url.path.strip("/").split("/")
        query = dict(urllib.parse.parse_qsl(url.query))
        scenario = parts.pop(0)
        life = int(parts.pop(0)) if parts and parts[0].isdigit() else 3600
        if scenario == "count":
            return self.answer(200, str(counts.get(parts[0], 0)))
        if scenario == "clock":
            clock = life
            return self.answer(200, "")
        self.count(scenario)
        try:
            handler = getattr(self, "do_" + scenario.split("-")[0])
            handler(scenario, life, "/".join(parts), query, body)
        except Refused as r:
            sys.stderr.write("%s %s: %s\n" % (self.command, url.path, r))
            if scenario.startswith("sts"):
                self.answer(r.status, "<ErrorResponse><Error><Type>Sender"
                            "</Type><Code>%s</Code><Message>%s</Message>"
                            "</Error></ErrorResponse>" % (r.code, r), "text/xml")
            else:
                self.answer(r.status, json.dumps({"message": str(r)}))

    do_GET = do_PUT = do_POST = handle_any

    def make(self, what, life):
        """Keys, the n-th of their kind."""
        n = self.count("made-" + what)
        made = ("ASIA%s%d" % (re.sub("[^A-Z]", "", what.upper()), n),
                "secret/%s+%d" % (what, n), "token-%s-%d+/=" % (what, n))
        keys[made[0]] = made[1:]
        return made + (args.now + life * n,)

    # ---- STS ----

    def do_sts(self, scenario, life, rest, query, body):
        check(self.command == "POST" and not rest and not query, "request")
        check(self.headers["Content-Type"] ==
              "application/x-www-form-urlencoded; charset=utf-8", "type")
        form = urllib.parse.parse_qs(body.decode(), strict_parsing=True)
        check(all(len(v) == 1 for v in form.values()), "twice")
        form = {k: v[0] for k, v in form.items()}
        check(form["Version"] == "2011-06-15", "Version")
        m = re.fullmatch(r"arn:aws:iam::123456789012:role/([\w+=,.@/-]+)",
                         form["RoleArn"])
        check(m, "RoleArn", code="ValidationError")
        role = m[1]
        check(re.fullmatch(r"[\w+=,.@-]{2,64}", form["RoleSessionName"]),
              "RoleSessionName", code="ValidationError")
        if form["Action"] == "AssumeRole":
            by = check_signature(self, body)
            check("WebIdentityToken" not in form, "token")
        else:
            check(form["Action"] == "AssumeRoleWithWebIdentity", "Action")
            check("Authorization" not in self.headers, "signed")
            with open(args.web_token) as f:
                check(form["WebIdentityToken"] == f.read().strip(),
                      "token is not right", 400, "InvalidIdentityToken")
            by = "web identity"
        n = self.count("role-" + role)
        check("external" not in role or form.get("ExternalId") == "ext ernal/&1",
              "ExternalId", 403, "AccessDenied")
        check("external" in role or "ExternalId" not in form, "ExternalId")
        check(("long" in role) == (form.get("DurationSeconds") == "7200"),
              "DurationSeconds")
        check("named" not in role or form["RoleSessionName"] == "an@lyst",
              "RoleSessionName")
        check("denied" not in role, "User: x is not authorized to perform: "
              "sts:AssumeRole", 403, "AccessDenied")
        check("throttled" not in role or n > 1, "Rate exceeded", 400,
              "Throttling")
        if "broken" in role and n < 3:
            return self.answer(503, "")
        if "chained" in role:
            check(by.startswith("ASIA"), "by " + by, 403, "AccessDenied")
        made = self.make(role, life)
        if "partial" in role:
            return self.answer(200, "<AssumeRoleResponse><AssumeRoleResult>"
                               "<Credentials><AccessKeyId>%s</AccessKeyId>"
                               "<SecretAccessKey>%s" % made[:2])
        result = form["Action"]
        self.answer(200, """<%sResponse xmlns="https://sts.amazonaws.com/doc/\
2011-06-15/">
  <%sResult>
    <AssumedRoleUser><Arn>arn:aws:sts::123456789012:assumed-role/x</Arn>
    </AssumedRoleUser>
    <Credentials>
      <AccessKeyId>%s</AccessKeyId>
      <SecretAccessKey>%s</SecretAccessKey>
      <SessionToken>%s</SessionToken>
      <Expiration>%s</Expiration>
    </Credentials>
  </%sResult>
</%sResponse>""" % (result, result, *made[:3], iso(made[3]), result, result),
                    "text/xml")

    # ---- the SSO portal ----

    def do_sso(self, scenario, life, rest, query, body):
        check(self.command == "GET" and rest == "federation/credentials",
              "request")
        check(self.headers["x-amz-sso_bearer_token"] == "sso-token/+=1" and
              scenario != "sso-401", "Session token not found or invalid", 401)
        check("Authorization" not in self.headers, "signed")
        check(query == {"role_name": "Read&Only", "account_id": "123456789012"},
              "No access", 403)
        made = self.make("sso", life)
        self.answer(200, json.dumps({"roleCredentials": {
            "accessKeyId": made[0], "secretAccessKey": made[1],
            "sessionToken": made[2], "expiration": made[3] * 1000}}))

    # ---- a container ----

    def do_container(self, scenario, life, rest, query, body):
        check(self.command == "GET", "method")
        wanted = query.get("token")
        if "file" in query:
            with open(query["file"]) as f:
                wanted = f.read().rstrip("\n")
        check(self.headers.get("Authorization") == wanted, "Authorization", 401)
        made = self.make("container", life)
        self.answer(200, json.dumps({
            "RoleArn": "arn", "AccessKeyId": made[0], "SecretAccessKey": made[1],
            "Token": made[2], "Expiration": iso(made[3])}))

    # ---- an instance ----

    def do_imds(self, scenario, life, rest, query, body):
        if rest == "latest/api/token":
            self.count(scenario + "-put")
            if scenario == "imds-slow":
                time.sleep(3)
            if scenario == "imds-v1":
                raise Refused(404, "", "no such thing")
            check(scenario != "imds-off", "off", 403)
            ttl = self.headers["X-aws-ec2-metadata-token-ttl-seconds"]
            check(self.command == "PUT" and 1 <= int(ttl) <= 21600, "TTL")
            check("X-Forwarded-For" not in self.headers, "proxy", 403)
            token = "IMDS%dtoken==" % len(imds_tokens)
            imds_tokens.add(token)
            return self.answer(200, token)
        self.count(scenario + "-get")
        check(self.command == "GET", "method", 405)
        check(scenario == "imds-v1" or
              self.headers["X-aws-ec2-metadata-token"] in imds_tokens,
              "no token", 401)
        where = "latest/meta-data/iam/security-credentials"
        if rest == where:
            check(scenario != "imds-norole", "none", 404)
            return self.answer(200, "web-role")
        check(rest == where + "/web-role", "path", 404)
        if scenario == "imds-failed":
            return self.answer(200, json.dumps({
                "Code": "AssumeRoleUnauthorizedAccess",
                "Message": "EC2 cannot assume the role web-role."}))
        made = self.make("imds", life)
        self.answer(200, json.dumps({
            "Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": made[0],
            "SecretAccessKey": made[1], "Token": made[2],
            "Expiration": iso(made[3])}))

    def do_latest(self, scenario, life, rest, query, body):
        """The real addresses, which have no scenario in front."""
        self.do_imds("imds", life, "latest/" + rest, query, body)

    def do_v2(self, scenario, life, rest, query, body):
        check(rest == "credentials/abc-1", "path", 404)
        self.do_container("container", life, rest, query, body)


server = ThreadingHTTPServer((args.bind, args.port), Handler)
server.daemon_threads = True
print(server.server_address[1], flush=True)
server.serve_forever()
