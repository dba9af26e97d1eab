#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""guest_qmp.py SOCKET COMMAND…: has a running qemu carry out QMP commands."""
import json
import socket
import sys


def main():
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(sys.argv[1])
        f = s.makefile("rw")
        f.readline()
        for command in ["qmp_capabilities", *sys.argv[2:]]:
            f.write(json.dumps({"execute": command}) + "\n")
            f.flush()
            for line in f:
                answer = json.loads(line)
                if "error" in answer:
                    sys.exit(f"{command}: {answer['error']}")
                if "return" in answer:
                    break


main()
