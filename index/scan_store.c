/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a finished scan to records: the reference in full, another instance as
 * its difference, the herd's tallies with it, all in one transaction. The
 * transaction may have to be done twice (the map grows), so nothing of the
 * scan is used up.
 */
#include "index/scan.h"
#include "index/examine.h"
#include "index/ledger.h"

#include "acquire/base/cleanup.h"
#include "acquire/base/cursor.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* One path that the scan looked at. */
struct item {
	uint32_t path, parent;	/* ids */
	uint32_t node;
	struct herd_rec *rec;
};

struct storing {
	struct herd_scan *s;
	struct herd_instance *inst;
	struct herd_txn *t;
	struct item *items;	/* by path; each path once */
	size_t n;
	struct herd_idmap absent;	/* paths */
	struct herd_came *came;	/* what was tallied, by path */
	size_t n_came, cap_came;
};

static bool is_reference(const struct storing *st)
{
	return herd_scan_is_reference(st->s);
}

/* ---- names ---- */

static int item_by_path(const void *a, const void *b)
{
	const struct item *x = a, *y = b;

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

static int intern_node(struct storing *st, uint32_t node)
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
static int intern_level(struct storing *st, const uint32_t *level, size_t n)
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
static int intern_by_depth(struct storing *st)
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

static int intern_nodes(struct storing *st)
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
			st->items[st->n++] = (struct item){ n->path,
				n->parent == HERD_NO_NODE
					? 0 : s->nodes[n->parent].path,
				i, n->rec };
	}
	qsort(st->items, st->n, sizeof(*st->items), item_by_path);
	return 0;
}

/* A directory that holds one name twice is damaged or a trick: the first one
   stands, the other is reported. */
static int drop_doubles(struct storing *st)
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

static bool has_item(const struct storing *st, uint32_t path)
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

/* ---- what only a reference has ---- */

struct pair {
	uint64_t key;		/* what they are grouped by */
	uint32_t volume, path;
};

static int by_pair(const void *a, const void *b)
{
	const struct pair *x = a, *y = b;

	if (x->volume != y->volume)
		return x->volume < y->volume ? -1 : 1;
	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return x->path < y->path ? -1 : x->path > y->path;
}

/* Calls put for each group of equal (volume, key) with its paths, ascending. */
static int put_groups(struct storing *st, struct pair *pairs, size_t n,
		      int (*put)(struct storing *st, const struct pair *first,
				 const uint32_t *ids, size_t n))
{
	CLEANUP_FREE uint32_t *ids = malloc((n + 1) * sizeof(*ids));

	if (!ids)
		return -ENOMEM;
	qsort(pairs, n, sizeof(*pairs), by_pair);
	for (size_t i = 0; i < n;) {
		size_t from = i, count = 0;

		for (; i < n && pairs[i].volume == pairs[from].volume &&
		       pairs[i].key == pairs[from].key; i++)
			ids[count++] = pairs[i].path;
		int err = put(st, &pairs[from], ids, count);

		if (err)
			return err;
	}
	return 0;
}

static int put_children(struct storing *st, const struct pair *first,
			const uint32_t *ids, size_t n)
{
	return herd_children_put(st->t, st->inst->id, (uint32_t)first->key, ids,
				 n);
}

static int put_links(struct storing *st, const struct pair *first,
		     const uint32_t *ids, size_t n)
{
	return herd_links_put(st->t, st->inst->id, first->volume, first->key,
			      ids, n);
}

static int owner_order(const void *a, const void *b)
{
	const struct herd_owner_row *x = a, *y = b;

	if (x->volume != y->volume)
		return x->volume < y->volume ? -1 : 1;
	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	if (x->ino != y->ino)
		return x->ino < y->ino ? -1 : 1;
	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	return x->len < y->len ? 1 : x->len > y->len ? -1 : 0;
}

