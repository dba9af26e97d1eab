#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# guest_packages.sh DIR: DIR/boot/packages.img, a disk with a folder of packages
# that `apt upgrade` of a guest installs: the application's next release, and
# a higher version of packages that the base has, in which every program,
# library and script differs. Made of the base's own packages, so that it is
# the same whatever Debian has released since.

set -eu
lab=$(realpath -m "$1")
cd "$(dirname "$0")"
PATH=$PATH:/usr/sbin:/sbin
img=$lab/boot/packages.img
recipe=$(cat guest_packages.sh guest_app.sh "$lab/boot/recipe" | cksum)
if [ -e "$img" ] && [ "$(cat "$img.recipe" 2>/dev/null)" = "$recipe" ]; then
	exit 0
fi
work=$(mktemp -d "$lab/.packages.XXXXXX")
trap 'rm -rf "$work"' EXIT
repo=$work/repo
mkdir "$repo"

# All of a source that name each other by exact version are listed together.
# Not those whose own scripts take minutes under emulation, as those of
# ca-certificates and vim do.
packages="coreutils openssh-client openssh-server openssh-sftp-server openssl
	libssl3 sudo rsyslog cron cron-daemon-common logrotate tar findutils sed
	grep gzip bash login passwd hostname"

touched() {	# FILE: another content, which does the same
	case $(head -c 4 "$1" | tr '\0' .) in
	$'\177'ELF) printf 'rebuilt\0' >>"$1" ;;
	'#!'*) printf '# rebuilt\n' >>"$1" ;;
	*) return 0 ;;
	esac
}
again() {	# DEB
	local d=$work/d old new f
	rm -rf "$d"
	dpkg-deb -R "$1" "$d"
	old=$(sed -n 's/^Version: //p' "$d/DEBIAN/control")
	new=$old+lab1
	sed -i "s/^Version: .*/Version: $new/; s/(= ${old//./\\.})/(= $new)/g" \
		"$d/DEBIAN/control"
	find "$d/usr" "$d/bin" "$d/sbin" "$d/lib" -type f 2>/dev/null >"$work/files" || :
	while read -r f; do
		touched "$f"
	done <"$work/files"
	# as every real package's, its sums are those of its files
	[ ! -e "$d/DEBIAN/md5sums" ] || (
		cd "$d"
		cut -c 35- DEBIAN/md5sums | tr '\n' '\0' |
			xargs -0 md5sum >DEBIAN/md5sums.new
		mv DEBIAN/md5sums.new DEBIAN/md5sums
	)
	# packed, an emulated guest would be busy unpacking
	dpkg-deb -Znone -b "$d" "$repo" >/dev/null
}
for p in $packages; do
	for deb in "$lab"/boot/debs/"$p"_*.deb; do
		[ -e "$deb" ] || { echo "guest_packages.sh: no $p" >&2; exit 1; }
		again "$deb"
	done
done
./guest_app.sh 1.1 "$repo"
for deb in "$repo"/*.deb; do
	dpkg-deb -f "$deb"
	printf 'Filename: ./%s\nSize: %d\nSHA256: %s\n\n' "${deb##*/}" \
		"$(stat -c %s "$deb")" "$(sha256sum <"$deb" | cut -d ' ' -f 1)"
done >"$repo/Packages"
mkfs.ext4 -q -F -d "$repo" "$work/img" 192M
echo "$recipe" >"$img.recipe"
mv "$work/img" "$img"
