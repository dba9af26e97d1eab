#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""module_order.py DIR TO NAME…: of the kernel modules below DIR, copies the
named ones and what they need to TO (uncompressed) and prints their files in an
order in which they can be loaded. Says by itself what needs what: a package
as Debian has it holds no modules.dep. What is not there is built in."""
import lzma
import os
import re
import sys


def main():
    where, to, *wanted = sys.argv[1:]
    there, order = {}, []
    for folder, _, names in os.walk(where):
        for name in names:
            if re.search(r"\.ko(\.xz)?$", name):
                there[name.split(".")[0].replace("-", "_")] = f"{folder}/{name}"
    os.makedirs(to, exist_ok=True)

    def add(name):
        path = there.get(name.replace("-", "_"))
        file = f"{name.replace('-', '_')}.ko"
        if not path or file in order:
            return
        with (lzma.open if path.endswith(".xz") else open)(path, "rb") as f:
            body = f.read()
        for kind in (rb"depends", rb"softdep"):
            found = re.search(rb"\0" + kind + rb"=([^\0]*)\0", body)
            if found and found[1]:
                text = found[1].decode()
                if kind == b"softdep":
                    text = ",".join(re.sub(r"^pre: ", "", text).split())
                    if text.startswith("post:"):
                        continue
                for need in text.split(","):
                    add(need)
        order.append(file)
        with open(f"{to}/{file}", "wb") as f:
            f.write(body)

    for name in wanted:
        add(name)
    print("\n".join(order))


main()
