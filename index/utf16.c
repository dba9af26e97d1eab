/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-16 to WTF-8. Pure functions; no threads. */
#include "index/utf16.h"

#include <stdint.h>
#include <string.h>

static uint32_t unit_at(const uint8_t *p, size_t i)
{
	return (uint32_t)p[2 * i] | (uint32_t)p[2 * i + 1] << 8;
}

/* One character from unit *i on; moves *i. */
static uint32_t next_character(const uint8_t *p, size_t n, size_t *i)
{
	uint32_t c = unit_at(p, (*i)++);

	if (c >= 0xd800 && c < 0xdc00 && *i < n) {
		uint32_t low = unit_at(p, *i);

		if (low >= 0xdc00 && low < 0xe000) {
			(*i)++;
			return 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
		}
	}
	return c;
}

static size_t put_character(uint32_t c, char out[4])
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char)(0xc0 | c >> 6);
		out[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (char)(0xe0 | c >> 12);
		out[1] = (char)(0x80 | (c >> 6 & 0x3f));
		out[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | c >> 18);
	out[1] = (char)(0x80 | (c >> 12 & 0x3f));
	out[2] = (char)(0x80 | (c >> 6 & 0x3f));
	out[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

size_t herd_utf16_to_bytes(const void *units, size_t n, char *out)
{
	size_t len = 0;

	for (size_t i = 0; i < n;) {
		char c[4];
		size_t k = put_character(next_character(units, n, &i), c);

		memcpy(out + len, c, k);
		len += k;
	}
	out[len] = '\0';
	return len;
}

void herd_utf16_text(const void *units, size_t n, char *out, size_t size)
{
	size_t len = 0;

	for (size_t i = 0; i < n;) {
		char c[4];
		uint32_t ch = next_character(units, n, &i);
		size_t k = put_character(ch, c);

		if (!ch || len + k >= size)
			break;
		memcpy(out + len, c, k);
		len += k;
	}
	if (size)
		out[len] = '\0';
}
