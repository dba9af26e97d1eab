/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is kept of a reference beside its entries, and what another instance
 * lacks of it.
 *
 * Threads: as index/scan_store.h says.
 */
#include "index/scan_store.h"

#include "acquire/base/cleanup.h"
#include "acquire/base/cursor.h"

#include <stdio.h>
#include <string.h>

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
static int put_groups(struct herd_storing *st, struct pair *pairs, size_t n,
		      int (*put)(struct herd_storing *st, const struct pair *first,
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

static int put_children(struct herd_storing *st, const struct pair *first,
			const uint32_t *ids, size_t n)
{
	return herd_children_put(st->t, st->inst->id, (uint32_t)first->key, ids,
				 n);
}

static int put_links(struct herd_storing *st, const struct pair *first,
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

static int put_owners(struct herd_storing *st)
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

int herd_storing_put_maps(struct herd_storing *st)
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

static int absent_at(struct herd_storing *st, uint32_t volume, uint32_t path,
		     unsigned depth)
{
	const void *ids = NULL;
	struct herd_entry e;
	size_t n = 0;

	if (depth > 2 * HERD_SCAN_DEPTH_MAX)
		return -EBADMSG;
	int err = herd_entry_get_own(st->t, st->s->reference.id, path, &e);

	/* what mounts made (inode 0) is there as long as the layout is */
	if (!err && e.volume == volume && !herd_storing_has(st, path) &&
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
static int absent_of_volume(struct herd_storing *st, uint32_t i)
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
int herd_storing_find_absents(struct herd_storing *st)
{
	struct herd_scan *s = st->s;
	int err = 0;

	for (size_t i = 0; i < s->n_absents && !err; i++)
		if (!herd_storing_has(st, s->absents[i]))
			err = herd_idmap_put(&st->absent, s->absents[i], 1);
	for (size_t i = 0; i < s->reference.n_volumes && !err; i++)
		if (i >= s->n_volumes || !s->volumes[i].delta)
			err = absent_of_volume(st, i);
	return err;
}
