/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A herd out of its ledger (index/ledger.h), in place of what judge_herd.c
 * reads from nothing: names and stacks are there, and a list of paths that
 * holds all that are to be looked at for everybody, and perhaps some at which
 * there is nothing to be seen. What it cannot tell, bands above all, is left
 * to judge_herd.c.
 *
 * Threads: as index/judge.h says.
 */
#include "index/ledger_internal.h"

#include "index/dpkg.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* So much memory is asked for before that many names were seen. */
#define NAMES_AT_ONCE (1u << 18)

struct reading {
	struct herd_txn *t;
	struct herd_herd *h;
	struct herd_ledger l;
	bool reference_is_member;
	bool begun; /* the record for all was there */
	uint32_t holders;
	uint32_t alone, vouched; /* of whom has most */
};

static void reading_deinit(struct reading *r)
{
	herd_ledger_deinit(&r->l);
}

/* Whether it is about this herd as it is. */
static int check_stamp(struct reading *r)
{
	const struct herd_group *g = &r->h->group;
	const struct herd_ids *members = &r->h->members;

	r->reference_is_member = herd_ids_have(members, g->reference);
	if (r->l.members != g->members || members->n != g->members ||
	    r->l.reference != g->reference || r->l.baseline != g->baseline ||
	    r->l.last != members->v[members->n - 1] ||
	    (!r->reference_is_member && g->reference != g->baseline))
		return -ESTALE;
	return 0;
}

static int read_record(void *arg, uint32_t holder, const void *bytes,
		       size_t len)
{
	struct reading *r = arg;
	struct herd_ledger_own own;
	int err;

	if (!r->begun) {
		r->begun = true;
		err = holder ? -EBADMSG : herd_ledger_decode(bytes, len, &r->l);
		if (!err)
			err = check_stamp(r);
		if (!err && r->l.names <= NAMES_AT_ONCE)
			err = herd_loose_reserve(&r->h->loose, r->l.names);
		return err;
	}
	err = herd_ledger_own_decode(bytes, len, holder, &own);
	if (!err && !herd_ids_have(&r->h->members, holder))
		err = -EBADMSG;
	if (!err)
		err = herd_loose_decode(&r->h->loose, holder, own.names,
					own.len);
	if (err)
		return err;
	r->holders++;
	if (own.alone > r->alone)
		r->alone = own.alone;
	if (own.vouched > r->vouched)
		r->vouched = own.vouched;
	return 0;
}

/* Of what all but one have, how much may be vouched for. */
static uint32_t lacks_vouched(const struct herd_ledger *l)
{
	uint32_t n = 0;

	for (size_t i = 0; i < l->lacks.n; i++)
		n += 2 * (uint64_t)l->lacks.v[i].vouched > l->members - 1;
	return n;
}

/* Whether there can be bands, or too much for them: then the herd is read from
   nothing. */
static bool may_have_bands(const struct reading *r)
{
	bool lists = herd_judge_has_lists(r->t);
	uint64_t has = lists ? r->vouched : r->alone;
	uint64_t lacks = lists ? lacks_vouched(&r->l) : r->l.lacks.n;

	if (herd_ledger_is_too_large(&r->l))
		return true;
	/* who lacks it is the reference, or not known */
	if (!r->reference_is_member)
		has += lacks;
	return herd_judge_band_signs(lists, r->l.shared,
				     has > lacks ? has : lacks);
}

static int take_stacks(struct reading *r)
{
	struct herd_herd *h = r->h;
	uint32_t holder = r->reference_is_member ? h->group.reference : 0;
	int err = 0;

	h->kept = calloc(r->l.n_stacks + 1, sizeof(*h->kept));
	if (!h->kept)
		return -ENOMEM;
	h->cap_kept = r->l.n_stacks + 1;
	for (size_t i = 0; i < r->l.n_stacks && !err; i++) {
		const struct herd_ledger_stack *s = &r->l.stacks[i];
		struct herd_variant reference;

		err = herd_judge_variant(r->t, h, h->group.reference, s->path,
					 &reference);
		if (!err)
			err = herd_ledger_stack_kept(s, &reference, holder,
						     h->group.members,
						     &h->kept[i]);
		h->n_kept += !err;
	}
	return err;
}

static int read_ledger(struct reading *r)
{
	struct herd_herd *h = r->h;
	int err = herd_ledger_each(r->t, h->group.id, read_record, r);

	if (!err && !r->begun)
		err = -ENOENT;
	if (!err && (r->holders != r->l.holders || h->loose.n != r->l.names))
		err = -EBADMSG;
	if (!err && may_have_bands(r))
		err = -ESTALE;
	if (!err)
		err = herd_loose_settle(&h->loose, h->members.v, h->members.n,
					h->group.baseline != 0);
	if (!err)
		err = take_stacks(r);
	if (err)
		return err;
	h->look = r->l.look;
	r->l.look = (struct herd_ids){ 0 };
	h->by_ledger = true;
	return 0;
}

int herd_judge_by_ledger(struct herd_txn *t, struct herd_herd *h)
{
	CLEANUP(reading_deinit) struct reading r = { .t = t, .h = h };
	int err = h->members.n ? read_ledger(&r) : -ENOENT;

	if (!err)
		return 0;
	/* as if it had not been there */
	herd_loose_deinit(&h->loose);
	for (size_t i = 0; i < h->n_kept; i++) {
		free(h->kept[i].v);
		free(h->kept[i].coarse);
	}
	free(h->kept);
	h->kept = NULL;
	h->n_kept = h->cap_kept = 0;
	return err == -ENOENT || err == -EBADMSG || err == -ESTALE ? 1 : err;
}

int herd_judge_tallied(struct herd_txn *t, const struct herd_herd *h,
		       uint32_t path, bool *ret)
{
	if (h->by_ledger)
		return herd_tally_any(t, h->group.id, path, ret);
	*ret = herd_ids_have(&h->tallied, path);
	return 0;
}

int herd_judge_looks_at(struct herd_txn *t, const struct herd_herd *h,
			uint32_t path, bool *ret)
{
	CLEANUP(herd_stacked_deinit) struct herd_judge_stacked s = { 0 };
	const uint32_t baseline = h->group.baseline;
	struct herd_variant reference, other;
	struct herd_verdict verdict;
	int err = herd_stacked_get(t, h, path, &s);

	if (!err)
		err = herd_judge_variant(t, h, h->group.reference, path,
					 &reference);
	if (!err && baseline)
		err = herd_judge_variant(t, h, baseline, path, &other);
	if (err)
		return err;
	herd_judge_stack(&s.s, &reference, true, baseline ? &other : NULL,
			 &verdict);
	*ret = verdict.class != HERD_CLASS_SAME ||
	       herd_tokens_differ(&s.s, &verdict) ||
	       (baseline && !herd_variant_equal(&reference, &other));
	return 0;
}
