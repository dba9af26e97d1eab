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
#include "index/judge.h"

#include "index/knowledge.h"
#include "index/loose.h"

#include <string.h>

/* A path with more variants than this is read once and kept, abridged… */
#define KEEP_VARIANTS 8
/* …as long as all of them stay within this many bytes. */
#define KEEP_BYTES (32u << 20)
/* How many members are asked who has the reference's variant. */
#define HOLDER_TRIES 256

struct ids {
	uint32_t *v;
	size_t n, cap;
};

/* The abridged tallies of one path; see struct herd_stack. */
struct kept {
	uint32_t path, left_out;
	struct herd_tally *v;
	size_t n;
};

struct herd_herd {
	struct herd_group group;
	struct ids members;	/* by id */
	struct ids tallied;	/* paths at which some member differs */
	struct ids look;	/* to be looked at for everybody */
	struct herd_loose loose;	/* names in folders that are volatile */
	struct kept *kept;	/* by path */
	size_t n_kept, cap_kept, kept_bytes;
	const struct herd_knowledge *knowledge;
};

static int ids_add(struct ids *l, uint32_t id)
{
	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 64;
		uint32_t *v = reallocarray(l->v, cap, sizeof(*v));

		if (!v)
			return -ENOMEM;
		l->v = v;
		l->cap = cap;
	}
	l->v[l->n++] = id;
	return 0;
}

