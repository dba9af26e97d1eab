#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A policy and sets of known digests, from the command line to the mount: what
# a rule hides and what none hides, what has expired, ranks of what is known,
# and that each path is counted once.

# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
need_fuse
need fusermount3 getfattr python3
# shellcheck source=tests/mount/herd.sh
. tests/mount/herd.sh

same() {	# WHAT WANT GOT
	[ "$2" = "$3" ] || fail "$1: wanted $(printf %q "$2"), got $(printf %q "$3")"
}
has() {	# FILE PATTERN…
	local file=$1 p
	shift
	for p in "$@"; do
		grep -qE -- "$p" "$file" || { fail "no /$p/ in $file"; head -n 30 "$file"; }
	done
}
attr() { getfattr -h --only-values --absolute-names -n "$1" "$2" 2>/dev/null; }
# refused PATTERN COMMAND…: fails, and says so in a line
refused() {
	local pattern=$1
	shift
	if "$@" >"$dir/out" 2>"$dir/err"; then
		fail "$* is fine?"
	fi
	grep -qE -- "$pattern" "$dir/err" || { fail "$*: no /$pattern/"; cat "$dir/err"; }
}

# ---- known digests, before there is an index ----

# the content of i-3's own file, and of nobody's
sha256sum >"$dir/worms" <<'END'
#!/bin/sh
END
mkdir -p "$dir/few"
printf 'good text\n' | sha256sum >"$dir/os"
printf '"SHA-1","MD5","CRC32","FileName","FileSize","ProductCode","OpSystemCode","SpecialCode"\n' \
	>"$dir/NSRLFile.txt"
"$HERDFS" known import --bad --name worms "$dir/worms" >"$dir/out" ||
	fail "known import --bad"
has "$dir/out" '^worms: bad, 1 digests out of 1 lines'
"$HERDFS" known import --good --name os "$dir/os" >"$dir/out" || fail "known import --good"
refused 'RDS version 2.*SHA-256' "$HERDFS" known import --good --name rds "$dir/NSRLFile.txt"
refused 'one of --good and --bad' "$HERDFS" known import --name x "$dir/os"
"$HERDFS" known list >"$dir/out" || fail "known list"
has "$dir/out" '^bad +1  .* worms$' '^good +1  .* os$'

# ---- the herd; the index is made beside the sets ----

small_herd
# one more that deviates in what nobody minds, in a program, and in a key
mkdir -p "$dir/tree/srv/app" "$dir/tree/srv/keys"
printf 'good text\n' >"$dir/tree/srv/app/page"
printf 'other text\n' >"$dir/tree/srv/app/other"
printf 'x' >"$dir/tree/srv/app/suid"
chmod 4755 "$dir/tree/srv/app/suid"
printf 'x' >"$dir/tree/srv/app/prog"
chmod 755 "$dir/tree/srv/app/prog"
printf 'x' >"$dir/tree/srv/keys/server.key"
ln -sf nowhere "$dir/tree/srv/app/link"
to_image "$dir/tree" "$dir/i-5.raw"
attach --asg web "$dir/i-5.raw"

