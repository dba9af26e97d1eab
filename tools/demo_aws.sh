#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# make demo-aws: the whole way with EBS snapshots, against the local AWS of the
# tests: a group of four instances, one of them broken into, is acquired,
# mounted, fetched for offline, and its snapshots are deleted. Asks nobody but
# 127.0.0.1. Everything lies in demo/aws/ (or $DEMO_DIR); run again, it starts
# over with the same disks. The mount stays.

set -eu
cd "$(dirname "$0")/.."
PATH=$PATH:/usr/sbin:/sbin
demo=${DEMO_DIR:-$PWD/demo/aws}
mnt=$demo/mnt
herdfs=${HERDFS:-$PWD/build/plain/herdfs}
export HERDFS_STORE=$demo/store HERDFS_CACHE=$demo/cache LC_ALL=C.UTF-8
export PYTHONDONTWRITEBYTECODE=1

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
herdfs() { "$herdfs" "$@"; }
unmount() {
	mountpoint -q "$mnt" 2>/dev/null || return 0
	fusermount3 -u "$mnt" 2>/dev/null || umount "$mnt"
}

if [ ! -r /dev/fuse ] || [ ! -w /dev/fuse ]; then
	echo "make demo-aws: /dev/fuse is not there or not for this user, so" \
		"nothing can be mounted (Debian's own mode for it is 0666)" >&2
	exit 1
fi
mkdir -p "$demo"
unmount
mkdir -p "$mnt"
rm -rf "$HERDFS_STORE" "$HERDFS_CACHE"

# ---- the local AWS -------------------------------------------------------------

. tests/aws/aws.sh
if [ ! -e "$demo/world/world.json" ]; then
	say "Making the disks of four instances (once; some seconds) …"
	rm -rf "$demo/world"
	aws_world "$demo/world" --instances 4 --policy docs/iam-acquire.json 2>/dev/null
fi
rm -rf "$demo/world/state"
trap aws_stop EXIT
aws_start "$demo/world/world.json"
aws_as_least
say "The local AWS of the tests, on $AWS_ENDPOINT_URL; the keys have the rights of docs/iam-acquire.json."

# ---- what a responder does -----------------------------------------------------

show "herdfs acquire --asg web --case demo --dry-run"
show "herdfs acquire --asg web --case demo"
show "herdfs status --asg web"
show "herdfs mount mnt"
show "herdfs list --asg web"
odd=$(cd "$mnt/asg/web" && echo i-*/deviant/disk/usr/sbin/sshd)
odd=${odd%%/*}
show "sha256sum mnt/asg/web/$odd/deviant/disk/usr/sbin/sshd mnt/asg/web/$odd/herd/disk/usr/sbin/sshd"
show "herdfs fetch --asg web"
show "herdfs acquire --delete-snapshots --case demo"
aws_stop
say "AWS is gone; what was fetched is there."
show "fusermount3 -u mnt && herdfs mount --offline mnt"
show "cd mnt/asg/web/$odd && sha256sum -c --quiet MANIFEST.sha256 && echo all of MANIFEST.sha256 is right"

say "The mount stays for you to look at: $mnt/asg/web/$odd/report.txt"
cat <<END
To ask more (once in your shell: export HERDFS_STORE=$HERDFS_STORE HERDFS_CACHE=$HERDFS_CACHE):
    ${herdfs#"$PWD"/} why --asg web --instance $odd /usr/sbin/sshd
To end it:
    fusermount3 -u $mnt
    rm -r $demo
END
