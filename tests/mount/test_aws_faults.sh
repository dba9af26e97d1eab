#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Snapshots read from a server of which every tenth answer is faulty, each kind
# in turn: no byte is wrong, nothing hangs, nothing is lost that another attempt
# could get. Then from one that is dead, by a fetcher that is killed, and out of
# a cache that somebody has tampered with.
# FULL=1: 20,000 blocks are read, with the faults that take long as well; else
# 1,000.

# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
need python3 curl openssl mkfs.ext4 pgrep
need_fuse
# shellcheck source=tests/aws/aws.sh
. tests/aws/aws.sh
trap 'aws_stop; cleanup' EXIT
rounds=1 slow='"kind": "slow", "every": 97, "rate": 2000000' kills=3 outages=refuse
[ "${FULL:-0}" = 0 ] ||
	rounds=20 kills=9 outages="refuse hang" \
	slow='"kinds": ["stall", "silent", "slow"], "every": 97, "rate": 200000'
files=32 snap=snap-0123456789abcdef0

# ---- a disk: 32 files of 8 MiB, no two blocks the same -----------------------------

mkdir -p "$dir/tree" "$dir/aws"
for ((i = 1; i <= files; i++)); do
	head -c 8388608 /dev/zero | openssl enc -aes-128-ctr -K 00 -iv "$(printf %02x $i)" \
		2>/dev/null >"$dir/tree/$(printf 'f%02d' $i)"
done
(cd "$dir/tree" && sha256sum f*) >"$dir/sums"
truncate -s 1G "$dir/aws/disk.raw"
mkfs.ext4 -q -F -b 4096 -m 0 -E lazy_itable_init=1,nodiscard -d "$dir/tree" "$dir/aws/disk.raw" 300m ||
	{ fail "mkfs"; finish; }
rm -r "$dir/tree"
cat >"$dir/aws/world.json" <<END
{"keys": [{"id": "AKIAHERDFSTEST000000",
	"secret": "local/only+secret/for/the/tests0123456789"}],
 "snapshots": [{"id": "$snap", "image": "disk.raw"}]}
END
aws_start "$dir/aws/world.json" || { fail "no server"; finish; }

