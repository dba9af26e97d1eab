#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Images of memory that stay in S3 and are read there in ranges: the same is
# found as in the files, the mounted tree is the same, and less than the image
# is fetched. Then without the network, with faults, and with another object in
# its place. The guests are those of test_memory_oracle.sh and are kept.

# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
[ "$(id -u)" -eq 0 ] || skip "needs root to make a guest's disk"
need qemu-system-x86_64 sgdisk mkfs.ext4 cpio jq python3 gcc dpkg-deb curl
need_fuse
# shellcheck source=tests/aws/aws.sh
. tests/aws/aws.sh
trap 'aws_stop; cleanup' EXIT
good=mini-6.1 bad=mini-6.1-bad
out=$PWD/build/cache/memory
LAB_CACHE=$PWD/build/cache/debs "$LAB/memory_guest.sh" "$out" $good $bad ||
	{ fail "a guest could not be made"; finish; }
# the same memory as AVML compresses it; that takes a while, so it is kept
if [ ! "$out/$good/memory.avml" -nt "$out/$good/memory.raw" ]; then
	python3 "$LAB/memory_write.py" avml2 "$out/$good/memory.raw" "$dir/avml" &&
		mv "$dir/avml" "$out/$good/memory.avml" || fail "no AVML"
fi

# ---- the world: a bucket, one that keeps versions, one elsewhere ---------------------

mkdir "$dir/aws"
: >"$dir/empty"
cp "$LAB/lab.py" "$dir/text"
printf 'HERDKEEP%-4088s' x >"$dir/kept"
cp "$out/$bad/memory.raw" "$dir/another"	# of the same size
printf 'another' | dd of="$dir/another" bs=1 seek=200000000 conv=notrunc status=none
python3 - "$dir" "$out" >"$dir/aws/world.json" <<'END'
import json, sys
at, out = sys.argv[1:]
secret = "local/only+secret/for/the/tests0123456789"
with open("docs/iam-memory-read.json") as f:	# with these rights and no others
    enough = json.load(f)
enough["Statement"][0]["Resource"] = "*"
allow = lambda *what: {"policy": {"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": list(what), "Resource": "*"}]}}
o = lambda bucket, key, file: {"bucket": bucket, "key": key, "file": file}
json.dump({"region": "eu-central-1", "account": "123456789012", "seed": 1, "keys": [
    {"id": "AKIAHERDFSTEST000000", "secret": secret, "policy": enough},
    {"id": "AKIALEASTPRIVILEGE00", "secret": secret + "/least", **allow("s3:GetObject")},
    {"id": "AKIANOTHING000000000", "secret": secret, **allow("s3:ListBucket")}],
    "buckets": ["evidence", "versions", "far-away"], "versioned_buckets": ["versions"],
    "bucket_regions": {"far-away": "us-west-2"},
    "objects": [o("evidence", "case 1/mini-6.1.elf", out + "/mini-6.1/memory.elf"),
                o("evidence", "mini-6.1.avml", out + "/mini-6.1/memory.avml"),
                o("evidence", "c/mini-6.1-bad/memory.raw", out + "/mini-6.1-bad/memory.raw"),
                o("versions", "mini-6.1-bad.raw", out + "/mini-6.1-bad/memory.raw"),
                o("evidence", "odd +%41?=&ü~", at + "/text"),
                *(o("evidence", n, f"{at}/{n}") for n in ("empty", "text", "kept"))]},
    sys.stdout)
END
aws_start "$dir/aws/world.json" || { fail "no server"; finish; }
export HERDFS_CACHE=$dir/cache
of_good="s3://evidence/case 1/$good.elf" of_bad=s3://evidence/c/$bad/memory.raw
put() {	# BUCKET KEY FILE: another object in its place
	aws_control '{"object": {"bucket": "'"$1"'", "key": "'"$2"'", "file": "'"$3"'"}}'
}
# a fetcher that has lost its mount may still be writing
forget() {
	until rm -rf "$HERDFS_CACHE" 2>/dev/null; do sleep 0.1; done
}
verdict() {
	"$HERDFS" list --asg mini --all --json | jq -S .memory || fail "list"
}
size() { stat -c %s "$1"; }

# ---- the same as from the files ----------------------------------------------------------

for g in $good $bad; do
	attach --asg mini --instance $g --disk "$out/$g/disk.raw"
done
cp -r "$HERDFS_STORE" "$dir/disks"	# for later
cp -r "$HERDFS_STORE" "$dir/store-file"
HERDFS_STORE=$dir/store-file attach --asg mini --instance $good --memory "$out/$good/memory.elf"
HERDFS_STORE=$dir/store-file attach --asg mini --instance $bad --memory "$out/$bad/memory.raw"

