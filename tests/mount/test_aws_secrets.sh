#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Who has the credentials and the network, and who has not: the processes that
# read hostile images have neither the secrets in their environment or memory
# nor a socket to anywhere; nothing of the secrets is in what is printed, in a
# command line, in the index, the cache, or a core file.

# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
need python3 curl openssl sgdisk mkfs.ext4 debugfs pgrep setsid
[ "$(id -u)" -eq 0 ] || need fakeroot
need_root	# other processes' memory is looked into
need_fuse
# shellcheck source=tests/aws/aws.sh
. tests/aws/aws.sh
trap 'aws_stop; cleanup' EXIT
ulimit -c unlimited

aws_world "$dir/aws" --instances 2 --size-mib 64 --fill 0.3 || { fail "no world"; finish; }
aws_start "$dir/aws/world.json" || { fail "no server"; finish; }
aws_control '{"pending": {"polls": 0}, "faults": [{"action": "GetSnapshotBlock",
	"every": 1, "kind": "slow", "rate": 2000000}]}'
secret=$AWS_SECRET_ACCESS_KEY
export HERDFS_CACHE=$dir/cache

# A sanitizer keeps a copy of the environment for itself.
sanitized=
grep -qE '__(a|t)san_init' "$HERDFS" && sanitized=1
# Whether the memory of PID has the secret, or something signed with it, in it.
in_memory() {
	python3 - "$1" "$secret" <<-'END'
		import re, sys
		pid, secret = sys.argv[1], sys.argv[2].encode()
		found = 0
		try:
		    with open(f"/proc/{pid}/maps") as m, open(f"/proc/{pid}/mem", "rb") as f:
		        for line in m:
		            a, b, mode = re.match(r"(\w+)-(\w+) (\S+)", line).groups()
		            if "[v" in line or not mode.startswith("rw"):
		                continue
		            try:
		                f.seek(int(a, 16))
		                found += secret in f.read(int(b, 16) - int(a, 16))
		            except (OSError, OverflowError, ValueError, MemoryError):
		                pass
		except FileNotFoundError:
		    pass
		sys.exit(not found)
	END
}
has_network() {	# PID: a socket of the Internet
	readlink "/proc/$1/fd/"* 2>/dev/null | sed -n 's/^socket:\[\([0-9]*\)\]$/\1/p' |
		while read -r inode; do
			awk -v i="$inode" '$10 == i { print "yes" }' \
				/proc/net/tcp /proc/net/tcp6 /proc/net/udp /proc/net/udp6
		done | grep -q yes
}
in_environ() { tr '\0' '\n' <"/proc/$1/environ" 2>/dev/null | grep -qF "$secret"; }
# The command lines of all processes of the program. Others may sign on theirs:
# tests run beside this one.
command_lines() {
	local p
	for p in /proc/[0-9]*; do
		[ "$(readlink "$p/exe")" != "$HERDFS" ] || tr '\0' ' ' <"$p/cmdline"
	done 2>/dev/null
}
confined() { grep -q '^Seccomp:[[:space:]]*2' "/proc/$1/status" 2>/dev/null; }

# ---- acquire: its worker, its fetcher --------------------------------------------------