right() {	# WHAT [FILES]: they are as they were made
	local what=$1
	shift
	(cd "$mnt/asg/f/i/all/disk" && { [ $# -eq 0 ] && cat "$dir/sums" ||
		grep -E "  ($(IFS='|'; echo "$*"))\$" "$dir/sums"; } |
		timeout 300 sha256sum -c --quiet) >"$dir/out" 2>&1 ||
		{ fail "$what"; head -5 "$dir/out"; }
}
fetcher() {	# of the mount: its pid
	local p
	for p in $(pgrep -x herdfs-fetcher); do
		tr '\0' ' ' <"/proc/$p/cmdline" 2>/dev/null | grep -qF "$mnt" && echo "$p"
	done
}
drop_cache() {
	rm -rf "$HERDFS_CACHE" || { fail "somebody still writes into the cache, line $(caller)"; pgrep -a herdfs; }
}
end_mount() {	# and wait until nobody writes into the cache any more
	local i
	unmount "$mnt"
	for ((i = 0; i < 100; i++)); do
		[ -n "$(fetcher)" ] || return 0
		sleep 0.1
	done
	fail "the fetcher does not end"
}

# ---- every tenth answer is faulty ----------------------------------------------------

read_blocks=0 faulty=0
for ((r = 0; r < rounds; r++)); do
	aws_control '{"reset_stats": true, "faults": [
		{"action": "GetSnapshotBlock", "every": 10, "kinds": ["throttle",
			"corrupt", "e500", "truncate", "e503", "reset", "checksum",
			"e502", "short", "nochecksum", "concurrent", "token",
			"notfound"], "after": 100000},
		{"action": "GetSnapshotBlock", '"$slow"'},
		{"action": "ListSnapshotBlocks", "every": 2, "count": 6,
			"kinds": ["throttle", "corrupt", "truncate", "e503", "reset"]}],
		"clock_offset": '$((r % 2 ? -1500 : 1500))'}'
	export HERDFS_STORE=$dir/store$r HERDFS_CACHE=$dir/cache$r
	timeout 600 "$HERDFS" attach --asg f --instance i --disk "ebs:$snap" \
		>"$dir/out" 2>&1 || { fail "attach, $?"; cat "$dir/out"; }
	grep -q '; 0 problems' "$dir/out" || { fail "something was lost"; cat "$dir/out"; }
	drop_cache
	mount_herd
	right "bytes are wrong, or lost"
	end_mount
	curl -sS --noproxy '*' -o "$dir/stats" "$aws_control_url/_stats"
	read_blocks=$((read_blocks + $(aws_field "$dir/stats" blocks.read)))
	n=$(python3 -c 'import json,sys
f = json.load(open(sys.argv[1]))["faults"]
print(sum(f.values()), *sorted(f))' "$dir/stats")
	faulty=$((faulty + ${n%% *}))
	[ $r -lt $((rounds - 1)) ] && drop_cache && rm -rf "$HERDFS_STORE"
done
echo "$read_blocks blocks read, $faulty answers were faulty: ${n#* }"
[ $read_blocks -ge $((rounds * 1000)) ] || fail "that was too few"
[ $faulty -ge $((read_blocks / 10)) ] || fail "hardly anything was faulty"
aws_control '{"faults": [], "clock_offset": 0}'

# ---- a block that cannot be had: EIO, and said; its neighbours are fine ------------------

drop_cache
at=$(debugfs -R "bmap /f07 1000" "$dir/aws/disk.raw" 2>/dev/null)
index=$((at * 4096 / 524288))
export HERDFS_FETCH_TIMEOUT=2
aws_control '{"faults": [{"every": 1, "kind": "e500", "index": '$index'}]}'
HERDFS_STORE=$dir/lost timeout 60 "$HERDFS" attach --asg f --instance i \
	--disk "ebs:$snap" >"$dir/out" 2>&1 || { fail "attach with a bad block"; cat "$dir/out"; }
grep -q '/f07: .*' "$dir/out" && grep -q '; 1 problem' "$dir/out" ||
	{ fail "a block that cannot be had is no problem"; cat "$dir/out"; }
end_mount
drop_cache
mount_herd
timeout 60 cat "$mnt/asg/f/i/all/disk/f07" >"$dir/got" 2>"$dir/out" &&
	fail "a block that cannot be had is given"
grep -q 'Input/output error' "$dir/out" || { fail "not EIO"; cat "$dir/out"; }
debugfs -R "cat /f07" "$dir/aws/disk.raw" 2>/dev/null |
	cmp -n "$(stat -c %s "$dir/got")" - "$dir/got" || fail "what came before it is wrong"
right "its neighbours" f06 f08
aws_control '{"faults": []}'
right "once it can be had" f07

# ---- the server dies while a snapshot is indexed: no index with gaps ------------------

for how in $outages; do
	rm -rf "$dir/outage" "$dir/outage-cache"
	aws_control '{"reset_stats": true, "faults": [{"action": "GetSnapshotBlock",
		"every": 1, "kind": "slow", "rate": 1500000}]}'
	HERDFS_STORE=$dir/outage HERDFS_CACHE=$dir/outage-cache timeout 120 \
		"$HERDFS" attach --asg f --instance i --disk "ebs:$snap" \
		>"$dir/out" 2>&1 &
	attaching=$!
	for ((i = 0; i < 300; i++)); do
		[ "$(aws_stat blocks.read)" -lt 60 ] || break
		sleep 0.1
	done
	aws_control '{"dead": "'$how'"}'
	wait $attaching
	[ $? -eq 1 ] || fail "an outage ($how), and all is well"
	grep -Eq 'Connection refused|does not answer' "$dir/out" || { fail "not said why"; cat "$dir/out"; }
	[ "$(aws_stat blocks.read)" -lt 400 ] || fail "it was dead too late"
	HERDFS_STORE=$dir/outage "$HERDFS" status | grep -q 'Nothing is attached' ||
		fail "an index with gaps ($how)"
	aws_control '{"dead": false, "faults": []}'
	HERDFS_STORE=$dir/outage HERDFS_CACHE=$dir/outage-cache timeout 120 \
		"$HERDFS" attach --asg f --instance i --disk "ebs:$snap" \
		>"$dir/out" 2>&1 || { fail "after an outage"; cat "$dir/out"; }
	grep -q '; 0 problems' "$dir/out" || { fail "after an outage"; cat "$dir/out"; }
	echo "outage ($how): $(aws_stat blocks.again) blocks were read twice," \
		"$(aws_stat in_flight_most) in flight at the most"
	[ "$(aws_stat blocks.again)" -le "$(aws_stat in_flight_most)" ] ||
		fail "blocks are read twice after an outage"
done

# ---- the server is dead --------------------------------------------------------------------

