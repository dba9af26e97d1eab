/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A clustering as bytes, for the store. All numbers are varints but for the
 * labels' words. What can be worked out (sums, counts, what clusters are like)
 * is not kept but worked out again, so that it cannot contradict itself.
 */
#include "acquire/base/cursor.h"
#include "index/cluster_internal.h"

#include <errno.h>
#include <stdlib.h>

#define VERSION 1

int herd_clustering_encode(const struct herd_clustering *c,
			   struct herd_buf *out)
{
	const uint32_t head[] = { c->min_points, c->min_vouched, c->noise,
				  c->known,	 c->partaking,	 c->left_out,
				  c->n_members,	 c->n_clusters,	 c->words,
				  c->n_blocks,	 c->n_atoms,	 c->n_pairs,
				  c->n_features };
	uint64_t last = 0;

	herd_buf_u8(out, VERSION);
	for (size_t i = 0; i < ARRAY_SIZE(head); i++)
		herd_buf_varint(out, head[i]);
	for (uint32_t i = 0; i < c->n_clusters; i++) {
		herd_buf_varint(out, (uint64_t)c->clusters[i].size << 1 |
					     c->clusters[i].set_aside);
		for (uint32_t k = 0; k < c->words; k++)
			herd_buf_be64(out, c->labels[(size_t)i * c->words + k]);
		for (uint32_t k = c->start[i]; k < c->start[i + 1]; k++)
			herd_buf_varint(out, c->ids[k]);
	}
	for (uint32_t i = 0; i < c->n_blocks; i++) {
		herd_buf_u8(out, (uint8_t)c->blocks[i].kind);
		herd_buf_varint(out, c->blocks[i].count);
	}
	for (uint32_t i = 0; i < c->n_atoms; i++) {
		const struct herd_cluster_atom *a = &c->atoms[i];

		herd_buf_varint(out, a->block == HERD_CLUSTER_NONE ?
					     0 :
					     (uint64_t)a->block + 1);
		herd_buf_varint(out, a[1].pair - a->pair);
		for (uint32_t k = a->pair; k < a[1].pair; k++) {
			herd_buf_varint(out, c->pairs[k].cluster);
			herd_buf_varint(out, c->pairs[k].count);
		}
	}
	for (uint32_t i = 0; i < c->n_features; i++) {
		const struct herd_cluster_rec *r = &c->features[i];

		herd_buf_varint(out, r->key - last);
		herd_buf_varint(out, (uint64_t)r->a << 1 | r->b);
		last = r->key;
	}
	return herd_buf_error(out);
}

/* ---- back ---- */

/* A number up to max; else the cursor turns bad. */
static uint32_t number(struct herd_cursor *in, uint64_t max)
{
	uint64_t v = herd_cur_varint(in);

	if (v > max || v > UINT32_MAX)
		in->bad = true;
	return in->bad ? 0 : (uint32_t)v;
}

/* How many follow: not more than there are bytes left. */
static uint32_t many(struct herd_cursor *in)
{
	return number(in, herd_cur_left(in));
}

static int decode_head(struct herd_clustering *c, struct herd_cursor *in)
{
	c->min_points = number(in, UINT32_MAX);
	c->min_vouched = number(in, UINT32_MAX);
	c->noise = number(in, UINT32_MAX);
	c->known = number(in, 1);
	c->partaking = number(in, HERD_CLUSTER_MEMBERS_MAX);
	c->left_out = number(in, UINT32_MAX);
	c->n_members = number(in, HERD_CLUSTER_MEMBERS_MAX);
	c->n_clusters = many(in);
	c->words = many(in);
	c->n_blocks = many(in);
	c->n_atoms = many(in);
	c->n_pairs = many(in);
	c->n_features = many(in);
	if (in->bad || !c->min_points || c->partaking > c->n_members ||
	    c->n_clusters > c->n_members ||
	    c->n_blocks > (uint64_t)c->words * 64 ||
	    (uint64_t)c->n_clusters * c->words > herd_cur_left(in) / 8)
		return -EBADMSG;
	c->clusters = calloc((size_t)c->n_clusters + 1, sizeof(*c->clusters));
	c->start = calloc((size_t)c->n_clusters + 1, sizeof(*c->start));
	c->labels = calloc((size_t)c->n_clusters * c->words + 1,
			   sizeof(*c->labels));
	c->ids = calloc((size_t)c->n_members + 1, sizeof(*c->ids));
	c->by_id = calloc((size_t)c->n_members + 1, sizeof(*c->by_id));
	c->blocks = calloc((size_t)c->n_blocks + 1, sizeof(*c->blocks));
	c->atoms = calloc((size_t)c->n_atoms + 1, sizeof(*c->atoms));
	c->pairs = calloc((size_t)c->n_pairs + 1, sizeof(*c->pairs));
	c->features = calloc((size_t)c->n_features + 1, sizeof(*c->features));
	return c->clusters && c->start && c->labels && c->ids && c->by_id &&
			       c->blocks && c->atoms && c->pairs &&
			       c->features ?
		       0 :
		       -ENOMEM;
}

/* No bits but those of blocks. */
static bool label_sound(const struct herd_clustering *c, const uint64_t *label)
{
	for (uint32_t i = 0; i < c->words; i++)
		for (uint64_t x = label[i]; x; x &= x - 1)
			if (i * 64 + (uint32_t)__builtin_ctzll(x) >=
			    c->n_blocks)
				return false;
	return true;
}

static int decode_cluster(struct herd_clustering *c, uint32_t i,
			  struct herd_cursor *in)
{
	struct herd_cluster *k = &c->clusters[i];
	uint64_t *label = c->labels + (size_t)i * c->words;
	uint32_t left = c->n_members - c->start[i];
	uint32_t v = number(in, ((uint64_t)left << 1) + 1);

