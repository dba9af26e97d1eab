/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clustering from nothing: what each member holds is sorted by feature, the
 * features by who holds them (cluster_blocks.c), and members by the blocks
 * that they have.
 */
#include "index/cluster_work.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MIN_POINTS 100
#define MIN_VOUCHED 50
#define MAX_FEATURES ((size_t)8 << 20)

void herd_clustering_destroy(struct herd_clustering *c)
{
	if (!c)
		return;
	free(c->clusters);
	free(c->start);
	free(c->labels);
	free(c->ids);
	free(c->by_id);
	free(c->blocks);
	free(c->atoms);
	free(c->pairs);
	free(c->features);
	free(c);
}

static void work_deinit(struct herd_cluster_work *w)
{
	herd_clustering_destroy(w->c);
	free(w->all);
	free(w->m);
	free(w->held);
	free(w->tmp);
	free(w->runs);
	free(w->sets);
	free(w->labels);
	free(w->alone);
	free(w->order);
	free(w->classes);
	free(w->root);
}

/* ---- members ---- */

static int compare_member(const void *a, const void *b)
{
	const struct herd_cluster_member *const *x = a, *const *y = b;

	return (*x)->id < (*y)->id ? -1 : (*x)->id > (*y)->id;
}

/* By id, those with too many features set aside. */
static int take_members(struct herd_cluster_work *w,
			const struct herd_cluster_member *m, size_t n)
{
	if (n > HERD_CLUSTER_MEMBERS_MAX)
		return -EOVERFLOW;
	w->all = calloc(n + 1, sizeof(*w->all));
	w->m = calloc(n + 1, sizeof(*w->m));
	if (!w->all || !w->m)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		w->all[i] = &m[i];
	w->n_all = (uint32_t)n;
	qsort(w->all, n, sizeof(*w->all), compare_member);
	for (size_t i = 0; i < n; i++) {
		if (i && w->all[i]->id == w->all[i - 1]->id)
			return -EINVAL;
		if (w->all[i]->n <= HERD_CLUSTER_OWN_MAX)
			w->m[w->n++] = w->all[i];
		w->c->known |= w->all[i]->vouched != NULL;
	}
	w->c->partaking = w->n;
	return 0;
}

/* ---- who holds what ---- */

static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

/* All that anybody holds, by feature, then by member. */
static int gather(struct herd_cluster_work *w, size_t max)
{
	size_t n = 0;

	for (uint32_t i = 0; i < w->n; i++)
		n += w->m[i]->n;
	if (n > max || n > INT32_MAX)
		return -EOVERFLOW;
	w->held = calloc(n + 1, sizeof(*w->held));
	w->tmp = calloc(n + 1, sizeof(*w->tmp));
	if (!w->held || !w->tmp)
		return -ENOMEM;
	for (uint32_t i = 0; i < w->n; i++) {
		const struct herd_cluster_member *m = w->m[i];

		for (size_t k = 0; k < m->n; k++) {
			if (k && m->features[k] <= m->features[k - 1])
				return -EINVAL;
			w->held[w->n_held++] = (struct herd_cluster_rec){
				.key = m->features[k],
				.a = i,
				.b = m->vouched && m->vouched[k]
			};
		}
	}
	herd_cluster_sort(w->held, w->tmp, w->n_held);
	return 0;
}

/*
 * One record a feature: key stands for the set of its holders (a sum of what
 * is as good as random for each: equal by accident once in 2^64), a is its
 * first in held, b the number of holders and whether most vouch for it.
 */
static int find_runs(struct herd_cluster_work *w)
{
	size_t n = 0;

	for (size_t i = 0; i < w->n_held; i++)
		n += !i || w->held[i].key != w->held[i - 1].key;
	w->runs = calloc(n + 1, sizeof(*w->runs));
	if (!w->runs)
		return -ENOMEM;
	for (size_t i = 0, end; i < w->n_held; i = end) {
		uint64_t set = 0;
		uint32_t vouched = 0;

		for (end = i;
		     end < w->n_held && w->held[end].key == w->held[i].key;
		     end++) {
			set += mix(w->m[w->held[end].a]->id);
			vouched += w->held[end].b;
		}
		uint32_t count = (uint32_t)(end - i);

		w->runs[w->n_runs++] =
			(struct herd_cluster_rec){ .key = set,
						   .a = (uint32_t)i,
						   .b = count << 1 |
							(2 * vouched > count) };
	}
	herd_cluster_sort(w->runs, w->tmp, w->n_runs);
	return 0;
}

static int find_sets(struct herd_cluster_work *w)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < w->n_runs; i++)
		n += !i || w->runs[i].key != w->runs[i - 1].key;
	w->sets = calloc((size_t)n + 1, sizeof(*w->sets));
	if (!w->sets)
		return -ENOMEM;
	for (uint32_t i = 0; i < w->n_runs; i++) {
		struct herd_cluster_set *s;

		if (!i || w->runs[i].key != w->runs[i - 1].key)
			w->sets[w->n_sets++] = (struct herd_cluster_set){
				.set = w->runs[i].key,
				.run = i,
				.count = w->runs[i].b >> 1,
				.block = HERD_CLUSTER_NONE
			};
		s = &w->sets[w->n_sets - 1];
		s->n_runs++;
		if (w->runs[i].b & 1)
			s->sum.vouched++;
		else
			s->sum.bare++;
	}
	return 0;
}

/* ---- classes of members ---- */

static int compare_label(const void *a, const void *b, void *arg)
{
	const struct herd_cluster_work *w = arg;
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	size_t words = w->c->words;
	int r = memcmp(w->labels + x * words, w->labels + y * words,
		       words * sizeof(*w->labels));

	return r ? r : x < y ? -1 : x > y;
}

