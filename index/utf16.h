/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UTF-16 as disks hold it, to bytes. Lone surrogates become the three bytes
 * that UTF-8 would give them (WTF-8), so two different names never fall
 * together and nothing is replaced. Pure functions; no threads.
 */
#ifndef HERD_UTF16_H
#define HERD_UTF16_H

#include <stddef.h>

/* The most bytes that n units can become, without the NUL. */
#define HERD_UTF8_MAX(n) ((size_t)(n)*3)

/*
 * n little-endian units at `units` (any alignment) into out, which has room
 * for HERD_UTF8_MAX(n) + 1 bytes. Writes a NUL and returns the length
 * without it. The result may hold NULs and any other character.
 */
size_t herd_utf16_to_bytes(const void *units, size_t n, char *out);

/*
 * The same for text that ends at its first NUL unit and goes into a buffer
 * of fixed size; cut at a character. Always terminated.
 */
void herd_utf16_text(const void *units, size_t n, char *out, size_t size);

#endif