# their names are the instances'
attach --asg mini --memory "$of_good"
n=$(aws_stat actions.GetObject.bytes)
echo "of $(size "$out/$good/memory.elf") bytes $n were fetched"
[ "$n" -gt 1000000 ] && [ "$n" -lt $(($(size "$out/$good/memory.elf") / 2)) ] ||
	fail "$n bytes were fetched"
attach --asg mini --memory "$of_bad"
HERDFS_STORE=$dir/store-file verdict >"$dir/verdict-file"
verdict >"$dir/verdict"
[ "$(jq length "$dir/verdict")" -gt 20 ] || fail "hardly anything was found"
cmp "$dir/verdict-file" "$dir/verdict" || fail "another verdict than from the files"
"$HERDFS" why --asg mini --instance $bad /usr/lib/.kw >"$dir/why" || fail "why"
grep -q 'Processes that run it' "$dir/why" || fail "why does not tell who runs it"

# what it cost, by our own count and by the server's
read -r ranges bytes < <("$HERDFS" status --json | jq -r '[.groups[].instances[].memory.object] |
	"\(map(.ranges_read) | add) \(map(.bytes_read) | add)"')
# and one byte of each beforehand, to see what there is
[ "$(aws_stat actions.GetObject.ok)" -eq $((ranges + 2)) ] &&
	[ "$(aws_stat actions.GetObject.bytes)" -eq $((bytes + 2)) ] ||
	fail "status has $ranges ranges of $bytes bytes; the server" \
		"$(aws_stat actions.GetObject.ok) of $(aws_stat actions.GetObject.bytes)"
"$HERDFS" status | grep -q "$of_bad: .* ranges .* from S3, about" ||
	fail "status does not say what it cost"
"$HERDFS" attach --asg mini --memory "$of_bad" >"$dir/again" || fail "again"
grep -q 'attached already' "$dir/again" || { fail "not known again"; cat "$dir/again"; }

mkdir "$dir/mnt-file"
HERDFS_STORE=$dir/store-file mount_herd "$dir/mnt-file"
mount_herd
for g in $good $bad; do
	diff -r -x findings.txt "$dir/mnt-file/asg/mini/$g/deviant/memory" \
		"$mnt/asg/mini/$g/deviant/memory" >"$dir/diff" 2>&1 ||
		{ fail "$g: another tree"; head -5 "$dir/diff"; }
	# where it lies, and how it is known again, are other lines
	diff <(sed 2,3d "$dir/mnt-file/asg/mini/$g/deviant/memory/findings.txt") \
		<(sed 2,3d "$mnt/asg/mini/$g/deviant/memory/findings.txt") ||
		fail "$g: other findings"
	grep -q '^    [0-9]* bytes; its name, version, ETag and size: sha256 [0-9a-f]\{64\}$' \
		"$mnt/asg/mini/$g/deviant/memory/findings.txt" || fail "$g: which object is not told"
done
cmp "$dir/mnt-file/asg/mini/$good/memory.raw" "$mnt/asg/mini/$good/memory.raw" ||
	fail "another memory than of the file"
[ "$(find "$mnt/asg/mini/$bad/deviant/memory" -name core | wc -l)" -gt 5 ] || fail "no cores"
cmp "$mnt/asg/mini/$bad/memory.raw" "$out/$bad/memory.raw" || fail "memory.raw is not the image"
(cd "$mnt-file/asg/mini/$bad/deviant/memory" && sha256sum */core) >"$dir/cores" || fail "cores"
# nobody that parses has the network
confined=
for p in /proc/[0-9]*; do
	[ "$(readlink "$p/exe")" = "$HERDFS" ] && grep -q '^Seccomp:[[:space:]]*2' "$p/status" &&
		tr '\0' ' ' <"$p/cmdline" | grep -qF "$mnt" || continue
	confined=$p
	tr '\0' '\n' <"$p/environ" | grep -qF "$AWS_SECRET_ACCESS_KEY" &&
		fail "a reader has the secret"
	for i in $(readlink "$p/fd/"* | sed -n 's/^socket:\[\([0-9]*\)\]$/\1/p'); do
		awk -v i="$i" '$10 == i { n++ } END { exit !n }' /proc/net/tcp /proc/net/tcp6 &&
			fail "a reader has a socket to somewhere"
	done
done 2>/dev/null
[ -n "$confined" ] || fail "no process is locked in"
unmount "$mnt" "$dir/mnt-file"

# ---- without the network ---------------------------------------------------------------------

"$HERDFS" fetch --quiet --all || fail "fetch"
aws_control '{"reset_stats": true}'
"$HERDFS" fetch --all >"$dir/out" || fail "fetch again"
[ "$(grep -c 's3://evidence/c.*26[89] MB are in the cache' "$dir/out")" -eq 2 ] ||
	{ fail "fetch"; cat "$dir/out"; }
[ "$(aws_stat actions.GetObject.bytes)" -le 2 ] || fail "fetched twice"
aws_control '{"dead": "refuse"}'
cp -r "$dir/disks" "$dir/store-offline"
# and where AWS does not answer what is there is served all the same
for how in offline refuse hang; do
	[ $how = offline ] || aws_control '{"dead": "'$how'"}'
	HERDFS_OFFLINE=$([ $how = offline ] && echo 1) HERDFS_FETCH_TIMEOUT=4 "$HERDFS" mount "$mnt" ||
		fail "mount: $how"
	cmp -n 100000000 "$mnt/asg/mini/$bad/memory.raw" "$out/$bad/memory.raw" ||
		fail "$how: memory.raw"
	unmount "$mnt"
done
HERDFS_STORE=$dir/store-offline attach --asg mini --memory --offline "$of_bad"
HERDFS_STORE=$dir/store-offline "$HERDFS" attach --asg mini --memory --offline \
	s3://evidence/mini-6.1.avml >"$dir/out" 2>&1 && fail "offline, what is not there"
grep -q 'is not in the cache' "$dir/out" || { fail "offline: not told"; cat "$dir/out"; }
aws_control '{"dead": false}'

# ---- another object in its place -------------------------------------------------------------

forget
put evidence "c/$bad/memory.raw" "$dir/another"
"$HERDFS" mount --foreground "$mnt" >"$dir/log" 2>&1 &
server=$!
for ((i = 0; i < 100; i++)); do
	mountpoint -q "$mnt" && break
	sleep 0.1
done
head -c 5000000 "$mnt/asg/mini/$bad/memory.raw" >/dev/null 2>"$dir/out" && fail "another object was read"
grep -q 'Input/output error' "$dir/out" || { fail "not EIO"; cat "$dir/out"; }
# the other one's is what it was; behind RAM its core has more
head -c 5000000 "$mnt/asg/mini/$good/memory.raw" |
	cmp -n 500000 - "$out/$good/memory.raw" || fail "the other one cannot be read"
unmount "$mnt"
wait $server
[ "$(grep -c 'changed since it was indexed: its ETag is' "$dir/log")" -eq 1 ] ||
	{ fail "that it changed is not told"; cat "$dir/log"; }
"$HERDFS" attach --asg mini --memory "$of_bad" >"$dir/out" 2>&1 && fail "another one is attached already"
grep -q 'memory of another image' "$dir/out" || { fail "another: not told"; cat "$dir/out"; }
# and while it is read
put evidence "c/$bad/memory.raw" "$out/$bad/memory.raw"
forget
mount_herd
head -c 5000000 "$mnt/asg/mini/$bad/memory.raw" | cmp -n 5000000 - "$out/$bad/memory.raw" ||
	fail "its start"
put evidence "c/$bad/memory.raw" "$dir/another"
cat "$mnt/asg/mini/$bad/memory.raw" >"$dir/got" 2>"$dir/out" && fail "two objects were mixed"
cmp -n "$(size "$dir/got")" "$dir/got" "$out/$bad/memory.raw" || fail "wrong bytes came"
rm "$dir/got"
unmount "$mnt"
put evidence "c/$bad/memory.raw" "$out/$bad/memory.raw"

# a version is kept, whatever takes its place
export HERDFS_STORE=$dir/store-version
cp -r "$dir/disks" "$HERDFS_STORE"
attach --asg mini --memory s3://versions/$bad.raw
put versions $bad.raw "$dir/another"
forget
mount_herd
tail -c 100000000 "$mnt/asg/mini/$bad/memory.raw" |
	cmp - <(tail -c 100000000 "$out/$bad/memory.raw") ||
	fail "the version that was indexed cannot be had"
unmount "$mnt"
"$HERDFS" status | grep -q "s3://versions/$bad.raw?versionId=" || fail "which version is not told"

# ---- faults ---------------------------------------------------------------------------------------

export HERDFS_STORE=$dir/store-faults
cp -r "$dir/disks" "$HERDFS_STORE"
forget
# (a bit that changes on the way TLS notices, and AVML's own checksums)
aws_control '{"reset_stats": true, "faults": [{"action": "GetObject", "every": 3,
	"kinds": ["throttle", "e500", "e503", "e502", "truncate", "short", "reset", "checksum",
	"nochecksum", "expired"]}]}'
