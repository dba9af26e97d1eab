/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes of memory/, and memory.raw: read out of the image of the memory, and
 * for what is mapped and not in it out of the instance's disks, into a buffer
 * of the thread's.
 *
 * Threads: any.
 */
#include "fs/tree_memory.h"

#include <string.h>

typedef int (*read_fn)(void *arg, const struct iovec *iov, int n);

/* ---- the image ---- */

struct reading {
	const struct herd_memory_at *at;
	uint64_t off;
	uint8_t *buf;
	size_t len;
	struct herd_diag diag;
};

/* Bytes from an image that is open, with what else belongs to it. */
typedef int (*from_fn)(struct reading *r, struct herd_tree_source *s);

/* get is tried again where the image has to be opened anew. */
static int with_image(struct herd_tree *t, struct herd_tree_instance *i,
		      struct reading *r, from_fn get)
{
	bool again = true;
	int err = -EIO;

	for (int tries = 0; again; tries++) {
		struct herd_tree_source *s;
		int64_t before;

		r->diag = (struct herd_diag){ .offset = HERD_NO_OFFSET };
		err = herd_disk_get(t, i, HERD_DISK_MEMORY, &s);
		if (err)
			return err;
		before = herd_disk_before(t, i, HERD_DISK_MEMORY, s, r->len);
		err = get(r, s);
		again = false;
		if (!err)
			herd_disk_after(i, HERD_DISK_MEMORY, before);
		else
			again = herd_disk_failed(t, i, HERD_DISK_MEMORY, s, err,
						 &r->diag) &&
				tries < 2;
		herd_disk_put(s);
	}
	return herd_tree_as_told(err);
}

static int give(const struct reading *r, read_fn fn, void *arg)
{
	struct iovec iov = { r->buf, r->len };

	return fn(arg, &iov, r->len ? 1 : 0);
}

/* ---- memory/ ---- */

static int from_core(struct reading *r, const struct herd_dump_sources *from,
		     const struct herd_dump *d)
{
	struct herd_tree_core *c;
	int err = herd_tree_core_get(r->at, &c);

	if (err)
		return err;
	err = herd_core_read(&c->c, d, herd_memory_machine_of(r->at), from,
			     r->off, r->buf, r->len, &r->diag);
	herd_cache_put(&r->at->tree->cache, &c->cached);
	return err;
}

static int from_dump(struct reading *r, struct herd_tree_source *s)
{
	CLEANUP(herd_memory_disks_deinit) struct herd_memory_disks disks;
	const struct herd_memory_at *at = r->at;
	struct herd_dump_sources from = { .image = s->source,
					  .disk = herd_memory_disks_read,
					  .arg = &disks };
	const struct herd_machine *m = herd_memory_machine_of(at);
	struct herd_tree_dump *d;
	int err = herd_memory_disks_init(&disks, at);

	if (!err)
		err = herd_memory_dump_of(at, &d);
	if (err)
		return err;
	switch (herd_memory_sort(at)) {
	case HERD_MEMORY_IS_CORE:
		err = from_core(r, &from, d->d);
		break;
	case HERD_MEMORY_IS_VMA:
		err = herd_dump_read(
			d->d, m, &from,
			herd_memory_process_of(at)->vmas[at->sub].start +
				r->off,
			r->buf, r->len, &r->diag);
		break;
	default:
		err = herd_dump_read(d->d, m, &from, r->off, r->buf, r->len,
				     &r->diag);
	}
	herd_cache_put(&at->tree->cache, &d->cached);
	return err;
}

static int from_page(struct reading *r, struct herd_tree_source *s)
{
	const struct herd_memory_page *p = herd_memory_page_of(r->at);
	const struct herd_page_change *c =
		&herd_memory_machine_of(r->at)->page_changes[p->change];

	return herd_source_read(s->source, r->buf, r->len,
				(c->phys & ~(uint64_t)(HERD_PAGE - 1)) + r->off,
				&r->diag);
}

static int read_text(const struct herd_memory_at *at, uint64_t off, size_t len,
		     read_fn fn, void *arg)
{
	struct herd_blob *b;
	struct iovec iov = { 0 };
	int err = herd_memory_text(at, &b);

	if (err)
		return err;
	if (off < b->buf.len) {
		iov.iov_base = b->buf.data + off;
		iov.iov_len = b->buf.len - off < len ? b->buf.len - off : len;
	}
	err = fn(arg, &iov, iov.iov_len ? 1 : 0);
	herd_cache_put(&at->tree->cache, &b->cached);
	return err;
}

