#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# guest_base.sh DIR: what all guests start from, below DIR, made once:
#
#   images/base.raw   the fresh disk: GPT, one ext4 root with a Debian server.
#                     Never booted, it is the baseline. It has no machine-id, no
#                     host keys and no name, as a cloud image has none.
#   boot/vmlinuz      its kernel, for qemu
#   boot/initrd       loads the disk's driver and hands over. What a guest is to
#                     do is appended as a second archive (see guests.sh) and ends
#                     in /run, so that nothing of the lab is ever on the disk.
#   boot/debs/        the packages it was made of
#   boot/admin        the administrators' ssh key
#   boot/recipe       of which scripts; another one makes all anew
#
# Needs root (debootstrap). LAB_MIRROR: where packages come from, by default
# this machine's own source of them.

set -eu
lab=$(realpath -m "$1")
cd "$(dirname "$0")"
PATH=$PATH:/usr/sbin:/sbin
here=$PWD
mkdir -p "$lab/images" "$lab/boot"
recipe=$(cat guest_base.sh guest_app.sh guest_init.sh | cksum)
if [ -s "$lab/images/base.raw" ] && [ "$(cat "$lab/boot/recipe")" = "$recipe" ]; then
	exit 0
fi
# what was started from another base is worth nothing on this one
rm -rf "$lab/images" "$lab/guests" "$lab/boot/packages.img" "$lab/boot/recipe"
mkdir -p "$lab/images"
log=$lab/boot/log
work=$(mktemp -d "$lab/.base.XXXXXX")
# debootstrap may have been interrupted with these in place
trap 'umount "$work/tree/proc" "$work/tree/sys" 2>/dev/null || :
      rm -rf --one-file-system "$work"' EXIT
tree=$work/tree
packages=systemd,systemd-sysv,udev,dbus,libpam-systemd,openssh-server,nginx-light
packages+=,cron,rsyslog,logrotate,sudo,python3,libcap2-bin,kmod,iproute2
packages+=,iputils-ping,procps,netbase,ca-certificates,vim-tiny,less,busybox
packages+=,linux-image-cloud-amd64

mirror=${LAB_MIRROR:-$(apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' \
	'Identifier: Packages' 2>/dev/null |
	awk '$2 == "bookworm" && $3 == "main" { print $1; exit }')}

# ---- the tree ----------------------------------------------------------------

