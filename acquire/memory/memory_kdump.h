/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A kdump's own struct, for the two files that read one: memory_kdump.c opens
 * it, memory_kdump_page.c reads its pages.
 */
#ifndef HERD_MEMORY_KDUMP_H
#define HERD_MEMORY_KDUMP_H

#include "acquire/memory/memory_impl.h"

#define HERD_KDUMP_GROUP 512u	/* frames between two counts */

struct herd_kdump_unpacker;

struct herd_kdump {
	struct herd_memory_source m;
	uint64_t frames;	/* max_mapnr */
	uint64_t first, end;	/* frames that this file has; of a split dump */
	uint64_t before;	/* set bits before `first` */
	uint64_t descriptors;	/* where they begin */
	bool lacking;		/* it says, or it shows, that it is cut short */
	uint64_t *bitmap;	/* which frames are in it; a bit each, in the
				   file's order of bytes */
	uint64_t *counts;	/* set bits before each group */
	struct herd_memory_cache *cache;
	pthread_mutex_t lock;	/* of those that nobody uses now: */
	struct herd_kdump_unpacker *idle;
};

static inline bool herd_kdump_has(const struct herd_kdump *k, uint64_t frame)
{
	return frame >= k->first && frame < k->end &&
	       (le64toh(k->bitmap[frame / 64]) >> (frame % 64) & 1);
}

int herd_kdump_read(struct herd_source *s, void *buf, size_t len, uint64_t off,
		    struct herd_diag *diag);
void herd_kdump_idle_destroy(struct herd_kdump *k);

#endif
