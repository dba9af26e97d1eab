/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Symbol files on disk: unpacking them, and finding the one that is of a
 * kernel.
 */
#include "index/memory/isf.h"

#include "acquire/base/buf.h"

#include <fcntl.h>
#include <fts.h>
#include <lzma.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

#define PACKED_MAX (64u << 20)
#define XZ_MEMORY (128u << 20)
#define DEPTH_MAX 4
#define FILES_MAX 4096u
#define TRIES_MAX 64u /* files that are unpacked and read */

/* ---- unpacking ---- */

static int read_file(const char *path, struct herd_buf *out,
		     struct herd_diag *diag)
{
	CLEANUP_FD int fd =
		open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return herd_diag_set(diag, -errno, path, HERD_NO_OFFSET,
				     "the symbol file cannot be opened: %s",
				     strerror(errno));
	if (!S_ISREG(st.st_mode))
		return herd_diag_set(diag, -EINVAL, path, HERD_NO_OFFSET,
				     "the symbol file is no file");
	while (out->len <= HERD_ISF_BYTES_MAX) {
		char block[65536];
		ssize_t n = read(fd, block, sizeof(block));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return herd_diag_set(diag, -EIO, path, out->len,
					     "read failed: %s",
					     strerror(errno));
		if (!n)
			return herd_buf_error(out);
		herd_buf_put(out, block, (size_t)n);
	}
	return herd_diag_set(diag, -EOVERFLOW, path, HERD_NO_OFFSET,
			     "the symbol file is too large");
}

static int unpack_gz(const struct herd_buf *in, struct herd_buf *out)
{
	uint8_t block[65536];
	z_stream z = { .next_in = in->data, .avail_in = (uInt)in->len };
	int r = inflateInit2(&z, 15 + 16);

	if (r != Z_OK)
		return -ENOMEM;
	while (r == Z_OK && out->len <= HERD_ISF_BYTES_MAX) {
		z.next_out = block;
		z.avail_out = sizeof(block);
		r = inflate(&z, Z_NO_FLUSH);
		herd_buf_put(out, block, sizeof(block) - z.avail_out);
	}
	inflateEnd(&z);
	return r == Z_STREAM_END ? herd_buf_error(out) :
	       r == Z_OK	 ? -EOVERFLOW :
				   -EBADMSG;
}

static int unpack_xz(const struct herd_buf *in, struct herd_buf *out)
{
	uint8_t block[65536];
	lzma_stream z = LZMA_STREAM_INIT;
	lzma_ret r = lzma_stream_decoder(&z, XZ_MEMORY, 0);

	if (r != LZMA_OK)
		return -ENOMEM;
	z.next_in = in->data;
	z.avail_in = in->len;
	while (r == LZMA_OK && out->len <= HERD_ISF_BYTES_MAX) {
		z.next_out = block;
		z.avail_out = sizeof(block);
		r = lzma_code(&z, LZMA_FINISH);
		herd_buf_put(out, block, sizeof(block) - z.avail_out);
	}
	lzma_end(&z);
	return r == LZMA_STREAM_END ? herd_buf_error(out) :
	       r == LZMA_OK	    ? -EOVERFLOW :
				      -EBADMSG;
}

int herd_isf_load(const char *path, struct herd_isf **ret,
		  struct herd_diag *diag)
{
	struct herd_buf file CLEANUP_BUF = HERD_BUF_INIT;
	struct herd_buf json CLEANUP_BUF = HERD_BUF_INIT;
	const struct herd_buf *text = &json;
	int err = read_file(path, &file, diag);

	if (err)
		return err;
	if (file.len > 6 && !memcmp(file.data,
				    "\xfd"
				    "7zXZ",
				    6))
		err = unpack_xz(&file, &json);
	else if (file.len > 2 && file.data[0] == 0x1f && file.data[1] == 0x8b)
		err = unpack_gz(&file, &json);
	else
		text = &file;
	if (!err && text == &json && file.len > PACKED_MAX)
		err = -EOVERFLOW;
	if (err)
		return herd_diag_set(diag, err, path, HERD_NO_OFFSET,
				     err == -EOVERFLOW ?
					     "the symbol file is too large" :
					     "the symbol file cannot be "
					     "unpacked");
	err = herd_isf_parse((const char *)text->data, text->len, ret, diag);
	if (err && diag)
		snprintf(diag->source, sizeof(diag->source), "%.200s", path);
	return err;
}

