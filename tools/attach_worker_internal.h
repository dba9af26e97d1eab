/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the two kinds of worker share: for disks (attach_worker.c) and for
 * images of memory (attach_memory.c).
 *
 * Threads: one, until the work starts its own.
 */
#ifndef HERD_ATTACH_WORKER_INTERNAL_H
#define HERD_ATTACH_WORKER_INTERNAL_H

#include "tools/attach_worker.h"

/* Disks of one instance: what they are, who serves them, the open ones. */
struct herd_worker_disks {
	struct herd_image *images;   /* borrowed when they are a record's */
	struct herd_helper *helpers; /* n of them, unused ones zero */
	struct herd_source **sources;
	size_t n;
};

struct herd_worker {
	const struct herd_job *job;
	struct herd_worker_shared *shared;
	struct herd_store *store;
	struct herd_worker_disks own, reference;
	struct herd_instance reference_record;
	bool there; /* an instance of that name is in the store */
};

int herd_worker_disks_make(struct herd_worker_disks *d, size_t n);
void herd_worker_touch(struct herd_worker *w);
/* Starts what has to run beside, for those images that need it. */
int herd_worker_helpers(struct herd_worker *w, struct herd_worker_disks *d,
			struct herd_diag *diag);
/* Memory that this process may take; then no way back. In this order. */
int herd_worker_limit(const struct herd_job *job);
int herd_worker_lock_in(struct herd_worker *w);
int herd_worker_open(struct herd_worker *w, struct herd_worker_disks *d,
		     struct herd_diag *diag);

/* The whole work for an image of memory. */
int herd_worker_memory(struct herd_worker *w);

#endif
