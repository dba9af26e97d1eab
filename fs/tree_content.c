/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading files: from the record, or out of the image through the extents
 * that the record tells, as a vector of memory. Where the image can be mapped
 * the vector points into it; else the bytes are read into a buffer that each
 * thread has for this. Holes are pages of zeros that all share.
 *
 * Extents of files that have very many of them are kept decoded in the cache,
 * so that each piece that is read does not go through all of them.
 *
 * Threads: any.
 */
#include "fs/tree_internal.h"

#include <string.h>

#define PIECES_MAX 256		/* of one read; beyond that it is copied */
#define ZEROS (128u << 10)	/* of a hole that go into one iovec */
#define MANY_RUNS 64
#define MAP_MIN 32768		/* shorter pieces are sooner read than mapped */

static const uint8_t zeros[ZEROS] __attribute__((aligned(4096)));

/* ---- one buffer a thread ---- */

struct thread_buffer {
	size_t size;
	uint8_t *bytes;
};

static pthread_key_t buffer_key;
static pthread_once_t buffer_once = PTHREAD_ONCE_INIT;

static void free_buffer(void *p)
{
	struct thread_buffer *b = p;

	free(b->bytes);
	free(b);
}

static void make_key(void)
{
	pthread_key_create(&buffer_key, free_buffer);
}

uint8_t *herd_tree_buffer(size_t size)
{
	struct thread_buffer *b;

	pthread_once(&buffer_once, make_key);
	b = pthread_getspecific(buffer_key);
	if (!b) {
		b = calloc(1, sizeof(*b));
		if (!b || pthread_setspecific(buffer_key, b)) {
			free(b);
			return NULL;
		}
	}
	if (b->size < size) {
		size_t want = size < (128 << 10) ? 128 << 10 : size;

		free(b->bytes);
		b->size = 0;
		b->bytes = aligned_alloc(4096, (want + 4095) & ~(size_t)4095);
		if (!b->bytes)
			return NULL;
		b->size = want;
	}
	return b->bytes;
}

/* ---- extents of a file ---- */

struct runs {
	struct herd_cached cached;
	size_t n;
	struct herd_run v[];
};

static void runs_destroy(struct herd_cached *c)
{
	free(c);
}

static int runs_make(void *arg, struct herd_cached **ret)
{
	const struct herd_entry *e = arg;
	const size_t bytes = sizeof(struct runs) +
			     e->n_runs * sizeof(struct herd_run);
	struct runs *r = malloc(bytes);
	struct herd_run_iter it;

	if (!r)
		return -ENOMEM;
	*r = (struct runs){ .cached = { .bytes = bytes,
					.destroy = runs_destroy } };
	herd_entry_runs(e, &it);
	while (r->n < e->n_runs && herd_entry_run_next(&it, &r->v[r->n]))
		r->n++;
	*ret = &r->cached;
	return 0;
}

/* Goes through the runs of an entry from a given byte on. */
struct run_walk {
	struct herd_tree *tree;
	struct herd_run_iter it;
	struct runs *runs;	/* held, or NULL: the iterator is used */
	size_t i;
};

static int walk_begin(struct run_walk *w, const struct herd_at *at,
		      uint64_t from)
{
	struct herd_cached *c;
	size_t lo = 0, hi;
	int err;

	*w = (struct run_walk){ .tree = at->tree };
	if (at->entry.n_runs < MANY_RUNS) {
		herd_entry_runs(&at->entry, &w->it);
		return 0;
	}
	err = herd_cache_get(&at->tree->cache, (struct herd_cache_key){
			     HERD_CACHED_RUNS, at->holder->record.id,
			     at->path }, runs_make, (void *)&at->entry, &c);
	if (err)
		return err;
	w->runs = (struct runs *)c;
	for (hi = w->runs->n; lo < hi;) {
		size_t mid = lo + (hi - lo) / 2;
		const struct herd_run *r = &w->runs->v[mid];

		if (r->logical + r->len <= from)
			lo = mid + 1;
		else
			hi = mid;
	}
	w->i = lo;
	return 0;
}

static bool walk_next(struct run_walk *w, struct herd_run *ret)
{
	if (!w->runs)
		return herd_entry_run_next(&w->it, ret);
	if (w->i >= w->runs->n)
		return false;
	*ret = w->runs->v[w->i++];
	return true;
}

static void walk_end(struct run_walk *w)
{
	if (w->runs)
		herd_cache_put(&w->tree->cache, &w->runs->cached);
}

/* ---- what a read consists of ---- */

struct piece {
	uint64_t disk_off;	/* where on the disk, unless it is a hole */
	size_t len;
	bool hole;
};

/*
 * The pieces of [off, off+len). -EOVERFLOW: more than PIECES_MAX; then fewer
 * bytes must be asked for.
 */
