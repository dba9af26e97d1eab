/* SPDX-License-Identifier: Apache-2.0 */
#include "acquire/memory/memory_snappy.h"

#include "acquire/base/cleanup.h"
#include "acquire/base/cursor.h"
#include "acquire/memory/crc32c.h"

#include <snappy-c.h>
#include <string.h>

/* Room for a chunk's head, its CRC and the length at the front of its data. */
#define HEAD 16u
/* A copy of 64 bytes takes 3: more than 22 to 1 is not Snappy's. */
#define RATIO 22u

enum { CHUNK_SNAPPY = 0, CHUNK_PLAIN = 1, CHUNK_NAME = 0xff };

static int bad(const struct herd_snappy_walk *w, uint64_t off, const char *what,
	       struct herd_diag *diag)
{
	return herd_diag_set(diag, -EBADMSG, w->source->name, off, "%s", what);
}

static int cut(const struct herd_snappy_walk *w, uint64_t off,
	       struct herd_diag *diag)
{
	return herd_diag_set(diag, -ENODATA, w->source->name, off,
			     "a chunk is cut short");
}

/*
 * len bytes at off, which lie before the end, in the window, and where they are
 * read up to `ahead` of what follows; NULL: err has why.
 */
static const uint8_t *look(struct herd_snappy_walk *w, uint64_t off, size_t len,
			   size_t ahead, int *err, struct herd_diag *diag)
{
	uint64_t left = w->end - off;

	if (off >= w->window_at && off - w->window_at <= w->have &&
	    len <= w->have - (off - w->window_at))
		return w->window + (off - w->window_at);
	if (ahead < len)
		ahead = len;
	if (ahead > left)
		ahead = (size_t)left;
	w->have = 0;
	*err = len > ahead || ahead > w->room ?
	       bad(w, off, "a chunk that is too long", diag) :
	       herd_source_read(w->source, w->window, ahead, off, diag);
	if (*err)
		return NULL;
	w->window_at = off;
	w->have = ahead;
	return w->window;
}

/* How long it will be unpacked stands at the data's front. */
static int check_data(const struct herd_snappy_walk *w, struct herd_cursor *k,
		      struct herd_snappy_chunk *c, struct herd_diag *diag)
{
	uint64_t len;

	if (c->plain) {
		if (c->packed > HERD_SNAPPY_BLOCK)
			return bad(w, c->at, "a chunk that is too long", diag);
		c->len = c->packed;
		return 0;
	}
	len = herd_cur_varint(k);
	if (k->bad || len > HERD_SNAPPY_BLOCK ||
	    c->packed > HERD_SNAPPY_PACKED_MAX ||
	    len > (uint64_t)c->packed * RATIO)
		return bad(w, c->at, "a chunk of a length that cannot be", diag);
	c->len = (uint32_t)len;
	return 0;
}

int herd_snappy_next(struct herd_snappy_walk *w, struct herd_snappy_chunk *ret,
		     struct herd_diag *diag)
{
	uint64_t left = w->end - w->pos;
	size_t n = left < HEAD ? (size_t)left : HEAD;
	struct herd_snappy_chunk c = { .at = w->pos, .off = w->pos + 8 };
	int err = 0;

	if (n < 4)
		return cut(w, w->pos, diag);
	const uint8_t *head = look(w, w->pos, n, w->ahead, &err, diag);

	if (!head)
		return err;
	uint32_t len = head[1] | (uint32_t)head[2] << 8 | (uint32_t)head[3] << 16;
	struct herd_cursor k = herd_cursor(head + 4, n - 4);

	if (len > left - 4)
		return cut(w, w->pos, diag);
	if (head[0] == CHUNK_SNAPPY || head[0] == CHUNK_PLAIN) {
		if (len < 4)
			return bad(w, w->pos, "a chunk without a CRC", diag);
		c.crc = herd_cur_le32(&k);
		c.packed = len - 4;
		c.plain = head[0] == CHUNK_PLAIN;
		err = check_data(w, &k, &c, diag);
	} else if (head[0] == CHUNK_NAME) {
		if (len != 6 || n < 10 || memcmp(head + 4, "sNaPpY", 6) != 0)
			err = bad(w, w->pos, "no stream of Snappy", diag);
	} else if (head[0] < 0x80) {
		err = bad(w, w->pos, "a chunk of an unknown kind", diag);
	}
	if (err)
		return err;
	w->pos += 4 + (uint64_t)len;
	*ret = c;
	return 0;
}

/* The CRC is of what it unpacks to, rotated and with a number added. */
static bool crc_fits(const struct herd_snappy_chunk *c, const void *bytes)
{
	uint32_t crc = herd_crc32c(bytes, c->len);

	return (crc >> 15 | crc << 17) + 0xa282ead8u == c->crc;
}

/* Its packed bytes with the window as it is: a wrong guess costs a read. */
bool herd_snappy_is_zeros(struct herd_snappy_walk *w,
			  const struct herd_snappy_chunk *c)
{
	const struct herd_snappy_zeros *z = w->known ? atomic_load(w->known) :
						       NULL;
	int err = 0;

	if (!z || c->plain || c->len != HERD_SNAPPY_BLOCK ||
	    c->packed != z->packed || c->crc != z->crc)
		return false;
	const uint8_t *packed = look(w, c->off, c->packed, w->room, &err, NULL);

	return packed && !memcmp(packed, z->bytes, z->packed);
}

static void learn(herd_snappy_known *known, const struct herd_snappy_chunk *c,
		  const uint8_t *packed, const uint8_t *bytes)
{
	struct herd_snappy_zeros *z, *none = NULL;

	if (c->plain || c->len != HERD_SNAPPY_BLOCK ||
	    c->packed > sizeof(z->bytes) || bytes[0] ||
	    memcmp(bytes, bytes + 1, HERD_SNAPPY_BLOCK - 1) != 0)
		return;
	z = calloc(1, sizeof(*z));
	if (!z)
		return;
	z->packed = c->packed;
	z->crc = c->crc;
	memcpy(z->bytes, packed, c->packed);
	if (!atomic_compare_exchange_strong(known, &none, z))
		free(z);
}

int herd_snappy_unpack(struct herd_snappy_walk *w,
		       const struct herd_snappy_chunk *c, void *to,
		       struct herd_diag *diag)
{
	size_t len = c->len;
	int err = 0;

	if (herd_snappy_is_zeros(w, c)) {
		memset(to, 0, c->len);
		return 0;
	}
	const uint8_t *packed = look(w, c->off, c->packed, w->room, &err,
				     diag);

	if (!packed)
		return err;
	if (c->plain)
		memcpy(to, packed, c->len);
	else if (snappy_uncompress((const char *)packed, c->packed, to, &len) !=
			 SNAPPY_OK || len != c->len)
		return bad(w, c->at, "a chunk cannot be unpacked", diag);
	if (!crc_fits(c, to))
		return bad(w, c->at, "a chunk's checksum is not that of its data",
			   diag);
	if (w->known && !atomic_load(w->known))
		learn(w->known, c, packed, to);
	return 0;
}
