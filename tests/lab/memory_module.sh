#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# memory_module.sh CACHE SUITE VERSION TO: builds memory_rootkit.c for the
# kernel of that version out of Debian's packages of its headers (below CACHE,
# see memory_packages.sh), as the file TO. Kept below CACHE as well.

set -eu
cache=$(realpath -m "$1")
suite=$2
version=$3
to=$(realpath -m "$4")
cd "$(dirname "$0")"
made=$cache/rootkit-$version-$(cksum <memory_rootkit.c | tr ' ' -).ko
if [ ! -s "$made" ]; then
	work=$(mktemp -d "$cache/.module.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	deb=$(./memory_packages.sh "$cache" "$suite" "linux-headers-$version")
	mapfile -t more < <(dpkg-deb -f "$deb" Depends |
		grep -oE 'linux-(headers|kbuild)-[^ ,]+')
	mapfile -t more < <(./memory_packages.sh "$cache" "$suite" "${more[@]}")
	for d in "$deb" "${more[@]}"; do
		dpkg-deb -x "$d" "$work/root"
	done
	headers=$work/root/usr/src/linux-headers-$version
	# the packages say where they expect to be
	grep -rlI --include=Makefile --include=.kernelvariables /usr/src/ "$headers" \
		"$work"/root/usr/src/linux-headers-*common/Makefile |
		xargs -r sed -i "s#\(^\|[^/a-z]\)/usr/src/#\1$work/root/usr/src/#g"
	mkdir "$work/module"
	cp memory_rootkit.c "$work/module/system_helper.c"
	echo 'obj-m := system_helper.o' >"$work/module/Kbuild"
	make -s -C "$headers" M="$work/module" CC="${MODULE_CC:-gcc}" \
		KBUILD_MODPOST_WARN=1 CONFIG_DEBUG_INFO_BTF_MODULES= modules >&2
	cp "$work/module/system_helper.ko" "$made"
fi
cp "$made" "$to"
