#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Real guests: three healthy ones and one that was broken into, booted from one
# base (tests/lab/guests.sh). Every plant has to be where an analyst looks,
# deviant or at least volatile, with and without the baseline; the figures are
# printed. The lab is built once, below build/lab, in a few minutes.

set -u
cd "$(dirname "$0")/../.." || exit 1
PATH=$PATH:/usr/sbin:/sbin
[ "$(id -u)" -eq 0 ] || { echo "skip: needs root for debootstrap"; exit 77; }
for tool in qemu-system-x86_64 qemu-img debootstrap cpio sgdisk mkfs.ext4 \
	ssh-keygen git jq python3; do
	command -v $tool >/dev/null || { echo "skip: no $tool"; exit 77; }
done
export HERDFS LAB_DIR=${LAB_DIR:-$PWD/build/lab} PYTHONDONTWRITEBYTECODE=1
HERDFS=$(realpath "${HERDFS:-build/plain/herdfs}")
[ -x "$HERDFS" ] || { echo "skip: $HERDFS is not built"; exit 77; }

tests/lab/guests.sh small || { echo "FAIL: the lab was not built"; exit 1; }
results=$(mktemp -d "${TMPDIR:-/tmp}/herd-small.XXXXXX") || exit 1
trap 'rm -rf "$results"' EXIT
SCORE="--gate missed" LAB_RESULTS=$results tests/lab/check.sh small || { echo "FAIL"; exit 1; }

# The key has to be one that can be missed: a plant that nobody made is.
mkdir -p "$results/lab/small"
jq '(.instances[] | select(.role == "attacked") | .plants) +=
	[{technique: "T0", name: "none", paths: ["/no/such"], change: "added"}]' \
	"$LAB_DIR/small/key.json" >"$results/lab/small/key.json"
if tests/lab/score.py --gate missed "$results" "$results/lab" >"$results/out"; then
	echo "FAIL: a plant that is not there is not missed"
	exit 1
fi
