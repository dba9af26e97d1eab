/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything above disk/: the root, asg/, groups, instances, and the folders
 * of the views.
 *
 * Positions in a directory: 1 and 2 follow "." and ".."; fixed items follow in
 * their order; then groups and instances by their numbers.
 *
 * Threads: any; nothing here changes while the tree is open.
 */
#include "fs/tree_internal.h"

#include <string.h>

static const char *const group_items[HERD_GROUP_ITEM_MAX] = {
	[HERD_GROUP_JSON] = "herd.json",
	[HERD_GROUP_README] = "README.txt",
};

static const char *const instance_items[HERD_INSTANCE_ITEM_MAX] = {
	[HERD_INSTANCE_DEVIANT] = "deviant",
	[HERD_INSTANCE_HERD] = "herd",
	[HERD_INSTANCE_VOLATILE] = "volatile",
	[HERD_INSTANCE_SUPPRESSED] = "suppressed",
	[HERD_INSTANCE_ALL] = "all",
	[HERD_INSTANCE_REPORT] = "report.txt",
	[HERD_INSTANCE_REPORT_JSON] = "report.json",
	[HERD_INSTANCE_MANIFEST] = "MANIFEST.sha256",
	[HERD_INSTANCE_BODYFILE] = "bodyfile",
	[HERD_INSTANCE_MEMORY_RAW] = "memory.raw",
};

/* What a folder of an instance holds as disk/. */
static const enum herd_node_kind views[HERD_INSTANCE_ITEM_MAX] = {
	[HERD_INSTANCE_DEVIANT] = HERD_NODE_DEVIANT,
	[HERD_INSTANCE_HERD] = HERD_NODE_HERD,
	[HERD_INSTANCE_VOLATILE] = HERD_NODE_VOLATILE,
	[HERD_INSTANCE_SUPPRESSED] = HERD_NODE_SUPPRESSED,
	[HERD_INSTANCE_ALL] = HERD_NODE_ALL,
};

/* What holds memory/, too, where there is memory. */
static bool has_memory(const struct herd_tree_member *m, uint32_t item,
		       enum herd_memory_view *ret)
{
	switch (m->has_memory ? item : HERD_INSTANCE_DIR) {
	case HERD_INSTANCE_DEVIANT:
		*ret = HERD_MEMORY_DEVIANT;
		return true;
	case HERD_INSTANCE_VOLATILE:
		*ret = HERD_MEMORY_VOLATILE;
		return true;
	case HERD_INSTANCE_ALL:
		*ret = HERD_MEMORY_ALL;
		return true;
	default:
		return false;
	}
}

/* A profile is no member of the herd: nothing is judged, all/ is shown. */
static bool has_item(const struct herd_tree_member *m, uint32_t item)
{
	if (item >= HERD_INSTANCE_ITEM_MAX)
		return false;
	if (item == HERD_INSTANCE_MEMORY_RAW)
		return m->has_memory;
	return m->role == HERD_ROLE_MEMBER || item == HERD_INSTANCE_DIR ||
	       item == HERD_INSTANCE_ALL;
}

enum top_kind { TOP_NONE, TOP_ROOT, TOP_ASG, TOP_GROUP, TOP_GROUP_FILE,
		TOP_INSTANCE, TOP_VIEW, TOP_INSTANCE_FILE, TOP_RAW };

/* What a node is, and that it is there. */
static enum top_kind kind_of(struct herd_tree *t, uint64_t node,
			     struct herd_tree_group **ret_group,
			     struct herd_tree_member **ret_member)
{
	const uint32_t owner = herd_node_owner(node);
	const uint32_t what = herd_node_what(node);

