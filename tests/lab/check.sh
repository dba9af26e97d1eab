#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# check.sh [HERD…]: attaches the herds of the lab (guests.sh) with the program
# in ${HERDFS:-build/plain/herdfs}, with and without their baseline, and
# compares what it says with the answer keys. By default all herds, and then
# the tables of docs/QUALITY.md are written anew. Raw results are kept in
# build/lab/results. N = 2 and N = 3 are one and two healthy guests with each
# of the attacked ones in turn.
#
# LAB_DIR, LAB_RESULTS: other places. SCORE: more options for score.py.

set -eu
cd "$(dirname "$0")/../.."
HERDFS=${HERDFS:-build/plain/herdfs}
lab=$(realpath "${LAB_DIR:-build/lab}")
results=${LAB_RESULTS:-$lab/results}
herds=("$@")
[ $# -gt 0 ] || herds=(small main rolling mostly)
mkdir -p "$results/ablation"
rm -f "$results"/*.json "$results"/ablation/*.json
work=$(mktemp -d "${TMPDIR:-/tmp}/herd-lab.XXXXXX")
trap 'rm -rf "$work"' EXIT

ideas="forms places second-look logs missing packages rotated expected bands"

save() {	# FILE SETTING HERD BASELINE MEMBERS: what $work/list holds
	jq -c --arg s "$2" --arg h "$3" --arg b "$4" --argjson m "$5" \
		'{setting: $s, herd: $h, baseline: ($b == "yes"), members: $m, list: .}' \
		<"$work/list" >"$1"
}

measure() {	# SETTING HERD BASELINE IMAGE…
	local setting=$1 herd=$2 base=$3 members='[]'
	shift 3
	export HERDFS_STORE=$work/$setting
	[ "$base" = no ] ||
		"$HERDFS" attach --quiet --asg "$herd" --baseline "$lab/images/base.raw"
	"$HERDFS" attach --quiet --asg "$herd" "$@"
	members=$(printf '%s\n' "${@##*/}" | sed 's/\.qcow2$//' | jq -R . | jq -sc .)
	"$HERDFS" list --asg "$herd" --all --json >"$work/list"
	"$HERDFS" status --json >"$results/$setting.status" 2>/dev/null || :
	save "$results/$setting.json" "$setting" "$herd" "$base" "$members"
	case $setting in
	main | rolling | mostly+baseline)
		for idea in $ideas; do
			"$HERDFS" list --asg "$herd" --all --json \
				--without "$idea" >"$work/list"
			save "$results/ablation/$setting.$idea.json" "$setting" \
				"$herd" "$base" "$members"
		done
		rm -rf "$HERDFS_STORE"
		[ "$base" = no ] || "$HERDFS" attach --quiet --asg "$herd" \
			--no-identity --baseline "$lab/images/base.raw"
		"$HERDFS" attach --quiet --asg "$herd" --no-identity "$@"
		"$HERDFS" list --asg "$herd" --all --json >"$work/list"
		save "$results/ablation/$setting.identity.json" "$setting" \
			"$herd" "$base" "$members" ;;
	esac
	rm -rf "$HERDFS_STORE"
}

names() {	# HERD ROLE: images, one a line
	jq -r --arg r "$2" '.instances[] | select(.role == $r) | .name' \
		"$lab/$1/key.json" | sed "s,.*,$lab/images/&.qcow2,"
}

for h in "${herds[@]}"; do
	[ -s "$lab/$h/key.json" ] || { echo "check.sh: no herd $h: make lab" >&2; exit 1; }
	mapfile -t images <"$lab/$h/herd.list"
	measure "$h" "$h" no "${images[@]}"
	measure "$h+baseline" "$h" yes "${images[@]}"
	[ "$h" = main ] || continue
	mapfile -t healthy < <(names main healthy)
	for bad in $(names main attacked); do
		name=$(basename "$bad" .qcow2)
		measure "n3@$name" main no "${healthy[@]:0:2}" "$bad"
		measure "n3+baseline@$name" main yes "${healthy[@]:0:2}" "$bad"
		measure "n2@$name" main no "${healthy[0]}" "$bad"
		measure "n2+baseline@$name" main yes "${healthy[0]}" "$bad"
	done
done
# shellcheck disable=SC2086
if [ $# -eq 0 ]; then
	tests/lab/ablation.py --markdown docs/QUALITY.md "$results" "$lab"
	tests/lab/score.py ${SCORE:-} --markdown docs/QUALITY.md "$results" "$lab"
else
	tests/lab/score.py ${SCORE:-} "$results" "$lab"
fi
