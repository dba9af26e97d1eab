/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Folders in which the members have names of their own: caches, queues,
 * journals. By its path alone each such file is one odd against all others;
 * by its folder it is what everybody has. Counted is what is of the same kind
 * (type, mode, owner, extended attributes), so that what an intruder leaves
 * among them stands out unless it is made to look like them in all that.
 *
 * Below a folder whose own name is one of these (a journal's, by machine id)
 * the rest of the path is compared: first the same name, then any.
 *
 * Threads: filled by one, then settled; immutable from then on.
 */
#ifndef HERD_LOOSE_H
#define HERD_LOOSE_H

#include "index/store.h"

struct herd_loose_name;
struct herd_loose {
	struct herd_loose_name *v;	/* by path id */
	size_t n, cap;
};

void herd_loose_deinit(struct herd_loose *l);
/* A path that `holder` alone has. In ascending order of path id. */
int herd_loose_add(struct herd_loose *l, struct herd_txn *t, uint32_t path,
		   uint32_t holder, const struct herd_variant *variant);
/* Counts; only the names in loose folders are kept. */
int herd_loose_settle(struct herd_loose *l, struct herd_txn *t,
		      uint32_t members, bool baseline);
/* For a path: how many other members have the like; 0: not a loose name. */
uint32_t herd_loose_alike(const struct herd_loose *l, uint32_t path);

#endif
