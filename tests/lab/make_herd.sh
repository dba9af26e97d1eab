#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# make_herd.sh N DIR [small|large]: the disks of N healthy instances of one
# group, DIR/i-1.raw …, as they look after some days of work: each a copy of
# one base (DIR/base.raw) with the differences that healthy siblings have
# (names, keys, logs, caches). Needs no root.

set -eu
if [ $# -lt 2 ]; then
	echo "usage: make_herd.sh N DIR [small|large]" >&2
	exit 2
fi
lab=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$2"
base=$("$lab/make_base.sh" "${3:-small}")
cp --reflink=auto --sparse=always "$base" "$2/base.raw"
PYTHONPATH=$lab PYTHONDONTWRITEBYTECODE=1 python3 - "$1" "$2" <<'PY'
import sys
import lab

count, folder = int(sys.argv[1]), sys.argv[2]
for i in range(1, count + 1):
    path = f"{folder}/i-{i}.raw"
    lab.copy(f"{folder}/base.raw", path)
    with lab.Disk(path) as disk:
        lab.natural(disk, i)
PY