static int compare_id(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static bool ids_have(const struct ids *l, uint32_t id)
{
	return l->n && bsearch(&id, l->v, l->n, sizeof(id), compare_id);
}

static void ids_sort(struct ids *l)
{
	size_t n = 0;

	if (l->n)
		qsort(l->v, l->n, sizeof(*l->v), compare_id);
	for (size_t i = 0; i < l->n; i++)
		if (!n || l->v[n - 1] != l->v[i])
			l->v[n++] = l->v[i];
	l->n = n;
}

void herd_herd_destroy(struct herd_herd *h)
{
	if (!h)
		return;
	for (size_t i = 0; i < h->n_kept; i++)
		free(h->kept[i].v);
	free(h->kept);
	free(h->members.v);
	free(h->tallied.v);
	free(h->look.v);
	herd_loose_deinit(&h->loose);
	free(h);
}

static void cleanup_herd(struct herd_herd **h)
{
	herd_herd_destroy(*h);
}

const struct herd_group *herd_herd_group(const struct herd_herd *h)
{
	return &h->group;
}

void herd_herd_set_knowledge(struct herd_herd *h,
			     const struct herd_knowledge *k)
{
	h->knowledge = k;
}

const struct herd_knowledge *herd_herd_knowledge(const struct herd_herd *h)
{
	return h->knowledge;
}

/* ---- what members have at a path ---- */

/* Borrowed from the herd, or read and owned. */
struct stack {
	struct herd_stack s;
	struct herd_tally *owned;
};

static void stack_deinit(struct stack *s)
{
	free(s->owned);
}

static int compare_kept(const void *a, const void *b)
{
	const struct kept *x = a, *y = b;

	return x->path < y->path ? -1 : x->path > y->path;
}

static int stack_get(struct herd_txn *t, const struct herd_herd *h,
		     uint32_t path, struct stack *ret)
{
	struct kept key = { .path = path };
	const struct kept *kept = !h->n_kept ? NULL :
		bsearch(&key, h->kept, h->n_kept, sizeof(key), compare_kept);
	int err;

	ret->s = (struct herd_stack){ .members = h->group.members,
				      .alike = herd_loose_alike(&h->loose,
								path) };
	if (kept) {
		ret->s.tallies = kept->v;
		ret->s.n = kept->n;
		ret->s.left_out = kept->left_out;
		return 0;
	}
	err = herd_tally_get(t, &h->group, path, &ret->owned, &ret->s.n);
	ret->s.tallies = ret->owned;
	return err;
}

/* The variant that an instance has, absent when it has none. */
static int variant_get(struct herd_txn *t, const struct herd_herd *h,
		       uint32_t instance, uint32_t path,
		       struct herd_variant *ret)
{
	struct herd_entry e;
	int err = herd_entry_get(t, instance, h->group.reference, path, &e);

	if (err && err != -ENOENT)
		return err;
	if (err)
		e = (struct herd_entry){ .absent = true };
	herd_variant_of(&e, ret);
	return 0;
}

/* ---- what is the same for every member ---- */

struct making {
	struct herd_txn *t;
	struct herd_herd *h;
};

/* Keeps the variants that can be the herd's, takes them out of s. */
static int keep(struct herd_herd *h, uint32_t path, struct stack *s,
		const struct herd_variant *baseline)
{
	size_t n = 0, singles = 0;

	if (h->n_kept == h->cap_kept) {
		size_t cap = h->cap_kept ? h->cap_kept * 2 : 16;
		struct kept *v = reallocarray(h->kept, cap, sizeof(*v));

		if (!v)
			return -ENOMEM;
		h->kept = v;
		h->cap_kept = cap;
	}
	for (size_t i = 0; i < s->s.n; i++)
		if (s->owned[i].count > 1 || singles++ < 2 ||
		    (baseline &&
		     herd_variant_equal(&s->owned[i].variant, baseline)))
			s->owned[n++] = s->owned[i];
	if (h->kept_bytes + n * sizeof(*s->owned) > KEEP_BYTES)
		return 0;
	struct herd_tally *v = reallocarray(s->owned, n, sizeof(*v));

	if (v)
		s->owned = v;
	h->kept[h->n_kept++] = (struct kept){
		.path = path, .v = TAKE_PTR(s->owned), .n = n,
		.left_out = (uint32_t)(s->s.n - n) };
	h->kept_bytes += n * sizeof(*v);
	return 0;
}

/* Notes a path that one member alone has, and the baseline has not. */
static int note_name(struct making *m, uint32_t path,
		     const struct herd_stack *s,
		     const struct herd_variant *baseline)
{
	const struct herd_tally *only = NULL;
	uint64_t present = 0;

	for (size_t i = 0; i < s->n && present < 2; i++) {
		if (s->tallies[i].variant.absent)
			continue;
		present += s->tallies[i].count;
		only = &s->tallies[i];
	}
	if (present != 1 || (baseline && !baseline->absent))
		return 0;
	return herd_loose_add(&m->h->loose, m->t, path, only->holder,
			      &only->variant);
}

static int make_path(void *arg, uint32_t path)
{
	struct making *m = arg;
	struct herd_herd *h = m->h;
	CLEANUP(stack_deinit) struct stack s = { 0 };
	struct herd_variant reference, baseline, *compared = NULL;
	struct herd_verdict verdict;
	int err = ids_add(&h->tallied, path);

	if (h->group.baseline)
		compared = &baseline;
	if (!err)
		err = stack_get(m->t, h, path, &s);
	if (!err)
		err = variant_get(m->t, h, h->group.reference, path,
				  &reference);
	if (!err && compared)
		err = variant_get(m->t, h, h->group.baseline, path, compared);
	if (err)
		return err;
	herd_judge_stack(&s.s, &reference, true, compared, &verdict);
	if (verdict.class != HERD_CLASS_SAME)
		err = ids_add(&h->look, path);
	if (!err)
		err = note_name(m, path, &s.s, compared);
	if (!err && s.s.n > KEEP_VARIANTS)
		err = keep(h, path, &s, compared);
	return err;
}

static int make_baseline_path(void *arg, uint32_t path, const void *encoded,
			      size_t len)
{
	struct making *m = arg;
	struct herd_variant own, reference;
	struct herd_entry e;
	int err = herd_entry_decode(encoded, len, &e);

	if (!err)
		err = variant_get(m->t, m->h, m->h->group.reference, path,
				  &reference);
	if (err)
		return err;
	herd_variant_of(&e, &own);
	return herd_variant_equal(&own, &reference) ? 0 :
	       ids_add(&m->h->look, path);
}

static int make_member(void *arg, uint32_t id, uint32_t group,
		       enum herd_role role, const char *name)
{
	struct herd_herd *h = arg;

	(void)group;
	(void)name;
	return role == HERD_ROLE_MEMBER ? ids_add(&h->members, id) : 0;
}

int herd_herd_make(struct herd_txn *t, const struct herd_group *g,
		   struct herd_herd **ret, struct herd_diag *diag)
{
	CLEANUP(cleanup_herd) struct herd_herd *h = calloc(1, sizeof(*h));
	struct making m = { .t = t, .h = h };
	int err;

	if (!h)
		return -ENOMEM;
	h->group = *g;
	err = herd_instance_each_name(t, g->id, make_member, h);
	if (!err && g->reference)
		err = herd_tally_each_path(t, g->id, make_path, &m);
	if (!err)
		err = herd_loose_settle(&h->loose, t, g->members,
					g->baseline != 0);
	if (!err && g->baseline && g->baseline != g->reference)
		err = herd_entry_each(t, g->baseline, make_baseline_path, &m);
	if (err)
		return herd_diag_set(diag, err, g->name, HERD_NO_OFFSET,
				     "the herd's statistics cannot be read: %s",
				     strerror(-err));
	ids_sort(&h->members);
	ids_sort(&h->tallied);
	ids_sort(&h->look);
	*ret = TAKE_PTR(h);
	return 0;
}

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
		err = variant_get(t, h, h->members.v[i], path, &v);
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
	err = variant_get(t, h, h->group.baseline, path, &v);
	if (!err && herd_variant_equal(&v, wanted))
		*ret = h->group.baseline;
	return err;
}