static int find_pieces(const struct herd_at *at, uint64_t off, size_t len,
		       struct piece *v, size_t *ret_n)
{
	const struct herd_stored_volume *vol =
		&at->holder->record.volumes[at->entry.volume];
	const uint64_t end = off + len;
	struct run_walk w;
	struct herd_run r;
	size_t n = 0;
	int err = walk_begin(&w, at, off);

	if (err)
		return err;
	while (off < end && !err) {
		uint64_t skip, take;

		do {
			if (!walk_next(&w, &r))
				r = (struct herd_run){ .logical = UINT64_MAX };
		} while (r.logical != UINT64_MAX && r.logical + r.len <= off);
		if (n + 2 > PIECES_MAX) {
			err = -EOVERFLOW;
			break;
		}
		if (r.logical > off) {
			take = r.logical < end ? r.logical - off : end - off;
			v[n++] = (struct piece){ 0, (size_t)take, true };
			off += take;
			if (off >= end)
				break;
		}
		skip = off - r.logical;
		take = r.len - skip < end - off ? r.len - skip : end - off;
		if (r.phys > vol->len || r.phys + skip > vol->len - take ||
		    take > vol->len)
			err = -EBADMSG;
		v[n++] = (struct piece){ vol->start + r.phys + skip,
					 (size_t)take, false };
		off += take;
	}
	walk_end(&w);
	*ret_n = n;
	return err;
}

/* ---- reading ---- */

typedef int (*read_fn)(void *arg, const struct iovec *iov, int n);

struct reading {
	struct herd_at *at;
	uint64_t off;
	size_t len;
	read_fn fn;
	void *arg;
};

static uint32_t disk_of(const struct herd_at *at)
{
	return at->holder->record.volumes[at->entry.volume].disk;
}

/* Source of the entry's disk. */
static int get_disk(const struct herd_at *at, struct herd_tree_source **ret)
{
	return herd_disk_get(at->tree, at->holder, disk_of(at), ret);
}

static bool disk_failed(const struct herd_at *at, struct herd_tree_source *s,
			int err, const struct herd_diag *diag)
{
	return herd_disk_failed(at->tree, at->holder, disk_of(at), s, err,
				diag);
}

/* Fills iov from pieces; what cannot be mapped is read. */
static int gather(struct herd_source *s, const struct piece *v, size_t n,
		  struct iovec *iov, int *ret_n, size_t buffer_size,
		  struct herd_diag *diag)
{
	uint8_t *buf = NULL;
	int k = 0;

	for (size_t i = 0; i < n; i++) {
		const void *p = NULL;
		size_t left = v[i].len;

		for (; v[i].hole && left; k++) {
			size_t part = left < sizeof(zeros) ? left :
							     sizeof(zeros);

			iov[k] = (struct iovec){ (void *)zeros, part };
			left -= part;
		}
		if (v[i].hole)
			continue;
		if (left >= MAP_MIN)
			p = herd_source_map(s, v[i].disk_off, left);
		if (!p) {
			int err;

			if (!buf)
				buf = herd_tree_buffer(buffer_size);
			if (!buf)
				return -ENOMEM;
			err = herd_source_read(s, buf, left, v[i].disk_off,
					       diag);
			if (err)
				return err;
			p = buf;
			buf += left;
		}
		iov[k++] = (struct iovec){ (void *)p, left };
	}
	*ret_n = k;
	return 0;
}

static int read_pieces(const struct reading *r, const struct piece *v,
		       size_t n)
{
	struct iovec iov[PIECES_MAX + HERD_TREE_READ_MAX / ZEROS];
	const struct herd_at *at = r->at;
	struct herd_tree_source *s;
	bool again = true, all_holes = true;
	int64_t before;
	int err, k = 0;

	for (size_t i = 0; i < n; i++)
		all_holes &= v[i].hole;
	if (all_holes) {	/* needs no image */
		err = gather(NULL, v, n, iov, &k, 0, NULL);
		return err ? err : r->fn(r->arg, iov, k);
	}
	for (int tries = 0; again; tries++) {
		struct herd_diag diag = { .offset = HERD_NO_OFFSET };

		err = get_disk(r->at, &s);
		if (err)
			return err;
		before = herd_disk_before(at->tree, at->holder, disk_of(at), s,
					  r->len);
		err = gather(s->source, v, n, iov, &k, r->len, &diag);
		if (!err) {
			err = r->fn(r->arg, iov, k);
			herd_disk_after(at->holder, disk_of(at), before);
			/* the answer is given: no second try */
			if (err == -EFAULT) {
				herd_diag_set(&diag, err, s->source->name,
					      HERD_NO_OFFSET, "the image "
					      "cannot be read any more");
				disk_failed(r->at, s, err, &diag);
			}
			again = false;
		} else {
			again = disk_failed(r->at, s, err, &diag) && tries < 2;
		}
		herd_disk_put(s);
	}
	return herd_tree_as_told(err);
}

