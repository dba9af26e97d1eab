/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much the block cache holds, and what goes when that is too much. The
 * count is kept in a file; it is raised before a content is written and
 * lowered after it is gone, so that whoever is killed in between leaves it too
 * high, never too low. Each eviction counts anew. A content's time of
 * modification says when it was last used, to the minute.
 */
#include "acquire/base/cursor.h"
#include "acquire/block_cache_impl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define USAGE_MAGIC "herdBU1\n"
#define USAGE_BODY 32u /* magic, bytes, contents, clean */
#define USAGE_LEN (USAGE_BODY + HERD_SHA256_LEN)

/* ---- the count ---- */

int herd_bc_usage_read(const struct herd_block_cache *c,
		       struct herd_bc_usage *ret)
{
	CLEANUP_FD int fd = -1;
	uint8_t data[USAGE_LEN], sum[HERD_SHA256_LEN];
	struct herd_cursor cur = herd_cursor(data, sizeof(data));
	struct stat st;
	int err = herd_bc_open_file(c->root, HERD_BC_USAGE, O_RDONLY, &fd, &st);
	ssize_t n = err ? err : herd_bc_read(fd, data, sizeof(data), 0);

	if (n < 0)
		return n == -ENOENT ? -EBADMSG : (int)n;
	herd_sha256(data, USAGE_BODY, sum);
	if (n != USAGE_LEN || st.st_size != USAGE_LEN ||
	    memcmp(data, USAGE_MAGIC, 8) ||
	    memcmp(data + USAGE_BODY, sum, sizeof(sum)))
		return -EBADMSG;
	herd_cur_seek(&cur, 8);
	ret->bytes = herd_cur_le64(&cur);
	ret->contents = herd_cur_le64(&cur);
	ret->clean = herd_cur_le64(&cur) == 1;
	return 0;
}

int herd_bc_usage_write(const struct herd_block_cache *c,
			const struct herd_bc_usage *u)
{
	CLEANUP_FD int fd = -1;
	uint8_t data[USAGE_LEN];
	uint64_t v[3] = { htole64(u->bytes), htole64(u->contents),
			  htole64(u->clean) };
	struct stat st;

	memcpy(data, USAGE_MAGIC, 8);
	memcpy(data + 8, v, sizeof(v));
	herd_sha256(data, USAGE_BODY, data + USAGE_BODY);
	int err = herd_bc_open_file(c->root, HERD_BC_USAGE, O_RDWR | O_CREAT,
				    &fd, &st);

	if (err == -EBADMSG && !unlinkat(c->root, HERD_BC_USAGE, 0))
		err = herd_bc_open_file(c->root, HERD_BC_USAGE,
					O_RDWR | O_CREAT, &fd, &st);
	if (!err && st.st_size > USAGE_LEN && ftruncate(fd, USAGE_LEN))
		err = -errno;
	return err ? err : herd_bc_write(fd, data, sizeof(data), 0);
}

uint64_t herd_bc_cost(const struct stat *st)
{
	/* what a file system allots beyond the end comes and goes */
	uint64_t held = (uint64_t)st->st_blocks * 512;
	uint64_t most = ((uint64_t)st->st_size + HERD_BC_PIECE - 1) /
			HERD_BC_PIECE * HERD_BC_PIECE;

	return held < most ? held : most;
}

void herd_bc_release(struct herd_block_cache *c, uint64_t cost,
		     uint64_t contents)
{
	CLEANUP_FD int lock = -1;
	struct herd_bc_usage u;
	int err = herd_bc_lock(c, HERD_BC_LOCK, &lock);

	if (!err)
		err = herd_bc_usage_read(c, &u);
	if (!err) {
		u.bytes -= cost < u.bytes ? cost : u.bytes;
		u.contents -= contents < u.contents ? contents : u.contents;
		err = herd_bc_usage_write(c, &u);
	}
	if (err)
		atomic_store(&c->miscounted, true);
}

/* ---- going through all contents ---- */

struct seen {
	int64_t used; /* Unix seconds */
	uint64_t cost;
	char hex[HERD_BC_HEX + 1];
};

/* The least recently used, as many as memory is spent on. */
struct oldest {
	struct seen *v; /* 2 * KEPT; sorted, the first KEPT are the oldest */
	size_t n;
	int64_t now;
};
#define KEPT 16384u

static int by_use(const void *a, const void *b)
{
	const struct seen *x = a, *y = b;

	return x->used != y->used ? (x->used < y->used ? -1 : 1) :
				    strcmp(x->hex, y->hex);
}

static void remember(struct oldest *o, const char *hex, const struct stat *st)
{
	if (o->n == 2 * KEPT) {
		qsort(o->v, o->n, sizeof(*o->v), by_use);
		o->n = KEPT;
	}
	struct seen *s = &o->v[o->n++];

	/* a time to come says nothing; it would keep it for good */
	s->used = st->st_mtime > o->now + HERD_BC_STAMP_S ? 0 : st->st_mtime;
	s->cost = herd_bc_cost(st);
	memcpy(s->hex, hex, sizeof(s->hex));
}

static bool is_content(const char *name, const char *two)
{
	return strlen(name) == HERD_BC_HEX && !strncmp(name, two, 2) &&
	       strspn(name, "0123456789abcdef") == HERD_BC_HEX;
}

static int scan_folder(DIR *d, const char *two, struct herd_bc_usage *total,
		       struct oldest *o)
{
	struct stat st;

	for (;;) {
		errno = 0;
		struct dirent *e = readdir(d);

		if (!e)
			return -errno;
		if (!is_content(e->d_name, two) ||
		    fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) ||
		    !S_ISREG(st.st_mode))
			continue;
		total->bytes += herd_bc_cost(&st);
		total->contents++;
		if (o)
			remember(o, e->d_name, &st);
	}
}

