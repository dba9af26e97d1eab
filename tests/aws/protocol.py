# SPDX-License-Identifier: Apache-2.0
"""How requests and answers are written: forms in and XML out for EC2, Auto
Scaling and STS; JSON for EBS direct."""
import base64
import json
import re
import time
import uuid
from xml.sax.saxutils import escape

import sigv4
from http1 import Answer

XMLNS = {"ec2": "http://ec2.amazonaws.com/doc/2016-11-15/",
         "autoscaling": "http://autoscaling.amazonaws.com/doc/2011-01-01/",
         "sts": "https://sts.amazonaws.com/doc/2011-06-15/"}
VERSIONS = {"2016-11-15": "ec2", "2011-01-01": "autoscaling",
            "2011-06-15": "sts"}


class AwsError(Exception):
    """raw: a body sent as it is, of whoever stands before the service."""

    def __init__(self, status, code, message, reason=None, raw=None):
        super().__init__(message)
        self.status, self.code, self.reason, self.raw = (status, code, reason,
                                                         raw)


def iso(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(seconds)) + \
        f"{int(seconds * 1000) % 1000:03d}Z"


# ---- forms ----

class Form:
    """The parameters of a query call."""

    def __init__(self, body):
        self.values = {}
        for name, value in sigv4.parse_query(body):
            try:
                name, value = name.decode(), value.decode()
            except UnicodeDecodeError:
                raise AwsError(400, "MalformedQueryString",
                               "Not UTF-8.") from None
            if name in self.values:
                raise AwsError(400, "MalformedQueryString",
                               f"{name} is there twice.")
            self.values[name] = value
        self.used = {"Action", "Version"}

    def get(self, name, default=None):
        self.used.add(name)
        return self.values.get(name, default)

    def need(self, name):
        value = self.get(name)
        if value is None or value == "":
            raise AwsError(400, "MissingParameter", "The request must contain "
                           f"the parameter {name}")
        return value

    def integer(self, name, low, high, default=None):
        value = self.get(name)
        if value is None:
            return default
        if not re.fullmatch(r"\d{1,9}", value) or not low <= int(value) <= high:
            raise AwsError(400, "InvalidParameterValue", f"Value ( {value} ) "
                           f"for parameter {name} is invalid. Expecting a "
                           f"value from {low} to {high}.")
        return int(value)

    def boolean(self, name, default=False):
        value = self.get(name)
        if value is None:
            return default
        if value.lower() not in ("true", "false"):
            raise AwsError(400, "InvalidParameterValue",
                           f"Invalid value '{value}' for {name}.")
        return value.lower() == "true"

    def list(self, prefix):
        """[value] of prefix.1, prefix.2 …"""
        out = []
        while f"{prefix}.{len(out) + 1}" in self.values:
            out.append(self.get(f"{prefix}.{len(out) + 1}"))
        return out

    def structures(self, prefix):
        """[prefix of each element] of prefix.1.x, prefix.2.x …"""
        out = []
        while any(n.startswith(f"{prefix}.{len(out) + 1}.")
                  for n in self.values):
            out.append(f"{prefix}.{len(out) + 1}")
        return out

    def rest(self):
        """What nobody asked for: a client's mistake, as the service sees it."""
        return sorted(set(self.values) - self.used)


# ---- XML ----

def xml(name, value, item):
    """None: nothing. Lists have their elements in <item> or <member>."""
    if value is None:
        return ""
    if isinstance(value, dict):
        inner = "".join(xml(k, v, item) for k, v in value.items())
    elif isinstance(value, (list, tuple)):
        inner = "".join(xml(item, v, item) for v in value)
    elif isinstance(value, bool):
        inner = "true" if value else "false"
    else:
        inner = escape(str(value))
    return f"<{name}>{inner}</{name}>" if inner else f"<{name}/>"


