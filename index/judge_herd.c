/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is the same for every member of a herd: which paths have to be looked
 * at for everybody, which names are loose, and the stacks of paths with a
 * thousand versions.
 *
 * Threads: as index/judge.h says.
 */
#include "index/judge_internal.h"

#include "index/idmap.h"
#include "index/place.h"

#include <string.h>

/* A path with more variants than this is read once and kept, abridged… */
#define KEEP_VARIANTS 8
/* …as long as all of them stay within this many bytes. */
#define KEEP_BYTES (32u << 20)

int herd_ids_add(struct herd_ids *l, uint32_t id)
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

bool herd_ids_have(const struct herd_ids *l, uint32_t id)
{
	return l->n && bsearch(&id, l->v, l->n, sizeof(id), compare_id);
}

void herd_ids_sort(struct herd_ids *l)
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
	for (size_t i = 0; i < h->n_kept; i++) {
		free(h->kept[i].v);
		free(h->kept[i].coarse);
	}
	free(h->kept);
	free(h->members.v);
	free(h->tallied.v);
	free(h->look.v);
	free(h->rows);
	for (size_t i = 0; i < h->n_parts; i++)
		herd_herd_destroy(h->parts[i]);
	free(h->parts);
	herd_clustering_destroy(h->clustering);
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

bool herd_herd_by_ledger(const struct herd_herd *h)
{
	return h->by_ledger;
}

void herd_herd_set_knowledge(struct herd_herd *h,
			     const struct herd_knowledge *k)
{
	h->knowledge = k;
	for (size_t i = 0; i < h->n_parts; i++)
		if (h->parts[i])
			h->parts[i]->knowledge = k;
}

const struct herd_knowledge *herd_herd_knowledge(const struct herd_herd *h)
{
	return h->knowledge;
}

/* ---- what members have at a path ---- */

void herd_stacked_deinit(struct herd_judge_stacked *s)
{
	free(s->owned);
}

static int compare_kept(const void *a, const void *b)
{
	const struct herd_kept *x = a, *y = b;

	return x->path < y->path ? -1 : x->path > y->path;
}

/* Asked for where the answer can matter: names are looked up for it. */
static int find_place(struct herd_txn *t, const struct herd_herd *h,
		      uint32_t path, struct herd_stack *s)
{
	CLEANUP_BUF struct herd_buf name = HERD_BUF_INIT;

	if ((s->n + s->left_out <= 2 && s->members > 2 && !s->alike) ||
	    (h->without & HERD_WITHOUT_PLACES))
		return 0;
	int err = herd_path_full(t, path, &name);

	if (err)
		return err;
	s->place = herd_place_of((const char *)name.data, name.len);
	s->log = herd_place_is_log((const char *)name.data, name.len);
	return 0;
}

/* Of a part of the herd: what was counted when it was made. */
static int part_tallies(struct herd_txn *t, const struct herd_herd *h,
			uint32_t path, struct herd_judge_stacked *ret)
{
	size_t low = 0, high = h->n_rows, n = 1;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (h->rows[mid].path < path)
			low = mid + 1;
		else
			high = mid;
	}
	while (low + n - 1 < h->n_rows && h->rows[low + n - 1].path == path)
		n++;
	ret->owned = calloc(n, sizeof(*ret->owned));
	if (!ret->owned)
		return -ENOMEM;
	for (size_t i = 1; i < n; i++)
		ret->owned[i] = h->rows[low + i - 1].tally;
	ret->s.n = n;
	return herd_tally_complete(t, &h->group, path, h->group.members,
				   ret->owned, &ret->s.n);
}

int herd_stacked_get(struct herd_txn *t, const struct herd_herd *h,
		     uint32_t path, struct herd_judge_stacked *ret)
{
	struct herd_kept key = { .path = path };
	int err = 0;

	ret->kept = !h->n_kept ? NULL :
		bsearch(&key, h->kept, h->n_kept, sizeof(key), compare_kept);
	ret->s = (struct herd_stack){ .members = h->group.members };
	ret->s.alike = herd_loose_alike(&h->loose, path, &ret->s.templated);
	if (ret->kept) {
		ret->s.tallies = ret->kept->v;
		ret->s.n = ret->kept->n;
		ret->s.left_out = ret->kept->left_out;
	} else {
		err = h->is_part ? part_tallies(t, h, path, ret) :
			herd_tally_get(t, &h->group, path, &ret->owned,
				       &ret->s.n);
		ret->s.tallies = ret->owned;
	}
	return err ? err : find_place(t, h, path, &ret->s);
}

