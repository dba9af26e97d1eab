# SPDX-License-Identifier: Apache-2.0
"""Who may do what: access keys, sessions, and policies in IAM's own language
as far as a policy for this tool needs it (Allow and Deny, wildcards, a few
condition operators; no principals, boundaries or service control policies)."""
import base64
import binascii
import fnmatch
import functools
import hashlib
import hmac
import json
import re

from sigv4 import Refused


class Identity:
    def __init__(self, key, secret, arn, policy=None, token=None, expires=None,
                 user_id=None):
        self.key, self.secret, self.arn = key, secret, arn
        self.policy, self.token, self.expires = policy, token, expires
        self.user_id = user_id or key


def policy_of(entry):
    """Of a key or role: "policy" (a document), "allow" (actions), or all."""
    if "policy" in entry:
        return entry["policy"]
    actions = entry.get("allow", ["*"])
    return {"Statement": [{"Effect": "Allow", "Action": actions,
                           "Resource": "*"}]}


def as_list(value):
    return value if isinstance(value, list) else [value]


@functools.lru_cache(maxsize=4096)
def _pattern(text, ignore_case):
    # in a policy only * and ? are special
    text = re.sub(r"([\[\]])", r"[\1]", text)
    return re.compile(fnmatch.translate(text), re.I if ignore_case else 0)


def like(value, pattern, ignore_case=False):
    return _pattern(pattern, ignore_case).match(value) is not None


OPERATORS = {
    "StringEquals": lambda v, w: v == w,
    "StringNotEquals": lambda v, w: v != w,
    "StringEqualsIgnoreCase": lambda v, w: v.lower() == w.lower(),
    "StringLike": like,
    "StringNotLike": lambda v, w: not like(v, w),
    "ArnEquals": like, "ArnLike": like,
    "Bool": lambda v, w: v.lower() == str(w).lower(),
}


def condition_holds(operator, key, wanted, have):
    """have: {lower-case key: text or [texts]}"""
    value = have.get(key.lower())
    if operator == "Null":
        return (value is None) == (str(wanted).lower() == "true")
    quantifier, _, name = operator.rpartition(":")
    if_exists = name.endswith("IfExists")
    test = OPERATORS.get(name.removesuffix("IfExists"))
    if test is None:
        raise ValueError(f"condition operator {operator}: not known here")
    negated = "Not" in name
    wanted = as_list(wanted)

    def one(v):
        return (all if negated else any)(test(v, str(w)) for w in wanted)
    if quantifier == "ForAllValues":
        return all(one(v) for v in as_list(value or []))
    if value is None:
        return if_exists or negated
    if quantifier == "ForAnyValue":
        return any(one(v) for v in as_list(value))
    return all(one(v) for v in as_list(value))


def applies(statement, action, resource, have):
    if "Action" in statement:
        if not any(like(action, a, True) for a in
                   as_list(statement["Action"])):
            return False
    elif any(like(action, a, True) for a in as_list(statement["NotAction"])):
        return False
    if not any(like(resource, r) for r in
               as_list(statement.get("Resource", "*"))):
        return False
    return all(condition_holds(op, key, wanted, have)
               for op, keys in statement.get("Condition", {}).items()
               for key, wanted in keys.items())


def allowed(policy, action, resource, have):
    hit = False
    for s in as_list(policy["Statement"]):
        if applies(s, action, resource, have):
            if s["Effect"] == "Deny":
                return False
            hit = True
    return hit


class Keys:
    """Static keys out of the world, and sessions, which carry all that is
    known of them in their token: they outlive the server's own life."""

    def __init__(self, world):
        self.world = world
        self.static = {}
        self.revoked = set()        # ids said to have expired
        self.not_before = 0         # sessions older than that have expired
        account = world.account
        for k in world.data.get("keys", []):
            self.static[k["id"]] = Identity(
                k["id"], k["secret"],
                k.get("arn", f"arn:aws:iam::{account}:user/tester"),
                policy_of(k), k.get("token"), world.when(k.get("expires")))

    def mac(self, text, what):
        return hmac.digest(self.world.secret, (what + text).encode(), "sha256")

    def session(self, role, name, seconds):
        """An Identity for the role's entry in the world."""
        now = self.world.now()
        # a moment of microseconds tells sessions apart
        body = json.dumps([role["arn"], name, int(now + seconds),
                           int(now * 1e6)])
        packed = base64.b64encode(self.mac(body, "token") + body.encode())
        return self._of_session(role, body, packed.decode())

    def _of_session(self, role, body, token):
        arn, name, expires, _ = json.loads(body)
        key = "ASIA" + base64.b32encode(self.mac(body, "id"))[:16].decode()
        secret = base64.b64encode(self.mac(body, "secret"))[:40].decode()
        short = arn.rsplit("/", 1)[-1]
        account = arn.split(":")[4]
        who = Identity(key, secret,
                       f"arn:aws:sts::{account}:assumed-role/{short}/{name}",
                       policy_of(role), token, expires,
                       "AROA" + hashlib.sha256(arn.encode()).hexdigest()[:17]
                       .upper() + ":" + name)
        return who

    def find(self, key, token):
        invalid = Refused("unknown", "The security token included in the "
                          "request is invalid.")
        now = self.world.now()
        who = self.static.get(key)
        if who is None and token:
            try:
                raw = base64.b64decode(token, validate=True)
            except (binascii.Error, ValueError):
                raise invalid from None
            mac, body = raw[:32], raw[32:].decode("utf-8", "replace")
            if not hmac.compare_digest(mac, self.mac(body, "token")):
                raise invalid
            fields = json.loads(body)
            role = self.world.role(fields[0])
            if role is None:
                raise invalid
            who = self._of_session(role, body, token)
            if fields[3] < self.not_before * 1e6:
                who.expires = now
        if who is None or who.key != key:
            raise invalid
        if who.token != token:
            raise invalid
        if key in self.revoked or (who.expires is not None
                                   and now >= who.expires):
            raise Refused("expired", "The security token included in the "
                          "request is expired")
        return who
