/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Paths below disk/: which record stands behind a node, its attributes, and
 * listings.
 *
 * Children are listed in the order of their numbers in the path dictionary,
 * and the position after a child is its number + 2 (1 and 2 follow "." and
 * ".."), so that a listing can be taken up anywhere, at any time.
 *
 * Threads: any; each call has a transaction of its own.
 */
#include "fs/tree_internal.h"
#include "fs/tree_link.h"
#include "acquire/base/sha256.h"

#include <endian.h>
#include <string.h>

/* ---- what stands behind a node ---- */

static int set_of(enum herd_node_kind view)
{
	return view == HERD_NODE_DEVIANT ? HERD_SET_DEVIANT :
	       view == HERD_NODE_HERD ? HERD_SET_HERD :
	       view == HERD_NODE_SUPPRESSED ? HERD_SET_SUPPRESSED :
					      HERD_SET_VOLATILE;
}

/* 0 when there is something to be shown, if only that it is broken. */
static int load_entry(struct herd_at *at)
{
	int err = herd_entry_get(at->txn, at->holder->record.id,
				 herd_tree_reference(at->holder), at->path,
				 &at->entry);

	if (err == -ENOENT || err == -ENOMEM)
		return err;
	if (!err && at->entry.volume >= at->holder->record.n_volumes)
		err = -EBADMSG;
	at->broken = err;
	return 0;
}

static bool is_directory(const struct herd_at *at)
{
	return at->implied ||
	       (!at->broken && S_ISDIR(at->entry.mode));
}

/* For a view other than all/: vp is the path in its set. */
static int load_in_view(struct herd_at *at, const struct herd_view_path *vp)
{
	const enum herd_node_kind view = herd_node_kind(at->node);
	const struct herd_view_set *s = &at->judged->sets[set_of(view)];
	size_t child = herd_view_children(s, at->path, 0);
	bool on_the_way = child < s->n &&
			  s->v[s->by_parent[child]].parent == at->path;
	int err = 0;

	at->finding = herd_judged_find(at->judged, at->path);
	if (view == HERD_NODE_HERD && vp->finding != HERD_NO_FINDING &&
	    at->finding)
		err = herd_tree_instance(at->tree, at->txn,
					 at->finding->herd_holder, &at->holder);
	if (!err)
		err = load_entry(at);
	if (err == -ENOMEM)
		return err;
	/* what leads to something is a folder, whatever a record says */
	if (on_the_way) {
		at->implied = err || !is_directory(at);
		at->broken = 0;
		return 0;
	}
	return err;
}

static int load(struct herd_at *at)
{
	const struct herd_tree_member *m;
	const struct herd_view_path *vp;
	int err;

	err = herd_tree_instance(at->tree, at->txn, herd_node_owner(at->node),
				 &at->shown);
	if (err)
		return err;
	at->holder = at->shown;
	at->path = herd_node_what(at->node);
	if (herd_node_kind(at->node) == HERD_NODE_ALL) {
		err = load_entry(at);
	} else {
		m = herd_tree_member(at->tree, at->shown->record.id);
		if (m->role != HERD_ROLE_MEMBER)
			return -ENOENT;
		err = herd_judged_get(at->tree, at->txn, at->shown,
				      &at->judged);
		if (err)
			return err;
		vp = herd_view_find(&at->judged->sets
				    [set_of(herd_node_kind(at->node))],
				    at->path);
		err = vp ? load_in_view(at, vp) : -ENOENT;
	}
	if (at->path == HERD_PATH_ROOT && (err == -ENOENT ||
					   (!err && !is_directory(at)))) {
		at->implied = true;	/* disk/ is always there */
		at->broken = 0;
		err = 0;
	}
	return err;
}

int herd_at_init(struct herd_at *at, struct herd_tree *t, struct herd_txn *txn,
		 uint64_t node)
{
	*at = (struct herd_at){ .tree = t, .node = node, .txn = txn };
	return herd_node_is_path(node) ? load(at) : -ENOENT;
}

void herd_at_deinit(struct herd_at *at)
{
	if (at->judged)
		herd_cache_put(&at->tree->cache, &TAKE_PTR(at->judged)->cached);
}

/* ---- links ---- */

int herd_path_depth(struct herd_txn *txn, uint32_t path, unsigned *ret)
{
	unsigned depth = 0;

	while (path != HERD_PATH_ROOT) {
		const char *name;
		size_t len;
		int err = herd_path_get(txn, path, &path, &name, &len);

		if (err)
			return err;
		depth++;
	}
	*ret = depth;
	return 0;
}

