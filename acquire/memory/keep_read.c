/* SPDX-License-Identifier: Apache-2.0 */
/* A kept image as the bytes that it was; the files are in keep_impl.h. */
#include "acquire/chain.h"
#include "acquire/memory/keep_impl.h"

#include <stdio.h>
#include <string.h>

#define SLOTS 256u		/* frames in the cache: 16 MiB */
#define FRAME_BYTES ((size_t)HERD_KEEP_GROUP * HERD_MEMORY_PAGE)

struct run {
	uint64_t at;		/* in the image */
	uint32_t kind, pack;
	uint64_t first;		/* page of the pack; of PLAIN the place in list */
};

struct keep {
	struct herd_source s;
	struct herd_pack *packs;
	size_t n_packs;
	uint8_t *list;		/* the whole NAME.keep */
	size_t list_len;
	struct run *v;		/* and one that ends it */
	size_t n;
	uint8_t digest[HERD_SHA256_LEN];
	char format[16];
	struct herd_memory_cache *cache;
};

/* ---- the list ---- */

struct head {
	uint64_t size;
	const uint8_t *digest;
	const char *format;
	uint32_t n_packs;
	struct herd_cursor names;	/* of the packs */
	struct herd_cursor runs;
};

static bool plain_name(const char *name, size_t len)
{
	return len && len < 256 && !memchr(name, '/', len) &&
	       !memchr(name, '\0', len) && name[0] != '.';
}

static int parse_head(const uint8_t *bytes, size_t len, struct head *ret)
{
	struct herd_cursor c = herd_cursor(bytes, len);
	const void *mark = herd_cur_bytes(&c, 8);

	if (c.bad || memcmp(mark, "HERDKEEP", 8) != 0 ||
	    herd_cur_le32(&c) != HERD_KEEP_VERSION)
		return -EBADMSG;
	ret->size = herd_cur_le64(&c);
	ret->digest = herd_cur_bytes(&c, HERD_SHA256_LEN);
	ret->format = herd_cur_bytes(&c, 16);
	ret->n_packs = herd_cur_le32(&c);
	ret->names = c;
	if (c.bad || ret->size > INT64_MAX || ret->n_packs > HERD_KEEP_PACKS_MAX ||
	    !memchr(ret->format, '\0', 16))
		return -EBADMSG;
	for (uint32_t i = 0; i < ret->n_packs; i++) {
		uint32_t n = herd_cur_le32(&c);
		const char *name = herd_cur_bytes(&c, n);

		herd_cur_bytes(&c, HERD_SHA256_LEN);
		if (c.bad || !plain_name(name, n))
			return -EBADMSG;
	}
	ret->runs = c;
	return 0;
}

/* What is wrong in it would be another memory, and be believed. */
static int check_digest(const uint8_t *bytes, size_t *len)
{
	uint8_t digest[HERD_SHA256_LEN];

	if (*len < sizeof(digest))
		return -EBADMSG;
	*len -= sizeof(digest);
	herd_sha256(bytes, *len, digest);
	return memcmp(digest, bytes + *len, sizeof(digest)) ? -EBADMSG : 0;
}

static int read_list(const char *path, uint8_t **ret, size_t *ret_len,
		     struct head *head, struct herd_diag *diag)
{
	struct herd_source *s;
	int err = herd_keep_file(path, &s, diag);
	uint8_t *bytes = NULL;
	size_t len;

	if (err)
		return err;
	len = (size_t)s->size;
	if (s->size > HERD_KEEP_LIST_MAX)
		err = -EOVERFLOW;
	if (!err && !(bytes = malloc((size_t)s->size + 1)))
		err = -ENOMEM;
	if (!err)
		err = herd_source_read(s, bytes, (size_t)s->size, 0, diag);
	if (!err)
		err = check_digest(bytes, &len) ?: parse_head(bytes, len, head);
	if (err) {
		free(bytes);
		herd_diag_set(diag, err, s->name, 0, "no kept image, or a "
			      "damaged one");
	} else {
		*ret = bytes;
		*ret_len = len;
	}
	herd_source_destroy(s);
	return err;
}

static int count_runs(struct herd_cursor c, size_t *ret)
{
	size_t n = 0;

	while (herd_cur_left(&c)) {
		uint64_t kind = herd_cur_varint(&c), a = herd_cur_varint(&c);

		if (kind == HERD_KEEP_PLAIN)
			herd_cur_bytes(&c, a);
		if (kind == HERD_KEEP_PAGES) {
			herd_cur_varint(&c);
			herd_cur_varint(&c);
		}
		if (c.bad || kind > HERD_KEEP_PAGES)
			return -EBADMSG;
		n++;
	}
	*ret = n;
	return 0;
}

