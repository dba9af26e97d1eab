/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Volatility 3's symbol files (ISF): symbols and types of one kernel as JSON,
 * made by dwarf2json from its debugging information. The way for kernels that
 * carry no BTF. The types become a BTF of our own, so there is one reader of
 * types.
 *
 * Threads: belongs to one thread at a time.
 */
#ifndef HERD_ISF_H
#define HERD_ISF_H

#include "index/memory/btf.h"

#define HERD_ISF_BYTES_MAX (256u << 20) /* unpacked */

struct herd_isf;
int herd_isf_parse(const char *json, size_t len, struct herd_isf **ret,
		   struct herd_diag *diag);
void herd_isf_destroy(struct herd_isf *f);
/* What linux_banner holds; "" when the file does not say. */
const char *herd_isf_banner(const struct herd_isf *f);
/* As the kernel was linked; -ENOENT. */
int herd_isf_symbol(const struct herd_isf *f, const char *name, uint64_t *ret);
/* The last at or before an address, of those at one address the first by name;
   NULL: none. Borrowed. */
const char *herd_isf_symbol_at(const struct herd_isf *f, uint64_t linked,
			       uint64_t *ret);
struct herd_btf *herd_isf_types(struct herd_isf *f); /* borrowed */

/* Which kernel a file is looked for. */
struct herd_isf_kernel {
	const char *release, *build_id; /* "" unknown */
	/* Its banner, by a symbol's address as it was linked; "" unknown. */
	void (*banner)(void *arg, uint64_t linked, char *ret, size_t max);
	void *arg;
};
/*
 * path: a file, or a folder that is searched to a depth of 4: those with the
 * BUILD-ID or the release in their name first. Accepted is one whose banner is
 * the image's; without one, one that is named by the BUILD-ID.
 * -ENOENT with a line that says what is there instead.
 */
int herd_isf_find(const char *path, const struct herd_isf_kernel *k,
		  struct herd_isf **ret, char *ret_name, size_t max,
		  struct herd_diag *diag);
/* One file: .json, .json.gz or .json.xz, told by content. */
int herd_isf_load(const char *path, struct herd_isf **ret,
		  struct herd_diag *diag);

#endif
