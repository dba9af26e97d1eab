/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes a set: digests are gathered, sorted a chunk at a time, put into a
 * file without a name, and merged into the new set, which gets its name when
 * all of it is on the disk. Memory stays the same however long the lists are.
 *
 * One import into a store at a time: a lock on known/.lock sees to that, and
 * so the file that a killed one left is simply written over.
 *
 * Threads: an import belongs to one.
 */
#include "index/known_internal.h"

#include "acquire/base/buf.h"
#include "acquire/base/sha256.h"
#include "index/store.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#define CHUNK (1u << 20) /* digests */
#define READ_BYTES (1u << 20)
#define RUN_BYTES (64u << 10) /* of each run that is merged, at once */
#define WRITE_BYTES (1u << 20)
#define RUNS_MAX 8192
#define DIGEST HERD_KNOWN_DIGEST

static const uint8_t of_nothing[DIGEST] = {
	0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4,
	0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b,
	0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
};

/* Sorted digests in the spool. */
struct run {
	uint64_t at, n;	 /* left; in digests from the spool's start */
	uint8_t *buf;	 /* RUN_BYTES */
	size_t pos, len; /* in buf, bytes */
};

struct herd_known_import {
	char dir[PATH_MAX], path[PATH_MAX];
	bool bad;
	int lock;
	int spool; /* -1: all is in chunk */
	uint8_t *chunk;
	size_t n, cap;
	uint64_t spooled;
	struct run *runs;
	size_t n_runs;
	struct herd_known_counts counts;
};

static int failed(const struct herd_known_import *i, int err,
		  struct herd_diag *diag)
{
	return herd_diag_set(diag, err, i->path, HERD_NO_OFFSET, "%s",
			     strerror(-err));
}

/* ---- beginning ---- */

static int make_folders(const char *store_dir, const char *folder)
{
	char path[PATH_MAX];
	int n = snprintf(path, sizeof(path), "%s", store_dir);

	if (n < 0 || (size_t)n >= sizeof(path))
		return -ENAMETOOLONG;
	for (char *p = path + 1; *p; p++)
		if (*p == '/') {
			*p = '\0';
			if (mkdir(path, 0777) && errno != EEXIST)
				return -errno;
			*p = '/';
		}
	if ((mkdir(path, 0700) && errno != EEXIST) ||
	    (mkdir(folder, 0777) && errno != EEXIST))
		return -errno;
	return 0;
}

static int take_lock(struct herd_known_import *i, struct herd_diag *diag)
{
	char path[PATH_MAX + 8];

	snprintf(path, sizeof(path), "%s/.lock", i->dir);
	i->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (i->lock < 0)
		return failed(i, -errno, diag);
	if (flock(i->lock, LOCK_EX | LOCK_NB) == 0)
		return 0;
	return errno != EWOULDBLOCK ?
		       failed(i, -errno, diag) :
		       herd_diag_set(diag, -EBUSY, i->dir, HERD_NO_OFFSET,
				     "another import is at work there");
}

static int begin(struct herd_known_import *i, const char *store_dir,
		 const char *name, struct herd_diag *diag)
{
	char other[PATH_MAX];
	int n = snprintf(i->dir, sizeof(i->dir), "%s/" HERD_KNOWN_FOLDER,
			 store_dir);
	int err = herd_store_may_be(store_dir, diag);

	if (err)
		return err;
	if (n < 0 || (size_t)n >= sizeof(i->dir) ||
	    !herd_known_path(i->path, sizeof(i->path), store_dir, name,
			     i->bad) ||
	    !herd_known_path(other, sizeof(other), store_dir, name, !i->bad))
		return -ENAMETOOLONG;
	if (access(other, F_OK) == 0)
		return herd_diag_set(diag, -EEXIST, other, HERD_NO_OFFSET,
				     "there is a set of that name of the other "
				     "kind; remove it first");
	err = make_folders(store_dir, i->dir);
	if (err)
		return herd_diag_set(diag, err, i->dir, HERD_NO_OFFSET, "%s",
				     strerror(-err));
	return take_lock(i, diag);
}

int herd_known_import_begin(const char *store_dir, const char *name, bool bad,
			    size_t chunk, struct herd_known_import **ret,
			    struct herd_diag *diag)
{
	struct herd_known_import *i;
	int err;

