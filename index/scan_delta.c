/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a volume by what changed against the reference. Work grows with the
 * changed bytes and with the directories they lie in, not with the volume.
 *
 *   1. changed bytes → inodes: those whose record lies there, and those to
 *      which the reference's owner map says the block belongs
 *   2. changed directories, parents first, against the reference's children:
 *      names that went take their subtree with them (absent), names that came
 *      are walked as in a full scan
 *   3. every other changed inode, at each path that it still has
 *
 * Inodes that only exist in the new volume need no step of their own: a name
 * leads to them, and that name lies in a changed directory.
 */
#include "index/scan.h"

#include "acquire/base/cleanup.h"
#include "acquire/base/cursor.h"

#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

/* Why an inode is looked at again: bits. */
enum {
	DIRTY_RECORD = 1,	/* its record lies in a changed block, with others */
	DIRTY_OWNED = 2,	/* a block of its own changed */
};

struct delta {
	struct herd_scan *s;
	struct herd_scan_volume *v;
	struct herd_idmap dirty;	/* inode → bits */
	struct herd_idmap gone;		/* paths of the reference that no longer
					   lead where they led */
	struct herd_idmap visited;	/* directories already walked */
};

/* A changed directory of the reference. */
struct dirty_dir {
	uint64_t ino;
	uint32_t path, depth;
};

/* ---- 1: from bytes to inodes ---- */

static int on_inode(void *arg, uint64_t ino)
{
	struct delta *d = arg;

	return herd_idmap_or(&d->dirty, ino, DIRTY_RECORD);
}

static int on_owner(void *arg, uint64_t start, uint64_t len, uint64_t ino,
		    enum herd_owner_kind kind)
{
	struct delta *d = arg;

	(void)start;
	(void)len;
	(void)kind;
	return herd_idmap_or(&d->dirty, ino, DIRTY_OWNED);
}

static int find_dirty(struct delta *d, struct herd_diag *diag)
{
	struct herd_scan *s = d->s;
	const struct herd_extents *changed = &d->v->changed;
	int err = d->v->volume->ops->inodes_in(d->v->volume, changed, on_inode,
					       d, diag);

	return err ?: herd_owner_each(s->txn, s->reference.id, d->v->index,
				      changed, on_owner, d);
}

/* ---- the reference's side ---- */

static uint32_t id_at(const void *ids, size_t i)
{
	struct herd_cursor c = herd_cursor((const uint8_t *)ids + 4 * i, 4);

	return herd_cur_le32(&c);
}

static int path_depth(struct herd_txn *t, uint32_t path, uint32_t *ret)
{
	uint32_t depth = 0;

	while (path != HERD_PATH_ROOT) {
		const char *name = NULL;
		size_t len = 0;
		int err = herd_path_get(t, path, &path, &name, &len);

		if (err)
			return err == -ENOENT ? -EBADMSG : err;
		if (++depth > 2 * HERD_SCAN_DEPTH_MAX)
			return -EBADMSG;
	}
	*ret = depth;
	return 0;
}

/*
 * An entry of the reference on this volume; -ENOENT when it has none there.
 * Directories that only mounts made (inode 0) belong to the layout, which is
 * the same, and not to what the volume holds.
 */
static int reference_at(struct delta *d, uint32_t path, struct herd_entry *ret)
{
	struct herd_entry e;
	int err = herd_entry_get_own(d->s->txn, d->s->reference.id, path, &e);

	if (err)
		return err;
	if (e.absent || e.volume != d->v->index || !e.ino)
		return -ENOENT;
	*ret = e;
	return 0;
}

/* Marks everything below path absent; path itself too when `self`. */
static int remove_subtree(struct delta *d, uint32_t path, bool self,
			  unsigned depth)
{
	const void *ids = NULL;
	struct herd_entry e;
	size_t n = 0;
	int err;

	if (depth > HERD_SCAN_DEPTH_MAX)
		return -EBADMSG;
	if (self) {
		if (herd_idmap_get(&d->gone, path))
			return 0;
		err = herd_idmap_put(&d->gone, path, 1);
		if (!err)
			err = herd_scan_absent(d->s, path);
		if (err)
			return err;
	}
	err = herd_children_get(d->s->txn, d->s->reference.id, path, &ids, &n);
	if (err)
		return err == -ENOENT ? 0 : err;
	for (size_t i = 0; i < n; i++) {
		uint32_t child = id_at(ids, i);

		err = reference_at(d, child, &e);
		if (err == -ENOENT)
			err = -EAGAIN;	/* a mount in what went */
		if (!err)
			err = remove_subtree(d, child, true, depth + 1);
		if (err)
			return err;
	}
	return 0;
}

