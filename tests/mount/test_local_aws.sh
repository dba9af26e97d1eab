#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The local AWS that the tests of EBS snapshots run against: does it refuse what
# AWS would refuse, and answer as the public service models say? Here it is
# asked by curl, openssl, its own client, and by AWS's where that is installed.

# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
need python3 curl openssl sgdisk mkfs.ext4 debugfs
[ "$(id -u)" -eq 0 ] || need fakeroot
# shellcheck source=tests/aws/aws.sh
. tests/aws/aws.sh
trap 'aws_stop; cleanup' EXIT

aws_world "$dir/aws" --instances 3 --earlier --data || { fail "no world"; finish; }
if ! python3 -B tests/aws/selftest.py "$dir/aws"; then
	fail "tests/aws/selftest.py"
fi

# the helper that other tests use, with nothing of Python in the asking
aws_start "$dir/aws/world.json" --tls || { fail "no server"; finish; }
hmac() {	# HEXKEY: of stdin, in hex
	openssl dgst -sha256 -mac HMAC -macopt "hexkey:$1" | sed 's/.* //'
}
sha() { openssl dgst -sha256 | sed 's/.* //'; }
get() {	# OUT PATH CANONICAL-QUERY: signed by openssl, sent by curl
	local host=${AWS_ENDPOINT_URL#http://} date day key part auth
	date=$(date -u +%Y%m%dT%H%M%SZ) day=${date%%T*}
	key=$(printf 'AWS4%s' "$AWS_SECRET_ACCESS_KEY" | xxd -p -c 256)
	for part in "$day" "$AWS_REGION" ebs aws4_request; do
		key=$(printf '%s' "$part" | hmac "$key")
	done
	auth=$(printf 'GET\n%s\n%s\nhost:%s\nx-amz-date:%s\n\nhost;x-amz-date\n%s' \
		"$2" "$3" "$host" "$date" "$(printf '' | sha)" | sha)
	auth=$(printf 'AWS4-HMAC-SHA256\n%s\n%s/%s/ebs/aws4_request\n%s' \
		"$date" "$day" "$AWS_REGION" "$auth" | hmac "$key")
	curl -sS --noproxy '*' -D "$1.head" -o "$1" -w '%{http_code}\n' \
		-H "X-Amz-Date: $date" -H "Authorization: AWS4-HMAC-SHA256 \
Credential=$AWS_ACCESS_KEY_ID/$day/$AWS_REGION/ebs/aws4_request, \
SignedHeaders=host;x-amz-date, Signature=$auth" \
		"$AWS_ENDPOINT_URL$2${3:+?$3}"
}
aws_control '{"pages": {"empty_every": 0, "short_every": 0}}'
snap=$(python3 -c 'import json,sys
print(json.load(open(sys.argv[1]))["snapshots"][0]["id"])' "$dir/aws/world.json")
[ "$(get "$dir/list" "/snapshots/$snap/blocks" "maxResults=100")" = 200 ] ||
	fail "a list signed with openssl: $(cat "$dir/list")"
read -r index token < <(python3 -c 'import json,sys,urllib.parse
b = json.load(open(sys.argv[1]))["Blocks"][7]
print(b["BlockIndex"], urllib.parse.quote(b["BlockToken"], safe=""))' "$dir/list")
[ "$(get "$dir/block" "/snapshots/$snap/blocks/$index" "blockToken=$token")" = 200 ] ||
	fail "a block signed with openssl"
cmp -s "$dir/block" <(dd if="$dir/aws/base.raw" bs=524288 skip="$index" count=1 \
	status=none) || fail "the block is not the disk's"
sum=$(openssl dgst -sha256 -binary "$dir/block" | base64)
grep -qF "x-amz-Checksum: $sum" "$dir/block.head" || fail "the checksum is wrong"
[ "$(aws_stat blocks.distinct)" = 1 ] || fail "one block was read, not $(aws_stat blocks.distinct)"
curl -sS --noproxy '*' --cacert "$aws_ca" "$aws_tls/" -o "$dir/tls" || fail "TLS"
curl -sS --noproxy '*' "$aws_tls/" -o "$dir/tls" 2>/dev/null &&
	fail "a certificate of nobody's is trusted"
aws_stop
curl -sS "$AWS_ENDPOINT_URL" 2>/dev/null && fail "it does not stop"
finish
