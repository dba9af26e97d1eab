# SPDX-License-Identifier: Apache-2.0
"""AWS Signature Version 4 from the server's side: what a request came to is
calculated from the bytes that arrived, and nothing is forgiven that AWS would
not forgive. sign() is for the tests' own requests. Written apart from the
program's signer, so that one can find the other's mistakes.
"""
import calendar
import functools
import hashlib
import hmac
import re
import time

ALGORITHM = "AWS4-HMAC-SHA256"
EMPTY = hashlib.sha256(b"").hexdigest()
UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                       b"0123456789-._~")
_ENCODED = [chr(b) if b in UNRESERVED else f"%{b:02X}" for b in range(256)]
_PATH = _ENCODED.copy()
_PATH[ord("/")] = "/"
_PLAIN = re.compile(rb"[A-Za-z0-9._~-]*\Z")
_CREDENTIAL = re.compile(r"([A-Za-z0-9]{4,128})/(\d{8})/([a-z0-9-]+)/([a-z0-9-]+)"
                         r"/aws4_request\Z")
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 +Credential=([^,\s]+)\s*,\s*SignedHeaders=([^,\s]+)"
    r"\s*,\s*Signature=([0-9a-f]{64})\Z")


class Refused(Exception):
    """kind: missing, incomplete, scope, skew, unknown, expired, signature."""

    def __init__(self, kind, message):
        super().__init__(message)
        self.kind = kind


def encode(data, table=None):
    if _PLAIN.match(data):
        return data.decode()
    return "".join(map((table or _ENCODED).__getitem__, data))


def decode(data):
    """A query's part as a server reads it: '+' is a space. A '%' without two
    hex digits stays what it is."""
    if b"+" in data:
        data = data.replace(b"+", b" ")
    if b"%" not in data:
        return data
    return re.sub(rb"%([0-9A-Fa-f]{2})",
                  lambda m: bytes([int(m[1], 16)]), data)


def parse_query(raw):
    """[(name, value)] as bytes, decoded."""
    pairs = []
    for part in raw.split(b"&"):
        if part:
            name, _, value = part.partition(b"=")
            pairs.append((decode(name), decode(value)))
    return pairs


def canonical_query(pairs):
    return "&".join(f"{n}={v}" for n, v in
                    sorted((encode(n), encode(v)) for n, v in pairs))


def normal_path(path):
    """Without dot segments and doubled slashes."""
    out = []
    for part in path.split(b"/"):
        if part == b"..":
            if out:
                out.pop()
        elif part not in (b"", b"."):
            out.append(part)
    end = b"/" if out and path.endswith((b"/", b"/.", b"/..")) else b""
    return b"/" + b"/".join(out) + end


def canonical_path(path):
    """The path as it arrived, encoded once by the client, is encoded again:
    so it is for every service but S3. (The official vectors' paths are raw:
    there this is the first time.)"""
    return encode(normal_path(path), _PATH)


def canonical_headers(headers, names):
    """headers: [(name, value)] as text, in order; names: sorted, lower case."""
    values = {}
    for name, value in headers:
        values.setdefault(name.lower(), []).append(" ".join(value.split()))
    return "".join(f"{n}:{','.join(values[n])}\n" for n in names)


def canonical_request(method, path, query, headers, names, payload, s3=False):
    # S3 takes the path as it arrived, encoded by the client once
    path = path.decode("latin-1") if s3 else canonical_path(path)
    return "\n".join((method, path, canonical_query(query),
                      canonical_headers(headers, names), ";".join(names),
                      payload))


def string_to_sign(date, scope, request):
    return (f"{ALGORITHM}\n{date}\n{scope}\n"
            + hashlib.sha256(request.encode("utf-8", "surrogateescape"))
            .hexdigest())


@functools.lru_cache(maxsize=1024)
def signing_key(secret, day, region, service):
    key = ("AWS4" + secret).encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def signature(secret, scope, to_sign):
    day, region, service, _ = scope.split("/")
    return hmac.digest(signing_key(secret, day, region, service),
                       to_sign.encode(), "sha256").hex()


def stamp(now):
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))


def sign(method, path, query, headers, body, key, secret, region, service, now,
         token=None, leave_out=()):
    """The headers to add to a request, [(name, value)]. path: as it is sent;
    query: raw bytes; leave_out: headers not to sign (to see it refused)."""
    date = stamp(now)
    add = [("X-Amz-Date", date)]
    if token:
        add.append(("X-Amz-Security-Token", token))
    every = list(headers) + add
    names = sorted({n.lower() for n, _ in every} - set(leave_out))
    scope = f"{date[:8]}/{region}/{service}/aws4_request"
    request = canonical_request(method, path, parse_query(query), every, names,
                                hashlib.sha256(body).hexdigest())
    value = signature(secret, scope, string_to_sign(date, scope, request))
    add.append(("Authorization",
                f"{ALGORITHM} Credential={key}/{scope}, "
                f"SignedHeaders={';'.join(names)}, Signature={value}"))
    return add


def parse_authorization(value):
    """(key id, scope, [signed header names], signature)"""
    m = _AUTHORIZATION.match(value)
    if not m:
        raise Refused("incomplete", "Authorization header requires "
                      "'Credential', 'SignedHeaders' and 'Signature'.")
    c = _CREDENTIAL.match(m[1])
    if not c:
        raise Refused("incomplete", "Credential must have exactly 5 slash-"
                      "delimited elements, e.g. keyid/date/region/service/"
                      "term.")
    names = m[2].split(";")
    if names != sorted(set(names)) or any(n != n.lower() for n in names):
        raise Refused("signature", "SignedHeaders is not sorted, unique and "
                      "in lower case.")
    return c[1], m[1].split("/", 1)[1], names, m[3]


