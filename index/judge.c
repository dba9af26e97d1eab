/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which paths have to be looked at for an instance:
 *
 *   - those where it has a record of its own, for there it may differ from
 *     the reference;
 *   - those where the reference's variant is not simply the herd's
 *     (`others_matter`), for an instance without a record of its own has that;
 *   - those where the baseline differs from the reference.
 *
 * The last two are the same for every instance and are found once. A path
 * where nobody differs from the reference has no tally and costs nothing.
 *
 * Threads: a herd_herd is immutable once made; calls work in the caller's
 * transaction.
 */
#include "index/judge_internal.h"

#include "index/content.h"
#include "index/knowledge.h"

#include <string.h>

/* How many members are asked who has the reference's variant. */
#define HOLDER_TRIES 256

/* ---- one path ---- */

/*
 * A member that has the reference's variant, where the reference is not one
 * that can be shown: the first of the members without another, else the
 * baseline where it has it.
 */
static int find_holder(struct herd_txn *t, const struct herd_herd *h,
		       uint32_t path, const struct herd_variant *wanted,
		       uint32_t *ret)
{
	struct herd_variant v;
	int err;

	for (size_t i = 0; i < h->members.n && i < HOLDER_TRIES; i++) {
		err = herd_judge_variant(t, h, h->members.v[i], path, &v);
		if (err)
			return err;
		if (herd_variant_equal(&v, wanted)) {
			*ret = h->members.v[i];
			return 0;
		}
	}
	*ret = 0;
	if (!h->group.baseline)
		return 0;
	err = herd_judge_variant(t, h, h->group.baseline, path, &v);
	if (!err && herd_variant_equal(&v, wanted))
		*ret = h->group.baseline;
	return err;
}

/* Whom to judge. */
struct whom {
	struct herd_txn *t;
	const struct herd_herd *h;	/* its band, or all */
	const struct herd_herd *all;
	uint32_t instance;
	bool member;
};

/* Whether the bytes of this one's version are not the reference's. */
static int bytes_differ(const struct whom *w, uint32_t path, bool *ret)
{
	struct herd_entry own, ref;
	int err = herd_entry_get_own(w->t, w->instance, path, &own);

	if (!err)
		err = herd_entry_get_own(w->t, w->h->group.reference, path, &ref);
	*ret = !err && memcmp(own.digest, ref.digest, sizeof(own.digest)) != 0;
	return err == -ENOENT ? 0 : err;
}

/* Who is like the herd but for its tokens is shown apart, not hidden. */
static int mark_tokens(const struct whom *w, uint32_t path,
		       const struct herd_stack *s, struct herd_verdict *v)
{
	bool differs = true;
	int err = 0;

	if (v->class != HERD_CLASS_SAME || v->herd >= s->n ||
	    !s->tallies[v->herd].tokens)
		return 0;
	if (!herd_tokens_differ(s, v))
		err = bytes_differ(w, path, &differs);
	if (err || !differs)
		return err;
	v->class = HERD_CLASS_VOLATILE;
	v->reasons = HERD_REASON_TOKENS;
	return 0;
}

/* What is compared with stays: a version that somebody else has. */
static int look_at_log(const struct whom *w, const struct herd_variant *own,
		       struct herd_finding *f)
{
	struct herd_verdict verdict;
	bool rewritten = false;
	int err = 0;

	if (!own->absent && !(w->h->without & HERD_WITHOUT_LOGS))
		err = herd_judge_log(w->t, w->h, w->instance, f->path,
				     &rewritten, &verdict);
	if (err || !rewritten)
		return err;
	f->verdict.class = HERD_CLASS_DEVIANT;
	f->verdict.rank = verdict.rank;
	f->verdict.reasons = verdict.reasons;
	return 0;
}

/* Where the members have nothing in common but what sort of thing is there. */
static int look_again(const struct whom *w, const struct herd_judge_stacked *s,
		      const struct herd_variant *own,
		      const struct herd_variant *baseline,
		      struct herd_finding *f)
{
	struct herd_stack full = s->s;
	struct herd_verdict coarse;
	size_t n = 0;

