/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a finding means (index/meaning.h), with both versions read out of the
 * store: attributes from the entries, sorts and notes from the looks, texts
 * from what was kept. No image is read.
 *
 * Threads: none of its own; a call uses the caller's read transaction.
 */
#ifndef HERD_EXPLAIN_H
#define HERD_EXPLAIN_H

#include "index/judge.h"
#include "index/meaning.h"

/* Both versions of a path. All borrowed from the transaction. */
struct herd_sides {
	struct herd_meaning_side own, other;
	uint32_t other_holder; /* who has the other; 0: nobody, it is absent */
	unsigned reasons;      /* of own against the other */
	const char *note;      /* what is to be said of own; NULL: nothing */
	size_t n_note;
};

/*
 * The other is the herd's version; for what has drifted, where own is the
 * herd's, it is the baseline's. What cannot be found is taken for absent, a
 * text that was not kept is NULL. 0, -errno of the store.
 */
int herd_sides_get(struct herd_txn *t, const struct herd_herd *h,
		   uint32_t instance, const struct herd_finding *f,
		   struct herd_sides *ret);

/* *ret borrows from rules. 0, -ENOMEM, -errno of the store. */
int herd_explain(struct herd_txn *t, const struct herd_herd *h,
		 uint32_t instance, const struct herd_finding *f,
		 const struct herd_rules *rules, struct herd_meaning *ret);

/*
 * How soon to look at it, 0 to 100: the rank (how odd it is) in parts of the
 * severity (what could be done with it). What is known to be bad has 100.
 */
unsigned herd_score(const struct herd_finding *f, const struct herd_meaning *m);

#endif
