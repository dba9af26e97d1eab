# SPDX-License-Identifier: Apache-2.0
"""S3, as much of it as bringing an image home and reading one there needs: small
objects in one piece, large ones in parts, ranges, If-Match, versions, presigned
URLs. By path; bytes in memory, or in a file that the test names. Parts may be
small here; elsewhere 5 MiB is the least."""
import base64
import hashlib
import os
import re
import secrets
import threading
import urllib.parse
from xml.sax.saxutils import escape
from xml.etree import ElementTree

from http1 import Answer, Block
from protocol import AwsError

XMLNS = "http://s3.amazonaws.com/doc/2006-03-01/"
NAME = re.compile(rb"/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/(.+)\Z")


def xml(content):
    return Answer(200, [("Content-Type", "application/xml")],
                  f'<?xml version="1.0" encoding="UTF-8"?>\n{content}'.encode())


def error_answer(e):
    body = (f"<Error><Code>{escape(e.code)}</Code><Message>{escape(str(e))}"
            f"</Message><RequestId>{secrets.token_hex(8)}</RequestId></Error>")
    if e.raw is not None:
        return Answer(e.status, [("Content-Type", "text/html")], e.raw.encode())
    answer = xml(body)
    answer.status = e.status
    answer.headers += getattr(e, "headers", [])
    return answer


class Object:
    """One version. data: bytes, or a file's name."""

    def __init__(self, data, etag=None, version=None):
        self.version, self.fd, self.archived = version, None, False
        if isinstance(data, str):
            self.fd = os.open(data, os.O_RDONLY)
            self.size = os.fstat(self.fd).st_size
            if etag is None:
                digest = hashlib.md5()
                with open(data, "rb") as f:
                    while piece := f.read(1 << 20):
                        digest.update(piece)
                etag = digest.hexdigest()
        else:
            self.data, self.size = data, len(data)
        self.etag = etag or hashlib.md5(data).hexdigest()

    def part(self, at, n):
        return self.data[at:at + n] if self.fd is None else \
            Block(self.fd, at, n)

    def headers(self):
        return [("ETag", f'"{self.etag}"'), ("Accept-Ranges", "bytes")] + \
            ([("x-amz-version-id", self.version)] if self.version else [])


class Upload:
    def __init__(self, key):
        self.key, self.parts = key, {}


