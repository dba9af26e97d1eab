#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# mount(8) and fstab(5) after make install: mount -t herdfs, a line that root
# mounts, one that a user may mount, and what is wrong in one. In a mount
# namespace of its own, with copies of /usr/sbin and /etc/fstab in their places:
# mount(8) looks for its helpers in /sbin alone, and the host's stay as they are.

if [ "${HERD_OWN_NAMESPACE:-}" != yes ]; then
	[ "$(id -u)" -eq 0 ] || { echo "skip: needs root, as mount(8) does"; exit 77; }
	unshare -m --propagation private true 2>/dev/null ||
		{ echo "skip: no mount namespaces"; exit 77; }
	HERD_OWN_NAMESPACE=yes exec unshare -m --propagation private bash "$0" "$@"
fi

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/herd.sh"
need_fuse
need findmnt runuser fusermount3
[ "$(realpath /sbin)" = /usr/sbin ] || skip "/sbin is not /usr/sbin"
[ -e /etc/fstab ] || skip "no /etc/fstab"
case $HERDFS in
*/build/plain/herdfs | */build/asan/herdfs | */build/tsan/herdfs) ;;
*) skip "$HERDFS is not of this tree" ;;
esac
variant=$(basename "$(dirname "$HERDFS")")
small_herd
store=$HERDFS_STORE
unset HERDFS_STORE	# mount(8) is told by its first argument

# ---- installed where mount(8) finds it ----

chmod 755 "$dir"
mkdir "$dir/sbin"
cp -a /usr/sbin/. "$dir/sbin/"
rm -f "$dir/sbin/mount.herdfs"
mount --bind "$dir/sbin" /usr/sbin || skip "no bind mounts"
mount -t herdfs "$store" "$mnt" 2>/dev/null && fail "mounted before it is installed"
env -u MAKEFLAGS -u MAKELEVEL make -s VARIANT="$variant" install \
	prefix="$dir/usr" >"$dir/log" 2>&1 || { fail "make install"; cat "$dir/log"; }
[ "$(realpath /sbin/mount.herdfs)" = "$dir/usr/bin/herdfs" ] ||
	{ fail "/sbin/mount.herdfs is not there"; finish; }

shown() {	# DIR: a mounted herd
	[ "$(findmnt -no FSTYPE "$1")" = fuse.herdfs ] || fail "$1: no herd is mounted"
	[ "$(findmnt -no SOURCE "$1")" = "$store" ] || fail "$1: source $(findmnt -no SOURCE "$1")"
	local o
	for o in ro nosuid nodev noexec; do
		findmnt -no OPTIONS "$1" | tr , '\n' | grep -qx $o || fail "$1: not $o"
	done
}
evil() { grep -q toor "$1/asg/web/i-3/deviant/disk/etc/passwd"; }
gone() { mountpoint -q "$1" && { fail "$1 is still mounted"; unmount "$1"; }; }
refused() {	# WORDS COMMAND…
	local words=$1
	shift
	"$@" >"$dir/out" 2>&1 && fail "$*: not refused"
	grep -q -- "$words" "$dir/out" || { fail "$*: no '$words'"; cat "$dir/out"; }
	gone "$mnt"
}

# ---- mount -t ----

mount -t herdfs "$store" "$mnt" || fail "mount -t herdfs"
shown "$mnt"
evil "$mnt" || fail "the deviant is not there"
umount "$mnt" || fail "umount"
gone "$mnt"
mount -t herdfs -o "ro,asg=web,store=$store" herdfs "$mnt" || fail "mount -o"
evil "$mnt" || fail "store= is not heeded"
[ "$(ls "$mnt/asg")" = web ] || fail "asg="
umount "$mnt"
mount -f -t herdfs "$store" "$mnt" || fail "mount -f"
gone "$mnt"
refused 'no option -o nonsense' mount -t herdfs -o nonsense "$store" "$mnt"
refused 'no group "db"' mount -t herdfs -o asg=db "$store" "$mnt"
refused nowhere mount -t herdfs "$dir/nowhere" "$mnt"

# ---- fstab ----

cp -a "$store" "$dir/store-of-user"
mkdir "$dir/of-user"
chown -R nobody "$dir/store-of-user" "$dir/of-user"
chmod a+r "$dir"/i-?.raw
cat >"$dir/fstab" <<END
$store  $mnt  herdfs  noauto,asg=web  0  0
$dir/store-of-user  $dir/of-user  herdfs  noauto,user  0  0
$store  $dir/auto  herdfs  nofail,x-systemd.device-timeout=5  0  0
END
mount --bind "$dir/fstab" /etc/fstab || fail "no bind mount on /etc/fstab"
mount "$mnt" || fail "mount by fstab"
shown "$mnt"
evil "$mnt" || fail "by fstab: the deviant is not there"
umount "$mnt"
gone "$mnt"
mkdir "$dir/auto"
mount -a -t herdfs || fail "mount -a"
shown "$dir/auto"
gone "$mnt"	# noauto
umount "$dir/auto"

as_nobody() { runuser -u nobody -- env HOME=/nonexistent "$@"; }
as_nobody mount "$mnt" 2>/dev/null && fail "a user mounts what is root's to mount"
if ! as_nobody test -w /dev/fuse; then	# as it is for all, on Debian
	mknod -m 666 "$dir/fuse" c 10 229 && mount --bind "$dir/fuse" /dev/fuse
fi
if ! as_nobody test -w /dev/fuse; then
	echo "left out: users may not open /dev/fuse"
elif as_nobody mount "$dir/of-user"; then
	as_nobody grep -q toor "$dir/of-user/asg/web/i-3/deviant/disk/etc/passwd" ||
		fail "the user does not see the herd"
	[ "$(findmnt -no FSTYPE "$dir/of-user")" = fuse.herdfs ] || fail "of a user: no herd"
	ls "$dir/of-user/asg" >/dev/null 2>&1 && fail "others see a user's mount"
	as_nobody umount "$dir/of-user" || fail "the user does not get rid of it"
	gone "$dir/of-user"
else
	fail "a user's line in fstab"
fi
finish