/* Has what is likely to be read next fetched; see fs/tree_ahead.c. */
static void want_more(const struct reading *r)
{
	const struct herd_at *at = r->at;
	struct herd_extents soon = { 0 };
	struct herd_tree_source *s;
	struct piece v[PIECES_MAX];
	uint64_t from;
	size_t len, n = 0;
	int err = 0;

	if (!herd_image_is_remote(&at->holder->record.disks[disk_of(at)]) ||
	    !herd_tree_read_ahead(at->tree, at->holder->record.id, at->path,
				  r->off, r->len, at->entry.size, &from, &len) ||
	    find_pieces(at, from, len, v, &n))
		return;
	for (size_t i = 0; i < n && !err; i++)
		if (!v[i].hole)
			err = herd_extents_add(&soon, v[i].disk_off, v[i].len);
	herd_extents_normalise(&soon);
	if (!err && !get_disk(at, &s)) {
		herd_source_want(s->source, &soon);
		herd_disk_put(s);
	}
	herd_extents_deinit(&soon);
}

/* A file in very many pieces: copied together, bit by bit. */
static int read_copied(const struct reading *r)
{
	uint8_t *whole = malloc(r->len);
	struct piece v[PIECES_MAX];
	struct iovec iov;
	size_t done = 0;
	int err = whole ? 0 : -ENOMEM;

	herd_tree_will_wait(r->at->tree);
	while (!err && done < r->len) {
		struct herd_diag diag = { .offset = HERD_NO_OFFSET };
		struct herd_tree_source *s;
		size_t n, part = r->len - done;

		/* a piece holds a block at least, so this gets small enough */
		while ((err = find_pieces(r->at, r->off + done, part, v,
					  &n)) == -EOVERFLOW && part > 1)
			part /= 2;
		if (!err)
			err = get_disk(r->at, &s);
		if (err)
			break;
		for (size_t i = 0; !err && i < n; i++) {
			if (v[i].hole)
				memset(whole + done, 0, v[i].len);
			else
				err = herd_source_read(s->source, whole + done,
						       v[i].len, v[i].disk_off,
						       &diag);
			done += v[i].len;
		}
		if (err)
			disk_failed(r->at, s, err, &diag);
		herd_disk_put(s);
	}
	iov = (struct iovec){ whole, r->len };
	if (!err)
		err = r->fn(r->arg, &iov, 1);
	free(whole);
	return herd_tree_as_told(err);
}

static int read_runs(const struct reading *r)
{
	struct piece v[PIECES_MAX];
	size_t n;
	int err = find_pieces(r->at, r->off, r->len, v, &n);

	if (!err || err == -EOVERFLOW)
		want_more(r);
	if (err == -EOVERFLOW)
		return read_copied(r);
	if (err)
		return herd_tree_as_told(err);
	return read_pieces(r, v, n);
}

/* From the record itself; zeros where it has fewer bytes than it says. */
static int read_inline(const struct reading *r)
{
	const struct herd_entry *e = &r->at->entry;
	struct iovec iov[PIECES_MAX];
	size_t have = 0, left = r->len;
	int n = 0;

	if (e->bytes && r->off < e->n_bytes) {
		have = e->n_bytes - (size_t)r->off;
		if (have > left)
			have = left;
		iov[n++] = (struct iovec){ (char *)e->bytes + r->off, have };
	}
	for (left -= have; left && n < PIECES_MAX; n++) {
		size_t part = left < sizeof(zeros) ? left : sizeof(zeros);

		iov[n] = (struct iovec){ (void *)zeros, part };
		left -= part;
	}
	return r->fn(r->arg, iov, n);
}

static int read_by_reader(const struct reading *r)
{
	struct herd_diag diag = { .offset = HERD_NO_OFFSET };
	struct herd_at *at = r->at;
	struct herd_tree_volume *v;
	struct herd_tree_source *s;
	struct iovec iov;
	int err = get_disk(at, &s);

	if (err)
		return err;
	herd_tree_will_wait(at->tree);
	iov = (struct iovec){ herd_tree_buffer(r->len), r->len };
	if (!iov.iov_base)
		err = -ENOMEM;
	if (!err)
		err = herd_disk_lock_volume(at->holder, at->entry.volume, s,
					    &v, &diag);
	if (!err) {
		err = v->volume->ops->read ?
		      v->volume->ops->read(v->volume, at->entry.ino,
					   iov.iov_base, r->len, r->off,
					   &diag) : -EOPNOTSUPP;
		herd_disk_unlock_volume(v);
	}
	if (err && err != -ENOMEM && err != -EOPNOTSUPP)
		disk_failed(at, s, err, &diag);
	herd_disk_put(s);
	if (err)
		return err == -ENOMEM ? err : -EIO;
	return r->fn(r->arg, &iov, 1);
}

