/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What reading snapshots has cost: how many calls and bytes, for each
 * snapshot, in small files beside the cache. Added to under a lock, so that
 * several fetchers may count at the same time; a kill loses what was counted
 * in the last seconds.
 *
 * Threads: each handle belongs to one.
 */
#ifndef HERD_FETCH_LEDGER_H
#define HERD_FETCH_LEDGER_H

#include "acquire/base/diag.h"

struct herd_fetch_ledger_row {
	uint64_t list_calls;	/* ListSnapshotBlocks, ListChangedBlocks */
	uint64_t blocks;	/* GetSnapshotBlock, answered */
	uint64_t failed;	/* calls that failed to the end */
	uint64_t bytes;		/* of blocks */
	uint64_t cached;	/* blocks served from the cache */
};

struct herd_fetch_ledger;
/* dir: the cache's. */
int herd_fetch_ledger_open(const char *dir, struct herd_fetch_ledger **ret,
			   struct herd_diag *diag);
/* To read; makes nothing. -ENOENT: nothing was ever counted there. */
int herd_fetch_ledger_open_read(const char *dir,
				struct herd_fetch_ledger **ret);
void herd_fetch_ledger_close(struct herd_fetch_ledger *l);
/* Adds, and sets *row to zero. An error costs a count and nothing else. */
int herd_fetch_ledger_add(struct herd_fetch_ledger *l, const char *snapshot,
			  struct herd_fetch_ledger_row *row);
/* All zeros when nothing was ever counted. */
int herd_fetch_ledger_get(struct herd_fetch_ledger *l, const char *snapshot,
			  struct herd_fetch_ledger_row *ret);

#endif