/* ---- what is the same for every member ---- */

struct making {
	struct herd_txn *t;
	struct herd_herd *h;
	struct herd_idmap alone;	/* holder → versions that it has alone */
	uint64_t lacks;	/* versions that all have but one */
};

/* Could there be bands? What the reference lacks and all others have is a
   feature of theirs, and one of what it has alone. */
static int note_sign(struct making *m, uint32_t count, uint32_t holder)
{
	uint32_t members = m->h->group.members;
	uint64_t *alone;

	if (count > 1 && count + 1 < members)
		m->h->shared++;
	else if (count > 1)
		m->lacks += count < members;
	else if (count == 1 && (alone = herd_idmap_get(&m->alone, holder)))
		++*alone;
	else if (count == 1)
		return herd_idmap_put(&m->alone, holder, 1);
	return 0;
}

static int note_signs(struct making *m, const struct herd_stack *s,
		      const struct herd_variant *reference)
{
	int err = 0;

	for (size_t i = 0; i < s->n && !err; i++) {
		const struct herd_tally *tally = &s->tallies[i];

		err = herd_variant_equal(&tally->variant, reference) ?
			note_sign(m, tally->tokens, 0) :
			note_sign(m, tally->count, tally->holder);
	}
	return err;
}

/* Whose one version that is is not known of a few: they count for everybody,
   as does what one lacks. */
static int sum_signs(struct making *m)
{
	CLEANUP_FREE uint64_t *holders = NULL;
	const uint64_t *unheld = herd_idmap_get(&m->alone, 0);
	size_t n = 0, most = 0;
	int err = herd_idmap_keys(&m->alone, &holders, &n);

	for (size_t i = 0; i < n && !err; i++) {
		uint64_t alone = *herd_idmap_get(&m->alone, holders[i]);

		if (holders[i] && alone > most)
			most = alone;
	}
	m->h->alone = most + m->lacks + (unheld ? *unheld : 0);
	return err;
}