attach --asg mini --memory "$of_good"
attach --asg mini --memory "$of_bad"
aws_control '{"faults": []}'
spoilt=$(($(aws_stat actions.GetObject.spoilt) + $(aws_stat actions.GetObject.refused)))
echo "$spoilt of $((spoilt + $(aws_stat actions.GetObject.ok))) answers were faulty"
[ $spoilt -gt 100 ] || fail "hardly anything was faulty"
verdict >"$dir/verdict"
cmp "$dir/verdict-file" "$dir/verdict" || fail "another verdict, with faults"

# in the mount, too, what cannot be had is an error, and nowhere zeros: neither the
# pages of a dump nor the tables that say where they are
wrong=0 right=0 none=0
for skip in 6 12 25 50 100; do
	forget
	aws_control '{"faults": [{"action": "GetObject", "every": 1, "skip": '$skip', "kind": "conflict"}]}'
	mount_herd
	while read -r sum core; do
		if ! got=$(set -o pipefail; sha256sum 2>/dev/null \
			<"$mnt/asg/mini/$bad/deviant/memory/$core"); then
			none=$((none + 1))
		elif [ "${got%% *}" = "$sum" ]; then
			right=$((right + 1))
		else
			wrong=$((wrong + 1))
		fi
	done <"$dir/cores"
	unmount "$mnt"
