/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bringing an image into a folder of kept ones. The image is gone through once,
 * in the order of its bytes, cut into pages where its container's segments have
 * them; each page is zeros, or known by its SHA-256, or new. New ones go into a
 * pack of this image's own, so that no file changes any more once it has its
 * name.
 */
#include "acquire/memory/keep_impl.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <zstd.h>

#define PAGE HERD_MEMORY_PAGE
#define LEVEL 3

struct known {
	uint8_t digest[HERD_SHA256_LEN];
	uint32_t pack, page;	/* pack: index + 1; 0: an empty slot */
};

struct import {
	const char *dir, *name;
	struct herd_source *container;
	struct herd_keep_result r;
	/* the packs there are; the last one is being written */
	char **packs;
	uint32_t n_packs;
	bool *used;
	uint32_t *number;	/* in the list that is written */
	uint8_t (*ids)[HERD_SHA256_LEN];	/* of the packs' tables */
	struct known *slots;
	size_t n_slots, n_known;
	/* what is written */
	FILE *pack;
	uint64_t pack_at;
	struct herd_buf digests, frames, runs;
	uint8_t *group;		/* pages that are not yet packed */
	unsigned n_group;
	uint32_t n_fresh;
	ZSTD_CCtx *zstd;
	struct herd_sha256 *whole;
	/* the run that is going on */
	uint64_t kind, pack_of, first, count;
};

/* ---- pages that are known ---- */

static size_t slot_of(const struct import *m, const uint8_t *digest)
{
	uint64_t h;

	memcpy(&h, digest, sizeof(h));
	size_t at = h & (m->n_slots - 1);

	while (m->slots[at].pack &&
	       memcmp(m->slots[at].digest, digest, HERD_SHA256_LEN) != 0)
		at = (at + 1) & (m->n_slots - 1);
	return at;
}

static int grow(struct import *m)
{
	struct known *old = m->slots;
	size_t n = m->n_slots;

	m->n_slots = n ? n * 2 : 1u << 16;
	m->slots = calloc(m->n_slots, sizeof(*m->slots));
	if (!m->slots) {
		m->slots = old;
		m->n_slots = n;
		return -ENOMEM;
	}
	for (size_t i = 0; i < n; i++)
		if (old[i].pack)
			m->slots[slot_of(m, old[i].digest)] = old[i];
	free(old);
	return 0;
}

static int learn(struct import *m, const uint8_t *digest, uint32_t pack,
		 uint32_t page)
{
	int err = m->n_known * 2 >= m->n_slots ? grow(m) : 0;
	size_t at;

	if (err)
		return err;
	at = slot_of(m, digest);
	if (m->slots[at].pack)
		return 0;
	memcpy(m->slots[at].digest, digest, HERD_SHA256_LEN);
	m->slots[at].pack = pack + 1;
	m->slots[at].page = page;
	m->n_known++;
	return 0;
}

