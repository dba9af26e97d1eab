/* SPDX-License-Identifier: Apache-2.0 */
/* What clusters are like, and questions to a clustering. */
#include "index/cluster_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Where nobody has package lists: so many times as much. */
#define UNKNOWN_FACTOR 2

void herd_cluster_sort(struct herd_cluster_rec *v, struct herd_cluster_rec *tmp,
		       size_t n)
{
	for (unsigned shift = 0; shift < 64; shift += 8) {
		size_t at[256] = { 0 }, sum = 0;

		for (size_t i = 0; i < n; i++)
			at[v[i].key >> shift & 255]++;
		if (n && at[v[0].key >> shift & 255] == n)
			continue;
		for (unsigned d = 0; d < 256; d++) {
			size_t count = at[d];

			at[d] = sum;
			sum += count;
		}
		for (size_t i = 0; i < n; i++)
			tmp[at[v[i].key >> shift & 255]++] = v[i];
		memcpy(v, tmp, n * sizeof(*v));
	}
}

bool herd_cluster_believed(const struct herd_clustering *c,
			   struct herd_cluster_sum s, uint32_t noise)
{
	uint64_t bare = s.bare > noise ? s.bare - noise : 0;

	if (!c->known)
		return bare >= (uint64_t)c->min_points * UNKNOWN_FACTOR;
	return 2 * (uint64_t)s.vouched >= c->min_points &&
	       (uint64_t)s.vouched * 100 >= c->min_vouched * (s.vouched + bare);
}

struct herd_cluster_sum herd_cluster_between(const struct herd_clustering *c,
					     const uint64_t *a,
					     const uint64_t *b, bool *ret_alone)
{
	struct herd_cluster_sum sum = { 0 };

	*ret_alone = false;
	for (uint32_t i = 0; i < c->words; i++)
		for (uint64_t x = a[i] ^ b[i]; x; x &= x - 1) {
			uint32_t block = i * 64 + (uint32_t)__builtin_ctzll(x);

			sum.vouched += c->blocks[block].sum.vouched;
			sum.bare += c->blocks[block].sum.bare;
			if (c->blocks[block].kind == HERD_BLOCK_ALONE)
				*ret_alone = true;
		}
	return sum;
}

/* ---- what clusters are like ---- */

static bool nearly_all(uint32_t count, uint32_t size)
{
	return (uint64_t)count * 10 >= (uint64_t)size * 9;
}

static bool hardly_any(uint32_t count, uint32_t size)
{
	return (uint64_t)count * 10 <= size;
}

static uint32_t pair_count(const struct herd_clustering *c, uint32_t atom,
			   uint32_t cluster)
{
	uint32_t lo = c->atoms[atom].pair, hi = c->atoms[atom + 1].pair;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (c->pairs[mid].cluster == cluster)
			return c->pairs[mid].count;
		if (c->pairs[mid].cluster < cluster)
			lo = mid + 1;
		else
			hi = mid;
	}
	return 0;
}

/* 1, -1 or 0: see herd_clustering_tells. */
static int atom_tells(const struct herd_clustering *c, uint32_t atom,
		      uint32_t cluster)
{
	uint32_t against = c->clusters[cluster].against;
	uint32_t own, other, size = c->clusters[cluster].size;

	if (against == HERD_CLUSTER_NONE)
		return 0;
	own = pair_count(c, atom, cluster);
	other = pair_count(c, atom, against);
	if (nearly_all(own, size) &&
	    hardly_any(other, c->clusters[against].size))
		return 1;
	return nearly_all(other, c->clusters[against].size) &&
			       hardly_any(own, size) ?
		       -1 :
		       0;
}

/* What is summed up while atoms are gone through. */
struct totals {
	uint64_t spread;
	struct herd_cluster_sum kept; /* the largest's that it has too */
};

static void add_sum(struct herd_cluster_sum *to, struct herd_cluster_sum s)
{
	to->vouched += s.vouched;
	to->bare += s.bare;
}

static void describe_atom(struct herd_clustering *c, uint32_t atom,
			  struct totals *t, struct herd_cluster_sum *largest)
{
	const struct herd_cluster_atom *a = &c->atoms[atom];
	uint32_t weight = a->sum.vouched + a->sum.bare;
	bool all = nearly_all(pair_count(c, atom, 0), c->clusters[0].size);

