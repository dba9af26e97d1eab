#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# herdfs acquire --memory against a local AWS: the command runs on each
# "instance", the tool's output goes to S3 in parts, comes home, and is what the
# instance sent. Then the ways in which that goes wrong.

# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
need python3 curl openssl sgdisk mkfs.ext4 debugfs
[ "$(id -u)" -eq 0 ] || need fakeroot
# shellcheck source=tests/aws/aws.sh
. tests/aws/aws.sh
trap 'aws_stop; cleanup' EXIT

aws_world "$dir/aws" --instances 3 --size-mib 64 --fill 0.3 \
	--policy docs/iam-memory.json || { fail "no world"; finish; }
# each instance's memory: here what the tool would write, 40 MB and different
python3 - "$dir/aws/world.json" "$dir" <<'END'
import json, os, random, sys
at, place = sys.argv[1:]
with open(at) as f:
    world = json.load(f)
for n, i in enumerate(world["instances"]):
    i["memory"] = os.path.join(place, i["id"] + ".sent")
    with open(i["memory"], "wb") as f:
        f.write(random.Random(n).randbytes(40_000_000 + 1000 * n))
with open(at, "w") as f:
    json.dump(world, f)
END
aws_start "$dir/aws/world.json" || { fail "no server"; finish; }
mapfile -t ids < <(python3 -c '
import json, sys
print(*(i["id"] for i in json.load(open(sys.argv[1]))["instances"]), sep="\n")' \
	"$dir/aws/world.json")

# with the rights of docs/iam-memory.json and no others
aws_as_least

# A tool with AVML's command line, which writes into what it is given, once,
# from the start to the end.
cat >"$dir/avml" <<'END'
#!/bin/sh
case $1 in
--version) echo "avml 0.0-test"; exit 0 ;;
acquire) exit 2 ;;
--compress) [ -n "$HERDFS_TEST_MEMORY" ] || exit 3; exec cat "$HERDFS_TEST_MEMORY" >"$2" ;;
esac
exit 2
END
memory() {	# FILE-OF-OUTPUT [options]
	local out=$1
	shift
	"$HERDFS" acquire --asg web --case m1 --memory-only --no-attach --memory-limit 1 \
		--avml "$dir/avml" --bucket evidence --prefix cases/ --to "$dir/home" \
		"$@" >"$out" 2>&1
}

# ---- what is wanted -----------------------------------------------------------------

memory "$dir/out-dry" --dry-run || { fail "dry run"; cat "$dir/out-dry"; }
[ "$(grep -c 'would be read' "$dir/out-dry")" -eq 3 ] || { fail "dry run"; cat "$dir/out-dry"; }
[ ! -e "$dir/home" ] || fail "a dry run brought something home"
memory "$dir/out" || { fail "acquire --memory"; cat "$dir/out"; }
for i in "${ids[@]}"; do
	cmp -s "$dir/$i.sent" "$dir/home/$i.avml" || fail "$i: another image came home"
	python3 - "$dir/home/$i.avml.json" "$dir/$i.sent" "$i" "$dir/avml" <<-'END' || fail "$i: its record"
		import hashlib, json, sys, time
		r = json.load(open(sys.argv[1]))
		sha = lambda p: hashlib.sha256(open(p, "rb").read()).hexdigest()
		assert r["sha256"] == sha(sys.argv[2]), "digest"
		assert r["bytes"] == len(open(sys.argv[2], "rb").read())
		assert r["instance"] == sys.argv[3] and r["case"] == "m1" and r["group"] == "web"
		assert r["tool_sha256"] == sha(sys.argv[4]) and r["tool"] == "avml 0.0-test"
		assert r["who"].startswith("arn:aws:"), r["who"]
		assert abs(r["began"] - time.time()) < 600 and r["ended"] >= r["began"]
		assert r["object"] == f"s3://evidence/cases/m1/{sys.argv[3]}/memory.avml"
		assert len(r["command"]) == 36 and r["release"]
	END
	[ "$(stat -c %a "$dir/home/$i.avml")" = 600 ] || fail "$i: others may read the image"
done
[ "$(aws_stat actions.UploadPart.ok)" -eq 9 ] || fail "$(aws_stat actions.UploadPart.ok) parts, not 9"
[ "$(aws_stat actions.SendCommand.ok)" -eq 3 ] || fail "not one command an instance"
# the scripts, which hold URLs, are gone
[ "$(aws_stat actions.DeleteObject.ok)" -eq 3 ] || fail "a script was left in the bucket"
grep -q 'X-Amz-Signature' -r "$dir/home" "$dir/out" && fail "a URL was left"

