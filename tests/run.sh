#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs tests and sums up. Nothing registers a test: what is there is run.
#
#   tests/run.sh [unit] [fuzz] [mount]      default: all three
#
#   unit    build/<variant>/tests/unit/test_*
#   fuzz    each fuzz target on its corpus, tests/fuzz/corpus/<name>/
#   mount   tests/mount/test_*.sh: exit 0 passed, 77 skipped, else failed
#
# VARIANT=plain|asan|tsan  ONLY=pattern  JOBS=n  TEST_TIMEOUT=seconds
# FULL=1 for the long forms. Logs are kept in build/<variant>/log.
set -u
cd "$(dirname "$0")/.." || exit 1

VARIANT=${VARIANT:-plain}
BUILD=$PWD/build/$VARIANT
LOG=$BUILD/log
JOBS=${JOBS:-$(nproc)}
export VARIANT BUILD LOG
export HERDFS=$BUILD/herdfs
[ "${FULL:-0}" = 0 ] || TEST_TIMEOUT=${TEST_TIMEOUT:-7200}
export TEST_TIMEOUT=${TEST_TIMEOUT:-1500}
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
export TSAN_OPTIONS=halt_on_error=1
unset HERDFS_STORE
export XDG_CONFIG_HOME=/nonexistent	# no rules of whoever runs this
# where mkfs and the like are; not everybody's PATH has it
export PATH=$PATH:/usr/sbin:/sbin
# some tools take a name that is not ASCII only in such a locale
export LC_ALL=C.UTF-8

run_one() {	# kind name command…: one line, and a file that says how it went
	local kind=$1 name=$2 from=$SECONDS status how
	shift 2
	# a confined process cannot be inspected, which is how leaks are found
	local leaks=1
	[ "$kind" = unit ] && [ "$name" != test_confine ] || leaks=0
	ASAN_OPTIONS=detect_leaks=$leaks:allocator_may_return_null=1 \
		timeout -k 10 "$TEST_TIMEOUT" "$@" >"$LOG/$name.log" 2>&1 </dev/null
	status=$?
	case $status in
	0) how=passed ;;
	77) how=skipped ;;
	124 | 137) how="failed (no end after $TEST_TIMEOUT s)" ;;
	*) how="failed (status $status)" ;;
	esac
	if [ $status -eq 0 ] && grep -q '\[  SKIPPED \]' "$LOG/$name.log"; then
		how="passed, in part skipped: $(grep -h '^skip' "$LOG/$name.log" | sort -u | head -1)"
	fi
	[ $status -eq 77 ] && how="skipped: $(tail -1 "$LOG/$name.log")"
	printf '%-7s %-34s %4d s  %s\n' "$kind" "$name" $((SECONDS - from)) "$how"
	echo "$how" >"$LOG/$name.result"
	if [ "${how%% *}" = failed ]; then
		tail -n 60 "$LOG/$name.log" | sed 's/^/        | /'
	fi
}
export -f run_one

list() {	# kind name command…, one a line, words separated by tabs
	local what=$1 t name
	case $what in
	unit)
		for t in "$BUILD"/tests/unit/test_*; do
			[ -x "$t" ] && [ ! -d "$t" ] || continue
			case $t in *.o | *.d) continue ;; esac
			printf 'unit\t%s\t%s\n' "${t##*/}" "$t"
		done ;;
	fuzz)
		for t in "$BUILD"/tests/fuzz/fuzz_*; do
			[ -x "$t" ] && [ ! -d "$t" ] || continue
			case $t in *.o | *.d) continue ;; esac
			name=${t##*/fuzz_}
			[ -d "tests/fuzz/corpus/$name" ] || continue
			printf 'fuzz\tfuzz_%s\t%s\t%s\n' "$name" "$t" \
				"tests/fuzz/corpus/$name"
		done ;;
	mount)
		for t in tests/mount/test_*.sh; do
			name=${t##*/}
			printf 'mount\t%s\tbash\t%s\n' "${name%.sh}" "$t"
		done ;;
	*) echo "tests/run.sh: what is '$what'?" >&2; exit 2 ;;
	esac
}

rm -rf "$LOG"
mkdir -p "$LOG"
for what in ${*:-unit fuzz mount}; do
	list "$what"
done | grep -E "${ONLY:-.}" >"$LOG/list"
if [ ! -s "$LOG/list" ]; then
	echo "nothing to run: is it built?"
	echo "0 passed, 1 failed"
	exit 1
fi
tr '\n' '\0' <"$LOG/list" | xargs -0 -P "$JOBS" -I{} bash -c '
	IFS=$'"'\t'"' read -r -a words <<<"$1"
	run_one "${words[@]}"' run {}

passed=0 failed=0 skipped=0
while IFS=$'\t' read -r _ name _; do
	case "$(cat "$LOG/$name.result" 2>/dev/null)" in
	passed*) passed=$((passed + 1)) ;;
	skipped*) skipped=$((skipped + 1)) ;;
	*) failed=$((failed + 1)) ;;
	esac
done <"$LOG/list"
if [ $skipped -gt 0 ]; then
	echo "$passed passed, $failed failed, $skipped skipped"
else
	echo "$passed passed, $failed failed"
fi
[ $failed -eq 0 ]