	if (all)
		add_sum(largest, a->sum);
	for (uint32_t i = a->pair; i < a[1].pair; i++) {
		const struct herd_cluster_pair *p = &c->pairs[i];
		struct herd_cluster *k = &c->clusters[p->cluster];

		if (atom_tells(c, atom, p->cluster) > 0) {
			k->gained += weight;
			k->gained_vouched += a->sum.vouched;
		}
		if (a->count > 1 && !nearly_all(p->count, k->size))
			t[p->cluster].spread += (uint64_t)weight * p->count;
		if (all && !hardly_any(p->count, k->size))
			add_sum(&t[p->cluster].kept, a->sum);
	}
	if (atom_tells(c, atom, 0) < 0) {
		c->clusters[0].lost += weight;
		c->clusters[0].lost_vouched += a->sum.vouched;
	}
}

static void describe_cluster(struct herd_cluster *k, uint32_t number,
			     const struct totals *t,
			     struct herd_cluster_sum largest)
{
	uint64_t between, within;

	if (number && k->against != HERD_CLUSTER_NONE) {
		k->lost_vouched = largest.vouched - t->kept.vouched;
		k->lost = k->lost_vouched + largest.bare - t->kept.bare;
	}
	k->spread = (uint32_t)(t->spread / k->size);
	between = (uint64_t)k->gained + k->lost;
	within = k->spread;
	k->vouched = 2 * ((uint64_t)k->gained_vouched + k->lost_vouched) >
		     between;
	if (k->against == HERD_CLUSTER_NONE)
		k->cohesion = 100;
	else if (between > within)
		k->cohesion = (uint8_t)((between - within) * 100 / between);
}

int herd_cluster_describe(struct herd_clustering *c)
{
	CLEANUP_FREE struct totals *t =
		calloc((size_t)c->n_clusters + 1, sizeof(*t));
	struct herd_cluster_sum largest = { 0 };

	if (!t)
		return -ENOMEM;
	for (uint32_t i = 0; i < c->n_clusters; i++) {
		struct herd_cluster *k = &c->clusters[i];

		k->small = k->size <= 2 && c->n_clusters > 1;
		k->against = i ? 0 : 1;
		if (k->set_aside || k->against >= c->n_clusters ||
		    c->clusters[k->against].set_aside)
			k->against = HERD_CLUSTER_NONE;
	}
	for (uint32_t i = 0; i < c->n_atoms; i++)
		describe_atom(c, i, t, &largest);
	for (uint32_t i = 0; i < c->n_clusters; i++)
		describe_cluster(&c->clusters[i], i, &t[i], largest);
	return 0;
}

/* ---- questions ---- */

size_t herd_clustering_n(const struct herd_clustering *c)
{
	return c->n_clusters;
}

const struct herd_cluster *herd_clustering_get(const struct herd_clustering *c,
					       uint32_t cluster)
{
	return cluster < c->n_clusters ? &c->clusters[cluster] : NULL;
}

const uint32_t *herd_clustering_members(const struct herd_clustering *c,
					uint32_t cluster, size_t *ret_n)
{
	if (cluster >= c->n_clusters)
		return NULL;
	*ret_n = c->clusters[cluster].size;
	return c->ids + c->start[cluster];
}

uint32_t herd_clustering_left_out(const struct herd_clustering *c)
{
	return c->left_out;
}

const struct herd_cluster_rec *
herd_cluster_find(const struct herd_cluster_rec *v, size_t n, uint64_t key)
{
	size_t lo = 0, hi = n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (v[mid].key == key)
			return &v[mid];
		if (v[mid].key < key)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

uint32_t herd_clustering_of(const struct herd_clustering *c, uint32_t id)
{
	const struct herd_cluster_rec *r =
		herd_cluster_find(c->by_id, c->n_members, id);

	return r ? r->a : HERD_CLUSTER_NONE;
}

uint32_t herd_clustering_count(const struct herd_clustering *c,
			       uint32_t cluster, uint64_t feature)
{
	const struct herd_cluster_rec *r =
		herd_cluster_find(c->features, c->n_features, feature);

	return r ? pair_count(c, r->a, cluster) : 0;
}

int herd_clustering_tells(const struct herd_clustering *c, uint32_t cluster,
			  uint64_t feature, bool *ret_vouched)
{
	const struct herd_cluster_rec *r =
		herd_cluster_find(c->features, c->n_features, feature);
	int sign = r && cluster < c->n_clusters ? atom_tells(c, r->a, cluster) :
						  0;

	if (ret_vouched)
		*ret_vouched = sign && r->b;
	return sign;
}

int herd_clustering_each(const struct herd_clustering *c, uint32_t cluster,
			 int (*fn)(void *arg, uint64_t feature, int sign,
				   bool vouched),
			 void *arg)
{
	if (cluster >= c->n_clusters)
		return 0;
	for (uint32_t i = 0; i < c->n_features; i++) {
		const struct herd_cluster_rec *r = &c->features[i];
		int sign = atom_tells(c, r->a, cluster);
		int err = sign ? fn(arg, r->key, sign, r->b) : 0;

		if (err)
			return err;
	}
	return 0;
}
