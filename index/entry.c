/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of one entry. docs/FORMAT.md, "Entry", is the description that
 * this follows; encoding and decoding stand side by side below, part by part.
 *
 * Threads: values only, any thread.
 */
#include "index/entry.h"
#include "acquire/base/cursor.h"
#include "acquire/base/sha256.h"

#include <string.h>
#include <sys/stat.h>

#define NSEC_MAX 999999999u
#define SHIFT_MAX 12	/* larger units would save a byte at most */
/* so that an end stays below 2^63 when it is rounded up to a unit */
#define RUN_END_MAX ((uint64_t)INT64_MAX - (1u << SHIFT_MAX))
#define XATTRS_MAX 65536
#define PROBLEM_MAX 4096

/* The first byte: 1 alone is "absent", else content and kind of digest. */
#define HEAD_ABSENT 1u
#define HEAD_CONTENT_SHIFT 1
#define HEAD_DIGEST_SHIFT 4
/* The second byte: which parts follow. */
enum part {
	PART_RUNS = 1,
	PART_XATTRS = 2,
	PART_BYTES = 4,
	PART_RDEV = 8,
	PART_PROBLEM = 16,
	PART_BTIME = 32,
	PART_ATIME = 64,	/* else as mtime */
	PART_CTIME = 128,	/* else as mtime */
};

static bool has_digest(unsigned kind)
{
	return kind == HERD_DIGEST_SHA256 || kind == HERD_DIGEST_SPARSE;
}

/* ---- times ---- */

/* Disks hold up to 2^30-1; what is not a nanosecond becomes the last one. */
static struct herd_time clamp(struct herd_time t)
{
	if (t.nsec > NSEC_MAX)
		t.nsec = NSEC_MAX;
	return t;
}

static bool same_time(struct herd_time a, struct herd_time b)
{
	return a.sec == b.sec && a.nsec == b.nsec;
}

/* Wrapping arithmetic: any 64-bit second comes back as it was. */
static void put_time(struct herd_buf *out, struct herd_time t, int64_t base)
{
	herd_buf_svarint(out, (int64_t)((uint64_t)t.sec - (uint64_t)base));
	herd_buf_varint(out, t.nsec);
}

static struct herd_time get_time(struct herd_cursor *c, int64_t base)
{
	struct herd_time t;
	uint64_t nsec;

	t.sec = (int64_t)((uint64_t)herd_cur_svarint(c) + (uint64_t)base);
	nsec = herd_cur_varint(c);
	if (nsec > NSEC_MAX)
		c->bad = true;
	t.nsec = (uint32_t)nsec;
	return t;
}

/* ---- runs ---- */

/*
 * Runs are kept in units of 1 << shift bytes, the largest that fits all but
 * the last length; `slack` is how much the last one is shorter than its units.
 */
struct run_unit {
	unsigned shift;
	uint32_t slack;
};

static bool run_fits(const struct herd_run *r, uint64_t floor)
{
	return r->len > 0 && r->len <= RUN_END_MAX && r->logical >= floor &&
	       r->logical <= RUN_END_MAX - r->len &&
	       r->phys <= RUN_END_MAX - r->len;
}

/* -EBADMSG: not in order, overlapping, empty, or past 2^63. */
static int find_unit(const struct herd_run *runs, size_t n,
		     struct run_unit *ret)
{
	uint64_t all = 1u << SHIFT_MAX, end = 0;

	for (size_t i = 0; i < n; i++) {
		if (!run_fits(&runs[i], end))
			return -EBADMSG;
		end = runs[i].logical + runs[i].len;
		all |= runs[i].logical | runs[i].phys;
		if (i + 1 < n)
			all |= runs[i].len;
	}
	ret->shift = (unsigned)__builtin_ctzll(all);
	ret->slack = (uint32_t)(-runs[n - 1].len & ((1u << ret->shift) - 1));
	return 0;
}

