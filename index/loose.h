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

/*
 * A name with a token of the instance's own that (nearly) all others have in
 * their form, and one has not: its journal was deleted.
 */
struct herd_loose_missing {
	uint32_t instance;	/* who lacks it */
	uint32_t path, holder;	/* another's, and whose */
	uint32_t holders;
	uint64_t key;
	bool below;		/* the folder that it would be in is missing */
};

struct herd_loose_name;
struct herd_loose {
	struct herd_loose_name *v;	/* settled: by holder, then path */
	size_t n, cap;
	uint32_t *index;	/* by path: a place in v and 1; 0: free */
	size_t n_index;	/* a power of two, or 0 */
	struct herd_loose_missing *missing;	/* by instance */
	size_t n_missing, cap_missing;
	bool no_forms;	/* names are taken as they are */
};

void herd_loose_deinit(struct herd_loose *l);
/* Room for n more. */
int herd_loose_reserve(struct herd_loose *l, size_t n);
/* A path that `holder` alone has; each once. */
int herd_loose_add(struct herd_loose *l, struct herd_txn *t, uint32_t path,
		   uint32_t holder, const struct herd_variant *variant);
/* Looks at the names of all that were added; once, before anything below. */
int herd_loose_forms(struct herd_loose *l, struct herd_txn *t);
/*
 * One name as bytes, all that settling needs of it; and back: those of one
 * holder, by path, beside what is there. -EBADMSG.
 */
#define HERD_LOOSE_NAME 41u
void herd_loose_encode(const struct herd_loose *l, size_t i,
		       struct herd_buf *out);
uint32_t herd_loose_holder(const struct herd_loose *l, size_t i);
/* By holder, then path. */
void herd_loose_sort(struct herd_loose *l);
int herd_loose_decode(struct herd_loose *l, uint32_t holder, const void *bytes,
		      size_t len);
/* Counts. members: ids, ascending. */
int herd_loose_settle(struct herd_loose *l, const uint32_t *members,
		      size_t n_members, bool baseline);
/*
 * For a path: how many other members have the like; 0: not a loose name.
 * *ret_templated: the names have the same form (index/template.h).
 */
uint32_t herd_loose_alike(const struct herd_loose *l, uint32_t path,
			  bool *ret_templated);
/* What an instance lacks; *ret_n of them. */
const struct herd_loose_missing *
herd_loose_missing(const struct herd_loose *l, uint32_t instance, size_t *ret_n);

#endif
