/* SPDX-License-Identifier: Apache-2.0 */
/* Building blocks of a scan: nodes, records, problems. See scan.h. */
#include "index/scan.h"

#include "acquire/base/cleanup.h"
#include "acquire/base/cursor.h"
#include "acquire/base/sha256.h"
#include "index/digest.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define SLAB 4096u
#define CHECKPOINT_MS 5000

/* Makes room for one more element of an array. */
static int reserve(void *array, size_t *cap, size_t n, size_t size)
{
	if (n < *cap)
		return 0;
	size_t bigger = *cap ? *cap * 2 : 256;
	void *p = realloc(*(void **)array, bigger * size);

	if (!p)
		return -ENOMEM;
	*(void **)array = p;
	*cap = bigger;
	return 0;
}

static int new_node(struct herd_scan *s, const struct herd_node *node,
		    uint32_t *ret)
{
	if (s->n_nodes >= HERD_SCAN_NODES_MAX)
		return -EOVERFLOW;
	int err = reserve(&s->nodes, &s->cap_nodes, s->n_nodes,
			  sizeof(*s->nodes));

	if (err)
		return err;
	s->nodes[s->n_nodes] = *node;
	*ret = s->n_nodes++;
	return 0;
}

int herd_scan_node(struct herd_scan *s, uint32_t parent, const char *name,
		   size_t len, uint32_t *ret)
{
	struct herd_node node = { .parent = parent, .name_len = len,
				  .name = s->names.len,
				  .depth = s->nodes[parent].depth + 1 };

	herd_buf_put(&s->names, name, len);
	int err = herd_buf_error(&s->names);

	return err ? err : new_node(s, &node, ret);
}

int herd_scan_anchor(struct herd_scan *s, uint32_t path, uint32_t depth,
		     uint32_t *ret)
{
	struct herd_node node = { .parent = HERD_NO_NODE, .path = path,
				  .depth = depth };

	return new_node(s, &node, ret);
}

int herd_scan_node_path(struct herd_scan *s, uint32_t node, struct herd_buf *out)
{
	uint32_t chain[HERD_SCAN_DEPTH_MAX + 1];
	size_t n = 0;

	while (s->nodes[node].parent != HERD_NO_NODE) {
		if (n == ARRAY_SIZE(chain))
			return -EOVERFLOW;
		chain[n++] = node;
		node = s->nodes[node].parent;
	}
	if (s->nodes[node].path != HERD_PATH_ROOT) {
		int err = herd_path_full(s->txn, s->nodes[node].path, out);

		if (err)
			return err;
	}
	while (n--) {
		const struct herd_node *at = &s->nodes[chain[n]];

		if (out->len)
			herd_buf_u8(out, '/');
		herd_buf_put(out, s->names.data + at->name, at->name_len);
	}
	return herd_buf_error(out);
}

int herd_scan_absent(struct herd_scan *s, uint32_t path)
{
	int err = reserve(&s->absents, &s->cap_absents, s->n_absents,
			  sizeof(*s->absents));

	if (!err)
		s->absents[s->n_absents++] = path;
	return err;
}

int herd_scan_problem(struct herd_scan *s, uint32_t path_node, const char *path,
		      const char *fmt, ...)
{
	CLEANUP_BUF struct herd_buf full = HERD_BUF_INIT;
	CLEANUP_FREE char *text = NULL;
	va_list ap;

	if (path_node != HERD_NO_NODE) {
		int err = herd_scan_node_path(s, path_node, &full);

		if (err)
			return err;
	} else {
		herd_buf_put(&full, path, strlen(path));
	}
	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);

	int err = reserve(&s->problems, &s->cap_problems, s->n_problems,
			  sizeof(*s->problems));

	if (err || full.failed || !text)
		return -ENOMEM;
	s->problems[s->n_problems++] = (struct herd_problem_row){
		.path = (char *)full.data, .path_len = full.len,
		.text = TAKE_PTR(text) };
	full = (struct herd_buf)HERD_BUF_INIT;
	return 0;
}

