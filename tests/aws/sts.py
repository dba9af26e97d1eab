# SPDX-License-Identifier: Apache-2.0
"""STS: sessions for roles, and who one is."""
import re

from iam import like
from protocol import AwsError, iso, xml_answer

SESSION_NAME = re.compile(r"[\w+=,.@-]{2,64}\Z", re.A)
ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]{1,512}\Z",
                  re.A)


def invalid(message):
    return AwsError(400, "ValidationError", message)


class Sts:
    def __init__(self, world):
        self.world = world

    def call(self, ctx, action, form):
        content = {"AssumeRole": self.assume,
                   "AssumeRoleWithWebIdentity": self.web_identity,
                   "GetCallerIdentity": self.caller}.get(action)
        if content is None:
            raise AwsError(400, "InvalidAction", f"Could not find operation "
                           f"{action} for version 2011-06-15")
        content = content(ctx, form)
        if form.rest():
            raise invalid(f"{form.rest()[0]} is not expected.")
        return xml_answer("sts", action, content)

    def caller(self, ctx, _):
        # nobody can be forbidden to ask that
        who = ctx.identity
        return {"Arn": who.arn, "UserId": who.user_id,
                "Account": self.world.account}

    def asked(self, form):
        arn = form.need("RoleArn")
        name = form.need("RoleSessionName")
        if not ROLE.match(arn):
            raise invalid(f"{arn} is invalid")
        if not SESSION_NAME.match(name):
            raise invalid("1 validation error detected: Value at "
                          "'roleSessionName' failed to satisfy constraint")
        seconds = form.get("DurationSeconds", "3600")
        if not seconds.isdigit() or not 900 <= int(seconds) <= 43200:
            raise invalid("1 validation error detected: Value at "
                          "'durationSeconds' failed to satisfy constraint: "
                          "Member must be from 900 to 43200")
        role = self.world.role(arn)
        if role and int(seconds) > role.get("max_seconds", 3600):
            raise invalid("The requested DurationSeconds exceeds the "
                          "MaxSessionDuration set for this role.")
        return arn, name, int(seconds), role

    def session(self, role, name, seconds):
        seconds = self.world.settings["session_seconds"].get("role", seconds)
        who = self.world.keys.session(role, name, seconds)
        return {"Credentials": {"AccessKeyId": who.key,
                                "SecretAccessKey": who.secret,
                                "SessionToken": who.token,
                                "Expiration": iso(who.expires)},
                "AssumedRoleUser": {"AssumedRoleId": who.user_id,
                                    "Arn": who.arn}}

    def assume(self, ctx, form):
        arn, name, seconds, role = self.asked(form)
        external = form.get("ExternalId")
        serial, code = form.get("SerialNumber"), form.get("TokenCode")
        denied = AwsError(403, "AccessDenied", f"User: {ctx.identity.arn} is "
                          "not authorized to perform: sts:AssumeRole on "
                          f"resource: {arn}")
        ctx.allow("sts:AssumeRole", arn)
        if role is None or "web_identity" in role:
            raise denied
        if not any(like(ctx.identity.arn, t) for t in role.get("trust", ["*"])):
            raise denied
        if role.get("external_id") != external:
            raise denied
        if "mfa" in role and (role["mfa"].get("serial"),
                              role["mfa"].get("code")) != (serial, code):
            raise denied
        return self.session(role, name, seconds)

    def web_identity(self, _, form):
        arn, name, seconds, role = self.asked(form)
        token = form.need("WebIdentityToken")
        web = (role or {}).get("web_identity")
        if not web:
            raise AwsError(403, "AccessDenied", "Not authorized to perform "
                           "sts:AssumeRoleWithWebIdentity")
        if token in web.get("expired", []):
            raise AwsError(400, "ExpiredTokenException",
                           "Token expired: it is now later")
        if token not in web["tokens"]:
            raise AwsError(400, "InvalidIdentityToken", "The web identity "
                           "token that was passed could not be validated.")
        return {**self.session(role, name, seconds),
                "SubjectFromWebIdentityToken": "system:serviceaccount:x:y",
                "Provider": f"arn:aws:iam::{self.world.account}:oidc-provider/"
                            "example.invalid", "Audience": "sts.amazonaws.com"}
