/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From sets of features to blocks: first what one member alone has, or alone
 * lacks; then what two or more share, where sets that are held by nearly the
 * same members are taken together.
 */
#include "index/cluster_work.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* From so many members on either side, nearly the same is the same. */
#define NEARLY_FROM 10u

static uint32_t add_block(struct herd_clustering *c,
			  enum herd_cluster_kind kind, uint32_t count,
			  struct herd_cluster_sum sum)
{
	c->blocks[c->n_blocks] = (struct herd_cluster_block){ .kind = kind,
							      .count = count,
							      .sum = sum };
	return c->n_blocks++;
}

static bool large(const struct herd_clustering *c, struct herd_cluster_sum sum)
{
	return herd_cluster_points(sum) >= c->min_points;
}

/* ---- one member alone ---- */

/* The member that alone has a set, or alone lacks it; NONE: neither. */
static uint32_t odd_one(const struct herd_cluster_work *w,
			const struct herd_cluster_set *s)
{
	const struct herd_cluster_rec *h = herd_cluster_holders(w, s);
	uint32_t i = 0;

	if (w->n < 2)
		return HERD_CLUSTER_NONE;
	if (s->count == 1)
		return h->a;
	if (s->count != w->n - 1)
		return HERD_CLUSTER_NONE;
	while (i < s->count && h[i].a == i)
		i++;
	return i;
}

