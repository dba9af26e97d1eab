/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of volume readers: a volume and a mounted (or extracted) tree as
 * sorted lists of records, so that equality is equality of lists. One thread.
 */
#ifndef TSK_FIXTURE_H
#define TSK_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "acquire/base/buf.h"
#include "acquire/base/sha256.h"
#include "index/volume.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define NO_MTIME 1u /* of anything */
#define NO_XATTR 2u
#define NO_DIR_SIZE 4u
#define NO_DIR_MTIME 8u

struct rec {
	char *path;
	unsigned type;
	uint64_t size;
	int64_t sec;
	uint32_t nsec;
	char sum[65];	/* of content or target */
	char attrs[65]; /* of names and values, sorted */
	char note[80];
};

struct recs {
	struct rec *v;
	size_t n, cap;
};

static inline void recs_free(struct recs *r)
{
	for (size_t i = 0; i < r->n; i++)
		free(r->v[i].path);
	free(r->v);
	*r = (struct recs){ 0 };
}

static inline struct rec *recs_add(struct recs *r, const char *path)
{
	if (r->n == r->cap) {
		r->cap = r->cap ? 2 * r->cap : 256;
		r->v = reallocarray(r->v, r->cap, sizeof(*r->v));
		assert_non_null(r->v);
	}
	r->v[r->n] = (struct rec){ .path = strdup(path) };
	return &r->v[r->n++];
}

static inline int recs_by_path(const void *a, const void *b)
{
	return strcmp(((const struct rec *)a)->path,
		      ((const struct rec *)b)->path);
}

/* ---- a volume ---- */

struct walk {
	struct herd_volume *v;
	struct recs *out;
	const char *dir;
	unsigned flags, depth;
	uint64_t budget; /* bytes of content to read; for hostile ones */
	int damage;
	struct child {
		char *path;
		uint64_t ino;
		unsigned char type;
	} * c;
	size_t n, cap;
};

static inline int walk_name(void *arg, const char *name, size_t len,
			    uint64_t ino, unsigned char type)
{
	struct walk *w = arg;
	size_t room = strlen(w->dir) + len + 2;

	assert_true(len && len <= HERD_NAME_MAX);
	assert_null(memchr(name, '/', len));
	assert_null(memchr(name, '\0', len));
	if (w->n == w->cap) {
		w->cap = w->cap ? 2 * w->cap : 64;
		w->c = reallocarray(w->c, w->cap, sizeof(*w->c));
		assert_non_null(w->c);
	}
	w->c[w->n] = (struct child){ malloc(room), ino, type };
	snprintf(w->c[w->n].path, room, "%s%s%.*s", w->dir, *w->dir ? "/" : "",
		 (int)len, name);
	w->n++;
	return w->n > 200000 ? -EOVERFLOW : 0;
}

static inline void sum_hex(const uint8_t d[32], char out[65])
{
	herd_hex(d, 32, out);
}

/* Holes of large files are skipped alike in both lists: only data counts. */
#define BIG (64ull << 20)

static inline int sum_inode(struct walk *w, const struct herd_inode *in,
			    char out[65])
{
	struct herd_sha256 *h = herd_sha256_create();
	static uint8_t buf[1 << 16];
	uint8_t d[32];
	int err = 0;

	herd_sha256_begin(h);
	for (uint64_t off = 0; off < in->size && !err; off += sizeof(buf)) {
		size_t len = in->size - off < sizeof(buf) ? in->size - off :
							    sizeof(buf);

		if (in->size > BIG && off == BIG / 2)
			off = (in->size - BIG / 4) &
			      ~(uint64_t)(sizeof(buf) - 1);
		if (off >= in->size)
			break;
		len = in->size - off < sizeof(buf) ? in->size - off :
						     sizeof(buf);
		if (w->budget < len)
			break;
		w->budget -= len;
		err = herd_content_read(w->v->source, w->v, in, buf, len, off,
					NULL);
		if (!err)
			herd_sha256_update(h, buf, len);
	}
	herd_sha256_final(h, d);
	herd_sha256_destroy(h);
	sum_hex(d, out);
	return err;
}

static inline void sum_attrs(const struct herd_inode *in, char out[65])
{
	struct herd_buf b = HERD_BUF_INIT;
	uint8_t d[32];

	for (size_t i = 0; i < in->n_xattrs; i++) {
		if (i)
			assert_true(strcmp(in->xattrs[i - 1].name,
					   in->xattrs[i].name) <= 0);
		herd_buf_put(&b, in->xattrs[i].name,
			     strlen(in->xattrs[i].name) + 1);
		herd_buf_put(&b, in->xattrs[i].value, in->xattrs[i].len);
	}
	herd_sha256(b.data ? b.data : (uint8_t *)"", b.len, d);
	herd_buf_deinit(&b);
	sum_hex(d, out);
}

static inline void check_runs(const struct herd_inode *in, uint64_t volume)
{
	uint64_t at = 0;

	for (size_t i = 0; i < in->n_runs; i++) {
		assert_true(in->runs[i].len > 0 && in->runs[i].logical >= at);
		at = in->runs[i].logical + in->runs[i].len;
		assert_true(at <= in->size);
		assert_true(in->runs[i].phys <= volume &&
			    in->runs[i].len <= volume - in->runs[i].phys);
	}
}

