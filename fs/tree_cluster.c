/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clusters/ of a group: README.txt, and for each band of the herd a folder of
 * links to its members. What bands there are is known when the herd is.
 *
 * Threads: any; nothing here changes while the tree is open.
 */
#include "fs/tree_internal.h"
#include "index/cluster.h"
#include "index/judge.h"

#include <stdio.h>
#include <string.h>

/* Where a node of clusters/ is. */
struct at {
	struct herd_tree_group *group;
	const struct herd_clustering *c;	/* NULL: all are one band */
	uint32_t cluster;	/* of a folder or a link */
};

static uint32_t cluster_count(const struct at *at)
{
	return at->c ? (uint32_t)herd_clustering_n(at->c) : 0;
}

/* -ENOENT: no such node. */
static int find(struct herd_tree *t, uint64_t node, struct at *ret)
{
	LEASE(l, t);
	const uint32_t owner = herd_node_owner(node);
	const uint32_t what = herd_node_what(node);
	bool link = herd_node_kind(node) == HERD_NODE_CLUSTER_LINK;
	struct herd_tree_member *m = link ? herd_tree_member(t, owner) : NULL;
	struct herd_herd *herd;
	struct at at = { .group = link ? (m ? m->group : NULL) :
					 herd_tree_group(t, owner) };

	if (!at.group)
		return -ENOENT;
	int err = herd_tree_herd(l.txn, at.group, &herd);

	if (err)
		return -EIO;
	at.c = herd_herd_clustering(herd);
	at.cluster = link ? what : what - HERD_CLUSTERS_FIRST;
	if (!link && (what == HERD_CLUSTERS_DIR || what == HERD_CLUSTERS_README))
		at.cluster = 0;
	else if (at.cluster >= cluster_count(&at) ||
		 (link && herd_clustering_of(at.c, owner) != at.cluster))
		return -ENOENT;
	*ret = at;
	return 0;
}

static bool is_folder(uint64_t node)
{
	return herd_node_kind(node) == HERD_NODE_CLUSTER &&
	       herd_node_what(node) != HERD_CLUSTERS_README;
}

/* "../../i-1" */
static int target(struct herd_tree *t, uint64_t node, char **ret)
{
	const struct herd_tree_member *m =
		herd_tree_member(t, herd_node_owner(node));

	return m && asprintf(ret, "../../%s", m->name) >= 0 ? 0 : -ENOMEM;
}

int herd_cluster_getattr(struct herd_tree *t, uint64_t node, struct stat *ret)
{
	CLEANUP_FREE char *to = NULL;
	struct herd_blob *blob;
	struct at at;
	int err = find(t, node, &at);

	if (err)
		return err;
	herd_top_stat_dir(t, node, t->opened, ret);
	if (is_folder(node))
		return 0;
	if (herd_node_kind(node) == HERD_NODE_CLUSTER_LINK) {
		err = target(t, node, &to);
		ret->st_mode = S_IFLNK | 0777;
		ret->st_size = to ? (off_t)strlen(to) : 0;
		return err;
	}
	err = herd_file_get(t, node, &blob);
	if (err)
		return err;
	ret->st_mode = S_IFREG | 0644;
	ret->st_size = (off_t)blob->buf.len;
	ret->st_blocks = (blkcnt_t)((blob->buf.len + 511) / 512);
	herd_cache_put(&t->cache, &blob->cached);
	return 0;
}

int herd_cluster_readlink(struct herd_tree *t, uint64_t node, char **ret)
{
	struct at at;
	int err = find(t, node, &at);

	if (err)
		return err;
	return herd_node_kind(node) == HERD_NODE_CLUSTER_LINK ?
		       target(t, node, ret) : -EINVAL;
}

uint64_t herd_cluster_parent(struct herd_tree *t, uint64_t node)
{
	struct at at;

	if (find(t, node, &at))
		return HERD_NODE_ROOT;
	if (herd_node_kind(node) == HERD_NODE_CLUSTER_LINK)
		return herd_node(HERD_NODE_CLUSTER, at.group->group.id,
				 HERD_CLUSTERS_FIRST + at.cluster);
	return herd_node_what(node) == HERD_CLUSTERS_DIR ?
		       herd_node(HERD_NODE_GROUP, at.group->group.id,
				 HERD_GROUP_DIR) :
		       herd_node(HERD_NODE_CLUSTER, at.group->group.id,
				 HERD_CLUSTERS_DIR);
}

