#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# memory_packages.sh DIR SUITE PACKAGE…: downloads packages of Debian by name,
# without what they depend on, below DIR (kept there), and prints a path each.
#
# What apt knows of this machine is neither read nor changed, so that it can be
# another release's package. LAB_MIRROR: where they come from, by default this
# machine's own source.

set -eu
dir=$(realpath -m "$1")
suite=$2
shift 2
mkdir -p "$dir"
exec 9>"$dir/lock"
flock 9

wanted=()
for p in "$@"; do
	[ -s "$dir/$suite-$p.deb" ] || wanted+=("$p")
done
if [ ${#wanted[@]} -gt 0 ]; then
	mirror=${LAB_MIRROR:-$(apt-get indextargets \
		--format '$(REPO_URI) $(RELEASE) $(COMPONENT)' \
		'Identifier: Packages' 2>/dev/null |
		awk '$2 == "bookworm" && $3 == "main" { print $1; exit }')}
	apt=$dir/apt-$suite
	mkdir -p "$apt"/{lists/partial,archives/partial,etc,new,none}
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]" \
		"${mirror:-http://deb.debian.org/debian} $suite main" >"$apt/etc/sources"
	: >"$apt/status"
	options=(-q -q -o Dir::State="$apt" -o Dir::State::lists="$apt/lists"
		-o Dir::State::status="$apt/status" -o Dir::Cache="$apt"
		-o Dir::Etc::sourcelist="$apt/etc/sources" -o Dir::Etc::sourceparts="$apt/none"
		-o Dir::Etc::preferencesparts="$apt/none"
		-o Dir::Etc::preferences="$apt/none/none"
		-o APT::Sandbox::User=root -o Acquire::Check-Valid-Until=false
		-o Acquire::Languages=none -o APT::Architecture=amd64
		-o APT::Get::Download-Only=true)
	apt-get "${options[@]}" update >&2
	for p in "${wanted[@]}"; do
		# a name such as linux-image-cloud-amd64 stands for the newest of
		# them: it depends on the one that has the files
		real=$p
		case $p in
		linux-image-*amd64 | linux-headers-*amd64)
			[[ $p =~ [0-9]\.[0-9] ]] ||
				real=$(apt-cache "${options[@]}" depends "$p" |
					awk -v want="${p%%-cloud*}" '$1 == "Depends:" &&
						index($2, want) == 1 { print $2; exit }') ;;
		esac
		rm -f "$apt"/new/*
		(cd "$apt/new" && apt-get "${options[@]}" download "$real" >&2)
		mv "$apt"/new/*.deb "$dir/$suite-$p.deb"
	done
fi
for p in "$@"; do
	echo "$dir/$suite-$p.deb"
done
