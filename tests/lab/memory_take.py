#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""memory_take.py DIR OUT DISK FORMAT…: takes the memory of a running guest.

DIR/qmp is where its qemu can be told things, DIR/line the serial line of its
memory_witness. When that has spoken, the guest is stopped, its memory written
to OUT in each FORMAT and DISK copied to OUT; then it goes on, the witness
speaks again, and it is ended.

FORMAT: raw (offset = physical address, sparse), elf, kdump-zlib, kdump-lzo,
kdump-snappy. Prints a JSON object: what was written, the ranges of RAM, the
times.
"""
import json
import os
import socket
import subprocess
import sys
import time

LIMIT = 600  # seconds for each step


class Line:
    """JSON objects a line over a socket."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(LIMIT)
        end = time.time() + 30
        while True:
            try:
                self.socket.connect(path)
                break
            except (FileNotFoundError, ConnectionRefusedError):
                if time.time() > end:
                    raise
                time.sleep(0.1)
        self.file = self.socket.makefile("rw", errors="replace")

    def read(self, log=None):
        for line in self.file:
            if log:
                print(line, end="", file=log, flush=True)
            try:
                return json.loads(line)
            except ValueError:
                continue
        raise EOFError("the guest is gone")

    def write(self, text):
        self.file.write(text)
        self.file.flush()


class Qmp(Line):
    def __init__(self, path):
        super().__init__(path)
        self.read()
        self.do("qmp_capabilities")

    def do(self, command, **arguments):
        self.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        while True:
            answer = self.read()
            if "error" in answer:
                sys.exit(f"memory_take.py: {command}: {answer['error']}")
            if "return" in answer:
                return answer["return"]

    def ranges(self):
        """Of RAM that is the guest's own, as (start, length)."""
        size = self.do("query-memory-size-summary")["base-memory"]
        # where qemu's machine "pc" leaves room for devices
        low = 3 << 30 if size >= 0xE0000000 else size
        return [(0, low)] + ([(4 << 30, size - low)] if size > low else [])


def raw(qmp, path, ranges):
    """One file; zeros take no room."""
    zero = bytes(1 << 16)
    with open(path + ".part", "wb") as f:
        for start, length in ranges:
            piece = path + ".piece"
            for at in range(start, start + length, 256 << 20):
                n = min(256 << 20, start + length - at)
                qmp.do("pmemsave", val=at, size=n, filename=piece)
                with open(piece, "rb") as p:
                    for o in range(0, n, len(zero)):
                        b = p.read(len(zero))
                        if b != zero[:len(b)]:
                            f.seek(at + o)
                            f.write(b)
                os.unlink(piece)
        f.truncate(ranges[-1][0] + ranges[-1][1])
    os.rename(path + ".part", path)


def main():
    where, out, disk, *formats = sys.argv[1:]
    line, qmp = Line(f"{where}/line"), Qmp(f"{where}/qmp")
    said = open(f"{where}/said", "a", encoding="utf-8")
    began, times = time.time(), {}

    def witness(number):
        while True:
            answer = line.read(said)
            if isinstance(answer, dict) and answer.get("witness") == number:
                return answer

    one = witness(1)
    qmp.do("stop")
    times["up"] = time.time() - began
    ranges = qmp.ranges()
    files = {}
    for format_ in formats:
        at = time.time()
        name = f"memory.{format_}"
        path = os.path.abspath(f"{out}/{name}")
        if format_ == "raw":
            raw(qmp, path, ranges)
        else:
            qmp.do("dump-guest-memory", paging=False, protocol=f"file:{path}",
                   format=format_)
        files[name] = os.path.getsize(path)
        times[format_] = time.time() - at
    registers = qmp.do("human-monitor-command", **{"command-line": "info registers -a"})
    with open(f"{out}/registers.txt", "w", encoding="utf-8") as f:
        f.write(registers.replace("\r", ""))
    copy = f"{out}/disk{os.path.splitext(disk.removesuffix('.part'))[1]}"
    subprocess.run(["cp", "--sparse=always", disk, copy], check=True)
    qmp.do("cont")
    line.write("\n")
    two = witness(2)
    qmp.do("quit")
    json.dump({"ranges": ranges, "files": files, "witness": [one, two],
               "seconds": {k: round(v, 1) for k, v in times.items()}},
              sys.stdout, indent=1)
    print()


main()
