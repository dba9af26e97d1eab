/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pages of a kdump. A frame's descriptor is found by how many frames of the
 * dump come before it; descriptors, and mostly the packed pages too, stand in
 * order of frame, so that many are read at once where many are wanted.
 *
 * Threads: any; a lock for the list of unpackers, which is not held while one
 * works, and the cache's own.
 */
#include "acquire/memory/memory_kdump.h"

#include <lzo/lzo1x.h>
#include <snappy-c.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#define PAGE HERD_MEMORY_PAGE
#define BATCH 64u		/* pages at once */
#define PACKED_MAX (2 * PAGE + 1024)
#define WINDOW (BATCH * PAGE)
#define DESC 24u

enum { FLAG_ZLIB = 1, FLAG_LZO = 2, FLAG_SNAPPY = 4, FLAG_ZSTD = 0x20 };
#define FLAGS (FLAG_ZLIB | FLAG_LZO | FLAG_SNAPPY | FLAG_ZSTD)

struct desc {
	uint64_t off;
	uint32_t size, flags;
};

/* What unpacking takes and is dear to make, and room for what is packed. */
struct herd_kdump_unpacker {
	struct herd_kdump_unpacker *next;
	z_stream z;
	bool inflating;
	ZSTD_DCtx *zstd;
	uint64_t window_at;
	size_t have;
	uint8_t desc[BATCH * DESC];
	uint8_t window[WINDOW];
};

static void unpacker_destroy(struct herd_kdump_unpacker *u)
{
	if (!u)
		return;
	if (u->inflating)
		inflateEnd(&u->z);
	ZSTD_freeDCtx(u->zstd);
	free(u);
}

static struct herd_kdump_unpacker *unpacker_get(struct herd_kdump *k)
{
	struct herd_kdump_unpacker *u;

	pthread_mutex_lock(&k->lock);
	u = k->idle;
	if (u)
		k->idle = u->next;
	pthread_mutex_unlock(&k->lock);
	if (!u)
		u = calloc(1, sizeof(*u));
	if (u)
		u->have = 0;
	return u;
}

/* As many stay as threads read at once: the mount has few. */
static void unpacker_put(struct herd_kdump *k, struct herd_kdump_unpacker *u)
{
	SCOPED_LOCK(&k->lock);

	u->next = k->idle;
	k->idle = u;
}

void herd_kdump_idle_destroy(struct herd_kdump *k)
{
	while (k->idle) {
		struct herd_kdump_unpacker *u = k->idle;

		k->idle = u->next;
		unpacker_destroy(u);
	}
}

/* ---- unpacking ---- */

static bool inflate_page(struct herd_kdump_unpacker *u, const uint8_t *in,
			 size_t n, uint8_t *out)
{
	if (!u->inflating && inflateInit(&u->z) != Z_OK)
		return false;
	u->inflating = true;
	if (inflateReset(&u->z) != Z_OK)
		return false;
	u->z.next_in = (uint8_t *)in;
	u->z.avail_in = (uInt)n;
	u->z.next_out = out;
	u->z.avail_out = PAGE;
	return inflate(&u->z, Z_FINISH) == Z_STREAM_END && !u->z.avail_out;
}

static bool zstd_page(struct herd_kdump_unpacker *u, const uint8_t *in,
		      size_t n, uint8_t *out)
{
	if (!u->zstd)
		u->zstd = ZSTD_createDCtx();
	return u->zstd &&
	       ZSTD_decompressDCtx(u->zstd, out, PAGE, in, n) == PAGE;
}

static bool unpack(struct herd_kdump_unpacker *u, uint32_t flags,
		   const uint8_t *in, size_t n, uint8_t *out)
{
	size_t len = PAGE;
	lzo_uint lzo_len = PAGE;

	switch (flags & FLAGS) {
	case 0:
		if (n != PAGE)
			return false;
		memcpy(out, in, PAGE);
		return true;
	case FLAG_ZLIB:
		return inflate_page(u, in, n, out);
	case FLAG_LZO:
		return lzo1x_decompress_safe(in, n, out, &lzo_len, NULL) ==
			       LZO_E_OK && lzo_len == PAGE;
	case FLAG_SNAPPY:
		return snappy_uncompress((const char *)in, n, (char *)out,
					 &len) == SNAPPY_OK && len == PAGE;
	case FLAG_ZSTD:
		return zstd_page(u, in, n, out);
	default:
		return false;
	}
}

/* ---- reading ---- */

/* How many frames of the dump come before it. */
static uint64_t rank(const struct herd_kdump *k, uint64_t frame)
{
	uint64_t n = k->counts[frame / HERD_KDUMP_GROUP];
	uint64_t mask = (1ull << frame % 64) - 1;

	for (uint64_t w = frame / HERD_KDUMP_GROUP * (HERD_KDUMP_GROUP / 64);
	     w < frame / 64; w++)
		n += (unsigned)__builtin_popcountll(k->bitmap[w]);
	return n + (unsigned)__builtin_popcountll(
			   le64toh(k->bitmap[frame / 64]) & mask);
}

static struct desc take_desc(const struct herd_kdump_unpacker *u, size_t i)
{
	struct herd_cursor c = herd_cursor(u->desc + i * DESC, DESC);
	struct desc d = { herd_cur_le64(&c), herd_cur_le32(&c),
			  herd_cur_le32(&c) };

	return d;
}