static int put_runs(struct herd_buf *out, const struct herd_run *runs, size_t n)
{
	struct run_unit unit;
	uint64_t end = 0, phys_end = 0;
	int r = n > HERD_RUNS_MAX ? -EOVERFLOW : find_unit(runs, n, &unit);

	if (r)
		return r;
	herd_buf_varint(out, n);
	herd_buf_u8(out, (uint8_t)unit.shift);
	herd_buf_varint(out, unit.slack);
	for (size_t i = 0; i < n; i++) {
		uint64_t logical = runs[i].logical >> unit.shift;
		uint64_t phys = runs[i].phys >> unit.shift;
		uint64_t len = (runs[i].len + (i + 1 < n ? 0 : unit.slack)) >>
			       unit.shift;

		herd_buf_varint(out, logical - end);
		herd_buf_svarint(out, (int64_t)(phys - phys_end));
		herd_buf_varint(out, len);
		end = logical + len;
		phys_end = phys + len;
	}
	return 0;
}

/* Where the list begins and how many are in it; the iterator does the rest. */
static void start_runs(struct herd_run_iter *it, struct herd_cursor *c)
{
	uint64_t n = herd_cur_varint(c);
	unsigned shift = herd_cur_u8(c);
	uint64_t slack = herd_cur_varint(c);

	/* a run is three bytes at least */
	if (n == 0 || n > HERD_RUNS_MAX || n > herd_cur_left(c) / 3 ||
	    shift > SHIFT_MAX || slack >> shift)
		c->bad = true;
	*it = (struct herd_run_iter){
		.p = c->data + c->pos, .left = herd_cur_left(c), .todo = n,
		.shift = shift, .slack = (uint32_t)slack,
	};
}

/* One run more, checked. -EBADMSG for what find_unit would refuse. */
static int next_run(struct herd_run_iter *it, struct herd_run *ret)
{
	struct herd_cursor c = herd_cursor(it->p, it->left);
	uint64_t limit = (uint64_t)INT64_MAX >> it->shift;
	uint64_t gap = herd_cur_varint(&c);
	uint64_t phys = it->phys + (uint64_t)herd_cur_svarint(&c);
	uint64_t len = herd_cur_varint(&c);

	if (c.bad || gap > limit || len == 0 || len > limit || phys > limit)
		return -EBADMSG;
	uint64_t logical = it->logical + gap;	/* both below 2^63 */

	if (logical > limit - len || phys > limit - len)
		return -EBADMSG;
	it->p = c.data + c.pos;
	it->left = c.len - c.pos;
	it->logical = logical + len;
	it->phys = phys + len;
	it->todo--;
	ret->logical = logical << it->shift;
	ret->phys = phys << it->shift;
	ret->len = (len << it->shift) - (it->todo ? 0 : it->slack);
	return 0;
}

static void get_runs(struct herd_cursor *c, struct herd_entry *e)
{
	size_t begin = c->pos;
	struct herd_run_iter it;
	struct herd_run run;

	start_runs(&it, c);
	if (c->bad)
		return;
	e->runs = c->data + begin;
	e->n_runs = it.todo;
	while (it.todo && !c->bad)
		if (next_run(&it, &run))
			c->bad = true;
	c->pos = c->len - it.left;
	e->runs_len = c->pos - begin;
}

void herd_entry_runs(const struct herd_entry *e, struct herd_run_iter *it)
{
	struct herd_cursor c = herd_cursor(e->runs, e->runs_len);

	*it = (struct herd_run_iter){ .todo = 0 };
	if (!e->n_runs)
		return;
	start_runs(it, &c);
	if (c.bad)
		it->todo = 0;
}

bool herd_entry_run_next(struct herd_run_iter *it, struct herd_run *ret)
{
	if (!it->todo)
		return false;
	if (next_run(it, ret)) {
		it->todo = 0;
		return false;
	}
	return true;
}

/* ---- extended attributes ---- */

