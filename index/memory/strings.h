/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table of strings, each once, numbered from 0 in the order in which they
 * came. They may hold any bytes. Looked up by a keyed hash, so that an image
 * cannot choose strings that collide.
 *
 * Threads: filled by one; immutable afterwards it may be shared.
 */
#ifndef HERD_MEMORY_STRINGS_H
#define HERD_MEMORY_STRINGS_H

#include "acquire/base/cleanup.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HERD_STRING_NONE UINT32_MAX

/* Zero-initialised is empty. */
struct herd_strings {
	struct herd_string {
		const char *p; /* terminated beyond len */
		size_t len;
	} * v;
	uint32_t n, cap;
	uint32_t *slots; /* number + 1, or 0; a power of two of them */
	uint32_t n_slots;
	char **blocks;
	size_t n_blocks, used, room; /* of the last block */
	uint64_t bytes;		     /* of all strings */
};

void herd_strings_deinit(struct herd_strings *t);
/* The number of a string, put in when it is new. -ENOMEM, -EOVERFLOW. */
int herd_strings_put(struct herd_strings *t, const void *p, size_t len,
		     uint32_t *ret);
/* HERD_STRING_NONE: it is not there. */
uint32_t herd_strings_find(const struct herd_strings *t, const void *p,
			   size_t len);
/*
 * Puts prefix and p, in one, at the end, also when it is there already; such a
 * table is not looked up in.
 */
int herd_strings_append(struct herd_strings *t, const void *prefix,
			size_t prefix_len, const void *p, size_t len);

#endif