def xml_answer(service, action, content):
    request = str(uuid.uuid4())
    head = '<?xml version="1.0" encoding="UTF-8"?>\n'
    if service == "ec2":
        inner = xml("requestId", request, "item") + "".join(
            xml(k, v, "item") for k, v in content.items())
    else:
        inner = (xml(action + "Result", content, "member")
                 + xml("ResponseMetadata", {"RequestId": request}, "member"))
    body = (f'{head}<{action}Response xmlns="{XMLNS[service]}">{inner}'
            f"</{action}Response>")
    return Answer(200, [("Content-Type", "text/xml;charset=UTF-8"),
                        ("x-amzn-RequestId", request)], body.encode())


def json_text(value):
    """As the service writes it: moments as 1.764000000123E9."""
    if isinstance(value, float):
        digits = f"{value:.12E}".replace("E+0", "E").replace("E+", "E")
        return digits
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(k)}:{json_text(v)}" for k, v in
                              value.items() if v is not None) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(json_text, value)) + "]"
    return json.dumps(value)


def json_answer(content):
    return Answer(200, [("Content-Type", "application/json"),
                        ("x-amzn-RequestId", str(uuid.uuid4()))],
                  json_text(content).encode())


def error_answer(service, e):
    request = str(uuid.uuid4())
    if e.raw is not None:
        return Answer(e.status, [("Content-Type", "text/html")],
                      e.raw.encode())
    if service == "ec2":
        body = ('<?xml version="1.0" encoding="UTF-8"?>\n<Response><Errors>'
                f"<Error><Code>{escape(e.code)}</Code><Message>"
                f"{escape(str(e))}</Message></Error></Errors>"
                f"<RequestID>{request}</RequestID></Response>")
        kind = "text/xml;charset=UTF-8"
        headers = []
    elif service in XMLNS:
        side = "Receiver" if e.status >= 500 else "Sender"
        body = (f'<ErrorResponse xmlns="{XMLNS[service]}"><Error><Type>{side}'
                f"</Type><Code>{escape(e.code)}</Code><Message>"
                f"{escape(str(e))}</Message></Error><RequestId>{request}"
                "</RequestId></ErrorResponse>")
        kind = "text/xml"
        headers = []
    else:
        # what stands before the service writes it small
        front = e.code in {c for _, c in AUTH["ebs"].values()}
        content = {"message" if front else "Message": str(e)}
        if e.reason:
            content["Reason"] = e.reason
        body = json.dumps(content)
        kind = "application/json"
        headers = [("x-amzn-ErrorType", e.code)]
    return Answer(e.status, [("Content-Type", kind),
                             ("x-amzn-RequestId", request)] + headers,
                  body.encode())


# ---- what stands before every service ----

# kind of refusal: service -> (status, code)
AUTH = {
    "ebs": {"signature": (403, "InvalidSignatureException"),
            "scope": (403, "InvalidSignatureException"),
            "skew": (403, "InvalidSignatureException"),
            "expired": (403, "ExpiredTokenException"),
            "unknown": (403, "UnrecognizedClientException"),
            "missing": (403, "MissingAuthenticationTokenException"),
            "incomplete": (403, "IncompleteSignatureException")},
    "ec2": {"signature": (401, "AuthFailure"), "scope": (401, "AuthFailure"),
            "skew": (400, "RequestExpired"), "expired": (400, "RequestExpired"),
            "unknown": (401, "AuthFailure"),
            "missing": (400, "MissingParameter"),
            "incomplete": (400, "IncompleteSignature")},
    "query": {"signature": (403, "SignatureDoesNotMatch"),
              "scope": (403, "SignatureDoesNotMatch"),
              "skew": (403, "SignatureDoesNotMatch"),
              "expired": (403, "ExpiredToken"),
              "unknown": (403, "InvalidClientTokenId"),
              "missing": (403, "MissingAuthenticationToken"),
              "incomplete": (403, "IncompleteSignature")},
    "common": {"signature": (403, "SignatureDoesNotMatch"),
               "scope": (403, "SignatureDoesNotMatch"),
               "skew": (403, "RequestTimeTooSkewed"),
               "expired": (403, "ExpiredTokenException"),
               "unknown": (403, "UnrecognizedClientException"),
               "missing": (403, "MissingAuthenticationTokenException"),
               "incomplete": (403, "IncompleteSignature")},
}
EC2_TEXT = {"AuthFailure": "AWS was not able to validate the provided access "
                           "credentials",
            "RequestExpired": "Request has expired."}


