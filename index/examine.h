/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looks into the files at which an instance differs from the reference: what
 * sort they are, what they are with the instance's own tokens replaced, and
 * keeps those whose content helps to say in what they differ. Of the
 * reference the same file is looked at when somebody first differs there.
 * The work grows with the difference.
 *
 * Threads: one, the scan's.
 */
#ifndef HERD_EXAMINE_H
#define HERD_EXAMINE_H

#include "index/scan.h"

/* Larger texts are not normalised: what holds an identity is a small file, and
   what grows beyond this is a log, which is different anyway. */
#define HERD_NORMAL_MAX (256u << 10)

struct herd_examiner;
/* Reads the instance's tokens out of its volumes. */
int herd_examiner_create(struct herd_scan *s, struct herd_examiner **ret);
void herd_examiner_destroy(struct herd_examiner *x);

/* Puts the instance's tokens; a reference's own are all that is needed. */
int herd_examiner_put_tokens(struct herd_examiner *x, struct herd_txn *t,
			     uint32_t instance);
/* Before the first path: what was met is forgotten, for a transaction may be
   done again. */
void herd_examine_begin(struct herd_examiner *x);
/*
 * A path at which own and ref are different variants by their bytes: puts
 * what is found of either. What cannot be read is simply not known.
 */
int herd_examine(struct herd_examiner *x, struct herd_txn *t,
		 const struct herd_instance *inst, uint32_t path,
		 const struct herd_entry *own, const struct herd_entry *ref);

/*
 * When all paths are done: what upgraded packages vouch for. A package is
 * upgraded when dpkg has another version of it here than the reference; the
 * files that its new list names, with contents of the MD5 that it gives, are
 * one change then and not hundreds.
 */
int herd_examine_packages(struct herd_examiner *x, struct herd_txn *t,
			  const struct herd_instance *inst);

#endif
