/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A page of ListSnapshotBlocks or ListChangedBlocks, out of its JSON, and the
 * list that such pages add up to. Nothing of it is believed unchecked: indexes
 * must ascend and lie within the volume, tokens have their pattern.
 *
 * Threads: values, used by one thread at a time.
 */
#ifndef HERD_EBS_PAGE_H
#define HERD_EBS_PAGE_H

#include "acquire/aws/block_list.h"
#include "acquire/base/diag.h"

#include <stdbool.h>

#define HERD_EBS_TOKEN_MAX 256u
#define HERD_EBS_PAGE_BLOCKS 10000u	   /* that a page may have */
#define HERD_EBS_LIST_MAX (1u << 25)	   /* blocks listed: 16 TiB written */
#define HERD_EBS_VOLUME_GIB_MAX (1u << 20) /* far above EBS's own 64 TiB */

struct herd_ebs_page {
	struct herd_block_list list;	   /* sizes and expiry 0: not said */
	char next[HERD_EBS_TOKEN_MAX + 1]; /* "": the last page */
};

/* -EBADMSG, -ENOMEM. *ret is for herd_ebs_page_deinit only on success. */
int herd_ebs_page_parse(const void *json, size_t len, bool changed,
			struct herd_ebs_page *ret, struct herd_diag *diag);
void herd_ebs_page_deinit(struct herd_ebs_page *p);

/*
 * Takes the page's blocks over. -EBADMSG: it goes back, or says other sizes
 * than those before it. *cap: room in the list, 0 at first. On failure both
 * are still whole.
 */
int herd_ebs_list_add(struct herd_block_list *l, size_t *cap,
		      struct herd_ebs_page *p, struct herd_diag *diag);
bool herd_ebs_is_token(const char *text);

#endif