static int scan(const struct herd_block_cache *c, struct herd_bc_usage *total,
		struct oldest *o)
{
	int err = 0;

	*total = (struct herd_bc_usage){ 0 };
	for (unsigned i = 0; !err && i < 256; i++) {
		char two[3];
		struct stat st;
		int fd = -1;

		snprintf(two, sizeof(two), "%02x", i);
		err = herd_bc_open_dir(c->contents, two, &fd, &st);
		if (err) { /* what stands in its place is met by get */
			err = err == -ENOENT || err == -EBADMSG ? 0 : err;
			continue;
		}
		DIR *d = fdopendir(fd);

		if (!d) {
			err = -errno;
			close(fd);
			continue;
		}
		err = scan_folder(d, two, total, o);
		closedir(d);
	}
	return err;
}

int herd_bc_recount(const struct herd_block_cache *c, struct herd_bc_usage *ret)
{
	return scan(c, ret, NULL);
}

/* ---- evicting ---- */

/* Unlinks it unless it was used since it was looked at. Readers that have it
   open read on. */
static bool drop(struct herd_block_cache *c, const struct seen *s, int64_t now)
{
	CLEANUP_FD int dir = -1;
	struct stat st;

	if (herd_bc_content_dir(c, s->hex, false, &dir) ||
	    fstatat(dir, s->hex, &st, AT_SYMLINK_NOFOLLOW) ||
	    (st.st_mtime > s->used && st.st_mtime <= now + HERD_BC_STAMP_S) ||
	    unlinkat(dir, s->hex, 0))
		return false;
	atomic_fetch_add(&c->evicted, 1);
	return true;
}

/* What was counted, with what others did in the meantime. */
static int correct(struct herd_block_cache *c,
		   const struct herd_bc_usage *before,
		   struct herd_bc_usage *counted)
{
	CLEANUP_FD int lock = -1;
	struct herd_bc_usage now = *before;
	int err = herd_bc_lock(c, HERD_BC_LOCK, &lock);

	if (!err)
		err = herd_bc_usage_read(c, &now);
	if (err && err != -EBADMSG)
		return err;
	if (now.bytes > before->bytes)
		counted->bytes += now.bytes - before->bytes;
	if (now.contents > before->contents)
		counted->contents += now.contents - before->contents;
	counted->clean = false;
	return herd_bc_usage_write(c, counted);
}

/* Down to nine tenths of the limit, for each look at everything costs. */
static void drop_oldest(struct herd_block_cache *c, struct oldest *o,
			uint64_t bytes, uint64_t need)
{
	uint64_t aim = c->limit - c->limit / 10;
	uint64_t gone = 0, contents = 0;

	aim = need < aim ? aim - need : 0;
	qsort(o->v, o->n, sizeof(*o->v), by_use);
	for (size_t i = 0; i < o->n && i < KEPT && bytes - gone > aim; i++) {
		if (o->v[i].cost > bytes - gone || !drop(c, &o->v[i], o->now))
			continue;
		gone += o->v[i].cost;
		contents++;
	}
	herd_bc_release(c, gone, contents);
}

static int usage_now(struct herd_block_cache *c, struct herd_bc_usage *ret)
{
	CLEANUP_FD int lock = -1;
	int err = herd_bc_lock(c, HERD_BC_LOCK, &lock);

	return err ? err : herd_bc_usage_read(c, ret);
}

static bool fits(const struct herd_block_cache *c,
		 const struct herd_bc_usage *u, uint64_t need)
{
	return !c->limit || (need <= c->limit && u->bytes <= c->limit - need);
}

/* Makes room for need bytes, or at least tries. */
static int evict(struct herd_block_cache *c, uint64_t need)
{
	CLEANUP_FD int lock = -1;
	struct herd_bc_usage before = { 0 }, counted;
	int err = herd_bc_lock(c, HERD_BC_EVICT, &lock);

	if (!err)
		err = usage_now(c, &before);
	if (err && err != -EBADMSG)
		return err;
	if (!err && fits(c, &before, need)) /* another one did it */
		return 0;
	struct oldest o = { .now = time(NULL) };
	struct seen *v CLEANUP_FREE = malloc(2 * KEPT * sizeof(*v));

	if (!v)
		return -ENOMEM;
	o.v = v;
	err = scan(c, &counted, &o);
	if (!err)
		err = correct(c, &before, &counted);
	if (!err && !fits(c, &counted, need))
		drop_oldest(c, &o, counted.bytes, need);
	return err;
}

/* 0; -EAGAIN: too much is there. */
static int add(struct herd_block_cache *c, uint64_t cost)
{
	CLEANUP_FD int lock = -1;
	struct herd_bc_usage u;
	int err = herd_bc_lock(c, HERD_BC_LOCK, &lock);

	if (!err)
		err = herd_bc_usage_read(c, &u);
	if (err == -EBADMSG)
		err = herd_bc_recount(c, &u);
	if (err)
		return err;
	if (!fits(c, &u, cost))
		return -EAGAIN;
	u.bytes += cost;
	u.contents++;
	u.clean = false;
	return herd_bc_usage_write(c, &u);
}

int herd_bc_reserve(struct herd_block_cache *c, uint64_t cost)
{
	int err = -EAGAIN;

	if (c->limit && cost > c->limit)
		return -ENOSPC;
	/* others may take the room that was made */
	for (unsigned i = 0; err == -EAGAIN && i < 8; i++) {
		err = add(c, cost);
		if (err == -EAGAIN) {
			int failed = evict(c, cost);

			if (failed)
				return failed;
		}
	}
	return err == -EAGAIN ? -ENOSPC : err;
}