int herd_scan_rec_new(struct herd_scan *s, struct herd_rec **ret)
{
	if (s->n_recs == s->n_slabs * SLAB) {
		struct herd_rec **slabs = realloc(s->slabs, (s->n_slabs + 1) *
						  sizeof(*slabs));

		if (!slabs)
			return -ENOMEM;
		s->slabs = slabs;
		slabs[s->n_slabs] = calloc(SLAB, sizeof(**slabs));
		if (!slabs[s->n_slabs])
			return -ENOMEM;
		s->n_slabs++;
	}
	*ret = &s->slabs[s->n_recs / SLAB][s->n_recs % SLAB];
	s->n_recs++;
	return 0;
}

struct herd_rec *herd_scan_rec_at(const struct herd_scan *s, size_t i)
{
	return &s->slabs[i / SLAB][i % SLAB];
}

int herd_scan_rec_synthetic(struct herd_scan *s, uint32_t volume,
			    struct herd_rec **ret)
{
	struct herd_inode inode = { .mode = S_IFDIR | 0755, .nlink = 2 };
	struct herd_rec *rec = NULL;
	int err = herd_scan_rec_new(s, &rec);

	if (err)
		return err;
	rec->volume = volume;
	err = herd_hash_pool_encode(s->pool, &inode, HERD_DIGEST_NONE, NULL, rec);
	if (!err)
		*ret = rec;
	return err;
}

int herd_scan_reference_entry(struct herd_scan *s, uint32_t volume,
			      uint64_t ino, struct herd_entry *ret)
{
	const void *ids = NULL;
	size_t n = 0;
	int err = herd_links_get(s->txn, s->reference.id, volume, ino, &ids, &n);

	if (err)
		return err;
	if (!n)
		return -ENOENT;
	struct herd_cursor c = herd_cursor(ids, 4);

	return herd_entry_get_own(s->txn, s->reference.id, herd_cur_le32(&c),
				  ret);
}

/* Whether the file lies where the reference's lies, and no byte changed. */
static bool unchanged_in_place(const struct herd_scan_volume *v,
			       const struct herd_inode *inode,
			       const struct herd_entry *ref)
{
	struct herd_run_iter it;
	struct herd_run run;
	size_t i = 0;

	if (!S_ISREG(ref->mode) || ref->size != inode->size ||
	    ref->content != inode->content || ref->n_runs != inode->n_runs ||
	    (ref->digest_kind != HERD_DIGEST_SHA256 &&
	     ref->digest_kind != HERD_DIGEST_SPARSE))
		return false;
	herd_entry_runs(ref, &it);
	for (; herd_entry_run_next(&it, &run); i++)
		if (i >= inode->n_runs ||
		    run.logical != inode->runs[i].logical ||
		    run.phys != inode->runs[i].phys ||
		    run.len != inode->runs[i].len ||
		    herd_extents_overlap(&v->changed, run.phys, run.len))
			return false;
	return i == inode->n_runs;
}

static bool same_time(const struct herd_time *a, const struct herd_time *b)
{
	return a->sec == b->sec && a->nsec == b->nsec;
}

/*
 * All that a file system says of a file but when it was last read. Whoever
 * writes to it changes ctime, unless he writes to the disk behind the file
 * system's back, which is why this is provisional.
 */
static bool same_metadata(const struct herd_inode *inode,
			  const struct herd_entry *ref, const void *encoded,
			  size_t len)
{
	struct herd_entry own;

	return inode->ino == ref->ino && inode->mode == ref->mode &&
	       inode->uid == ref->uid && inode->gid == ref->gid &&
	       inode->nlink == ref->nlink &&
	       same_time(&inode->mtime, &ref->mtime) &&
	       same_time(&inode->ctime, &ref->ctime) &&
	       same_time(&inode->btime, &ref->btime) &&
	       !herd_entry_decode(encoded, len, &own) &&
	       !memcmp(own.xattr_digest, ref->xattr_digest,
		       sizeof(own.xattr_digest));
}

/* So many ranges are asked for ahead at once. */
#define SOON_MAX 256u

void herd_scan_want(struct herd_scan *s, struct herd_scan_volume *v)
{
	if (s->a->disks[v->disk]->ops->want)
		herd_source_want(v->source, &v->soon);
	v->soon.n = 0;
}

