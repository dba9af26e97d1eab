#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# memory_judge.sh [HERD…]: attaches the herds of the lab (guests.sh) whose memory
# was taken, disks and memories, and compares what deviates with the answer keys.
# By default all of them. LAB_DIR: where the lab is. HERDFS: the program.

set -eu
cd "$(dirname "$0")/../.."
HERDFS=${HERDFS:-build/plain/herdfs}
lab=$(realpath "${LAB_DIR:-build/lab}")
work=$(mktemp -d "${TMPDIR:-/tmp}/herd-lab.XXXXXX")
trap 'rm -rf "$work"' EXIT
if [ $# -eq 0 ]; then
	for list in "$lab"/*/memory.list; do
		set -- "$@" "$(basename "$(dirname "$list")")"
	done
fi
status=0
for herd in "$@"; do
	export HERDFS_STORE=$work/$herd
	"$HERDFS" attach --quiet --asg "$herd" --baseline --instance base "$lab/images/base.raw"
	xargs -d '\n' "$HERDFS" attach --quiet --asg "$herd" <"$lab/$herd/herd.list"
	xargs -d '\n' "$HERDFS" attach --quiet --asg "$herd" --memory <"$lab/$herd/memory.list"
	"$HERDFS" list --asg "$herd" --all --json >"$work/list"
	echo "$herd:"
	tests/lab/memory_found.py "$work/list" "$lab/$herd/key.json" || status=1
done
exit $status