static int put_owners(struct storing *st)
{
	struct herd_scan *s = st->s;

	if (s->n_owners)
		qsort(s->owners, s->n_owners, sizeof(*s->owners),
		      owner_order);
	for (size_t i = 0; i < s->n_owners; i++) {
		const struct herd_owner_row *o = &s->owners[i];

		/* of equal starts by one inode the longest comes first */
		if (i && o->volume == o[-1].volume && o->start == o[-1].start &&
		    o->ino == o[-1].ino && o->kind == o[-1].kind)
			continue;
		int err = herd_owner_put(st->t, st->inst->id, o->volume,
					 o->start, o->len, o->ino, o->kind);

		if (err)
			return err;
	}
	return 0;
}

static int put_reference_maps(struct storing *st)
{
	CLEANUP_FREE struct pair *pairs = malloc((st->n + 1) * sizeof(*pairs));
	size_t n = 0;

	if (!pairs)
		return -ENOMEM;
	for (size_t i = 0; i < st->n; i++)
		if (st->items[i].parent)
			pairs[n++] = (struct pair){ st->items[i].parent, 0,
						    st->items[i].path };
	int err = put_groups(st, pairs, n, put_children);

	n = 0;
	for (size_t i = 0; i < st->n; i++)
		if (st->items[i].rec->ino)
			pairs[n++] = (struct pair){ st->items[i].rec->ino,
						    st->items[i].rec->volume,
						    st->items[i].path };
	if (!err)
		err = put_groups(st, pairs, n, put_links);
	return err ? err : put_owners(st);
}

/* ---- what the reference has and this one lacks ---- */

static int absent_at(struct storing *st, uint32_t volume, uint32_t path,
		     unsigned depth)
{
	const void *ids = NULL;
	struct herd_entry e;
	size_t n = 0;

	if (depth > 2 * HERD_SCAN_DEPTH_MAX)
		return -EBADMSG;
	int err = herd_entry_get_own(st->t, st->s->reference.id, path, &e);

	/* what mounts made (inode 0) is there as long as the layout is */
	if (!err && e.volume == volume && !has_item(st, path) &&
	    (e.ino || !st->s->same_layout))
		err = herd_idmap_put(&st->absent, path, 1);
	if (!err)
		err = herd_children_get(st->t, st->s->reference.id, path, &ids,
					&n);
	if (err)
		return err == -ENOENT ? 0 : err;
	struct herd_cursor c = herd_cursor(ids, n * 4);

	for (size_t i = 0; i < n && !err; i++)
		err = absent_at(st, volume, herd_cur_le32(&c), depth + 1);
	return err;
}

/*
 * Where the reference's volume has its paths: at its mount point and among
 * what mounts hide. With another layout anything may be anywhere.
 */
static int absent_of_volume(struct storing *st, uint32_t i)
{
	const struct herd_stored_volume *v = &st->s->reference.volumes[i];
	char hidden[64];
	uint32_t path = HERD_PATH_ROOT;
	int err = 0;

	if (!st->s->same_layout || !v->mount || !v->mount[0])
		return absent_at(st, i, HERD_PATH_ROOT, 0);
	snprintf(hidden, sizeof(hidden), ".volumes/%u/p%u", v->disk,
		 v->partition);
	const char *const starts[] = { v->mount, hidden };

	for (size_t k = 0; k < ARRAY_SIZE(starts) && !err; k++) {
		if (k && !strcmp(starts[0], starts[1]))
			break;
		err = herd_path_resolve(st->t, starts[k], strlen(starts[k]),
					&path);
		if (!err)
			err = absent_at(st, i, path, 0);
		if (err == -ENOENT)
			err = 0;
	}
	return err;
}

/* A volume that was scanned in full lacks all that was not met in it. */
static int find_absents(struct storing *st)
{
	struct herd_scan *s = st->s;
	int err = 0;

	for (size_t i = 0; i < s->n_absents && !err; i++)
		if (!has_item(st, s->absents[i]))
			err = herd_idmap_put(&st->absent, s->absents[i], 1);
	for (size_t i = 0; i < s->reference.n_volumes && !err; i++)
		if (i >= s->n_volumes || !s->volumes[i].delta)
			err = absent_of_volume(st, i);
	return err;
}

/* ---- entries ---- */