/* A hint: that memory ran out loses nothing. */
static void note_soon(struct herd_scan *s, struct herd_scan_volume *v,
		      const struct herd_inode *inode)
{
	if (!s->a->disks[v->disk]->ops->want)
		return;
	for (size_t i = 0; i < inode->n_runs; i++)
		if (herd_extents_add(&v->soon, inode->runs[i].phys,
				     inode->runs[i].len))
			break;
	if (v->soon.n >= SOON_MAX)
		herd_scan_want(s, v);
}

/* The reference's digest, where nothing says that the content is another. */
static int inherit(struct herd_scan *s, struct herd_scan_volume *v,
		   const struct herd_inode *inode, struct herd_rec *rec)
{
	struct herd_entry ref;

	if ((!v->have_changed && v->basis != HERD_BASIS_METADATA) ||
	    herd_scan_reference_entry(s, v->index, inode->ino, &ref) ||
	    !unchanged_in_place(v, inode, &ref))
		return -ENOENT;
	int err = herd_hash_pool_encode(s->pool, inode, ref.digest_kind,
					ref.digest, rec);

	if (err)
		return err;
	if (v->basis == HERD_BASIS_METADATA &&
	    !same_metadata(inode, &ref, rec->encoded, rec->len))
		return -ENOENT;
	/* that is what is to be found out */
	if (v->basis == HERD_BASIS_METADATA && s->a->verify) {
		rec->expects = true;
		memcpy(rec->expected, ref.digest, sizeof(rec->expected));
		return -ENOENT;
	}
	rec->inherited = true;
	return 0;
}

/* -ENOENT when the digest has to be computed. */
static int known_digest(struct herd_scan *s, struct herd_scan_volume *v,
			const struct herd_inode *inode, struct herd_rec *rec)
{
	uint8_t digest[32], kind = 0;

	if (inode->content != HERD_CONTENT_RUNS)
		return -ENOENT;

	int err = inherit(s, v, inode, rec);

	if (err != -ENOENT)
		return err;
	if (s->resuming &&
	    !herd_partial_get(s->txn, s->key, v->index, inode->ino, digest,
			      &kind) &&
	    (kind == HERD_DIGEST_SHA256 || kind == HERD_DIGEST_SPARSE)) {
		rec->hashed = true;
		return herd_hash_pool_encode(s->pool, inode, kind, digest, rec);
	}
	return -ENOENT;
}

static int add_owners(struct herd_scan *s, uint32_t volume, uint64_t ino,
		      const struct herd_run *runs, size_t n,
		      enum herd_owner_kind kind)
{
	for (size_t i = 0; i < n; i++) {
		int err = reserve(&s->owners, &s->cap_owners, s->n_owners,
				  sizeof(*s->owners));

		if (err)
			return err;
		s->owners[s->n_owners++] = (struct herd_owner_row){
			.volume = volume, .kind = kind, .start = runs[i].phys,
			.len = runs[i].len, .ino = ino };
	}
	return 0;
}

/*
 * Blocks belong to one file, but a hostile image can let each of a million
 * files claim all of them: what is claimed is limited to a few times the
 * volume.
 */
static int charge_budget(struct herd_scan_volume *v, struct herd_inode *inode)
{
	uint64_t claimed = 0;

	for (size_t i = 0; i < inode->n_runs; i++)
		claimed += inode->runs[i].len;
	if (claimed <= v->budget) {
		v->budget -= claimed;
		return 0;
	}
	inode->content = HERD_CONTENT_UNREADABLE;
	free(inode->problem);
	inode->problem = strdup("not read: the files of this volume together claim far more blocks than it has");
	return inode->problem ? 0 : -ENOMEM;
}

static int digest_target(struct herd_scan *s, struct herd_inode *inode,
			 struct herd_rec *rec)
{
	uint8_t digest[32];

	herd_sha256(inode->bytes, inode->n_bytes, digest);
	return herd_hash_pool_encode(s->pool, inode,
				     inode->problem ? HERD_DIGEST_UNREADABLE
						    : HERD_DIGEST_SHA256,
				     inode->problem ? NULL : digest, rec);
}

static int fill_rec(struct herd_scan *s, struct herd_scan_volume *v,
		    struct herd_inode *inode, struct herd_rec *rec)
{
	int err = 0;