static int size_of(const struct herd_memory_at *at, uint64_t *ret)
{
	const struct herd_machine *m = herd_memory_machine_of(at);
	struct herd_tree_core *c;
	int err;

	switch (herd_memory_sort(at)) {
	case HERD_MEMORY_IS_CORE:
		err = herd_tree_core_get(at, &c);
		if (err)
			return err;
		*ret = c->c.size;
		herd_cache_put(&at->tree->cache, &c->cached);
		return 0;
	case HERD_MEMORY_IS_VMA:
		return herd_memory_vma_size(at, ret);
	case HERD_MEMORY_IS_FILE:
		*ret = m->files[herd_memory_file_of(at)].size;
		return 0;
	default:
		*ret = HERD_PAGE;
		return 0;
	}
}

int herd_memory_read(struct herd_tree *t, uint64_t node, uint64_t off,
		     size_t len, read_fn fn, void *arg)
{
	LEASE(l, t);
	CLEANUP_MEMORY_AT struct herd_memory_at at;
	struct reading r = { .at = &at, .off = off };
	uint64_t size;
	int err = herd_memory_at_init(&at, t, l.txn, node);

	if (err)
		return err;
	if (herd_memory_sort(&at) == HERD_MEMORY_IS_DIR)
		return -EISDIR;
	if (herd_memory_sort(&at) == HERD_MEMORY_IS_TEXT)
		return read_text(&at, off, len, fn, arg);
	err = size_of(&at, &size);
	if (err)
		return err;
	if (off >= size || !len)
		return fn(arg, NULL, 0);
	r.len = len < HERD_TREE_READ_MAX ? len : HERD_TREE_READ_MAX;
	if (r.len > size - off)
		r.len = (size_t)(size - off);
	r.buf = herd_tree_buffer(r.len);
	if (!r.buf)
		return -ENOMEM;
	err = with_image(t, at.instance, &r,
			 herd_memory_sort(&at) == HERD_MEMORY_IS_PAGE ?
				 from_page :
				 from_dump);
	return err ? err : give(&r, fn, arg);
}

/* ---- where there is data ---- */

static int seek_dump(const struct herd_memory_at *at, uint64_t off,
		     uint64_t size, bool hole, uint64_t *ret)
{
	const struct herd_vma *v;
	struct herd_tree_core *c;
	struct herd_tree_dump *d;
	int err = herd_memory_dump_of(at, &d);

	if (err)
		return err;
	switch (herd_memory_sort(at)) {
	case HERD_MEMORY_IS_CORE:
		err = herd_tree_core_get(at, &c);
		if (err)
			break;
		*ret = herd_core_seek(&c->c, d->d, off, hole);
		herd_cache_put(&at->tree->cache, &c->cached);
		break;
	case HERD_MEMORY_IS_VMA:
		v = &herd_memory_process_of(at)->vmas[at->sub];
		*ret = herd_dump_seek(d->d, v->start + off, v->start + size,
				      hole) -
		       v->start;
		break;
	default:
		*ret = herd_dump_seek(d->d, off, size, hole);
	}
	herd_cache_put(&at->tree->cache, &d->cached);
	return err;
}

int herd_memory_seek(struct herd_tree *t, uint64_t node, uint64_t off,
		     bool hole, uint64_t *ret)
{
	LEASE(l, t);
	CLEANUP_MEMORY_AT struct herd_memory_at at;
	struct herd_blob *b;
	uint64_t size;
	int err = herd_memory_at_init(&at, t, l.txn, node);

	if (err)
		return err;
	switch (herd_memory_sort(&at)) {
	case HERD_MEMORY_IS_DIR:
		return -EINVAL;
	case HERD_MEMORY_IS_TEXT:
		err = herd_memory_text(&at, &b);
		if (err)
			return err;
		size = b->buf.len;
		herd_cache_put(&t->cache, &b->cached);
		break;
	default:
		err = size_of(&at, &size);
	}
	if (err)
		return err;
	if (off >= size)
		return -ENXIO;
	*ret = hole ? size : off;
	if (herd_memory_sort(&at) != HERD_MEMORY_IS_TEXT &&
	    herd_memory_sort(&at) != HERD_MEMORY_IS_PAGE)
		err = seek_dump(&at, off, size, hole, ret);
	return !err && !hole && *ret >= size ? -ENXIO : err;
}

