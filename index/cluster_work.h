/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What clustering from nothing works with. Members are numbered by id, those
 * set aside left out.
 */
#ifndef HERD_CLUSTER_WORK_H
#define HERD_CLUSTER_WORK_H

#include "index/cluster_internal.h"

/* The features that one set of members has. */
struct herd_cluster_set {
	uint64_t set;
	uint32_t run, n_runs; /* in runs */
	uint32_t count;	      /* holders */
	struct herd_cluster_sum sum;
	uint32_t block;
};

/* Members with the same label. */
struct herd_cluster_class {
	const uint64_t *label;
	uint32_t size, low; /* low: its first member */
	uint32_t into;	    /* the class that it was made part of, or NONE */
};

struct herd_cluster_work {
	struct herd_clustering *c;
	const struct herd_cluster_member **all, **m; /* by id */
	uint32_t n_all, n;
	struct herd_cluster_rec *held; /* key feature, a member, b vouched */
	struct herd_cluster_rec *tmp;
	size_t n_held;
	struct herd_cluster_rec *runs; /* see find_runs */
	uint32_t n_runs;
	struct herd_cluster_set *sets;
	uint32_t n_sets;
	uint64_t *labels; /* by member */
	bool *alone;	  /* by member: set apart by what it alone has */
	uint32_t *order;  /* members by label */
	struct herd_cluster_class *classes;
	uint32_t n_classes;
	uint32_t *root; /* by member: its class */
};

/* The members that hold a set: count of them, in the a of each, ascending. */
static inline const struct herd_cluster_rec *
herd_cluster_holders(const struct herd_cluster_work *w,
		     const struct herd_cluster_set *s)
{
	return w->held + w->runs[s->run].a;
}

/* sets to blocks, and the labels. */
int herd_cluster_find_blocks(struct herd_cluster_work *w);
/* classes to clusters, and all that is kept. */
int herd_cluster_build(struct herd_cluster_work *w);

#endif