/* ---- 2: directories ---- */

struct compare {
	struct delta *d;
	uint32_t dir, depth;		/* path, and its node when made */
	uint32_t anchor;
	struct herd_idmap seen;		/* paths of the reference still there */
	size_t bad_names;
};

static int anchor_of(struct compare *c, uint32_t *ret)
{
	int err = 0;

	if (c->anchor == HERD_NO_NODE)
		err = herd_scan_anchor(c->d->s, c->dir, c->depth, &c->anchor);
	*ret = c->anchor;
	return err;
}

/* A name that was not there, or leads to another inode now. */
static int add_name(struct compare *c, const char *name, size_t len,
		    uint64_t ino, unsigned char type)
{
	struct delta *d = c->d;
	struct herd_rec *rec = NULL;
	uint32_t parent = 0, node = 0;
	int err = anchor_of(c, &parent);

	if (!err)
		err = herd_scan_node(d->s, parent, name, len, &node);
	if (!err)
		err = herd_scan_rec(d->s, d->v, ino, type, &rec);
	if (err)
		return err;
	d->s->nodes[node].rec = rec;
	if (!S_ISDIR(rec->mode))
		return 0;
	return herd_scan_below(d->s, d->v, node, &d->visited);
}


static int collect_name(void *arg, const char *name, size_t len, uint64_t ino,
			unsigned char type)
{
	struct herd_buf *b = arg;

	herd_buf_varint(b, len);
	herd_buf_put(b, name, len);
	herd_buf_varint(b, ino);
	herd_buf_u8(b, type);
	return herd_buf_error(b);
}

/* Whether the directory below the mount point `path` is the one it was. */
static bool same_hidden(struct delta *d, uint32_t path, uint64_t ino)
{
	CLEANUP_BUF struct herd_buf full = HERD_BUF_INIT;
	CLEANUP_BUF struct herd_buf hidden = HERD_BUF_INIT;
	size_t skip = strlen(d->v->mount);
	struct herd_entry e;
	uint32_t id = 0;

	if (herd_path_full(d->s->txn, path, &full) || full.len < skip)
		return false;
	herd_buf_printf(&hidden, ".volumes/%u/p%u/", d->v->disk,
			d->v->part.number);
	herd_buf_put(&hidden, full.data + skip, full.len - skip);
	return !herd_buf_error(&hidden) &&
	       !herd_path_resolve(d->s->txn, (char *)hidden.data, hidden.len,
				  &id) &&
	       !reference_at(d, id, &e) && e.ino == ino;
}

static int compare_name(struct compare *c, const char *name, size_t len,
			uint64_t ino, unsigned char type)
{
	struct delta *d = c->d;
	struct herd_entry e;
	uint32_t path = 0;

	if (!len || len > HERD_NAME_MAX || memchr(name, '/', len) ||
	    memchr(name, '\0', len) || (len == 1 && *name == '.') ||
	    (len == 2 && !memcmp(name, "..", 2))) {
		c->bad_names++;
		return 0;
	}
	int err = herd_path_find(d->s->txn, c->dir, name, len, &path);

	if (!err)
		err = herd_entry_get_own(d->s->txn, d->s->reference.id, path, &e);
	if (err == -ENOENT)
		return add_name(c, name, len, ino, type);
	if (err)
		return err;
	/* a mount point that moved, or one name twice: told in full */
	if (herd_idmap_get(&c->seen, path) ||
	    ((e.volume != d->v->index || !e.ino) && !same_hidden(d, path, ino)))
		return -EAGAIN;
	if (e.volume != d->v->index || !e.ino)
		return herd_idmap_put(&c->seen, path, 1);
	err = herd_idmap_put(&c->seen, path, 1);
	if (err || e.ino == ino)
		return err;
	err = herd_idmap_put(&d->gone, path, 1);
	if (!err)
		err = remove_subtree(d, path, false, 0);
	return err ? err : add_name(c, name, len, ino, type);
}

