#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares what herdfs says of the lab's herds with their answer keys.

score.py [--markdown FILE] [--gate missed|seen] RESULTS LAB

RESULTS holds a file SETTING.json for each setting: {"setting", "herd",
"members" (names of instances, or empty for all), "baseline", "list": what
`herdfs list --all --json` printed}. LAB holds HERD/key.json.

A plant is found when one of its paths, or one below a path that it added or
took away as a whole, is of class deviant on its instance; seen when it is at
least volatile, or drift, or suppressed, which is where an analyst looks second.
A plant that is in none of them is missed. A false deviant is one on an instance nothing was done to; a
folder that came or went as a whole counts once.

--markdown puts the tables between the markers of FILE. With --gate missed the
exit status is 1 if a plant is missed, with --gate seen also if one is not
deviant.
"""
import argparse
import collections
import glob
import json
import os
import re
import statistics
import sys

BEGIN, END = "<!-- lab: begin -->", "<!-- lab: end -->"
SHOWN = 12          # false deviants named for each guest and setting


def load(path):
    with open(path, encoding="utf-8", errors="surrogateescape") as f:
        return json.load(f)


def by_class(result):
    """instance -> path -> (class, finding)"""
    found = collections.defaultdict(dict)
    for f in result["list"].get("findings", []):
        path = f.get("path", "")
        if isinstance(path, dict):      # not UTF-8
            path = path.get("text", str(path))
        if not path.startswith("/"):
            path = "/" + path
        found[f.get("instance")][path] = (f.get("class"), f)
    return found


def form(path):
    """Whose machine id is in it makes no difference: what one lacks is shown by
    the path that another has it at."""
    return re.sub(r"/[0-9a-f]{32}(?=/|$)", "/{machine-id}", path)


def plant_class(plant, paths):
    best = "missed"
    gone = plant["change"] == "absent"
    for want in plant["paths"]:
        if gone:
            want = form(want)
        for path, (cls, f) in paths.items():
            # what was taken away is not told by what came in its place
            if gone and not f.get("absent"):
                continue
            if gone:
                path = form(path)
            if path == want or path.startswith(want + "/"):
                if cls == "deviant":
                    return "deviant"
                best = cls
    return best


def folded(paths):
    """deviant paths of an instance, a folder that came or went once"""
    deviant = {p: f for p, (c, f) in paths.items() if c == "deviant"}

    def whole(path):
        up = os.path.dirname(path)
        while up != "/":
            f = deviant.get(up)
            if f and {"added", "absent"} & set(f.get("reasons", [])):
                return True
            up = os.path.dirname(up)
        return False

    return sorted(p for p in deviant if not whole(p))


class Setting:
    def __init__(self, result, lab):
        self.name = result["setting"]
        self.members = set(result["members"])
        self.found = by_class(result)
        key = load(os.path.join(lab, result["herd"], "key.json"))
        self.instances = [i for i in key["instances"]
                          if not self.members or i["name"] in self.members]
        self.plants = []        # (instance, plant, class)
        self.noise = {}         # healthy guest -> folded paths
        self.others = {}        # attacked guest -> folded paths no plant has
        for i in self.instances:
            paths = self.found.get(i["name"], {})
            for p in i["plants"]:
                self.plants.append((i, p, plant_class(p, paths)))
            odd = folded(paths)
            if i["role"] == "healthy":
                self.noise[i["guest"]] = odd
            else:
                known = [form(w) for p in i["plants"] for w in p["paths"]]
                self.others[i["guest"]] = [
                    o for o in map(form, odd)
                    if not any(o == w or o.startswith(w + "/") or
                               w.startswith(o + "/") for w in known)]

    def recall(self):
        n = len(self.plants)
        return sum(c == "deviant" for _, _, c in self.plants), n


def merge(settings):
    """N = 2 and N = 3 are measured with each attacked guest in turn: one
    column"""
    out = collections.OrderedDict()
    for s in settings:
        out.setdefault(s.name.split("@")[0], []).append(s)
    return out


ORDER = ["small", "small+baseline", "main", "main+baseline", "rolling",
         "rolling+baseline", "mostly", "mostly+baseline", "n3", "n3+baseline",
         "n2", "n2+baseline"]
TITLE = {"small": "3+1", "main": "8+4", "rolling": "rolling 10+2",
         "mostly": "5+7", "n3": "2+1", "n2": "1+1"}


def title(name):
    herd, _, base = name.partition("+")
    return TITLE.get(herd, herd) + (", baseline" if base else "")


def table_settings(groups):
    rows = ["| herd | plants | deviant | volatile | drift | missed "
            "| last second | deviants per healthy guest: min, median, max |",
            "| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |"]
    for name, group in groups.items():
        plants = [(p.get("when") == "late", c)
                  for s in group for _, p, c in s.plants]
        late = [c for is_late, c in plants if is_late]
        classes = collections.Counter(c for is_late, c in plants if not is_late)
        counts = sorted(len(v) for s in group for v in s.noise.values())
        n = sum(classes.values())
        last = f"{late.count('deviant')} of {len(late)}" if late else ""
        rows.append(
            f"| {title(name)} | {n} | {classes['deviant']} | "
            f"{classes['volatile'] + classes['suppressed']} | "
            f"{classes['drift']} | {classes['missed']} | {last} | "
            f"{counts[0]}, {statistics.median(counts):g}, {counts[-1]} |")
    return rows


def table_techniques(groups):
    rows = ["| technique | ATT&CK | " +
            " | ".join(title(n) for n in groups) + " |",
            "| --- | --- |" + " --- |" * len(groups)]
    cells = collections.defaultdict(lambda: collections.defaultdict(list))
    for name, group in groups.items():
        for s in group:
            for _, p, c in s.plants:
                late = " (last second)" if p.get("when") == "late" else ""
                cells[(p["name"] + late, p["technique"])][name].append(c)
    for (what, attack), row in sorted(cells.items()):
        line = [what, attack]
        for name in groups:
            got = row.get(name, [])
            n = sum(c == "deviant" for c in got)
            if not got:
                line.append("")
            elif n == len(got):
                line.append("yes")
            elif n:
                line.append(f"{n} of {len(got)}")
            else:
                line.append("volatile" if "volatile" in got else
                            "drift" if "drift" in got else
                            "suppressed" if "suppressed" in got else "**no**")
        rows.append("| " + " | ".join(line) + " |")
    return rows


def lists(groups):
    rows = ["### Plants that are not deviant", ""]
    for name, group in groups.items():
        bad = collections.OrderedDict()
        for s in group:
            for i, p, c in s.plants:
                if c != "deviant":
                    bad.setdefault((p["name"], p["paths"][0], c),
                                   []).append(i["guest"])
        rows += [f"**{title(name)}**: " + (
            "none" if not bad else "; ".join(
                f"{what} `{path}` ({c}: {', '.join(who)})"
                for (what, path, c), who in bad.items())), ""]
    rows += ["### Deviants on healthy guests", ""]
    for name, group in groups.items():
        seen = {}
        for s in group:
            for guest, odd in s.noise.items():
                if len(odd) >= len(seen.get(guest, [])):
                    seen[guest] = odd
        rows += [f"**{title(name)}**", ""]
        for guest, odd in sorted(seen.items()):
            more = f" and {len(odd) - SHOWN} more" if len(odd) > SHOWN else ""
            rows.append(f"- {guest}: {len(odd)}" + (": " if odd else "") +
                        ", ".join(f"`{p}`" for p in odd[:SHOWN]) + more)
        rows.append("")
    return rows


def markdown(path, groups):
    text = "\n".join([BEGIN, "", "### Sums", "", *table_settings(groups), "",
                      "### Technique by technique", "",
                      *table_techniques(groups), "", *lists(groups), END])
    old = ""
    if os.path.exists(path):
        with open(path, encoding="utf-8") as f:
            old = f.read()
    if BEGIN not in old or END not in old:
        sys.exit(f"{path}: no markers {BEGIN} … {END}")
    head, rest = old.split(BEGIN, 1)
    with open(path, "w", encoding="utf-8", errors="replace") as f:
        f.write(head + text + rest.split(END, 1)[1])


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--markdown")
    a.add_argument("--gate", choices=["missed", "seen"])
    a.add_argument("results")
    a.add_argument("lab")
    o = a.parse_args()
    settings = [Setting(load(p), o.lab)
                for p in sorted(glob.glob(os.path.join(o.results, "*.json")))]
    settings.sort(key=lambda s: (ORDER.index(s.name.split("@")[0])
                                 if s.name.split("@")[0] in ORDER else 99, s.name))
    if not settings:
        sys.exit("score.py: no results")
    groups = merge(settings)
    print("\n".join(table_settings(groups)))
    bad = False
    for s in settings:
        for i, p, c in s.plants:
            if c == "missed" or (o.gate == "seen" and c != "deviant"):
                bad = o.gate is not None
                print(f"{c}: {s.name}: {i['guest']} ({i['name']}) {p['name']} "
                      f"{p['technique']} {' '.join(p['paths'])}")
    if o.markdown:
        markdown(o.markdown, groups)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