	if (f->verdict.class != HERD_CLASS_VOLATILE || full.alike ||
	    (f->verdict.reasons & HERD_REASON_TOKENS))
		return 0;
	if (s->kept) {
		full.tallies = s->kept->coarse;
		full.n = s->kept->n_coarse;
		full.left_out = 0;
	}
	CLEANUP_FREE struct herd_tally *tallies =
		calloc(full.n, sizeof(*tallies));

	if (!tallies)
		return -ENOMEM;
	if ((w->h->without & HERD_WITHOUT_SECOND_LOOK) ||
	    !herd_judge_coarse(&full, own, w->member, baseline, tallies, &n,
			       &coarse))
		return look_at_log(w, own, f);
	/* of two one is odd, but a log that is there and has content is not */
	if (full.members == 2 && s->s.log && !own->absent && own->sort &&
	    own->sort != HERD_SORT_EMPTY + 1 &&
	    !herd_sort_is_code((enum herd_sort)(own->sort - 1)))
		return 0;
	/* of what is no log the others may have it later, or had it */
	if (own->absent && !s->s.log)
		return 0;
	coarse.variants = f->verdict.variants;
	coarse.has_baseline = f->verdict.has_baseline;
	coarse.baseline_reasons = f->verdict.baseline_reasons;
	f->verdict = coarse;
	f->herd_absent = tallies[coarse.herd].variant.absent;
	f->herd_witness = tallies[coarse.herd].holder;
	f->herd_holder = f->herd_absent ? 0 : f->herd_witness;
	return 0;
}

/* What people know is about the very bytes, with all tokens in them. */
static int ask_knowledge(const struct whom *w, uint8_t sort,
			 struct herd_finding *f)
{
	const struct herd_group *g = &w->h->group;
	struct herd_variant own = { .absent = true }, herd = own;
	struct herd_entry e;
	int err = 0;

	if (!w->h->knowledge)
		return 0;
	if (!f->own_absent)
		err = herd_entry_get(w->t, w->instance, g->reference, f->path,
				     &e);
	if (!err && !f->own_absent) {
		herd_variant_of(&e, &own);
		own.sort = sort;
	}
	if (!err && f->herd_holder)
		err = herd_variant_get(w->t, f->herd_holder, g->reference,
				       f->path, &herd);
	if (err)
		return err;
	return herd_knowledge_apply(w->h->knowledge,
		&(struct herd_matter){ w->t, g, w->instance, &own, &herd }, f);
}

static int judge_within(const struct whom *w, uint32_t path,
			const struct herd_variant *own,
			struct herd_finding *ret)
{
	const struct herd_group *g = &w->h->group;
	CLEANUP(herd_stacked_deinit) struct herd_judge_stacked s = { 0 };
	struct herd_variant baseline = { .absent = true };
	struct herd_finding f = { .path = path, .own_absent = own->absent };
	int err = herd_stacked_get(w->t, w->h, path, &s);

	if (!err && g->baseline)
		err = herd_judge_variant(w->t, w->h, g->baseline, path, &baseline);
	if (err)
		return err;
	herd_judge_stack(&s.s, own, w->member, g->baseline ? &baseline : NULL,
			 &f.verdict);
	err = mark_tokens(w, path, &s.s, &f.verdict);
	if (err)
		return err;
	if (f.verdict.herd < s.s.n) {
		const struct herd_tally *herd = &s.s.tallies[f.verdict.herd];

		f.herd_absent = herd->variant.absent;
		f.herd_witness = herd->holder;
		f.herd_holder = f.herd_absent ? 0 : herd->holder;
		if (!f.herd_absent && !f.herd_holder &&
		    f.verdict.class != HERD_CLASS_SAME)
			err = find_holder(w->t, w->h, path, &herd->variant,
					  &f.herd_holder);
	} else if (g->baseline) {
		f.herd_absent = baseline.absent;
		f.herd_holder = baseline.absent ? 0 : g->baseline;
	} else {
		f.herd_absent = true;
	}
	if (!err)
		err = look_again(w, &s, own, g->baseline ? &baseline : NULL,
				 &f);
	if (!err)
		err = herd_judge_lower(w->t, w->h, w->instance, own, &f);
	if (!err)
		*ret = f;
	return err;
}

/*
 * Within its band, and where that finds nothing, against all: what a band has
 * and no package vouches for may be what was done to all of it.
 */
