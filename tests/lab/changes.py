#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""changes.py prepare BASE-IMAGE | plant IMAGE | expect

Kinds of change, each on a path of its own. prepare: puts what they need into
the image that all instances are copied from; plant: makes them in one
instance; expect: prints "path TAB reasons" for each.
"""
import os
import sys

import lab

T = "/srv/twenty"
OTHER = lab.NOW + 3600


def content_in_place(d):
    d.patch(f"{T}/in-place", 5000, b"changed in place")


def content_same_size(d):
    d.replace(f"{T}/same-size", lab.noise("other", 9000), mtime=1_700_000_000)


def content_empty(d):
    d.replace(f"{T}/emptied", b"")


def content_filled(d):
    d.replace(f"{T}/was-empty", b"not any more")


def truncated(d):
    d.replace(f"{T}/truncated", lab.noise("truncated", 9000)[:4000])


def appended(d):
    d.append(f"{T}/appended", b"one more line\n")


def mode_only(d):
    d.sif(f"{T}/mode", "mode", "0100666")


def folder_mode(d):
    d.sif(f"{T}/folder-mode", "mode", "041777")


def setuid(d):
    d.sif(f"{T}/setuid", "mode", "0104755")


def setgid(d):
    d.sif(f"{T}/setgid", "mode", "0102755")


def owner_only(d):
    d.sif(f"{T}/owner", "uid", "33")


def group_only(d):
    d.sif(f"{T}/group", "gid", "42")


def capability_only(d):
    d.ea_set(f"{T}/capability", "security.capability",
             lab.capability(1 << 21))


def acl_only(d):
    d.ea_set(f"{T}/acl", "system.posix_acl_access", lab.acl(
        (1, 6, 0), (2, 6, 33), (4, 4, 0), (16, 6, 0), (32, 4, 0)))


def attribute_only(d):
    d.ea_set(f"{T}/attribute", "user.note", b"somebody was here")


def retargeted(d):
    d.rm(f"{T}/link")
    d.symlink(f"{T}/link", "/tmp/elsewhere", mtime=1_700_000_000)


def file_removed(d):
    d.rm(f"{T}/removed")


def folder_removed(d):
    d.rmdir(f"{T}/folder-removed")


def link_removed(d):
    d.rm(f"{T}/link-removed")


def file_added(d):
    d.write(f"{T}/added", b"new here\n")


def folder_added(d):
    d.mkdir(f"{T}/folder-added")
    d.write(f"{T}/folder-added/inside", b"new too\n")


def link_added(d):
    d.symlink(f"{T}/link-added", "../etc/shadow")


def fifo_added(d):
    d.mknod(f"{T}/fifo-added", "p")


def file_to_link(d):
    d.rm(f"{T}/file-to-link")
    d.symlink(f"{T}/file-to-link", "added")


def link_to_file(d):
    d.rm(f"{T}/link-to-file")
    d.write(f"{T}/link-to-file", b"a file now\n")


def file_to_fifo(d):
    d.rm(f"{T}/file-to-fifo")
    d.mknod(f"{T}/file-to-fifo", "p")


def file_to_folder(d):
    d.rm(f"{T}/file-to-folder")
    d.mkdir(f"{T}/file-to-folder")


def device_number(d):
    d.rm(f"{T}/device")
    d.mknod(f"{T}/device", "c", 1, 1)


def renamed(d):
    d.rename(f"{T}/old-name", f"{T}/new-name")


def hard_link_replaced(d):
    # the other name keeps the inode and what is in it
    d.run(f"unlink {T}/hard-a", f"sif {T}/hard-b links_count 1")
    d.write(f"{T}/hard-a", b"no longer shared\n")


def several(d):
    d.replace(f"{T}/several", b"other bytes\n", mode=0o4711, uid=1000)


# what was done: the function, and for each path its reasons
KINDS = [
    (content_in_place, {"in-place": "content"}),
    (content_same_size, {"same-size": "content"}),
    (content_empty, {"emptied": "content"}),
    (content_filled, {"was-empty": "content"}),
    (truncated, {"truncated": "content"}),
    (appended, {"appended": "content"}),
    (mode_only, {"mode": "mode"}),
    (folder_mode, {"folder-mode": "mode"}),
    (setuid, {"setuid": "setid"}),
    (setgid, {"setgid": "setid"}),
    (owner_only, {"owner": "owner"}),
    (group_only, {"group": "owner"}),
    (capability_only, {"capability": "xattr"}),
    (acl_only, {"acl": "xattr"}),
    (attribute_only, {"attribute": "xattr"}),
    (retargeted, {"link": "target"}),
    (file_removed, {"removed": "absent"}),
    (folder_removed, {"folder-removed": "absent",
                      "folder-removed/a": "absent",
                      "folder-removed/b": "absent"}),
    (link_removed, {"link-removed": "absent"}),
    (file_added, {"added": "added"}),
    (folder_added, {"folder-added": "added", "folder-added/inside": "added"}),
    (link_added, {"link-added": "added"}),
    (fifo_added, {"fifo-added": "added"}),
    (file_to_link, {"file-to-link": "type"}),
    (link_to_file, {"link-to-file": "type"}),
    (file_to_fifo, {"file-to-fifo": "type"}),
    (file_to_folder, {"file-to-folder": "type"}),
    (device_number, {"device": "device"}),
    (renamed, {"old-name": "absent", "new-name": "added"}),
    (hard_link_replaced, {"hard-a": "content"}),
    (several, {"several": "content,mode,setid,owner"}),
]


def prepare(d):
    old = {"mtime": 1_700_000_000}
    d.mkdir(T, **old)
    for name in ("in-place", "same-size", "emptied", "truncated", "appended",
                 "mode", "owner", "group", "attribute", "acl", "removed",
                 "file-to-link", "file-to-fifo", "file-to-folder", "old-name",
                 "several", "hard-b"):
        d.write(f"{T}/{name}", lab.noise(name, 9000), **old)
    for name in ("setuid", "setgid", "capability"):
        d.write(f"{T}/{name}", lab.noise(name, 9000), mode=0o755, **old)
    d.write(f"{T}/was-empty", b"", **old)
    d.link(f"{T}/hard-b", f"{T}/hard-a")
    d.mkdir(f"{T}/folder-mode", **old)
    d.mkdir(f"{T}/folder-removed", **old)
    d.write(f"{T}/folder-removed/a", b"a", **old)
    d.write(f"{T}/folder-removed/b", b"b", **old)
    for name in ("link", "link-removed", "link-to-file"):
        d.symlink(f"{T}/{name}", "mode", **old)
    d.mknod(f"{T}/device", "c", 1, 3)


def main():
    what = sys.argv[1]
    if what == "expect":
        for _, paths in KINDS:
            for path, reasons in paths.items():
                print(f"{T}/{path}\t{reasons}")
        print(len(KINDS), file=sys.stderr)
        return
    with lab.Disk(sys.argv[2], now=OTHER) as d:
        if what == "prepare":
            prepare(d)
        else:
            for change, _ in KINDS:
                change(d)


if __name__ == "__main__":
    os.umask(0o022)
    main()