static int read_blob(struct herd_tree *t, uint64_t node, uint64_t off,
		     size_t len, read_fn fn, void *arg)
{
	struct herd_blob *b;
	struct iovec iov = { 0 };
	int err = herd_file_get(t, node, &b);

	if (err)
		return err;
	if (off < b->buf.len) {
		iov.iov_base = b->buf.data + off;
		iov.iov_len = b->buf.len - off < len ? b->buf.len - off : len;
	}
	err = fn(arg, &iov, iov.iov_len ? 1 : 0);
	herd_cache_put(&t->cache, &b->cached);
	return err;
}

int herd_tree_read(struct herd_tree *t, uint64_t node, uint64_t off, size_t len,
		   int (*fn)(void *arg, const struct iovec *iov, int n),
		   void *arg)
{
	if (herd_node_is_memory(node))
		return herd_memory_read(t, node, off, len, fn, arg);
	if (herd_memory_is_raw(node))
		return herd_memory_read_raw(t, node, off, len, fn, arg);
	if (herd_file_is_generated(node))
		return read_blob(t, node, off, len, fn, arg);

	LEASE(l, t);
	CLEANUP_AT struct herd_at at;
	struct reading r = { &at, off, len, fn, arg };
	int err = herd_at_init(&at, t, l.txn, node);

	if (err)
		return err;
	if (at.broken)
		return -EIO;
	if (at.implied || S_ISDIR(at.entry.mode))
		return -EISDIR;
	if (S_ISLNK(at.entry.mode))
		return -EINVAL;
	if (r.len > HERD_TREE_READ_MAX)
		r.len = HERD_TREE_READ_MAX;
	if (!S_ISREG(at.entry.mode) || off >= at.entry.size || !len)
		return fn(arg, NULL, 0);
	if (r.len > at.entry.size - off)
		r.len = (size_t)(at.entry.size - off);
	switch (at.entry.content) {
	case HERD_CONTENT_NONE:
	case HERD_CONTENT_INLINE:
		return read_inline(&r);
	case HERD_CONTENT_RUNS:
		return read_runs(&r);
	case HERD_CONTENT_READER:
		return read_by_reader(&r);
	default:
		return -EIO;
	}
}

/* ---- where there is data ---- */

static int seek_runs(const struct herd_at *at, uint64_t off, bool hole,
		     uint64_t *ret)
{
	const uint64_t size = at->entry.size;
	uint64_t at_end = off;	/* data goes on up to here */
	struct run_walk w;
	struct herd_run r;
	int err = walk_begin(&w, at, off);

	if (err)
		return err;
	err = hole ? 0 : -ENXIO;
	while (walk_next(&w, &r)) {
		if (r.logical + r.len <= off)
			continue;
		if (!hole) {
			if (r.logical < size) {
				*ret = r.logical > off ? r.logical : off;
				err = 0;
			}
			break;
		}
		if (r.logical > at_end)
			break;
		at_end = r.logical + r.len;
	}
	walk_end(&w);
	if (hole)
		*ret = at_end < size ? at_end : size;
	return err;
}

static int seek_blob(struct herd_tree *t, uint64_t node, uint64_t off,
		     bool hole, uint64_t *ret)
{
	struct stat st;
	int err = herd_top_getattr(t, node, &st);

	if (err)
		return err;
	if (off >= (uint64_t)st.st_size)
		return -ENXIO;
	*ret = hole ? (uint64_t)st.st_size : off;
	return 0;
}

int herd_tree_seek(struct herd_tree *t, uint64_t node, uint64_t off, bool hole,
		   uint64_t *ret)
{
	if (herd_node_is_memory(node))
		return herd_memory_seek(t, node, off, hole, ret);
	if (herd_memory_is_raw(node))
		return herd_memory_seek_raw(t, node, off, hole, ret);
	if (herd_file_is_generated(node))
		return seek_blob(t, node, off, hole, ret);

	LEASE(l, t);
	CLEANUP_AT struct herd_at at;
	uint64_t size;
	int err = herd_at_init(&at, t, l.txn, node);

	if (err)
		return err;
	if (at.broken || at.implied)
		return -EINVAL;
	size = S_ISREG(at.entry.mode) ? at.entry.size : 0;
	if (off >= size)
		return -ENXIO;
	if (at.entry.content == HERD_CONTENT_RUNS)
		return seek_runs(&at, off, hole, ret);
	*ret = hole ? size : off;
	return 0;
}