"$HERDFS" list --json --all --instance i-5 >"$dir/before.json" || fail "list"
cat >"$dir/rules" <<'END'
# reviewed
suppress /srv/**
  reason = deployed by hand until the next image (OPS-1)
  owner = ops@example.org
  expires = 2023-11-14

suppress /etc/**
  instance = i-5
  reason = this one is set up another way
  owner = Zoe
  expires = never

suppress /bin/*
  reason = long ago
  owner = nobody any more
  allow = executable
  expires = 2023-11-13
END
"$HERDFS" policy --json "$dir/rules" >"$dir/out" 2>"$dir/err" || fail "policy"
python3 -m json.tool "$dir/out" >/dev/null || fail "policy --json"
has "$dir/out" '"line": 2, "pattern": "/srv/\*\*".*"expired": false' \
	'"line": 13, .*"expired": true'
has "$dir/err" 'rules:13: .*2023-11-13'
printf 'suppress /etc/x\n' >"$dir/wrong"
refused 'wrong:1: this rule has no reason' "$HERDFS" policy "$dir/wrong"
refused 'wrong:1' "$HERDFS" list --policy "$dir/wrong"
refused 'wrong:1' "$HERDFS" mount --policy "$dir/wrong" "$mnt"
refused 'No such file' "$HERDFS" list --policy "$dir/nosuch"

# ---- lists ----

cp "$dir/rules" "$HERDFS_STORE/policy"
"$HERDFS" list --expand >"$dir/list" 2>"$dir/err" || fail "list with a policy"
has "$dir/err" 'policy:13: .*does not apply'
has "$dir/list" '; [1-9][0-9]* suppressed \(--all\)' \
	'^  100   100 .* i-3 .* /home/u/.x/evil  known: bad \(worms\)  -- ' \
	' /srv/app/suid  -- ' ' /srv/app/prog  -- ' ' /srv/keys/server.key  -- ' ' i-3 .* /bin/tool  -- '
grep -E ' /srv/app/(page|other|link)' "$dir/list" && fail "not suppressed"
"$HERDFS" list --expand --all >"$dir/list" 2>/dev/null
has "$dir/list" 'i-5 +suppressed .* /srv/app/page  known: good \(os\)  -- ' \
	'i-5 +suppressed .* /srv/app/other  -- ' 'i-5 +suppressed .* /etc/winding  -- ' \
	'i-5 +deviant .* /etc/passwd  -- ' 'i-3 +deviant .* /etc/winding  -- '
"$HERDFS" policy --count >"$dir/out" 2>/dev/null || fail "policy --count"
has "$dir/out" '^   2  applies +[1-9][0-9]*  /srv/\*\*$' '^  13  expired +0  /bin/\*$'
"$HERDFS" why --asg web --instance i-5 /srv/app/page >"$dir/out" 2>/dev/null
has "$dir/out" 'i-5: suppressed, rank [0-9]+: added; known: good \(os\)$' \
	'suppressed by line 2 of the policy: deployed by hand .*OPS-1.*; owner ops@example.org; expires 2023-11-14'
"$HERDFS" list --policy /dev/null --all >"$dir/out" || fail "list without rules"
grep -q ' suppressed  ' "$dir/out" && fail "suppressed without rules"

# the rank of what is good is half of what it was, and no more is hidden
"$HERDFS" list --json --all --instance i-5 >"$dir/after.json" 2>/dev/null
"$HERDFS" known remove os || fail "known remove"
"$HERDFS" list --json --all --instance i-5 >"$dir/plain.json" 2>/dev/null
python3 - "$dir" <<'END' || fail "findings before and after"
import json, sys
def read(name):
    with open(f"{sys.argv[1]}/{name}.json") as f:
        return {f["path"]: f for f in json.load(f)["findings"]}
before, after, plain = read("before"), read("after"), read("plain")
assert set(before) == set(after) == set(plain), "a path is gone"
page = after["srv/app/page"]
assert page["class"] == "suppressed" and page["known"] == {"kind": "good", "set": "os"}
assert page["rank"] == (plain["srv/app/page"]["rank"] + 1) // 2, page
assert page["suppressed"]["owner"] == "ops@example.org"
for path in before:
    if path != "srv/app/page":
        assert after[path]["rank"] == plain[path]["rank"] == before[path]["rank"], path
assert {p for p in after if after[p]["class"] == "suppressed"} >= {
    "srv/app", "srv/app/other", "srv/app/link"}
for path in ("srv/app/suid", "srv/app/prog", "srv/keys/server.key", "etc/passwd"):
    assert after[path]["class"] == "deviant", path
END
"$HERDFS" known import --good --name os "$dir/os" >/dev/null || fail "known import"

# ---- the mount ----

mount_herd 2>/dev/null
i5=$mnt/asg/web/i-5
same "suppressed" "$(printf '%s\n' . ./etc ./etc/climbing ./srv ./srv/app \
	./srv/app/link ./srv/app/other ./srv/app/page ./srv/keys)" \
	"$(cd "$i5/suppressed/disk" && find . | sort)"
same "its content" "good text" "$(cat "$i5/suppressed/disk/srv/app/page")"
same "deviant still" "$(printf '%s\n' ./srv/app/prog ./srv/app/suid ./srv/keys/server.key)" \
	"$(cd "$i5/deviant/disk" && find . -path './srv/*' ! -type d | sort)"
[ -e "$mnt/asg/web/i-1/suppressed/disk" ] || fail "i-1 has no suppressed/"
same "nothing of i-1" "" "$(find "$mnt/asg/web/i-1/suppressed/disk" -mindepth 1)"
page=$i5/suppressed/disk/srv/app/page
same class suppressed "$(attr user.herdfs.class "$page")"
same reason added "$(attr user.herdfs.reason "$page")"
same "the rule" "deployed by hand until the next image (OPS-1); owner ops@example.org; expires 2023-11-14" \
	"$(attr user.herdfs.suppressed "$page")"
same known "good (os)" "$(attr user.herdfs.known "$page")"
same "on a link" "Zoe" "$(attr system.herdfs.suppressed "$i5/suppressed/disk/etc/climbing" |
	sed 's/.*owner \(.*\);.*/\1/')"