end_mount
drop_cache
mount_herd
right "before" f01 f02
for how in refuse hang; do
	aws_control '{"dead": "'$how'"}'
	end_mount
	mount_herd	# its list and blocks are in the cache
	start=$SECONDS
	timeout 60 cat "$mnt/asg/f/i/all/disk/f10" >/dev/null 2>"$dir/out"
	got=$?
	took=$((SECONDS - start))
	[ $got -eq 1 ] && grep -q 'Input/output error' "$dir/out" ||
		{ fail "dead, $how: not EIO but $got"; cat "$dir/out"; }
	[ $took -le $((HERDFS_FETCH_TIMEOUT + 4)) ] || fail "dead, $how: EIO only after $took s"
	echo "dead ($how): EIO after $took s"
	right "dead, $how: what is in the cache" f01 f02
	[ "$(find "$mnt/asg/f/i/all/disk" -name 'f*' | wc -l)" -eq $files ] ||
		fail "dead, $how: names"
	aws_control '{"dead": false}'
	# what hangs is given up before it is asked for again
	if [ "${FULL:-0}" != 0 ] || [ $how = refuse ]; then
		for ((i = 0; i < 30; i++)); do
			timeout 60 cat "$mnt/asg/f/i/all/disk/f10" >/dev/null 2>&1 && break
			sleep 1
		done
		echo "dead ($how): can be had again after $i s"
		right "dead, $how: alive again" f10
	fi
	end_mount
	drop_cache
	mount_herd
	right "before" f01 f02
done

# ---- the fetcher is killed ---------------------------------------------------------------------

for ((i = 11; i < 11 + kills; i++)); do
	p=$(fetcher)
	[ -n "$p" ] || { fail "there is no fetcher"; break; }
	sleep 1
	kill -KILL "$p"
	right "a fetcher that was killed, $((i - 10)) times" f$i
	[ "$(fetcher)" != "$p" ] || fail "the same fetcher"
done
# in the middle of a read that gets no answer
aws_control '{"dead": "hang"}'
timeout 60 cat "$mnt/asg/f/i/all/disk/f20" >/dev/null 2>"$dir/out" &
reader=$!
sleep 0.5
for p in $(fetcher); do kill -KILL "$p"; done
wait $reader
[ $? -eq 1 ] || fail "killed in the middle: no EIO"
aws_control '{"dead": false}'
# it is noticed that it answers again with the next try
for ((i = 0; i < 30; i++)); do
	timeout 60 cat "$mnt/asg/f/i/all/disk/f30" >/dev/null 2>&1 && break
	sleep 1
done
right "killed in the middle: afterwards" f31

# ---- somebody has tampered with the cache ---------------------------------------------------------

end_mount
"$HERDFS" fetch --quiet --all || fail "fetch"
flip() {	# FILE OFFSET
	local byte
	byte=$(xxd -p -l 1 -s "$2" "$1")
	printf '%02x' $((0x$byte ^ 0x10)) | xxd -r -p |
		dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}
find "$HERDFS_CACHE/contents" -type f | sort >"$dir/contents"
sed -n '7p;90p;300p' "$dir/contents" >"$dir/tampered"
while read -r f; do flip "$f" 300000; done <"$dir/tampered"
aws_control '{"reset_stats": true}'
mount_herd
right "tampered with"
end_mount
[ "$(aws_stat blocks.read)" -eq 3 ] || fail "$(aws_stat blocks.read) blocks fetched again, not 3"
[ "$(find "$HERDFS_CACHE/damaged" -type f | wc -l)" -eq 3 ] || fail "not set aside"
# offline they are lost, and so told
f=$(sed -n 50p "$dir/contents")
flip "$f" 1000
HERDFS_OFFLINE=1 mount_herd
(cd "$mnt/asg/f/i/all/disk" && timeout 60 sha256sum -c --quiet "$dir/sums") >"$dir/out" 2>&1
[ "$(grep -c 'FAILED open or read' "$dir/out")" -eq 1 ] && ! grep -q 'FAILED$' "$dir/out" ||
	{ fail "tampered with, offline"; cat "$dir/out"; }
end_mount
# what says which content is where, and which blocks there are
for f in "$HERDFS_CACHE/snapshots/$snap"/{digests,list}; do
	size=$(stat -c %s "$f")
	for ((i = 1; i < 6; i++)); do flip "$f" $((size * i / 6)); done
done
mount_herd
right "lists that were tampered with"
end_mount
find "$HERDFS_STORE" "$HERDFS_CACHE" \( -type d ! -perm 0700 \) -o \( ! -type d ! -perm 0600 \) |
	grep . && fail "modes other than 0700 and 0600"
finish
