#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Runs on an instance, by Systems Manager: has AVML read its memory and sends it
# away in parts, without writing it to the instance's disk. herdfs puts values in
# the place of @NAMES@. What it prints is read by herdfs, a line a fact.
set -u
umask 077
export LC_ALL=C
size=@PART_SIZE@
fail() {
	echo "error $*"
	exit 1
}
# a folder in memory, in which programs may be run; else one on the disk
for place in /dev/shm /run /tmp /var/tmp; do
	work=$(mktemp -d "$place/herdfs.XXXXXX" 2>/dev/null) || continue
	printf '#!/bin/sh\n' >"$work/try" && chmod 700 "$work/try"
	"$work/try" 2>/dev/null && break
	rm -rf "$work"
	work=
done
[ -n "${work:-}" ] || fail "there is no folder in which a program may be run"
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
tool=$work/avml

curl -fsS --retry 5 --max-time 300 -o "$tool" '@TOOL_URL@' ||
	fail "the tool cannot be fetched"
echo "@TOOL_SHA256@  $tool" | sha256sum -c - >/dev/null 2>&1 ||
	fail "the tool is not the one that was put there"
chmod 700 "$tool"
if "$tool" acquire --help >/dev/null 2>&1; then
	acquire=acquire	# from 0.19 on
else
	acquire=
fi
echo "began $(date -u +%s)"
echo "version $("$tool" --version 2>/dev/null | head -n 1)"
echo "release $(uname -r)"
echo "host $(uname -n)"
echo "place $work"

mkfifo "$work/image" "$work/copy"
sha256sum <"$work/copy" >"$work/sum" &
sum=$!
(
	# shellcheck disable=SC2086
	"$tool" $acquire --compress "$work/image" >"$work/said" 2>&1 </dev/null
	echo $? >"$work/status"
	: >>"$work/image"	# the reader is let go also where it never began
) &
taking=$!
exec 3<"$work/image" 4>"$work/copy"
parts=0
bytes=0
more=1
while read -r url; do
	head -c "$size" <&3 >"$work/part"
	n=$(wc -c <"$work/part")
	n=$((n))
	if [ $n -eq 0 ]; then
		more=0
		break
	fi
	cat "$work/part" >&4
	parts=$((parts + 1))
	bytes=$((bytes + n))
	curl -fsS --retry 8 --max-time 900 -T "$work/part" -o /dev/null "$url" \
		2>"$work/curl" </dev/null ||
		fail "part $parts cannot be sent: $(tail -n 1 "$work/curl" | cut -c 1-200)"
	if [ $n -lt "$size" ]; then
		more=0
		break
	fi
done <<'END_OF_URLS'
@URLS@
END_OF_URLS
if [ $more -eq 1 ] && [ "$(head -c 1 <&3 | wc -c)" -ne 0 ]; then
	fail "its memory is larger than --memory-limit"
fi
exec 3<&- 4>&-
wait $sum
n=0
while [ ! -s "$work/status" ] && [ $n -lt 60 ]; do
	sleep 1	# what it wrote has come to its end a moment before it has
	n=$((n + 1))
done
status=$(cat "$work/status" 2>/dev/null || echo none)
kill $taking 2>/dev/null
[ "$status" = 0 ] ||
	fail "the tool ended with $status: $(tail -n 1 "$work/said" | cut -c 1-200)"
echo "parts $parts"
echo "bytes $bytes"
echo "sha256 $(cut -c 1-64 "$work/sum")"
echo "ended $(date -u +%s)"
