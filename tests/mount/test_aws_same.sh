#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A group acquired from AWS (the local one) shows what its disks show as files:
# the same trees byte for byte, with the same attributes, and the same
# verdicts. Over TLS, by a user who has the documented rights and no others,
# with two volumes each, in all states of the life cycle; from snapshots that
# are given, and from those of an interrupted run; by lineage and without.
# FULL=1: ten instances of 2 GiB, 2 % of the blocks changed; else three small.

# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
need python3 curl openssl sgdisk mkfs.ext4 debugfs
[ "$(id -u)" -eq 0 ] || need fakeroot
need_fuse
# shellcheck source=tests/aws/aws.sh
. tests/aws/aws.sh
trap 'aws_stop; cleanup' EXIT
n=3 size=(--size-mib 64 --fill 0.3)
[ "${FULL:-0}" = 0 ] || n=10 size=(--size-mib 2048)
export HERDFS_CACHE=$dir/cache

aws_world "$dir/aws" --instances $n "${size[@]}" --data \
	--lifecycle 1=Standby --lifecycle 2=Terminating:Wait \
	--policy docs/iam-acquire.json || { fail "no world"; finish; }
world=$dir/aws/world.json
mapfile -t ids < <(python3 -c '
import json, sys
for i in json.load(open(sys.argv[1]))["instances"]: print(i["id"])' "$world" | sort)
base_snapshot=$(aws_field "$world" "snapshots" | grep -o 'snap-[0-9a-f]*' | head -1)

# ---- as files -------------------------------------------------------------

# What EC2 says of the instances, out of the world's own file: DIR/tokens.ID
python3 - "$world" "$dir/tokens" <<'END'
import json, sys
for i in json.load(open(sys.argv[1]))["instances"]:
    with open(f"{sys.argv[2]}.{i['id']}", "w") as f:
        def put(kind, *values):
            for v in values:
                print(f"{kind}={v}", file=f)
        put("instance-id", i["id"])
        put("hostname", i["private_dns"].split(".")[0])
        put("dns-name", i["private_dns"], i["public_dns"])
        put("address", i["private_ip"], i["public_ip"])
        put("volume-id", *(v["id"] for v in i["volumes"]))
        put("interface-id", *(e["id"] for e in i["enis"]))
        put("mac", *(e["mac"] for e in i["enis"]))
END
attach_files() {	# [--no-baseline]
	local id words
	[ $# -gt 0 ] || attach --asg web --baseline --disk "$dir/aws/base.raw" \
		--instance baseline
	for id in "${ids[@]}"; do
		mapfile -t words < <(sed 's/^/--identity=/' "$dir/tokens.$id")
		attach --asg web --instance "$id" --disk "$dir/aws/$id.raw" \
			--disk "$dir/aws/$id-data.raw" "${words[@]}"
	done
}
HERDFS_STORE=$dir/files
attach_files
mkdir "$dir/mf" "$dir/ma"
mount_herd "$dir/mf"

# Everything below the instances, but for what names the images and how they
# were read.
show() {	# MOUNT OUT
	local id kind dirs
	for id in baseline "${ids[@]}"; do
		[ -d "$1/asg/web/$id" ] || continue
		echo "== $id"
		# reports and what is known of a baseline name the images
		[ "$id" = baseline ] || (cd "$1/asg/web/$id" &&
			grep -v ' report\.' MANIFEST.sha256 && cat bodyfile)
		dirs=()
		for kind in all deviant herd volatile; do
			[ ! -d "$1/asg/web/$id/$kind" ] ||
				dirs+=("$1/asg/web/$id/$kind")
		done
		python3 "$AWS_TOOLS/tree.py" --without user.herdfs.basis \
			"${dirs[@]}" || fail "$2: tree.py"
	done >"$2"
	grep -c . "$2" >"$2.lines"
	! grep -qw error "$2" || fail "$2: something cannot be read"
}
# That a disk was compared in another way is a problem that files do not have.
same_verdicts() {	# WHAT WANTED
	"$HERDFS" list --asg web --all --json | grep -v '"problems":' \
		>"$dir/got.list" || fail "$1: list"
	cmp -s "$2.list" "$dir/got.list" && return
	fail "$1: the verdicts are others"
	diff "$2.list" "$dir/got.list" | cut -c 1-300 | head -8
}
# The same as the files? STORE and a mount of it.
same() {	# WHAT [WANTED, as show and list wrote it]
	local want=${2:-$dir/files}
	same_verdicts "$1" "$want"
	mount_herd "$dir/ma"
	show "$dir/ma" "$dir/got.tree"
	unmount "$dir/ma"
	if ! cmp -s "$want.tree" "$dir/got.tree"; then
		fail "$1: the tree is another"
		diff "$want.tree" "$dir/got.tree" | cut -c 1-300 | head -8
	fi
}
show "$dir/mf" "$dir/files.tree"
unmount "$dir/mf"
"$HERDFS" list --asg web --all --json | grep -v '"problems":' >"$dir/files.list"
[ "$(grep -c '/sshd' "$dir/files.list")" -ge 1 ] || fail "the intrusion is not seen"
echo "as files: $(cat "$dir/files.tree.lines") lines, $(wc -l <"$dir/files.list") verdicts"

# ---- from AWS, by lineage ----------------------------------------------------

aws_start "$world" --tls || { fail "no server"; finish; }
aws_as_least
export AWS_ENDPOINT_URL=$aws_tls AWS_CA_BUNDLE=$aws_ca
HERDFS_STORE=$dir/store
made() { aws_stat actions.CreateSnapshots.ok; }
mine() {	# how many snapshots the server has that bear a case
	curl -sS --noproxy '*' "$aws_control_url/_snapshots" |
		grep -o '"herdfs:case"' | wc -l
}

"$HERDFS" acquire --asg web --case c-1 --dry-run >"$dir/out" 2>&1 ||
	{ fail "--dry-run"; cat "$dir/out"; }
grep -q ': Standby, running' "$dir/out" &&
	grep -q ': Terminating:Wait, running' "$dir/out" || fail "--dry-run does not tell who is in the group"
grep -q 'Nothing was made' "$dir/out" || fail "--dry-run does not say that it was one"
[ "$(mine)" -eq 0 ] || fail "--dry-run made snapshots"
[ ! -e "$HERDFS_STORE" ] || fail "--dry-run made an index"

# interrupted after the first ones: the same command goes on with them
"$HERDFS" acquire --quiet --asg web --case c-1 --no-attach --instance "${ids[0]}" \
	>"$dir/out" 2>&1 || { fail "--no-attach"; cat "$dir/out"; }
[ "$(mine)" -eq 2 ] || fail "two volumes of one instance: $(mine) snapshots"
start=${EPOCHREALTIME/./}
"$HERDFS" acquire --asg web --case c-1 >"$dir/out" 2>&1 ||
	{ fail "acquire"; cat "$dir/out"; }
echo "acquired in $(((${EPOCHREALTIME/./} - start) / 1000)) ms," \
	"$(aws_stat blocks.read) blocks read"
[ "$(made)" -eq "$n" ] || fail "$(made) CreateSnapshots for $n instances"
[ "$(mine)" -eq $((2 * n)) ] || fail "$(mine) snapshots of $n instances"
grep -q "web/baseline: attached as baseline" "$dir/out" || fail "no baseline"
[ "$(grep -c 'unchanged from' "$dir/out")" -eq "$n" ] ||
	{ fail "not all by their changes"; cat "$dir/out"; }
same "by lineage"
[ "$(aws_stat errors)" = "{\"DryRunOperation\": $n}" ] || fail "refused: $(aws_stat errors)"
[ "$(aws_stat blocks.again)" -eq 0 ] || fail "blocks were read twice"

# once more: nothing to do
aws_control '{"pending": {"polls": 0}}'
before=$(aws_stat blocks.read)
"$HERDFS" acquire --asg web --case c-1 >"$dir/out" 2>&1 || fail "acquire again"
[ "$(made)" -eq "$n" ] || fail "the same case makes snapshots again"
[ "$(aws_stat blocks.read)" -eq "$before" ] || fail "the same case reads again"
[ "$(grep -c already "$dir/out")" -ge "$n" ] || { fail "not said to be there"; cat "$dir/out"; }

# ---- snapshots that are given, in another index with another cache --------------

given=()
while read -r volume snapshot; do
	for id in "${ids[@]}"; do
		grep -qx "volume-id=$volume" "$dir/tokens.$id" &&
			given+=(--snapshot "$id=$snapshot")
	done
done < <(curl -sS --noproxy '*' "$aws_control_url/_snapshots" | python3 -c '
import json, sys
for s in json.load(sys.stdin):
    if s["tags"].get("herdfs:case") == "c-1": print(s["volume"], s["id"])')
[ ${#given[@]} -eq $((4 * n)) ] || fail "${#given[@]} words for --snapshot"
HERDFS_STORE=$dir/given HERDFS_CACHE=$dir/given-cache \
	"$HERDFS" acquire --quiet --asg web --case c-2 "${given[@]}" \
	--baseline "$base_snapshot" >"$dir/out" 2>&1 ||
	{ fail "--snapshot"; cat "$dir/out"; }
[ "$(made)" -eq "$n" ] || fail "--snapshot makes snapshots"
HERDFS_STORE=$dir/given
same_verdicts "given snapshots" "$dir/files"
rm -rf "$dir/given-cache"
"$HERDFS" acquire --asg web --snapshot "i-00000000=$base_snapshot" \
	>"$dir/out" 2>&1 && fail "an instance that is not in the group"
grep -q 'no instance i-00000000' "$dir/out" || { fail "who is it?"; cat "$dir/out"; }

# ---- everything into the cache; the snapshots go; the tree stays -------------------

HERDFS_STORE=$dir/store
"$HERDFS" fetch --quiet --all >"$dir/out" 2>&1 || { fail "fetch"; cat "$dir/out"; }
"$HERDFS" acquire --asg web --delete-snapshots >"$dir/out" 2>&1 && fail "deletes without a case"
"$HERDFS" acquire --case c-1 --delete-snapshots --dry-run >"$dir/out" 2>&1 ||
	fail "--delete-snapshots --dry-run"
[ "$(mine)" -eq $((2 * n)) ] || fail "a dry run deletes"
"$HERDFS" acquire --case other --delete-snapshots >"$dir/out" 2>&1 || fail "another case"
[ "$(mine)" -eq $((2 * n)) ] || fail "another case's snapshots are deleted"
"$HERDFS" acquire --case c-1 --delete-snapshots >"$dir/out" 2>&1 ||
	{ fail "--delete-snapshots"; cat "$dir/out"; }
grep -q "$((2 * n)) snapshots of case c-1 deleted" "$dir/out" || { fail "how many?"; cat "$dir/out"; }
[ "$(mine)" -eq 0 ] || fail "$(mine) snapshots are left"
curl -sS --noproxy '*' "$aws_control_url/_snapshots" | grep -q "$base_snapshot" ||
	fail "the image's own snapshot is gone"
HERDFS_OFFLINE=1 same "offline"

# ---- no baseline to be had; an instance that is gone ---------------------------------

if [ "${FULL:-0}" = 0 ]; then
	HERDFS_STORE=$dir/files-alone
	attach_files --no-baseline
	mount_herd "$dir/mf"
	show "$dir/mf" "$dir/alone.tree"
	unmount "$dir/mf"
	"$HERDFS" list --asg web --all --json | grep -v '"problems":' \
		>"$dir/alone.list"
	# the image is somebody else's, and public: EBS direct does not give it
	aws_stop
	python3 - "$world" <<-'END'
		import json, sys
		w = json.load(open(sys.argv[1]))
		for x in w["images"] + w["snapshots"]:
		    x.update(public=True, owner="137112412989")
		w.update(lineage="volume", pending={"polls": 0})
		json.dump(w, open(sys.argv[1], "w"))
	END
	aws_start "$world" || { fail "no server"; finish; }
	aws_as_least
	export HERDFS_CACHE=$dir/alone-cache HERDFS_STORE=$dir/alone-store
	"$HERDFS" acquire --asg web --case c-3 --read-all >"$dir/out" 2>&1 ||
		{ fail "a public baseline"; cat "$dir/out"; }
	grep -q 'no baseline: .*public' "$dir/out" || { fail "not told why"; cat "$dir/out"; }
	same "without a baseline" "$dir/alone"
	"$HERDFS" acquire --asg web --case c-3 --baseline "$base_snapshot" \
		>"$dir/out" 2>&1 && fail "a baseline that is asked for and cannot be read"
	grep -q 'public' "$dir/out" || { fail "not told why not"; cat "$dir/out"; }

	aws_control "{\"instance\": {\"id\": \"${ids[2]}\", \"state\": \"terminated\",
		\"volumes\": []}}"
	HERDFS_STORE=$dir/two-store
	"$HERDFS" acquire --asg web --case c-4 --baseline none >"$dir/out" 2>&1 &&
		fail "an instance is missing, and all is well"
	grep -q "web/${ids[2]}: .*terminated" "$dir/out" || { fail "not told who"; cat "$dir/out"; }
	[ "$(grep -c '^web/i-.*: attached' "$dir/out")" -eq 2 ] ||
		{ fail "the others are not attached"; cat "$dir/out"; }
fi

# ---- what of it all is on the disk -----------------------------------------------------

find "$dir"/store "$dir"/cache \( -type d ! -perm 0700 \) -o \( ! -type d ! -perm 0600 \) |
	grep . && fail "modes other than 0700 and 0600"
finish