/* ---- the one that fits ---- */

static bool is_symbol_file(const char *name)
{
	static const char *const ends[] = { ".json", ".json.xz", ".json.gz" };
	size_t n = strlen(name);

	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		size_t len = strlen(ends[i]);

		if (n > len && !strcmp(name + n - len, ends[i]))
			return true;
	}
	return false;
}

struct candidate {
	char *path;
	unsigned order; /* the lower the earlier */
};

struct candidates {
	struct candidate *v;
	size_t n;
};

static void free_candidates(struct candidates *c)
{
	for (size_t i = 0; i < c->n; i++)
		free(c->v[i].path);
	free(c->v);
}

static int compare(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	if (x->order != y->order)
		return x->order < y->order ? -1 : 1;
	return strcmp(x->path, y->path);
}

static int add(struct candidates *c, const char *path, const char *name,
	       const struct herd_isf_kernel *k)
{
	c->v[c->n].path = strdup(path);
	if (!c->v[c->n].path)
		return -ENOMEM;
	c->v[c->n++].order = *k->build_id && strstr(name, k->build_id) ? 0 :
			     *k->release && strstr(name, k->release)   ? 1 :
									 2;
	return 0;
}

static int collect(const char *path, const struct herd_isf_kernel *k,
		   struct candidates *c)
{
	char *roots[] = { (char *)path, NULL };
	FTS *fts;
	int err = 0;

	c->v = calloc(FILES_MAX, sizeof(*c->v));
	if (!c->v)
		return -ENOMEM;
	/* no links are followed below the folder that was named */
	fts = fts_open(roots, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR, NULL);
	if (!fts)
		return -errno;
	for (FTSENT *e; !err && c->n < FILES_MAX && (e = fts_read(fts));) {
		if (e->fts_info == FTS_D && e->fts_level > DEPTH_MAX)
			fts_set(fts, e, FTS_SKIP);
		else if (e->fts_info == FTS_F &&
			 (!e->fts_level || is_symbol_file(e->fts_name)))
			err = add(c, e->fts_path, e->fts_name, k);
	}
	fts_close(fts);
	qsort(c->v, c->n, sizeof(*c->v), compare);
	return err;
}

static bool fits(const struct herd_isf *f, const struct herd_isf_kernel *k,
		 const struct candidate *c)
{
	char banner[512] = "";
	uint64_t at;

	if (!*herd_isf_banner(f))
		return c->order == 0;
	if (!herd_isf_symbol(f, "linux_banner", &at))
		k->banner(k->arg, at, banner, sizeof(banner));
	return !strcmp(banner, herd_isf_banner(f));
}

int herd_isf_find(const char *path, const struct herd_isf_kernel *k,
		  struct herd_isf **ret, char *ret_name, size_t max,
		  struct herd_diag *diag)
{
	CLEANUP(free_candidates) struct candidates c = { 0 };
	int err = collect(path, k, &c);
	char other[256] = "";

	if (err)
		return err;
	if (!c.n)
		return herd_diag_set(
			diag, -ENOENT, path, HERD_NO_OFFSET,
			"there is no symbol file (.json, .json.xz, "
			".json.gz)");
	for (size_t i = 0; i < c.n && i < TRIES_MAX; i++) {
		struct herd_isf *f = NULL;

		/* one that was named must be sound; of many any may be bad */
		err = herd_isf_load(c.v[i].path, &f, c.n == 1 ? diag : NULL);
		if (err && c.n == 1)
			return err;
		if (!err && fits(f, k, &c.v[i])) {
			const char *name = strrchr(c.v[i].path, '/');

			snprintf(ret_name, max, "%s",
				 name ? name + 1 : c.v[i].path);
			*ret = f;
			return 0;
		}
		if (!err && !other[0])
			snprintf(other, sizeof(other), "%s",
				 herd_isf_banner(f));
		herd_isf_destroy(f);
	}
	return herd_diag_set(
		diag, -ENOENT, path, HERD_NO_OFFSET,
		"no symbol file there is of this kernel, Linux %s%s%s%s",
		k->release, other[0] ? "; one is of \"" : "", other,
		other[0] ? "\"" : "");
}