/* ---- names ---- */

static int lookup_in_clusters(const struct at *at, const char *name,
			      uint64_t *ret)
{
	char text[16];

	if (!strcmp(name, "README.txt")) {
		*ret = herd_node(HERD_NODE_CLUSTER, at->group->group.id,
				 HERD_CLUSTERS_README);
		return 0;
	}
	for (uint32_t i = 0; i < cluster_count(at); i++) {
		snprintf(text, sizeof(text), "%u", i);
		if (strcmp(text, name) != 0)
			continue;
		*ret = herd_node(HERD_NODE_CLUSTER, at->group->group.id,
				 HERD_CLUSTERS_FIRST + i);
		return 0;
	}
	return -ENOENT;
}

int herd_cluster_lookup(struct herd_tree *t, uint64_t dir, const char *name,
			uint64_t *ret)
{
	const uint32_t *ids;
	struct at at;
	size_t n;
	int err = find(t, dir, &at);

	if (err)
		return err;
	if (!is_folder(dir))
		return -ENOTDIR;
	if (herd_node_what(dir) == HERD_CLUSTERS_DIR)
		return lookup_in_clusters(&at, name, ret);
	ids = herd_clustering_members(at.c, at.cluster, &n);
	for (size_t i = 0; i < n; i++) {
		const struct herd_tree_member *m = herd_tree_member(t, ids[i]);

		if (!m || strcmp(m->name, name) != 0)
			continue;
		*ret = herd_node(HERD_NODE_CLUSTER_LINK, ids[i], at.cluster);
		return 0;
	}
	return -ENOENT;
}

/* ---- listing ---- */

static int emit(struct herd_tree *t, const struct herd_tree_emit *e,
		const char *name, uint64_t node, mode_t type, uint64_t next)
{
	struct stat st;

	if (next <= e->offset)
		return 0;
	herd_top_stat_dir(t, node, t->opened, &st);
	if (type != S_IFDIR) {
		st.st_mode = type | 0644;
		st.st_nlink = 0;	/* only the type is right */
	}
	return e->fn(e->arg, name, node, &st, next);
}

static int emit_members(struct herd_tree *t, const struct herd_tree_emit *e,
			const struct at *at)
{
	size_t n;
	const uint32_t *ids = herd_clustering_members(at->c, at->cluster, &n);
	int r = 0;

	for (size_t i = 0; i < n && !r; i++) {
		const struct herd_tree_member *m = herd_tree_member(t, ids[i]);

		if (m)
			r = emit(t, e, m->name,
				 herd_node(HERD_NODE_CLUSTER_LINK, ids[i],
					   at->cluster), S_IFLNK, 3 + i);
	}
	return r;
}

int herd_cluster_readdir(struct herd_tree *t, uint64_t dir,
			 const struct herd_tree_emit *e)
{
	char name[16];
	struct at at;
	int r = find(t, dir, &at);

	if (r)
		return r;
	if (!is_folder(dir))
		return -ENOTDIR;
	if (emit(t, e, ".", dir, S_IFDIR, 1) ||
	    emit(t, e, "..", herd_cluster_parent(t, dir), S_IFDIR, 2))
		return 0;
	if (herd_node_what(dir) != HERD_CLUSTERS_DIR) {
		emit_members(t, e, &at);
		return 0;
	}
	const uint64_t base = herd_node(HERD_NODE_CLUSTER, at.group->group.id,
					0);

	r = emit(t, e, "README.txt", base + HERD_CLUSTERS_README, S_IFREG, 3);
	for (uint32_t i = 0; i < cluster_count(&at) && !r; i++) {
		snprintf(name, sizeof(name), "%u", i);
		r = emit(t, e, name, base + HERD_CLUSTERS_FIRST + i, S_IFDIR,
			 4 + i);
	}
	return 0;
}