static int learn_pack(struct import *m, uint32_t number, struct herd_diag *diag)
{
	CLEANUP_FREE char *path = NULL;
	struct herd_pack p = { .source = NULL };
	uint8_t digest[HERD_SHA256_LEN];
	int err;

	if (asprintf(&path, "%s/%s", m->dir, m->packs[number]) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	err = herd_pack_open(path, &p, diag);
	memcpy(m->ids[number], p.id, sizeof(p.id));
	for (uint32_t i = 0; i < p.n_pages && !err; i++) {
		err = herd_source_read(p.source, digest, sizeof(digest),
				       p.table + (uint64_t)i * sizeof(digest),
				       diag);
		if (!err)
			err = learn(m, digest, number, i);
	}
	herd_pack_close(&p);
	return err;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int find_packs(struct import *m, struct herd_diag *diag)
{
	DIR *d = opendir(m->dir);
	int err = d ? 0 : -errno;

	m->packs = calloc(HERD_KEEP_PACKS_MAX + 1, sizeof(*m->packs));
	m->used = calloc(HERD_KEEP_PACKS_MAX + 1, sizeof(*m->used));
	m->number = calloc(HERD_KEEP_PACKS_MAX + 1, sizeof(*m->number));
	m->ids = calloc(HERD_KEEP_PACKS_MAX + 1, sizeof(*m->ids));
	if (!m->packs || !m->used || !m->number || !m->ids)
		err = -ENOMEM;
	for (struct dirent *e; !err && (e = readdir(d));) {
		size_t n = strlen(e->d_name);

		if (n < 6 || strcmp(e->d_name + n - 5, ".pack") != 0 ||
		    e->d_name[0] == '.')
			continue;
		if (m->n_packs == HERD_KEEP_PACKS_MAX - 1)
			err = -EOVERFLOW;
		else if (!(m->packs[m->n_packs] = strdup(e->d_name)))
			err = -ENOMEM;
		else
			m->n_packs++;
	}
	if (d)
		closedir(d);
	if (m->n_packs)
		qsort(m->packs, m->n_packs, sizeof(*m->packs), by_name);
	for (uint32_t i = 0; i < m->n_packs && !err; i++)
		err = learn_pack(m, i, diag);
	return err;
}

/* ---- runs ---- */

static void end_run(struct import *m)
{
	if (!m->count)
		return;
	herd_buf_varint(&m->runs, m->kind);
	if (m->kind == HERD_KEEP_PAGES) {
		herd_buf_varint(&m->runs, m->pack_of);
		herd_buf_varint(&m->runs, m->first);
	}
	herd_buf_varint(&m->runs, m->count);
	m->count = 0;
}

static void put_zeros(struct import *m, uint64_t len)
{
	if (m->count && m->kind != HERD_KEEP_ZEROS)
		end_run(m);
	m->kind = HERD_KEEP_ZEROS;
	m->count += len;
}

static void put_page(struct import *m, uint32_t pack, uint32_t page)
{
	if (m->count && (m->kind != HERD_KEEP_PAGES || m->pack_of != pack ||
			 m->first + m->count != page))
		end_run(m);
	if (!m->count) {
		m->kind = HERD_KEEP_PAGES;
		m->pack_of = pack;
		m->first = page;
	}
	m->used[pack] = true;
	m->count++;
}

static void put_plain(struct import *m, const uint8_t *p, size_t len)
{
	end_run(m);
	herd_buf_varint(&m->runs, HERD_KEEP_PLAIN);
	herd_buf_varint(&m->runs, len);
	herd_buf_put(&m->runs, p, len);
}

/* ---- the pack ---- */

static int put_bytes(struct import *m, const void *p, size_t n)
{
	if (!n)		/* an image that has nothing new */
		return 0;
	m->pack_at += n;
	return fwrite(p, 1, n, m->pack) == n ? 0 : -EIO;
}

static void put_le64(struct herd_buf *b, uint64_t v)
{
	herd_buf_le32(b, (uint32_t)v);
	herd_buf_le32(b, (uint32_t)(v >> 32));
}

static int flush_group(struct import *m)
{
	uint8_t packed[HERD_KEEP_GROUP * PAGE + 1024];
	size_t n;

	if (!m->n_group)
		return 0;
	n = ZSTD_compress2(m->zstd, packed, sizeof(packed), m->group,
			   (size_t)m->n_group * PAGE);
	if (ZSTD_isError(n))
		return -EIO;
	put_le64(&m->frames, m->pack_at);
	herd_buf_le32(&m->frames, (uint32_t)n);
	m->n_group = 0;
	return put_bytes(m, packed, n);
}

static int add_fresh(struct import *m, const uint8_t *page, const uint8_t *digest)
{
	uint32_t own = m->n_packs - 1;
	int err = learn(m, digest, own, m->n_fresh);

	if (err)
		return err;
	memcpy(m->group + (size_t)m->n_group++ * PAGE, page, PAGE);
	herd_buf_put(&m->digests, digest, HERD_SHA256_LEN);
	put_page(m, own, m->n_fresh++);
	m->r.fresh++;
	return m->n_group == HERD_KEEP_GROUP ? flush_group(m) : 0;
}

static bool all_zeros(const uint8_t *p)
{
	return !p[0] && !memcmp(p, p + 1, PAGE - 1);
}

static int add_page(struct import *m, const uint8_t *page)
{
	uint8_t digest[HERD_SHA256_LEN];
	const struct known *k;

	m->r.pages++;
	if (all_zeros(page)) {
		m->r.zeros++;
		put_zeros(m, PAGE);
		return 0;
	}
	herd_sha256(page, PAGE, digest);
	k = &m->slots[slot_of(m, digest)];
	if (!k->pack)
		return add_fresh(m, page, digest);
	m->r.shared++;
	put_page(m, k->pack - 1, k->page);
	return 0;
}

/* ---- the image ---- */

static int add_stretch(struct import *m, uint64_t at, uint64_t len,
		       struct herd_diag *diag)
{
	uint8_t buf[16 * PAGE];
	int err = 0;

	while (len && !err) {
		size_t n = len < sizeof(buf) ? (size_t)len : sizeof(buf), done = 0;

		err = herd_source_read(m->container, buf, n, at, diag);
		if (err)
			break;
		herd_sha256_update(m->whole, buf, n);
		for (; n - done >= PAGE && !err; done += PAGE)
			err = add_page(m, buf + done);
		if (!err && done < n)
			put_plain(m, buf + done, n - done);
		at += n;
		len -= n;
	}
	return err;
}

static int by_place(const void *a, const void *b)
{
	const struct herd_memory_segment *x = a, *y = b;

	return x->off < y->off ? -1 : x->off > y->off;
}

/* All of the container: segments in order of place, and what is between. */
static int add_all(struct import *m, const struct herd_memory_list *l,
		   struct herd_diag *diag)
{
	CLEANUP_FREE struct herd_memory_segment *v = calloc(l->n + 1, sizeof(*v));
	uint64_t at = 0, size = m->container->size;
	int err = v ? 0 : -ENOMEM;

	if (err)
		return err;
	memcpy(v, l->v, l->n * sizeof(*v));
	qsort(v, l->n, sizeof(*v), by_place);
	for (size_t i = 0; i < l->n && !err; i++) {
		uint64_t from = v[i].off, end = v[i].off + v[i].len;

		if (from > size || end <= at)
			continue;
		if (from > at)
			err = add_stretch(m, at, from - at, diag);
		at = from > at ? from : at;
		end = end < size ? end : size;
		if (!err && end > at)
			err = add_stretch(m, at, end - at, diag);
		at = end > at ? end : at;
	}
	return err ? err : add_stretch(m, at, size - at, diag);
}

/* ---- files ---- */

static FILE *create(const struct import *m, const char *suffix)
{
	CLEANUP_FREE char *path = NULL;
	int fd;

	if (asprintf(&path, "%s/.%s%s", m->dir, m->name, suffix) < 0) {
		path = NULL;
		return NULL;
	}
	/* no O_TRUNC: whoever is locked in may not */
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd >= 0 && ftruncate(fd, 0)) {
		close(fd);
		return NULL;
	}
	return fd < 0 ? NULL : fdopen(fd, "w");
}

static int sync_file(FILE *f)
{
	return fflush(f) || fsync(fileno(f)) ? -errno : 0;
}

/*
 * NAME.pack, or the first of NAME.2.pack, NAME.3.pack … that is not there: a
 * publishing that was cut off leaves a pack without a list, and by now other
 * lists may name it. It stays the same as long as the folder is locked.
 */
static int own_pack(const char *dir, const char *name, char **ret)
{
	for (unsigned i = 1; i < HERD_KEEP_PACKS_MAX; i++) {
		CLEANUP_FREE char *path = NULL;
		int n = i == 1 ? asprintf(&path, "%s/%s.pack", dir, name) :
				 asprintf(&path, "%s/%s.%u.pack", dir, name, i);

		if (n < 0) {
			path = NULL;
			return -ENOMEM;
		}
		if (access(path, F_OK)) {
			*ret = TAKE_PTR(path);
			return 0;
		}
	}
	return -EEXIST;
}

static int rename_hidden(const char *dir, const char *name, const char *suffix,
			 const char *to)
{
	CLEANUP_FREE char *from = NULL;

	if (asprintf(&from, "%s/.%s%s", dir, name, suffix) < 0) {
		from = NULL;
		return -ENOMEM;
	}
	return rename(from, to) ? -errno : 0;
}

/* The list last: it names the pack. */
int herd_keep_publish(const char *dir, const char *name, struct herd_diag *diag)
{
	CLEANUP_FD int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CLEANUP_FREE char *pack = NULL, *list = NULL;
	int err = fd < 0 ? -errno : own_pack(dir, name, &pack);

	if (!err && asprintf(&list, "%s/%s.keep", dir, name) < 0) {
		list = NULL;
		err = -ENOMEM;
	}
	if (!err)
		err = rename_hidden(dir, name, ".pack", pack);
	if (!err)
		err = rename_hidden(dir, name, ".keep", list);
	if (!err && fsync(fd))
		err = -errno;
	return err ? herd_diag_set(diag, err, name, HERD_NO_OFFSET,
				   "cannot be kept: %s", strerror(-err)) : 0;
}

static int end_pack(struct import *m)
{
	CLEANUP_BUF struct herd_buf tail = HERD_BUF_INIT;
	uint64_t table;
	int err = flush_group(m);

	table = m->pack_at;
	put_le64(&tail, table);
	herd_buf_le32(&tail, m->n_fresh);
	herd_buf_le32(&tail, (m->n_fresh + HERD_KEEP_GROUP - 1) /
			     HERD_KEEP_GROUP);
	herd_buf_put(&m->digests, m->frames.data, m->frames.len);
	if (m->digests.failed || m->frames.failed || tail.failed)
		return -ENOMEM;
	herd_sha256(m->digests.data, m->digests.len, m->ids[m->n_packs - 1]);
	if (!err)
		err = put_bytes(m, m->digests.data, m->digests.len);
	if (!err)
		err = put_bytes(m, tail.data, tail.len);
	return err ? err : sync_file(m->pack);
}

/* Packs that are used get numbers in the order of their names. */
static int renumber(struct import *m, struct herd_buf *out)
{
	struct herd_cursor c = herd_cursor(m->runs.data, m->runs.len);

	while (herd_cur_left(&c)) {
		uint64_t kind = herd_cur_varint(&c), a = herd_cur_varint(&c);

		herd_buf_varint(out, kind);
		herd_buf_varint(out, kind == HERD_KEEP_PAGES ? m->number[a] : a);
		if (kind == HERD_KEEP_PLAIN)
			herd_buf_put(out, herd_cur_bytes(&c, a), a);
		if (kind == HERD_KEEP_PAGES) {
			herd_buf_varint(out, herd_cur_varint(&c));
			herd_buf_varint(out, herd_cur_varint(&c));
		}
	}
	return herd_buf_error(out);
}

static int write_list(struct import *m, const char *format)
{
	CLEANUP_BUF struct herd_buf b = HERD_BUF_INIT;
	uint8_t digest[HERD_SHA256_LEN];
	char name[16] = "";
	uint32_t n = 0;
	FILE *f;
	int err;

	snprintf(name, sizeof(name), "%s", format);
	herd_sha256_final(m->whole, digest);
	for (uint32_t i = 0; i < m->n_packs; i++)
		if (m->used[i])
			m->number[i] = n++;
	herd_buf_put(&b, "HERDKEEP", 8);
	herd_buf_le32(&b, HERD_KEEP_VERSION);
	put_le64(&b, m->container->size);
	herd_buf_put(&b, digest, sizeof(digest));
	herd_buf_put(&b, name, sizeof(name));
	herd_buf_le32(&b, n);
	for (uint32_t i = 0; i < m->n_packs; i++)
		if (m->used[i]) {
			herd_buf_le32(&b, (uint32_t)strlen(m->packs[i]));
			herd_buf_put(&b, m->packs[i], strlen(m->packs[i]));
			herd_buf_put(&b, m->ids[i], sizeof(m->ids[i]));
		}
	err = renumber(m, &b);
	if (!err)
		herd_sha256(b.data, b.len, digest);
	herd_buf_put(&b, digest, sizeof(digest));
	if (!err)
		err = herd_buf_error(&b);
	f = err ? NULL : create(m, ".keep");
	if (!err && !f)
		err = -errno;
	if (!err && fwrite(b.data, 1, b.len, f) != b.len)
		err = -EIO;
	if (!err)
		err = sync_file(f);
	if (f)
		fclose(f);
	m->r.stored = m->pack_at + b.len;
	return err;
}

static int begin(struct import *m)
{
	CLEANUP_FREE char *own = NULL;
	int err = own_pack(m->dir, m->name, &own);

	if (err)
		return err;
	m->packs[m->n_packs] = strdup(herd_path_base(own));
	if (!m->packs[m->n_packs++])
		return -ENOMEM;
	m->group = malloc((size_t)HERD_KEEP_GROUP * PAGE);
	m->zstd = ZSTD_createCCtx();
	m->whole = herd_sha256_create();
	if (!m->group || !m->zstd || !m->whole)
		return -ENOMEM;
	if (!m->n_slots && grow(m))
		return -ENOMEM;
	ZSTD_CCtx_setParameter(m->zstd, ZSTD_c_compressionLevel, LEVEL);
	ZSTD_CCtx_setParameter(m->zstd, ZSTD_c_checksumFlag, 1);
	m->pack = create(m, ".pack");
	if (!m->pack)
		return -errno;
	return put_bytes(m, "HERDPACK\1\0\0\0", 12);
}

static int import(struct import *m, const char *format,
		  const struct herd_memory_list *l, struct herd_diag *diag)
{
	int err;

	m->r.bytes = m->container->size;
	err = find_packs(m, diag);
	if (!err)
		err = begin(m);
	if (!err)
		err = add_all(m, l, diag);
	end_run(m);
	if (!err)
		err = herd_buf_error(&m->runs);
	if (!err)
		err = end_pack(m);
	return err ? err : write_list(m, format);
}

static void import_deinit(struct import *m)
{
	for (uint32_t i = 0; i < m->n_packs; i++)
		free(m->packs[i]);
	free(m->packs);
	free(m->used);
	free(m->number);
	free(m->ids);
	free(m->slots);
	free(m->group);
	ZSTD_freeCCtx(m->zstd);
	herd_sha256_destroy(m->whole);
	herd_buf_deinit(&m->digests);
	herd_buf_deinit(&m->frames);
	herd_buf_deinit(&m->runs);
	if (m->pack)
		fclose(m->pack);
	herd_source_destroy(m->container);
}

int herd_keep_lock(const char *dir, int *ret, struct herd_diag *diag)
{
	CLEANUP_FD int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || flock(fd, LOCK_EX))
		return herd_diag_set(diag, -errno, dir, HERD_NO_OFFSET,
				     "%s", strerror(errno));
	*ret = fd;
	fd = -1;
	return 0;
}

