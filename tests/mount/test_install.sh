#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# make install and uninstall with DESTDIR: everything is in its place, the
# links lead to the program, and nothing is left behind.

set -u
cd "$(dirname "$0")/../.." || exit 1
HERDFS=$(realpath "${HERDFS:-build/plain/herdfs}")
[ -x "$HERDFS" ] || { echo "skip: $HERDFS is not built"; exit 77; }
case $HERDFS in
*/build/plain/herdfs | */build/asan/herdfs | */build/tsan/herdfs) ;;
*) echo "skip: $HERDFS is not of this tree"; exit 77 ;;
esac
variant=$(basename "$(dirname "$HERDFS")")
dir=$(mktemp -d "${TMPDIR:-/tmp}/herd-install.XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
failed=0
complain() { echo "FAIL: $*"; failed=1; }
run_make() {
	env -u MAKEFLAGS -u MAKELEVEL make -s VARIANT="$variant" "$@" \
		>"$dir/log" 2>&1 || { complain "make $*"; cat "$dir/log"; }
}

root=$dir/root
run_make install DESTDIR="$root"
p=$root/usr/local
for f in bin/herdfs sbin/mount.herdfs share/man/man1/herdfs.1 \
	share/man/man1/herdfs-acquire.1 share/man/man7/herdfs-aws.7 \
	share/man/man8/mount.herdfs.8 share/doc/herdfs/ARCHITECTURE.md \
	share/doc/herdfs/AWS.md share/doc/herdfs/iam-acquire.json \
	share/doc/herdfs/iam-read.json share/doc/herdfs/iam-memory.json \
	share/doc/herdfs/iam-memory-read.json \
	share/bash-completion/completions/herdfs share/herdfs/rules.conf; do
	[ -s "$p/$f" ] || complain "no $f"
done
for f in docs/man/*.1; do
	cmp -s "$f" "$p/share/man/man1/$(basename "$f")" || complain "$f"
done
for f in list why report status mount attach detach keep acquire; do
	grep -q memory "$p/share/man/man1/herdfs-$f.1" || complain "herdfs-$f.1 has no word on memory"
done
"$p/bin/herdfs" --version >/dev/null || complain "the program does not run"
for link in "$p/sbin/mount.herdfs" "$root/usr/sbin/mount.herdfs"; do
	[ "$(realpath "$link")" = "$(realpath "$p/bin/herdfs")" ] ||
		complain "$link leads to $(readlink "$link")"
	"$link" --help 2>&1 | grep -q mount || complain "$link --help"
done
[ "$(stat -c %a "$p/bin/herdfs")" = 755 ] || complain "mode of the program"
run_make uninstall DESTDIR="$root"
left=$(find "$root" ! -type d)
[ -z "$left" ] || complain "left behind: $left"

# Another prefix, and no link where mount(8) looks.
run_make install DESTDIR="$root" prefix=/opt/herd mounthelperdir=
[ -x "$root/opt/herd/bin/herdfs" ] || complain "prefix"
[ -e "$root/usr/sbin/mount.herdfs" ] && complain "mounthelperdir= is not heeded"
run_make uninstall DESTDIR="$root" prefix=/opt/herd mounthelperdir=
left=$(find "$root" ! -type d)
[ -z "$left" ] || complain "left behind: $left"

# A mount.herdfs of somebody else stays.
mkdir -p "$root/usr/sbin"
echo other >"$root/usr/sbin/mount.herdfs"
run_make uninstall DESTDIR="$root"
[ -e "$root/usr/sbin/mount.herdfs" ] || complain "took away another's mount.herdfs"

[ $failed -eq 0 ] && echo ok
exit $failed
