/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Applies the verdict to a whole instance: reads the herd's statistics out of
 * the store and gives the list of paths where the instance is not simply like
 * its herd. The work grows with the instance's difference, not with its size.
 *
 * Threads: a herd_herd is immutable once made and may be shared; each call
 * takes the caller's own read transaction (of the same snapshot).
 */
#ifndef HERD_JUDGE_H
#define HERD_JUDGE_H

#include "index/store.h"

/* What is the same for every member of a group: worked out once. */
struct herd_herd;
int herd_herd_make(struct herd_txn *t, const struct herd_group *g,
		   struct herd_herd **ret, struct herd_diag *diag);
/*
 * The same without some of what judging is made of: to measure what each is
 * worth (docs/QUALITY.md).
 */
enum herd_without {
	HERD_WITHOUT_FORMS = 1,	/* of names: all are taken as they are */
	HERD_WITHOUT_PLACES = 2,	/* no path is where state is kept */
	HERD_WITHOUT_SECOND_LOOK = 4,	/* by sort, owner and rights */
	HERD_WITHOUT_LOGS = 8,	/* that were rewritten */
	HERD_WITHOUT_MISSING = 16,	/* what others have under own names */
	HERD_WITHOUT_PACKAGES = 32,
	HERD_WITHOUT_ROTATED = 64,
	HERD_WITHOUT_EXPECTED = 128,
	HERD_WITHOUT_BANDS = 256,
	HERD_WITHOUT_LEDGER = 512,	/* all from nothing (index/ledger.h), as
					   with any other of these */
};
int herd_herd_make_without(struct herd_txn *t, const struct herd_group *g,
			   unsigned without, struct herd_herd **ret,
			   struct herd_diag *diag);
/* The bit for "forms", "places", "second-look" …; 0: there is none. */
unsigned herd_without_named(const char *name, size_t len);
void herd_herd_destroy(struct herd_herd *h);
const struct herd_group *herd_herd_group(const struct herd_herd *h);
/* Whether it was read out of its ledger and not from nothing. */
bool herd_herd_by_ledger(const struct herd_herd *h);
/* May be NULL; borrowed. Right after herd_herd_make, before h is shared. */
struct herd_knowledge;
void herd_herd_set_knowledge(struct herd_herd *h,
			     const struct herd_knowledge *k);
const struct herd_knowledge *herd_herd_knowledge(const struct herd_herd *h);

/*
 * The bands of the herd, each judged within (index/cluster.h); NULL: all are
 * one. Borrowed. unclustered: it could not be told, for all together differ in
 * too much.
 */
struct herd_clustering;
const struct herd_clustering *herd_herd_clustering(const struct herd_herd *h);
bool herd_herd_unclustered(const struct herd_herd *h);

struct herd_finding {
	uint32_t path;
	struct herd_verdict verdict;
	bool own_absent, herd_absent;
	uint32_t herd_holder;	/* an instance that has the herd's variant (one
				   whose image is likely there: the lowest
				   id); 0 when herd_absent */
	uint32_t herd_witness;	/* a member that is as the herd, also where that
				   is to have nothing; 0: not known */
	/* borrowed from the herd's knowledge; NULL: none */
	const struct herd_policy_rule *suppressed_by;
	const struct herd_known_set *known;	/* that has its content */
};

/* Every finding but HERD_CLASS_SAME, sorted by path id. *ret malloced. */
int herd_judge_instance(struct herd_txn *t, const struct herd_herd *h,
			uint32_t instance, struct herd_finding **ret,
			size_t *ret_n, struct herd_diag *diag);
/* One path, also when it is the same. -ENOENT: nobody has it. */
int herd_judge_path(struct herd_txn *t, const struct herd_herd *h,
		    uint32_t instance, uint32_t path, struct herd_finding *ret,
		    struct herd_diag *diag);

#endif
