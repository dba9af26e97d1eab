/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which blocks a snapshot has, as listed by EBS and as kept by the cache.
 * A value: owned by whoever holds it.
 */
#ifndef HERD_BLOCK_LIST_H
#define HERD_BLOCK_LIST_H

#include <stddef.h>
#include <stdint.h>

#define HERD_BLOCK_SIZE_MAX (1u << 20)

struct herd_block_list {
	uint32_t block_size;  /* bytes: 524288 */
	uint64_t volume_size; /* bytes */
	uint32_t *indexes;    /* ascending; owned */
	char **tokens;	      /* one each, owned; NULL: none kept. In a list of
				  changed blocks one may be NULL: the second
				  snapshot lacks that block, it is zeros there */
	size_t n;
	int64_t tokens_expire; /* Unix seconds */
};

void herd_block_list_deinit(struct herd_block_list *l);

#endif