static int compare_xattrs(const void *a, const void *b)
{
	const struct herd_xattr *x = a, *y = b;
	int r = strcmp(x->name, y->name);

	if (r)
		return r;
	r = memcmp(x->value ? x->value : "", y->value ? y->value : "",
		   x->len < y->len ? x->len : y->len);
	return r ? r : (x->len > y->len) - (x->len < y->len);
}

static bool in_order(const struct herd_xattr *x, size_t n)
{
	for (size_t i = 1; i < n; i++)
		if (compare_xattrs(&x[i - 1], &x[i]) > 0)
			return false;
	return true;
}

/* Count, then name and value of each with their lengths, by name. */
static int put_xattr_list(struct herd_buf *out, const struct herd_xattr *x,
			  size_t n)
{
	uint64_t total = 0;

	herd_buf_varint(out, n);
	for (size_t i = 0; i < n; i++) {
		size_t name_len = strlen(x[i].name);

		if (!name_len)
			return -EBADMSG;
		total += name_len;
		if (x[i].len > HERD_XATTR_BYTES_MAX ||
		    total + x[i].len > HERD_XATTR_BYTES_MAX)
			return -EOVERFLOW;
		total += x[i].len;
		herd_buf_varint(out, name_len);
		herd_buf_put(out, x[i].name, name_len);
		herd_buf_varint(out, x[i].len);
		herd_buf_put(out, x[i].value, x[i].len);
	}
	return herd_buf_error(out);
}

/* The digest stands before the list that it is of. */
static int put_xattrs(struct herd_buf *out, const struct herd_xattr *x,
		      size_t n)
{
	struct herd_buf list CLEANUP_BUF = HERD_BUF_INIT;
	struct herd_xattr *sorted CLEANUP_FREE = NULL;
	uint8_t digest[HERD_SHA256_LEN];

	if (n > XATTRS_MAX)
		return -EOVERFLOW;
	if (!in_order(x, n)) {
		sorted = malloc(n * sizeof(*sorted));
		if (!sorted)
			return -ENOMEM;
		memcpy(sorted, x, n * sizeof(*sorted));
		qsort(sorted, n, sizeof(*sorted), compare_xattrs);
		x = sorted;
	}
	int r = put_xattr_list(&list, x, n);

	if (r)
		return r;
	herd_sha256(list.data, list.len, digest);
	herd_buf_put(out, digest, sizeof(digest));
	herd_buf_put(out, list.data, list.len);
	return 0;
}

static void get_xattrs(struct herd_cursor *c, struct herd_entry *e)
{
	const char *last = NULL;
	size_t last_len = 0;

	herd_cur_copy(c, e->xattr_digest, sizeof(e->xattr_digest));
	uint64_t n = herd_cur_varint(c);
	size_t begin = c->pos;

	if (n == 0 || n > XATTRS_MAX || n > herd_cur_left(c) / 3)
		c->bad = true;
	for (uint64_t i = 0; i < n && !c->bad; i++) {
		uint64_t name_len = herd_cur_varint(c);
		const char *name = herd_cur_bytes(c, name_len);

		if (!name || !name_len || memchr(name, '\0', name_len)) {
			c->bad = true;
			return;
		}
		int order = last ? memcmp(last, name, last_len < name_len ?
					  last_len : name_len) : -1;

		if (order > 0 || (order == 0 && last_len > name_len))
			c->bad = true;
		last = name;
		last_len = name_len;
		herd_cur_bytes(c, herd_cur_varint(c));
	}
	if (c->bad || c->pos - begin > 2 * HERD_XATTR_BYTES_MAX) {
		c->bad = true;
		return;
	}
	e->xattrs = c->data + begin;
	e->xattrs_len = c->pos - begin;
	e->n_xattrs = n;
}

