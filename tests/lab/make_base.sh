#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# make_base.sh [small|large]: the disk of a fresh instance, made of the tree of
# make_tree.sh: GPT, an EFI partition (FAT32), an ext4 root with fstab. Prints
# the file's name; it is kept in the cache and made once. Needs no root.

set -eu
cd "$(dirname "$0")/../.."
PATH=$PATH:/usr/sbin:/sbin
kind=${1:-small}
cache=${HERDFS_CACHE:-$PWD/build/cache}
tar=$(tests/lab/make_tree.sh "$kind")
recipe=$(echo "$tar" | cat - tests/lab/make_base.sh | cksum | cut -d ' ' -f 1)
base=$cache/base-$kind-$recipe.raw
exec 9>"$cache/.base-$kind.lock"
flock 9
if [ -s "$base" ]; then
	echo "$base"
	exit 0
fi
rm -f "$cache/base-$kind"-*.raw
work=$(mktemp -d "$cache/.base.XXXXXX")
trap 'rm -rf "$work"' EXIT
disk=$work/disk

ROOT_UUID=5e7f1d3c-8a4b-4c26-9f0e-2b6d7a91c0de
EFI_ID=48455244
mib=$((1024 * 1024))
esp_start=1
esp_size=40
root_start=$((esp_start + esp_size))
used=$(($(stat -c %s "$tar") / mib))
root_size=$((used * 13 / 10 + 256))
truncate -s $(((root_start + root_size + 1) * mib)) "$disk"
sgdisk --clear --disk-guid=6C8B1E3A-0D5F-4E8B-9B7A-1F2E3D4C5B6A \
	--new=1:$((esp_start * 2048)):+${esp_size}M --typecode=1:ef00 \
	--partition-guid=1:6C8B1E3A-0D5F-4E8B-9B7A-1F2E3D4C5B01 \
	--new=2:$((root_start * 2048)):+${root_size}M --typecode=2:8300 \
	--partition-guid=2:6C8B1E3A-0D5F-4E8B-9B7A-1F2E3D4C5B02 \
	"$disk" >/dev/null

esp=$work/esp
truncate -s ${esp_size}M "$esp"
mkfs.fat -F 32 -s 1 -i $EFI_ID -n EFI "$esp" >/dev/null
export MTOOLS_SKIP_CHECK=1 SOURCE_DATE_EPOCH=1700000000
printf 'search.fs_uuid %s root\nconfigfile /boot/grub/grub.cfg\n' \
	$ROOT_UUID >"$work/grub.cfg"
tail -c 3000000 "$tar" | tr -d '\0' | head -c 150000 >"$work/grubx64.efi"
mmd -i "$esp" ::EFI ::EFI/debian ::EFI/BOOT
mcopy -m -i "$esp" "$work/grub.cfg" "$work/grubx64.efi" ::EFI/debian
mcopy -m -i "$esp" "$work/grubx64.efi" ::EFI/BOOT/BOOTX64.EFI
dd if="$esp" of="$disk" bs=1M seek=$esp_start conv=notrunc,sparse status=none

cat >"$work/fill" <<FILL
set -eu
mkdir "$work/root"
tar -x -C "$work/root" --numeric-owner -f "$tar"
mkdir -p "$work/root/boot/efi"
printf 'UUID=%s / ext4 errors=remount-ro 0 1\nUUID=%s /boot/efi vfat umask=0077 0 1\n' \
	$ROOT_UUID 4845-5244 >"$work/root/etc/fstab"
touch -d @1700000000 "$work/root/etc/fstab" "$work/root/boot/efi" \
	"$work/root/boot" "$work/root/etc" "$work/root"
mkfs.ext4 -q -F -U $ROOT_UUID -L cloudimg-root \
	-E offset=$((root_start * mib)),hash_seed=$ROOT_UUID,lazy_itable_init=0 \
	-d "$work/root" "$disk" ${root_size}M
FILL
if [ "$(id -u)" -eq 0 ]; then
	sh "$work/fill"
else
	fakeroot sh "$work/fill"
fi
# as the package's script would have it
printf '\001\000\000\002\000\040\000\000\000\000\000\000\000\000\000\000\000\000\000\000' >"$work/cap"
debugfs -w -R "ea_set -f $work/cap /usr/bin/ping security.capability" \
	"$disk?offset=$((root_start * mib))" 2>/dev/null
mv "$disk" "$base"
echo "$base"
