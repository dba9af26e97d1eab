#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# An image that wants to lead its reader astray: links to the analyst's own
# files, loops, FIFOs, sockets, devices. Nothing of the analyst's is reached,
# and every reader comes to an end.

# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
need_fuse
need mkfs.ext4 debugfs python3

secret=HOST-$RANDOM$RANDOM-SECRET
echo "$secret" >"$dir/host-file"
root=$dir/root
mkdir -p "$root"/{etc,usr/share/deep/er,home,tmp,dev}
echo "IMAGE-PASSWD" >"$root/etc/passwd"
echo "IMAGE-DEEP" >"$root/usr/share/deep/er/file"
python3 - "$root" "$dir/host-file" <<'PY'
import os
import sys

root, host = sys.argv[1:]
up = "../" * 40
links = {
    "absolute": "/etc/passwd",
    "absolute-host": host,
    "climb": up + "etc/passwd",
    "climb-host": up + host.lstrip("/"),
    "climb-root": up,
    "dotdot": "..",
    "root": "/",
    "slashes": "////etc///passwd",
    "dots": "/./.././../etc/./passwd",
    "down-up": "usr/share/../../../../../../etc/passwd",
    "folder": "/usr/share/deep/er",
    "through-folder": "folder/../../../../../../../../../.." + host,
    "through-folder-passwd": "folder/../../../../etc/passwd",
    "through-root": "root/etc/passwd",
    "through-climb": "climb-root/etc/passwd",
    "proc": "/proc/self/root/etc/passwd",
    "proc-cwd": "/proc/self/cwd/../../../../../../../etc/passwd",
    "fd": "/dev/fd/0",
    "self": "self",
    "a": "b", "b": "c", "c": "a",
    "into-itself": "into-itself/x",
    "up-and-down": "../root/../../../root",
    "long": "usr/../" * 500 + "etc/passwd",
    "longest": "a" * 4000,
    "control": "\x1b]0;evil\x07\n" + host,
    "view": "../../../../i-1/all/disk/etc/passwd",
}
for name, target in links.items():
    os.symlink(target, f"{root}/{name}")
    os.symlink(target, f"{root}/usr/share/deep/er/{name}")
previous = "etc/passwd"
for n in range(255):
    os.symlink(previous, f"{root}/chain-{n:03}")
    previous = f"chain-{n:03}"
# a tree of folders that are links to the folder above
os.makedirs(f"{root}/home/loop")
for n in range(8):
    os.symlink("..", f"{root}/home/loop/up{n}")
PY
truncate -s 24M "$dir/i-1.raw"
mkfs.ext4 -q -F -b 4096 -d "$root" "$dir/i-1.raw" || { fail "mkfs.ext4"; finish; }
debugfs -w "$dir/i-1.raw" >"$dir/out" 2>&1 <<'END'
cd /dev
mknod fifo p
mknod null c 1 3
mknod zero c 1 5
mknod mem c 1 1
mknod tty c 5 0
mknod sda b 8 0
mknod loop0 b 7 0
mknod socket p
sif socket mode 0140666
write /bin/sh suid
sif suid mode 0104777
END
attach --asg web "$dir/i-1.raw"
# a place from which many .. would lead to the host's own root
mnt=$dir/one/two/three
mkdir -p "$mnt"
mount_herd
disk=$mnt/asg/web/i-1/all/disk

# ---- links ----

python3 - "$disk" "$secret" <<'PY' || failed=1
import os
import stat
import sys

disk, secret = os.path.realpath(sys.argv[1]), sys.argv[2].encode()
bad = links = 0


def say(text):
    global bad
    print("FAIL: " + text)
    bad += 1


host = open("/etc/passwd", "rb").read()
for top, folders, files in os.walk(disk):
    for name in folders + files:
        path = os.path.join(top, name)
        if not os.path.islink(path):
            continue
        links += 1
        # where the kernel itself comes out
        try:
            fd = os.open(path, os.O_PATH)
        except OSError:
            continue
        real = os.readlink(f"/proc/self/fd/{fd}")
        os.close(fd)
        if real != disk and not real.startswith(disk + "/"):
            say(f"{path} leads to {real}")
        if os.path.isfile(path):
            got = open(path, "rb").read()
            if secret in got or got == host:
                say(f"{path} shows a file of the host")
