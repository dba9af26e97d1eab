/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Indexes one instance: opens its disks, reads volumes, hashes what must be
 * hashed, and puts the result into the store in one transaction.
 *
 * Threads: called by one thread; it starts its own for hashing and comparing
 * and joins them before it returns.
 */
#ifndef HERD_ATTACH_H
#define HERD_ATTACH_H

#include "index/store.h"

/* Filled as work goes on, in memory that another process may watch. */
struct herd_progress {
	_Atomic uint64_t beat;		/* moves whenever anything moves */
	_Atomic uint64_t entries;	/* names seen */
	_Atomic uint64_t bytes_done, bytes_todo;	/* to hash */
	_Atomic uint32_t stage;		/* enum herd_stage */
};
enum herd_stage { HERD_STAGE_OPEN, HERD_STAGE_COMPARE, HERD_STAGE_READ,
		  HERD_STAGE_HASH, HERD_STAGE_STORE, HERD_STAGE_DONE,
		  /* of an image of memory, between OPEN and STORE */
		  HERD_STAGE_KERNEL, HERD_STAGE_MACHINE, HERD_STAGE_PAGES };

/* A token of the instance's own that its image may not tell. */
struct herd_attach_token {
	uint8_t kind;		/* enum herd_token_kind */
	const char *text;
};

struct herd_attach {
	const char *group, *instance;
	const struct herd_attach_token *tokens;
	size_t n_tokens;
	bool no_identity;	/* compare contents and names as they are */
	enum herd_role role;
	/* images as probed and the sources opened on them, same order */
	const struct herd_image *images;
	struct herd_source **disks;
	size_t n_disks;
	/* the group's reference's disks, NULL where not available: then
	   everything is hashed */
	struct herd_source **reference_disks;
	size_t n_reference_disks;
	/* why there are none of them, to be kept with the instance; may be
	   NULL: that is as the caller wants it */
	const char *no_reference;
	bool read_all;		/* nothing is taken over by metadata alone:
				   see HERD_BASIS_METADATA */
	/* the instance is there: everything of it is read, and takes the place
	   of what was taken over by metadata alone. A file that proves to be
	   another one becomes a problem */
	bool verify;
	unsigned threads;	/* 0: one a core */
	uint64_t now;		/* for the record */
	struct herd_progress *progress;	/* may be NULL */
};

/*
 * *ret (may be NULL): the record as stored. -EEXIST: an instance of that name
 * is there with other images. 0 without work when it is there already with
 * the same ones (ret tells). -ENOENT: there is none to verify.
 */
int herd_attach(struct herd_store *s, const struct herd_attach *a,
		struct herd_instance *ret, struct herd_diag *diag);

#endif