bool herd_entry_xattr(const struct herd_entry *e, size_t i, const char **name,
		      size_t *name_len, const void **value, size_t *len)
{
	struct herd_cursor c = herd_cursor(e->xattrs, e->xattrs_len);

	if (i >= e->n_xattrs)
		return false;
	for (;;) {
		uint64_t n = herd_cur_varint(&c);
		const char *found = herd_cur_bytes(&c, n);
		uint64_t m = herd_cur_varint(&c);
		const void *data = herd_cur_bytes(&c, m);

		if (c.bad)
			return false;
		if (i-- == 0) {
			*name = found;
			*name_len = n;
			*value = data;
			*len = m;
			return true;
		}
	}
}

/* ---- the whole ---- */

/* Of a file only what lies within its size counts as its inline content. */
static size_t bytes_kept(const struct herd_inode *i)
{
	if (S_ISREG(i->mode) && i->n_bytes > i->size)
		return i->size;
	return i->n_bytes;
}

static unsigned parts_of(const struct herd_inode *i)
{
	unsigned parts = 0;
	struct herd_time m = clamp(i->mtime);

	if (i->n_runs)
		parts |= PART_RUNS;
	if (i->n_xattrs)
		parts |= PART_XATTRS;
	if (bytes_kept(i))
		parts |= PART_BYTES;
	if (i->rdev_major || i->rdev_minor)
		parts |= PART_RDEV;
	if (i->problem && *i->problem)
		parts |= PART_PROBLEM;
	if (i->btime.sec || i->btime.nsec)
		parts |= PART_BTIME;
	if (!same_time(clamp(i->atime), m))
		parts |= PART_ATIME;
	if (!same_time(clamp(i->ctime), m))
		parts |= PART_CTIME;
	return parts;
}

static void put_fixed(struct herd_buf *out, const struct herd_inode *i,
		      uint32_t volume, unsigned parts)
{
	herd_buf_varint(out, volume);
	herd_buf_varint(out, i->ino);
	herd_buf_varint(out, i->mode);
	herd_buf_varint(out, i->uid);
	herd_buf_varint(out, i->gid);
	herd_buf_varint(out, i->nlink);
	herd_buf_varint(out, i->size);
	put_time(out, clamp(i->mtime), 0);
	if (parts & PART_ATIME)
		put_time(out, clamp(i->atime), i->mtime.sec);
	if (parts & PART_CTIME)
		put_time(out, clamp(i->ctime), i->mtime.sec);
	if (parts & PART_BTIME)
		put_time(out, clamp(i->btime), i->mtime.sec);
	if (parts & PART_RDEV) {
		herd_buf_varint(out, i->rdev_major);
		herd_buf_varint(out, i->rdev_minor);
	}
}

static void put_text(struct herd_buf *out, const void *p, size_t n)
{
	herd_buf_varint(out, n);
	herd_buf_put(out, p, n);
}

int herd_entry_encode(const struct herd_inode *inode, uint32_t volume,
		      enum herd_digest_kind kind, const uint8_t *digest,
		      struct herd_buf *out)
{
	unsigned parts = parts_of(inode);
	int r = 0;

	if ((unsigned)inode->content >= HERD_CONTENT_MAX ||
	    (unsigned)kind >= HERD_DIGEST_MAX || (has_digest(kind) && !digest))
		return -EINVAL;
	if (bytes_kept(inode) > HERD_TARGET_MAX || inode->size > INT64_MAX)
		return -EOVERFLOW;
	if (inode->content == HERD_CONTENT_INLINE && S_ISREG(inode->mode) &&
	    inode->n_bytes < inode->size)
		return -EBADMSG;
	herd_buf_u8(out, (uint8_t)(inode->content << HEAD_CONTENT_SHIFT |
				   kind << HEAD_DIGEST_SHIFT));
	herd_buf_u8(out, (uint8_t)parts);
	put_fixed(out, inode, volume, parts);
	if (has_digest(kind))
		herd_buf_put(out, digest, HERD_SHA256_LEN);
	if (parts & PART_RUNS)
		r = put_runs(out, inode->runs, inode->n_runs);
	if (!r && (parts & PART_XATTRS))
		r = put_xattrs(out, inode->xattrs, inode->n_xattrs);
	if (r)
		return r;
	if (parts & PART_BYTES)
		put_text(out, inode->bytes, bytes_kept(inode));
	if (parts & PART_PROBLEM)
		put_text(out, inode->problem,
			 strnlen(inode->problem, PROBLEM_MAX));
	return herd_buf_error(out);
}

