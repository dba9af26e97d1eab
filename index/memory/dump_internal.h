/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The map behind dump.h, for dump.c and dump_read.c alone: an array of 16 bytes
 * a stretch, where it begins, and kind and place in one word, for all is in
 * pages. Stretches that go on where the last one ended are one.
 *
 * Threads: as dump.h says.
 */
#ifndef HERD_DUMP_INTERNAL_H
#define HERD_DUMP_INTERNAL_H

#include "index/memory/dump.h"

#define HERD_DUMP_PLACE (~(uint64_t)(HERD_PAGE - 1))

struct herd_dump_stretch {
	uint64_t start;
	uint64_t what; /* place, a multiple of a page | kind */
};
struct herd_dump {
	struct herd_dump_stretch
		*v; /* by start; each ends where the next begins */
	size_t n, cap;
	uint64_t end;		/* of the last one */
	uint32_t process, file; /* one of them is HERD_NO_INDEX */
};

static inline enum herd_dump_kind
herd_dump_stretch_kind(const struct herd_dump_stretch *p)
{
	return (enum herd_dump_kind)(p->what & (HERD_PAGE - 1));
}

#endif