static int compare_u32(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* How many bare features a member alone has: the median, the lower of two. */
static int find_noise(struct herd_cluster_work *w)
{
	CLEANUP_FREE uint32_t *bare = calloc((size_t)w->n + 1, sizeof(*bare));

	if (!bare)
		return -ENOMEM;
	for (uint32_t i = 0; i < w->n_sets; i++)
		if (w->sets[i].count == 1)
			bare[herd_cluster_holders(w, &w->sets[i])->a] +=
				w->sets[i].sum.bare;
	qsort(bare, w->n, sizeof(*bare), compare_u32);
	w->c->noise = w->n ? bare[(w->n - 1) / 2] : 0;
	return 0;
}

static int find_alone(struct herd_cluster_work *w)
{
	CLEANUP_FREE struct herd_cluster_sum *of =
		calloc((size_t)w->n + 1, sizeof(*of));
	struct herd_clustering *c = w->c;

	w->alone = calloc((size_t)w->n + 1, sizeof(*w->alone));
	if (!of || !w->alone)
		return -ENOMEM;
	for (uint32_t i = 0; i < w->n_sets; i++) {
		uint32_t m = odd_one(w, &w->sets[i]);

		if (m == HERD_CLUSTER_NONE)
			continue;
		of[m].vouched += w->sets[i].sum.vouched;
		of[m].bare += w->sets[i].sum.bare;
	}
	for (uint32_t i = 0; i < w->n; i++)
		w->alone[i] = herd_cluster_believed(c, of[i], c->noise);
	for (uint32_t i = 0; i < w->n_sets; i++) {
		struct herd_cluster_set *s = &w->sets[i];
		uint32_t m = odd_one(w, s);

		if (s->count == w->n)
			s->block =
				add_block(c, HERD_BLOCK_ALL, s->count, s->sum);
		else if (m == HERD_CLUSTER_NONE)
			continue;
		else if (w->alone[m])
			s->block = add_block(c, HERD_BLOCK_ALONE, s->count,
					     s->sum);
		else if (2 * (uint64_t)s->sum.vouched >= c->min_points)
			s->block = add_block(c, HERD_BLOCK_WATCHED, s->count,
					     s->sum);
	}
	return 0;
}

/* ---- two and more ---- */

struct candidate {
	uint64_t points, set;
	uint32_t count, index;
};

/* A block in the making: the set that it began with, and what joined. */
struct leader {
	uint64_t *bits; /* the first set's holders */
	uint32_t *hits; /* by member: features that it has */
	uint32_t count, block;
	struct herd_cluster_sum sum;
};

struct making {
	struct herd_cluster_work *w;
	struct candidate *v;
	size_t n;
	uint32_t *joined; /* by candidate: its leader, or NONE */
	struct leader leaders[HERD_CLUSTER_BLOCKS_MAX];
	uint32_t n_leaders;
};

static void making_deinit(struct making *k)
{
	for (uint32_t i = 0; i < k->n_leaders; i++) {
		free(k->leaders[i].bits);
		free(k->leaders[i].hits);
	}
	free(k->v);
	free(k->joined);
}

/* The largest first; nothing here depends on the order of the input. */
static int compare_candidate(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	if (x->points != y->points)
		return x->points > y->points ? -1 : 1;
	if (x->count != y->count)
		return x->count > y->count ? -1 : 1;
	return x->set < y->set ? -1 : x->set > y->set;
}

static uint32_t lesser_side(uint32_t count, uint32_t n)
{
	return count < n - count ? count : n - count;
}

static int find_candidates(struct making *k)
{
	const struct herd_cluster_work *w = k->w;

	k->v = calloc((size_t)w->n_sets + 1, sizeof(*k->v));
	k->joined = calloc((size_t)w->n_sets + 1, sizeof(*k->joined));
	if (!k->v || !k->joined)
		return -ENOMEM;
	for (uint32_t i = 0; i < w->n_sets; i++) {
		const struct herd_cluster_set *s = &w->sets[i];
		uint32_t side = lesser_side(s->count, w->n);

		if (side >= 2 && (large(w->c, s->sum) || side >= NEARLY_FROM))
			k->v[k->n++] = (struct candidate){
				.points = herd_cluster_points(s->sum),
				.set = s->set,
				.count = s->count,
				.index = i
			};
	}
	qsort(k->v, k->n, sizeof(*k->v), compare_candidate);
	return 0;
}

static bool nine_tenths(uint32_t part, uint32_t whole)
{
	return (uint64_t)part * 10 >= (uint64_t)whole * 9;
}

/* Of the holders nine tenths are the same, and of the others as well. */
static bool similar(const struct making *k, const struct leader *l,
		    const struct herd_cluster_set *s)
{
	const struct herd_cluster_rec *h = herd_cluster_holders(k->w, s);
	uint32_t n = k->w->n, both = 0, either;
	uint32_t few = s->count < l->count ? s->count : l->count;
	uint32_t many = s->count < l->count ? l->count : s->count;

	if (!nine_tenths(few, many) || !nine_tenths(n - many, n - few))
		return false;
	for (uint32_t i = 0; i < s->count; i++)
		both += herd_cluster_label_has(l->bits, h[i].a);
	either = s->count + l->count - both;
	return nine_tenths(both, either) && nine_tenths(n - either, n - both);
}

static int begin_leader(struct making *k, const struct herd_cluster_set *s)
{
	const struct herd_cluster_rec *h = herd_cluster_holders(k->w, s);
	struct leader *l = &k->leaders[k->n_leaders];

	*l = (struct leader){ .count = s->count, .block = HERD_CLUSTER_NONE };
	k->n_leaders++;
	l->bits = calloc((size_t)k->w->n / 64 + 1, sizeof(*l->bits));
	l->hits = calloc(k->w->n, sizeof(*l->hits));
	if (!l->bits || !l->hits)
		return -ENOMEM;
	for (uint32_t i = 0; i < s->count; i++)
		l->bits[h[i].a / 64] |= (uint64_t)1 << (h[i].a % 64);
	return 0;
}

/* Finds or begins the block of a candidate; NONE: there is no room. */
static int place(struct making *k, const struct candidate *v, uint32_t *ret)
{
	const struct herd_cluster_set *s = &k->w->sets[v->index];
	uint32_t i = k->n_leaders;

	/* a large set stands for itself: who has a half is another band */
	if (!large(k->w->c, s->sum))
		for (i = 0; i < k->n_leaders; i++)
			if (k->leaders[i].count >= NEARLY_FROM &&
			    similar(k, &k->leaders[i], s))
				break;
	*ret = i;
	if (i < k->n_leaders)
		return 0;
	if (i < HERD_CLUSTER_BLOCKS_MAX)
		return begin_leader(k, s);
	*ret = HERD_CLUSTER_NONE;
	k->w->c->left_out += large(k->w->c, s->sum);
	return 0;
}

static int join_all(struct making *k)
{
	for (size_t i = 0; i < k->n; i++) {
		const struct herd_cluster_set *s = &k->w->sets[k->v[i].index];
		const struct herd_cluster_rec *h =
			herd_cluster_holders(k->w, s);
		struct leader *l;
		int err = place(k, &k->v[i], &k->joined[i]);

		if (err)
			return err;
		if (k->joined[i] == HERD_CLUSTER_NONE)
			continue;
		l = &k->leaders[k->joined[i]];
		l->sum.vouched += s->sum.vouched;
		l->sum.bare += s->sum.bare;
		for (uint32_t j = 0; j < s->count; j++)
			l->hits[h[j].a] += s->n_runs;
	}
	return 0;
}

static bool has_half(const struct leader *l, uint32_t member)
{
	return 2 * (uint64_t)l->hits[member] >=
	       (uint64_t)l->sum.vouched + l->sum.bare;
}

static void label_leader(struct herd_cluster_work *w, struct leader *l)
{
	struct herd_clustering *c = w->c;
	uint32_t count = 0, side;

	for (uint32_t m = 0; m < w->n; m++)
		count += has_half(l, m);
	side = lesser_side(count, w->n);
	if (!side || !large(c, l->sum))
		return;
	if (side <= 2 && !herd_cluster_believed(c, l->sum, 0)) {
		l->block = add_block(c, HERD_BLOCK_WATCHED, count, l->sum);
		return;
	}
	l->block = add_block(c, HERD_BLOCK_LABEL, count, l->sum);
	for (uint32_t m = 0; m < w->n; m++)
		if (has_half(l, m))
			w->labels[(size_t)m * c->words + l->block / 64] |=
				(uint64_t)1 << (l->block % 64);
}

static void label_alone(struct herd_cluster_work *w)
{
	size_t words = w->c->words;

	for (uint32_t i = 0; i < w->n_sets; i++) {
		const struct herd_cluster_set *s = &w->sets[i];
		const struct herd_cluster_rec *h = herd_cluster_holders(w, s);

		if (s->block == HERD_CLUSTER_NONE ||
		    w->c->blocks[s->block].kind != HERD_BLOCK_ALONE)
			continue;
		for (uint32_t k = 0; k < s->count; k++)
			w->labels[h[k].a * words + s->block / 64] |=
				(uint64_t)1 << (s->block % 64);
	}
}

int herd_cluster_find_blocks(struct herd_cluster_work *w)
{
	CLEANUP(making_deinit) struct making k = { .w = w };
	struct herd_clustering *c = w->c;
	int err;

	/* has alone, lacks alone, for each; one that all have; the shared */
	c->blocks = calloc(2 * (size_t)w->n + 1 + HERD_CLUSTER_BLOCKS_MAX,
			   sizeof(*c->blocks));
	if (!c->blocks)
		return -ENOMEM;
	err = find_noise(w);
	if (!err)
		err = find_alone(w);
	if (!err)
		err = find_candidates(&k);
	if (!err)
		err = join_all(&k);
	if (err)
		return err;
	c->words = (c->n_blocks + k.n_leaders + 63) / 64;
	w->labels = calloc((size_t)w->n * c->words + 1, sizeof(*w->labels));
	if (!w->labels)
		return -ENOMEM;
	label_alone(w);
	for (uint32_t i = 0; i < k.n_leaders; i++)
		label_leader(w, &k.leaders[i]);
	for (size_t i = 0; i < k.n; i++)
		if (k.joined[i] != HERD_CLUSTER_NONE)
			w->sets[k.v[i].index].block =
				k.leaders[k.joined[i]].block;
	return 0;
}
