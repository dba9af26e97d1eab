/* SPDX-License-Identifier: Apache-2.0 */
/* What dpkg.c reads and dpkg_find.c is asked about; included by these alone. */
#ifndef HERD_DPKG_INTERNAL_H
#define HERD_DPKG_INTERNAL_H

#include "acquire/base/buf.h"
#include "index/dpkg.h"

#include <string.h>

struct herd_dpkg_package {
	uint32_t name, arch, version; /* offsets of text, NUL-terminated */
	bool installed;
};

struct herd_dpkg_owned {
	uint32_t path, package;
	uint16_t len;
	bool has_md5, conffile;
	uint8_t md5[16];
};

struct herd_dpkg {
	bool merged, sealed;
	uint64_t skipped;
	struct herd_buf text;
	struct herd_dpkg_package *packages;
	uint32_t *by_name;
	size_t n_packages, cap_packages, n_by_name;
	struct herd_dpkg_owned *paths;
	size_t n_paths, cap_paths;
};

/* A part of a text. */
struct herd_dpkg_piece {
	const char *p;
	size_t n;
};

static inline bool herd_dpkg_is(struct herd_dpkg_piece s, const char *word)
{
	return s.n == strlen(word) && !memcmp(s.p, word, s.n);
}

static inline struct herd_dpkg_piece herd_dpkg_piece_of(const char *s)
{
	return (struct herd_dpkg_piece){ s ? s : "", s ? strlen(s) : 0 };
}

static inline const char *herd_dpkg_text(const struct herd_dpkg *d, uint32_t at)
{
	return (const char *)d->text.data + at;
}

/*
 * Without '/' or "./" before and '/' behind; *ret_usr: "usr/" is to stand
 * before it. An empty one is none.
 */
struct herd_dpkg_piece herd_dpkg_clean(bool merged, struct herd_dpkg_piece s,
				       bool *ret_usr);

/*
 * arch empty: any that is installed; otherwise that one, or "all" on either
 * side, for a package may become one. None: UINT32_MAX.
 */
uint32_t herd_dpkg_package_find(const struct herd_dpkg *d,
				struct herd_dpkg_piece name,
				struct herd_dpkg_piece arch);

#endif
