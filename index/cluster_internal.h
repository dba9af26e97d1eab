/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a clustering is made of; index/cluster.h says what it means. Included
 * by cluster*.c alone.
 */
#ifndef HERD_CLUSTER_INTERNAL_H
#define HERD_CLUSTER_INTERNAL_H

#include "index/cluster.h"

/* A key with two values: the one thing that is sorted here. */
struct herd_cluster_rec {
	uint64_t key;
	uint32_t a, b;
};
/* Stable and linear, whatever the keys. tmp: room for n. */
void herd_cluster_sort(struct herd_cluster_rec *v, struct herd_cluster_rec *tmp,
		       size_t n);

struct herd_cluster_sum {
	uint32_t vouched, bare; /* features */
};

/* Features that the same members have. */
struct herd_cluster_atom {
	uint32_t count; /* holders */
	struct herd_cluster_sum sum;
	uint32_t block; /* or NONE */
	uint32_t pair;	/* its first; they end where the next one's begin */
};

/* How many of a cluster hold an atom; by cluster. */
struct herd_cluster_pair {
	uint32_t cluster, count;
};

enum herd_cluster_kind {
	HERD_BLOCK_LABEL,   /* it tells clusters apart */
	HERD_BLOCK_ALONE,   /* the same, and sets one member apart */
	HERD_BLOCK_WATCHED, /* not believed of so few; may be of more */
	HERD_BLOCK_ALL,	    /* every member has it */
	HERD_BLOCK_KINDS
};

struct herd_cluster_block {
	enum herd_cluster_kind kind;
	uint32_t count; /* holders */
	struct herd_cluster_sum sum;
};

struct herd_clustering {
	/* what it was made with */
	uint32_t min_points, min_vouched;
	uint32_t noise;	    /* bare features that a member alone has, median */
	bool known;	    /* somebody has package lists */
	uint32_t partaking; /* members that were compared */
	uint32_t left_out;

	struct herd_cluster *clusters;
	uint32_t *start;  /* of its members in ids; n_clusters + 1 */
	uint64_t *labels; /* words each: which blocks it has */
	uint32_t n_clusters, words;
	uint32_t *ids;			/* by cluster, then id */
	struct herd_cluster_rec *by_id; /* key id, a cluster */
	uint32_t n_members;

	struct herd_cluster_block *blocks;
	uint32_t n_blocks;
	struct herd_cluster_atom *atoms; /* one more, for its pair */
	uint32_t n_atoms;
	struct herd_cluster_pair *pairs;
	uint32_t n_pairs;
	struct herd_cluster_rec *features; /* key feature, a atom, b vouched */
	uint32_t n_features;
};

static inline uint64_t herd_cluster_points(struct herd_cluster_sum s)
{
	return 2 * (uint64_t)s.vouched + s.bare;
}

static inline bool herd_cluster_label_has(const uint64_t *label, uint32_t block)
{
	return label[block / 64] >> (block % 64) & 1;
}

/* By key, in what is sorted by it; NULL: not there. */
const struct herd_cluster_rec *
herd_cluster_find(const struct herd_cluster_rec *v, size_t n, uint64_t key);

/*
 * Whether so much may set one or two members apart. noise: bare features that
 * are not counted.
 */
bool herd_cluster_believed(const struct herd_clustering *c,
			   struct herd_cluster_sum s, uint32_t noise);

/*
 * What lies between two labels. *ret_alone: a block that sets one apart is
 * among it.
 */
struct herd_cluster_sum herd_cluster_between(const struct herd_clustering *c,
					     const uint64_t *a,
					     const uint64_t *b,
					     bool *ret_alone);

/* gained, lost, spread and the rest, out of atoms and pairs. */
int herd_cluster_describe(struct herd_clustering *c);

#endif
