/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Modes of a herd: which members hold the same versions of the same many
 * files, as the two halves of a rolling deployment do, and the one guest that
 * alone upgraded its packages. Pure functions over values: no I/O, no store.
 *
 * A *feature* is a 64-bit digest of (path, variant), for a variant that is not
 * the reference's. Members are not compared with each other pair by pair:
 * features are grouped by *who has them*. A group of features that exactly the
 * same members have is an atom, and one that is large enough a *block*; members
 * that have the same blocks are a cluster. Why so, and not by a distance:
 *
 *   - Noise does not add up. Sixty files that a member alone has, or shares now
 *     with one sibling and now with another, are many small atoms and never a
 *     block; in a distance between members they hide 100 features in 120.
 *   - What matters is a number of features, not their share: the reference has
 *     none at all, so that Jaccard (MinHash) makes it unlike everybody. Whose
 *     version happens to be the reference makes no difference here: "all but
 *     one have it" cuts the herd just like "one has it".
 *   - It is linear in what the members hold, and the same for 3 and for 1,000.
 *   - It yields the reason: a block is the list of what tells bands apart.
 *
 * Where at least ten members are on either side, atoms whose holders agree to
 * nine tenths count as one, so that a band of hundreds may miss a file here
 * and there. In smaller herds the holders are the same ones or they are not.
 *
 * **What makes a block.** 100 points: a feature is worth one, or two where it
 * is *vouched for*, that is where a package of that very instance owns the
 * path, its MD5 agrees, and the package's version is not the reference's (see
 * index/dpkg.h). An intrusion plants tens of files, natural noise is about
 * sixty, an upgrade brings hundreds. Where a block would set one or two
 * members apart, 100 points must come from features vouched for, and these
 * must be at least half of the block (for one member: not counting as many
 * bare ones as members have alone in the median). So no one becomes a band by
 * planting 500 files on one or two members; on three or more he does, and an
 * intruder may forge a package's lists as well. Therefore:
 *
 *   **A cluster is never an acquittal.** `small` and `vouched` say how far it
 *   is to be trusted, and herd_clustering_tells says for each feature whether
 *   it belongs to the cluster and whether anything vouches for it. What nobody
 *   vouches for stays outside a small band: it is judged as if there were none.
 *
 * Where no member has package lists at all, nothing is vouched for; then 200
 * bare features make a small band. It is a label and explains nothing.
 *
 * Hostile input costs: a member with more than HERD_CLUSTER_OWN_MAX features
 * is set aside as a cluster of its own, the others go on; all together may
 * have max_features, beyond them -EOVERFLOW; at most HERD_CLUSTER_BLOCKS_MAX
 * shared blocks are kept, the largest. Time is linear in the features, but for
 * comparing at most that many blocks and the bands of one or two.
 *
 * Threads: a herd_clustering is immutable once made.
 */
#ifndef HERD_CLUSTER_H
#define HERD_CLUSTER_H

#include "acquire/base/buf.h"

#define HERD_CLUSTER_NONE UINT32_MAX
#define HERD_CLUSTER_MEMBERS_MAX 4096u
#define HERD_CLUSTER_OWN_MAX (1u << 18)
#define HERD_CLUSTER_BLOCKS_MAX 256u

struct herd_cluster_member {
	uint32_t id; /* no two alike */
	/* All that it has, what it alone has included; strictly ascending. */
	const uint64_t *features;
	/* For each feature 1 where it is vouched for, else 0. NULL: the instance
	   has no package lists, nothing is. */
	const uint8_t *vouched;
	size_t n;
};

/* 0 anywhere, or NULL for all: the number in brackets. */
struct herd_cluster_options {
	uint32_t min_points;  /* of a block (100) */
	uint32_t min_vouched; /* per cent of a small band's features (50) */
	size_t max_features;  /* of all members together (8 Mi) */
};