static int judge(const struct whom *w, uint32_t path,
		 const struct herd_variant *own, struct herd_finding *ret)
{
	struct herd_finding f, whole;
	int err = judge_within(w, path, own, &f);

	if (!err && w->h != w->all && f.verdict.class == HERD_CLASS_SAME) {
		struct whom all = *w;

		all.h = w->all;
		err = judge_within(&all, path, own, &whole);
		if (!err)
			err = herd_judge_lower_banded(w->t, w->all, w->instance,
						      own, &whole);
		if (!err && (whole.verdict.class == HERD_CLASS_DEVIANT ||
			     (whole.verdict.reasons & HERD_REASON_BAND)))
			f = whole;
	}
	if (!err)
		err = ask_knowledge(w, own->sort, &f);
	if (!err)
		*ret = f;
	return err;
}

static int whom_init(struct whom *w, struct herd_txn *t,
		     const struct herd_herd *h, uint32_t instance,
		     struct herd_diag *diag)
{
	const struct herd_herd *part = herd_judge_part(h, instance);

	*w = (struct whom){ .t = t, .h = part, .all = h, .instance = instance,
			    .member = herd_ids_have(&part->members, instance) };
	if (instance && (herd_ids_have(&h->members, instance) ||
			 instance == h->group.baseline ||
			 instance == h->group.reference))
		return 0;
	return herd_diag_set(diag, -ENOENT, h->group.name, HERD_NO_OFFSET,
			     "the group has no instance number %u", instance);
}

static int failed(const struct whom *w, int err, struct herd_diag *diag)
{
	return herd_diag_set(diag, err, w->h->group.name, HERD_NO_OFFSET,
			     "the records of instance number %u cannot be read: %s",
			     w->instance, strerror(-err));
}

/* What the others have under names of their own; shown by one of theirs. */
static int judge_missing(const struct whom *w,
			 const struct herd_loose_missing *m,
			 struct herd_finding *ret)
{
	const struct herd_herd *h = w->h;
	const struct herd_variant absent = { .absent = true };
	struct herd_tally tallies[2] = {
		{ .count = m->holders },
		{ .variant = absent,
		  .count = h->group.members - m->holders } };
	struct herd_finding f = { .path = m->path, .own_absent = true,
				  .herd_holder = m->holder };

	herd_judge(tallies, 2, h->group.members, &absent, NULL, &f.verdict);
	int err = herd_judge_lower(w->t, h, w->instance, &absent, &f);

	if (!err)
		*ret = f;
	return err;
}

static int judge_missing_path(const struct whom *w, struct herd_finding *f)
{
	size_t n;
	const struct herd_loose_missing *m =
		herd_loose_missing(&w->h->loose, w->instance, &n);

	for (size_t i = 0; i < n; i++)
		if (m[i].path == f->path)
			return judge_missing(w, &m[i], f);
	return 0;
}

int herd_judge_path(struct herd_txn *t, const struct herd_herd *h,
		    uint32_t instance, uint32_t path, struct herd_finding *ret,
		    struct herd_diag *diag)
{
	struct herd_variant own;
	struct herd_finding f;
	struct whom w;
	int err = whom_init(&w, t, h, instance, diag);

	if (err)
		return err;
	err = herd_judge_variant(t, h, instance, path, &own);
	if (!err)
		err = judge(&w, path, &own, &f);
	if (!err && f.verdict.class == HERD_CLASS_SAME)
		err = judge_missing_path(&w, &f);
	if (err)
		return failed(&w, err, diag);
	/* where a band has nothing another may have something */
	if (own.absent && f.herd_absent && f.verdict.variants <= 1 &&
	    w.h == w.all && !f.verdict.baseline_reasons)
		return -ENOENT;
	*ret = f;
	return 0;
}

/* ---- a whole instance ---- */

struct findings {
	struct whom w;
	size_t next;	/* in h->look */
	struct herd_finding *v;
	size_t n, cap;
};

static void findings_deinit(struct findings *f)
{
	free(f->v);
}

static int reserve(struct findings *f)
{
	if (f->n == f->cap) {
		size_t cap = f->cap ? f->cap * 2 : 64;
		struct herd_finding *v = reallocarray(f->v, cap, sizeof(*v));

		if (!v)
			return -ENOMEM;
		f->v = v;
		f->cap = cap;
	}
	return 0;
}