int herd_entry_encode_absent(struct herd_buf *out)
{
	herd_buf_u8(out, HEAD_ABSENT);
	return herd_buf_error(out);
}

static uint32_t get_u32(struct herd_cursor *c)
{
	uint64_t v = herd_cur_varint(c);

	if (v > UINT32_MAX)
		c->bad = true;
	return (uint32_t)v;
}

static void get_fixed(struct herd_cursor *c, struct herd_entry *e,
		      unsigned parts)
{
	e->volume = get_u32(c);
	e->ino = herd_cur_varint(c);
	e->mode = get_u32(c);
	e->uid = get_u32(c);
	e->gid = get_u32(c);
	e->nlink = get_u32(c);
	e->size = herd_cur_varint(c);
	if (e->size > INT64_MAX)
		c->bad = true;
	e->mtime = get_time(c, 0);
	e->atime = parts & PART_ATIME ? get_time(c, e->mtime.sec) : e->mtime;
	e->ctime = parts & PART_CTIME ? get_time(c, e->mtime.sec) : e->mtime;
	if (parts & PART_BTIME)
		e->btime = get_time(c, e->mtime.sec);
	if (parts & PART_RDEV) {
		e->rdev_major = get_u32(c);
		e->rdev_minor = get_u32(c);
	}
}

static const void *get_text(struct herd_cursor *c, size_t max, size_t *ret)
{
	uint64_t n = herd_cur_varint(c);
	const void *p = herd_cur_bytes(c, n);

	if (n == 0 || n > max)
		c->bad = true;
	*ret = p ? n : 0;
	return p;
}

/* What the parts after the fixed ones may not contradict. */
static bool consistent(const struct herd_entry *e)
{
	if (S_ISREG(e->mode) && e->n_bytes > e->size)
		return false;
	return e->content != HERD_CONTENT_INLINE || !S_ISREG(e->mode) ||
	       e->n_bytes == e->size;
}

int herd_entry_decode(const void *bytes, size_t len, struct herd_entry *ret)
{
	struct herd_cursor c = herd_cursor(bytes, len);
	struct herd_entry e = { .absent = false };
	unsigned head = herd_cur_u8(&c);

	if (head == HEAD_ABSENT && len == 1) {
		*ret = (struct herd_entry){ .absent = true };
		return 0;
	}
	unsigned parts = herd_cur_u8(&c);

	e.content = head >> HEAD_CONTENT_SHIFT & 7;
	e.digest_kind = head >> HEAD_DIGEST_SHIFT;
	if ((head & HEAD_ABSENT) || e.content >= HERD_CONTENT_MAX ||
	    e.digest_kind >= HERD_DIGEST_MAX)
		return -EBADMSG;
	get_fixed(&c, &e, parts);
	if (has_digest(e.digest_kind))
		herd_cur_copy(&c, e.digest, sizeof(e.digest));
	if (parts & PART_RUNS)
		get_runs(&c, &e);
	if (parts & PART_XATTRS)
		get_xattrs(&c, &e);
	if (parts & PART_BYTES)
		e.bytes = get_text(&c, HERD_TARGET_MAX, &e.n_bytes);
	if (parts & PART_PROBLEM)
		e.problem = get_text(&c, PROBLEM_MAX, &e.n_problem);
	if (c.bad || c.pos != c.len || !consistent(&e))
		return -EBADMSG;
	*ret = e;
	return 0;
}