# ---- again: nothing is done twice -------------------------------------------------------

memory "$dir/out" || fail "again"
[ "$(grep -c 'from before' "$dir/out")" -eq 3 ] || { fail "not from before"; cat "$dir/out"; }
[ "$(aws_stat actions.SendCommand.ok)" -eq 3 ] || fail "a command was sent again"
# what was lost at home is had from S3
rm "$dir/home/${ids[0]}.avml" "$dir/home/${ids[1]}.avml.json"
memory "$dir/out" || fail "from S3"
cmp -s "$dir/${ids[0]}.sent" "$dir/home/${ids[0]}.avml" || fail "another image came from S3"
[ "$(aws_stat actions.SendCommand.ok)" -eq 3 ] || fail "a command was sent for what is in S3"

# another case does not take it for its own, nor writes over it
for o in "--case m2" "--case m1x"; do
	# shellcheck disable=SC2086
	memory "$dir/out" $o && fail "$o: took another case's image"
	[ "$(grep -c 'is of another case or group' "$dir/out")" -eq 3 ] || { fail "$o"; cat "$dir/out"; }
done
# nor is what was changed taken, also when its size is the same
printf 'changed' | dd of="$dir/home/${ids[2]}.avml" bs=1 seek=20000000 conv=notrunc status=none
memory "$dir/out" && fail "took a changed image"
grep -q "${ids[2]}.avml: is not the image of the record" "$dir/out" || { fail "changed"; cat "$dir/out"; }
[ "$(grep -c 'from before' "$dir/out")" -eq 2 ] || { fail "the others"; cat "$dir/out"; }
dd if="$dir/home/${ids[2]}.avml" bs=1 skip=20000000 count=7 status=none | grep -q changed ||
	fail "a changed image was written over"
[ "$(aws_stat actions.SendCommand.ok)" -eq 3 ] || fail "a command was sent for another case"

# nor is one written over whose record is damaged, or cannot be read
cp "$dir/${ids[2]}.sent" "$dir/home/${ids[2]}.avml"
mv "$dir/home/${ids[2]}.avml.json" "$dir/record"
stays() {	# WHAT-IS-SAID: and the image is what it was
	local before
	before=$(sha256sum <"$dir/home/${ids[2]}.avml")
	memory "$dir/out" && fail "$1: succeeded"
	grep -q "${ids[2]}.avml[: ].*$1" "$dir/out" || { fail "not told: $1"; cat "$dir/out"; }
	[ "$(sha256sum <"$dir/home/${ids[2]}.avml")" = "$before" ] || fail "$1: written over"
	[ "$(grep -c 'from before' "$dir/out")" -eq 2 ] || { fail "$1: the others"; cat "$dir/out"; }
}
head -c 100 "$dir/record" >"$dir/home/${ids[2]}.avml.json"
stays 'record beside it cannot be read (it is damaged)'
rm "$dir/home/${ids[2]}.avml.json"
mkdir "$dir/home/${ids[2]}.avml.json"
stays 'record beside it cannot be read (Is a directory\|record beside it cannot be read (Input'
rmdir "$dir/home/${ids[2]}.avml.json"
# without a record it is taken for what it is (above) or left
printf 'changed' | dd of="$dir/home/${ids[2]}.avml" bs=1 seek=20000000 conv=notrunc status=none
stays 'is another image than s3://'
[ ! -e "$dir/home/${ids[2]}.avml.json" ] || fail "another image got a record"
mv "$dir/record" "$dir/home/${ids[2]}.avml.json"
[ "$(aws_stat actions.SendCommand.ok)" -eq 3 ] || fail "a command was sent for what is at home"
mkdir "$dir/home-alone"
echo evidence >"$dir/home-alone/${ids[0]}.avml"
memory "$dir/out" --case m-alone --instance "${ids[0]}" --to "$dir/home-alone" &&
	fail "an image without any record"
grep -q "${ids[0]}.avml without a record" "$dir/out" || { fail "alone"; cat "$dir/out"; }
[ "$(cat "$dir/home-alone/${ids[0]}.avml")" = evidence ] || fail "alone: written over"
[ "$(aws_stat actions.SendCommand.ok)" -eq 3 ] || fail "alone: a command was sent"

