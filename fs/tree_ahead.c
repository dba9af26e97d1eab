/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading ahead where a disk is reached over a network: who reads a file from
 * one end to the other has its next few MiB fetched meanwhile. The kernel's own
 * reading ahead keeps two or three requests under way, which is enough for a
 * disk and not for a service that answers in tens of milliseconds.
 *
 * Threads: as fs/tree.h says; the table has a lock that is held for a look.
 */
#include "fs/tree_internal.h"

#include <string.h>

#define AHEAD (4ull << 20)
/* The kernel sends requests of one reader side by side, so out of order. */
#define SLACK (2ull << 20)

/* Whether the file is read in order. If so, *from and *len: what to ask for. */
static bool note_read(struct herd_tree_ahead *a, uint32_t holder, uint32_t path,
		      uint64_t off, size_t len, uint64_t *ret_from)
{
	SCOPED_LOCK(&a->lock);
	struct herd_tree_reader *r = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(a->readers) && !r; i++)
		if (a->readers[i].holder == holder && a->readers[i].path == path)
			r = &a->readers[i];
	if (!r || off + SLACK < r->next || off > r->next + SLACK) {
		if (!r)
			r = &a->readers[a->turn++ % ARRAY_SIZE(a->readers)];
		*r = (struct herd_tree_reader){ holder, path, off + len,
						off + len };
		return false;
	}
	if (r->next < off + len)
		r->next = off + len;
	if (r->wanted < r->next)
		r->wanted = r->next;
	if (r->wanted - r->next > AHEAD / 2)
		return false;
	*ret_from = r->wanted;
	r->wanted += AHEAD;
	return true;
}

bool herd_tree_read_ahead(struct herd_tree *t, uint32_t holder, uint32_t path,
			  uint64_t off, size_t len, uint64_t size,
			  uint64_t *ret_from, size_t *ret_len)
{
	uint64_t from;

	if (!note_read(&t->ahead, holder, path, off, len, &from) ||
	    from >= size)
		return false;
	*ret_from = from;
	*ret_len = size - from < AHEAD ? (size_t)(size - from) : (size_t)AHEAD;
	return true;
}
