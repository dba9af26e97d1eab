#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""memory_found.py LIST.json KEY.json [INSTANCE]: whether what herdfs list --all
--json says of memories is what was planted: each plant by the mark that must tell
it, and nothing that deviates on a healthy instance. KEY.json is a herd's of
guests.sh, or the one guest's of memory_guest.sh whose name is INSTANCE.
A line on what is wrong each, then "N of M plants found, N deviate in N healthy";
fails when any is missing or a healthy one deviates."""
import json
import sys

# the mark that tells each plant's process
MARKS = {"memfd-exe": "program on no disk", "deleted-exe": "deleted program",
         "deleted-shm": "program on no disk", "ld-preload": "loader's variables",
         "injected": "executable anonymous memory", "patched-text": "patched text",
         "patched-self": "patched text", "wx-library": "writable and executable",
         "reverse-shell": "input is a network socket", "bind-shell": "listens",
         "sniffer": "sees packets", "impostor": "named like a kernel thread",
         "to-be-hidden": "hidden"}
# what the kernel loads when ss is run: volatile is right, too
ON_DEMAND = {"tcp_diag", "inet_diag"}
HOOKS = ("sys_call_table[", "tcp4_seq_ops.show", "__x64_sys_getdents64",
         "do_unlinkat")


def read_key(path, instance):
    with open(path, encoding="utf-8") as f:
        key = json.load(f)
    if instance:
        return {instance: key["techniques"]}
    return {i["name"]: i.get("memory", []) for i in key["instances"]}


def missing(plant, all_own):
    """What of one plant is not among the findings of its instance."""
    own = [f for f in all_own if f["class"] == "deviant"]
    marks = {f["pid"]: f["marks"] for f in own if "pid" in f}
    kind = plant["plant"]
    wrong = []
    if kind in MARKS:
        if MARKS[kind] not in marks.get(plant["pid"], []):
            wrong.append(f"{kind}: process {plant['pid']} has {marks.get(plant['pid'])}")
    elif kind == "rootkit":
        keys = " ".join(f["key"] for f in own if f["subject"] == "hook")
        module = [f["marks"] for f in own
                  if f["subject"] == "module" and f["key"] == plant["name"]]
        if not module or ("hide_self=1" in plant["did"] and "hidden" not in module[0]):
            wrong.append(f"rootkit: module {plant['name']}: {module}")
        if "hidden" in plant and "hidden" not in marks.get(plant["hidden"], []):
            wrong.append(f"rootkit: process {plant['hidden']} is not hidden")
        wrong += [f"rootkit: no hook of {h}" for h in HOOKS if h not in keys]
    elif kind == "module":
        seen = all_own if plant["name"] in ON_DEMAND else own
        if not any(f["subject"] == "module" and f["key"] == plant["name"] for f in seen):
            wrong.append(f"module {plant['name']}")
    elif kind not in MARKS:
        wrong.append(f"{kind}: nobody knows what must tell it")
    return wrong


def main():
    listed, key = sys.argv[1:3]
    plants = read_key(key, sys.argv[3] if len(sys.argv) > 3 else None)
    with open(listed, encoding="utf-8") as f:
        found = json.load(f)["memory"]
    total = bad = healthy = 0
    for name, planted in plants.items():
        own = [f for f in found if f["instance"] == name]
        if not planted:
            healthy += 1
        for p in planted:
            total += 1
            wrong = missing(p, own)
            bad += bool(wrong)
            for w in wrong:
                print(f"{name}: {w}")
    innocent = [f for f in found if f["class"] == "deviant" and
                not plants.get(f["instance"])]
    for f in innocent:
        print(f"in a healthy one: {f['instance']} {f['subject']} {f['key']} {f['marks']}")
    healthy += len({f["instance"] for f in innocent} - set(plants))
    print(f"{total - bad} of {total} plants found, {len(innocent)} deviate in "
          f"{healthy} healthy")
    sys.exit(bool(bad or innocent or not total))


main()