static int take_run(const struct keep *k, struct herd_cursor *c, struct run *r,
		    uint64_t *ret_len)
{
	uint64_t a, n;

	r->kind = (uint32_t)herd_cur_varint(c);
	a = herd_cur_varint(c);
	*ret_len = a;
	if (r->kind == HERD_KEEP_PLAIN) {
		r->first = c->pos;
		herd_cur_bytes(c, a);
	} else if (r->kind == HERD_KEEP_PAGES) {
		r->first = herd_cur_varint(c);
		n = herd_cur_varint(c);
		if (a >= k->n_packs || n > k->packs[a].n_pages ||
		    r->first > k->packs[a].n_pages - n)
			return -EBADMSG;
		r->pack = (uint32_t)a;
		*ret_len = n * HERD_MEMORY_PAGE;
	}
	return c->bad || !*ret_len ? -EBADMSG : 0;
}

static int take_runs(struct keep *k, struct herd_cursor c)
{
	uint64_t at = 0, len;
	size_t n;
	int err = count_runs(c, &n);

	if (err)
		return err;
	k->v = calloc(n + 1, sizeof(*k->v));
	if (!k->v)
		return -ENOMEM;
	for (; k->n < n && !err; k->n++) {
		k->v[k->n].at = at;
		err = take_run(k, &c, &k->v[k->n], &len);
		if (!err && len > k->s.size - at)
			err = -EBADMSG;
		at += err ? 0 : len;
	}
	k->v[k->n].at = at;
	return err ? err : at == k->s.size ? 0 : -EBADMSG;
}

/* ---- reading ---- */

static int read_pages(struct keep *k, const struct run *r, uint64_t off,
		      uint8_t *to, size_t len, struct herd_diag *diag)
{
	CLEANUP_FREE uint8_t *frame = NULL;

	while (len) {
		uint64_t byte = r->first * HERD_MEMORY_PAGE + off;
		uint32_t f = (uint32_t)(byte / FRAME_BYTES);
		size_t at = byte % FRAME_BYTES;
		size_t n = FRAME_BYTES - at < len ? FRAME_BYTES - at : len;
		uint64_t key = (uint64_t)r->pack << 32 | f;
		unsigned pages;

		if (!herd_memory_cache_get(k->cache, key, at, to, n)) {
			if (!frame)
				frame = malloc(FRAME_BYTES);
			int err = frame ? herd_pack_frame(&k->packs[r->pack], f,
							  frame, &pages, diag) :
				  -ENOMEM;

			if (err)
				return err;
			if (at + n > (size_t)pages * HERD_MEMORY_PAGE)
				return herd_diag_set(diag, -EBADMSG, k->s.name,
						     off, "a page that its "
						     "pack has not got");
			herd_memory_cache_put(k->cache, key, frame,
					      (size_t)pages * HERD_MEMORY_PAGE);
			memcpy(to, frame + at, n);
		}
		to += n;
		off += n;
		len -= n;
	}
	return 0;
}

static int keep_read(struct herd_source *s, void *buf, size_t len, uint64_t off,
		     struct herd_diag *diag)
{
	struct keep *k = (struct keep *)s;
	uint8_t *to = buf;
	size_t lo = 0, hi = k->n;
	int err = 0;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (k->v[mid + 1].at <= off)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; len && lo < k->n && !err; lo++) {
		const struct run *r = &k->v[lo];
		uint64_t in = off - r->at, left = k->v[lo + 1].at - off;
		size_t n = len < left ? len : (size_t)left;

		if (r->kind == HERD_KEEP_ZEROS)
			memset(to, 0, n);
		else if (r->kind == HERD_KEEP_PLAIN)
			memcpy(to, k->list + r->first + in, n);
		else
			err = read_pages(k, r, in, to, n, diag);
		to += n;
		off += n;
		len -= n;
	}
	return err;
}

static void keep_destroy(struct herd_source *s)
{
	struct keep *k = (struct keep *)s;

	for (size_t i = 0; i < k->n_packs; i++)
		herd_pack_close(&k->packs[i]);
	herd_memory_cache_destroy(k->cache);
	free(k->packs);
	free(k->list);
	free(k->v);
	herd_source_deinit(&k->s);
	free(k);
}

static const struct herd_source_ops keep_ops = {
	.kind = "keep", .read = keep_read, .destroy = keep_destroy,
};

/* The next one, which must be the very pack that the list was written for. */
static int open_pack(struct keep *k, struct head *head, const char *path,
		     struct herd_diag *diag)
{
	struct herd_pack *p = &k->packs[k->n_packs];
	uint32_t n = herd_cur_le32(&head->names);
	const void *id;
	int err = herd_pack_open(path, p, diag);

