#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What indexing EBS snapshots costs, counted by the server that is asked, and
# held against what e2image, debugfs and a comparison of the disks say is
# needed: by lineage the blocks that changed; without one those with metadata,
# and the data of files whose metadata is another. What was taken over by
# metadata alone is marked so; `herdfs verify` reads it and finds the file whose
# content was changed behind the file system's back. `herdfs status` shows the
# same figures as the server.
# FULL=1: ten instances of 2 GiB; else two small ones.

# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
need python3 curl openssl sgdisk mkfs.ext4 debugfs e2image dumpe2fs getfattr
[ "$(id -u)" -eq 0 ] || need fakeroot
need_fuse
# shellcheck source=tests/aws/aws.sh
. tests/aws/aws.sh
trap 'aws_stop; cleanup' EXIT
n=2 size=(--size-mib 192 --change 5)
[ "${FULL:-0}" = 0 ] || n=10 size=(--size-mib 2048)

# The intruder's sshd is in the place of the old one, with its size and times.
aws_world "$dir/aws" --instances $n "${size[@]}" || { fail "no world"; finish; }
world=$dir/aws/world.json
mapfile -t ids < <(python3 -c '
import json, sys
for i in json.load(open(sys.argv[1]))["instances"]: print(i["id"])' "$world" | sort)
broken=$(python3 -c '
import json, sys
print(json.load(open(sys.argv[1]))["herdfs"]["broken_into"][0])' "$world")
offset=$(aws_field "$world" herdfs.root_offset)
# and in each, one byte of a file is another, and nothing else
for id in "${ids[@]}"; do
	fs="$dir/aws/$id.raw?offset=$offset"
	block=$(debugfs -R "bmap /usr/bin/bash 3" "$fs" 2>/dev/null)
	[ "${block:-0}" -gt 0 ] || { fail "debugfs: where is bash?"; finish; }
	[ "$id" != "$broken" ] ||
		printf 'X' | dd of="$dir/aws/$id.raw" bs=1 conv=notrunc status=none \
			seek=$((offset + block * 4096 + 77))
done
python3 "$AWS_TOOLS/blocks.py" "$dir/aws/base.raw" "$offset" \
	$(printf "$dir/aws/%s.raw " "${ids[@]}") >"$dir/needed" ||
	{ fail "blocks.py"; finish; }
[ "$(wc -l <"$dir/needed")" -eq $n ] || fail "blocks.py says too little"

aws_start "$world" || { fail "no server"; finish; }
aws_control '{"pending": {"polls": 0}}'

# How many blocks of each instance were read: a line each, as $dir/needed.
reads() {	# CASE
	curl -sS --noproxy '*' -o "$dir/snapshots" "$aws_control_url/_snapshots"
	curl -sS --noproxy '*' -o "$dir/stats" "$aws_control_url/_stats"
	python3 - "$dir/snapshots" "$dir/stats" "$1" <<-'END'
		import json, sys
		by = {s["tags"]["herdfs:instance"]: s["id"]
		      for s in json.load(open(sys.argv[1]))
		      if s["tags"].get("herdfs:case") == sys.argv[3]}
		stats = json.load(open(sys.argv[2]))["snapshots"]
		for i in sorted(by):
		    print(stats.get(by[i], {"read": 0})["read"])
	END
}
# Fails unless READ / NEEDED is at most PERCENT of it. WHAT READ NEEDED PERCENT
at_most() {
	[ $(($2 * 100)) -le $(($3 * $4)) ] ||
		fail "$1: $2 blocks read, $4 % of $3 are allowed"
}

# ---- by lineage --------------------------------------------------------------------

export HERDFS_STORE=$dir/by HERDFS_CACHE=$dir/by-cache
"$HERDFS" acquire --asg web --case by >"$dir/out" 2>&1 || { fail "acquire"; cat "$dir/out"; }
reads by >"$dir/read"
paste -d ' ' "$dir/read" "$dir/needed" >"$dir/both"
[ "$(wc -l <"$dir/both")" -eq $n ] || fail "not all are counted"
while read -r got written changed _; do
	echo "by lineage: $got read; $changed changed, $written written"
	at_most "by lineage" "$got" "$changed" 115
	at_most "by lineage, of a full download" "$got" "$written" 10
	[ "$got" -ge "$changed" ] || fail "a changed block was not read"
done <"$dir/both"
[ "$(aws_stat blocks.again)" -eq 0 ] || fail "blocks were read twice"
"$HERDFS" status >"$dir/out"
grep -q provisional "$dir/out" && fail "provisional, though blocks were compared"
"$HERDFS" list --asg web --json >"$dir/want.list"
for path in usr/sbin/sshd usr/bin/bash; do
	grep -q "\"instance\": \"$broken\", \"path\": \"$path\"" "$dir/want.list" ||
		fail "$path is not found by its blocks"
done

# What status says of blocks, bytes and lists is what the server counted; and
# AWS's own rates.
same_costs() {
	"$HERDFS" status --json >"$dir/status" || fail "status --json"
	curl -sS --noproxy '*' -o "$dir/stats" "$aws_control_url/_stats"
	python3 - "$dir/status" "$dir/stats" <<-'END' || fail "what status says of the cost"
		import json, sys
		status, stats = (json.load(open(f)) for f in sys.argv[1:3])
		rows = [s for g in status["groups"] for i in g["instances"]
		        for s in i["snapshots"]]
		def asked(name):
		    a = stats["actions"].get(name, {})
		    return a.get("ok", 0) + a.get("refused", 0)
		got = [sum(r["blocks_read"] for r in rows),
		       sum(r["bytes_read"] for r in rows),
		       sum(r["list_calls"] for r in rows)]
		want = [stats["blocks"]["read"],
		        stats["blocks"]["bytes"],
		        asked("ListSnapshotBlocks") + asked("ListChangedBlocks")]
		usd = got[0] * 0.003 / 1000 + got[2] * 0.0006 / 1000
		said = sum(r["micro_usd"] for r in rows) / 1e6
		print(f"status: {got[0]} blocks, {got[1]} bytes, {got[2]} lists,"
		      f" {said:.6f} USD; the server: {want}, {usd:.6f} USD")
		sys.exit(got != want or abs(said - usd) > 1e-6 * len(rows))
	END
}
same_costs
"$HERDFS" status | grep -Eq 'blocks \(.*B\) and .* lists from AWS, about [0-9.]+ USD' ||
	fail "status does not show the cost"

# ---- without ------------------------------------------------------------------------------

aws_control '{"lineage": "volume", "reset_stats": true}'
export HERDFS_STORE=$dir/without HERDFS_CACHE=$dir/without-cache
"$HERDFS" acquire --asg web --case without >"$dir/out" 2>&1 || { fail "acquire"; cat "$dir/out"; }
reads without >"$dir/read"
paste -d ' ' "$dir/read" "$dir/needed" >"$dir/both"
[ "$(wc -l <"$dir/both")" -eq $n ] || fail "not all are counted"
while read -r got written changed metadata data rewritten; do
	echo "without: $got read; $metadata with metadata, $data with data of" \
		"changed files ($rewritten of them changed), $written written"
	at_most "without lineage" $((got * 100)) $((metadata * 120 + data * 100)) 100
	# (a tenth of a full download it is not where metadata is more than that:
	# on 2 GiB 11 % of what is written)
done <"$dir/both"
same_costs
"$HERDFS" status | grep -q 'provisional' || fail "status does not say that it is provisional"
mount_herd
basis() { getfattr --only-values -n user.herdfs.basis \
	"$mnt/asg/web/$1/all/disk/$2" 2>/dev/null; }
[ "$(basis "$broken" usr/bin/bash)" = metadata ] || fail "bash's basis: $(basis "$broken" usr/bin/bash)"
[ "$(basis "$broken" etc/sudoers)" = content ] || fail "sudoers' basis: $(basis "$broken" etc/sudoers)"
unmount "$mnt"
"$HERDFS" list --asg web --json >"$dir/got.list"
grep -q '"path": "usr/bin/bash"' "$dir/got.list" && fail "bash is found without being read?"

"$HERDFS" verify >"$dir/out" 2>&1 || { fail "verify"; cat "$dir/out"; }
for path in /usr/sbin/sshd /usr/bin/bash; do
	grep -q "$path: content is not the reference's" "$dir/out" ||
		{ fail "verify does not find $path"; cat "$dir/out"; }
done
"$HERDFS" status | grep -q 'provisional' && fail "still provisional"
mount_herd
[ "$(basis "$broken" usr/bin/bash)" = content ] || fail "bash's basis after: $(basis "$broken" usr/bin/bash)"
cmp -s <(debugfs -R "cat /usr/bin/bash" "$dir/aws/$broken.raw?offset=$offset" 2>/dev/null) \
	"$mnt/asg/web/$broken/deviant/disk/usr/bin/bash" || fail "bash is not what the disk has"
unmount "$mnt"
"$HERDFS" list --asg web --json >"$dir/got.list"
diff <(grep -v '"problems":' "$dir/want.list") <(grep -v '"problems":' "$dir/got.list") >"$dir/diff" ||
	{ fail "verified, the verdicts are not those of compared blocks"
	cut -c 1-300 "$dir/diff" | head -8; }
"$HERDFS" verify | grep -q 'nothing is provisional' || fail "verify again"
[ "$(aws_stat blocks.again)" -eq 0 ] || fail "blocks were read twice"
finish
