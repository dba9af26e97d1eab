/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One more member: which blocks it has, and whether it fits what is there. A
 * clustering from nothing would give the same wherever the answer is not
 * "again", but for the sets that are nearly the same.
 */
#include "index/cluster_internal.h"

#include <errno.h>
#include <stdlib.h>

struct fitting {
	const struct herd_clustering *c;
	struct herd_cluster_sum *has; /* by block */
	uint64_t *label;
	struct herd_cluster_sum own; /* what nobody has, or everybody else */
};

static void fitting_deinit(struct fitting *f)
{
	free(f->has);
	free(f->label);
}

static void add(struct herd_cluster_sum *s, bool vouched)
{
	if (vouched)
		s->vouched++;
	else
		s->bare++;
}

static int look_up(struct fitting *f, const struct herd_cluster_member *m)
{
	const struct herd_clustering *c = f->c;

	for (size_t i = 0; i < m->n; i++) {
		const struct herd_cluster_rec *r;
		uint32_t block;

		if (i && m->features[i] <= m->features[i - 1])
			return -EINVAL;
		r = herd_cluster_find(c->features, c->n_features,
				      m->features[i]);
		if (!r) {
			add(&f->own, m->vouched && m->vouched[i]);
			continue;
		}
		block = c->atoms[r->a].block;
		if (block != HERD_CLUSTER_NONE)
			add(&f->has[block], r->b);
	}
	return 0;
}

static bool large(const struct herd_clustering *c, struct herd_cluster_sum s)
{
	return herd_cluster_points(s) >= c->min_points;
}

/*
 * Puts what it has of a block into the label or among its own; true: the block
 * would not be the same with this member.
 */
static bool take_block(struct fitting *f, uint32_t i)
{
	const struct herd_clustering *c = f->c;
	const struct herd_cluster_block *b = &c->blocks[i];
	struct herd_cluster_sum has = f->has[i], lacks;
	uint32_t with, without;
	bool half;

	lacks.vouched = b->sum.vouched - has.vouched;
	lacks.bare = b->sum.bare - has.bare;
	if (b->kind == HERD_BLOCK_ALL) {
		f->own.vouched += lacks.vouched;
		f->own.bare += lacks.bare;
		return false;
	}
	if (large(c, has) && large(c, lacks))
		return true;
	half = 2 * ((uint64_t)has.vouched + has.bare) >=
	       (uint64_t)b->sum.vouched + b->sum.bare;
	if (b->kind != HERD_BLOCK_WATCHED) {
		if (half)
			f->label[i / 64] |= (uint64_t)1 << (i % 64);
		return false;
	}
	with = b->count + half;
	without = c->partaking + 1 - with;
	if (with > 2 && without > 2)
		return true;
	/* it sides with the few, by what is believed of two */
	return half == (with < without) &&
	       herd_cluster_believed(c, half ? has : lacks, 0);
}

/* The cluster with the very label, else the nearest as merge_small finds it. */
static uint32_t nearest_cluster(const struct fitting *f, bool *ret_same,
				bool *ret_apart)
{
	const struct herd_clustering *c = f->c;
	uint32_t best = HERD_CLUSTER_NONE;
	uint64_t best_points = 0;

	*ret_same = *ret_apart = false;
	for (uint32_t i = 0; i < c->n_clusters; i++) {
		struct herd_cluster_sum s;
		uint64_t points;
		bool alone, same;

		if (c->clusters[i].set_aside)
			continue;
		s = herd_cluster_between(
			c, f->label, c->labels + (size_t)i * c->words, &alone);
		points = herd_cluster_points(s);
		same = !points && !alone;
		if (best != HERD_CLUSTER_NONE && !same && points >= best_points)
			continue;
		best = i;
		best_points = points;
		*ret_same = same;
		*ret_apart = alone || herd_cluster_believed(c, s, 0);
		if (same)
			break;
	}
	return best;
}

int herd_clustering_assign(const struct herd_clustering *c,
			   const struct herd_cluster_member *m,
			   enum herd_cluster_fit *ret_fit,
			   uint32_t *ret_cluster)
{
	CLEANUP(fitting_deinit) struct fitting f = { .c = c };
	bool same, apart, again = false;
	uint32_t cluster;
	int err;

	*ret_cluster = HERD_CLUSTER_NONE;
	*ret_fit = HERD_FIT_ALONE;
	if (m->n > HERD_CLUSTER_OWN_MAX)
		return 0;
	f.has = calloc((size_t)c->n_blocks + 1, sizeof(*f.has));
	f.label = calloc((size_t)c->words + 1, sizeof(*f.label));
	if (!f.has || !f.label)
		return -ENOMEM;
	err = look_up(&f, m);
	if (err)
		return err;
	for (uint32_t i = 0; i < c->n_blocks; i++)
		again |= take_block(&f, i);
	/* a first member with package lists changes what is believed of all */
	if (again || (m->vouched && !c->known)) {
		*ret_fit = HERD_FIT_AGAIN;
		return 0;
	}
	cluster = nearest_cluster(&f, &same, &apart);
	if (cluster == HERD_CLUSTER_NONE ||
	    herd_cluster_believed(c, f.own, c->noise) || (!same && apart))
		return 0;
	*ret_fit = HERD_FIT_MEMBER;
	*ret_cluster = cluster;
	return 0;
}