static inline void rec_inode(struct walk *w, struct rec *r,
			     const struct herd_inode *in)
{
	uint8_t d[32];

	r->type = in->mode & S_IFMT;
	r->size = in->size;
	r->sec = in->mtime.sec;
	r->nsec = in->mtime.nsec;
	if (in->problem)
		snprintf(r->note, sizeof(r->note), "%s", in->problem);
	check_runs(in, w->v->source->size);
	assert_true(in->content < HERD_CONTENT_MAX);
	if (in->content == HERD_CONTENT_UNREADABLE)
		assert_non_null(in->problem);
	if (S_ISLNK(in->mode)) {
		herd_sha256(in->bytes, in->n_bytes, d);
		sum_hex(d, r->sum);
	} else if (S_ISREG(in->mode) &&
		   in->content != HERD_CONTENT_UNREADABLE) {
		if (sum_inode(w, in, r->sum))
			snprintf(r->note, sizeof(r->note), "read failed");
	}
	sum_attrs(in, r->attrs);
}

static inline void walk_dir(struct walk *up, const char *dir, uint64_t ino)
{
	struct walk w = { .v = up->v,
			  .out = up->out,
			  .dir = dir,
			  .flags = up->flags,
			  .depth = up->depth + 1,
			  .budget = up->budget };
	struct herd_diag diag = { .offset = HERD_NO_OFFSET };
	int err = up->v->ops->readdir(up->v, ino, walk_name, &w, &diag);

	if (err) {
		up->damage = err;
		assert_true(err < 0);
	}
	for (size_t i = 0; i < w.n; i++) {
		struct rec *r = recs_add(w.out, w.c[i].path);
		struct herd_inode in = { 0 };
		size_t mine = w.out->n - 1;

		err = w.v->ops->inode(w.v, w.c[i].ino, &in, NULL);
		if (err) {
			w.damage = err;
			snprintf(r->note, sizeof(r->note), "inode failed");
		} else {
			rec_inode(&w, r, &in);
			/* a damaged record may be other than its name says */
			if (w.c[i].type != DT_UNKNOWN && w.budget > BIG << 10)
				assert_int_equal(DTTOIF(w.c[i].type),
						 in.mode & S_IFMT);
		}
		herd_inode_deinit(&in);
		if (!err && S_ISDIR(w.out->v[mine].type) && w.depth < 30 &&
		    w.out->n < 100000)
			walk_dir(&w, w.c[i].path, w.c[i].ino);
		free(w.c[i].path);
	}
	free(w.c);
	up->budget = w.budget;
	if (w.damage)
		up->damage = w.damage;
}

/* Everything on v; returns the last error met. */
static inline int walk_volume(struct herd_volume *v, struct recs *out,
			      uint64_t budget)
{
	struct walk top = { .v = v, .out = out, .budget = budget };

	walk_dir(&top, "", v->root_ino);
	if (out->n)
		qsort(out->v, out->n, sizeof(*out->v), recs_by_path);
	return top.damage;
}

/* ---- a tree ---- */

static inline void sum_file(const char *path, uint64_t size, char out[65])
{
	struct herd_sha256 *h = herd_sha256_create();
	static uint8_t buf[1 << 16];
	int fd = open(path, O_RDONLY | O_NOFOLLOW);
	uint8_t d[32];

	if (fd < 0) {
		print_error("%s: %s\n", path, strerror(errno));
		snprintf(out, 65, "open failed");
		herd_sha256_destroy(h);
		return;
	}
	herd_sha256_begin(h);
	for (uint64_t off = 0; off < size;) {
		size_t len, got = 0;

		if (size > BIG && off == BIG / 2)
			off = (size - BIG / 4) & ~(uint64_t)(sizeof(buf) - 1);
		len = size - off < sizeof(buf) ? size - off : sizeof(buf);
		while (got < len) {
			ssize_t k = pread(fd, buf + got, len - got,
					  (off_t)(off + got));

			assert_true(k > 0);
			got += (size_t)k;
		}
		herd_sha256_update(h, buf, len);
		off += len;
	}
	close(fd);
	herd_sha256_final(h, d);
	herd_sha256_destroy(h);
	sum_hex(d, out);
}

