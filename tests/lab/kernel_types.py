#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Compares what is read of a kernel's symbols and types in an image of memory
with what others say: pahole of the same BTF, and the guest's /proc/kallsyms.
All of them, not samples.

  kernel_types.py KERNEL_FACTS GUEST_FOLDER [IMAGE]

GUEST_FOLDER as memory_guest.sh makes it: memory.raw, btf, kallsyms. ISF=… in
the environment is handed on, so that symbol files are compared as well.
"""
import os
import re
import subprocess
import sys

LINE = re.compile(r"^(\t*)(.*?)\s*(?:/\*\s*(\d+)(?:: *(\d+))?\s+(\d+)\s*\*/)?$")


def name_of(text):
    """The declarator's name and width: 'char cb[48];' -> cb; '' for none."""
    text = re.sub(r"__attribute__\(\(.*?\)\)(?=\s*;)", "", text)
    if re.match(r"^(struct|union) \w+\s*;$", text):
        return "", 0        # without a name, its members are as if here
    pointer = re.search(r"\(\*+\s*(?:const |volatile )*(\w+)", text)
    if pointer:
        return pointer.group(1), 0
    m = re.search(r"(\w+)(?:\[\d*\])*(?::(\d+))?\s*;$", text)
    return (m.group(1), int(m.group(2) or 0)) if m else ("", 0)


def structs(path):
    """Yields (kind, name, [(member path, offset, size, bit, bits)])."""
    text = subprocess.run(["pahole", "-F", "btf", path], check=True,
                          capture_output=True, text=True).stdout
    kind = name = None
    stack = []
    for line in text.split("\n"):
        top = re.match(r"^(struct|union) (\w+) \{$", line)
        if top:
            kind, name = top.groups()
            stack = [[]]
            continue
        if not stack or line.startswith("}"):
            if stack and name:
                yield kind, name, stack[0]
            stack = []
            continue
        m = LINE.match(line)
        body, off, bit, size = m.group(2), m.group(3), m.group(4), m.group(5)
        if body.startswith(("/*", "*", "XXX")) or not body:
            continue
        if body.endswith("{"):
            stack.append([])
        elif body.startswith("}"):
            inner = stack.pop()
            own, bits = name_of(body[1:].strip())
            if not own:
                stack[-1] += inner
            else:
                stack[-1].append((own, int(off), int(size), int(bit or 0),
                                  bits))
                if not re.search(r"\[\d*\]\s*;|^\}\s*\*", body):
                    stack[-1] += [(own + "." + i[0],) + i[1:] for i in inner]
        elif off is not None:
            own, bits = name_of(body)
            if own:
                stack[-1].append((own, int(off), int(size), int(bit or 0),
                                  bits))


def sizes(path):
    out = subprocess.run(["pahole", "-F", "btf", "--sizes", path], check=True,
                         capture_output=True, text=True).stdout
    by_name = {}
    for line in out.splitlines():
        name, size = line.split("\t")[:2]
        by_name.setdefault(name, set()).add(int(size))
    return by_name


def ask(facts, image, what, words=None):
    run = subprocess.run([facts, image, what], capture_output=True, text=True,
                         input=None if words is None else "\n".join(words),
                         check=True)
    return run.stdout.splitlines()


def compare_types(facts, image, btf):
    want = {}
    seen = set()
    for _, name, members in structs(btf):
        if name in seen:    # of several of a name the first is asked for
            continue
        seen.add(name)
        for path, *rest in members:
            want.setdefault(name + "." + path, rest)
    said = {}
    for line in ask(facts, image, "ask", want):
        f = line.split()
        if f[1] == "offset":
            said[f[0]] = [int(f[i]) for i in (2, 4, 6, 8)]
    wrong = 0
    for word, rest in want.items():
        if said.get(word) != rest:
            wrong += 1
            if wrong <= 10:
                print("%s: pahole %s, here %s" % (word, rest, said.get(word)))
    all_sizes = sizes(btf)
    got = {}
    for line in ask(facts, image, "ask", all_sizes):
        f = line.split()
        if f[1] == "size":
            got[f[0]] = int(f[2])
    wrong_sizes = [n for n in all_sizes if got.get(n) not in all_sizes[n]]
    for n in wrong_sizes[:10]:
        print("sizeof %s: pahole %s, here %s" % (n, all_sizes[n], got.get(n)))
    print("%d members, %d wrong; %d sizes, %d wrong" %
          (len(want), wrong, len(all_sizes), len(wrong_sizes)))
    return wrong + len(wrong_sizes)


def compare_symbols(facts, image, kallsyms):
    with open(kallsyms, encoding="ascii") as f:
        want = [line.split("\t")[0].strip() for line in f if "[" not in line]
    got = ask(facts, image, "symbols")
    wrong = sum(a != b for a, b in zip(want, got)) + abs(len(want) - len(got))
    print("%d symbols, %d wrong" % (len(want), wrong))
    first = {}
    for line in want:
        address, _, name = line.split(" ")
        first.setdefault(name, int(address, 16))
    found = {}
    for line in ask(facts, image, "ask", first):
        f = line.split()
        if f[1] == "symbol":
            found[f[0]] = int(f[2], 16)
    lost = [n for n in first if found.get(n) != first[n]]
    print("%d names looked up, %d wrong" % (len(first), len(lost)))
    for n in lost[:10]:
        print("%s: %#x, here %s" % (n, first[n], found.get(n)))
    return wrong + len(lost)


def main():
    facts, guest = sys.argv[1:3]
    image = sys.argv[3] if len(sys.argv) > 3 else guest + "/memory.raw"
    wrong = compare_types(facts, image, os.path.join(guest, "btf"))
    wrong += compare_symbols(facts, image, os.path.join(guest, "kallsyms"))
    return wrong != 0


if __name__ == "__main__":
    sys.exit(main())
