#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What each part of judging is worth, measured on the lab's herds.

ablation.py [--markdown FILE] RESULTS LAB

RESULTS/SETTING.json is what was said with all of it, RESULTS/ablation/
SETTING.IDEA.json without one (see check.sh). Prints for each setting how many
plants are deviant and how many false deviants healthy guests have, or puts the
table between the markers of FILE.
"""
import argparse
import glob
import os
import statistics
import sys

import score

BEGIN, END = "<!-- ablation: begin -->", "<!-- ablation: end -->"
SETTINGS = ["main", "rolling", "mostly+baseline"]


def cell(path, lab):
    if not os.path.exists(path):
        return ["", ""]
    s = score.Setting(score.load(path), lab)
    found, plants = s.recall()
    noise = sorted(len(v) for v in s.noise.values())
    return [f"{found}/{plants}",
            f"{statistics.median(noise):g}, {noise[-1]}" if noise else ""]


def table(results, lab):
    ideas = sorted({os.path.basename(f).split(".")[-2] for f in
                    glob.glob(os.path.join(results, "ablation", "*.json"))})
    head = "".join(f" {score.title(s)}: found | median, most |"
                   for s in SETTINGS)
    rows = ["| without |" + head, "| --- |" + " ---: | ---: |" * len(SETTINGS)]
    for idea in [None, *ideas]:
        row = [idea or "nothing: all of it"]
        for s in SETTINGS:
            name = f"ablation/{s}.{idea}.json" if idea else f"{s}.json"
            row += cell(os.path.join(results, name), lab)
        rows.append("| " + " | ".join(row) + " |")
    return rows


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--markdown")
    args.add_argument("results")
    args.add_argument("lab")
    args = args.parse_args()
    text = "\n".join(table(args.results, args.lab))
    print(text)
    if args.markdown:
        with open(args.markdown, encoding="utf-8") as f:
            page = f.read()
        before, rest = page.split(BEGIN)
        after = rest.split(END)[1]
        with open(args.markdown, "w", encoding="utf-8") as f:
            f.write(before + BEGIN + "\n\n" + text + "\n\n" + END + after)
    return 0


if __name__ == "__main__":
    sys.exit(main())