static void account(struct storing *st, const struct herd_entry *e, int sign)
{
	struct herd_instance *inst = st->inst;
	uint64_t one = (uint64_t)(int64_t)sign;

	if (e->absent)
		return;
	inst->entries += one;
	if (e->volume < inst->n_volumes)
		inst->volumes[e->volume].entries += one;
	if (S_ISREG(e->mode)) {
		inst->files += one;
		if (e->digest_kind == HERD_DIGEST_SHA256)
			inst->bytes += one * e->size;
	}
}

static int note_came(struct storing *st, uint32_t path,
		     const struct herd_variant *variant)
{
	if (st->n_came == st->cap_came) {
		size_t cap = st->cap_came ? st->cap_came * 2 : 256;
		struct herd_came *v = reallocarray(st->came, cap, sizeof(*v));

		if (!v)
			return -ENOMEM;
		st->came = v;
		st->cap_came = cap;
	}
	st->came[st->n_came++] = (struct herd_came){ path, *variant };
	return 0;
}

/*
 * Tallies what a member has at a path where it differs from the reference.
 * Who differs by its own tokens alone is counted too, with the reference's
 * variant: the tally tells that there is something to be seen.
 */
static int tally(struct storing *st, uint32_t path, const struct herd_entry *own,
		 const struct herd_entry *ref)
{
	struct herd_variant mine, theirs;

	herd_variant_of(own, &mine);
	herd_variant_of(ref, &theirs);
	if (herd_variant_equal(&mine, &theirs))
		return S_ISREG(own->mode) && !own->absent && !own->size ?
			       herd_examine(st->s->examiner, st->t, st->inst,
					    path, own, ref) : 0;
	int err = herd_examine(st->s->examiner, st->t, st->inst, path, own, ref);

	if (err || st->inst->role != HERD_ROLE_MEMBER)
		return err;
	err = herd_variant_against(st->t, st->inst->id, st->s->reference.id,
				   path, own, ref, &mine);
	if (!err)
		err = herd_tally_add(st->t, st->inst->group, path, &mine,
				     st->inst->id, 1);
	return err ? err : note_came(st, path, &mine);
}

static int put_difference(struct storing *st, const struct item *item)
{
	struct herd_entry own, ref = { .absent = true };
	const void *bytes = NULL;
	size_t len = 0;
	int err = herd_entry_get_bytes(st->t, st->s->reference.id, item->path,
				       &bytes, &len);

	if (err && err != -ENOENT)
		return err;
	if (!err && len == item->rec->len &&
	    !memcmp(bytes, item->rec->encoded, len))
		return 0;
	if (!err)
		err = herd_entry_decode(bytes, len, &ref);
	else
		err = 0;
	if (!err)
		err = herd_entry_decode(item->rec->encoded, item->rec->len, &own);
	if (err)
		return err;
	account(st, &ref, -1);
	account(st, &own, 1);
	err = tally(st, item->path, &own, &ref);
	return err ? err : herd_entry_put(st->t, st->inst->id, item->path,
					  item->rec->encoded, item->rec->len);
}

static int put_absent(struct storing *st, uint32_t path)
{
	CLEANUP_BUF struct herd_buf bytes = HERD_BUF_INIT;
	struct herd_entry own = { .absent = true }, ref;
	int err = herd_entry_get_own(st->t, st->s->reference.id, path, &ref);

	if (err)
		return err == -ENOENT ? 0 : err;
	account(st, &ref, -1);
	err = tally(st, path, &own, &ref);
	if (!err)
		err = herd_entry_encode_absent(&bytes);
	return err ? err : herd_entry_put(st->t, st->inst->id, path, bytes.data,
					  bytes.len);
}

/* Both in ascending order of path, as the store likes it. */
static int put_differences(struct storing *st)
{
	CLEANUP_FREE uint64_t *gone = NULL;
	size_t n_gone = 0, g = 0;
	int err = herd_idmap_keys(&st->absent, &gone, &n_gone);

	for (size_t i = 0; i < st->n && !err; i++) {
		for (; g < n_gone && gone[g] < st->items[i].path && !err; g++)
			err = put_absent(st, (uint32_t)gone[g]);
		if (!err)
			err = put_difference(st, &st->items[i]);
	}
	for (; g < n_gone && !err; g++)
		err = put_absent(st, (uint32_t)gone[g]);
	return err;
}

