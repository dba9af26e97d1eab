#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Answer keys of the lab's guests.

guest_key.py guest NAME ID IMAGE SAID   what one guest said, as its key
guest_key.py herd HERD KEY...           the key of a herd, out of its guests'
"""
import json
import sys


def guest(name, instance, image, said):
    plants, memory, notes, ended = [], [], [], False
    with open(said, encoding="utf-8", errors="replace") as f:
        for line in f:
            line = line.strip()
            if not line.startswith("{"):
                continue
            say = json.loads(line)
            if "failed" in say:
                sys.exit(f"{name}: {say['failed']}")
            if "plant" in say:
                plants.append(say["plant"])
            if "memory" in say:
                memory.append(say["memory"])
            if "note" in say:
                notes.append(say["note"])
            ended |= "end" in say
    if not ended:
        sys.exit(f"{name}: did not come to its end")
    return {"guest": name, "name": instance, "image": image,
            "role": "attacked" if plants or memory else "healthy", "notes": notes,
            "plants": plants} | ({"memory": memory} if memory else {})


def main():
    if sys.argv[1] == "guest":
        key = guest(*sys.argv[2:])
    else:
        key = {"herd": sys.argv[2], "instances": []}
        for path in sys.argv[3:]:
            with open(path, encoding="utf-8") as f:
                key["instances"].append(json.load(f))
    json.dump(key, sys.stdout, indent=1)
    print()


main()