static int find_classes(struct herd_cluster_work *w)
{
	size_t words = w->c->words;

	w->order = calloc((size_t)w->n + 1, sizeof(*w->order));
	w->classes = calloc((size_t)w->n + 1, sizeof(*w->classes));
	w->root = calloc((size_t)w->n + 1, sizeof(*w->root));
	if (!w->order || !w->classes || !w->root)
		return -ENOMEM;
	for (uint32_t i = 0; i < w->n; i++)
		w->order[i] = i;
	qsort_r(w->order, w->n, sizeof(*w->order), compare_label, w);
	for (uint32_t i = 0; i < w->n; i++) {
		const uint64_t *label = w->labels + w->order[i] * words;

		if (!i || memcmp(label, w->classes[w->n_classes - 1].label,
				 words * sizeof(*label)))
			w->classes[w->n_classes++] =
				(struct herd_cluster_class){
					.label = label,
					.low = w->order[i],
					.into = HERD_CLUSTER_NONE
				};
		w->root[w->order[i]] = w->n_classes - 1;
		w->classes[w->n_classes - 1].size++;
	}
	return 0;
}

/* Small ones first, for what they join may grow large enough. */
static int compare_class(const void *a, const void *b, void *arg)
{
	const struct herd_cluster_work *w = arg;
	const struct herd_cluster_class *x = &w->classes[*(const uint32_t *)a];
	const struct herd_cluster_class *y = &w->classes[*(const uint32_t *)b];

	if (x->size != y->size)
		return x->size < y->size ? -1 : 1;
	return x->low < y->low ? -1 : x->low > y->low;
}

/* The class that is nearest, the larger among equals; NONE: there is no other. */
static uint32_t nearest_class(const struct herd_cluster_work *w, uint32_t of)
{
	uint32_t best = HERD_CLUSTER_NONE;
	uint64_t best_points = 0;
	bool alone;

	for (uint32_t i = 0; i < w->n_classes; i++) {
		const struct herd_cluster_class *x = &w->classes[i], *b;
		uint64_t points;

		if (i == of || x->into != HERD_CLUSTER_NONE)
			continue;
		points = herd_cluster_points(herd_cluster_between(
			w->c, w->classes[of].label, x->label, &alone));
		b = best == HERD_CLUSTER_NONE ? NULL : &w->classes[best];
		if (!b || points < best_points ||
		    (points == best_points && x->size > b->size) ||
		    (points == best_points && x->size == b->size &&
		     x->low < b->low)) {
			best = i;
			best_points = points;
		}
	}
	return best;
}

/*
 * A class of one or two comes about where larger blocks cross, an intrusion
 * and a deployment for one. What lies between it and the nearest must be
 * believed of so few; otherwise it is part of that.
 */
static int merge_small(struct herd_cluster_work *w)
{
	CLEANUP_FREE uint32_t *small =
		calloc((size_t)w->n_classes + 1, sizeof(*small));
	uint32_t n = 0;

	if (!small)
		return -ENOMEM;
	for (uint32_t i = 0; i < w->n_classes; i++)
		if (w->classes[i].size <= 2 && !w->alone[w->classes[i].low])
			small[n++] = i;
	qsort_r(small, n, sizeof(*small), compare_class, w);
	for (uint32_t i = 0; i < n; i++) {
		struct herd_cluster_class *x = &w->classes[small[i]], *to;
		struct herd_cluster_sum between;
		uint32_t near;
		bool alone;

		if (x->size > 2)
			continue;
		near = nearest_class(w, small[i]);
		if (near == HERD_CLUSTER_NONE)
			break;
		to = &w->classes[near];
		between =
			herd_cluster_between(w->c, x->label, to->label, &alone);
		if (alone || herd_cluster_believed(w->c, between, 0))
			continue;
		x->into = near;
		to->size += x->size;
		if (x->low < to->low)
			to->low = x->low;
	}
	for (uint32_t i = 0; i < w->n; i++)
		while (w->classes[w->root[i]].into != HERD_CLUSTER_NONE)
			w->root[i] = w->classes[w->root[i]].into;
	return 0;
}

/* ---- */

static int from_nothing(struct herd_cluster_work *w, size_t max)
{
	int err = gather(w, max);

	if (!err)
		err = find_runs(w);
	if (!err)
		err = find_sets(w);
	if (!err)
		err = herd_cluster_find_blocks(w);
	if (!err)
		err = find_classes(w);
	if (!err)
		err = merge_small(w);
	if (!err)
		err = herd_cluster_build(w);
	return err ? err : herd_cluster_describe(w->c);
}

int herd_cluster(const struct herd_cluster_member *m, size_t n,
		 const struct herd_cluster_options *opt,
		 struct herd_clustering **ret)
{
	static const struct herd_cluster_options none;
	CLEANUP(work_deinit) struct herd_cluster_work w = { 0 };
	int err;

	if (!opt)
		opt = &none;
	w.c = calloc(1, sizeof(*w.c));
	if (!w.c)
		return -ENOMEM;
	w.c->min_points = opt->min_points ? opt->min_points : MIN_POINTS;
	w.c->min_vouched = opt->min_vouched ? opt->min_vouched : MIN_VOUCHED;
	err = take_members(&w, m, n);
	if (!err)
		err = from_nothing(&w, opt->max_features ? opt->max_features :
							   MAX_FEATURES);
	if (err)
		return err;
	*ret = TAKE_PTR(w.c);
	return 0;
}
