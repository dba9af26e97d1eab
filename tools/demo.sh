#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# make demo: a herd of six instances made of a real Debian tree, one of them
# broken into; attached, mounted, and what deviates shown. Needs no root where
# the packages are there. Everything lies in demo/ (or $DEMO_DIR); run again,
# it starts over with the same images. The mount stays.

set -eu
cd "$(dirname "$0")/.."
PATH=$PATH:/usr/sbin:/sbin
demo=${DEMO_DIR:-$PWD/demo}
images=$demo/images
mnt=$demo/mnt
herdfs=${HERDFS:-$PWD/build/plain/herdfs}
export HERDFS_STORE=$demo/store LC_ALL=C.UTF-8

if [ -t 1 ]; then bold=$(printf '\033[1m') plain=$(printf '\033[0m')
else
	bold='' plain=''
	export COLUMNS=100	# as on a terminal
fi
say() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
# show COMMAND…: as typed, then what it prints
show() {
	printf '\n%s$ %s%s\n' "$bold" "$*" "$plain"
	(cd "$demo" && eval "$*")
}

unmount() {
	mountpoint -q "$mnt" 2>/dev/null || return 0
	fusermount3 -u "$mnt" 2>/dev/null || umount "$mnt"
}

if [ ! -r /dev/fuse ] || [ ! -w /dev/fuse ]; then
	echo "make demo: /dev/fuse is not there or not for this user, so" \
		"nothing can be mounted (Debian's own mode for it is 0666)" >&2
	exit 1
fi
mkdir -p "$images"
unmount
mkdir -p "$mnt"

# ---- the herd ----------------------------------------------------------------

if [ ! -e "$images/.complete" ]; then
	say "Making six instances of a web server from Debian packages (once; about a minute) …"
	rm -rf "$images"
	tests/lab/make_herd.sh 6 "$images"
	PYTHONDONTWRITEBYTECODE=1 python3 tests/lab/intrusion.py "$images/i-4.raw"
	# two of them as overlays on the image that all started from
	for i in 5 6; do
		qemu-img create -q -f qcow2 -F raw -b "i-$i.raw" "$images/i-$i.qcow2"
		(cd "$images" && qemu-img rebase -f qcow2 -F raw -b base.raw \
			"i-$i.qcow2")
		rm "$images/i-$i.raw"
	done
	: >"$images/.complete"
fi
rm -rf "$HERDFS_STORE"

# ---- what an analyst does ------------------------------------------------------

herdfs() { "$herdfs" "$@"; }
say "Disk images of the group \"web\"; i-4 has been broken into."
show "ls -sh images"
show "herdfs attach --asg web images/i-*.raw images/i-*.qcow2"
show "herdfs mount mnt"
show "herdfs list --asg web"
show "find mnt/asg/web/i-4/deviant/disk ! -type d -printf '%M %-8u %8s  %P\\n'"
show "diff -r --no-dereference mnt/asg/web/i-4/herd/disk mnt/asg/web/i-4/deviant/disk" || true
show "getfattr -d -m herdfs mnt/asg/web/i-4/deviant/disk/usr/sbin/sshd"
show "herdfs report --html web.html"
show "cd mnt/asg/web/i-4 && sha256sum -c --quiet MANIFEST.sha256 && echo all of MANIFEST.sha256 is right"

if ! mountpoint -q "$mnt"; then
	echo "make demo: nothing is mounted" >&2
	exit 1
fi
say "The mount stays for you to look at:"
cat <<END
    $mnt/asg/web/i-4/report.txt
    $mnt/asg/web/i-4/deviant/disk/       what deviates, at its own path
    $mnt/asg/web/i-4/herd/disk/          the herd's version of the same
    $mnt/asg/web/i-4/all/disk/           the whole instance
and for a browser:
    $demo/web.html

To ask more (once in your shell: export HERDFS_STORE=$HERDFS_STORE):
    ${herdfs#"$PWD"/} why --asg web --instance i-4 /usr/sbin/sshd
To end it:
    fusermount3 -u $mnt
    ${herdfs#"$PWD"/} detach --asg web --all
    rm -r $demo
END