static int put_all(struct storing *st)
{
	struct herd_entry own;
	int err = 0;

	for (size_t i = 0; i < st->n && !err; i++) {
		const struct herd_rec *rec = st->items[i].rec;

		err = herd_entry_decode(rec->encoded, rec->len, &own);
		if (err)
			break;
		account(st, &own, 1);
		err = herd_entry_put(st->t, st->inst->id, st->items[i].path,
				     rec->encoded, rec->len);
	}
	return err;
}

/* ---- problems ---- */

static int by_problem(const void *a, const void *b)
{
	const struct herd_problem_row *x = a, *y = b;
	size_t n = x->path_len < y->path_len ? x->path_len : y->path_len;
	int c = memcmp(x->path ? x->path : "", y->path ? y->path : "", n);

	if (!c && x->path_len != y->path_len)
		c = x->path_len < y->path_len ? -1 : 1;
	return c ? c : strcmp(x->text, y->text);
}

/* What the reference could not give either, at a place that has not changed. */
static int on_reference_problem(void *arg, const char *path, size_t path_len,
				const char *text, size_t text_len)
{
	struct storing *st = arg;
	CLEANUP_FREE char *p = strndup(path, path_len);
	struct herd_entry e;
	uint32_t id = 0;

	int err = herd_path_resolve(st->t, path, path_len, &id);

	if (!err)
		err = herd_entry_get_own(st->t, st->s->reference.id, id, &e);
	if (err)
		return err == -ENOENT ? 0 : err;
	if (e.volume >= st->s->n_volumes || !st->s->volumes[e.volume].delta ||
	    has_item(st, id) || herd_idmap_get(&st->absent, id))
		return 0;
	return p ? herd_scan_problem(st->s, HERD_NO_NODE, p, "%.*s",
				     (int)text_len, text) : -ENOMEM;
}

static int put_problems(struct storing *st)
{
	struct herd_scan *s = st->s;
	size_t before = s->n_problems;
	int err = 0;

	for (size_t i = 0; i < st->n && !err; i++) {
		const struct herd_rec *rec = st->items[i].rec;

		if (rec->problem)
			err = herd_scan_problem(s, st->items[i].node, NULL, "%s",
						rec->problem);
		else if (rec->expects && memcmp(rec->digest, rec->expected,
						sizeof(rec->digest)) != 0)
			err = herd_scan_problem(s, st->items[i].node, NULL,
				"content is not the reference's, though all of its metadata is");
	}
	if (!err && s->any_delta)
		err = herd_problem_each(st->t, s->reference.id,
					on_reference_problem, st);
	if (err)
		return err;
	CLEANUP_FREE struct herd_problem_row *rows =
		malloc((s->n_problems + 1) * sizeof(*rows));

	if (!rows)
		return -ENOMEM;
	if (s->n_problems)
		memcpy(rows, s->problems, s->n_problems * sizeof(*rows));
	qsort(rows, s->n_problems, sizeof(*rows), by_problem);
	for (size_t i = 0; i < s->n_problems && !err; i++) {
		if (i && !by_problem(&rows[i - 1], &rows[i]))
			continue;
		st->inst->problems++;
		err = herd_problem_add(st->t, st->inst->id, rows[i].path,
				       rows[i].path_len, rows[i].text);
	}
	/* what was added here would be added again by a second try */
	while (s->n_problems > before) {
		s->n_problems--;
		free(s->problems[s->n_problems].path);
		free(s->problems[s->n_problems].text);
	}
	return err;
}

/* ---- the whole ---- */