for name in ("absolute", "climb", "slashes", "dots", "down-up", "through-root",
             "through-folder-passwd", "through-climb", "long"):
    for folder in ("", "usr/share/deep/er/"):
        if folder and name in ("down-up", "through-root", "through-climb",
                               "through-folder-passwd", "long"):
            continue        # those mean another place there
        try:
            got = open(f"{disk}/{folder}{name}").read()
        except OSError as e:
            got = e
        if got != "IMAGE-PASSWD\n":
            say(f"{folder}{name} is not the instance's etc/passwd: {got}")
if open(f"{disk}/folder/file").read() != "IMAGE-DEEP\n":
    say("a link to a folder does not lead there")
raw = os.getxattr(f"{disk}/climb", "system.herdfs.target",
                  follow_symlinks=False)
if raw != b"../" * 40 + b"etc/passwd":
    say(f"the true target is told as {raw}")
for name, kind in (("fifo", "fifo"), ("socket", "socket"),
                   ("null", "char 1:3"), ("zero", "char 1:5"),
                   ("sda", "block 8:0")):
    path = f"{disk}/dev/{name}"
    if not stat.S_ISREG(os.lstat(path).st_mode):
        say(f"dev/{name} is not shown as a file")
    if os.getxattr(path, "user.herdfs.type").decode() != kind:
        say(f"dev/{name}: {os.getxattr(path, 'user.herdfs.type')}")
    if open(path, "rb").read() != b"":
        say(f"dev/{name} can be read from")
for flags in (os.O_WRONLY, os.O_RDWR, os.O_RDONLY | os.O_TRUNC,
              os.O_WRONLY | os.O_CREAT):
    try:
        os.close(os.open(f"{disk}/etc/passwd", flags))
        say(f"opened with flags {flags:o}")
    except OSError:
        pass
print(f"{links} links, {bad} wrong")
sys.exit(bad > 0)
PY

# ---- readers ----

ends() {	# SECONDS COMMAND…: it ends in time, and shows nothing of the host's
	local limit=$1 status
	shift
	timeout -k 5 "$limit" "$@" >"$dir/out" 2>"$dir/err" </dev/null
	status=$?
	[ $status -ne 124 ] && [ $status -ne 137 ] || fail "$* does not end"
	[ $status -lt 128 ] || fail "$* ends by signal $((status - 128))"
	! grep -aq -e "$secret" "$dir/out" || fail "$* reached a file of the host"
}
ends 20 ls -laR "$disk"
ends 60 find -L "$disk" -type f
ends 60 find -L "$disk" -maxdepth 6 -type f -exec cat {} +
ends 60 grep -r . "$disk"
ends 60 grep -R . "$disk/etc" "$disk/usr"
ends 60 tar -cf - -C "$disk" .
ends 60 cp -a "$disk" "$dir/copy"
ends 20 cat "$disk"/dev/*
ends 20 head -c 1 "$disk/dev/fifo"
ends 20 file "$disk"/dev/*
ends 20 sha256sum "$disk"/dev/*
ends 20 dd if="$disk/dev/zero" of=/dev/null bs=1M count=1
grep -q "root:" "$dir/copy/etc/passwd" && fail "the copy holds the host's passwd"

# ---- what the mount allows ----

options=$(awk -v m="$mnt" '$5 == m { print $6 "," $NF }' /proc/self/mountinfo)
for o in ro nosuid nodev noexec; do
	case ,$options, in *,$o,*) ;; *) fail "the mount is not $o" ;; esac
done
case ,$options, in *,allow_other,*) fail "the mount is for everybody" ;; esac
[ "$(stat -c %a "$disk/dev/suid")" = 4777 ] || fail "the instance's mode is not shown"
"$disk/dev/suid" -c true 2>/dev/null && fail "a program of the image ran"
if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null; then
	chmod 755 "$dir" "$dir/one" "$dir/one/two"
	setpriv --reuid 65534 --regid 65534 --clear-groups \
		ls "$mnt" >/dev/null 2>&1 && fail "another user sees the mount"
fi
finish
