#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# make_tree.sh [small|large]: a real Debian tree as a tar file, made of the
# packages that this machine's own apt sources offer; prints the file's name.
# small: a server, some 11,000 names. large: with compilers, kernels and
# headers, more than 50,000 names and 1 GB. Kept below
# ${HERDFS_CACHE:-build/cache} and made once.
#
# Needs no root: packages are fetched into a private apt state that knows of
# no installed package, and only unpacked (as fakeroot, so that owners are
# kept). Nothing of this machine is installed or changed.

set -eu
cd "$(dirname "$0")/../.."
kind=${1:-small}
cache=${HERDFS_CACHE:-$PWD/build/cache}
case $kind in
small) packages="" ;;
large) packages="golang-1.19-go golang-1.19-src libboost1.74-dev gcc g++
		 linux-headers-amd64 linux-image-amd64 git python3-dev" ;;
*) echo "usage: make_tree.sh [small|large]" >&2; exit 2 ;;
esac
packages="?essential openssh-server nginx-light cron rsyslog logrotate python3
	  systemd-sysv udev iproute2 iputils-ping sudo perl vim-tiny vim-runtime
	  ca-certificates tzdata $packages"
# a changed recipe makes another tree
tar=$cache/tree-$kind-$(cksum <"tests/lab/make_tree.sh" | cut -d ' ' -f 1).tar
mkdir -p "$cache"
exec 9>"$cache/.tree-$kind.lock"
flock 9
if [ -s "$tar" ]; then
	echo "$tar"
	exit 0
fi

work=$(mktemp -d "$cache/.tree.XXXXXX")
trap 'rm -rf "$work"' EXIT
if [ "$(id -u)" -ne 0 ] && ! command -v fakeroot >/dev/null; then
	echo "make_tree.sh: needs fakeroot, or root" >&2
	exit 1
fi

rm -f "$cache/tree-$kind"-*.tar

# ---- fetch -----------------------------------------------------------------

apt=$work/apt
mkdir -p "$apt/state/lists/partial" "$apt/cache/archives/partial"
: >"$apt/status"
apt_get() {
	# dpkg is put out of reach, so that nothing can ever be installed
	apt-get -o Dir::State="$apt/state" -o Dir::State::status="$apt/status" \
		-o Dir::Cache="$apt/cache" -o Debug::NoLocking=1 \
		-o APT::Sandbox::User="" -o APT::Install-Recommends=false \
		-o Dir::Bin::dpkg=/bin/false -o Acquire::Retries=3 \
		-qq "$@" </dev/null
}
{
	apt_get update
	# shellcheck disable=SC2086
	apt_get -y --download-only install $packages
} >"$work/log" 2>&1 || {
	cat "$work/log" >&2
	echo "make_tree.sh: apt could not fetch the packages" >&2
	exit 1
}

# ---- unpack ----------------------------------------------------------------

cat >"$work/unpack" <<'UNPACK'
set -eu
root=$1/root
mkdir -p "$root/usr"
for d in bin sbin lib lib64; do
	mkdir -p "$root/usr/$d"
	ln -s "usr/$d" "$root/$d"
done
for deb in "$1"/apt/cache/archives/*.deb; do
	dpkg-deb --fsys-tarfile "$deb" |
		tar -x -C "$root" --numeric-owner --keep-directory-symlink
done

# what the packages' scripts would have done, as far as it matters here
cd "$root"
cp usr/share/base-passwd/passwd.master etc/passwd
cp usr/share/base-passwd/group.master etc/group
cat >>etc/passwd <<'E'
systemd-network:x:998:998:systemd Network Management:/:/usr/sbin/nologin
sshd:x:100:65534::/run/sshd:/usr/sbin/nologin
admin:x:1000:1000:Debian:/home/admin:/bin/bash
E
printf 'admin:x:1000:\nsystemd-journal:x:999:\ncrontab:x:101:\n' >>etc/group
sed 's/:.*/:*:19700:0:99999:7:::/' etc/passwd >etc/shadow
chown 0:42 etc/shadow
chmod 640 etc/shadow
printf 'en_US.UTF-8 UTF-8\n' >etc/locale.gen
ln -sf /usr/share/zoneinfo/Etc/UTC etc/localtime
ln -sf /run/systemd/resolve/resolv.conf etc/resolv.conf
mkdir -p srv opt mnt media proc sys dev run tmp var/tmp
chmod 1777 tmp var/tmp
mkdir -p home/admin/.ssh root/.ssh var/www/html var/log/nginx var/log/journal \
	var/cache/nginx var/lib/cloud/data var/lib/systemd etc/ssh \
	etc/systemd/system/multi-user.target.wants var/spool/cron/crontabs
chmod 700 home/admin/.ssh root/.ssh
chown -R 1000:1000 home/admin
for unit in cron nginx rsyslog ssh; do
	ln -s "/lib/systemd/system/$unit.service" \
		"etc/systemd/system/multi-user.target.wants/$unit.service"
done
[ -e etc/ssh/sshd_config ] || cp usr/share/openssh/sshd_config etc/ssh/
cp etc/skel/.bashrc etc/skel/.profile root/
cat >var/www/html/index.html <<'E'
<!doctype html><title>web</title><h1>It works</h1>
E
chown -R 33:33 var/www/html
find . -depth -newer "$1/unpack" -exec touch -h -d @1700000000 {} +
tar -c -f "$1/tree.tar" --numeric-owner --sort=name .
UNPACK
if [ "$(id -u)" -eq 0 ]; then
	sh "$work/unpack" "$work"
else
	fakeroot sh "$work/unpack" "$work"
fi
mv "$work/tree.tar" "$tar"
echo "$tar"
