#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The Debian packages that a purpose needs:
#
#   tests/deps.sh build|demo|lab|check|ci
#
# Installs what is missing when it is run by root; otherwise says the exact
# line and fails. Does nothing, and asks no network, when all is there.
set -euo pipefail

build=(gcc libc6-dev make pkg-config libfuse3-dev fuse3 libtsk-dev libssl-dev
	libjansson-dev liblmdb-dev libext2fs-dev libnbd-dev libseccomp-dev zlib1g-dev
	libcurl4-openssl-dev libexpat1-dev libsnappy-dev liblzo2-dev libzstd-dev
	liblzma-dev ca-certificates qemu-utils)
demo=("${build[@]}" e2fsprogs dosfstools mtools gdisk fakeroot attr python3 curl)
lab=("${demo[@]}" debootstrap debian-archive-keyring qemu-system-x86 cpio git jq openssh-client)
check=("${lab[@]}" libcmocka-dev binutils ntfs-3g exfatprogs exfat-fuse fdisk
	gdb yara clamav sleuthkit fuse2fs acl rsync libcap2-bin ewf-tools xxd
	openssl man-db groff bash-completion lmdb-utils strace
	procps psmisc util-linux)
ci=("${check[@]}" clang libclang-rt-14-dev clang-tidy cppcheck shellcheck)

case "${1:-}" in
build) want=("${build[@]}") ;;
demo) want=("${demo[@]}") ;;
lab) want=("${lab[@]}") ;;
check) want=("${check[@]}") ;;
ci) want=("${ci[@]}") ;;
*) echo "usage: tests/deps.sh build|demo|lab|check|ci" >&2; exit 2 ;;
esac

missing=()
for p in "${want[@]}"; do
	case "$(dpkg-query -W -f '${Status}' "$p" 2>/dev/null)" in
	*"ok installed") ;;
	*) missing+=("$p") ;;
	esac
done
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
	echo "Packages are missing. As root:" >&2
	echo "  apt-get install --no-install-recommends ${missing[*]}" >&2
	exit 1
fi
echo "installing: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get -q update >/dev/null
apt-get -q -y install --no-install-recommends "${missing[@]}" >/dev/null