	switch (herd_node_kind(node)) {
	case HERD_NODE_FIXED:
		return node == HERD_NODE_ROOT ? TOP_ROOT :
		       node == HERD_NODE_ASG ? TOP_ASG : TOP_NONE;
	case HERD_NODE_GROUP:
		*ret_group = herd_tree_group(t, owner);
		if (!*ret_group || what >= HERD_GROUP_ITEM_MAX)
			return TOP_NONE;
		return what == HERD_GROUP_DIR ? TOP_GROUP : TOP_GROUP_FILE;
	case HERD_NODE_INSTANCE:
		*ret_member = herd_tree_member(t, owner);
		if (!*ret_member || !has_item(*ret_member, what))
			return TOP_NONE;
		*ret_group = (*ret_member)->group;
		if (what == HERD_INSTANCE_DIR)
			return TOP_INSTANCE;
		if (what == HERD_INSTANCE_MEMORY_RAW)
			return TOP_RAW;
		return views[what] ? TOP_VIEW : TOP_INSTANCE_FILE;
	default:
		return TOP_NONE;
	}
}

bool herd_top_exists(struct herd_tree *t, uint64_t node)
{
	struct herd_tree_group *g;
	struct herd_tree_member *m;

	return kind_of(t, node, &g, &m) != TOP_NONE;
}

bool herd_file_is_generated(uint64_t node)
{
	const uint32_t what = herd_node_what(node);

	if (herd_node_kind(node) == HERD_NODE_CLUSTER)
		return what == HERD_CLUSTERS_README;
	if (herd_node_kind(node) == HERD_NODE_GROUP)
		return what == HERD_GROUP_JSON || what == HERD_GROUP_README;
	return herd_node_kind(node) == HERD_NODE_INSTANCE &&
	       what < HERD_INSTANCE_ITEM_MAX && what != HERD_INSTANCE_DIR &&
	       what != HERD_INSTANCE_MEMORY_RAW && !views[what];
}

/* ---- attributes ---- */

static void stat_common(struct herd_tree *t, uint64_t node, time_t when,
			struct stat *st)
{
	*st = (struct stat){
		.st_ino = node,
		.st_nlink = 1,
		.st_uid = t->uid,
		.st_gid = t->gid,
		.st_blksize = 4096,
		.st_atim.tv_sec = when,
		.st_mtim.tv_sec = when,
		.st_ctim.tv_sec = when,
	};
}

void herd_top_stat_dir(struct herd_tree *t, uint64_t node, time_t when,
		       struct stat *ret)
{
	stat_common(t, node, when, ret);
	ret->st_mode = S_IFDIR | 0755;	/* so that a copy can be removed */
}

/* When the instance was attached, if its record is at hand. */
static time_t when_attached(struct herd_tree *t, uint32_t id)
{
	LEASE(l, t);
	struct herd_tree_instance *i;

	if (herd_tree_instance(t, l.txn, id, &i))
		return t->opened;
	return (time_t)i->record.attached;
}

int herd_top_getattr(struct herd_tree *t, uint64_t node, struct stat *ret)
{
	struct herd_tree_group *g = NULL;
	struct herd_tree_member *m = NULL;
	const enum top_kind kind = kind_of(t, node, &g, &m);
	struct herd_blob *blob;
	int err;

	if (kind == TOP_NONE)
		return -ENOENT;
	herd_top_stat_dir(t, node, m ? when_attached(t, m->id) : t->opened,
			  ret);
	if (kind == TOP_RAW)
		return herd_memory_stat_raw(t, node, ret);
	if (kind != TOP_GROUP_FILE && kind != TOP_INSTANCE_FILE)
		return 0;
	err = herd_file_get(t, node, &blob);
	if (err)
		return err;
	ret->st_mode = S_IFREG | 0644;
	ret->st_size = (off_t)blob->buf.len;
	ret->st_blocks = (blkcnt_t)((blob->buf.len + 511) / 512);
	herd_cache_put(&t->cache, &blob->cached);
	return 0;
}

/* In a listing: what is made when needed is not made for its attributes. */
static void stat_listed(struct herd_tree *t, uint64_t node, time_t when,
			struct stat *st)
{
	herd_top_stat_dir(t, node, when, st);
	if (herd_file_is_generated(node) || herd_memory_is_raw(node))
		st->st_mode = S_IFREG | 0644;
	if (S_ISREG(st->st_mode) || herd_node_is_path(node) ||
	    herd_node_is_memory(node))
		st->st_nlink = 0;
}

/* ---- names ---- */