def check_signed(headers, names, token_later=False):
    """Every x-amz-* header and host are signed; what is signed is there."""
    present = {n.lower() for n, _ in headers}
    missing = [n for n in names if n not in present]
    if missing:
        raise Refused("signature", "signed, but not sent: "
                      + ", ".join(missing))
    must = {n for n in present if n.startswith("x-amz-")} | {"host"}
    if token_later:
        must.discard("x-amz-security-token")
    left = sorted(must - set(names))
    if left:
        raise Refused("signature", "There were headers present in the request "
                      "which were not signed: " + ", ".join(left))


def check_time(date, now, skew):
    try:
        then = calendar.timegm(time.strptime(date, "%Y%m%dT%H%M%SZ"))
    except ValueError:
        raise Refused("incomplete", "Date must be in ISO-8601 'basic format'. "
                      f"Got '{date[:40]}'.") from None
    minutes = f"{skew // 60} min." if skew >= 60 else f"{skew} s"
    if then < now - skew:
        raise Refused("skew", f"Signature expired: {date} is now earlier than "
                      f"{stamp(now - skew)} ({stamp(now)} - {minutes})")
    if then > now + skew:
        raise Refused("skew", f"Signature not yet current: {date} is still "
                      f"later than {stamp(now + skew)} ({stamp(now)} + "
                      f"{minutes})")


MISMATCH = ("The request signature we calculated does not match the signature "
            "you provided. Check your AWS Secret Access Key and signing "
            "method. Consult the service documentation for details.")


def verify(method, path, query, headers, body, find, region, service, now,
           skew=300, token_later=False):
    """The identity that signed. path: the bytes that arrived; query: decoded
    pairs; find(key id, token or None) gives an object with a `secret`, or
    raises Refused."""
    one = {}
    for name, value in headers:
        name = name.lower()
        if name in one and name in ("authorization", "x-amz-date", "host",
                                    "x-amz-security-token",
                                    "x-amz-content-sha256"):
            raise Refused("signature", f"{name} is there twice.")
        one[name] = value
    if "authorization" not in one:
        raise Refused("missing", "Missing Authentication Token")
    key, scope, names, given = parse_authorization(one["authorization"])
    date = one.get("x-amz-date")
    if date is None:
        raise Refused("incomplete", "Authorization header requires existence "
                      "of either a 'X-Amz-Date' or a 'Date' header.")
    day, scope_region, scope_service, _ = scope.split("/")
    if scope_service != service:
        raise Refused("scope", "Credential should be scoped to correct "
                      f"service: '{service}'.")
    if scope_region != region:
        raise Refused("scope", "Credential should be scoped to a valid "
                      f"region, not '{scope_region}'.")
    if day != date[:8]:
        raise Refused("scope", "Date in Credential scope does not match YYYYMMDD "
                      f"from ISO-8601 version of date from HTTP: '{day}' != "
                      f"'{date[:8]}', from '{date[:40]}'.")
    check_signed(headers, names, token_later)
    check_time(date, now, skew)
    if service == "s3" and "x-amz-content-sha256" not in one:
        raise Refused("signature", "x-amz-content-sha256 is missing.")
    payload = hashlib.sha256(body).hexdigest() if body else EMPTY
    if one.get("x-amz-content-sha256", payload) != payload:
        raise Refused("signature", "x-amz-content-sha256 is not that of the "
                      "body.")
    who = find(key, one.get("x-amz-security-token"))
    request = canonical_request(method, path, query, headers, names, payload,
                                service == "s3")
    made = signature(who.secret, scope, string_to_sign(date, scope, request))
    if not hmac.compare_digest(made, given):
        raise Refused("signature", MISMATCH)
    return who


def is_presigned(query):
    return any(n == b"X-Amz-Signature" for n, _ in query)


def verify_presigned(method, path, query, headers, find, region, service, now):
    """The same for a URL that somebody was given."""
    one = {n.decode("latin-1"): v.decode("latin-1") for n, v in query}
    if len(one) != len(query):
        raise Refused("signature", "a parameter is there twice.")
    if one.get("X-Amz-Algorithm") != ALGORITHM:
        raise Refused("incomplete", "X-Amz-Algorithm is not there.")
    c = _CREDENTIAL.match(one.get("X-Amz-Credential", ""))
    if not c or c[3] != region or c[4] != service:
        raise Refused("scope", "X-Amz-Credential is of another scope.")
    date, names = one.get("X-Amz-Date", ""), \
        one.get("X-Amz-SignedHeaders", "").split(";")
    seconds = one.get("X-Amz-Expires", "")
    if not seconds.isdigit() or not 1 <= int(seconds) <= 604800:
        raise Refused("incomplete", "X-Amz-Expires is out of bounds.")
    try:
        then = calendar.timegm(time.strptime(date, "%Y%m%dT%H%M%SZ"))
    except ValueError:
        raise Refused("incomplete", "X-Amz-Date is none.") from None
    if now > then + int(seconds):
        raise Refused("skew", "Request has expired")
    if c[2] != date[:8] or then > now + 300:
        raise Refused("scope", "X-Amz-Date is of another day.")
    check_signed([h for h in headers if h[0].lower() != "x-amz-content-sha256"],
                 names)
    who = find(c[1], one.get("X-Amz-Security-Token"))
    signed = [(n, v) for n, v in query if n != b"X-Amz-Signature"]
    request = canonical_request(method, path, signed, headers, names,
                                "UNSIGNED-PAYLOAD", service == "s3")
    scope = one["X-Amz-Credential"].split("/", 1)[1]
    made = signature(who.secret, scope, string_to_sign(date, scope, request))
    if not hmac.compare_digest(made, one["X-Amz-Signature"]):
        raise Refused("signature", MISMATCH)
    return who
