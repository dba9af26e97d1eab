/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The names of a finished scan become paths of the store.
 *
 * Threads: as index/scan_store.h says.
 */
#include "index/scan_store.h"

#include "acquire/base/cleanup.h"

#include <string.h>

static int item_by_path(const void *a, const void *b)
{
	const struct herd_storing_item *x = a, *y = b;

	if (x->path != y->path)
		return x->path < y->path ? -1 : 1;
	return x->node < y->node ? -1 : x->node > y->node;
}

static const char *node_name(const struct herd_scan *s, uint32_t node)
{
	return (const char *)s->names.data + s->nodes[node].name;
}

struct fresh {
	const struct herd_scan *s;
	uint32_t node, parent;	/* node; id of its parent */
};

static int by_parent_and_name(const void *a, const void *b)
{
	const struct fresh *x = a, *y = b;
	const struct herd_node *m = &x->s->nodes[x->node];
	const struct herd_node *n = &x->s->nodes[y->node];
	size_t len = m->name_len < n->name_len ? m->name_len : n->name_len;

	if (x->parent != y->parent)
		return x->parent < y->parent ? -1 : 1;
	int c = memcmp(node_name(x->s, x->node), node_name(x->s, y->node), len);

	return c ? c : m->name_len < n->name_len ? -1
						: m->name_len > n->name_len;
}

static int intern_node(struct herd_storing *st, uint32_t node)
{
	struct herd_node *n = &st->s->nodes[node];

	return herd_path_intern(st->t, st->s->nodes[n->parent].path,
				node_name(st->s, node), n->name_len, &n->path);
}

/*
 * Ids for the nodes of one depth. Names that are new get theirs in the order
 * of parent and name, so that the records of an instance do not depend on
 * the way in which it was read.
 */
static int intern_level(struct herd_storing *st, const uint32_t *level, size_t n)
{
	struct herd_scan *s = st->s;
	CLEANUP_FREE struct fresh *fresh = malloc((n + 1) * sizeof(*fresh));
	size_t n_fresh = 0;
	int err = 0;

	if (!fresh)
		return -ENOMEM;
	for (size_t i = 0; i < n && !err; i++) {
		struct herd_node *node = &s->nodes[level[i]];
		uint32_t parent;

		if (node->parent == HERD_NO_NODE)
			continue;
		parent = s->nodes[node->parent].path;
		err = herd_path_find(st->t, parent, node_name(s, level[i]),
				     node->name_len, &node->path);
		if (err == -ENOENT) {
			fresh[n_fresh++] = (struct fresh){ s, level[i], parent };
			err = 0;
		}
	}
	qsort(fresh, n_fresh, sizeof(*fresh), by_parent_and_name);
	for (size_t i = 0; i < n_fresh && !err; i++)
		err = intern_node(st, fresh[i].node);
	return err;
}

/* Parents before children: depth by depth. */
static int intern_by_depth(struct herd_storing *st)
{
	struct herd_scan *s = st->s;
	uint32_t deepest = 0;
	int err = 0;

	for (size_t i = 0; i < s->n_nodes; i++)
		if (s->nodes[i].depth > deepest)
			deepest = s->nodes[i].depth;
	CLEANUP_FREE size_t *start = calloc((size_t)deepest + 3, sizeof(*start));
	CLEANUP_FREE uint32_t *order = malloc((s->n_nodes + 1) * sizeof(*order));

	if (!start || !order)
		return -ENOMEM;
	/* start[d + 2] counts, then start[d + 1] runs ahead of level d */
	for (size_t i = 0; i < s->n_nodes; i++)
		start[s->nodes[i].depth + 2]++;
	for (size_t d = 2; d <= (size_t)deepest + 2; d++)
		start[d] += start[d - 1];
	for (size_t i = 0; i < s->n_nodes; i++)
		order[start[s->nodes[i].depth + 1]++] = i;
	for (uint32_t d = 0; d <= deepest && !err; d++)
		err = intern_level(st, order + start[d], start[d + 1] - start[d]);
	return err;
}

int herd_storing_intern(struct herd_storing *st)
{
	struct herd_scan *s = st->s;
	int err = intern_by_depth(st);

	if (err)
		return err;
	st->items = malloc((s->n_nodes + 1) * sizeof(*st->items));
	if (!st->items)
		return -ENOMEM;
	for (size_t i = 0; i < s->n_nodes; i++) {
		const struct herd_node *n = &s->nodes[i];

		if (n->rec)
			st->items[st->n++] = (struct herd_storing_item){
				n->path,
				n->parent == HERD_NO_NODE ?
					0 : s->nodes[n->parent].path,
				i, n->rec };
	}
	qsort(st->items, st->n, sizeof(*st->items), item_by_path);
	return 0;
}

int herd_storing_drop_doubles(struct herd_storing *st)
{
	size_t keep = 0;

	for (size_t i = 0; i < st->n; i++) {
		if (!keep || st->items[keep - 1].path != st->items[i].path) {
			st->items[keep++] = st->items[i];
			continue;
		}
		if (st->items[keep - 1].rec == st->items[i].rec)
			continue;
		int err = herd_scan_problem(st->s, st->items[i].node, NULL,
					    "the name stands twice in its directory; inode %llu is not shown",
					    (unsigned long long)st->items[i].rec->ino);

		if (err)
			return err;
	}
	st->n = keep;
	return 0;
}

bool herd_storing_has(const struct herd_storing *st, uint32_t path)
{
	size_t lo = 0, hi = st->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (st->items[mid].path < path)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < st->n && st->items[lo].path == path;
}
