#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What is seen through the mount, with the tools that analysts use: the views,
# links that stay inside, nothing that hangs, sparse files, attributes, and
# archives that verify elsewhere.

# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
need_fuse
need fusermount3 getfattr setfattr rsync
# shellcheck source=tests/mount/herd.sh
. tests/mount/herd.sh
small_herd
mount_herd
web=$mnt/asg/web
i3=$web/i-3

same() {	# WHAT WANT GOT
	[ "$2" = "$3" ] || fail "$1: wanted $(printf %q "$2"), got $(printf %q "$3")"
}
limit() { timeout -k 1 20 "$@" || fail "$* ended with $?"; }

# ---- the views ----

same "the top" "$(printf 'README.txt\nclusters\nherd.json\ni-1\ni-2\ni-3\ni-4')" "$(ls "$web")"
same "deviant" "$(printf '%s\n' . ./bin ./bin/tool ./etc ./etc/climbing \
	./etc/passwd ./etc/passwd- ./home ./home/u ./home/u/.x ./home/u/.x/evil \
	./home/u/.x/out)" "$(cd "$i3/deviant/disk" && find . | sort)"
same "herd" "$(printf '%s\n' . ./bin ./bin/tool ./etc ./etc/climbing \
	./etc/passwd ./etc/passwd- ./etc/winding)" \
	"$(cd "$i3/herd/disk" && find . | sort)"
same "volatile" "log 3" "$(cat "$i3/volatile/disk/var/log/log")"
same "clean siblings" "" "$(find "$web"/i-[124]/deviant/disk -mindepth 1)"
same "one folder, many names" 3000 "$(find "$i3/all/disk/var/many" -mindepth 1 | wc -l)"
same "and again" 3000 "$(ls -U "$i3/all/disk/var/many" | sort -u | wc -l)"
diff -r --no-dereference "$i3/herd/disk" "$i3/deviant/disk" >"$dir/diff"
for word in 'toor:x:0:0' 'Only in .*herd/disk/etc: winding' 'bin/tool differ' \
	'Only in .*deviant/disk: home'; do
	grep -q "$word" "$dir/diff" || fail "diff -r does not tell of $word"
done
same "an odd name" odd "$(cat "$i3/all/disk/etc/$(printf 'new\nline \377')")"
same "a name that is not there" "" "$(cat "$i3/all/disk/etc/nosuch" 2>/dev/null)"
cmp -s "$dir/tree/bin/tool" "$i3/deviant/disk/bin/tool" || fail "content of bin/tool"
same "modes are the instance's" 600 "$(stat -c %a "$i3/all/disk/etc/shadow")"
same "and do not keep us out" nobody "$(cat "$i3/all/disk/etc/shadow")"
same "times" "2024-05-06 07:08:09.000000000 +0000" \
	"$(TZ=UTC stat -c %y "$i3/all/disk/bin/tool")"

# ---- the mount itself ----

options=$(awk -v m="$mnt" '$2 == m { print $4 }' /proc/mounts)
for o in ro nosuid nodev noexec; do
	[[ ,$options, == *,$o,* ]] || fail "not mounted $o: $options"
done
[[ $options == *allow_other* ]] && fail "mounted allow_other: $options"
touch "$i3/x" 2>/dev/null && fail "something could be written"
rm -f "$i3/report.txt" 2>/dev/null && fail "something could be removed"
"$i3/all/disk/bin/tool" 2>/dev/null && fail "something could be run"

# ---- links ----

for l in absolute climbing winding; do
	same "etc/$l" "root:x:0:0:herd" "$(cat "$web/i-1/all/disk/etc/$l")"
done
same "a link to /" "$(ls "$web/i-1/all/disk")" "$(ls "$web/i-1/all/disk/etc/root/")"
same "out of deviant/" "$i3/deviant/disk/etc/shadow" \
	"$(realpath -m "$i3/deviant/disk/home/u/.x/out")"