	if (herd_scan_is_reference(s) &&
	    (v->volume->features & HERD_VOLUME_INCREMENTAL)) {
		err = add_owners(s, v->index, inode->ino, inode->runs,
				 inode->n_runs, HERD_OWNER_DATA);
		if (!err)
			err = add_owners(s, v->index, inode->ino, inode->meta,
					 inode->n_meta, HERD_OWNER_META);
	}
	if (err)
		return err;
	if (S_ISLNK(inode->mode))
		return digest_target(s, inode, rec);
	if (!S_ISREG(inode->mode))
		return herd_hash_pool_encode(s->pool, inode, HERD_DIGEST_NONE,
					     NULL, rec);
	err = charge_budget(v, inode);
	if (err)
		return err;
	err = known_digest(s, v, inode, rec);
	if (err != -ENOENT)
		return err;
	/* the type is needed before the pool has done the rest */
	rec->mode = inode->mode;
	note_soon(s, v, inode);
	return herd_hash_pool_push(s->pool, v->source, v->volume, inode, rec);
}

/* An inode that cannot be read still has a name, and that is shown. */
static int fill_rec_unreadable(struct herd_scan *s, uint64_t ino,
			       unsigned char type, struct herd_diag *diag,
			       int why, struct herd_rec *rec)
{
	char text[1024];

	diag->source[0] = '\0';
	herd_diag_format(diag, why, text, sizeof(text));

	struct herd_inode inode = {
		.ino = ino, .nlink = 1, .content = HERD_CONTENT_UNREADABLE,
		.mode = type == DT_UNKNOWN || type == DT_WHT ? S_IFREG
							     : DTTOIF(type),
		.problem = text };

	if (S_ISDIR(inode.mode))
		inode.content = HERD_CONTENT_NONE;
	return herd_hash_pool_encode(s->pool, &inode, HERD_DIGEST_UNREADABLE,
				     NULL, rec);
}

int herd_scan_rec(struct herd_scan *s, struct herd_scan_volume *v, uint64_t ino,
		  unsigned char type, struct herd_rec **ret)
{
	uint64_t *known = herd_idmap_get(&v->recs, ino);
	struct herd_inode inode = { 0 };
	struct herd_rec *rec = NULL;
	struct herd_diag diag;

	if (known) {
		*ret = (struct herd_rec *)(uintptr_t)*known;
		return 0;
	}
	int err = herd_scan_rec_new(s, &rec);

	if (!err)
		err = herd_idmap_put(&v->recs, ino, (uintptr_t)rec);
	if (err)
		return err;
	rec->volume = v->index;
	rec->ino = ino;
	herd_diag_clear(&diag);
	err = v->volume->ops->inode(v->volume, ino, &inode, &diag);
	if (err == -ENOMEM)
		return err;
	if (err)
		err = fill_rec_unreadable(s, ino, type, &diag, err, rec);
	else
		err = fill_rec(s, v, &inode, rec);
	herd_inode_deinit(&inode);
	if (err)
		return err;
	if (s->n_recs % 256 == 0)
		err = herd_scan_checkpoint(s, false, NULL);
	*ret = rec;
	return err;
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

struct checkpoint {
	struct herd_scan *s;
	struct herd_rec **recs;
	size_t n;
};

static int put_partial(struct herd_txn *t, void *arg, struct herd_diag *diag)
{
	struct checkpoint *c = arg;
	int err = 0;

	(void)diag;
	for (size_t i = 0; i < c->n && !err; i++)
		err = herd_partial_put(t, c->s->key, c->recs[i]->volume,
				       c->recs[i]->ino, c->recs[i]->digest,
				       c->recs[i]->digest_kind);
	return err;
}

int herd_scan_checkpoint(struct herd_scan *s, bool force, struct herd_diag *diag)
{
	uint64_t now = now_ms();
	struct checkpoint c = { .s = s };

	if (!s->checkpoint)
		s->checkpoint = now;
	if (!force && now - s->checkpoint < CHECKPOINT_MS)
		return 0;
	s->checkpoint = now;
	int err = herd_hash_pool_take(s->pool, &c.recs, &c.n);

	if (!err && c.n)
		err = herd_store_update(s->store, put_partial, &c, diag);
	free(c.recs);
	return err;
}