class S3:
    def __init__(self, world):
        self.world = world
        self.lock = threading.Lock()
        self.objects = {}       # (bucket, key): versions, the newest last
        self.uploads = {}
        for o in world.data.get("objects", []):
            self.put((o["bucket"], o["key"]), o["file"], o.get("etag"))

    def put(self, name, data, etag=None):
        keeps = name[0] in self.world.data.get("versioned_buckets", [])
        o = Object(data, etag, secrets.token_urlsafe(24) if keeps else None)
        self.objects[name] = (self.objects.get(name, []) if keeps else []) + [o]
        return o

    def control(self, what):
        """What a test does to an object: {"bucket", "key", and "file" (another
        one is put there) or "archived" or "delete"}."""
        name = (what["bucket"], what["key"])
        with self.lock:
            if "file" in what:
                self.put(name, what["file"], what.get("etag"))
            if "archived" in what:
                self.objects[name][-1].archived = what["archived"]
            if what.get("delete"):
                del self.objects[name]

    def flip(self, name, offset):
        o = self.objects[name][-1]
        data = bytearray(o.data)
        data[offset] ^= 1
        o.data = bytes(data)

    @staticmethod
    def is_for(path):
        return NAME.match(path) is not None

    def action(self, method, query):
        names = {n for n, _ in query}
        if method == "PUT":
            return "UploadPart" if b"uploadId" in names else "PutObject"
        if method == "POST":
            return "CreateMultipartUpload" if b"uploads" in names else \
                "CompleteMultipartUpload"
        if method == "DELETE":
            return "AbortMultipartUpload" if b"uploadId" in names else \
                "DeleteObject"
        return "ListParts" if b"uploadId" in names else "GetObject"

    RIGHTS = {"UploadPart": "s3:PutObject", "PutObject": "s3:PutObject",
              "CreateMultipartUpload": "s3:PutObject",
              "CompleteMultipartUpload": "s3:PutObject",
              "AbortMultipartUpload": "s3:AbortMultipartUpload",
              "DeleteObject": "s3:DeleteObject",
              "ListParts": "s3:ListMultipartUploadParts",
              "GetObject": "s3:GetObject"}

    def call(self, ctx, action, r, query):
        m = NAME.match(r.path)
        bucket = m[1].decode()
        key = urllib.parse.unquote_to_bytes(m[2]).decode()
        if bucket not in self.world.data.get("buckets", ["evidence"]):
            raise AwsError(404, "NoSuchBucket", "The specified bucket does not "
                           "exist")
        region = self.world.data.get("bucket_regions", {}).get(bucket)
        if region:
            e = AwsError(301, "PermanentRedirect", "The bucket you are "
                         "attempting to access must be addressed using the "
                         "specified endpoint.")
            e.headers = [("x-amz-bucket-region", region)]
            raise e
        args = {n.decode(): v.decode() for n, v in query}
        ctx.allow("s3:GetObjectVersion" if action == "GetObject" and
                  "versionId" in args else self.RIGHTS[action],
                  f"arn:aws:s3:::{bucket}/{key}")
        with self.lock:
            return getattr(self, action)((bucket, key), r, args)

    # ---- in one piece ----

    def PutObject(self, name, r, _):
        return Answer(200, self.put(name, bytes(r.body)).headers())

    def DeleteObject(self, name, *_):
        self.objects.pop(name, None)
        return Answer(204)

    def find(self, name, args):
        if name not in self.objects:
            raise AwsError(404, "NoSuchKey", "The specified key does not exist.")
        versions = self.objects[name]
        if "versionId" not in args:
            return versions[-1]
        for o in versions:
            if o.version == args["versionId"]:
                return o
        raise AwsError(404, "NoSuchVersion", "The specified version does not "
                       "exist.")

    def GetObject(self, name, r, args):
        o = self.find(name, args)
        if (r.header("If-Match") or f'"{o.etag}"') != f'"{o.etag}"':
            raise AwsError(412, "PreconditionFailed", "At least one of the "
                           "pre-conditions you specified did not hold")
        if o.archived:
            raise AwsError(403, "InvalidObjectState", "The operation is not "
                           "valid for the object's storage class")
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", r.header("Range") or "")
        if not asked:
            return Answer(200, o.headers(), o.part(0, o.size))
        first, last = int(asked[1]), min(int(asked[2]), o.size - 1)
        if first >= o.size:
            raise AwsError(416, "InvalidRange", "The requested range is not "
                           "satisfiable")
        return Answer(206, o.headers() + [("Content-Range",
                                           f"bytes {first}-{last}/{o.size}")],
                      o.part(first, last + 1 - first))

    # ---- in parts ----

    def CreateMultipartUpload(self, name, *_):
        uid = base64.urlsafe_b64encode(secrets.token_bytes(48)).decode()
        self.uploads[uid] = Upload(name)
        return xml(f'<InitiateMultipartUploadResult xmlns="{XMLNS}"><Bucket>'
                   f"{name[0]}</Bucket><Key>{escape(name[1])}</Key><UploadId>"
                   f"{uid}</UploadId></InitiateMultipartUploadResult>")

    def upload(self, name, args):
        u = self.uploads.get(args["uploadId"])
        if u is None or u.key != name:
            raise AwsError(404, "NoSuchUpload", "The specified upload does not "
                           "exist.")
        return u

    def UploadPart(self, name, r, args):
        number = int(args["partNumber"])
        if not 1 <= number <= 10000:
            raise AwsError(400, "InvalidArgument", "Part number must be an "
                           "integer between 1 and 10000, inclusive")
        self.upload(name, args).parts[number] = bytes(r.body)
        return Answer(200, [("ETag", f'"{hashlib.md5(r.body).hexdigest()}"')])

    def ListParts(self, name, _, args):
        parts = self.upload(name, args).parts
        after = int(args.get("part-number-marker", "0"))
        left = sorted(n for n in parts if n > after)
        page = left[:self.world.settings.get("s3_parts_page", 1000)]
        rows = "".join(
            f"<Part><PartNumber>{n}</PartNumber><ETag>&quot;"
            f"{hashlib.md5(parts[n]).hexdigest()}&quot;</ETag><Size>"
            f"{len(parts[n])}</Size></Part>" for n in page)
        more = len(page) < len(left)
        mark = f"<NextPartNumberMarker>{page[-1]}</NextPartNumberMarker>" \
            if more else ""
        return xml(f'<ListPartsResult xmlns="{XMLNS}"><IsTruncated>'
                   f"{str(more).lower()}</IsTruncated>{mark}{rows}"
                   "</ListPartsResult>")

    def CompleteMultipartUpload(self, name, r, args):
        u = self.upload(name, args)
        tree = ElementTree.fromstring(r.body)
        whole = []
        for part in tree.iter(f"{{{XMLNS}}}Part"):
            n = int(part.find(f"{{{XMLNS}}}PartNumber").text)
            etag = part.find(f"{{{XMLNS}}}ETag").text.strip('"')
            if n not in u.parts or \
                    hashlib.md5(u.parts[n]).hexdigest() != etag:
                raise AwsError(400, "InvalidPart", "One or more of the "
                               "specified parts could not be found.")
            whole.append(u.parts[n])
        if not whole:
            raise AwsError(400, "MalformedXML", "The XML you provided was not "
                           "well-formed")
        self.put(name, b"".join(whole))
        del self.uploads[args["uploadId"]]
        return xml(f'<CompleteMultipartUploadResult xmlns="{XMLNS}"><Key>'
                   f"{escape(name[1])}</Key></CompleteMultipartUploadResult>")

    def AbortMultipartUpload(self, name, _, args):
        self.upload(name, args)
        del self.uploads[args["uploadId"]]
        return Answer(204)