static int link_child(void *arg, uint32_t dir, const char *name, size_t len,
		      uint32_t *ret, const char **ret_target, size_t *ret_len)
{
	const struct herd_at *at = arg;
	struct herd_entry e;
	uint32_t id;
	int err = herd_path_find(at->txn, dir ? dir : HERD_PATH_ROOT, name,
				 len, &id);

	if (!err)
		err = herd_entry_get(at->txn, at->holder->record.id,
				     herd_tree_reference(at->holder), id, &e);
	if (err)
		return err;
	*ret = id;
	*ret_target = S_ISLNK(e.mode) && e.bytes ? e.bytes : NULL;
	*ret_len = e.n_bytes;
	return 0;
}

static int link_folder(void *arg, struct herd_buf *out)
{
	const struct herd_at *at = arg;
	const char *name;
	uint32_t parent;
	size_t len;
	int err = herd_path_get(at->txn, at->path, &parent, &name, &len);

	return err ? err : herd_path_full(at->txn, parent, out);
}

int herd_path_target(const struct herd_at *at, unsigned depth,
		     struct herd_buf *out)
{
	const struct herd_link_tree tree = { (void *)at, link_child,
					     link_folder };

	return herd_link_confine(&tree, depth, at->entry.bytes,
				 at->entry.bytes ? at->entry.n_bytes : 0, out);
}

int herd_tree_readlink(struct herd_tree *t, uint64_t node, char **ret)
{
	if (herd_node_is_cluster(node))
		return herd_cluster_readlink(t, node, ret);
	if (!herd_node_is_path(node))
		return -EINVAL;

	struct herd_buf out CLEANUP_BUF = HERD_BUF_INIT;
	LEASE(l, t);
	CLEANUP_AT struct herd_at at;
	unsigned depth = 0;
	int err = herd_at_init(&at, t, l.txn, node);

	if (err)
		return err;
	if (at.broken || at.implied || !S_ISLNK(at.entry.mode))
		return -EINVAL;
	err = herd_path_depth(l.txn, at.path, &depth);
	if (!err)
		err = herd_path_target(&at, depth ? depth - 1 : 0, &out);
	herd_buf_u8(&out, 0);
	if (!err)
		err = herd_buf_error(&out);
	if (err)
		return err;
	*ret = (char *)TAKE_PTR(out.data);
	return 0;
}

/* ---- attributes ---- */

static struct timespec timespec_of(const struct herd_time *t)
{
	return (struct timespec){ (time_t)t->sec,
				  t->nsec < 1000000000 ? t->nsec : 999999999 };
}

/* See fs/tree_node.h. */
static uint64_t linked_ino(uint32_t instance, uint32_t volume, uint64_t ino)
{
	uint64_t in[3] = { htole64(instance), htole64(volume), htole64(ino) };
	uint8_t digest[HERD_SHA256_LEN];
	uint64_t h;

	if (volume < 16 && ino <= UINT32_MAX)
		return (uint64_t)HERD_NODE_LINKED << 60 |
		       (uint64_t)instance << 36 | (uint64_t)volume << 32 | ino;
	herd_sha256(in, sizeof(in), digest);
	memcpy(&h, digest, sizeof(h));
	return (uint64_t)HERD_NODE_HASHED << 60 | h >> 4;
}

static blkcnt_t blocks_of(const struct herd_entry *e)
{
	struct herd_run_iter it;
	struct herd_run run;
	uint64_t bytes = 0;

	if (e->content != HERD_CONTENT_RUNS)
		return e->content == HERD_CONTENT_NONE ? 0 :
		       (blkcnt_t)(e->size / 512 + (e->size % 512 != 0));
	herd_entry_runs(e, &it);
	while (herd_entry_run_next(&it, &run))
		if (__builtin_add_overflow(bytes, run.len, &bytes))
			break;
	return (blkcnt_t)(bytes / 512 + (bytes % 512 != 0));
}

static off_t size_of(uint64_t size)
{
	return size > INT64_MAX ? INT64_MAX : (off_t)size;
}

/* folder_depth: of the folder that holds it; below 0: not known yet. */
static int stat_link(const struct herd_at *at, int folder_depth,
		     struct stat *st)
{
	struct herd_buf out CLEANUP_BUF = HERD_BUF_INIT;
	unsigned depth = (unsigned)folder_depth;
	int err = 0;

	if (folder_depth < 0) {
		err = herd_path_depth(at->txn, at->path, &depth);
		depth -= depth > 0;
	}
	if (!err)
		err = herd_path_target(at, depth, &out);
	if (err)
		return err;
	st->st_mode |= S_IFLNK;
	st->st_size = (off_t)out.len;
	return 0;
}