static int lookup_item(const char *const *items, uint32_t n, const char *name,
		       uint32_t *ret)
{
	for (uint32_t i = 0; i < n; i++)
		if (items[i] && strcmp(items[i], name) == 0) {
			*ret = i;
			return 0;
		}
	return -ENOENT;
}

static int lookup_group(struct herd_tree *t, const char *name, uint64_t *ret)
{
	for (size_t i = 0; i < t->n_groups; i++)
		if (strcmp(t->groups[i].group.name, name) == 0) {
			*ret = herd_node(HERD_NODE_GROUP,
					 t->groups[i].group.id,
					 HERD_GROUP_DIR);
			return 0;
		}
	return -ENOENT;
}

static int lookup_member(struct herd_tree *t, const struct herd_tree_group *g,
			 const char *name, uint64_t *ret)
{
	size_t lo = 0, hi = t->n_members;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const struct herd_tree_member *m = &t->members[t->by_name[mid]];
		int c = (m->group > g) - (m->group < g);

		if (!c)
			c = strcmp(m->name, name);
		if (!c) {
			*ret = herd_node(HERD_NODE_INSTANCE, m->id,
					 HERD_INSTANCE_DIR);
			return 0;
		}
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return -ENOENT;
}

int herd_top_lookup(struct herd_tree *t, uint64_t dir, const char *name,
		    uint64_t *ret)
{
	const uint32_t owner = herd_node_owner(dir);
	struct herd_tree_group *g = NULL;
	struct herd_tree_member *m = NULL;
	enum herd_memory_view view;
	uint32_t item;

	switch (kind_of(t, dir, &g, &m)) {
	case TOP_ROOT:
		if (strcmp(name, "asg") != 0)
			return -ENOENT;
		*ret = HERD_NODE_ASG;
		return 0;
	case TOP_ASG:
		return lookup_group(t, name, ret);
	case TOP_GROUP:
		if (strcmp(name, "clusters") == 0) {
			*ret = herd_node(HERD_NODE_CLUSTER, owner,
					 HERD_CLUSTERS_DIR);
			return 0;
		}
		if (lookup_item(group_items, HERD_GROUP_ITEM_MAX, name, &item))
			return lookup_member(t, g, name, ret);
		*ret = herd_node(HERD_NODE_GROUP, owner, item);
		return 0;
	case TOP_INSTANCE:
		if (lookup_item(instance_items, HERD_INSTANCE_ITEM_MAX, name,
				&item) || !has_item(m, item))
			return -ENOENT;
		*ret = herd_node(HERD_NODE_INSTANCE, owner, item);
		return 0;
	case TOP_VIEW:
		if (strcmp(name, "memory") == 0 &&
		    has_memory(m, herd_node_what(dir), &view)) {
			*ret = herd_node_memory(view, owner, HERD_MEMORY_DIR);
			return 0;
		}
		if (strcmp(name, "disk") != 0)
			return -ENOENT;
		*ret = herd_node(views[herd_node_what(dir)], owner,
				 HERD_PATH_ROOT);
		return 0;
	case TOP_NONE:
		return -ENOENT;
	default:
		return -ENOTDIR;
	}
}

uint64_t herd_top_parent(struct herd_tree *t, uint64_t node)
{
	struct herd_tree_group *g = NULL;
	struct herd_tree_member *m = NULL;

	if (herd_node_is_path(node)) {	/* of a disk/ */
		for (uint32_t i = 0; i < HERD_INSTANCE_ITEM_MAX; i++)
			if (views[i] == herd_node_kind(node))
				return herd_node(HERD_NODE_INSTANCE,
						 herd_node_owner(node), i);
		return HERD_NODE_ROOT;
	}
	switch (kind_of(t, node, &g, &m)) {
	case TOP_GROUP:
		return HERD_NODE_ASG;
	case TOP_GROUP_FILE:
	case TOP_INSTANCE:
		return herd_node(HERD_NODE_GROUP, g->group.id, HERD_GROUP_DIR);
	case TOP_VIEW:
	case TOP_INSTANCE_FILE:
	case TOP_RAW:
		return herd_node(HERD_NODE_INSTANCE, m->id, HERD_INSTANCE_DIR);
	default:
		return HERD_NODE_ROOT;
	}
}

/* ---- listing ---- */

