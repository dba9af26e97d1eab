/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree that analysts see, without FUSE: nodes, names, attributes, bytes.
 *
 * A node is a 64-bit number that says by itself what it stands for
 * (tree_node.h): nothing is allocated for a node and nothing has to be
 * forgotten. Node 1 is the root.
 *
 * Threads: every function may be called by many threads at once. The tree
 * shows one snapshot of the store, taken when it was opened.
 */
#ifndef HERD_TREE_H
#define HERD_TREE_H

#include "index/judge.h"

#include <sys/stat.h>
#include <sys/uio.h>

struct herd_tree;

#define HERD_NODE_ROOT 1u

struct herd_tree_options {
	const char *group;	/* only this one; NULL: all */
	const struct herd_knowledge *knowledge;	/* may be NULL; outlives it */
	unsigned cache_mb;	/* memory for per-instance findings and reports */
	/* May be NULL. Told of each failure once, when it happens, by the
	   thread that met it. */
	void (*on_failure)(void *arg, const char *line);
	void *on_failure_arg;
	/* May be NULL. Told before work that may take long, by the thread
	   that will do it. */
	void (*on_wait)(void *arg);
	void *on_wait_arg;
};

/*
 * How the tree gets at the bytes of a disk of an instance, first making sure
 * that the image is the one that was indexed (herd_image_verify). Called at
 * first use, and again (a few times) after reading failed although the image
 * looks the same as ever: a helper may have died. Must be safe from many
 * threads. The source becomes the tree's.
 */
typedef int (*herd_tree_open_disk)(void *arg, uint32_t instance, uint32_t disk,
				   const struct herd_image *image,
				   struct herd_source **ret,
				   struct herd_diag *diag);

int herd_tree_open(struct herd_store *store,
		   const struct herd_tree_options *options,
		   herd_tree_open_disk open_disk, void *arg,
		   struct herd_tree **ret, struct herd_diag *diag);
void herd_tree_close(struct herd_tree *t);

int herd_tree_lookup(struct herd_tree *t, uint64_t dir, const char *name,
		     uint64_t *ret_node, struct stat *ret_st);
int herd_tree_getattr(struct herd_tree *t, uint64_t node, struct stat *ret);
/*
 * Entries from position `offset` on (0: the start); fn gets the position
 * after each and returns non-zero to stop. st is filled as getattr would, but
 * for what would have to be made first: then st_nlink is 0, and only the type
 * is right. "." and ".." are included. Positions stay valid for ever.
 */
int herd_tree_readdir(struct herd_tree *t, uint64_t dir, uint64_t offset,
		      int (*fn)(void *arg, const char *name, uint64_t node,
				const struct stat *st, uint64_t next),
		      void *arg);
/* The target as shown: it never leads out of the disk/ that holds the link. */
int herd_tree_readlink(struct herd_tree *t, uint64_t node, char **ret);

/*
 * Bytes of a regular file, up to len and HERD_TREE_READ_MAX; fewer only at the
 * end of file. They are handed to fn as a vector of memory, some of it mapped files (see
 * herd_source_ops.map), valid during the call. fn's result is returned; when
 * it is -EFAULT the image is looked at again.
 */
#define HERD_TREE_READ_MAX (4u << 20)
int herd_tree_read(struct herd_tree *t, uint64_t node, uint64_t off, size_t len,
		   int (*fn)(void *arg, const struct iovec *iov, int n),
		   void *arg);
/* Next data (hole=false) or hole at or after off, as lseek(2). -ENXIO past the end. */
int herd_tree_seek(struct herd_tree *t, uint64_t node, uint64_t off, bool hole,
		   uint64_t *ret);

/*
 * Extended attributes: user.herdfs.* (system.herdfs.* on links, for Linux
 * allows no user.* there) and the file's own below user.herdfs.xattr.*.
 * size 0 asks for the length. As getxattr(2)/listxattr(2): -ERANGE, -ENODATA.
 */
ssize_t herd_tree_getxattr(struct herd_tree *t, uint64_t node, const char *name,
			   void *buf, size_t size);
ssize_t herd_tree_listxattr(struct herd_tree *t, uint64_t node, char *buf,
			    size_t size);

/*
 * Images that failed, and whatever else of the index could not be shown: one
 * line each, in the order met.
 */
int herd_tree_each_failure(struct herd_tree *t,
			   int (*fn)(void *arg, const char *line), void *arg);

#endif