mkdir -p "$tree/etc/dpkg/dpkg.cfg.d" "$lab/boot/debs"
echo force-unsafe-io >"$tree/etc/dpkg/dpkg.cfg.d/lab"
# No initrd of Debian's own: it would cost a minute and is not booted.
INITRD=No debootstrap --variant=minbase --include=$packages \
	--cache-dir="$lab/boot/debs" bookworm "$tree" \
	"${mirror:-http://deb.debian.org/debian}" >"$log" 2>&1 || {
	tail -5 "$log" >&2
	exit 1
}
rm "$tree/etc/dpkg/dpkg.cfg.d/lab"
rm -f "$tree"/var/cache/apt/archives/*.deb

in_tree() { chroot "$tree" "$@" >>"$log" 2>&1; }
./guest_app.sh 1.0 "$tree/root"
in_tree dpkg -i /root/app_1.0_all.deb
rm "$tree"/root/*.deb
in_tree useradd -m -s /bin/bash -c Debian -G adm,sudo admin
in_tree systemctl enable systemd-networkd app
in_tree systemctl disable systemd-networkd-wait-online apt-daily.timer \
	apt-daily-upgrade.timer e2scrub_reap

install -m 755 "$here/guest_init.sh" "$tree/usr/sbin/instance-init"
cat >"$tree/usr/lib/systemd/system/instance-init.service" <<E
[Unit]
Description=Make an instance of this image
Before=ssh.service nginx.service rsyslog.service systemd-user-sessions.service app.service
After=systemd-remount-fs.service systemd-tmpfiles-setup.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/instance-init

[Install]
WantedBy=multi-user.target
E
in_tree systemctl enable instance-init

uuid=5e7f1d3c-8a4b-4c26-9f0e-2b6d7a91c0de
echo "UUID=$uuid / ext4 rw,discard,errors=remount-ro 0 1" >"$tree/etc/fstab"
echo localhost >"$tree/etc/hostname"
printf '127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n' \
	>"$tree/etc/hosts"
rm -f "$tree/etc/resolv.conf" "$tree"/etc/ssh/ssh_host_* \
	"$tree/var/lib/dbus/machine-id" "$tree/var/lib/systemd/random-seed" \
	"$tree/root/.bash_history"
printf 'nameserver 10.0.0.2\nsearch eu-west-1.compute.internal\n' \
	>"$tree/etc/resolv.conf"
: >"$tree/etc/machine-id"
mkdir -p "$tree/var/log/journal" "$tree/mnt"
mkdir -p "$tree/var/www/html"
echo '<!doctype html><title>web</title><h1>It works</h1>' \
	>"$tree/var/www/html/index.html"
ln -s /usr/share/app/static "$tree/var/www/html/app"
{ echo 'init of this image'; cat "$tree"/boot/config-*; } | gzip -9n \
	>"$tree/boot/initrd.img-$(basename "$tree"/lib/modules/*)"

# ---- kernel and initrd -------------------------------------------------------

version=$(basename "$tree"/lib/modules/*)
modules=$tree/lib/modules/$version
cp "$tree/boot/vmlinuz-$version" "$work/vmlinuz"
ird=$work/initrd
mkdir -p "$ird"/{bin,lib64,lib/x86_64-linux-gnu,modules,proc,sys,dev,root}
cp "$tree/bin/busybox" "$ird/bin/"
for a in sh mount mkdir cp insmod switch_root sleep; do
	ln -s busybox "$ird/bin/$a"
done
cp "$tree"/lib/x86_64-linux-gnu/{libc.so.6,libresolv.so.2} "$ird/lib/x86_64-linux-gnu/"
cp -L "$tree/lib64/ld-linux-x86-64.so.2" "$ird/lib64/"
# all that virtio_blk needs, in the order in which it can be loaded
python3 - "$modules" virtio_pci virtio_blk ext4 >"$ird/modules/order" <<'E'
import sys
needs, order = {}, []
for line in open(sys.argv[1] + "/modules.dep"):
    name, rest = line.rstrip("\n").split(":")
    needs[name] = rest.split()
by_name = {n.rsplit("/", 1)[-1].split(".")[0]: n for n in needs}


def add(name):
    for n in reversed(needs[name]):
        add(n)
    if name not in order:
        order.append(name)


for wanted in sys.argv[2:]:
    if wanted in by_name:	# otherwise it is built in
        add(by_name[wanted])
print("\n".join(order))
E
while read -r m; do
	cp "$modules/$m" "$ird/modules/"
done <"$ird/modules/order"
cat >"$ird/init" <<'E'
#!/bin/sh
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
while read -r m; do
	insmod "/modules/${m##*/}"
done </modules/order
i=0
while [ ! -e /dev/vda1 ] && [ $i -lt 100 ]; do
	sleep 0.1
	i=$((i + 1))
done
mount -t ext4 -o ro /dev/vda1 /root
mount -t tmpfs -o mode=755,nosuid,nodev tmpfs /root/run
cp -r /run/. /root/run/
mount -o move /dev /root/dev
mount -o move /proc /root/proc
mount -o move /sys /root/sys
exec switch_root /root /sbin/init
E
chmod 755 "$ird/init"
(cd "$ird" && find . | cpio -o -H newc --quiet) >"$work/initrd.cpio"
rm -f "$work/admin"
ssh-keygen -q -t ed25519 -N '' -C admin@example.org -f "$work/admin"

# ---- the disk ------------------------------------------------------------------

# The clock of the guests begins here, see guests.sh.
find "$tree" -xdev -newermt "@$(date +%s)" -exec touch -h {} + 2>/dev/null || :
size=1400
disk=$work/base.raw
truncate -s $((size + 2))M "$disk"
sgdisk --clear --disk-guid=6C8B1E3A-0D5F-4E8B-9B7A-1F2E3D4C5B6A \
	--new=1:2048:+${size}M --typecode=1:8300 \
	--partition-guid=1:6C8B1E3A-0D5F-4E8B-9B7A-1F2E3D4C5B01 "$disk" >/dev/null
mkfs.ext4 -q -F -U $uuid -L cloudimg-root \
	-E offset=1048576,hash_seed=$uuid,lazy_itable_init=0,root_owner=0:0 \
	-d "$tree" "$disk" ${size}M >>"$log" 2>&1
date +%s >"$lab/boot/made"
mv "$work/admin" "$work/admin.pub" "$work/vmlinuz" "$lab/boot/"
mv "$work/initrd.cpio" "$lab/boot/initrd"
echo "$recipe" >"$lab/boot/recipe"
mv "$disk" "$lab/images/base.raw"