cat "$web/i-1/all/disk/etc/loop" 2>/dev/null && fail "a loop was read"
find "$mnt" -type l -print0 | while IFS= read -r -d '' l; do
	to=$(realpath -m "$l")
	[[ $to == "$mnt"/asg/web/i-?/*/disk* ]] || echo "$l leads to $to"
	[ "$(stat -c %s "$l")" -eq "$(readlink -n "$l" | wc -c)" ] ||
		echo "$l: its size is not that of its target"
done >"$dir/out"
[ -s "$dir/out" ] && fail "$(cat "$dir/out")"

# ---- nothing hangs, and the host's devices are not reached ----

for f in fifo null sda; do
	same "dev/$f" "regular empty file" "$(stat -c %F "$i3/all/disk/dev/$f")"
	limit cat "$i3/all/disk/dev/$f"
done
same "its true type" "block 8:0" \
	"$(getfattr --only-values -n user.herdfs.type "$i3/all/disk/dev/sda")"
limit find "$mnt" -ls >"$dir/ls"
grep -q 'report.txt' "$dir/ls" || fail "find -ls shows no report.txt"
limit grep -rc toor "$web" >"$dir/grep"
same "grep -r finds it" "$(printf '%s\n' all/disk/etc/passwd all/disk/etc/passwd- \
	deviant/disk/etc/passwd deviant/disk/etc/passwd-)" \
	"$(grep -v ':0$' "$dir/grep" | sed -n "s,$i3/\([adv].*/disk/.*\):.*,\1,p" | sort)"
limit tar cf - -C "$i3" --sparse all/disk | tar tf - >/dev/null || fail "tar of all/"

# ---- sparse files ----

sparse=$i3/all/disk/var/sparse
[ "$(du -k "$sparse" | cut -f1)" -lt 100 ] || fail "a sparse file takes $(du -k "$sparse")"
limit cp --sparse=auto "$sparse" "$dir/sparse"
[ "$(du -k "$dir/sparse" | cut -f1)" -lt 1000 ] || fail "cp filled the holes"
limit cmp "$sparse" "$dir/sparse"
same "data in it" 699999232 "$(python3 -c '
import os, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
print(os.lseek(fd, 0, os.SEEK_DATA))' "$sparse")"

# ---- attributes ----

attr() { getfattr -h --only-values --absolute-names -n "$1" "$2" 2>/dev/null; }
tool=$i3/deviant/disk/bin/tool
same reason content "$(attr user.herdfs.reason "$tool")"
same prevalence 1/4 "$(attr user.herdfs.prevalence "$tool")"
same sha256 "$(sha256sum <"$tool" | cut -d' ' -f1)" "$(attr user.herdfs.sha256 "$tool")"
same "the herd's version" "$(sha256sum <"$web/i-1/all/disk/bin/tool")" \
	"$(sha256sum <"$mnt$(attr user.herdfs.herd "$tool")")"
same "its own attribute" built-here "$(attr user.herdfs.xattr.user.origin "$tool")"
same "its label" some-label "$(attr user.herdfs.xattr.security.selinux "$tool" | tr -d '\0')"
same "on a link" target "$(attr system.herdfs.reason "$i3/deviant/disk/etc/climbing")"
same "the link's own target" ../../../../etc/shadow \
	"$(attr system.herdfs.target "$i3/deviant/disk/etc/climbing")"
getfattr --absolute-names -h -R -d -m - "$i3/deviant" >"$dir/attrs" 2>"$dir/errors" ||
	fail "getfattr: $(cat "$dir/errors")"
[ -s "$dir/errors" ] && fail "getfattr: $(cat "$dir/errors")"
grep -qE '^(security|trusted|system\.posix)' "$dir/attrs" && fail "an attribute as itself"
same "added files are told" 3 "$(grep -c 'herdfs.reason="added"' "$dir/attrs")"

# ---- archives ----

same "sha256sum -c" "" "$(cd "$i3" && sha256sum -c --quiet MANIFEST.sha256 2>&1)"
[ "$(wc -l <"$i3/MANIFEST.sha256")" -ge 4 ] || fail "a short manifest"
limit tar --xattrs --xattrs-include='*' -C "$i3" -cf "$dir/a.tar" deviant MANIFEST.sha256 \
	bodyfile report.json report.txt
mkdir "$dir/tar" "$dir/rsync" "$dir/cp"
tar -C "$dir/tar" -xf "$dir/a.tar" || fail "the archive"
limit cp -a "$i3"/{deviant,MANIFEST.sha256,bodyfile,report.json,report.txt} "$dir/cp" 2>"$dir/errors"
limit rsync -a "$i3"/{deviant,MANIFEST.sha256,bodyfile,report.json,report.txt} "$dir/rsync/"
limit rsync -aX "$i3/deviant/disk/etc" "$dir/rsync/x"
for c in tar rsync cp; do
	same "verified after $c" "" "$(cd "$dir/$c" && sha256sum -c --quiet MANIFEST.sha256 2>&1)"
	diff -r --no-dereference "$i3/deviant" "$dir/$c/deviant" >/dev/null ||
		fail "$c: not the same"
	same "hard links after $c" "$(stat -c %i "$dir/$c/deviant/disk/etc/passwd")" \
		"$(if [ $c = rsync ]; then stat -c %i "$dir/rsync/deviant/disk/etc/passwd"
		else stat -c %i "$dir/$c/deviant/disk/etc/passwd-"; fi)"
done
if setfattr -n user.x -v y "$dir/tar" 2>/dev/null; then
	same "attributes after rsync -X" content \
		"$(attr user.herdfs.reason "$dir/rsync/x/etc/passwd")"
fi

# ---- a second look shows the same ----

find "$web" -printf '%P %s %m %n %i %T@\n' | sort >"$dir/first"
echo 2 2>/dev/null >/proc/sys/vm/drop_caches
find "$web" -printf '%P %s %m %n %i %T@\n' | sort | diff "$dir/first" - >"$dir/diff" ||
	fail "another look differs: $(head -5 "$dir/diff")"
unmount "$mnt"
"$HERDFS" mount --asg web --threads 1 --cache 1 "$mnt" || fail "mount with options"
find "$web" -printf '%P %s %m %n %i %T@\n' | sort | sed 's/ [0-9.]*$//' >"$dir/again"
sed 's/ [0-9.]*$//' "$dir/first" | diff - "$dir/again" >"$dir/diff" ||
	fail "another mount differs: $(head -5 "$dir/diff")"
finish