	herd_cur_bytes(&head->names, n);
	id = herd_cur_bytes(&head->names, HERD_SHA256_LEN);
	if (err)
		return err;
	k->n_packs++;
	if (!id || memcmp(id, p->id, sizeof(p->id)) != 0)
		return herd_diag_set(diag, -ESTALE, p->source->name,
				     HERD_NO_OFFSET, "is another pack than when "
				     "%s was kept, or a damaged one", k->s.name);
	return 0;
}

static int open_all(struct keep *k, const struct herd_image *img,
		    struct herd_diag *diag)
{
	struct head head;
	int err = read_list(img->files[0].path, &k->list, &k->list_len, &head,
			    diag);

	if (err)
		return err;
	k->s.size = head.size;
	memcpy(k->digest, head.digest, sizeof(k->digest));
	memcpy(k->format, head.format, sizeof(k->format));
	if (head.n_packs != img->n_files - 1)
		return -EBADMSG;
	k->packs = calloc(head.n_packs + 1, sizeof(*k->packs));
	if (!k->packs)
		return -ENOMEM;
	while (k->n_packs < head.n_packs && !err)
		err = open_pack(k, &head, img->files[k->n_packs + 1].path, diag);
	if (!err)
		err = herd_memory_cache_create(FRAME_BYTES, SLOTS, &k->cache);
	return err ? err : take_runs(k, head.runs);
}

int herd_keep_open(const struct herd_image *img, struct herd_source **ret,
		   char ret_format[16], struct herd_diag *diag)
{
	struct keep *k = calloc(1, sizeof(*k));
	int err = k ? herd_source_init(&k->s, &keep_ops,
				       herd_path_base(img->files[0].path), 0) :
		      -ENOMEM;

	if (!k)
		return err;
	if (!err)
		err = open_all(k, img, diag);
	if (err) {
		herd_diag_set(diag, err, k->s.name, 0, "the list of a kept image "
			      "is damaged");
		keep_destroy(&k->s);
		return err;
	}
	memcpy(ret_format, k->format, sizeof(k->format));
	*ret = &k->s;
	return 0;
}

int herd_keep_probe(const char *path, struct herd_image *ret,
		    struct herd_diag *diag)
{
	CLEANUP_IMAGE struct herd_image img = { 0 };
	CLEANUP_FREE uint8_t *list = NULL;
	CLEANUP_FREE char *real = realpath(path, NULL);
	struct head head = { .n_packs = 0 };
	size_t len;
	int err = real ? read_list(real, &list, &len, &head, diag) : -errno;

	if (!err && !(img.format = strdup("herd-keep")))
		err = -ENOMEM;
	if (!err)
		err = herd_image_add_file(&img, real, diag);
	for (uint32_t i = 0; i < head.n_packs && !err; i++) {
		uint32_t n = herd_cur_le32(&head.names);
		const char *name = herd_cur_bytes(&head.names, n);
		CLEANUP_FREE char *pack = NULL;

		herd_cur_bytes(&head.names, HERD_SHA256_LEN);

		if (asprintf(&pack, "%.*s%.*s", (int)(herd_path_base(real) -
						      real), real, (int)n,
			     name) < 0) {
			pack = NULL;
			err = -ENOMEM;
		}
		if (!err)
			err = herd_image_add_file(&img, pack, diag);
	}
	if (err)
		return err;
	img.size = img.files[0].size;
	*ret = img;
	img = (struct herd_image){ 0 };
	return 0;
}

int herd_keep_export(const struct herd_image *img, int fd,
		     struct herd_diag *diag)
{
	const size_t chunk = 1u << 20;
	CLEANUP_FREE uint8_t *buf = malloc(chunk);
	struct herd_sha256 *h = herd_sha256_create();
	struct herd_source *s = NULL;
	uint8_t digest[HERD_SHA256_LEN];
	char format[16];
	int err = buf && h ? herd_keep_open(img, &s, format, diag) : -ENOMEM;

	for (uint64_t off = 0; !err && off < s->size;) {
		size_t n = s->size - off < chunk ? (size_t)(s->size - off) :
						   chunk;

		err = herd_source_read(s, buf, n, off, diag);
		if (!err)
			herd_sha256_update(h, buf, n);
		for (size_t done = 0; !err && done < n;) {
			ssize_t w = write(fd, buf + done, n - done);

			if (w < 0 && errno != EINTR)
				err = -errno;
			done += w > 0 ? (size_t)w : 0;
		}
		off += n;
	}
	if (!err) {
		herd_sha256_final(h, digest);
		if (memcmp(digest, ((struct keep *)s)->digest, sizeof(digest)))
			err = herd_diag_set(diag, -EBADMSG, s->name, 0,
					    "is not what was brought in: its "
					    "SHA-256 is another one");
	}
	herd_source_destroy(s);
	herd_sha256_destroy(h);
	return err;
}