static inline int by_string(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static inline void sum_file_attrs(const char *path, char out[65])
{
	static char list[1 << 16];
	static uint8_t value[1 << 20];
	char *names[256];
	struct herd_buf b = HERD_BUF_INIT;
	ssize_t len = llistxattr(path, list, sizeof(list));
	size_t n = 0;
	uint8_t d[32];

	for (ssize_t i = 0; i < len; i += (ssize_t)strlen(list + i) + 1)
		if (!strncmp(list + i, "user.", 5) && n < ARRAY_SIZE(names))
			names[n++] = list + i;
	qsort(names, n, sizeof(*names), by_string);
	for (size_t i = 0; i < n; i++) {
		ssize_t k = lgetxattr(path, names[i], value, sizeof(value));

		if (k < 0)
			continue;
		herd_buf_put(&b, names[i], strlen(names[i]) + 1);
		herd_buf_put(&b, value, (size_t)k);
	}
	herd_sha256(b.data ? b.data : (uint8_t *)"", b.len, d);
	herd_buf_deinit(&b);
	sum_hex(d, out);
}

static inline void walk_tree(const char *base, const char *dir,
			     struct recs *out)
{
	char full[8192], path[4096];
	struct dirent *e;
	DIR *d;

	snprintf(full, sizeof(full), "%s/%s", base, dir);
	d = opendir(full);
	assert_non_null(d);
	while ((e = readdir(d))) {
		struct rec *r;
		struct stat st;

		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		snprintf(path, sizeof(path), "%s%s%s", dir, *dir ? "/" : "",
			 e->d_name);
		snprintf(full, sizeof(full), "%s/%s", base, path);
		assert_int_equal(lstat(full, &st), 0);
		r = recs_add(out, path);
		r->type = st.st_mode & S_IFMT;
		r->size = (uint64_t)st.st_size;
		r->sec = st.st_mtim.tv_sec;
		r->nsec = (uint32_t)st.st_mtim.tv_nsec;
		sum_file_attrs(full, r->attrs);
		if (S_ISLNK(st.st_mode)) {
			char target[8192];
			ssize_t k = readlink(full, target, sizeof(target));
			uint8_t sum[32];

			assert_true(k > 0);
			herd_sha256(target, (size_t)k, sum);
			sum_hex(sum, r->sum);
		} else if (S_ISREG(st.st_mode)) {
			sum_file(full, r->size, r->sum);
		} else if (S_ISDIR(st.st_mode)) {
			walk_tree(base, path, out);
		}
	}
	closedir(d);
}

static inline void tree(const char *base, struct recs *out)
{
	walk_tree(base, "", out);
	qsort(out->v, out->n, sizeof(*out->v), recs_by_path);
}

/* ---- comparison ---- */

static inline bool rec_equal(const struct rec *a, const struct rec *b,
			     unsigned flags)
{
	bool dir = S_ISDIR(a->type);

	if (a->type != b->type || strcmp(a->sum, b->sum))
		return false;
	if (a->size != b->size && !(dir && flags & NO_DIR_SIZE))
		return false;
	if (!(flags & NO_MTIME) && !(dir && flags & NO_DIR_MTIME) &&
	    (a->sec != b->sec || a->nsec != b->nsec))
		return false;
	return flags & NO_XATTR || !strcmp(a->attrs, b->attrs);
}

static inline void rec_print(const char *who, const struct rec *r)
{
	print_error(
		"  %s: type %o size %llu mtime %lld.%09u sum %.12s attrs %.12s %s\n",
		who, r->type, (unsigned long long)r->size, (long long)r->sec,
		r->nsec, r->sum, r->attrs, r->note);
}

/* Number of differences, the first ones printed. */
static inline size_t compare(const struct recs *ours, const struct recs *oracle,
			     unsigned flags)
{
	size_t i = 0, j = 0, bad = 0;

	while (i < ours->n || j < oracle->n) {
		int c = i == ours->n ?
				1 :
			j == oracle->n ?
				-1 :
				strcmp(ours->v[i].path, oracle->v[j].path);

		if (!c && rec_equal(&ours->v[i], &oracle->v[j], flags)) {
			i++;
			j++;
			continue;
		}
		if (++bad <= 10) {
			print_error("differs: %s\n", c > 0 ? oracle->v[j].path :
							     ours->v[i].path);
			if (c <= 0)
				rec_print("ours  ", &ours->v[i]);
			if (c >= 0)
				rec_print("oracle", &oracle->v[j]);
		}
		i += c <= 0;
		j += c >= 0;
	}
	return bad;
}

/* ---- running things ---- */

__attribute__((format(printf, 1, 2))) static inline int sh(const char *fmt, ...)
{
	char command[8192], all[8260];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(command, sizeof(command), fmt, ap);
	va_end(ap);
	snprintf(all, sizeof(all), "{ %s; } >/dev/null 2>&1", command);
	return system(all);
}

static inline bool tool(const char *name)
{
	return !sh("PATH=$PATH:/sbin:/usr/sbin command -v %s", name);
}

/* First line of a command's output. */
static inline void output(char *out, size_t size, const char *command)
{
	FILE *p = popen(command, "r");

	out[0] = '\0';
	assert_non_null(p);
	if (fgets(out, (int)size, p))
		out[strcspn(out, "\n")] = '\0';
	pclose(p);
}

static inline void load(const char *path, uint8_t **ret, size_t *ret_len)
{
	struct stat st;
	int fd = open(path, O_RDONLY);

	assert_true(fd >= 0 && !fstat(fd, &st));
	*ret = malloc((size_t)st.st_size + 1);
	assert_non_null(*ret);
	for (size_t got = 0; got < (size_t)st.st_size;) {
		ssize_t k = read(fd, *ret + got, (size_t)st.st_size - got);

		assert_true(k > 0);
		got += (size_t)k;
	}
	close(fd);
	*ret_len = (size_t)st.st_size;
}

#endif
