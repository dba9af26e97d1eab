/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zlib has another polynomial, and no library that we use has this one. By the
 * processor's instruction where it has it, else a table of bytes, made at first
 * use.
 */
#include "acquire/memory/crc32c.h"

#include <pthread.h>
#include <string.h>

static uint32_t table[256];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_table(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t v = i;

		for (int bit = 0; bit < 8; bit++)
			v = v >> 1 ^ (v & 1 ? 0x82f63b78u : 0);
		table[i] = v;
	}
}

static uint32_t by_table(uint32_t crc, const uint8_t *p, size_t len)
{
	pthread_once(&once, make_table);
	while (len--)
		crc = crc >> 8 ^ table[(crc ^ *p++) & 0xff];
	return crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2")))
static uint32_t by_instruction(uint32_t crc, const uint8_t *p, size_t len)
{
	uint64_t v = crc;

	for (; len >= 8; len -= 8, p += 8) {
		uint64_t eight;

		memcpy(&eight, p, sizeof(eight));
		v = __builtin_ia32_crc32di(v, eight);
	}
	crc = (uint32_t)v;
	while (len--)
		crc = __builtin_ia32_crc32qi(crc, *p++);
	return crc;
}
#endif

uint32_t herd_crc32c(const void *bytes, size_t len)
{
#if defined(__x86_64__)
	if (__builtin_cpu_supports("sse4.2"))
		return ~by_instruction(~0u, bytes, len);
#endif
	return ~by_table(~0u, bytes, len);
}
