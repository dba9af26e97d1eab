# SPDX-License-Identifier: Apache-2.0
"""Answers held against the public service models: every element known, of its
type, within its limits, and what is required there."""
import json
import os
import re
import xml.etree.ElementTree as ElementTree


def folder():
    """Where the models are, or None."""
    here = os.path.dirname(os.path.abspath(__file__))
    for name in (os.environ.get("HERD_AWS_MODELS"),
                 os.path.join(here, "../../../shared/aws/service-models")):
        if name and os.path.exists(os.path.join(name, "ebs.json")):
            return name
    return None


def load(service):
    with open(os.path.join(folder(), service + ".json"),
              encoding="utf-8") as f:
        return json.load(f)


class Wrong(AssertionError):
    pass


def to_python(pattern):
    # what Java's expressions have and Python's do not
    return (pattern.replace("\\p{L}\\p{Z}\\p{N}", "\\w\\s")
            .replace("\\uD800\\uDC00-\\uDBFF\\uDFFF", "\U00010000-\U0010ffff"))


class Model:
    def __init__(self, service):
        self.model = load(service)
        self.shapes = self.model["shapes"]
        self.service = service

    def limits(self, name, text, where):
        s = self.shapes[name]
        if s["type"] in ("integer", "long"):
            if not isinstance(text, int) and not re.fullmatch(r"-?\d+", text):
                raise Wrong(f"{where}: {text!r} is no number")
            size = int(text)
        elif s["type"] == "boolean":
            if text not in ("true", "false", True, False):
                raise Wrong(f"{where}: {text!r} is not true or false")
            return
        elif s["type"] == "timestamp":
            if isinstance(text, str) and not re.fullmatch(
                    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z", text):
                raise Wrong(f"{where}: {text!r} is no moment")
            return
        else:
            size = len(text)
            if "enum" in s and text not in s["enum"]:
                raise Wrong(f"{where}: {text!r} is not one of the values")
            if "pattern" in s and not re.match(to_python(s["pattern"]), text):
                raise Wrong(f"{where}: {text!r} does not match")
        if not s.get("min", size) <= size <= s.get("max", size):
            raise Wrong(f"{where}: {text!r} is outside the limits")

    def required(self, shape, have, where):
        for name in shape.get("required", []):
            if name not in have:
                raise Wrong(f"{where}: {name} is not there")

    # ---- JSON ----

    def json(self, name, value, where="answer"):
        s = self.shapes[name]
        if s["type"] == "structure":
            if not isinstance(value, dict):
                raise Wrong(f"{where}: not an object")
            for key, v in value.items():
                if key not in s["members"]:
                    raise Wrong(f"{where}: {key} is not in the model")
                self.json(s["members"][key]["shape"], v, f"{where}.{key}")
            self.required(s, value, where)
        elif s["type"] == "list":
            for n, v in enumerate(value):
                self.json(s["member"]["shape"], v, f"{where}[{n}]")
        else:
            self.limits(name, value, where)

    def rest(self, operation, headers, body):
        """An answer of a rest-json operation. headers: name, lower: value."""
        out = self.model["operations"][operation]["output"]["shape"]
        shape = self.shapes[out]
        for name, m in shape["members"].items():
            if m.get("location") == "header":
                value = headers.get(m["locationName"].lower())
                if value is None:
                    raise Wrong(f"{operation}: no header {m['locationName']}")
                self.limits(m["shape"], value, name)
        if "payload" not in shape:
            self.json(out, json.loads(body))

    def error(self, operation, status, headers, body):
        """An error of one: the type is one of the operation's."""
        name = headers["x-amzn-errortype"]
        errors = [e["shape"] for e in
                  self.model["operations"][operation]["errors"]]
        # the two that the model has, but does not name with the reads
        if name not in errors + ["ConcurrentLimitExceededException",
                                 "ConflictException"]:
            raise Wrong(f"{operation}: {name} is not one of its errors")
        want = self.shapes[name]["error"]["httpStatusCode"]
        if status != want:
            raise Wrong(f"{name}: status {status}, not {want}")
        self.json(name, json.loads(body), name)

    # ---- XML ----

    def xml(self, operation, body):
        op = self.model["operations"][operation]
        root = ElementTree.fromstring(body)
        space = re.match(r"\{(.*)\}", root.tag)[1]
        want = self.model["metadata"]["xmlNamespace"]
        if space.rstrip("/") != want.rstrip("/"):
            raise Wrong(f"{operation}: namespace {space}")
        for e in root.iter():
            e.tag = e.tag.split("}", 1)[1]
        if root.tag != operation + "Response":
            raise Wrong(f"{operation}: {root.tag}")
        ec2 = self.model["metadata"]["protocol"] == "ec2"
        if ec2:
            for e in root.findall("requestId"):
                root.remove(e)
        else:
            root = root.find(op["output"]["resultWrapper"])
        if "output" not in op:
            return
        self.element(op["output"]["shape"], root, operation)

    def element(self, name, e, where):
        s = self.shapes[name]
        if s["type"] == "structure":
            names = {m.get("locationName", k): (k, m["shape"])
                     for k, m in s["members"].items()}
            have = set()
            for child in e:
                if child.tag not in names:
                    raise Wrong(f"{where}: {child.tag} is not in the model")
                key, shape = names[child.tag]
                if key in have:
                    raise Wrong(f"{where}: {child.tag} twice")
                have.add(key)
                self.element(shape, child, f"{where}.{child.tag}")
            self.required(s, have, where)
        elif s["type"] == "list":
            item = s["member"].get("locationName", "member")
            for child in e:
                if child.tag != item:
                    raise Wrong(f"{where}: {child.tag}, not {item}")
                self.element(s["member"]["shape"], child, where + "[]")
        else:
            if len(e):
                raise Wrong(f"{where}: elements in a value")
            text = e.text or ""
            if text or s["type"] != "string":
                self.limits(name, text, where)