static void start_figures(struct storing *st)
{
	struct herd_instance *inst = st->inst;
	const struct herd_instance *ref = &st->s->reference;
	bool fresh = is_reference(st);

	inst->entries = fresh ? 0 : ref->entries;
	inst->files = fresh ? 0 : ref->files;
	inst->bytes = fresh ? 0 : ref->bytes;
	inst->problems = 0;
	for (size_t i = 0; i < inst->n_volumes; i++)
		inst->volumes[i].entries = fresh || i >= ref->n_volumes
			? 0 : ref->volumes[i].entries;
}

static void finish_figures(struct storing *st)
{
	struct herd_scan *s = st->s;
	struct herd_instance *inst = st->inst;

	inst->hashed_files = inst->hashed_bytes = 0;
	for (size_t i = 0; i < s->n_recs; i++) {
		const struct herd_rec *rec = herd_scan_rec_at(s, i);

		if (!rec->hashed)
			continue;
		inst->hashed_files++;
		if (rec->digest_kind == HERD_DIGEST_SHA256)
			inst->hashed_bytes += rec->size;
	}
	inst->inherited_files = inst->files > inst->hashed_files && !is_reference(st)
		? inst->files - inst->hashed_files : 0;
	inst->inherited_bytes = inst->bytes > inst->hashed_bytes && !is_reference(st)
		? inst->bytes - inst->hashed_bytes : 0;
}

static int put_group(struct storing *st, struct herd_group *g)
{
	if (is_reference(st))
		g->reference = st->inst->id;
	if (st->inst->role == HERD_ROLE_BASELINE)
		g->baseline = st->inst->id;
	else
		g->members++;
	return herd_group_put(st->t, g);
}

static int store_in(struct storing *st, struct herd_diag *diag)
{
	struct herd_scan *s = st->s;
	struct herd_group g;
	int err = s->replaces ? herd_instance_remove(st->t, s->replaces) : 0;

	if (!err)
		err = herd_group_make(st->t, s->a->group, &g);
	if (err)
		return herd_diag_set(diag, err, s->a->group, HERD_NO_OFFSET,
				     "not a usable group name");
	st->inst->id = 0;
	st->inst->group = g.id;
	herd_examine_begin(s->examiner);
	start_figures(st);
	err = herd_instance_put(st->t, st->inst);
	if (!err)
		err = intern_nodes(st);
	if (!err)
		err = drop_doubles(st);
	if (!err && is_reference(st))
		err = put_reference_maps(st);
	if (!err && !is_reference(st))
		err = find_absents(st);
	/* until here nothing needed a digest: hashing went on meanwhile */
	if (!err)
		err = herd_hash_pool_wait(s->pool, -1, NULL);
	if (!err)
		err = is_reference(st) ? put_all(st) : put_differences(st);
	if (!err && !is_reference(st))
		err = herd_examine_packages(s->examiner, st->t, st->inst);
	if (!err)
		err = herd_examiner_put_tokens(s->examiner, st->t, st->inst->id);
	if (!err)
		err = put_problems(st);
	if (!err)
		err = herd_scan_check_disks(s, diag);
	if (!err)
		err = herd_partial_drop(st->t, s->key);
	if (!err)
		err = put_group(st, &g);
	if (!err)
		err = st->inst->role == HERD_ROLE_BASELINE ?
			      herd_ledger_drop(st->t, g.id) :
			      herd_ledger_join(st->t, &g, st->inst->id,
					       st->came, st->n_came);
	finish_figures(st);
	return err ? err : herd_instance_put(st->t, st->inst);
}

struct store_call {
	struct herd_scan *s;
	struct herd_instance *inst;
};

static int store_once(struct herd_txn *t, void *arg, struct herd_diag *diag)
{
	struct store_call *call = arg;
	struct storing st = { .s = call->s, .inst = call->inst, .t = t };
	struct herd_txn *reading = call->s->txn;

	call->s->txn = t;	/* for paths in messages */
	int err = store_in(&st, diag);

	call->s->txn = reading;
	free(st.items);
	free(st.came);
	herd_idmap_deinit(&st.absent);
	return err;
}

int herd_scan_store(struct herd_scan *s, struct herd_instance *inst,
		    struct herd_diag *diag)
{
	struct store_call call = { s, inst };

	return herd_store_update(s->store, store_once, &call, diag);
}
