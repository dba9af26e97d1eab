/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What dpkg keeps in /var/lib/dpkg: which version of a package an instance
 * says it has, and which files with which MD5 sums belong to it. All of it is
 * the instance's own word. It tells an upgrade from single changes; it clears
 * nothing (docs/QUALITY.md, "Upgrades").
 *
 * rpm keeps a database that is not text, and is not read.
 *
 * Threads: pure functions.
 */
#ifndef HERD_DPKG_H
#define HERD_DPKG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HERD_DPKG_INFO "var/lib/dpkg/info/"
#define HERD_DPKG_STATUS "var/lib/dpkg/status"

/* A piece of a text, borrowed. */
struct herd_dpkg_text {
	const char *p;
	size_t len;
};

/*
 * path without the leading '/': the package that a file of info/ speaks of
 * ("libc6:amd64" of "var/lib/dpkg/info/libc6:amd64.list"), and whether it says
 * what belongs to the package (.list, .md5sums) or only how it is used
 * (.shlibs, .symbols, .triggers, .conffiles, .templates); a maintainer script
 * is neither.
 */
enum herd_dpkg_info { HERD_DPKG_NONE, HERD_DPKG_FILES, HERD_DPKG_DATA };
enum herd_dpkg_info herd_dpkg_info_of(const char *path, size_t len,
				      struct herd_dpkg_text *ret_package);
/* What an upgrade leaves behind besides: lists, caches and logs of dpkg and
   apt. Not their settings and keys. */
bool herd_dpkg_traces(const char *path, size_t len);

/* The version that a status file gives of a package whose files are all there:
   not of one that was removed but for its settings, or is half installed. */
bool herd_dpkg_version(struct herd_dpkg_text status,
		       struct herd_dpkg_text package,
		       struct herd_dpkg_text *ret);

/* The next line of a .list or .md5sums; the path without the leading '/'.
   md5: NULL for a .list. Lines that make no sense are skipped. */
bool herd_dpkg_next(struct herd_dpkg_text *rest, uint8_t md5[16],
		    struct herd_dpkg_text *ret_path);

#endif
