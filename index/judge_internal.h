/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files judge*.c share: judge_herd.c works out what is the same for
 * every member, judge.c judges one of them by it, judge_log.c has the second
 * look at logs.
 *
 * Threads: as index/judge.h says.
 */
#ifndef HERD_JUDGE_INTERNAL_H
#define HERD_JUDGE_INTERNAL_H

#include "acquire/base/cleanup.h"
#include "index/cluster.h"
#include "index/judge.h"
#include "index/loose.h"

struct herd_ids {
	uint32_t *v;
	size_t n, cap;
};

/* The abridged tallies of one path; see struct herd_stack. */
struct herd_kept {
	uint32_t path, left_out;
	struct herd_tally *v;
	size_t n;
	struct herd_tally *coarse;	/* of all, by sort */
	size_t n_coarse;
};

/* What the members of a part have, other than the reference's variant. */
struct herd_part_row {
	uint32_t path;
	struct herd_tally tally;
};

struct herd_herd {
	struct herd_group group;	/* of a part: with its members only */
	struct herd_part_row *rows;	/* a part's tallies, by path */
	size_t n_rows;
	bool is_part;
	struct herd_ids members;	/* by id */
	struct herd_ids tallied;	/* paths at which some member differs */
	struct herd_ids look;	/* to be looked at for everybody */
	struct herd_loose loose;	/* names in folders that are volatile */
	struct herd_kept *kept;	/* by path */
	size_t n_kept, cap_kept, kept_bytes;
	unsigned without;	/* enum herd_without */
	const struct herd_knowledge *knowledge;	/* borrowed, or NULL */
	/* how many versions two have and two have not; how many the one who
	   has most has alone, or lacks alone */
	size_t shared, alone;
	/* read out of the ledger: tallied is not there, and look has all that is
	   to be looked at and perhaps more */
	bool by_ledger;
	/* the bands, where there are more than one: NULL for a small one */
	struct herd_clustering *clustering;
	struct herd_herd **parts;
	size_t n_parts;
	bool too_many;	/* differences, to be clustered */
};

/* Borrowed from the herd, or read and owned. */
struct herd_judge_stacked {
	struct herd_stack s;
	struct herd_tally *owned;
	const struct herd_kept *kept;
};

void herd_stacked_deinit(struct herd_judge_stacked *s);
int herd_stacked_get(struct herd_txn *t, const struct herd_herd *h,
		     uint32_t path, struct herd_judge_stacked *ret);

int herd_ids_add(struct herd_ids *l, uint32_t id);
/* Each once. */
void herd_ids_sort(struct herd_ids *l);
/* Once they are sorted. */
bool herd_ids_have(const struct herd_ids *l, uint32_t id);

/* The variant that an instance has, absent when it has none. */
static inline int herd_judge_variant(struct herd_txn *t,
				     const struct herd_herd *h,
				     uint32_t instance, uint32_t path,
				     struct herd_variant *ret)
{
	return herd_variant_get(t, instance, h->group.reference, path, ret);
}

/* Most of those who agree do so only when their tokens are replaced. */
static inline bool herd_tokens_differ(const struct herd_stack *s,
				      const struct herd_verdict *v)
{
	return v->herd < s->n &&
	       (uint64_t)s->tallies[v->herd].tokens * 2 >=
	       s->tallies[v->herd].count;
}

/* ---- judge_herd.c ---- */

/* Some of the members, to be judged by themselves. */
struct herd_part {
	const uint32_t *members;	/* ids */
	size_t n_members;
	unsigned without;
	struct herd_part_row *rows;	/* malloced; taken over */
	size_t n_rows;
	const struct herd_ids *look;	/* of the whole herd */
};
int herd_part_make(struct herd_txn *t, const struct herd_group *g,
		   struct herd_part *part, struct herd_herd **ret);

/* ---- judge_ledger.c ---- */

/* Fills h, whose group and members are there. 1: its ledger does not do. */
int herd_judge_by_ledger(struct herd_txn *t, struct herd_herd *h);
/* Whether some member differs at a path. */
int herd_judge_tallied(struct herd_txn *t, const struct herd_herd *h,
		       uint32_t path, bool *ret);
/* Whether a path is to be looked at for everybody. */
int herd_judge_looks_at(struct herd_txn *t, const struct herd_herd *h,
			uint32_t path, bool *ret);

/* ---- judge_cluster.c ---- */

/* Differences of all members together; beyond, a herd is judged as one. */
#define HERD_JUDGE_ROWS_MAX (1u << 21)

/* Whether the herd has dpkg's lists, so that packages can vouch. */
bool herd_judge_has_lists(struct herd_txn *t);
/*
 * Whether there can be bands: out of how many variants two members have and
 * two have not, and how many a member has alone, or lacks alone (with lists:
 * of those, how many are vouched for). More says no less; false: a clustering
 * would find one cluster.
 */
bool herd_judge_band_signs(bool lists, uint64_t shared, uint64_t alone);
/* Finds the bands of a herd that is otherwise made. */
int herd_judge_cluster(struct herd_txn *t, struct herd_herd *h);
/* Whom an instance is held against: its band, or the whole herd. */
const struct herd_herd *herd_judge_part(const struct herd_herd *h,
					uint32_t instance);
/* Whether it is in a band of three or more that packages mostly vouch for. */
bool herd_judge_band_vouched(const struct herd_herd *h, uint32_t instance);

/* ---- judge_lower.c ---- */

/* Makes a deviant volatile for which something speaks, and says what. */
int herd_judge_lower(struct herd_txn *t, const struct herd_herd *h,
		     uint32_t instance, const struct herd_variant *own,
		     struct herd_finding *f);

/*
 * The same for what all of a band have alike and the whole herd has not: f is
 * the finding against all, own what the instance has there.
 */
int herd_judge_lower_banded(struct herd_txn *t, const struct herd_herd *all,
			    uint32_t instance, const struct herd_variant *own,
			    struct herd_finding *f);

/* Whether a log began when the one before it was put aside. *ret is set only
   when it is true. */
int herd_judge_was_rotated(struct herd_txn *t, const struct herd_herd *h,
			   uint32_t instance, uint32_t path, bool *ret);

/* ---- judge_log.c ---- */

/*
 * Whether a log was edited or emptied, where those of others were not: true,
 * and *ret is the verdict.
 */
int herd_judge_log(struct herd_txn *t, const struct herd_herd *h,
		   uint32_t instance, uint32_t path, bool *ret_rewritten,
		   struct herd_verdict *ret);

#endif
