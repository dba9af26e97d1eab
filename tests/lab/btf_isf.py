#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Makes a symbol file in Volatility 3's form (ISF) of a kernel's BTF and
/proc/kallsyms, as dwarf2json would of its debugging information: so that
reading such files can be tested against the BTF itself.

  btf_isf.py BTF KALLSYMS KASLR BANNER > kernel.json

KASLR: bytes by which addresses were moved, hexadecimal; BANNER: linux_banner.
"""
import base64
import json
import struct
import sys

INT, PTR, ARRAY, STRUCT, UNION, ENUM, FWD, TYPEDEF = range(1, 9)
VOLATILE, CONST, RESTRICT, FUNC, PROTO, VAR, DATASEC, FLOAT = range(9, 17)
DECL_TAG, TYPE_TAG, ENUM64 = range(17, 20)
EXTRA = {INT: 4, ARRAY: 12, VAR: 4, DECL_TAG: 4}
EACH = {STRUCT: 12, UNION: 12, ENUM: 8, PROTO: 8, DATASEC: 12, ENUM64: 12}


class Btf:
    def __init__(self, data):
        (_, _, _, header, at, length, strings, _) = struct.unpack_from(
            "<HBBIIIII", data)
        self.strings = data[header + strings:]
        self.types = [None]
        at += header
        end = at + length
        while at < end:
            name, info, size = struct.unpack_from("<III", data, at)
            kind, n = info >> 24 & 0x1f, info & 0xffff
            extra = EXTRA.get(kind, 0) + EACH.get(kind, 0) * n
            self.types.append((kind, self.string(name), size, n, info >> 31,
                               data[at + 12:at + 12 + extra]))
            at += 12 + extra

    def string(self, at):
        return self.strings[at:self.strings.index(b"\0", at)].decode()


class Isf:
    def __init__(self, btf):
        self.btf = btf
        self.user = {}
        self.enums = {}
        self.base = {"void": {"size": 0, "signed": False, "kind": "void",
                              "endian": "little"},
                     "pointer": {"size": 8, "signed": False, "kind": "int",
                                 "endian": "little"}}
        self.made = {}
        for i in range(1, len(btf.types)):
            if btf.types[i][0] in (STRUCT, UNION, ENUM, ENUM64):
                self.of(i)

    def of(self, i):
        """The description of type i."""
        if not i:
            return {"kind": "base", "name": "void"}
        kind, name, size, n, flag, extra = self.btf.types[i]
        if kind in (TYPEDEF, VOLATILE, CONST, RESTRICT, TYPE_TAG):
            return self.of(size)
        if kind == PTR:
            return {"kind": "pointer", "subtype": {"kind": "base",
                                                   "name": "void"}}
        if kind == ARRAY:
            element, _, count = struct.unpack("<III", extra)
            return {"kind": "array", "count": count,
                    "subtype": self.of(element)}
        if kind in (STRUCT, UNION):
            word = "struct" if kind == STRUCT else "union"
            return {"kind": word, "name": self.struct(i, word)}
        if kind in (ENUM, ENUM64):
            return {"kind": "enum", "name": self.enum(i)}
        if kind in (INT, FLOAT):
            self.base[name] = {"size": size, "signed": True, "kind": "int",
                               "endian": "little"}
            return {"kind": "base", "name": name}
        if kind == FWD:
            return {"kind": "union" if flag else "struct", "name": name}
        return {"kind": "function"}

    def name(self, i, table):
        if i in self.made:
            return self.made[i], False
        name = self.btf.types[i][1] or "unnamed_%x" % i
        if name in table:       # the first of a name keeps it
            name += "_%x" % i
        self.made[i] = name
        return name, True

    def enum(self, i):
        name, new = self.name(i, self.enums)
        if new:
            kind, _, size, n, _, extra = self.btf.types[i]
            form = "<Ii" if kind == ENUM else "<IIi"
            constants = {}
            for j in range(n):
                f = struct.unpack_from(form, extra, j * struct.calcsize(form))
                v = f[1] if kind == ENUM else f[1] | f[2] << 32
                constants[self.btf.string(f[0])] = v
            self.enums[name] = {"size": size, "base": "int",
                                "constants": constants}
        return name

    def struct(self, i, word):
        name, new = self.name(i, self.user)
        if not new:
            return name
        fields = {}
        self.user[name] = {"size": self.btf.types[i][2], "fields": fields,
                           "kind": word}
        _, _, _, n, flag, extra = self.btf.types[i]
        for j in range(n):
            member, t, off = struct.unpack_from("<III", extra, j * 12)
            bits, bit = (off >> 24, off & 0xffffff) if flag else (0, off)
            described = self.of(t)
            field = {"offset": bit // 8}
            if bits:
                field["offset"] = bit // 8
                described = {"kind": "bitfield", "bit_position": bit % 8,
                             "bit_length": bits, "type": described}
            field["type"] = described
            own = self.btf.string(member)
            if not own:
                field["anonymous"] = True
                own = "unnamed_field_%d" % j
            fields[own] = field
        return name


def main():
    sys.setrecursionlimit(10000)
    with open(sys.argv[1], "rb") as f:
        isf = Isf(Btf(f.read()))
    kaslr = int(sys.argv[3], 16)
    symbols = {}
    with open(sys.argv[2], encoding="ascii") as f:
        for line in f:
            if "[" in line:
                continue
            address, _, name = line.split()
            address = int(address, 16)
            if address >= 0xffffffff80000000:
                address -= kaslr
            symbols.setdefault(name, {"address": address})
    symbols["linux_banner"]["constant_data"] = base64.b64encode(
        sys.argv[4].encode() + b"\n\0").decode()
    json.dump({"metadata": {"format": "6.2.0",
                            "producer": {"name": "btf_isf", "version": "1"}},
               "base_types": isf.base, "user_types": isf.user,
               "enums": isf.enums, "symbols": symbols}, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