static int stat_entry(const struct herd_at *at, int folder_depth,
		      struct stat *st)
{
	const struct herd_entry *e = &at->entry;

	*st = (struct stat){
		.st_ino = at->node,
		.st_mode = e->mode & 07777,
		.st_nlink = e->nlink ? e->nlink : 1,
		.st_uid = e->uid,
		.st_gid = e->gid,
		.st_blksize = 4096,
		.st_atim = timespec_of(&e->atime),
		.st_mtim = timespec_of(&e->mtime),
		.st_ctim = timespec_of(&e->ctime),
	};
	if (S_ISDIR(e->mode)) {
		st->st_mode |= S_IFDIR;
		st->st_size = size_of(e->size);
		st->st_blocks = (blkcnt_t)(e->size / 512);
		st->st_nlink = 1;	/* "not counted" */
		return 0;
	}
	if (st->st_nlink > 1)
		st->st_ino = linked_ino(at->holder->record.id, e->volume,
					e->ino);
	if (S_ISLNK(e->mode))
		return stat_link(at, folder_depth, st);
	/* FIFOs, sockets and devices: empty files, which no reader hangs on */
	st->st_mode |= S_IFREG;
	if (S_ISREG(e->mode)) {
		st->st_size = size_of(e->size);
		st->st_blocks = blocks_of(e);
	}
	return 0;
}

static int stat_at(const struct herd_at *at, int folder_depth, struct stat *st)
{
	herd_top_stat_dir(at->tree, at->node,
			  (time_t)at->shown->record.attached, st);
	if (at->broken)
		st->st_mode = S_IFREG;
	if (at->implied || at->broken)
		return 0;
	return stat_entry(at, folder_depth, st);
}

int herd_path_getattr(struct herd_tree *t, uint64_t node, struct stat *ret)
{
	LEASE(l, t);
	CLEANUP_AT struct herd_at at;
	int err = herd_at_init(&at, t, l.txn, node);

	return err ? err : stat_at(&at, -1, ret);
}

int herd_path_lookup(struct herd_tree *t, uint64_t dir, const char *name,
		     uint64_t *ret_node, struct stat *ret_st)
{
	LEASE(l, t);
	CLEANUP_AT struct herd_at at = { .tree = t };
	uint32_t path;
	uint64_t node;
	int err = herd_path_find(l.txn, herd_node_what(dir), name,
				 strlen(name), &path);

	if (err)
		return err;
	node = herd_node(herd_node_kind(dir), herd_node_owner(dir), path);
	err = herd_at_init(&at, t, l.txn, node);
	if (!err)
		err = stat_at(&at, -1, ret_st);
	if (!err)
		*ret_node = node;
	return err;
}

/* ---- listings ---- */

struct listing {
	const struct herd_at *dir;
	const struct herd_tree_emit *emit;
	int depth;		/* of the folder that is listed */
	char name[HERD_NAME_MAX + 1];
};

/* A child whose record is loaded. 1: stop. */
static int emit_child(struct listing *l, const struct herd_at *child)
{
	const char *name;
	uint32_t parent;
	struct stat st;
	size_t len;
	int err = herd_path_get(child->txn, child->path, &parent, &name, &len);

	if (!err && len > HERD_NAME_MAX)
		err = -EBADMSG;
	if (!err) {
		memcpy(l->name, name, len);
		l->name[len] = 0;
		if (strcmp(l->name, ".") == 0 || strcmp(l->name, "..") == 0)
			err = -EBADMSG;
	}
	if (!err)
		err = stat_at(child, l->depth, &st);
	if (err) {
		herd_tree_failure(child->tree, "%s/%s: path %u cannot be "
				  "shown: %s",
				  child->shown->group->group.name,
				  child->shown->record.name, child->path,
				  strerror(-err));
		return 0;
	}
	return l->emit->fn(l->emit->arg, l->name, child->node, &st,
			   (uint64_t)child->path + 2) ? 1 : 0;
}

static struct herd_at child_at(const struct herd_at *dir, uint32_t path)
{
	return (struct herd_at){
		.tree = dir->tree,
		.node = herd_node(herd_node_kind(dir->node),
				  herd_node_owner(dir->node), path),
		.txn = dir->txn,
		.shown = dir->shown,
		.holder = dir->shown,
		.path = path,
		.judged = dir->judged,	/* borrowed: never deinit it */
	};
}

