/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snappy's framing: chunks of a kind, a length (24 bits) and so many bytes; what
 * one unpacks to has at most 64 KiB and, before it, a CRC-32C of its own.
 *
 * Threads: a walk belongs to one.
 */
#ifndef HERD_MEMORY_SNAPPY_H
#define HERD_MEMORY_SNAPPY_H

#include "acquire/source.h"

#define HERD_SNAPPY_BLOCK (64u << 10)	/* a chunk unpacks to that at most */
/* What Snappy makes of such a block that cannot be packed, and then some. */
#define HERD_SNAPPY_PACKED_MAX (HERD_SNAPPY_BLOCK + HERD_SNAPPY_BLOCK / 6 + 64)

struct herd_snappy_chunk {
	uint64_t at, off;	/* of its head; of its data, behind the CRC */
	uint32_t packed, len;	/* len: unpacked, as it says; 0: no data */
	uint32_t crc;
	bool plain;		/* its data is as it is */
};

/*
 * Most of a memory is zeros, and a block of them is packed to the very same bytes
 * each time. The first one that is met is kept, and others need no unpacking.
 */
struct herd_snappy_zeros {
	uint32_t packed, crc;
	uint8_t bytes[4096];
};
/* Set once, by who is first; freed by its owner. */
typedef _Atomic(struct herd_snappy_zeros *) herd_snappy_known;

/* Through a piece of a source, by a window of bytes that are read ahead. */
struct herd_snappy_walk {
	struct herd_source *source;
	uint64_t pos, end;	/* of the next chunk; nothing is read behind */
	uint8_t *window;	/* the caller's */
	size_t room, have;
	size_t ahead;		/* how much next() reads of it, where it has to */
	uint64_t window_at;
	herd_snappy_known *known;	/* NULL: they are all unpacked */
};

/* -ENODATA: it ends within the chunk; -EBADMSG. diag names the byte. */
int herd_snappy_next(struct herd_snappy_walk *w, struct herd_snappy_chunk *ret,
		     struct herd_diag *diag);
/* Whether c, which w came to last, is a whole block of zeros, and known for it. */
bool herd_snappy_is_zeros(struct herd_snappy_walk *w,
			  const struct herd_snappy_chunk *c);
/* Unpacks c, which w came to last, to c->len bytes and checks its CRC. */
int herd_snappy_unpack(struct herd_snappy_walk *w,
		       const struct herd_snappy_chunk *c, void *to,
		       struct herd_diag *diag);

#endif
