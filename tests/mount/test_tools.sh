#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The tools of an analyst on a real mount: each does its work, says nothing on
# stderr that it would not say elsewhere, and finds what was planted.

# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
need_fuse
need python3 debugfs sgdisk mkfs.ext4 mcopy

"$LAB/make_herd.sh" 4 "$dir" || { fail "no herd"; finish; }
python3 - "$dir" <<'PY' || { fail "cannot plant"; finish; }
import sys
import intrusion
import lab

# in two pieces, so that this file is not what scanners look for
EICAR = (r"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-STANDARD-"
         r"ANTIVIRUS-TEST-FILE!$H+H*").encode()
with lab.Disk(sys.argv[1] + "/i-2.raw") as disk:
    intrusion.plant(disk)
    disk.write("/usr/lib/eicar.com", EICAR, mode=0o755)
    disk.mkdir("/usr/lib/x")
    disk.write("/usr/lib/x/a name with spaces", b"and content\n")
    disk.ea_set("/usr/lib/x/a name with spaces", "user.mark", b"kept")
    disk.symlink("/usr/lib/x/link", "../eicar.com")
    disk.mknod("/usr/lib/x/fifo", "p")
PY
attach --asg web "$dir"/i-?.raw
mount_herd
i2=$mnt/asg/web/i-2
deviant=$i2/deviant/disk

# does STATUS COMMAND…: output in $dir/out; that status, and silence on stderr
does() {
	local want=$1 status
	shift
	timeout -k 5 300 "$@" >"$dir/out" 2>"$dir/err" </dev/null
	status=$?
	[ $status -eq "$want" ] || fail "$*: status $status"
	if [ -s "$dir/err" ]; then
		fail "$*: complains:"
		head -n 5 "$dir/err"
	fi
}
has() { grep -aqE -- "$1" "$dir/out" || { fail "no /$1/ in the output"
	head -n 20 "$dir/out"; }; }
may() { command -v "$1" >/dev/null || { echo "not here: $1"; return 1; }; }

does 0 ls -laR "$deviant"
has 'eicar\.com'
has 'rws.*libutil-2\.so'
does 0 find "$i2" -ls
does 0 find "$deviant" -type f -perm -4000
has 'libutil-2\.so$'
does 0 find "$deviant" -newermt 2025-11-24 -name status.php
has 'status\.php'
does 0 grep -r NOPASSWD "$deviant"
has 'etc/sudoers'
does 0 grep -rc . "$i2/volatile"
may strings && { does 0 strings -a "$deviant/usr/sbin/sshd"; has 'OpenSSH'; }
does 1 diff -r "$i2/herd/disk" "$deviant"
has 'Only in .*: eicar\.com|Only in .*usr/lib: '
has 'sshd differ'
does 0 sh -c "cd '$i2' && sha256sum -c MANIFEST.sha256"
has 'deviant/disk/usr/lib/eicar\.com: OK'
files=$(find "$deviant" -type f | wc -l)
echo "MANIFEST.sha256: $(wc -l <"$dir/out") of $files shown as files"
does 0 wc -c "$i2/report.txt" "$i2/report.json" "$i2/bodyfile" "$mnt/asg/web/herd.json"
does 0 python3 -m json.tool "$i2/report.json"
does 0 python3 -m json.tool "$mnt/asg/web/herd.json"
may file && { does 0 file "$deviant/usr/sbin/sshd"; has ELF; }
does 0 du -s "$i2/all"
does 0 df "$mnt"

# ---- archives: the subtree with what vouches for it, verified elsewhere ----

verify() {	# FOLDER: an archive of i-2
	(cd "$1" && sha256sum --quiet -c MANIFEST.sha256) >"$dir/out" 2>&1 ||
		{ fail "the archive in $1 does not verify"; head -5 "$dir/out"; }
	[ "$(cat "$1/deviant/disk/usr/lib/x/a name with spaces")" = "and content" ] ||
		fail "a name with spaces is lost in $1"
	[ "$(readlink "$1/deviant/disk/usr/lib/x/link")" = ../eicar.com ] ||
		fail "a link is lost in $1"
}
attribute() {	# FOLDER: the attributes came along, where they can
	touch "$dir/probe" && setfattr -n user.probe -v 1 "$dir/probe" 2>/dev/null ||
		return
	[ "$(getfattr --absolute-names --only-values -n user.herdfs.xattr.user.mark \
		"$1/deviant/disk/usr/lib/x/a name with spaces" 2>&1)" = kept ] ||
		fail "attributes are lost in $1"
	[ "$(getfattr --absolute-names --only-values -n user.herdfs.reason \
		"$1/deviant/disk/usr/sbin/sshd" 2>&1)" = content ] ||
		fail "the reason is lost in $1"
}
parts="deviant MANIFEST.sha256 bodyfile report.json report.txt"
# shellcheck disable=SC2086
does 0 tar --xattrs -cf "$dir/a.tar" -C "$i2" $parts
mkdir "$dir/from-tar" "$dir/from-rsync" "$dir/from-cp"
does 0 tar --xattrs --no-same-owner -xf "$dir/a.tar" -C "$dir/from-tar"
verify "$dir/from-tar"
attribute "$dir/from-tar"
rm -f "$dir/b.tar"
# shellcheck disable=SC2086
does 0 tar --xattrs -cf "$dir/b.tar" -C "$i2" $parts
cmp -s "$dir/a.tar" "$dir/b.tar" || fail "two archives of one mount differ"
if may rsync; then
	# shellcheck disable=SC2086
	does 0 sh -c "cd '$i2' && rsync -aX $parts '$dir/from-rsync/'"
	verify "$dir/from-rsync"
	attribute "$dir/from-rsync"
	does 0 sh -c "cd '$i2' && rsync -aXn --itemize-changes $parts '$dir/from-rsync/'"
	[ ! -s "$dir/out" ] || { fail "rsync would copy again:"; head -3 "$dir/out"; }
fi
# shellcheck disable=SC2086
does 0 sh -c "cd '$i2' && cp -a $parts '$dir/from-cp/'"
verify "$dir/from-cp"
attribute "$dir/from-cp"

# ---- scanners ----

if may yara; then
	cat >"$dir/rules.yar" <<'END'
rule web_shell { strings: $a = "a web shell would stand here" condition: $a }
rule setuid_dash { strings: $a = { 7f 45 4c 46 } $b = "dash" nocase
	condition: $a at 0 and $b }
END
	does 0 yara -r "$dir/rules.yar" "$deviant"
	has 'web_shell .*status\.php'
	does 0 yara -r "$dir/rules.yar" "$i2/all/disk/var"
	has 'web_shell .*status\.php'
fi
if may clamscan; then
	sum=$(md5sum <"$deviant/usr/lib/eicar.com" | cut -d ' ' -f 1)
	echo "$sum:68:Eicar-Test" >"$dir/own.hdb"
	does 1 clamscan -r --no-summary -d "$dir/own.hdb" "$deviant"
	has 'eicar\.com: Eicar-Test.*FOUND'
	[ "$(grep -c FOUND "$dir/out")" -eq 1 ] || fail "clamscan found more"
fi
if may mactime; then
	does 0 mactime -b "$i2/bodyfile" -d
	has 'status\.php'
	has 'sshd'
fi
finish
