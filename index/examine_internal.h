/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What examine.c and examine_dpkg.c share. Threads: as index/examine.h says.
 */
#ifndef HERD_EXAMINE_INTERNAL_H
#define HERD_EXAMINE_INTERNAL_H

#include "index/examine.h"
#include "index/identity.h"
#include "index/place.h"

#include <sys/stat.h>

/* Paths that were met, to be looked at together. */
struct herd_met {
	uint32_t *v;
	size_t n, cap;
};

struct herd_examiner {
	struct herd_scan *scan;
	struct herd_identity *own, *ref;
	struct herd_source **windows;	/* of the reference's volumes, opened
					   when first needed; NULL: not yet */
	bool *no_window;
	struct herd_buf bytes, normal;
	struct herd_rules *rules;	/* which contents help to say why */
	bool wanted;		/* that of the path at hand does */
	bool shunned;		/* it is not to be kept, whatever its size */
	struct herd_met lists, traces;	/* of packages; examine_dpkg.c */
};

/* Where the bytes of one version come from, and what is known of the path. */
struct herd_side {
	uint32_t instance;
	const struct herd_entry *entry;
	const struct herd_identity *identity;
	struct herd_source *source;	/* of the volume; NULL: not at hand */
	struct herd_volume *volume;	/* or NULL */
	enum herd_place place;
	bool is_log;
};

/* Also where it has gigabytes of holes: a program runs with these. */
static inline bool herd_has_content(const struct herd_entry *e)
{
	return !e->absent && S_ISREG(e->mode) &&
	       (e->digest_kind == HERD_DIGEST_SHA256 ||
		e->digest_kind == HERD_DIGEST_SPARSE);
}

/* The first len bytes of a version into x->bytes. */
int herd_examine_read(struct herd_examiner *x, const struct herd_side *side,
		      size_t len);
/* herd_identity_read_fn: a file of the instance (arg: the scan), of the
   reference (arg: the examiner). */
int herd_examine_read_own(void *arg, const char *path, size_t max, char **ret,
			  size_t *ret_len);
int herd_examine_read_reference(void *arg, const char *path, size_t max,
				char **ret, size_t *ret_len);

/* ---- examine_dpkg.c ---- */

/* Notes a path at which the instance differs, if packages have to do with it. */
int herd_examine_meet(struct herd_examiner *x, uint32_t id, const char *path,
		      size_t len);

#endif
