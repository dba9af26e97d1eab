/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The last step of clustering from nothing: numbers the clusters and keeps
 * what later questions need.
 */
#include "index/cluster_work.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- numbers ---- */

struct numbered {
	uint32_t size, first; /* first: a member's id */
	uint32_t class;	      /* or NONE: set aside */
};

static int compare_numbered(const void *a, const void *b)
{
	const struct numbered *x = a, *y = b;
	bool xa = x->class == HERD_CLUSTER_NONE;
	bool ya = y->class == HERD_CLUSTER_NONE;

	if (xa != ya)
		return xa ? 1 : -1;
	if (x->size != y->size)
		return x->size > y->size ? -1 : 1;
	return x->first < y->first ? -1 : x->first > y->first;
}

static int number_clusters(struct herd_cluster_work *w, uint32_t *of_class)
{
	struct herd_clustering *c = w->c;
	CLEANUP_FREE struct numbered *v =
		calloc((size_t)w->n_all + 1, sizeof(*v));
	uint32_t n = 0;

	if (!v)
		return -ENOMEM;
	for (uint32_t i = 0; i < w->n_classes; i++)
		if (w->classes[i].into == HERD_CLUSTER_NONE)
			v[n++] = (struct numbered){
				.size = w->classes[i].size,
				.class = i,
				.first = w->m[w->classes[i].low]->id
			};
	for (uint32_t i = 0; i < w->n_all; i++)
		if (w->all[i]->n > HERD_CLUSTER_OWN_MAX)
			v[n++] = (struct numbered){ .size = 1,
						    .class = HERD_CLUSTER_NONE,
						    .first = w->all[i]->id };
	qsort(v, n, sizeof(*v), compare_numbered);

	c->clusters = calloc((size_t)n + 1, sizeof(*c->clusters));
	c->labels = calloc((size_t)n * c->words + 1, sizeof(*c->labels));
	if (!c->clusters || !c->labels)
		return -ENOMEM;
	c->n_clusters = n;
	for (uint32_t i = 0; i < n; i++) {
		c->clusters[i].size = v[i].size;
		c->clusters[i].first = v[i].first;
		c->clusters[i].set_aside = v[i].class == HERD_CLUSTER_NONE;
		if (c->clusters[i].set_aside)
			continue;
		of_class[v[i].class] = i;
		memcpy(c->labels + (size_t)i * c->words,
		       w->classes[v[i].class].label,
		       c->words * sizeof(*c->labels));
	}
	return 0;
}

/* cluster: of the partaking members, by their number. */
static int list_members(struct herd_cluster_work *w, const uint32_t *cluster)
{
	struct herd_clustering *c = w->c;
	CLEANUP_FREE uint32_t *next =
		calloc((size_t)c->n_clusters + 1, sizeof(*next));
	uint32_t aside = c->n_clusters, part = 0;

	c->start = calloc((size_t)c->n_clusters + 1, sizeof(*c->start));
	c->ids = calloc((size_t)w->n_all + 1, sizeof(*c->ids));
	c->by_id = calloc((size_t)w->n_all + 1, sizeof(*c->by_id));
	if (!next || !c->start || !c->ids || !c->by_id)
		return -ENOMEM;
	for (uint32_t i = 0; i < c->n_clusters; i++) {
		c->start[i + 1] = c->start[i] + c->clusters[i].size;
		next[i] = c->start[i];
	}
	/* those set aside come last, in order of id */
	while (aside && c->clusters[aside - 1].set_aside)
		aside--;
	for (uint32_t i = 0; i < w->n_all; i++) {
		uint32_t k = w->all[i]->n > HERD_CLUSTER_OWN_MAX ?
				     aside++ :
				     cluster[part++];

		c->ids[next[k]++] = w->all[i]->id;
		c->by_id[i] = (struct herd_cluster_rec){ .key = w->all[i]->id,
							 .a = k };
	}
	c->n_members = w->n_all;
	return 0;
}

/* ---- what is kept of the features ---- */

