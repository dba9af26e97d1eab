#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""intrusion.py IMAGE: leaves in the image of one instance what an intruder
leaves. Nothing of it works; it only looks like it on disk."""
import struct
import sys

import lab

LIB = "/usr/lib/x86_64-linux-gnu"


def plant(disk):
    when = lab.NOW + 7200

    # a changed sshd: same inode, size and times
    elf = disk.read("/usr/sbin/sshd")
    middle = len(elf) // 2
    disk.patch("/usr/sbin/sshd", middle, bytes(b ^ 0x5a for b in
                                               elf[middle:middle + 48]))
    # a shell that anybody may become root with, among the libraries
    disk.write(f"{LIB}/libutil-2.so", disk.read("/usr/bin/dash"),
               mode=0o4755, mtime=when)
    # a program that gained a capability, its bytes unchanged
    disk.ea_set("/usr/bin/perl", "security.capability",
                lab.capability(1 << 7))
    disk.write("/etc/cron.d/apt-refresh",
               f"*/7 * * * * root {LIB}/libutil-2.so -c /tmp/.x\n", mtime=when)
    disk.write("/root/.ssh/authorized_keys",
               "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + "Q" * 43 + " x@y\n",
               mode=0o600, mtime=when)
    disk.write(f"{LIB}/libnss_cachex.so.2",
               struct.pack("<4sBBB9x", b"\x7fELF", 2, 1, 1) +
               lab.noise("preload", 14_000), mtime=when)
    disk.write("/etc/ld.so.preload", f"{LIB}/libnss_cachex.so.2\n", mtime=when)
    disk.write("/var/www/html/status.php",
               "<?php /* a web shell would stand here */ ?>\n",
               uid=33, gid=33, mtime=when)
    disk.append("/etc/sudoers", b"www-data ALL=(ALL:ALL) NOPASSWD: ALL\n",
                mtime=when)
    # nobody logs to the other side any more
    disk.rm("/usr/lib/systemd/system/rsyslog.service")


if __name__ == "__main__":
    with lab.Disk(sys.argv[1]) as image:
        plant(image)
