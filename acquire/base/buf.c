/* SPDX-License-Identifier: Apache-2.0 */
#include "acquire/base/buf.h"

#include <endian.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void herd_buf_deinit(struct herd_buf *b)
{
	free(b->data);
	*b = (struct herd_buf)HERD_BUF_INIT;
}

void *herd_buf_extend(struct herd_buf *b, size_t n)
{
	if (b->failed || n > SIZE_MAX / 2 - b->len) {
		b->failed = true;
		return NULL;
	}
	if (b->len + n > b->cap) {
		size_t cap = b->cap ? b->cap : 64;

		while (cap < b->len + n)
			cap *= 2;
		uint8_t *data = realloc(b->data, cap);

		if (!data) {
			b->failed = true;
			return NULL;
		}
		b->data = data;
		b->cap = cap;
	}
	b->len += n;
	return b->data + b->len - n;
}

void herd_buf_put(struct herd_buf *b, const void *p, size_t n)
{
	void *to = n ? herd_buf_extend(b, n) : NULL;

	if (to)
		memcpy(to, p, n);
}

void herd_buf_u8(struct herd_buf *b, uint8_t v)
{
	herd_buf_put(b, &v, 1);
}

void herd_buf_le32(struct herd_buf *b, uint32_t v)
{
	v = htole32(v);
	herd_buf_put(b, &v, sizeof(v));
}

void herd_buf_be32(struct herd_buf *b, uint32_t v)
{
	v = htobe32(v);
	herd_buf_put(b, &v, sizeof(v));
}

void herd_buf_be64(struct herd_buf *b, uint64_t v)
{
	v = htobe64(v);
	herd_buf_put(b, &v, sizeof(v));
}

void herd_buf_varint(struct herd_buf *b, uint64_t v)
{
	uint8_t bytes[10];
	size_t n = 0;

	do {
		bytes[n] = v & 0x7f;
		v >>= 7;
		if (v)
			bytes[n] |= 0x80;
		n++;
	} while (v);
	herd_buf_put(b, bytes, n);
}

void herd_buf_svarint(struct herd_buf *b, int64_t v)
{
	herd_buf_varint(b, ((uint64_t)v << 1) ^ (uint64_t)(v >> 63));
}

void herd_buf_printf(struct herd_buf *b, const char *fmt, ...)
{
	va_list ap, again;

	va_start(ap, fmt);
	va_copy(again, ap);
	int n = vsnprintf(NULL, 0, fmt, ap);
	char *to = n >= 0 ? herd_buf_extend(b, (size_t)n + 1) : NULL;

	if (to) {
		vsnprintf(to, (size_t)n + 1, fmt, again);
		b->len--;	/* the NUL stays behind the end */
	}
	va_end(again);
	va_end(ap);
}

char *herd_hex(const void *bytes, size_t n, char *out)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *p = bytes;

	for (size_t i = 0; i < n; i++) {
		out[2 * i] = digits[p[i] >> 4];
		out[2 * i + 1] = digits[p[i] & 15];
	}
	out[2 * n] = '\0';
	return out;
}