evil=$mnt/asg/web/i-3/deviant/disk/home/u/.x/evil
same "rank of what is bad" 100 "$(attr user.herdfs.rank "$evil")"
same "known bad" "bad (worms)" "$(attr user.herdfs.known "$evil")"
same "also in all/" "bad (worms)" \
	"$(attr user.herdfs.known "$mnt/asg/web/i-3/all/disk/home/u/.x/evil")"
same "no mark elsewhere" "" "$(attr user.herdfs.known "$i5/all/disk/etc/passwd")"
has "$i5/report.txt" '^Policy .*/policy, 3 rules, 1 expired' '^Suppressed$' \
	'^line 2, for [0-9]+ paths: /srv/\*\*$' '^suppressed +[1-9]'
has "$mnt/asg/web/README.txt" 'suppressed/disk/'
has "$i5/bodyfile" '\|/srv/app/page\|'
same "sha256sum -c" "" "$(cd "$i5" && sha256sum -c --quiet MANIFEST.sha256 2>&1)"
"$HERDFS" why "$page" >"$dir/out" 2>/dev/null || fail "why of a path in suppressed/"
same "a second look" "$(sha256sum <"$i5/report.txt")" "$(sha256sum <"$i5/report.txt")"

# each path once: what all/ shows and what is lacking
python3 - "$mnt/asg/web" <<'END' || fail "counts do not add up"
import json, os, sys
for name in sorted(os.listdir(sys.argv[1])):
    at = f"{sys.argv[1]}/{name}"
    if not os.path.isdir(at) or name == "clusters":
        continue
    with open(f"{at}/report.json") as f:
        r = json.load(f)
    paths, counts = r["paths"], r["counts"]
    shown = 1 + sum(len(d) + len(f) for _, d, f in os.walk(f"{at}/all/disk"))
    lacking = sum(f["absent"] for f in r["findings"])
    assert shown == r["read"]["entries"], (name, shown, r["read"])
    assert paths["total"] == shown + lacking, (name, paths, shown, lacking)
    assert paths["total"] == sum(v for k, v in paths.items() if k != "total")
    assert paths["unreadable"] == 0
    for c in counts:
        assert paths[c] == counts[c], (name, c)
    for view, c in (("suppressed", "suppressed"), ("volatile", "volatile"), ("deviant", "deviant")):
        own = {f["path"] for f in r["findings"] if f["class"] == c and not f["absent"]}
        there = {os.path.relpath(os.path.join(top, x), f"{at}/{view}/disk")
                 for top, d, f in os.walk(f"{at}/{view}/disk") for x in d + f}
        missing = {p for p in own if "path_hex" not in p} - there
        assert not missing, (name, view, missing)
    print(name, paths)
END
unmount "$mnt"

# another policy, by its relative name, also as mount(8) has it
cat >"$dir/few/rules" <<'END'
suppress /srv/app/suid
  allow = setid, executable
  reason = wanted
  owner = ops
  expires = never
END
(cd "$dir/few" && "$HERDFS" mount --policy rules "$mnt") || fail "mount --policy"
same "said so" "./srv/app/suid" "$(cd "$i5/suppressed/disk" && find . ! -type d)"
unmount "$mnt"
(cd "$dir/few" && "$HERDFS" mount -o "policy=rules" "$mnt") || fail "mount -o policy"
same "said so again" "./srv/app/suid" "$(cd "$i5/suppressed/disk" && find . ! -type d)"
unmount "$mnt"

# a set that is damaged is refused, not passed over
printf 'x' | dd of="$HERDFS_STORE/known/worms.bad" bs=1 seek=70 conv=notrunc status=none
refused 'worms.bad: .*damaged' "$HERDFS" list
refused 'worms.bad: .*damaged' "$HERDFS" mount "$mnt"
"$HERDFS" known remove worms || fail "a damaged set cannot be removed"
"$HERDFS" list >/dev/null 2>&1 || fail "list after that"
finish
