# SPDX-License-Identifier: Apache-2.0
"""What goes wrong, on purpose and always the same way for a seed.

A rule: {"every": 10, "kinds": ["throttle", "corrupt"]} makes every tenth
answer bad, each kind in turn. Instead of every: "probability". Which answers:
"action", "service", "snapshot", "key" (each a text or a list), "index"
(numbers). "skip": so many at first are good; "count": so many bad ones, then
no more. Further keys belong to the kind: "reason", "seconds", "after" (bytes
sent before it happens), "rate" (bytes a second), "bytes".
"""
import hashlib
import threading
import time

# answered instead of the real answer, by the errors module
ERRORS = {"throttle", "e500", "e503", "e502", "quota", "concurrent",
          "conflict", "notfound", "expired", "skew", "token"}
# the real answer, damaged on the way
TRANSPORT = {"corrupt", "truncate", "short", "checksum", "nochecksum",
             "stall", "silent", "reset", "slow"}
MATCHES = ("action", "service", "snapshot", "key", "index")


class Rule:
    def __init__(self, entry, seed, number):
        self.entry = entry
        self.kinds = entry.get("kinds") or [entry["kind"]]
        unknown = set(self.kinds) - ERRORS - TRANSPORT
        if unknown:
            raise ValueError(f"no such fault: {', '.join(sorted(unknown))}")
        self.seed = f"{seed}/{number}/".encode()
        self.seen = self.hit = 0

    def matches(self, what):
        for key in MATCHES:
            want = self.entry.get(key)
            if want is not None:
                want = want if isinstance(want, list) else [want]
                if what.get(key) not in want:
                    return False
        return True

    def draw(self):
        """The kind for this answer, or None."""
        self.seen += 1
        n = self.seen - self.entry.get("skip", 0)
        count = self.entry.get("count")
        if n <= 0 or (count is not None and self.hit >= count):
            return None
        if "probability" in self.entry:
            digest = hashlib.sha256(self.seed + b"%d" % n).digest()
            share = int.from_bytes(digest[:8], "big") / 2 ** 64
            if share >= self.entry["probability"]:
                return None
        elif n % self.entry.get("every", 1):
            return None
        kind = self.kinds[self.hit % len(self.kinds)]
        self.hit += 1
        return kind


class Faults:
    def __init__(self, seed):
        self.seed = seed
        self.lock = threading.Lock()
        self.rules = []
        self.counts = {}

    def set(self, entries):
        rules = [Rule(e, self.seed, n) for n, e in enumerate(entries)]
        with self.lock:
            self.rules = rules

    def draw(self, what):
        """(kind, the rule's further keys) for what this request is, or None."""
        if not self.rules:
            return None
        with self.lock:
            for rule in self.rules:
                if rule.matches(what):
                    kind = rule.draw()
                    if kind:
                        self.counts[kind] = self.counts.get(kind, 0) + 1
                        return kind, {**rule.entry, "n": rule.hit - 1}
        return None


class Rates:
    """Token buckets of a second's worth."""

    def __init__(self, world):
        self.world = world
        self.lock = threading.Lock()
        self.buckets = {}

    def reset(self):
        with self.lock:
            self.buckets = {}

    def over(self, action, account, snapshot):
        """The quota that this call is too much for: "account", "snapshot"."""
        rates = self.world.settings["rates"]
        if not rates:
            return None
        now = time.monotonic()
        with self.lock:
            due = []
            for scope, name in (("account", account), ("snapshot", snapshot)):
                of = rates.get(scope, {})
                rate = of.get(action, of.get("*"))
                if rate is None or name is None:
                    continue
                key = (scope, name, action)
                left, at = self.buckets.get(key, (rate, now))
                left = min(rate, left + (now - at) * rate)
                self.buckets[key] = (left, now)
                if left < 1:
                    return scope
                due.append(key)
            for key in due:
                left, at = self.buckets[key]
                self.buckets[key] = (left - 1, at)
        return None