struct herd_cluster {
	uint32_t size;
	uint32_t first;	  /* the lowest id in it */
	uint32_t against; /* the cluster that it is compared with: the
				   largest; for that the next; NONE: no other */
	/* Features that nine tenths of it have and at most a tenth of `against`,
	   and the other way round; how many of these are vouched for. */
	uint32_t gained, gained_vouched;
	uint32_t lost, lost_vouched;
	/* Per member in the mean, of the features that not one member alone has:
	   those that nine tenths of the cluster do not have. */
	uint32_t spread;
	/* 0…100: gained + lost against spread, (b - a) / max(a, b) as in a
	   silhouette; 100 where there is one cluster only. */
	uint8_t cohesion;
	bool small;	/* one or two members beside others: to be surfaced */
	bool vouched;	/* most of gained + lost is */
	bool set_aside; /* too many features, not compared at all */
};

struct herd_clustering;

/*
 * From nothing. The result does not depend on the order of members. -EINVAL
 * ids twice or features not ascending; -EOVERFLOW too many members or
 * features: judge without bands, and say so.
 */
int herd_cluster(const struct herd_cluster_member *m, size_t n,
		 const struct herd_cluster_options *opt,
		 struct herd_clustering **ret);
void herd_clustering_destroy(struct herd_clustering *c);

/* Clusters, by size, among equals by lowest id; number 0 is the largest. */
size_t herd_clustering_n(const struct herd_clustering *c);
const struct herd_cluster *herd_clustering_get(const struct herd_clustering *c,
					       uint32_t cluster);
/* Its members' ids, ascending; borrowed. */
const uint32_t *herd_clustering_members(const struct herd_clustering *c,
					uint32_t cluster, size_t *ret_n);
/* The cluster that has the member; NONE: not a member. */
uint32_t herd_clustering_of(const struct herd_clustering *c, uint32_t id);
/* Shared blocks beyond HERD_CLUSTER_BLOCKS_MAX that were left out. */
uint32_t herd_clustering_left_out(const struct herd_clustering *c);

/*
 * How many members of a cluster have a feature: what the herd's tallies are
 * within the cluster (the reference's variant has the rest of its size). Of
 * what one member alone has only its block is kept, so 0 may stand for 1.
 */
uint32_t herd_clustering_count(const struct herd_clustering *c,
			       uint32_t cluster, uint64_t feature);

/*
 * Whether a feature is among what tells a cluster from the one it is compared
 * with: 1 its members have it (gained), -1 they lack it (lost), 0 neither.
 * *ret_vouched (may be NULL): most of its holders' packages vouch for it.
 */
int herd_clustering_tells(const struct herd_clustering *c, uint32_t cluster,
			  uint64_t feature, bool *ret_vouched);
/* Each feature that tells, in ascending order; sign as above. Stops at the
   first value that is not 0, and returns it. */
int herd_clustering_each(const struct herd_clustering *c, uint32_t cluster,
			 int (*fn)(void *arg, uint64_t feature, int sign,
				   bool vouched),
			 void *arg);

/* ---- one more member ---- */

enum herd_cluster_fit {
	HERD_FIT_MEMBER, /* it belongs to a cluster */
	HERD_FIT_ALONE,	 /* a cluster of its own; the others stay as they are */
	HERD_FIT_AGAIN,	 /* it splits or completes one: cluster from nothing */
};

/*
 * Where a member belongs that came later (or the baseline, which is none):
 * costs its own features, blocks and clusters, not the others' features. The
 * clustering stays as it is: whoever counts adds the newcomer. *ret_cluster is
 * NONE unless MEMBER. -EINVAL features not ascending.
 */
int herd_clustering_assign(const struct herd_clustering *c,
			   const struct herd_cluster_member *m,
			   enum herd_cluster_fit *ret_fit,
			   uint32_t *ret_cluster);

/*
 * To be kept in the store, so that a later process need not begin from
 * nothing. Bytes read back are not trusted: -EBADMSG, -EPROTO another version.
 */
int herd_clustering_encode(const struct herd_clustering *c,
			   struct herd_buf *out);
int herd_clustering_decode(const void *data, size_t len,
			   struct herd_clustering **ret);

#endif
