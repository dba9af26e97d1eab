# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# The local AWS for tests of the program; after lib.sh:
#	. "$(dirname "$0")/../aws/aws.sh"
#	aws_world "$dir/aws" --instances 4      a herd of disks and its world.json
#	aws_start "$dir/aws/world.json"         sets and exports what AWS's own
#	…                                       tools take from the environment
#	aws_control '{"faults": [{"every": 10, "kind": "throttle"}]}'
#	aws_stat blocks.distinct                a number of GET /_stats
#	aws_stop
# Nothing of the environment's own AWS settings is left, HOME is a folder in
# the world's, and no address but 127.0.0.1 is ever asked.

AWS_TOOLS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
aws_pid=

aws_world() {	# DIR [make_world.py's options]: prints nothing
	python3 "$AWS_TOOLS/make_world.py" "$@" >/dev/null
}

aws_clean_environment() {	# DIR: for HOME
	local v
	for v in $(compgen -e | grep -E '^AWS_'); do
		unset "$v"
	done
	unset http_proxy https_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY all_proxy
	mkdir -p "$1/home/.aws"
	export HOME=$1/home
	# nobody gets further than this machine by mistake
	export AWS_EC2_METADATA_DISABLED=true
}

aws_field() {	# FILE KEY[.KEY…]
	python3 -c '
import json, sys
v = json.load(open(sys.argv[1]))
for k in sys.argv[2].split("."):
    v = v.get(k, 0) if isinstance(v, dict) else 0
print(v if isinstance(v, (str, int, float)) else json.dumps(v))' "$1" "$2"
}

aws_start() {	# WORLD [localaws.py's options]
	local world=$1 at n=0
	shift
	at=$(cd "$(dirname "$world")" && pwd)
	aws_ready=$at/ready.json aws_log=$at/localaws.log
	rm -f "$aws_ready"
	python3 -B "$AWS_TOOLS/localaws.py" --world "$world" --ready "$aws_ready" \
		"$@" >>"$aws_log" 2>&1 &
	aws_pid=$!
	while [ ! -s "$aws_ready" ]; do
		n=$((n + 1))
		if [ $n -gt 300 ] || ! kill -0 "$aws_pid" 2>/dev/null; then
			echo "the local AWS does not start:" >&2
			cat "$aws_log" >&2
			return 1
		fi
		sleep 0.1
	done
	aws_clean_environment "$at"
	AWS_ENDPOINT_URL=$(aws_field "$aws_ready" endpoint)
	AWS_REGION=$(aws_field "$aws_ready" region)
	aws_metadata=$(aws_field "$aws_ready" metadata)
	aws_control_url=$(aws_field "$aws_ready" control)
	aws_tls=$(aws_field "$aws_ready" tls)
	aws_ca=$(aws_field "$aws_ready" ca)
	aws_as AKIAHERDFSTEST000000 local/only+secret/for/the/tests0123456789
	export AWS_ENDPOINT_URL AWS_REGION AWS_DEFAULT_REGION=$AWS_REGION
	export aws_metadata aws_control_url aws_tls aws_ca
}

aws_as() {	# KEY SECRET [SESSION TOKEN]: from now on
	export AWS_ACCESS_KEY_ID=$1 AWS_SECRET_ACCESS_KEY=$2
	unset AWS_SESSION_TOKEN
	[ -z "${3:-}" ] || export AWS_SESSION_TOKEN=$3
}
aws_as_least() {	# whom make_world.py --policy FILE gives that policy
	aws_as AKIALEASTPRIVILEGE00 \
		local/only+secret/for/the/tests0123456789/least
}

aws_control() {	# JSON
	curl -sS --noproxy '*' --fail-with-body -d "$1" \
		"$aws_control_url/_control" >/dev/null
}
aws_stat() {	# KEY.KEY…
	local f
	f=$(mktemp)
	curl -sS --noproxy '*' -o "$f" "$aws_control_url/_stats"
	aws_field "$f" "$1"
	rm -f "$f"
}
aws_stop() {
	[ -n "$aws_pid" ] || return 0
	kill "$aws_pid" 2>/dev/null
	wait "$aws_pid" 2>/dev/null
	aws_pid=
}