def auth_error(service, style, refused):
    table = AUTH["common"] if style == "common" else \
        AUTH.get(service, AUTH["query"])
    status, code = table[refused.kind]
    return AwsError(status, code, EC2_TEXT.get(code, str(refused)))


def forbidden(service, identity, action, resource):
    text = (f"User: {identity.arn} is not authorized to perform: {action} on "
            f"resource: {resource} because no identity-based policy allows "
            f"the {action} action")
    if service == "ec2":
        return AwsError(403, "UnauthorizedOperation", "You are not authorized "
                        f"to perform this operation. {text}")
    return AwsError(403, "AccessDeniedException" if service == "ebs" else
                    "AccessDenied", text)


THROTTLE_REASONS = ["ACCOUNT_THROTTLED", "RESOURCE_LEVEL_THROTTLE",
                    "DEPENDENCY_REQUEST_THROTTLED"]


def throttled(service, reason):
    if service == "ebs":
        return AwsError(400, "RequestThrottledException",
                        "The request was throttled.", reason)
    if service == "ec2":
        return AwsError(503, "RequestLimitExceeded",
                        "Request limit exceeded.")
    if service == "s3":
        return AwsError(503, "SlowDown", "Please reduce your request rate.")
    return AwsError(400, "Throttling", "Rate exceeded")


def fault_error(service, kind, how, world, what):
    """The error that a fault of this kind stands for."""
    ebs = service == "ebs"
    style = world.settings["auth_errors"]
    n = how.get("n", 0)
    if kind == "throttle":
        return throttled(service, how.get("reason") or
                         THROTTLE_REASONS[n % len(THROTTLE_REASONS)])
    if kind == "e500":
        return AwsError(500, "InternalServerException" if ebs else
                        "InternalError" if service in ("ec2", "s3") else
                        "InternalFailure", "An internal error has occurred.")
    if kind == "e503":
        return AwsError(503, "ServiceUnavailableException" if ebs else
                        "Unavailable" if service == "ec2" else
                        "ServiceUnavailable", "Try again.")
    if kind == "e502":
        return AwsError(502, "BadGateway", "", raw="<html><body><h1>502 Bad "
                        "Gateway</h1></body></html>\n")
    if kind == "quota":
        return AwsError(402, "ServiceQuotaExceededException",
                        "A quota of the service was exceeded.",
                        "DEPENDENCY_SERVICE_QUOTA_EXCEEDED")
    if kind == "concurrent":
        return AwsError(400, "ConcurrentLimitExceededException",
                        "You have reached the limit for concurrent API "
                        "requests.")
    if kind == "conflict":
        return AwsError(409, "ConflictException", "The request uses the same "
                        "client token as a previous, but non-identical "
                        "request.")
    if kind == "notfound":
        return AwsError(404, "ResourceNotFoundException",
                        f"The snapshot '{what.get('snapshot')}' does not "
                        "exist.", "SNAPSHOT_NOT_FOUND")
    if kind == "token":
        block = what.get("action") == "GetSnapshotBlock"
        return AwsError(400, "ValidationException", "The token has expired.",
                        "INVALID_BLOCK_TOKEN" if block else
                        "INVALID_PAGE_TOKEN")
    if kind == "expired":
        return auth_error(service, style, sigv4.Refused(
            "expired", "The security token included in the request is "
            "expired"))
    return auth_error(service, style, sigv4.Refused(
        "skew", "Signature expired: the clock is wrong."))


# ---- page tokens of the XML services ----

def page_token(world, what, at):
    mac = world.keys.mac(f"{what}/{at}", "page")[:12]
    return base64.b64encode(b"%d:" % at + mac).decode()


def page_start(world, what, token):
    """Where the page begins; None when that token is not one of ours."""
    try:
        at = int(base64.b64decode(token, validate=True).split(b":")[0])
    except ValueError:
        return None
    return at if page_token(world, what, at) == token else None
