/* SPDX-License-Identifier: Apache-2.0 */
#include "index/digest.h"

#include "acquire/base/cleanup.h"
#include "acquire/base/sha256.h"

#include <string.h>

/* Large enough to make calls cheap, small enough to stay in the second-level
   cache between the copy and the digest. */
#define CHUNK (256u << 10)
#define BLOCK 4096u		/* unit of the sparse digest */

static const uint8_t zeros[64u << 10];

struct herd_digester {
	struct herd_sha256 *sha;
	uint8_t *buf;		/* CHUNK bytes */
};

struct herd_digester *herd_digester_create(void)
{
	struct herd_digester *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->sha = herd_sha256_create();
	d->buf = aligned_alloc(BLOCK, CHUNK);
	if (!d->sha || !d->buf) {
		herd_digester_destroy(d);
		return NULL;
	}
	return d;
}

void herd_digester_destroy(struct herd_digester *d)
{
	if (!d)
		return;
	herd_sha256_destroy(d->sha);
	free(d->buf);
	free(d);
}

uint64_t herd_inode_hole_bytes(const struct herd_inode *inode)
{
	uint64_t data = 0;

	if (inode->content != HERD_CONTENT_RUNS)
		return 0;
	for (size_t i = 0; i < inode->n_runs; i++) {
		const struct herd_run *r = &inode->runs[i];

		if (r->logical >= inode->size)
			break;
		data += r->len < inode->size - r->logical
			? r->len : inode->size - r->logical;
	}
	return data < inode->size ? inode->size - data : 0;
}

static void update_zeros(struct herd_digester *d, uint64_t len)
{
	while (len) {
		size_t n = len < sizeof(zeros) ? len : sizeof(zeros);

		herd_sha256_update(d->sha, zeros, n);
		len -= n;
	}
}

/* Every byte in order: runs from the source, zeros between them. */
static int digest_runs(struct herd_digester *d, struct herd_source *source,
		       const struct herd_inode *inode, _Atomic uint64_t *moved,
		       struct herd_diag *diag)
{
	uint64_t pos = 0;

	for (size_t i = 0; i < inode->n_runs && pos < inode->size; i++) {
		const struct herd_run *r = &inode->runs[i];

		if (r->logical < pos)
			return herd_diag_set(diag, -EBADMSG, source->name,
					     r->phys, "extents overlap");
		if (r->logical >= inode->size)
			break;
		update_zeros(d, r->logical - pos);
		pos = r->logical;

		uint64_t end = r->len < inode->size - pos ? pos + r->len
							  : inode->size;

		while (pos < end) {
			size_t n = end - pos < CHUNK ? end - pos : CHUNK;
			int err = herd_source_read(source, d->buf, n,
						   r->phys + (pos - r->logical),
						   diag);

			if (err)
				return err;
			herd_sha256_update(d->sha, d->buf, n);
			pos += n;
			if (moved)
				*moved += n;
		}
	}
	update_zeros(d, inode->size - pos);
	return 0;
}

static int digest_reader(struct herd_digester *d, struct herd_volume *v,
			 const struct herd_inode *inode,
			 _Atomic uint64_t *moved, struct herd_diag *diag)
{
	for (uint64_t pos = 0; pos < inode->size;) {
		size_t n = inode->size - pos < CHUNK ? inode->size - pos : CHUNK;
		int err = v->ops->read(v, inode->ino, d->buf, n, pos, diag);

		if (err)
			return err;
		herd_sha256_update(d->sha, d->buf, n);
		pos += n;
		if (moved)
			*moved += n;
	}
	return 0;
}

static void update_le64(struct herd_digester *d, uint64_t v)
{
	v = htole64(v);
	herd_sha256_update(d->sha, &v, sizeof(v));
}

/* One block of the sparse digest, unless it is all zeros. */
static void sparse_block(struct herd_digester *d, uint64_t index,
			 const uint8_t *block, size_t len)
{
	if (!memcmp(block, zeros, len))
		return;
	update_le64(d, index);
	herd_sha256_update(d->sha, block, len);
}

/*
 * Works block by block of the file, whatever the placement, so that two files
 * of equal bytes agree however they are laid out. Runs need not begin on a
 * block: a block that a run begins or ends in is put together in `block`.
 */
static int digest_sparse(struct herd_digester *d, struct herd_source *source,
			 const struct herd_inode *inode,
			 _Atomic uint64_t *moved, struct herd_diag *diag)
{
	uint8_t block[BLOCK] = { 0 };
	uint64_t index = UINT64_MAX;	/* of what `block` holds */
	uint64_t floor = 0;

	update_le64(d, inode->size);
	for (size_t i = 0; i < inode->n_runs; i++) {
		const struct herd_run *r = &inode->runs[i];
		uint64_t pos = r->logical;

		if (pos < floor)
			return herd_diag_set(diag, -EBADMSG, source->name,
					     r->phys, "extents overlap");
		if (pos >= inode->size)
			break;

		uint64_t end = r->len < inode->size - pos ? pos + r->len
							  : inode->size;

		floor = end;
		while (pos < end) {
			uint64_t at = pos / BLOCK;
			size_t in = pos % BLOCK;
			size_t n = end - pos < BLOCK - in ? end - pos
							  : BLOCK - in;

			if (at != index) {
				if (index != UINT64_MAX)
					sparse_block(d, index, block, BLOCK);
				memset(block, 0, BLOCK);
				index = at;
			}
			int err = herd_source_read(source, block + in, n,
						   r->phys + (pos - r->logical),
						   diag);

			if (err)
				return err;
			pos += n;
			if (moved)
				*moved += n;
		}
	}
	if (index != UINT64_MAX) {
		uint64_t left = inode->size - index * BLOCK;

		sparse_block(d, index, block, left < BLOCK ? left : BLOCK);
	}
	return 0;
}

int herd_digest_content(struct herd_digester *d, struct herd_source *source,
			struct herd_volume *v, const struct herd_inode *inode,
			_Atomic uint64_t *moved, enum herd_digest_kind *ret_kind,
			uint8_t ret[32], struct herd_diag *diag)
{
	enum herd_digest_kind kind = HERD_DIGEST_SHA256;
	int err = 0;

	herd_sha256_begin(d->sha);
	switch (inode->content) {
	case HERD_CONTENT_NONE:
		/* a regular file without content: `size` zeros, usually none */
	case HERD_CONTENT_RUNS:
		if (herd_inode_hole_bytes(inode) > HERD_SPARSE_HOLES ||
		    (inode->content == HERD_CONTENT_NONE &&
		     inode->size > HERD_SPARSE_HOLES)) {
			kind = HERD_DIGEST_SPARSE;
			err = digest_sparse(d, source, inode, moved, diag);
		} else {
			err = digest_runs(d, source, inode, moved, diag);
		}
		break;
	case HERD_CONTENT_INLINE:
		if (inode->n_bytes != inode->size)
			return herd_diag_set(diag, -EBADMSG, source->name,
					     HERD_NO_OFFSET,
					     "inode %llu holds %zu bytes but says %llu",
					     (unsigned long long)inode->ino,
					     inode->n_bytes,
					     (unsigned long long)inode->size);
		herd_sha256_update(d->sha, inode->bytes, inode->n_bytes);
		break;
	case HERD_CONTENT_READER:
		err = v && v->ops->read ? digest_reader(d, v, inode, moved, diag)
					: -EIO;
		break;
	default:
		err = -EIO;
	}
	if (err)
		return err;
	herd_sha256_final(d->sha, ret);
	*ret_kind = kind;
	return 0;
}
