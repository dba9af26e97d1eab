/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What attach*.c, scan_full.c, scan_delta.c and scan_store.c share while one
 * instance is indexed. A scan collects
 *
 *   nodes    names: where a path hangs and which record it leads to. A node
 *            whose id in the dictionary is known is an anchor for what is
 *            below it; ids of new names are given when all is stored.
 *   records  inodes, hashed and encoded by the pool.
 *   absents  paths of the reference that the instance lacks.
 *
 * Threads: one, apart from the pool's.
 */
#ifndef HERD_SCAN_H
#define HERD_SCAN_H

#include "index/hash_pool.h"
#include "index/idmap.h"

#define HERD_SCAN_NODES_MAX (1u << 28)
#define HERD_SCAN_DEPTH_MAX 2048

#define HERD_NO_NODE UINT32_MAX

struct herd_node {
	uint32_t parent;	/* node, or HERD_NO_NODE for anchors */
	uint32_t name_len;
	uint64_t name;		/* offset in names */
	uint32_t path;		/* id in the dictionary, 0: not known yet */
	uint32_t depth;
	struct herd_rec *rec;	/* NULL: an anchor, nothing to store */
};

/* A volume of the instance, opened or not. */
struct herd_scan_volume {
	uint32_t index;		/* in the instance's volumes */
	uint32_t disk;
	struct herd_partition part;
	struct herd_source *source;	/* window on the disk; owned */
	struct herd_source *cached;	/* what the volume reads through, or
					   NULL: source itself; owned */
	struct herd_volume *volume;	/* NULL: not opened; owned */
	char fs[16], note[512], mount[1024];
	uint8_t head[32];	/* herd_volume_head */
	bool paired;		/* the reference has it in the same place, with
				   the same geometry */
	bool have_changed;	/* `changed` is valid (implies paired) */
	struct herd_extents changed;	/* bytes of the volume */
	enum herd_basis basis;
	bool delta;		/* was read by its changes alone */
	struct herd_idmap recs;	/* ino → struct herd_rec * */
	struct herd_extents soon;	/* to be hashed: not yet asked for ahead */
	uint64_t budget;	/* bytes of content that may still be claimed */
	uint32_t root;		/* node of its mount point */
	uint32_t shadow;	/* node of .volumes/<disk>/p<N>, or HERD_NO_NODE */
};

/* Names that exist because something is mounted there. */
struct herd_premade {
	uint32_t node;
	uint32_t volume;	/* mounted here, or UINT32_MAX: only on the way */
};

struct herd_owner_row {
	uint32_t volume;
	enum herd_owner_kind kind;
	uint64_t start, len, ino;
};

struct herd_problem_row {
	char *path;
	size_t path_len;
	char *text;
};

struct herd_scan {
	struct herd_store *store;
	const struct herd_attach *a;
	struct herd_hash_pool *pool;
	uint8_t key[32];	/* of interrupted work on the same disks */
	bool resuming;		/* there is some */
	uint32_t replaces;	/* an instance, when this is to verify it; or 0 */

	struct herd_txn *txn;	/* read: the reference as it stands */
	struct herd_group group;
	struct herd_instance reference;	/* id 0: this will be the reference */
	/* its disks, NULL where the image is not at hand or another one now */
	struct herd_source **reference_disks;
	size_t n_reference_disks;
	struct herd_examiner *examiner;	/* index/examine.h */
	bool same_layout;	/* volumes and mount points equal the reference's */

	struct herd_scan_volume *volumes;
	size_t n_volumes;

	struct herd_node *nodes;
	size_t n_nodes, cap_nodes;
	struct herd_buf names;
	struct herd_premade *premade;
	size_t n_premade;

	struct herd_rec **slabs;	/* records, SLAB each, never moved */
	size_t n_slabs, n_recs;

	uint32_t *absents;
	size_t n_absents, cap_absents;
	struct herd_owner_row *owners;
	size_t n_owners, cap_owners;
	struct herd_problem_row *problems;
	size_t n_problems, cap_problems;
	bool any_delta;		/* some volume was read by its changes */
	uint64_t checkpoint;	/* monotonic ms of the last one */
};

static inline bool herd_scan_is_reference(const struct herd_scan *s)
{
	return !s->reference.id;
}

/* ---- scan.c: building blocks ---- */

int herd_scan_node(struct herd_scan *s, uint32_t parent, const char *name,
		   size_t len, uint32_t *ret);
int herd_scan_anchor(struct herd_scan *s, uint32_t path, uint32_t depth,
		     uint32_t *ret);
/* Full path of a node, appended. */
int herd_scan_node_path(struct herd_scan *s, uint32_t node,
			struct herd_buf *out);
int herd_scan_rec_new(struct herd_scan *s, struct herd_rec **ret);
struct herd_rec *herd_scan_rec_at(const struct herd_scan *s, size_t i);
/*
 * The record of an inode: found, or read and sent to be hashed or inherited.
 * An inode that cannot be read gives a record with a problem and mode 0 but
 * for the type (DT_*).
 */
int herd_scan_rec(struct herd_scan *s, struct herd_scan_volume *v, uint64_t ino,
		  unsigned char type, struct herd_rec **ret);
/* A directory that no inode stands behind. */
int herd_scan_rec_synthetic(struct herd_scan *s, uint32_t volume,
			    struct herd_rec **ret);
int herd_scan_absent(struct herd_scan *s, uint32_t path);
/* path_node may be HERD_NO_NODE: then `path` is used. */
int herd_scan_problem(struct herd_scan *s, uint32_t path_node, const char *path,
		      const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
int herd_scan_checkpoint(struct herd_scan *s, bool force,
			 struct herd_diag *diag);

/* Has what lies ahead of the pool fetched, where that takes a network. */
void herd_scan_want(struct herd_scan *s, struct herd_scan_volume *v);

/* The reference's entry through any of its paths; -ENOENT. Borrowed. */
int herd_scan_reference_entry(struct herd_scan *s, uint32_t volume,
			      uint64_t ino, struct herd_entry *ret);

/* ---- attach_compare.c ---- */

/*
 * Whether the disk holds the volumes that were indexed; a name and a size do
 * not tell where the source is a device.
 */
bool herd_scan_same_volumes(const struct herd_instance *i, uint32_t disk,
			    struct herd_source *source);
/*
 * Pairs the volumes with the reference's and finds the bytes in which they
 * differ. What stands in the way of that becomes a problem. -ENOMEM alone fails.
 */
int herd_scan_compare(struct herd_scan *s);
/* Not 0: one could not be read for a time; nothing is to be stored. */
int herd_scan_check_disks(const struct herd_scan *s, struct herd_diag *diag);

/* ---- scan_full.c ---- */

/* Makes nodes for all mount points; before any volume is scanned. */
int herd_scan_premade(struct herd_scan *s);
/* Walks below `node`, a directory whose record is there. */
int herd_scan_below(struct herd_scan *s, struct herd_scan_volume *v,
		    uint32_t node, struct herd_idmap *visited);
int herd_scan_full(struct herd_scan *s, struct herd_scan_volume *v);

/* ---- scan_delta.c ---- */

/* -EAGAIN: cannot be told from the changes alone; scan in full. */
int herd_scan_delta(struct herd_scan *s, struct herd_scan_volume *v,
		    struct herd_diag *diag);

/* ---- scan_store.c, which shares more in scan_store.h ---- */

/* Everything collected becomes the instance, in one transaction. */
int herd_scan_store(struct herd_scan *s, struct herd_instance *inst,
		    struct herd_diag *diag);

#endif