	if (!herd_known_name_valid(name))
		return herd_diag_set(diag, -EINVAL, name, HERD_NO_OFFSET,
				     "no name of a set: 1 to %d letters, "
				     "digits, . _ -",
				     HERD_KNOWN_NAME_MAX);
	i = calloc(1, sizeof(*i));
	if (!i)
		return -ENOMEM;
	i->bad = bad;
	i->lock = i->spool = -1;
	i->cap = chunk ? chunk : CHUNK;
	i->chunk = calloc(i->cap, DIGEST);
	err = i->chunk ? begin(i, store_dir, name, diag) : -ENOMEM;
	if (err) {
		herd_known_import_destroy(i);
		return err;
	}
	*ret = i;
	return 0;
}

void herd_known_import_destroy(struct herd_known_import *i)
{
	int saved = errno;

	if (!i)
		return;
	for (size_t k = 0; k < i->n_runs; k++)
		free(i->runs[k].buf);
	free(i->runs);
	free(i->chunk);
	if (i->spool >= 0)
		close(i->spool);
	if (i->lock >= 0)
		close(i->lock);
	free(i);
	errno = saved;
}

/* ---- gathering ---- */

static int compare_digests(const void *a, const void *b)
{
	return memcmp(a, b, DIGEST);
}

/* Sorts the chunk and keeps each digest once. */
static void sort_chunk(struct herd_known_import *i)
{
	size_t n = 0;

	if (!i->n)
		return;
	qsort(i->chunk, i->n, DIGEST, compare_digests);
	for (size_t k = 1; k < i->n; k++)
		if (memcmp(i->chunk + n * DIGEST, i->chunk + k * DIGEST,
			   DIGEST) == 0)
			i->counts.twice++;
		else if (++n != k)
			memcpy(i->chunk + n * DIGEST, i->chunk + k * DIGEST,
			       DIGEST);
	i->n = n + 1;
}