/* ---- memory.raw ---- */

bool herd_memory_is_raw(uint64_t node)
{
	return herd_node_kind(node) == HERD_NODE_INSTANCE &&
	       herd_node_what(node) == HERD_INSTANCE_MEMORY_RAW;
}

/* The size is that of what is in the container: it has to be opened for it.
   s: the caller's to give back. */
static int open_raw(struct herd_tree *t, uint64_t node,
		    struct herd_tree_instance **ret,
		    struct herd_tree_source **ret_source)
{
	LEASE(l, t);
	struct herd_tree_instance *i;
	int err = herd_tree_instance(t, l.txn, herd_node_owner(node), &i);

	if (!err && !i->has_memory)
		err = herd_tree_member(t, i->record.id)->has_memory ? -EIO :
								      -ENOENT;
	if (!err)
		err = herd_disk_get(t, i, HERD_DISK_MEMORY, ret_source);
	if (!err)
		*ret = i;
	return err;
}

int herd_memory_stat_raw(struct herd_tree *t, uint64_t node, struct stat *ret)
{
	struct herd_tree_instance *i;
	struct herd_tree_source *s;
	uint64_t data, size;
	int err = open_raw(t, node, &i, &s);

	if (err)
		return err;
	size = s->source->size;
	data = herd_extents_bytes(&s->there);
	herd_disk_put(s);
	if (size > INT64_MAX)
		return -EOVERFLOW;
	herd_top_stat_dir(t, node, (time_t)i->memory_attached, ret);
	ret->st_mode = S_IFREG | 0644;
	ret->st_size = (off_t)size;
	ret->st_blocks = (blkcnt_t)(data / 512 + (data % 512 != 0));
	return 0;
}

/* The first range that ends behind off. */
static size_t range_at(const struct herd_extents *e, uint64_t off)
{
	size_t lo = 0, hi = e->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (e->v[mid].start + e->v[mid].len <= off)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static int from_raw(struct reading *r, struct herd_tree_source *s)
{
	const struct herd_extents *e = &s->there;
	const uint64_t end = r->off + r->len;
	uint64_t at = r->off;
	int err = 0;

	for (size_t i = range_at(e, at); at < end && !err; i++) {
		uint64_t from =
			i < e->n && e->v[i].start < end ? e->v[i].start : end;
		uint64_t to = i < e->n ? e->v[i].start + e->v[i].len : end;

		if (from > at) {
			memset(r->buf + (at - r->off), 0, from - at);
			at = from;
		}
		if (to > end)
			to = end;
		if (at < to)
			err = herd_source_read(s->source,
					       r->buf + (at - r->off), to - at,
					       at, &r->diag);
		at = to;
	}
	return err;
}

int herd_memory_read_raw(struct herd_tree *t, uint64_t node, uint64_t off,
			 size_t len, read_fn fn, void *arg)
{
	struct reading r = { .off = off };
	struct herd_tree_instance *i;
	struct herd_tree_source *s;
	uint64_t size;
	int err = open_raw(t, node, &i, &s);

	if (err)
		return err;
	size = s->source->size;
	herd_disk_put(s);
	if (off >= size || !len)
		return fn(arg, NULL, 0);
	r.len = len < HERD_TREE_READ_MAX ? len : HERD_TREE_READ_MAX;
	if (r.len > size - off)
		r.len = (size_t)(size - off);
	r.buf = herd_tree_buffer(r.len);
	if (!r.buf)
		return -ENOMEM;
	err = with_image(t, i, &r, from_raw);
	return err ? err : give(&r, fn, arg);
}

int herd_memory_seek_raw(struct herd_tree *t, uint64_t node, uint64_t off,
			 bool hole, uint64_t *ret)
{
	struct herd_tree_instance *i;
	struct herd_tree_source *s;
	uint64_t at, size;
	size_t k;
	int err = open_raw(t, node, &i, &s);

	if (err)
		return err;
	size = s->source->size;
	k = range_at(&s->there, off);
	at = k < s->there.n ? s->there.v[k].start : size;
	if (at < off)
		at = off;
	if (hole) /* ranges do not touch */
		at = k < s->there.n && s->there.v[k].start <= off ?
			     s->there.v[k].start + s->there.v[k].len :
			     off;
	if (at > size)
		at = size;
	herd_disk_put(s);
	if (off >= size || (!hole && at >= size))
		return -ENXIO;
	*ret = at;
	return 0;
}