static int check_name(const struct import *m, struct herd_diag *diag)
{
	CLEANUP_FREE char *path = NULL;

	if (asprintf(&path, "%s/%s.keep", m->dir, m->name) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	return access(path, F_OK) ? 0 :
	       herd_diag_set(diag, -EEXIST, path, HERD_NO_OFFSET,
			     "is there already");
}

/* What is packed has no pages that can be found again; unpacked it has. */
static int open_as_lime(struct import *m, struct herd_source *memory,
			struct herd_memory_list *ret, struct herd_diag *diag)
{
	if (herd_memory_notes(memory)->n_cpus)
		return herd_diag_set(diag, -EOPNOTSUPP, memory->name,
				     HERD_NO_OFFSET, "holds registers, for which "
				     "LiME has no place");
	herd_source_destroy(m->container);
	m->container = NULL;
	return herd_memory_as_lime(memory, &m->container, ret, diag);
}

static int import_any(struct import *m, const struct herd_image *img,
		      bool as_lime, struct herd_source *memory,
		      struct herd_diag *diag)
{
	CLEANUP(herd_memory_list_deinit) struct herd_memory_list l = { 0 };
	const struct herd_memory_list *plain = herd_memory_plain_list(memory);
	int err;

	if (plain)
		return import(m, img->format, plain, diag);
	if (!as_lime)
		return herd_diag_set(diag, -EOPNOTSUPP, memory->name,
				     HERD_NO_OFFSET, "is packed already (%s): "
				     "only raw, LiME and ELF images are kept as "
				     "they are", img->format);
	err = open_as_lime(m, memory, &l, diag);
	return err ? err : import(m, "lime", &l, diag);
}

int herd_keep_import(const char *dir, const char *name,
		     const struct herd_image *img, bool as_lime,
		     struct herd_keep_result *ret, struct herd_diag *diag)
{
	struct import m = { .dir = dir, .name = name,
		.digests = HERD_BUF_INIT, .frames = HERD_BUF_INIT,
		.runs = HERD_BUF_INIT };
	struct herd_source *memory = NULL;
	int err = check_name(&m, diag);

	if (!err)
		err = herd_keep_file(img->files[0].path, &m.container, diag);
	if (!err)
		err = herd_memory_open(img, NULL, &memory, diag);
	if (!err)
		err = import_any(&m, img, as_lime, memory, diag);
	import_deinit(&m);
	herd_source_destroy(memory);
	if (err)
		return herd_diag_set(diag, err, name, HERD_NO_OFFSET,
				     "cannot be kept: %s", strerror(-err));
	*ret = m.r;
	return 0;
}
