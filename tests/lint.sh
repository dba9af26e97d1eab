#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The rules of docs/ARCHITECTURE.md that a program can check. Run by
# `make lint` with the library as its argument; says what breaks which rule.

lib=$1
status=0

complain() {
	printf '%s\n' "$*"
	status=1
}

# Layers, one way only: each folder and what it may include.
layer() {
	dir=$1
	may=$2
	shift 2
	for f in "$@"; do
		[ -e "$f" ] || continue
		grep -nE '^#[[:space:]]*include "' "$f" |
		grep -vE "\"($may)/[^/]*\"" |
		while IFS= read -r line; do
			echo "$f:$line: $dir may include only $may"
		done
	done
}
out=$(
	layer acquire/base 'acquire/base' acquire/base/*.[ch]
	layer acquire/aws 'acquire/base|acquire/aws' acquire/aws/*.[ch]
	layer acquire/memory 'acquire/base|acquire|acquire/memory' acquire/memory/*.[ch]
	layer acquire 'acquire/base|acquire/aws|acquire/memory|acquire' acquire/*.[ch]
	layer index/memory 'acquire/base|acquire|index|index/memory' index/memory/*.[ch]
	layer index 'acquire/base|acquire|index/memory|index' index/*.[ch]
	layer fs 'acquire/base|acquire|index/memory|index|fs' fs/*.[ch]
	layer tools 'acquire/base|acquire/aws|acquire|index/memory|index|fs|tools' tools/*.[ch]
)
[ -z "$out" ] || complain "$out"

# One foreign library, one place.
place() {
	header=$1
	where=$2
	grep -lE "^#[[:space:]]*include <$header" acquire/base/*.[ch] acquire/aws/*.[ch] \
		acquire/memory/*.[ch] acquire/*.[ch] index/memory/*.[ch] index/*.[ch] \
		fs/*.[ch] tools/*.[ch] 2>/dev/null |
	grep -vE "^($where)\$" |
	while IFS= read -r f; do
		echo "$f: <$header> belongs in $where alone"
	done
}
out=$(
	place 'lmdb\.h' 'index/store[a-z_]*\.[ch]'
	place 'tsk/' 'index/volume_tsk[a-z_]*\.[ch]|index/partition\.c|acquire/source_tsk\.c'
	place 'ext2fs/' 'index/volume_ext[a-z_]*\.[ch]'
	place 'et/|com_err' 'index/volume_ext[a-z_]*\.[ch]'
	place 'libnbd\.h' 'acquire/source_nbd\.c'
	place 'jansson\.h' 'index/json\.c|acquire/aws/credentials[a-z_]*\.c|acquire/aws/call[a-z_]*\.c|acquire/aws/ebs_page\.c|acquire/aws/ssm\.c|index/memory/isf[a-z_]*\.c'
	place 'curl/' 'acquire/aws/http[a-z_]*\.[ch]'
	place 'expat\.h' 'acquire/aws/xml\.c'
	place 'seccomp\.h' 'acquire/confine\.c'
	place 'fuse' 'fs/fuse_[a-z_]*\.[ch]'
	place '(snappy-c\.h|lzo/|zstd\.h)' 'acquire/memory/[a-z_]*\.c'
	place 'openssl/' 'acquire/base/sha256\.c|acquire/aws/sigv4\.c'
)
[ -z "$out" ] || complain "$out"

# Every global symbol is ours by name: libtsk exports unprefixed ones.
out=$(nm -g --defined-only "$lib" 2>/dev/null |
	awk 'NF == 3 && $3 !~ /^(herd_|__lsan_is_turned_off$)/ { print $3 }')
[ -z "$out" ] || complain "symbols without herd_ in $lib: $out"

# A header compiles alone; no FUSE, LMDB and so on needed for it.
for f in acquire/base/*.h acquire/aws/*.h acquire/memory/*.h acquire/*.h index/memory/*.h index/*.h fs/*.h tools/*.h; do
	[ -e "$f" ] || continue
	# shellcheck disable=SC2086
	${CC:-cc} -std=gnu17 -D_GNU_SOURCE -I. $PKG_CFLAGS -Wall -Wextra \
		-fsyntax-only -x c "$f" || complain "$f does not compile alone"
done

for f in $(git ls-files '*.c' '*.h' 2>/dev/null); do
	[ -e "$f" ] || continue
	head -n 1 "$f" | grep -q 'SPDX-License-Identifier: Apache-2.0' ||
		complain "$f: the first line is not its SPDX line"
	if grep -nwE 'TODO|FIXME' "$f"; then
		complain "$f: unfinished"
	fi
	if grep -nE '[[:space:]]$' "$f"; then
		complain "$f: white space at the end of a line"
	fi
done

exit $status