/* What one member alone has, but for its block, is nobody else's business. */
static bool kept(const struct herd_cluster_set *s)
{
	return s->count > 1 || s->block != HERD_CLUSTER_NONE;
}

static int room(struct herd_cluster_work *w)
{
	struct herd_clustering *c = w->c;
	size_t atoms = 0, features = 0, holders = 0;

	for (uint32_t i = 0; i < w->n_sets; i++) {
		if (!kept(&w->sets[i]))
			continue;
		atoms++;
		features += w->sets[i].n_runs;
		holders += w->sets[i].count < c->n_clusters ? w->sets[i].count :
							      c->n_clusters;
	}
	c->atoms = calloc(atoms + 1, sizeof(*c->atoms));
	c->features = calloc(features + 1, sizeof(*c->features));
	c->pairs = calloc(holders + 1, sizeof(*c->pairs));
	return c->atoms && c->features && c->pairs ? 0 : -ENOMEM;
}

static int compare_pair(const void *a, const void *b)
{
	const struct herd_cluster_pair *x = a, *y = b;

	return x->cluster < y->cluster ? -1 : x->cluster > y->cluster;
}

/* slot: zeros, one a cluster, and left so. */
static void add_pairs(struct herd_cluster_work *w,
		      const struct herd_cluster_set *s, const uint32_t *cluster,
		      uint32_t *slot)
{
	struct herd_clustering *c = w->c;
	const struct herd_cluster_rec *h = herd_cluster_holders(w, s);
	uint32_t first = c->n_pairs;

	for (uint32_t i = 0; i < s->count; i++) {
		uint32_t k = cluster[h[i].a];

		if (!slot[k]) {
			c->pairs[c->n_pairs++].cluster = k;
			slot[k] = c->n_pairs;
		}
		c->pairs[slot[k] - 1].count++;
	}
	for (uint32_t i = first; i < c->n_pairs; i++)
		slot[c->pairs[i].cluster] = 0;
	qsort(c->pairs + first, c->n_pairs - first, sizeof(*c->pairs),
	      compare_pair);
}

static int keep_atoms(struct herd_cluster_work *w, const uint32_t *cluster)
{
	struct herd_clustering *c = w->c;
	CLEANUP_FREE uint32_t *slot =
		calloc((size_t)c->n_clusters + 1, sizeof(*slot));
	int err = room(w);

	if (!slot || err)
		return -ENOMEM;
	for (uint32_t i = 0; i < w->n_sets; i++) {
		const struct herd_cluster_set *s = &w->sets[i];

		if (!kept(s))
			continue;
		c->atoms[c->n_atoms] =
			(struct herd_cluster_atom){ .count = s->count,
						    .sum = s->sum,
						    .block = s->block,
						    .pair = c->n_pairs };
		add_pairs(w, s, cluster, slot);
		for (uint32_t k = s->run; k < s->run + s->n_runs; k++)
			c->features[c->n_features++] =
				(struct herd_cluster_rec){
					.key = w->held[w->runs[k].a].key,
					.a = c->n_atoms,
					.b = w->runs[k].b & 1
				};
		c->n_atoms++;
	}
	c->atoms[c->n_atoms].pair = c->n_pairs;
	herd_cluster_sort(c->features, w->tmp, c->n_features);
	return 0;
}

int herd_cluster_build(struct herd_cluster_work *w)
{
	CLEANUP_FREE uint32_t *of_class =
		calloc((size_t)w->n_classes + 1, sizeof(*of_class));
	CLEANUP_FREE uint32_t *cluster =
		calloc((size_t)w->n + 1, sizeof(*cluster));
	int err;

	if (!of_class || !cluster)
		return -ENOMEM;
	err = number_clusters(w, of_class);
	if (err)
		return err;
	for (uint32_t i = 0; i < w->n; i++)
		cluster[i] = of_class[w->root[i]];
	err = list_members(w, cluster);
	return err ? err : keep_atoms(w, cluster);
}