/* Keeps the variants that can be the herd's, takes them out of s. */
static int keep(struct herd_herd *h, uint32_t path, struct herd_judge_stacked *s,
		const struct herd_variant *baseline)
{
	CLEANUP_FREE struct herd_tally *coarse =
		calloc(s->s.n, sizeof(*coarse));
	size_t n = 0, singles = 0, n_coarse;

	if (!coarse)
		return -ENOMEM;
	memcpy(coarse, s->owned, s->s.n * sizeof(*coarse));
	n_coarse = herd_tally_coarsen(coarse, s->s.n);
	if (h->kept_bytes + (s->s.n + n_coarse) * sizeof(*coarse) > KEEP_BYTES)
		return 0;
	if (h->n_kept == h->cap_kept) {
		size_t cap = h->cap_kept ? h->cap_kept * 2 : 16;
		struct herd_kept *v = reallocarray(h->kept, cap, sizeof(*v));

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
	struct herd_tally *v = reallocarray(s->owned, n, sizeof(*v));

	if (v)
		s->owned = v;
	h->kept[h->n_kept++] = (struct herd_kept){
		.path = path, .v = TAKE_PTR(s->owned), .n = n,
		.left_out = (uint32_t)(s->s.n - n),
		.coarse = TAKE_PTR(coarse), .n_coarse = n_coarse };
	h->kept_bytes += (n + n_coarse) * sizeof(*v);
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
	CLEANUP(herd_stacked_deinit) struct herd_judge_stacked s = { 0 };
	struct herd_variant reference, baseline, *compared = NULL;
	struct herd_verdict verdict;
	int err = herd_ids_add(&h->tallied, path);

	if (h->group.baseline)
		compared = &baseline;
	if (!err)
		err = herd_stacked_get(m->t, h, path, &s);
	if (!err)
		err = herd_judge_variant(m->t, h, h->group.reference, path,
				  &reference);
	if (!err && compared)
		err = herd_judge_variant(m->t, h, h->group.baseline, path, compared);
	if (err)
		return err;
	herd_judge_stack(&s.s, &reference, true, compared, &verdict);
	if (verdict.class != HERD_CLASS_SAME || herd_tokens_differ(&s.s, &verdict))
		err = herd_ids_add(&h->look, path);
	if (!err && !h->is_part)
		err = note_signs(m, &s.s, &reference);
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
	int err = herd_judge_variant(m->t, m->h, m->h->group.baseline, path, &own);

	(void)encoded;
	(void)len;
	if (!err)
		err = herd_judge_variant(m->t, m->h, m->h->group.reference, path,
				  &reference);
	if (err)
		return err;
	return herd_variant_equal(&own, &reference) ? 0 :
	       herd_ids_add(&m->h->look, path);
}

static int make_member(void *arg, uint32_t id, uint32_t group,
		       enum herd_role role, const char *name)
{
	struct herd_herd *h = arg;

	(void)group;
	(void)name;
	return role == HERD_ROLE_MEMBER ? herd_ids_add(&h->members, id) : 0;
}

/* Each path once at which some member of the part differs. */
static int make_part_paths(struct making *m)
{
	const struct herd_herd *h = m->h;
	int err = 0;

	for (size_t i = 0; i < h->n_rows && !err; i++)
		if (!i || h->rows[i].path != h->rows[i - 1].path)
			err = make_path(m, h->rows[i].path);
	return err;
}

/* Fills h, whose group and members (and rows, of a part) are there. */
static int fill(struct herd_txn *t, struct herd_herd *h)
{
	const struct herd_group *g = &h->group;
	struct making m = { .t = t, .h = h };
	int err = 0;

	herd_ids_sort(&h->members);
	if (h->is_part)
		err = make_part_paths(&m);
	else if (g->reference)
		err = herd_tally_each_path(t, g->id, make_path, &m);
	if (!err)
		err = herd_loose_forms(&h->loose, t);
	if (!err)
		err = herd_loose_settle(&h->loose, h->members.v, h->members.n,
					g->baseline != 0);
	if (!err && g->baseline && g->baseline != g->reference)
		err = herd_entry_each(t, g->baseline, make_baseline_path, &m);
	if (!err)
		err = sum_signs(&m);
	herd_idmap_deinit(&m.alone);
	herd_ids_sort(&h->tallied);
	herd_ids_sort(&h->look);
	return err;
}

int herd_part_make(struct herd_txn *t, const struct herd_group *g,
		   struct herd_part *part, struct herd_herd **ret)
{
	CLEANUP(cleanup_herd) struct herd_herd *h = calloc(1, sizeof(*h));
	int err = h ? 0 : -ENOMEM;

	if (err)
		return err;
	h->group = *g;
	h->group.members = (uint32_t)part->n_members;
	h->is_part = true;
	h->without = part->without;
	h->loose.no_forms = h->without & HERD_WITHOUT_FORMS;
	h->rows = TAKE_PTR(part->rows);
	h->n_rows = part->n_rows;
	for (size_t i = 0; i < part->n_members && !err; i++)
		err = herd_ids_add(&h->members, part->members[i]);
	if (!err)
		err = fill(t, h);
	/* it is held against all as well */
	for (size_t i = 0; i < part->look->n && !err; i++)
		err = herd_ids_add(&h->look, part->look->v[i]);
	herd_ids_sort(&h->look);
	if (!err)
		*ret = TAKE_PTR(h);
	return err;
}

unsigned herd_without_named(const char *name, size_t len)
{
	static const char *const names[] = {
		"forms", "places", "second-look", "logs", "missing",
		"packages", "rotated", "expected", "bands", "ledger",
	};

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		if (strlen(names[i]) == len && !memcmp(names[i], name, len))
			return 1u << i;
	return 0;
}

int herd_herd_make(struct herd_txn *t, const struct herd_group *g,
		   struct herd_herd **ret, struct herd_diag *diag)
{
	return herd_herd_make_without(t, g, 0, ret, diag);
}

static int from_nothing(struct herd_txn *t, struct herd_herd *h)
{
	h->loose.no_forms = h->without & HERD_WITHOUT_FORMS;
	int err = fill(t, h);

	return err || (h->without & HERD_WITHOUT_BANDS) ?
		       err : herd_judge_cluster(t, h);
}

int herd_herd_make_without(struct herd_txn *t, const struct herd_group *g,
			   unsigned without, struct herd_herd **ret,
			   struct herd_diag *diag)
{
	CLEANUP(cleanup_herd) struct herd_herd *h = calloc(1, sizeof(*h));
	int err;

	if (!h)
		return -ENOMEM;
	h->group = *g;
	h->without = without;
	err = herd_instance_each_name(t, g->id, make_member, h);
	herd_ids_sort(&h->members);
	/* 1: from nothing */
	if (!err)
		err = without ? 1 : herd_judge_by_ledger(t, h);
	if (err == 1)
		err = from_nothing(t, h);
	if (err)
		return herd_diag_set(diag, err, g->name, HERD_NO_OFFSET,
				     "the herd's statistics cannot be read: %s",
				     strerror(-err));
	*ret = TAKE_PTR(h);
	return 0;
}