static int list_view(struct listing *l, uint32_t from)
{
	const struct herd_at *dir = l->dir;
	const struct herd_view_set *s =
		&dir->judged->sets[set_of(herd_node_kind(dir->node))];
	int r = 0;

	for (size_t i = herd_view_children(s, dir->path, from); !r && i < s->n;
	     i++) {
		const struct herd_view_path *vp = &s->v[s->by_parent[i]];
		struct herd_at child = child_at(dir, vp->path);

		if (vp->parent != dir->path)
			break;
		r = load_in_view(&child, vp);
		if (!r)
			r = emit_child(l, &child);
		else if (r != -ENOMEM)
			r = 0;	/* judged by what is not there any more */
	}
	return r;
}

static uint32_t id_at(const void *ids, size_t i)
{
	uint32_t v;

	memcpy(&v, (const char *)ids + 4 * i, 4);
	return le32toh(v);
}

static size_t first_id(const void *ids, size_t n, uint32_t from)
{
	size_t lo = 0, hi = n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (id_at(ids, mid) < from)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* The record is where the delta says, so that one look is enough. */
static int load_child(struct herd_at *child, const struct herd_delta_own *own)
{
	int err = herd_entry_get_own(child->txn, own ? child->shown->record.id :
				     herd_tree_reference(child->shown),
				     child->path, &child->entry);

	if (err == -ENOENT || err == -ENOMEM)
		return err;
	if (!err && child->entry.volume >= child->holder->record.n_volumes)
		err = -EBADMSG;
	child->broken = err;
	return 0;
}

static int list_merged(struct listing *l, const struct herd_delta *d,
		       uint32_t from)
{
	const struct herd_at *dir = l->dir;
	size_t n = 0, i, k = herd_delta_children(d, dir->path, from);
	const void *ids = NULL;
	int r = herd_children_get(dir->txn, herd_tree_reference(dir->shown),
				  dir->path, &ids, &n);

	if (r && r != -ENOENT)
		return r;
	r = 0;
	for (i = first_id(ids, n, from); !r;) {
		bool more_added = k < d->n_added &&
				  d->added[k].parent == dir->path;
		uint32_t path;

		if (i >= n && !more_added)
			break;
		if (more_added && (i >= n || d->added[k].path < id_at(ids, i)))
			path = d->added[k++].path;
		else
			path = id_at(ids, i++);

		const struct herd_delta_own *own = herd_delta_find(d, path);
		struct herd_at child = child_at(dir, path);

		if (own && own->absent)
			continue;
		r = load_child(&child, own);
		if (!r)
			r = emit_child(l, &child);
		else if (r == -ENOENT)
			r = 0;
	}
	return r;
}

static int list_all(struct listing *l, uint32_t from)
{
	struct herd_delta *d;
	int r = herd_delta_get(l->dir->tree, l->dir->txn, l->dir->shown, &d);

	if (r)
		return r;
	r = list_merged(l, d, from);
	herd_cache_put(&l->dir->tree->cache, &d->cached);
	return r;
}

static int list_dots(const struct herd_at *dir,
		     const struct herd_tree_emit *emit)
{
	uint64_t up = herd_top_parent(dir->tree, dir->node);
	const char *name;
	uint32_t parent;
	struct stat st;
	size_t len;

	if (emit->offset < 1) {
		if (stat_at(dir, 0, &st))
			return 0;
		if (emit->fn(emit->arg, ".", dir->node, &st, 1))
			return 1;
	}
	if (dir->path != HERD_PATH_ROOT &&
	    !herd_path_get(dir->txn, dir->path, &parent, &name, &len))
		up = herd_node(herd_node_kind(dir->node),
			       herd_node_owner(dir->node), parent);
	herd_top_stat_dir(dir->tree, up, 0, &st);
	if (emit->offset < 2)
		return emit->fn(emit->arg, "..", up, &st, 2) ? 1 : 0;
	return 0;
}

int herd_path_readdir(struct herd_tree *t, uint64_t dir,
		      const struct herd_tree_emit *emit)
{
	LEASE(lease, t);
	CLEANUP_AT struct herd_at at;
	struct listing l = { .dir = &at, .emit = emit };
	unsigned depth = 0;
	uint32_t from = 0;
	int err = herd_at_init(&at, t, lease.txn, dir);

	if (!err && !is_directory(&at))
		err = -ENOTDIR;
	if (!err)
		err = herd_path_depth(lease.txn, at.path, &depth);
	if (err || list_dots(&at, emit))
		return err;
	l.depth = (int)depth;
	if (emit->offset > (uint64_t)UINT32_MAX + 1)
		return 0;
	if (emit->offset > 2)
		from = (uint32_t)(emit->offset - 1);
	err = at.judged ? list_view(&l, from) : list_all(&l, from);
	return err < 0 ? err : 0;
}