/* Whom to judge. */
struct whom {
	struct herd_txn *t;
	const struct herd_herd *h;
	uint32_t instance;
	bool member;
};

static int judge(const struct whom *w, uint32_t path,
		 const struct herd_variant *own, struct herd_finding *ret)
{
	const struct herd_group *g = &w->h->group;
	CLEANUP(stack_deinit) struct stack s = { 0 };
	struct herd_variant baseline;
	struct herd_finding f = { .path = path, .own_absent = own->absent };
	int err = stack_get(w->t, w->h, path, &s);

	if (!err && g->baseline)
		err = variant_get(w->t, w->h, g->baseline, path, &baseline);
	if (err)
		return err;
	herd_judge_stack(&s.s, own, w->member, g->baseline ? &baseline : NULL,
			 &f.verdict);
	if (f.verdict.herd < s.s.n) {
		const struct herd_tally *herd = &s.s.tallies[f.verdict.herd];

		f.herd_absent = herd->variant.absent;
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
	if (!err && w->h->knowledge)
		err = herd_knowledge_apply(w->h->knowledge,
			&(struct herd_matter){ w->t, g, w->instance, own,
				f.verdict.herd < s.s.n ?
				&s.s.tallies[f.verdict.herd].variant :
				g->baseline ? &baseline : NULL }, &f);
	if (!err)
		*ret = f;
	return err;
}

static int whom_init(struct whom *w, struct herd_txn *t,
		     const struct herd_herd *h, uint32_t instance,
		     struct herd_diag *diag)
{
	*w = (struct whom){ .t = t, .h = h, .instance = instance,
			    .member = ids_have(&h->members, instance) };
	if (instance && (w->member || instance == h->group.baseline ||
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
	err = variant_get(t, h, instance, path, &own);
	if (!err)
		err = judge(&w, path, &own, &f);
	if (err)
		return failed(&w, err, diag);
	if (own.absent && f.herd_absent && f.verdict.variants <= 1 &&
	    !f.verdict.baseline_reasons)
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

static int add(struct findings *f, uint32_t path, const struct herd_variant *own)
{
	if (f->n == f->cap) {
		size_t cap = f->cap ? f->cap * 2 : 64;
		struct herd_finding *v = reallocarray(f->v, cap, sizeof(*v));

		if (!v)
			return -ENOMEM;
		f->v = v;
		f->cap = cap;
	}
	int err = judge(&f->w, path, own, &f->v[f->n]);

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
		int err = variant_get(f->w.t, h, h->group.reference, path,
				      &reference);

		if (!err)
			err = add(f, path, &reference);
		if (err)
			return err;
	}
	return 0;
}

static int add_own(void *arg, uint32_t path, const void *encoded, size_t len)
{
	struct findings *f = arg;
	const struct herd_herd *h = f->w.h;
	struct herd_variant own;
	struct herd_entry e;
	bool look;
	int err = add_like_reference(f, path);

	if (err)
		return err;
	look = f->next < h->look.n && h->look.v[f->next] == path;
	f->next += look;
	/* where nobody differs, only times or places do */
	if (!look && !ids_have(&h->tallied, path))
		return 0;
	err = herd_entry_decode(encoded, len, &e);
	if (err)
		return err;
	herd_variant_of(&e, &own);
	return add(f, path, &own);
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
	if (err)
		return failed(&f.w, err, diag);
	*ret = TAKE_PTR(f.v);
	*ret_n = f.n;
	return 0;
}
