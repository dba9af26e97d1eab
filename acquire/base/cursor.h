/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bounds-checked reader over bytes that nobody vouches for. An access past
 * the end sets `bad`, yields zeros, and every later access fails too: a
 * parser may read a whole record and check once, before it uses a value as a
 * length or an index. A value; it borrows the bytes.
 */
#ifndef HERD_CURSOR_H
#define HERD_CURSOR_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct herd_cursor {
	const uint8_t *data;
	size_t len;
	size_t pos;	/* never above len; where a bad access began */
	bool bad;
};

static inline struct herd_cursor herd_cursor(const void *data, size_t len)
{
	return (struct herd_cursor){ .data = data, .len = len };
}

static inline size_t herd_cur_left(const struct herd_cursor *c)
{
	return c->bad ? 0 : c->len - c->pos;
}

/* n bytes in place, or NULL. n may be 0. */
static inline const void *herd_cur_bytes(struct herd_cursor *c, uint64_t n)
{
	const void *p = c->data + c->pos;

	if (c->bad || n > c->len - c->pos) {
		c->bad = true;
		return NULL;
	}
	c->pos += n;
	return p;
}

static inline void herd_cur_seek(struct herd_cursor *c, uint64_t pos)
{
	if (c->bad || pos > c->len)
		c->bad = true;
	else
		c->pos = pos;
}

static inline void herd_cur_copy(struct herd_cursor *c, void *to, size_t n)
{
	const void *p = herd_cur_bytes(c, n);

	if (p)
		memcpy(to, p, n);
	else
		memset(to, 0, n);
}

static inline uint8_t herd_cur_u8(struct herd_cursor *c)
{
	uint8_t v;

	herd_cur_copy(c, &v, sizeof(v));
	return v;
}

static inline uint16_t herd_cur_le16(struct herd_cursor *c)
{
	uint16_t v;

	herd_cur_copy(c, &v, sizeof(v));
	return le16toh(v);
}

static inline uint32_t herd_cur_le32(struct herd_cursor *c)
{
	uint32_t v;

	herd_cur_copy(c, &v, sizeof(v));
	return le32toh(v);
}

static inline uint64_t herd_cur_le64(struct herd_cursor *c)
{
	uint64_t v;

	herd_cur_copy(c, &v, sizeof(v));
	return le64toh(v);
}

static inline uint32_t herd_cur_be32(struct herd_cursor *c)
{
	uint32_t v;

	herd_cur_copy(c, &v, sizeof(v));
	return be32toh(v);
}

static inline uint64_t herd_cur_be64(struct herd_cursor *c)
{
	uint64_t v;

	herd_cur_copy(c, &v, sizeof(v));
	return be64toh(v);
}

/* LEB128, at most 64 bits; a longer or cut one is bad. */
static inline uint64_t herd_cur_varint(struct herd_cursor *c)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 64; shift += 7) {
		uint8_t b = herd_cur_u8(c);

		if (c->bad || (shift == 63 && b > 1))
			break;
		v |= (uint64_t)(b & 0x7f) << shift;
		if (!(b & 0x80))
			return v;
	}
	c->bad = true;
	return 0;
}

/* Zigzag-coded signed varint. */
static inline int64_t herd_cur_svarint(struct herd_cursor *c)
{
	uint64_t v = herd_cur_varint(c);

	return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

#endif