static int write_all(int fd, const void *bytes, size_t len)
{
	const uint8_t *p = bytes;

	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

static int open_spool(struct herd_known_import *i)
{
	char path[PATH_MAX + 16];

	snprintf(path, sizeof(path), "%s/.spool", i->dir);
	i->spool = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (i->spool < 0 || unlink(path))
		return -errno;
	return 0;
}

/* The chunk is full: into the spool with it. */
static int spool_chunk(struct herd_known_import *i, struct herd_diag *diag)
{
	struct run *v;
	int err = i->spool < 0 ? open_spool(i) : 0;

	if (err)
		return failed(i, err, diag);
	if (i->n_runs == RUNS_MAX || i->spooled > HERD_KNOWN_DIGESTS_MAX)
		return herd_diag_set(diag, -EOVERFLOW, i->path, HERD_NO_OFFSET,
				     "more digests than a set may have");
	v = reallocarray(i->runs, i->n_runs + 1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	i->runs = v;
	sort_chunk(i);
	v[i->n_runs] = (struct run){ .at = i->spooled, .n = i->n };
	err = write_all(i->spool, i->chunk, i->n * DIGEST);
	if (err)
		return failed(i, err, diag);
	i->n_runs++;
	i->spooled += i->n;
	i->n = 0;
	return 0;
}

static int add(struct herd_known_import *i, const uint8_t digest[DIGEST],
	       struct herd_diag *diag)
{
	/* empty files are everywhere, and harmless */
	if (i->bad && memcmp(digest, of_nothing, DIGEST) == 0) {
		i->counts.empty++;
		return 0;
	}
	memcpy(i->chunk + i->n++ * DIGEST, digest, DIGEST);
	return i->n == i->cap ? spool_chunk(i, diag) : 0;
}

/* ---- reading lists ---- */

static const char *no_list(const char *p, size_t n)
{
	if (n >= 16 && memcmp(p, "SQLite format 3", 16) == 0)
		return "is an SQLite database, as NSRL's RDS version 3 comes. "
		       "Give its digests as text: sqlite3 RDS.db 'SELECT "
		       "DISTINCT sha256 FROM FILE' >FILE";
	if (n >= 4 && (!memcmp(p, "\x1f\x8b", 2) || !memcmp(p, "PK\3\4", 4) ||
		       !memcmp(p, "BZh", 3) ||
		       !memcmp(p,
			       "\xfd"
			       "7zX",
			       4) ||
		       !memcmp(p, "\x28\xb5\x2f\xfd", 4)))
		return "is compressed; unpack it first";
	return NULL;
}

static int take_line(struct herd_known_import *i, struct herd_known_lines *l,
		     const char *line, size_t len, struct herd_diag *diag)
{
	uint8_t digest[DIGEST];
	int r = herd_known_line(l, line, len, digest, diag);

	i->counts.lines++;
	return r == 1 ? add(i, digest, diag) : r;
}

/* The whole lines in buf; what is left over goes to its start. */
static int take_lines(struct herd_known_import *i, struct herd_known_lines *l,
		      char *buf, size_t *len, bool last, struct herd_diag *diag)
{
	size_t at = 0;
	int err = 0;

	while (!err && at < *len) {
		char *end = memchr(buf + at, '\n', *len - at);
		size_t n = end ? (size_t)(end - buf) - at : *len - at;

		if (n > HERD_KNOWN_LINE_MAX)
			return herd_diag_set(diag, -EOVERFLOW, l->source,
					     HERD_NO_OFFSET,
					     "has a line of "
					     "more than %d bytes",
					     HERD_KNOWN_LINE_MAX);
		if (!end && !last)
			break;
		err = take_line(i, l, buf + at, n, diag);
		at += n + (end != NULL);
	}
	if (!err)
		memmove(buf, buf + at, *len - at);
	*len -= at;
	return err;
}

static int read_list(struct herd_known_import *i, int fd, const char *path,
		     char *buf, struct herd_diag *diag)
{
	struct herd_known_lines l = { .source = path };
	bool first = true;
	size_t len = 0;
	ssize_t n;
	int err = 0;

	do {
		n = read(fd, buf + len, READ_BYTES - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return herd_diag_set(diag, -errno, path, HERD_NO_OFFSET,
					     "%s", strerror(errno));
		len += (size_t)n;
		if (first && no_list(buf, len))
			return herd_diag_set(diag, -EOPNOTSUPP, path,
					     HERD_NO_OFFSET, "%s",
					     no_list(buf, len));
		first = false;
		err = take_lines(i, &l, buf, &len, n == 0, diag);
	} while (!err && n);
	return err;
}

int herd_known_import_file(struct herd_known_import *i, const char *path,
			   struct herd_diag *diag)
{
	CLEANUP_FREE char *buf = malloc(READ_BYTES);
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return herd_diag_set(diag, -errno, path, HERD_NO_OFFSET, "%s",
				     strerror(errno));
	return buf ? read_list(i, fd, path, buf, diag) : -ENOMEM;
}

/* ---- merging ---- */

struct merging {
	struct herd_known_import *i;
	struct run **heap; /* the least first */
	size_t n;
	int fd;
	struct herd_sha256 *hash;
	uint8_t *out; /* WRITE_BYTES */
	size_t len;
	uint8_t last[DIGEST];
	uint64_t written;
};

static int flush(struct merging *m)
{
	int err = write_all(m->fd, m->out, m->len);

	m->len = 0;
	return err;
}

static int put(struct merging *m, const uint8_t *digest)
{
	if (m->written && memcmp(m->last, digest, DIGEST) == 0) {
		m->i->counts.twice++;
		return 0;
	}
	memcpy(m->last, digest, DIGEST);
	memcpy(m->out + m->len, digest, DIGEST);
	m->len += DIGEST;
	m->written++;
	if (m->len < WRITE_BYTES)
		return 0;
	herd_sha256_update(m->hash, m->out, m->len);
	return flush(m);
}

/* 1: the run has a next digest, at buf + pos. */
static int fill(const struct merging *m, struct run *r)
{
	size_t want = r->n < RUN_BYTES / DIGEST ? (size_t)r->n * DIGEST :
						  RUN_BYTES;

	if (r->pos < r->len)
		return 1;
	if (!want)
		return 0;
	for (r->len = 0; r->len < want;) {
		ssize_t n = pread(m->i->spool, r->buf + r->len, want - r->len,
				  (off_t)(r->at * DIGEST + r->len));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		r->len += (size_t)n;
	}
	r->pos = 0;
	r->at += want / DIGEST;
	r->n -= want / DIGEST;
	return 1;
}

static bool less(const struct run *a, const struct run *b)
{
	return memcmp(a->buf + a->pos, b->buf + b->pos, DIGEST) < 0;
}

static void sink(struct merging *m, size_t at)
{
	for (;;) {
		size_t least = at, left = 2 * at + 1;
		struct run *r;

		for (size_t k = left; k < left + 2 && k < m->n; k++)
			if (less(m->heap[k], m->heap[least]))
				least = k;
		if (least == at)
			return;
		r = m->heap[at];
		m->heap[at] = m->heap[least];
		m->heap[least] = r;
		at = least;
	}
}

static int merge_runs(struct merging *m)
{
	for (size_t k = 0; k < m->i->n_runs; k++) {
		struct run *r = &m->i->runs[k];
		int more;

		r->buf = malloc(RUN_BYTES);
		if (!r->buf)
			return -ENOMEM;
		more = fill(m, r);
		if (more < 0)
			return more;
		if (more)
			m->heap[m->n++] = r;
	}
	for (size_t k = m->n; k-- > 0;)
		sink(m, k);
	while (m->n) {
		struct run *r = m->heap[0];
		int more, err = put(m, r->buf + r->pos);

		if (err)
			return err;
		r->pos += DIGEST;
		more = fill(m, r);
		if (more < 0)
			return more;
		if (!more)
			m->heap[0] = m->heap[--m->n];
		sink(m, 0);
	}
	return 0;
}

/* The head is written last: then the number of digests is known. */
static int write_set(struct merging *m, uint64_t now)
{
	uint8_t head[HERD_KNOWN_HEAD] = { 0 }, digest[HERD_SHA256_LEN];
	struct herd_known_import *i = m->i;
	int err = write_all(m->fd, head, sizeof(head));

	herd_sha256_begin(m->hash);
	if (!err && i->n_runs)
		err = merge_runs(m);
	for (size_t k = 0; !err && !i->n_runs && k < i->n; k++)
		err = put(m, i->chunk + k * DIGEST);
	if (err)
		return err;
	herd_known_head(head, i->bad, m->written, now);
	herd_sha256_update(m->hash, m->out, m->len);
	herd_sha256_update(m->hash, head, sizeof(head));
	herd_sha256_final(m->hash, digest);
	err = flush(m);
	if (!err)
		err = write_all(m->fd, digest, sizeof(digest));
	if (!err && pwrite(m->fd, head, sizeof(head), 0) != sizeof(head))
		err = -EIO;
	if (!err && fsync(m->fd))
		err = -errno;
	return err;
}

static void merging_deinit(struct merging *m)
{
	herd_sha256_destroy(m->hash);
	free(m->heap);
	free(m->out);
	if (m->fd >= 0)
		close(m->fd);
}

int herd_known_import_end(struct herd_known_import *i, uint64_t now,
			  struct herd_known_counts *ret, struct herd_diag *diag)
{
	CLEANUP(merging_deinit) struct merging m = { .i = i, .fd = -1 };
	char path[PATH_MAX + 8];
	int err = 0;

	if (i->n_runs && i->n)
		err = spool_chunk(i, diag);
	else
		sort_chunk(i);
	if (err)
		return err;
	if (i->n_runs) /* merging needs the memory more */
		free(TAKE_PTR(i->chunk));
	m.heap = calloc(i->n_runs + 1, sizeof(struct run *));
	m.out = malloc(WRITE_BYTES);
	m.hash = herd_sha256_create();
	if (!m.heap || !m.out || !m.hash)
		return -ENOMEM;
	snprintf(path, sizeof(path), "%s/.new", i->dir);
	m.fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (m.fd < 0)
		return failed(i, -errno, diag);
	err = write_set(&m, now);
	if (!err && rename(path, i->path))
		err = -errno;
	if (err) {
		unlink(path);
		return failed(i, err, diag);
	}
	i->counts.digests = m.written;
	*ret = i->counts;
	return 0;
}
