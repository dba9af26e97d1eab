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

for command in attach status list why report mount policy known detach; do
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
complete_words herdfs attach --format q | grep -qx qcow2 || complain "completion of formats"

[ $failed -eq 0 ] && echo ok
exit $failed
