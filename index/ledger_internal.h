/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files ledger*.c and judge_ledger.c share. ledger_code.c has the
 * ledger as bytes, ledger_stack.c the paths with many versions, ledger_make.c
 * makes one from nothing, ledger.c writes on.
 *
 * Records (docs/FORMAT.md): one for all, and one for each member that has
 * something alone: how much, and the names that index/loose.h counts.
 *
 * Threads: as index/ledger.h says.
 */
#ifndef HERD_LEDGER_INTERNAL_H
#define HERD_LEDGER_INTERNAL_H

#include "index/judge_internal.h"
#include "index/ledger.h"

/* Smaller herds are read from nothing: what follows counts on so many. */
#define HERD_LEDGER_MEMBERS_MIN 4u
/* A path with so many variants other than the reference's has a stack… */
#define HERD_LEDGER_STACK_FROM 8u
/* …unless more are shared, or there are more kinds of them; and so many do. */
#define HERD_LEDGER_SHOWN_MAX 64u
#define HERD_LEDGER_KINDS_MAX 32u
#define HERD_LEDGER_STACKS_MAX 1024u

/* A variant that all have, or all but one; and how many packages vouch for. */
struct herd_ledger_feature {
	uint32_t path, vouched;
};

struct herd_ledger_features {
	struct herd_ledger_feature *v; /* by path */
	size_t n, cap;
};

/* A variant that can be the herd's. */
struct herd_ledger_shown {
	uint8_t key[32]; /* its tally's: their order */
	bool pinned;	 /* it is the baseline's */
	struct herd_tally tally;
};

/* Variants of one sort, owner and rights: the first one's key and holder. */
struct herd_ledger_kind {
	uint8_t key[32];
	struct herd_tally tally;
};

/*
 * A path with many variants. The reference's own is in none of these: it has
 * the rest of the members. shown: all that two or more have, the baseline's,
 * and of those that one alone has the first ones by key, at least two.
 */
struct herd_ledger_stack {
	uint32_t path;
	uint32_t others;   /* members that have another variant */
	uint32_t variants; /* that they have */
	uint32_t tokens;   /* members that differ by their tokens alone */
	uint32_t holder;   /* the first of those */
	struct herd_ledger_shown *shown; /* by key */
	struct herd_ledger_kind *kinds;	 /* by key */
	uint32_t n_shown, n_kinds;
};

struct herd_ledger {
	/* the herd that it is about; last: the member that came last */
	uint32_t reference, baseline, members, last;
	uint32_t holders; /* records beside this one */
	uint64_t names;	  /* in them */
	uint64_t rows;	  /* differences of all members together */
	uint64_t shared;  /* variants that two have, and two have not */
	struct herd_ledger_features all, lacks; /* all have, all but one */
	struct herd_ids look; /* paths that may be to be looked at */
	struct herd_ledger_stack *stacks; /* by path */
	size_t n_stacks, cap_stacks;
};

void herd_ledger_deinit(struct herd_ledger *l);

/* Of such a herd bands are not looked for, which judging has to say. */
static inline bool herd_ledger_is_too_large(const struct herd_ledger *l)
{
	return l->rows > HERD_JUDGE_ROWS_MAX ||
	       l->members > HERD_CLUSTER_MEMBERS_MAX;
}

/* ---- ledger_code.c: nothing that is read here is trusted ---- */

int herd_ledger_encode(const struct herd_ledger *l, struct herd_buf *out);
/* -EBADMSG. *ret is to be deinitialised whatever comes back. */
int herd_ledger_decode(const void *data, size_t len, struct herd_ledger *ret);

/* Any bytes as a record, with the right sum: for tests. */
int herd_ledger_seal(const void *data, size_t len, uint32_t holder,
		     struct herd_buf *out);

/* One member's record: how many variants it alone has, how many of them a
   package vouches for, and its names. */
struct herd_ledger_own {
	uint32_t alone, vouched;
	const void *names; /* borrowed; herd_loose_encode */
	size_t len;
};
int herd_ledger_own_encode(const struct herd_ledger_own *own, uint32_t holder,
			   struct herd_buf *out);
int herd_ledger_own_decode(const void *data, size_t len, uint32_t holder,
			   struct herd_ledger_own *ret);

/* ---- ledger_stack.c ---- */

/* What a path is compared with there. */
struct herd_ledger_place {
	struct herd_txn *t;
	uint32_t group, path;
	struct herd_variant reference;
	struct herd_variant baseline; /* absent where there is none */
	bool has_baseline;
};
int herd_ledger_place_get(struct herd_txn *t, const struct herd_group *g,
			  uint32_t path, struct herd_ledger_place *ret);
/* Whether it may be to be looked at for everybody; ledger.c says why. */
bool herd_ledger_looks(const struct herd_ledger_place *p, uint32_t members,
		       uint32_t others, uint32_t tokens);

void herd_ledger_stack_deinit(struct herd_ledger_stack *s);
/* 1: such a path is not kept. */
int herd_ledger_stack_make(const struct herd_ledger_place *p,
			   struct herd_ledger_stack *ret);
/* One more member was counted in a tally, which is that now. 1: not to be
   kept any more. */
int herd_ledger_stack_join(struct herd_ledger_stack *s,
			   const struct herd_ledger_place *p,
			   const uint8_t key[32],
			   const struct herd_tally *tally);
/* As judge_herd.c keeps it; holder: who shows the reference's variant, or 0. */
int herd_ledger_stack_kept(const struct herd_ledger_stack *s,
			   const struct herd_variant *reference,
			   uint32_t holder, uint32_t members,
			   struct herd_kept *ret);

struct herd_ledger_stack *herd_ledger_stack_find(const struct herd_ledger *l,
						 uint32_t path);
/* Takes s over, also when it fails. */
int herd_ledger_stack_add(struct herd_ledger *l, struct herd_ledger_stack *s);
void herd_ledger_stack_remove(struct herd_ledger *l,
			      struct herd_ledger_stack *s);

/* ---- ledger_make.c ---- */

/* All that is known of one path, in one pass over its tallies. */
struct herd_ledger_sum {
	uint32_t others, variants, tokens; /* as in a stack */
	uint64_t present;	   /* members that have something there */
	struct herd_tally only[2]; /* the first of what they have */
	uint32_t n_only;
	struct herd_tally found; /* of the variant that is looked for */
};
/* wanted: looked for, or NULL; -EBADMSG where nobody has it. */
int herd_ledger_sum_get(const struct herd_ledger_place *p,
			const struct herd_group *g, bool reference_is_member,
			const struct herd_variant *wanted,
			int (*each)(void *arg, const struct herd_tally *v),
			void *arg, struct herd_ledger_sum *ret);

int herd_ledger_feature_add(struct herd_ledger_features *l, uint32_t path,
			    uint32_t vouched);
int herd_ledger_is_packaged(struct herd_txn *t, uint32_t instance,
			    uint32_t path, bool *ret);
/* The members' ids; *ret_member: the reference is one. 1: it is neither that
   nor the baseline, and nothing is kept of such a herd. */
int herd_ledger_members(struct herd_txn *t, const struct herd_group *g,
			struct herd_ids *ret, bool *ret_member);
/* Makes and writes it. Also where nothing can be kept. */
int herd_ledger_make(struct herd_txn *t, const struct herd_group *g);

#endif
