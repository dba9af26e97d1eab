# SPDX-License-Identifier: Apache-2.0
"""S3, as much of it as bringing an image home needs: small objects in one
piece, large ones in parts, ranges, presigned URLs. By path, one region; bytes
in memory. Parts may be small here; elsewhere 5 MiB is the least."""
import base64
import hashlib
import re
import secrets
import threading
from xml.sax.saxutils import escape
from xml.etree import ElementTree

from http1 import Answer
from protocol import AwsError

XMLNS = "http://s3.amazonaws.com/doc/2006-03-01/"
NAME = re.compile(rb"/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/(.+)\Z")


def xml(content):
    return Answer(200, [("Content-Type", "application/xml")],
                  f'<?xml version="1.0" encoding="UTF-8"?>\n{content}'.encode())


def error_answer(e):
    body = (f"<Error><Code>{escape(e.code)}</Code><Message>{escape(str(e))}"
            f"</Message><RequestId>{secrets.token_hex(8)}</RequestId></Error>")
    answer = xml(body)
    answer.status = e.status
    return answer


class Upload:
    def __init__(self, key):
        self.key, self.parts = key, {}


class S3:
    def __init__(self, world):
        self.world = world
        self.lock = threading.Lock()
        self.objects = {}       # (bucket, key): bytes
        self.uploads = {}

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
        bucket, key = m[1].decode(), m[2].decode()
        if bucket not in self.world.data.get("buckets", ["evidence"]):
            raise AwsError(404, "NoSuchBucket", "The specified bucket does not "
                           "exist")
        ctx.allow(self.RIGHTS[action], f"arn:aws:s3:::{bucket}/{key}")
        args = {n.decode(): v.decode() for n, v in query}
        with self.lock:
            return getattr(self, action)((bucket, key), r, args)

    # ---- in one piece ----

    def PutObject(self, name, r, _):
        self.objects[name] = bytes(r.body)
        return Answer(200, [("ETag", f'"{hashlib.md5(r.body).hexdigest()}"')])

    def DeleteObject(self, name, *_):
        self.objects.pop(name, None)
        return Answer(204)

    def GetObject(self, name, r, _):
        if name not in self.objects:
            raise AwsError(404, "NoSuchKey", "The specified key does not exist.")
        whole = self.objects[name]
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", r.header("Range") or "")
        if not asked:
            return Answer(200, [], whole)
        first, last = int(asked[1]), min(int(asked[2]), len(whole) - 1)
        if first >= len(whole):
            raise AwsError(416, "InvalidRange", "The requested range is not "
                           "satisfiable")
        return Answer(206, [("Content-Range",
                             f"bytes {first}-{last}/{len(whole)}")],
                      whole[first:last + 1])

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
        self.objects[name] = b"".join(whole)
        del self.uploads[args["uploadId"]]
        return xml(f'<CompleteMultipartUploadResult xmlns="{XMLNS}"><Key>'
                   f"{escape(name[1])}</Key></CompleteMultipartUploadResult>")

    def AbortMultipartUpload(self, name, _, args):
        self.upload(name, args)
        del self.uploads[args["uploadId"]]
        return Answer(204)