static int remove_unseen(struct compare *c)
{
	struct delta *d = c->d;
	const void *ids = NULL;
	struct herd_entry e;
	size_t n = 0;
	int err = herd_children_get(d->s->txn, d->s->reference.id, c->dir, &ids,
				    &n);

	if (err)
		return err == -ENOENT ? 0 : err;
	for (size_t i = 0; i < n; i++) {
		uint32_t child = id_at(ids, i);

		if (herd_idmap_get(&c->seen, child))
			continue;
		err = herd_entry_get_own(d->s->txn, d->s->reference.id, child,
					 &e);
		if (!err && !e.ino)
			continue;	/* made by a mount, not by a name */
		if (!err && e.volume != d->v->index)
			err = -EAGAIN;
		if (!err)
			err = remove_subtree(d, child, true, 0);
		if (err)
			return err;
	}
	return 0;
}

static int compare_names(struct compare *c, const struct herd_buf *names)
{
	struct herd_cursor cur = herd_cursor(names->data, names->len);

	while (herd_cur_left(&cur)) {
		uint64_t len = herd_cur_varint(&cur);
		const char *name = herd_cur_bytes(&cur, len);
		uint64_t ino = herd_cur_varint(&cur);
		unsigned char type = herd_cur_u8(&cur);

		if (cur.bad)
			return -EBADMSG;
		int err = compare_name(c, name, len, ino, type);

		if (err)
			return err;
	}
	return remove_unseen(c);
}

static int compare_dir(struct delta *d, const struct dirty_dir *dir)
{
	CLEANUP_BUF struct herd_buf names = HERD_BUF_INIT;
	struct compare c = { .d = d, .dir = dir->path, .depth = dir->depth,
			     .anchor = HERD_NO_NODE };
	struct herd_diag diag;
	char text[1024];
	uint32_t node = 0;

	if (herd_idmap_get(&d->visited, dir->ino))
		return 0;
	herd_diag_clear(&diag);
	int err = herd_idmap_put(&d->visited, dir->ino, 1);

	if (err)
		return err;
	/* the names are gathered first: a walk below one of them uses the
	   same reader */
	int why = d->v->volume->ops->readdir(d->v->volume, dir->ino,
					     collect_name, &names, &diag);

	if (why == -ENOMEM)
		return why;
	err = compare_names(&c, &names);
	if (!err && (why || c.bad_names))
		err = anchor_of(&c, &node);
	diag.source[0] = '\0';
	if (!err && c.bad_names)
		err = herd_scan_problem(d->s, node, NULL,
					"%zu names in it are not valid file names",
					c.bad_names);
	if (!err && why)
		err = herd_scan_problem(d->s, node, NULL,
					"directory not read in full: %s",
					herd_diag_format(&diag, why, text,
							 sizeof(text)));
	herd_idmap_deinit(&c.seen);
	return err;
}

static int by_depth(const void *a, const void *b)
{
	const struct dirty_dir *x = a, *y = b;

	if (x->depth != y->depth)
		return x->depth < y->depth ? -1 : 1;
	return x->path < y->path ? -1 : x->path > y->path;
}

/* The changed inodes that were directories in the reference, parents first. */
static int dirty_dirs(struct delta *d, const uint64_t *inos, size_t n,
		      struct dirty_dir **ret, size_t *ret_n)
{
	struct herd_scan *s = d->s;
	CLEANUP_FREE struct dirty_dir *dirs = calloc(n + 1, sizeof(*dirs));
	size_t found = 0;

	if (!dirs)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const void *ids = NULL;
		struct herd_entry e;
		size_t n_ids = 0;
		int err = herd_links_get(s->txn, s->reference.id, d->v->index,
					 inos[i], &ids, &n_ids);

		if (err == -ENOENT || (!err && !n_ids))
			continue;
		dirs[found] = (struct dirty_dir){ inos[i],
						  err ? 0 : id_at(ids, 0), 0 };
		if (!err)
			err = reference_at(d, dirs[found].path, &e);
		if (!err && !S_ISDIR(e.mode))
			continue;
		if (!err && n_ids > 1)
			err = -EAGAIN;	/* a directory with two names */
		if (!err)
			err = path_depth(s->txn, dirs[found].path,
					 &dirs[found].depth);
		if (err)
			return err;
		found++;
	}
	qsort(dirs, found, sizeof(*dirs), by_depth);
	*ret = TAKE_PTR(dirs);
	*ret_n = found;
	return 0;
}

/*
 * Whether a directory certainly holds the names it held: it lies in the same
 * blocks, and none of them changed. One without blocks (inline) never does.
 */