done
aws_control '{"faults": []}'
echo "with faults $right cores were read and $none were not"
[ $wrong -eq 0 ] || fail "$wrong cores were read that are others"
[ $none -gt 5 ] || fail "all cores could be read without the image"

# AVML, compressed: all of it is needed, and of the memory what is no zeros is in it
"$HERDFS" detach --quiet --asg mini --memory $good $bad || fail "detach"
aws_control '{"reset_stats": true}'
attach --asg mini --memory s3://evidence/$good.avml
n=$(aws_stat actions.GetObject.bytes)
[ "$n" -le $(($(size "$out/$good/memory.avml") + 2)) ] || fail "AVML: $n bytes were fetched"
mount_herd
cmp "$mnt/asg/mini/$good/memory.raw" "$out/$good/memory.raw" >"$dir/out" 2>&1 ||
	grep -q 'EOF on' "$dir/out" || { fail "AVML: another memory"; cat "$dir/out"; }
unmount "$mnt"
"$HERDFS" detach --quiet --asg mini --memory $good || fail "detach"

# ---- each in one line ---------------------------------------------------------------------------

wrong() {	# WHAT-IS-SAID URL [options]
	local say=$1 url=$2
	shift 2
	timeout 60 "$HERDFS" attach --asg mini --instance $good --memory "$@" "$url" >"$dir/out" 2>&1
	[ $? -eq 1 ] || fail "$url: not refused"
	[ "$(wc -l <"$dir/out")" -eq 1 ] && grep -q "$say" "$dir/out" ||
		{ fail "$url: not told in one line: $say"; cat "$dir/out"; }
}
forget
wrong 'there is no such object' s3://evidence/nothing.lime
wrong 'there is no such object' "s3://versions/$bad.raw?versionId=nope"
wrong 'there is no bucket' s3://nobody/x.lime
wrong 'is no object.s name' s3://evidence
wrong 'region, us-west-2: give it by --region' s3://far-away/x.lime
wrong 'is empty' s3://evidence/empty
wrong 'no container of memory' s3://evidence/text
wrong 'no container of memory' 's3://evidence/odd +%41?=&ü~'
wrong 'an image that was kept' s3://evidence/kept
wrong 'is not lime' "$of_good" --format lime
aws_control '{"object": {"bucket": "evidence", "key": "text", "archived": true}}'
wrong 'is archived' s3://evidence/text
aws_control '{"faults": [{"action": "GetObject", "every": 1, "kind": "e500", "index": 0}]}'
wrong 'InternalError after . attempts' "$of_bad"
aws_control '{"faults": [{"action": "GetObject", "every": 1, "skip": 1, "kind": "short"}]}'
wrong 'not as long as it should be' "$of_bad"
# a range that cannot be had is no gap in memory
aws_control '{"faults": [{"action": "GetObject", "every": 1, "kind": "e500", "skip": 40}]}'
wrong 'InternalError after . attempts' "$of_bad"
aws_control '{"faults": []}'
verdict | jq -e 'length == 0' >/dev/null || fail "something was stored"
(
	aws_as AKIANOTHING000000000 local/only+secret/for/the/tests0123456789
	wrong 'not allowed (AccessDenied): it takes s3:GetObject' "$of_good"
	aws_as_least
	wrong 'not allowed (AccessDenied): .*s3:GetObjectVersion' s3://versions/$bad.raw
	exit $failed
) || failed=1
aws_control '{"dead": "refuse"}'
wrong 'Connection refused' "$of_good"
aws_control '{"dead": false}'
"$HERDFS" keep --to "$dir/keep" "$of_good" >"$dir/out" 2>&1 && fail "kept out of S3"
[ "$(wc -l <"$dir/out")" -eq 1 ] || { fail "keep: not one line"; cat "$dir/out"; }
finish