	k->size = v >> 1;
	k->set_aside = v & 1;
	if (in->bad || !k->size || k->size > left ||
	    (i && k[-1].set_aside && !k->set_aside) ||
	    (i && k[-1].set_aside == k->set_aside && k[-1].size < k->size))
		return -EBADMSG;
	c->start[i + 1] = c->start[i] + k->size;
	for (uint32_t w = 0; w < c->words; w++)
		label[w] = herd_cur_be64(in);
	if (!label_sound(c, label))
		return -EBADMSG;
	for (uint32_t m = c->start[i]; m < c->start[i + 1]; m++) {
		c->ids[m] = number(in, UINT32_MAX);
		if (m > c->start[i] && c->ids[m] <= c->ids[m - 1])
			in->bad = true;
		c->by_id[m] =
			(struct herd_cluster_rec){ .key = c->ids[m], .a = i };
	}
	k->first = c->ids[c->start[i]];
	return in->bad ? -EBADMSG : 0;
}

static int decode_members(struct herd_clustering *c, struct herd_cursor *in)
{
	CLEANUP_FREE struct herd_cluster_rec *tmp =
		calloc((size_t)c->n_members + 1, sizeof(*tmp));
	int err = tmp ? 0 : -ENOMEM;

	for (uint32_t i = 0; i < c->n_clusters && !err; i++)
		err = decode_cluster(c, i, in);
	if (err)
		return err;
	if (c->start[c->n_clusters] != c->n_members)
		return -EBADMSG;
	herd_cluster_sort(c->by_id, tmp, c->n_members);
	for (uint32_t i = 1; i < c->n_members; i++)
		if (c->by_id[i].key == c->by_id[i - 1].key)
			return -EBADMSG;
	return 0;
}

static int decode_atom(struct herd_clustering *c, uint32_t i, uint32_t *pairs,
		       struct herd_cursor *in)
{
	struct herd_cluster_atom *a = &c->atoms[i];
	uint32_t block = number(in, c->n_blocks);
	uint32_t n = number(in, c->n_pairs - *pairs);

	if (in->bad || !n)
		return -EBADMSG;
	a->block = block ? block - 1 : HERD_CLUSTER_NONE;
	a->pair = *pairs;
	for (; n; n--, (*pairs)++) {
		struct herd_cluster_pair *p = &c->pairs[*pairs];

		p->cluster = number(in, UINT32_MAX);
		if (in->bad || p->cluster >= c->n_clusters ||
		    (*pairs > a->pair && p[-1].cluster >= p->cluster))
			return -EBADMSG;
		p->count = number(in, c->clusters[p->cluster].size);
		if (in->bad || !p->count)
			return -EBADMSG;
		a->count += p->count;
	}
	return 0;
}

static int decode_features(struct herd_clustering *c, struct herd_cursor *in)
{
	uint64_t last = 0;

	for (uint32_t i = 0; i < c->n_features; i++) {
		struct herd_cluster_rec *r = &c->features[i];
		uint64_t step = herd_cur_varint(in);
		uint32_t v = number(in, UINT32_MAX);
		struct herd_cluster_sum *sum;

		if (in->bad || v >> 1 >= c->n_atoms || (i && !step) ||
		    step > UINT64_MAX - last)
			return -EBADMSG;
		last += step;
		*r = (struct herd_cluster_rec){ .key = last,
						.a = v >> 1,
						.b = v & 1 };
		sum = &c->atoms[r->a].sum;
		*(r->b ? &sum->vouched : &sum->bare) += 1;
	}
	for (uint32_t i = 0; i < c->n_atoms; i++) {
		const struct herd_cluster_atom *a = &c->atoms[i];

		if (a->block == HERD_CLUSTER_NONE)
			continue;
		c->blocks[a->block].sum.vouched += a->sum.vouched;
		c->blocks[a->block].sum.bare += a->sum.bare;
	}
	return 0;
}

static int decode(struct herd_clustering *c, struct herd_cursor *in)
{
	uint32_t pairs = 0;
	int err = decode_head(c, in);

	if (!err)
		err = decode_members(c, in);
	for (uint32_t i = 0; i < c->n_blocks && !err; i++) {
		c->blocks[i].kind = herd_cur_u8(in);
		c->blocks[i].count = number(in, c->partaking);
		if (in->bad || c->blocks[i].kind >= HERD_BLOCK_KINDS)
			err = -EBADMSG;
	}
	for (uint32_t i = 0; i < c->n_atoms && !err; i++)
		err = decode_atom(c, i, &pairs, in);
	if (err)
		return err;
	if (pairs != c->n_pairs)
		return -EBADMSG;
	c->atoms[c->n_atoms].pair = pairs;
	err = decode_features(c, in);
	if (err)
		return err;
	return herd_cur_left(in) ? -EBADMSG : herd_cluster_describe(c);
}

static void clustering_cleanup(struct herd_clustering **c)
{
	herd_clustering_destroy(*c);
}

int herd_clustering_decode(const void *data, size_t len,
			   struct herd_clustering **ret)
{
	CLEANUP(clustering_cleanup) struct herd_clustering *c = NULL;
	struct herd_cursor in = herd_cursor(data, len);
	uint8_t version = herd_cur_u8(&in);
	int err;

	if (in.bad)
		return -EBADMSG;
	if (version != VERSION)
		return -EPROTO;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	err = decode(c, &in);
	if (err)
		return err;
	*ret = TAKE_PTR(c);
	return 0;
}