static int same_names(struct delta *d, const struct dirty_dir *dir,
		      const struct herd_rec *rec, bool *ret)
{
	const uint64_t *why = herd_idmap_get(&d->dirty, dir->ino);
	struct herd_entry own, ref;

	*ret = false;
	if (!why || (*why & DIRTY_OWNED))
		return 0;
	int err = reference_at(d, dir->path, &ref);

	if (!err)
		err = herd_entry_decode(rec->encoded, rec->len, &own);
	if (err)
		return err;
	*ret = own.n_runs && own.size == ref.size && !own.n_problem &&
	       !ref.n_problem &&
	       own.n_runs == ref.n_runs && own.runs_len == ref.runs_len &&
	       !memcmp(own.runs, ref.runs, own.runs_len);
	return 0;
}

static int compare_dirs(struct delta *d, const uint64_t *inos, size_t n)
{
	CLEANUP_FREE struct dirty_dir *dirs = NULL;
	size_t n_dirs = 0;
	int err = dirty_dirs(d, inos, n, &dirs, &n_dirs);

	for (size_t i = 0; i < n_dirs && !err; i++) {
		struct herd_rec *rec = NULL;

		if (herd_idmap_get(&d->gone, dirs[i].path))
			continue;
		bool same = false;

		err = herd_scan_rec(d->s, d->v, dirs[i].ino, DT_DIR, &rec);
		if (!err && S_ISDIR(rec->mode))
			err = same_names(d, &dirs[i], rec, &same);
		if (!err && same)
			continue;
		if (!err && S_ISDIR(rec->mode))
			err = compare_dir(d, &dirs[i]);
		else if (!err)	/* the inode number is a file's now */
			err = remove_subtree(d, dirs[i].path, false, 0);
	}
	return err;
}

/* ---- 3: all changed inodes, where they are still named ---- */

/* Most inodes of a changed block are as they were: seen at once, where the
   record is complete already. */
static bool same_record(struct delta *d, uint32_t path,
			const struct herd_rec *rec)
{
	const void *bytes = NULL;
	size_t len = 0;

	return (rec->inherited || S_ISDIR(rec->mode)) && !rec->problem &&
	       !herd_entry_get_bytes(d->s->txn, d->s->reference.id, path,
				     &bytes, &len) &&
	       len == rec->len && !memcmp(bytes, rec->encoded, len);
}

static int emit_inode(struct delta *d, uint64_t ino)
{
	struct herd_scan *s = d->s;
	const void *ids = NULL;
	size_t n = 0;
	int err = herd_links_get(s->txn, s->reference.id, d->v->index, ino, &ids,
				 &n);

	if (err)
		return err == -ENOENT ? 0 : err;
	for (size_t i = 0; i < n; i++) {
		struct herd_rec *rec = NULL;
		struct herd_entry e;
		uint32_t path = id_at(ids, i), depth = 0, node = 0;

		if (herd_idmap_get(&d->gone, path))
			continue;
		err = reference_at(d, path, &e);
		if (!err)
			err = herd_scan_rec(s, d->v, ino, IFTODT(e.mode), &rec);
		if (!err && same_record(d, path, rec))
			continue;
		if (!err)
			err = path_depth(s->txn, path, &depth);
		if (!err)
			err = herd_scan_anchor(s, path, depth, &node);
		if (err)
			return err;
		s->nodes[node].rec = rec;
		if (S_ISDIR(rec->mode) && !S_ISDIR(e.mode))
			err = herd_scan_below(s, d->v, node, &d->visited);
		if (err)
			return err;
	}
	return 0;
}

/*
 * A mount of another volume hides a directory of this one. Names below it
 * have a path of their own, so only the mount point itself needs care: where
 * the names beside it changed, all is told in full (compare_name).
 */
int herd_scan_delta(struct herd_scan *s, struct herd_scan_volume *v,
		    struct herd_diag *diag)
{
	struct delta d = { .s = s, .v = v };
	CLEANUP_FREE uint64_t *inos = NULL;
	size_t n = 0;
	int err = find_dirty(&d, diag);

	if (!err)
		err = herd_idmap_keys(&d.dirty, &inos, &n);
	if (!err)
		err = compare_dirs(&d, inos, n);
	for (size_t i = 0; i < n && !err; i++)
		err = emit_inode(&d, inos[i]);
	herd_idmap_deinit(&d.dirty);
	herd_idmap_deinit(&d.gone);
	herd_idmap_deinit(&d.visited);
	return err;
}