static int emit_one(struct herd_tree *t, const struct herd_tree_emit *e,
		    const char *name, uint64_t node, time_t when,
		    uint64_t next)
{
	struct stat st;

	if (next <= e->offset)
		return 0;
	stat_listed(t, node, when, &st);
	return e->fn(e->arg, name, node, &st, next);
}

static int emit_items(struct herd_tree *t, const struct herd_tree_emit *e,
		      uint64_t dir, const char *const *items, uint32_t n,
		      const struct herd_tree_member *m, time_t when)
{
	int r = 0;

	for (uint32_t i = 0; !r && i < n; i++)
		if (items[i] && (!m || has_item(m, i)))
			r = emit_one(t, e, items[i], dir + i, when, 2 + i);
	return r;
}

static int emit_members(struct herd_tree *t, const struct herd_tree_emit *e,
			const struct herd_tree_group *g)
{
	const uint64_t base = 2 + HERD_GROUP_ITEM_MAX;
	int r = 0;

	for (size_t i = 0; !r && i < t->n_members; i++) {
		const struct herd_tree_member *m = &t->members[i];
		struct herd_tree_instance *in;
		time_t when = t->opened;

		if (m->group != g || base + m->id <= e->offset)
			continue;
		in = atomic_load_explicit(&t->members[i].loaded,
					  memory_order_acquire);
		if (in)
			when = (time_t)in->record.attached;
		else
			when = when_attached(t, m->id);
		r = emit_one(t, e, m->name,
			     herd_node(HERD_NODE_INSTANCE, m->id,
				       HERD_INSTANCE_DIR), when, base + m->id);
	}
	return r;
}

static int emit_groups(struct herd_tree *t, const struct herd_tree_emit *e)
{
	int r = 0;

	for (size_t i = 0; !r && i < t->n_groups; i++) {
		const struct herd_group *g = &t->groups[i].group;

		r = emit_one(t, e, g->name,
			     herd_node(HERD_NODE_GROUP, g->id, HERD_GROUP_DIR),
			     t->opened, (uint64_t)g->id + 2);
	}
	return r;
}

int herd_top_readdir(struct herd_tree *t, uint64_t dir,
		     const struct herd_tree_emit *e)
{
	struct herd_tree_group *g = NULL;
	struct herd_tree_member *m = NULL;
	const enum top_kind kind = kind_of(t, dir, &g, &m);
	const uint32_t owner = herd_node_owner(dir);
	const uint32_t what = herd_node_what(dir);
	enum herd_memory_view view;
	time_t when = t->opened;
	int r;

	if (kind == TOP_NONE)
		return -ENOENT;
	if (kind == TOP_GROUP_FILE || kind == TOP_INSTANCE_FILE ||
	    kind == TOP_RAW)
		return -ENOTDIR;
	if (m)
		when = when_attached(t, m->id);
	r = emit_one(t, e, ".", dir, when, 1);
	if (!r)
		r = emit_one(t, e, "..", herd_top_parent(t, dir), when, 2);
	if (r)
		return 0;
	switch (kind) {
	case TOP_ROOT:
		emit_one(t, e, "asg", HERD_NODE_ASG, when, 3);
		break;
	case TOP_ASG:
		emit_groups(t, e);
		break;
	case TOP_GROUP:
		if (!emit_items(t, e, dir, group_items, HERD_GROUP_ITEM_MAX,
				NULL, when) &&
		    !emit_one(t, e, "clusters",
			      herd_node(HERD_NODE_CLUSTER, owner,
					HERD_CLUSTERS_DIR), when,
			      2 + HERD_GROUP_ITEM_MAX))
			emit_members(t, e, g);
		break;
	case TOP_INSTANCE:
		emit_items(t, e, dir, instance_items, HERD_INSTANCE_ITEM_MAX,
			   m, when);
		break;
	default:
		if (!emit_one(t, e, "disk",
			      herd_node(views[what], owner, HERD_PATH_ROOT),
			      when, 3) && has_memory(m, what, &view))
			emit_one(t, e, "memory",
				 herd_node_memory(view, owner,
						  HERD_MEMORY_DIR), when, 4);
	}
	return 0;
}
