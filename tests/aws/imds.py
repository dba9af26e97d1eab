# SPDX-License-Identifier: Apache-2.0
"""Where an instance or a container gets its credentials: IMDSv2 (there is no
version 1), the container endpoint, and the SSO portal. Not signed."""
import hashlib
import hmac
import json

import sigv4
from http1 import Answer
from protocol import iso


def plain(status, text, headers=()):
    return Answer(status, [("Content-Type", "text/plain"), *headers],
                  text.encode())


def as_json(status, content, headers=()):
    return Answer(status, [("Content-Type", "application/json"), *headers],
                  json.dumps(content).encode())


class Metadata:
    def __init__(self, world):
        self.world = world

    def handle(self, r):
        path = r.path.decode("latin-1")
        if path.startswith("/latest/"):
            return self.imds(r, path)
        if path == "/federation/credentials":
            return self.sso(r)
        if path == "/token":
            return self.sso_token(r)
        return self.container(r, path)

    def session(self, kind, role, name):
        seconds = self.world.settings["session_seconds"].get(kind, 21600)
        return self.world.keys.session(role, name, seconds)

    # ---- an instance ----

    def token(self, expires):
        text = f"{expires:.3f}"
        mac = hmac.digest(self.world.secret, b"imds" + text.encode(), "sha256")
        return f"AQAEA{text}-{mac.hex()}=="

    def token_holds(self, token):
        try:
            expires = float(token[5:].split("-", 1)[0])
        except (ValueError, TypeError):
            return False
        return hmac.compare_digest(self.token(expires), token) and \
            self.world.now() < expires

    def imds(self, r, path):
        imds = self.world.settings["imds"]
        if imds.get("disabled"):
            return plain(403, "")
        if path == "/latest/api/token":
            if r.method != "PUT":
                return plain(405, "", [("Allow", "OPTIONS, PUT")])
            if r.header("X-Forwarded-For") is not None:
                return plain(403, "")
            answer = None
            ttl = r.header("X-aws-ec2-metadata-token-ttl-seconds") or ""
            if not ttl.isdigit() or not 1 <= int(ttl) <= 21600:
                answer = plain(400, "")
            else:
                ttl = min(int(ttl), imds.get("token_seconds", 21600))
                answer = plain(200, self.token(self.world.now() + ttl), [
                    ("X-aws-ec2-metadata-token-ttl-seconds", str(ttl))])
            if imds.get("hop_limit"):
                # the packet with the token does not get as far as here
                answer.fault = ("silent", {})
            return answer
        if r.method != "GET":
            return plain(405, "")
        if not self.token_holds(r.header("X-aws-ec2-metadata-token") or ""):
            return plain(401, "")
        return self.metadata(path.removeprefix("/latest/"), imds)

    def metadata(self, path, imds):
        w = self.world
        instance = imds.get("instance", "i-0000000000000000f")
        role = w.role_named(imds["role"]) if imds.get("role") else None
        short = role["arn"].rsplit("/", 1)[-1] if role else None
        base = "meta-data/iam/security-credentials"
        if role and path in (base, base + "/"):
            return plain(200, short)
        if role and path == f"{base}/{short}":
            if imds.get("broken"):
                return as_json(200, {"Code": "Failed", "Message": "broken"})
            who = self.session("imds", role, instance)
            return as_json(200, {
                "Code": "Success", "LastUpdated": iso(w.now())[:19] + "Z",
                "Type": "AWS-HMAC", "AccessKeyId": who.key,
                "SecretAccessKey": who.secret, "Token": who.token,
                "Expiration": iso(who.expires)[:19] + "Z"})
        texts = {"meta-data/placement/region": w.region,
                 "meta-data/placement/availability-zone": w.region + "a",
                 "meta-data/instance-id": instance}
        if path in texts:
            return plain(200, texts[path])
        if path == "dynamic/instance-identity/document":
            return as_json(200, {"accountId": w.account, "region": w.region,
                                 "availabilityZone": w.region + "a",
                                 "instanceId": instance,
                                 "version": "2017-09-30"})
        return plain(404, "")

    # ---- a container ----

    def container(self, r, path):
        c = self.world.settings["container"]
        role = self.world.role_named(c["role"]) if c.get("role") else None
        if role is None or path != c.get("path", "/v2/credentials/herd"):
            return as_json(404, {"code": "NotFound", "message": "not here"})
        if r.method != "GET":
            return as_json(405, {"code": "MethodNotAllowed", "message": ""})
        given = r.header("Authorization")
        token = c.get("token")
        if c.get("token_file"):
            with open(self.world.path(c["token_file"]),
                      encoding="utf-8") as f:
                token = f.read().strip()
        if token is not None and given != token:
            return as_json(403 if given else 401, {
                "code": "AccessDenied", "message": "The token is not valid."})
        who = self.session("container", role, "task")
        return as_json(200, {"RoleArn": role["arn"], "AccessKeyId": who.key,
                             "SecretAccessKey": who.secret, "Token": who.token,
                             "Expiration": iso(who.expires)[:19] + "Z"})

    # ---- SSO ----

    def sso_error(self, status, code, message):
        return as_json(status, {"message": message, "__type": "com.amazonaws."
                                "switchboard.portal#" + code},
                       [("x-amzn-ErrorType", code)])

    def sso(self, r):
        sso = self.world.settings["sso"]
        q = {n.decode(): v.decode() for n, v in sigv4.parse_query(r.query)}
        token = r.header("x-amz-sso_bearer_token")
        if not sso or token not in sso.get("tokens", []):
            return self.sso_error(401, "UnauthorizedException",
                                  "Session token not found or invalid")
        role = self.world.role_named(q.get("role_name", ""))
        if role is None or q.get("account_id") != self.world.account:
            return self.sso_error(403, "ForbiddenException", "No access")
        who = self.session("sso", role, "sso-user")
        return as_json(200, {"roleCredentials": {
            "accessKeyId": who.key, "secretAccessKey": who.secret,
            "sessionToken": who.token, "expiration": int(who.expires * 1000)}})

    def sso_token(self, r):
        """OIDC CreateToken, as far as a refresh needs it."""
        sso = self.world.settings["sso"]
        try:
            asked = json.loads(r.body)
        except ValueError:
            asked = {}
        if not isinstance(asked, dict):
            asked = {}
        refresh = sso.get("refresh", {})
        if (r.method != "POST" or asked.get("grantType") != "refresh_token"
                or asked.get("refreshToken") not in refresh
                or not asked.get("clientId") or not asked.get("clientSecret")):
            return as_json(400, {"error": "invalid_grant",
                                 "error_description": "Invalid grant"})
        token = refresh[asked["refreshToken"]]
        return as_json(200, {"accessToken": token, "expiresIn": 3600,
                             "tokenType": "Bearer", "refreshToken":
                             hashlib.sha256(token.encode()).hexdigest()})