static int add(struct findings *f, uint32_t path, const struct herd_variant *own)
{
	int err = reserve(f);

	if (!err)
		err = judge(&f->w, path, own, &f->v[f->n]);
	if (!err && f->v[f->n].verdict.class != HERD_CLASS_SAME)
		f->n++;
	return err;
}

/* The paths below `end` where this one has what the reference has. */
static int add_like_reference(struct findings *f, uint64_t end)
{
	const struct herd_herd *h = f->w.h;
	struct herd_variant reference;

	for (; f->next < h->look.n && h->look.v[f->next] < end; f->next++) {
		uint32_t path = h->look.v[f->next];
		bool look = true;
		int err = herd_judge_variant(f->w.t, h, h->group.reference, path,
				      &reference);

		/* a member's is the same there; who is none could be odd */
		if (!err && h->by_ledger && !f->w.member)
			err = herd_judge_looks_at(f->w.t, h, path, &look);
		if (!err && look)
			err = add(f, path, &reference);
		if (err)
			return err;
	}
	return 0;
}

/*
 * What it has by a record of its own. 1: bytes, owner and rights are the
 * reference's, and that is nothing (if unlike).
 */
static int own_variant(const struct whom *w, uint32_t path, const void *encoded,
		       size_t len, bool unlike, struct herd_variant *ret)
{
	uint32_t reference = w->h->group.reference;
	struct herd_entry own, ref = { .absent = true };
	struct herd_variant theirs;
	int err = herd_entry_decode(encoded, len, &own);

	if (!err)
		err = herd_entry_get_own(w->t, reference, path, &ref);
	if (err && err != -ENOENT)
		return err;
	herd_variant_of(&own, ret);
	herd_variant_of(&ref, &theirs);
	if (unlike && herd_variant_equal(ret, &theirs))
		return 1;
	return herd_variant_against(w->t, w->instance, reference, path, &own,
				    &ref, ret);
}

static int add_own(void *arg, uint32_t path, const void *encoded, size_t len)
{
	struct findings *f = arg;
	const struct herd_herd *h = f->w.h;
	struct herd_variant own;
	bool look, unlike, tallied;
	int err = add_like_reference(f, path);

	if (err)
		return err;
	look = f->next < h->look.n && h->look.v[f->next] == path;
	f->next += look;
	/* a member that differs is tallied itself; to be as the reference is
	   nothing where it is not to be looked at */
	unlike = !look && h->by_ledger && f->w.member;
	/* where nobody differs, only times or places do */
	if (!look && !unlike) {
		err = herd_judge_tallied(f->w.t, h, path, &tallied);
		if (err || !tallied)
			return err;
	}
	err = own_variant(&f->w, path, encoded, len, unlike, &own);
	if (err)
		return err < 0 ? err : 0;
	return add(f, path, &own);
}

static int compare_findings(const void *a, const void *b)
{
	const struct herd_finding *x = a, *y = b;

	return x->path < y->path ? -1 : x->path > y->path;
}

static int add_missing(struct findings *f)
{
	size_t n = 0, had = f->n;
	const struct herd_loose_missing *m =
		herd_loose_missing(&f->w.h->loose, f->w.instance, &n);

	for (size_t i = 0; i < n; i++) {
		int err = reserve(f);

		if (!err)
			err = judge_missing(&f->w, &m[i], &f->v[f->n]);
		if (err)
			return err;
		f->n += f->v[f->n].verdict.class != HERD_CLASS_SAME;
	}
	if (f->n > had)
		qsort(f->v, f->n, sizeof(*f->v), compare_findings);
	return 0;
}

int herd_judge_instance(struct herd_txn *t, const struct herd_herd *h,
			uint32_t instance, struct herd_finding **ret,
			size_t *ret_n, struct herd_diag *diag)
{
	CLEANUP(findings_deinit) struct findings f = { .next = 0 };
	int err = whom_init(&f.w, t, h, instance, diag);

	if (err)
		return err;
	if (instance != h->group.reference)
		err = herd_entry_each(t, instance, add_own, &f);
	if (!err)
		err = add_like_reference(&f, (uint64_t)UINT32_MAX + 1);
	if (!err && !(f.w.h->without & HERD_WITHOUT_MISSING))
		err = add_missing(&f);
	if (err)
		return failed(&f.w, err, diag);
	*ret = TAKE_PTR(f.v);
	*ret_n = f.n;
	return 0;
}