static bool is_same(const struct desc *a, const struct desc *b)
{
	return a->off == b->off && a->size == b->size && a->flags == b->flags;
}

/* How much to read at once for desc i of n: what follows in the file. */
static size_t reach(const struct herd_kdump_unpacker *u, size_t i, size_t n)
{
	struct desc d = take_desc(u, i);
	uint64_t end = d.off + d.size;

	for (i++; i < n; i++) {
		struct desc e = take_desc(u, i);

		if (e.off != end || e.size > PACKED_MAX)
			continue;	/* zeros share a page that is elsewhere */
		if (end + e.size - d.off > WINDOW)
			break;
		end += e.size;
	}
	return (size_t)(end - d.off);
}

/* Desc i's packed bytes; NULL: err has why. */
static const uint8_t *packed_bytes(struct herd_kdump *k,
				   struct herd_kdump_unpacker *u, size_t i,
				   size_t n, int *err, struct herd_diag *diag)
{
	struct herd_source *c = k->m.container;
	struct desc d = take_desc(u, i);
	size_t len;

	*err = 0;
	if (d.off >= u->window_at && d.off - u->window_at <= u->have &&
	    d.size <= u->have - (d.off - u->window_at))
		return u->window + (d.off - u->window_at);
	if (!d.size || d.size > PACKED_MAX || !d.off) {
		*err = herd_diag_set(diag, k->lacking ? -ENODATA : -EBADMSG,
				     c->name, HERD_NO_OFFSET, k->lacking ?
				     "a page is missing: the dump is incomplete" :
				     "a page of a size or at a place that cannot be");
		return NULL;
	}
	if (d.off > c->size || d.size > c->size - d.off) {
		*err = herd_diag_set(diag, -ENODATA, c->name, d.off,
				     "a page is missing: the dump is cut short");
		return NULL;
	}
	len = reach(u, i, n);
	if (len > c->size - d.off)
		len = d.size;
	u->have = 0;
	*err = herd_source_read(c, u->window, len, d.off, diag);
	if (*err)
		return NULL;
	u->window_at = d.off;
	u->have = len;
	return u->window;
}

/* n pages from a frame on, all of which are there. */
static int read_pages(struct herd_kdump *k, struct herd_kdump_unpacker *u,
		      uint64_t frame, size_t n, uint8_t *out,
		      struct herd_diag *diag)
{
	uint64_t at = k->descriptors + (rank(k, frame) - k->before) * DESC;
	struct desc last = { 0 };
	int err = 0;

	if (at > k->m.container->size || n * DESC > k->m.container->size - at)
		return herd_diag_set(diag, -ENODATA, k->m.s.name, at,
				     "a page is missing: the dump is cut short");
	err = herd_source_read(k->m.container, u->desc, n * DESC, at, diag);
	for (size_t i = 0; i < n && !err; i++, out += PAGE) {
		struct desc d = take_desc(u, i);

		if (i && is_same(&d, &last)) {	/* of zeros all but the first */
			memcpy(out, out - PAGE, PAGE);
			continue;
		}
		const uint8_t *in = packed_bytes(k, u, i, n, &err, diag);

		if (in && !unpack(u, d.flags, in, d.size, out))
			err = herd_diag_set(diag, -EBADMSG,
					    k->m.container->name, d.off,
					    "a page cannot be unpacked");
		last = d;
	}
	return err;
}

/* Whole pages, up to a batch of them; *ret_n: bytes that were read. */
static int read_many(struct herd_kdump *k, struct herd_kdump_unpacker *u,
		     uint8_t *to, size_t len, uint64_t off, size_t *ret_n,
		     struct herd_diag *diag)
{
	uint64_t frame = off / PAGE;
	size_t n = 1;

	while (n < BATCH && n < len / PAGE && herd_kdump_has(k, frame + n))
		n++;
	*ret_n = n * PAGE;
	return read_pages(k, u, frame, n, to, diag);
}

static int read_part(struct herd_kdump *k, struct herd_kdump_unpacker *u,
		     uint8_t *to, size_t len, uint64_t off, size_t *ret_n,
		     struct herd_diag *diag)
{
	uint64_t frame = off / PAGE;
	size_t at = off % PAGE, n = PAGE - at < len ? PAGE - at : len;
	uint8_t page[PAGE];
	int err = 0;

	*ret_n = n;
	if (herd_memory_cache_get(k->cache, frame, at, to, n))
		return 0;
	err = read_pages(k, u, frame, 1, page, diag);
	if (err)
		return err;
	herd_memory_cache_put(k->cache, frame, page, PAGE);
	memcpy(to, page + at, n);
	return 0;
}

int herd_kdump_read(struct herd_source *s, void *buf, size_t len, uint64_t off,
		    struct herd_diag *diag)
{
	struct herd_kdump *k = (struct herd_kdump *)s;
	struct herd_kdump_unpacker *u = unpacker_get(k);
	uint8_t *to = buf;
	int err = u ? 0 : -ENOMEM;

	while (len && !err) {
		size_t n = 0;

		if (!herd_kdump_has(k, off / PAGE))
			err = herd_memory_gap(s, off, diag);
		else if (off % PAGE == 0 && len >= 2 * PAGE)
			err = read_many(k, u, to, len, off, &n, diag);
		else
			err = read_part(k, u, to, len, off, &n, diag);
		to += n;
		off += n;
		len -= n;
	}
	if (u)
		unpacker_put(k, u);
	return err;
}
