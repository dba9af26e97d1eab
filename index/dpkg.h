/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Debian's package lists out of an image: which package, in which version,
 * owns a path, and the MD5 that its file should have. Texts go in, as they
 * stand in /var/lib/dpkg; no I/O.
 *
 * What it is for: a file that differs from the reference's because its package
 * was upgraded is no intrusion. The lists are the instance's own, and whoever
 * was root there may have written them. Therefore a file is explained only
 * where its package's *version* is another one than the reference's (an
 * altered file with an altered MD5 beside it is not), and an explanation is
 * something to be shown, package by package, not a reason to be silent.
 *
 * Versions are compared for being equal, not for which is newer. Diversions
 * and alternatives are not followed: what they moved has no owner here. RPM's
 * database (sqlite, Berkeley DB, ndb) is not read at all; such an instance has
 * no lists, and nothing in it is explained.
 *
 * Threads: immutable once sealed; before, one thread's.
 */
#ifndef HERD_DPKG_H
#define HERD_DPKG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Beyond these -EOVERFLOW. */
#define HERD_DPKG_PACKAGES_MAX 65536u
#define HERD_DPKG_PATHS_MAX (4u << 20)
#define HERD_DPKG_TEXT_MAX (256u << 20) /* bytes of names and paths */
#define HERD_DPKG_PATH_MAX 4096u	/* longer ones are passed over */

struct herd_dpkg;

/*
 * merged: /bin, /sbin and /lib* are links into /usr, so that a path that was
 * packed as /bin/sh is /usr/bin/sh. Paths asked for are treated alike.
 */
int herd_dpkg_create(bool merged, struct herd_dpkg **ret);
void herd_dpkg_destroy(struct herd_dpkg *d);

/* /var/lib/dpkg/status: packages, versions, MD5s of conffiles. First, once. */
int herd_dpkg_add_status(struct herd_dpkg *d, const char *text, size_t len);
/*
 * A file of /var/lib/dpkg/info; name: "libc6:amd64.md5sums" or ".list", all
 * else is passed over. So is one whose package is not installed.
 */
int herd_dpkg_add_info(struct herd_dpkg *d, const char *name, const char *text,
		       size_t len);
/* After the last; questions about paths only from here on. */
int herd_dpkg_seal(struct herd_dpkg *d);

/* Lines and records that were not understood. */
uint64_t herd_dpkg_skipped(const struct herd_dpkg *d);
/* "1.2-3"; NULL: not installed. arch may be NULL: whichever. */
const char *herd_dpkg_version(const struct herd_dpkg *d, const char *package,
			      const char *arch);
/*
 * Whether the package of an info file has another version than in the other's
 * status, or is not installed there. Only such files need be added on either
 * side to explain differences; that is a small part of all. Both have their
 * status already.
 */
bool herd_dpkg_changed(const struct herd_dpkg *d, const struct herd_dpkg *other,
		       const char *name);
/* Each installed package, in order of name; stops at the first that is not 0. */
int herd_dpkg_each(const struct herd_dpkg *d,
		   int (*fn)(void *arg, const char *package, const char *arch,
			     const char *version),
		   void *arg);

struct herd_dpkg_owner {
	const char *package, *arch, *version; /* borrowed */
	bool has_md5;			      /* links and folders have none */
	bool conffile;
	uint8_t md5[16];
};

/*
 * Who owns a path; among several the one whose MD5 is md5 (may be NULL).
 * -ENOENT: nobody.
 */
int herd_dpkg_find(const struct herd_dpkg *d, const char *path, size_t len,
		   const uint8_t md5[16], struct herd_dpkg_owner *ret);

enum herd_dpkg_change {
	HERD_DPKG_UNEXPLAINED,
	HERD_DPKG_CHANGED,   /* the package's version is not the other's */
	HERD_DPKG_INSTALLED, /* the other does not have the package */
	HERD_DPKG_REMOVED,   /* it has, and this one does not */
};

/*
 * Why a path is as it is, unlike in `other` (the reference). md5: of the file's
 * content, which must agree; NULL for what has none (a link, a folder): then
 * that the package lists it is enough, and nothing says where a link should
 * lead. *ret set unless unexplained.
 */
enum herd_dpkg_change herd_dpkg_explain(const struct herd_dpkg *d,
					const struct herd_dpkg *other,
					const char *path, size_t len,
					const uint8_t md5[16],
					struct herd_dpkg_owner *ret);
/* Why a path that `other` has is missing; *ret: its owner there. */
enum herd_dpkg_change herd_dpkg_explain_absent(const struct herd_dpkg *d,
					       const struct herd_dpkg *other,
					       const char *path, size_t len,
					       struct herd_dpkg_owner *ret);

#endif