# what is at home is read when the memory that changes has been
memory "$dir/out" --case m-order --instance "${ids[0]}" --to "$dir/home-order" ||
	{ fail "order"; cat "$dir/out"; }
memory "$dir/out" --case m-order --to "$dir/home-order" || { fail "order"; cat "$dir/out"; }
[ "$(aws_stat actions.SendCommand.ok)" -eq 6 ] || fail "order: not two more were read"
grep -q "${ids[0]}: the image that is there is checked, 40000000 bytes" "$dir/out" ||
	{ fail "order: nothing of the check"; cat "$dir/out"; }
checked=$(grep -n 'is checked' "$dir/out" | head -1 | cut -d: -f1)
begun=$(grep -n 'its memory is being read' "$dir/out" | tail -1 | cut -d: -f1)
[ "${checked:-0}" -gt "${begun:-999}" ] || { fail "checked before the others were begun"; cat "$dir/out"; }
rm -r "$dir/home-order" "$dir/home-alone"

# ---- what goes wrong ----------------------------------------------------------------------

one() {	# CASE FILE [options]: of the first instance alone
	local case=$1 out=$2
	shift 2
	"$HERDFS" acquire --asg web --case "$case" --instance "${ids[0]}" --memory-only \
		--no-attach --memory-limit 1 --avml "$dir/avml" --bucket evidence \
		--to "$dir/home-$case" "$@" >"$out" 2>&1
}
wrong() {	# CASE WHAT-IS-SAID
	one "$1" "$dir/out" && fail "$1: succeeded"
	grep -q "$2" "$dir/out" || { fail "$1: not told: $2"; cat "$dir/out"; }
	[ -z "$(find "$dir/home-$1" -type f 2>/dev/null)" ] || fail "$1: something came home"
}

# no agent
aws_control "{\"instance\": {\"id\": \"${ids[0]}\", \"ssm\": \"away\"}}"
wrong w-agent 'Systems Manager does not reach it'
aws_control "{\"instance\": {\"id\": \"${ids[0]}\", \"ssm\": \"\"}}"
# the tool fails
aws_control "{\"instance\": {\"id\": \"${ids[0]}\", \"memory\": \"\"}}"
wrong w-tool 'the tool ended with 3'
# more memory than was said
truncate -s 1100M "$dir/large"
aws_control "{\"instance\": {\"id\": \"${ids[0]}\", \"memory\": \"$dir/large\"}}"
wrong w-large 'larger than --memory-limit'
rm "$dir/large"
aws_control "{\"instance\": {\"id\": \"${ids[0]}\", \"memory\": \"$dir/${ids[0]}.sent\"}}"
# not allowed: no bucket of that name
"$HERDFS" acquire --asg web --case w-bucket --memory-only --no-attach --avml "$dir/avml" \
	--bucket other-bucket --to "$dir/home-w" >"$dir/out" 2>&1 && fail "another's bucket"
grep -q 'NoSuchBucket' "$dir/out" || { fail "no bucket: not told"; cat "$dir/out"; }
# a bit changes in S3, or on the way home
one w-bit "$dir/out" || { fail "w-bit"; cat "$dir/out"; }
rm "$dir/home-w-bit/${ids[0]}".*
aws_control "{\"flip\": {\"bucket\": \"evidence\", \"offset\": 20000000,
	\"key\": \"w-bit/${ids[0]}/memory.avml\"}}"
wrong w-bit 'SHA-256 is not the one'
# the script, or the tool, is another one than was put there
aws_control '{"faults": [{"action": "GetObject", "kind": "corrupt", "every": 3}]}'
wrong w-script 'is another one\|is not the one that was put'
aws_control '{"faults": []}'
# two cases whose names make the same key
one w_key "$dir/out" || { fail "w_key"; cat "$dir/out"; }
wrong 'w key' 'is of another case or group'
# nothing of the failures is left to be paid for
[ "$(aws_stat actions.AbortMultipartUpload.ok)" -eq 4 ] ||
	fail "$(aws_stat actions.AbortMultipartUpload.ok) uploads ended, not 4"

# ---- the command line -------------------------------------------------------------------------

"$HERDFS" acquire --asg web --memory >"$dir/out" 2>&1
[ $? -eq 2 ] || fail "--memory without the rest is no wrong usage"
"$HERDFS" acquire --asg web --to "$dir/x" >"$dir/out" 2>&1
[ $? -eq 2 ] || fail "--to without --memory is no wrong usage"
finish