setsid "$HERDFS" acquire --asg web --case s >"$dir/printed" 2>&1 &
main=$!
worker=
for ((i = 0; i < 600 && ${#worker} == 0; i++)); do
	for p in $(pgrep -s $main); do
		confined "$p" && worker=$p
	done
	sleep 0.02
done
fetcher=$(pgrep -s $main -x herdfs-fetcher | head -1)
for ((i = 0; i < 100; i++)); do
	has_network "${fetcher:-0}" && break
	sleep 0.02
done
[ -n "$worker" ] || fail "no worker was seen at its work"
[ -n "$fetcher" ] || fail "no fetcher was seen"
if [ -n "$worker" ] && [ -n "$fetcher" ]; then
	# what is quickly seen first: they end when the work is done
	in_environ "$worker" && fail "the secret is in the worker's environment"
	has_network "$worker" && fail "the worker has a socket to somewhere"
	has_network "$fetcher" || fail "the fetcher has no network: is this looked for in the right way?"
	grep -q '^Max core file size *0 ' "/proc/$fetcher/limits" || fail "the fetcher may leave a core file"
	if [ -z "$sanitized" ]; then	# whose memory takes long to go through
		in_memory "$fetcher" || fail "the fetcher has no secret: is this looked for in the right way?"
		in_memory "$worker" && fail "the secret is in the worker's memory"
	fi
fi
command_lines >"$dir/ps"
wait $main || { fail "acquire"; cat "$dir/printed"; }

# ---- the mount: supervisor, server, fetcher ----------------------------------------------

rm -rf "$HERDFS_CACHE"
aws_control '{"faults": []}'
"$HERDFS" mount "$mnt" >"$dir/printed-mount" 2>&1 || { fail "mount"; finish; }
cat "$mnt"/asg/web/i-*/all/disk/etc/passwd >/dev/null || fail "cannot be read"
command_lines >>"$dir/ps"
servers=0 fetchers=0
for p in $(pgrep -f "$mnt"); do
	[ "$(readlink "/proc/$p/exe")" = "$HERDFS" ] || continue
	if [ "$(cat "/proc/$p/comm" 2>/dev/null)" = herdfs-fetcher ]; then
		fetchers=$((fetchers + 1))
		continue
	fi
	has_network "$p" && fail "process $p of the mount has a socket to somewhere"
	confined "$p" || continue
	servers=$((servers + 1))
	in_environ "$p" && fail "the secret is in the server's environment"
	[ -z "$sanitized" ] && in_memory "$p" && fail "the secret is in the server's memory"
done
[ $servers -eq 1 ] || fail "$servers confined servers"
[ $fetchers -eq 1 ] || fail "$fetchers fetchers"
"$HERDFS" fetch --all >>"$dir/printed-mount" 2>&1 || fail "fetch"
unmount "$mnt"

# ---- a wrong secret, and a denial: what is printed of it ----------------------------------

HERDFS_STORE=$dir/denied AWS_SECRET_ACCESS_KEY=another/secret+that/is/wrong \
	"$HERDFS" acquire --asg web --case t >"$dir/printed-wrong" 2>&1 && fail "a wrong secret will do"
grep -qi 'signature\|not allowed\|credential' "$dir/printed-wrong" ||
	{ fail "a wrong secret is not told"; cat "$dir/printed-wrong"; }
AWS_SECRET_ACCESS_KEY=another/secret+that/is/wrong HERDFS_CACHE=$dir/none \
	"$HERDFS" fetch --all >>"$dir/printed-wrong" 2>&1 && fail "fetch with a wrong secret"
# the same out of files that the user has, of a session that ended
mkdir -p "$HOME/.aws"
cat >"$HOME/.aws/credentials" <<-END
	[case]
	aws_access_key_id = ASIAHERDFSTESTSESSION
	aws_secret_access_key = yet/another+secret/in/a/file
	aws_session_token = a-session/token+that/nobody/knows==
END
HERDFS_STORE=$dir/denied env -u AWS_ACCESS_KEY_ID -u AWS_SECRET_ACCESS_KEY \
	"$HERDFS" acquire --profile case --asg web --case t \
	>"$dir/printed-profile" 2>&1 && fail "a session that nobody knows"
grep -q 'not allowed\|UnrecognizedClient\|InvalidClientTokenId\|AuthFailure' \
	"$dir/printed-profile" || { fail "not told why"; cat "$dir/printed-profile"; }

# ---- nothing of it anywhere -----------------------------------------------------------------

for text in "$secret" 'another/secret+that/is/wrong' 'yet/another+secret/in/a/file' \
	'a-session/token+that/nobody/knows' AWS4-HMAC-SHA256 'Signature='; do
	grep -rlF -- "$text" "$dir"/printed* "$dir/ps" "$dir/store" "$dir/cache" "$dir/denied" \
		2>/dev/null | while read -r f; do
		echo "\"$text\" is in $f"
	done
done >"$dir/found"
[ ! -s "$dir/found" ] || { fail "secrets are where they must not be"; cat "$dir/found"; }
[ -s "$dir/ps" ] || fail "no command line was seen"
find "$dir" -name 'core*' -type f | grep . && fail "a core file"
finish
