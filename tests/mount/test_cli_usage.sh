#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The program's face: help, version, unknown commands; every option that a
# command's --help names is in its man page and in the bash completion, and
# the other way round; the man pages are well formed.

set -u
cd "$(dirname "$0")/../.." || exit 1
HERDFS=$(realpath "${HERDFS:-build/plain/herdfs}")
[ -x "$HERDFS" ] || { echo "skip: $HERDFS is not built"; exit 77; }
failed=0
complain() { echo "FAIL: $*"; failed=1; }

"$HERDFS" --version | grep -qE '^herdfs [0-9]+\.[0-9]+' || complain version
"$HERDFS" --help | grep -q '^Usage: herdfs' || complain help
"$HERDFS" >/dev/null 2>&1; [ $? -eq 2 ] || complain "no arguments: not 2"
"$HERDFS" nonsense >/dev/null 2>&1; [ $? -eq 2 ] || complain "unknown: not 2"
"$HERDFS" --help >/dev/full 2>/dev/null && complain "a full disk goes unnoticed"

options_of_help() { grep -oE '^ +(-[a-z], )?--[a-z-]+' | grep -oE -- '--[a-z-]+' | sort -u; }
options_of_man() {
	sed 's/\\-/-/g' "$1" | sed -n '/^\.SH OPTIONS/,/^\.SH [^O]/p' |
	grep -A1 '^\.TP' | grep -oE -- '--[a-z-]+' | sort -u
}

for command in attach acquire fetch verify status list why report mount policy known detach; do
	man=docs/man/herdfs-$command.1
	"$HERDFS" $command --help >/dev/null 2>&1 || { complain "$command --help"; continue; }
	[ -e $man ] || { complain "no $man"; continue; }
	# shellcheck disable=SC2015
	d=$(diff <("$HERDFS" $command --help | options_of_help) <(options_of_man $man)) ||
		complain "$command --help (<) and $man (>):" "$d"
	for option in $("$HERDFS" $command --help | options_of_help); do
		"$HERDFS" $command $option=x --help 2>&1 | grep -q 'unrecognized' &&
			complain "$command has no $option"
		grep -q -- "$option" tools/completion/herdfs ||
			complain "completion lacks $option of $command"
	done
	"$HERDFS" $command --no-such-option >/dev/null 2>&1
	[ $? -eq 2 ] || complain "$command --no-such-option: not 2"
	"$HERDFS" $command --help >/dev/full 2>/dev/null && complain "$command --help >/dev/full"
done

# What is wrong usage, with a line that says so, and nothing asked of anybody.
wrong() {	# PATTERN ARGUMENT…
	local pattern=$1 out
	shift
	out=$(env -i PATH="$PATH" HOME=/nonexistent AWS_EC2_METADATA_DISABLED=true \
		HERDFS_STORE=/nonexistent/store "$HERDFS" "$@" 2>&1 </dev/null)
	local status=$?
	[ $status -eq 2 ] || complain "$*: $status, not 2: $out"
	grep -qE -- "$pattern" <<<"$out" || complain "$*: $out"
}
wrong '--asg NAME is missing' acquire
wrong 'named by --instance' acquire --asg web i-0123
wrong 'no instance.s id' acquire --asg web --instance web-1
wrong 'no instance.s id' acquire --asg web --snapshot x=snap-0123
wrong 'INSTANCE=SNAPSHOT' acquire --asg web --snapshot i-0123
wrong 'INSTANCE=SNAPSHOT' acquire --asg web --snapshot i-0123=vol-0123
wrong 'ami-…, snap-… or none' acquire --asg web --baseline bake.raw
wrong 'wants --case' acquire --delete-snapshots
wrong 'wants --case' acquire --delete-snapshots --asg web
wrong '--case wants 1 to' acquire --asg web --case ''
wrong '--case wants 1 to' acquire --asg web --case "$(printf '%0201d' 0)"
wrong 'name of a group' acquire --asg a/b
wrong 'number from 1 to 1024' acquire --asg web --threads 0
wrong '--cache-limit wants' acquire --asg web --cache-limit some
wrong 'of what\?' fetch
wrong '--instance wants --asg' fetch --all --instance i-1
wrong 'either snapshots or' fetch --all snap-0123
wrong 'no snapshot.s id' fetch vol-0123
wrong 'no snapshot.s id' fetch snap-../x
wrong '--cache-limit wants' fetch --all --cache-limit 0
wrong '--instance wants --asg' verify --instance i-1
wrong 'named by --instance' verify i-1
wrong 'number from 1 to 1024' verify --threads x
wrong '--cache-limit wants' mount --cache-limit 1.5 /mnt
wrong '--cache-limit wants' attach --asg web --cache-limit -1 ebs:snap-0123

if command -v man >/dev/null; then
	for page in docs/man/*; do
		out=$(MANWIDTH=80 man --warnings -l "$page" 2>&1 >/dev/null)
		[ -z "$out" ] || complain "$page: $out"
	done
fi

# Completion: commands, options, and words after an option.
complete_words() {
	bash -c '
		source tools/completion/herdfs
		COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
		_herdfs; printf "%s\n" "${COMPREPLY[@]}"' bash "$@"
}
complete_words herdfs '' | grep -qx attach || complain "completion of commands"
complete_words herdfs at | grep -qx attach || complain "completion of at"
complete_words herdfs attach --as | grep -qx -- --asg || complain "completion of options"
complete_words herdfs known i | grep -qx import || complain "completion of actions"
complete_words herdfs acquire --del | grep -qx -- --delete-snapshots || complain "completion of acquire"
complete_words herdfs acquire --baseline n | grep -qx none || complain "completion of baselines"
complete_words herdfs verify --off | grep -qx -- --offline || complain "completion of verify"
conf=$(mktemp)
printf '[default]\n[profile dev]\nregion = x\n[sso-session s]\n' >"$conf"
AWS_CONFIG_FILE=$conf AWS_SHARED_CREDENTIALS_FILE=/nonexistent \
	complete_words herdfs fetch --profile '' | sort | tr '\n' ' ' | grep -qx 'default dev ' ||
	complain "completion of profiles"
rm -f "$conf"
complete_words herdfs attach --format q | grep -qx qcow2 || complain "completion of formats"

[ $failed -eq 0 ] && echo ok
exit $failed
