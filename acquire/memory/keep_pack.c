/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a pack; its form is in keep_impl.h. */
#include "acquire/memory/keep_impl.h"

#include <string.h>
#include <zstd.h>

#define TRAILER 16u
#define FRAME 12u
#define PIECE (256u << 10)

int herd_keep_file(const char *path, struct herd_source **ret,
		   struct herd_diag *diag)
{
	struct herd_image_file file = { .path = (char *)path };
	char raw[] = "raw";
	struct herd_image img = { .format = raw, .files = &file, .n_files = 1 };

	return herd_source_open_raw(&img, ret, diag);
}

static int bad(const struct herd_pack *p, uint64_t off, const char *what,
	       struct herd_diag *diag)
{
	return herd_diag_set(diag, -EBADMSG, p->source->name, off, "%s", what);
}

/* Whoever named the pack says which table it had. */
static int digest_table(struct herd_pack *p, struct herd_diag *diag)
{
	uint64_t at = p->table, end = p->source->size - TRAILER;
	CLEANUP_FREE uint8_t *piece = malloc(PIECE);
	struct herd_sha256 *h = herd_sha256_create();
	int err = piece && h ? 0 : -ENOMEM;

	if (!err)
		herd_sha256_begin(h);
	while (at < end && !err) {
		size_t n = end - at < PIECE ? (size_t)(end - at) : PIECE;

		err = herd_source_read(p->source, piece, n, at, diag);
		if (!err)
			herd_sha256_update(h, piece, n);
		at += n;
	}
	if (!err)
		herd_sha256_final(h, p->id);
	herd_sha256_destroy(h);
	return err;
}

static int read_table(struct herd_pack *p, struct herd_diag *diag)
{
	uint8_t head[12], tail[TRAILER];
	uint64_t size = p->source->size, want;
	int err = size < sizeof(head) + TRAILER ?
		  bad(p, 0, "no pack of pages", diag) :
		  herd_source_read(p->source, head, sizeof(head), 0, diag);

	if (!err)
		err = herd_source_read(p->source, tail, sizeof(tail),
				       size - TRAILER, diag);
	if (err)
		return err;
	struct herd_cursor c = herd_cursor(tail, sizeof(tail));

	p->table = herd_cur_le64(&c);
	p->n_pages = herd_cur_le32(&c);
	p->n_frames = herd_cur_le32(&c);
	want = (uint64_t)p->n_pages * HERD_SHA256_LEN +
	       (uint64_t)p->n_frames * FRAME;
	if (memcmp(head, "HERDPACK\1\0\0\0", sizeof(head)) != 0 ||
	    p->n_frames != (p->n_pages + HERD_KEEP_GROUP - 1) / HERD_KEEP_GROUP ||
	    p->table > size - TRAILER || want != size - TRAILER - p->table)
		return bad(p, 0, "no pack of pages, or a damaged one", diag);
	p->frames = malloc((size_t)p->n_frames * FRAME + 1);
	if (!p->frames)
		return -ENOMEM;
	err = herd_source_read(p->source, p->frames,
			       (size_t)p->n_frames * FRAME,
			       p->table + (uint64_t)p->n_pages *
			       HERD_SHA256_LEN, diag);
	return err ? err : digest_table(p, diag);
}

int herd_pack_open(const char *path, struct herd_pack *ret,
		   struct herd_diag *diag)
{
	struct herd_pack p = { .source = NULL };
	int err = herd_keep_file(path, &p.source, diag);

	if (!err)
		err = read_table(&p, diag);
	if (err)
		herd_pack_close(&p);
	else
		*ret = p;
	return err;
}

void herd_pack_close(struct herd_pack *p)
{
	herd_source_destroy(p->source);
	free(p->frames);
	*p = (struct herd_pack){ .source = NULL };
}

int herd_pack_frame(struct herd_pack *p, uint32_t frame, uint8_t *out,
		    unsigned *ret_n, struct herd_diag *diag)
{
	uint8_t packed[HERD_KEEP_GROUP * HERD_MEMORY_PAGE + 1024];
	struct herd_cursor c;
	uint64_t off;
	uint32_t len;
	size_t got;

	if (frame >= p->n_frames)
		return bad(p, p->table, "a page that it has not got", diag);
	c = herd_cursor(p->frames + (size_t)frame * FRAME, FRAME);
	off = herd_cur_le64(&c);
	len = herd_cur_le32(&c);
	if (len > sizeof(packed) || off > p->table || len > p->table - off)
		return bad(p, p->table, "a frame that lies outside of it", diag);
	int err = herd_source_read(p->source, packed, len, off, diag);

	if (err)
		return err;
	got = ZSTD_decompress(out, (size_t)HERD_KEEP_GROUP * HERD_MEMORY_PAGE,
			      packed, len);
	if (ZSTD_isError(got) || got % HERD_MEMORY_PAGE)
		return bad(p, off, "a frame that cannot be unpacked", diag);
	*ret_n = (unsigned)(got / HERD_MEMORY_PAGE);
	return 0;
}
